"""The service's clock, kept in its database: all processes on one file show one time.

It runs as many times faster than the machine's clock as its speed says, or stands still at speed 0 until
it is moved by hand. It never goes back, neither over a restart nor when its speed is changed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from reconciler.emulator.errors import ClockRangeError, ClockSetError, EmulatorError
from reconciler.emulator.moments import system_clock

if TYPE_CHECKING:
    from reconciler.emulator.database import Database
    from reconciler.emulator.moments import Clock, Micros

# Times are written with four digits of a year, and what lies a few centuries ahead is reckoned with too.
LATEST: Micros = 221_845_392_000_000_000  # the year 9000
_SHOWN = "SELECT real_us, shown_us, speed FROM clock"
_SET = "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)"


class KeptClock:
    """A clock in a database. Call it for the time; it needs `start` once.

    Args:
        database: where it is kept.
        machine: the clock that it runs by.
    """

    def __init__(self, database: Database, machine: Clock = system_clock) -> None:
        self._database = database
        self._machine = machine
        self._latest = machine()

    def start(self, *, speed: float | None, offset: Micros | None) -> None:
        """Set the clock of a new database, or carry on that of an older one.

        Args:
            speed: times the machine's; None for 1, or for what it was.
            offset: how far ahead of the machine's clock it starts; negative for behind.

        Raises:
            ClockSetError: an offset was given, and the clock already runs.
            ClockRangeError: it would start before 1970 or after the year 9000.
        """
        with self._database.transaction() as connection:
            known = connection.execute(_SHOWN).fetchone()
            if known is None:
                now = self._machine()
                if not 0 <= now + (offset or 0) <= LATEST:
                    raise ClockRangeError
                connection.execute(_SET, (now, now + (offset or 0), 1.0 if speed is None else speed))
                return
            if offset is not None:
                raise ClockSetError
            if speed is not None:
                self._anchor(connection, self._time(known), speed)

    def __call__(self) -> Micros:
        """Give the time; while the database cannot be read, the one that was given last."""
        # Every reply is dated, also the one which says that the database cannot be read.
        with contextlib.suppress(sqlite3.Error, EmulatorError):
            connection = self._database.reader()
            assert connection is not None
            self._latest = self._time(connection.execute(_SHOWN).fetchone())
        return self._latest

    @property
    def speed(self) -> float:
        """How many times faster than the machine's clock it runs."""
        connection = self._database.reader()
        assert connection is not None
        return float(connection.execute(_SHOWN).fetchone()["speed"])

    def advance(self, by: Micros) -> None:
        """Move the clock ahead.

        Raises:
            ClockRangeError: that is after the year 9000; it stays where it is.
        """
        with self._database.transaction() as connection:
            known = connection.execute(_SHOWN).fetchone()
            if self._time(known) + by > LATEST:
                raise ClockRangeError
            self._anchor(connection, self._time(known) + by, known["speed"])

    def run_at(self, speed: float) -> None:
        """Let the clock run at another speed from now on."""
        with self._database.transaction() as connection:
            self._anchor(connection, self._time(connection.execute(_SHOWN).fetchone()), speed)

    def _anchor(self, connection: sqlite3.Connection, shown: Micros, speed: float) -> None:
        connection.execute(_SET, (self._machine(), shown, speed))

    def _time(self, row: sqlite3.Row) -> Micros:
        # A machine whose clock was set back must not set this one back before where it was anchored.
        passed = max(0, self._machine() - row["real_us"])
        return min(LATEST, int(row["shown_us"] + passed * row["speed"]))
