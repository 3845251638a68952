"""The store: reading without a lock, and taking the lock (C1).

Reading is one transaction that writes nothing, so SELECT is all that a plan needs.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from reconciler.adapters.stores.lockfile import write_lock
from reconciler.adapters.stores.postgres.connection import connect, explained, psycopg
from reconciler.adapters.stores.postgres.joint import JointSession, OpeningSession, free_seat, offered
from reconciler.adapters.stores.postgres.rows import check_version, read_frame, read_state
from reconciler.adapters.stores.postgres.seats import (
    ALONE,
    Seat,
    begin,
    in_the_way,
    is_warm,
    lock_number,
    rows_of,
    shard_seat,
    taken,
)
from reconciler.adapters.stores.postgres.session import PostgresSession
from reconciler.adapters.stores.succession import with_recovered
from reconciler.adapters.stores.text import as_bytes
from reconciler.model.errors import LockHeldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.adapters.stores.postgres.address import Address
    from reconciler.adapters.stores.postgres.connection import Connection
    from reconciler.adapters.stores.postgres.rows import Standing
    from reconciler.model.intent import JournalState
    from reconciler.model.lock import Lock
    from reconciler.model.shard import Shard

    _Session = TypeVar("_Session", bound=PostgresSession)

_TO_SIGN = 2.0  # seconds that a holder has to sign before it is called "another process"
_POLL = 0.1
_BESIDE = "shards of one count, or workers that share a plan, work beside each other and beside nobody else"
_NAMED = 3  # of many holders, so many are named


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """State in a database.

    Attributes:
        address: which, and whose state in it.
        holder: who this process is, for those who find the lock held.
    """

    address: Address
    holder: str

    @property
    def shown(self) -> str:
        """What messages call it."""
        return self.address.shown

    def read(self) -> tuple[Lock, JournalState]:
        """What stands, as of one instant; nothing is written.

        Raises:
            StateError: the database cannot be used.
        """
        standing = self._read()
        return with_recovered(standing.lock, standing.journal.recovered), standing.journal

    def read_lockfile(self) -> bytes:
        """What was committed, as the lockfile that it would be.

        Raises:
            StateError: the database cannot be used.
        """
        standing = self._read()
        return as_bytes(write_lock(standing.lock)) if standing.written else b""

    def audit(self) -> dict[str, bytes]:
        """The audit files that runs have left here.

        Raises:
            StateError: the database cannot be used.
        """
        files: dict[str, list[str]] = {}
        with self._looking() as connection:
            for name, content in connection.execute(
                'SELECT file, content FROM audit WHERE project = %s ORDER BY file COLLATE "C", line',
                (self.address.project,),
            ):
                files.setdefault(name, []).append(content)
        return {name: "".join(f"{line}\n" for line in lines).encode() for name, lines in files.items()}

    def _read(self) -> Standing:
        with self._looking() as connection:
            return read_state(connection, self.address.project, self.shown)

    @contextlib.contextmanager
    def _looking(self) -> Iterator[Connection]:
        connection = connect(self.address, write=False)
        with contextlib.closing(connection), explained(self.address, connection), connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            check_version(connection, self.shown)
            yield connection

    @contextlib.contextmanager
    def hold(self, timeout: float) -> Iterator[PostgresSession]:
        """Take the lock for as long as the context lasts: nobody else writes meanwhile.

        Raises:
            LockHeldError: another session held it for ``timeout`` seconds.
            LockLostError: within the context, the session ended before its time.
            StateError: the database cannot be used.
        """
        with self._seated(Seat(), timeout, PostgresSession) as session:
            yield session

    @contextlib.contextmanager
    def hold_shard(self, shard: Shard, timeout: float) -> Iterator[PostgresSession]:
        """The same for a share of the keys: other shards of the same count write beside it.

        Raises:
            LockHeldError: another session held that shard, or something that bears no shard beside it, for
                ``timeout`` seconds.
            LockLostError, StateError: as for `hold`.
        """
        with self._seated(shard_seat(shard), timeout, PostgresSession) as session:
            yield session

    @contextlib.contextmanager
    def hold_to_open(self, timeout: float) -> Iterator[OpeningSession]:
        """As `hold`, by who is to open a saved plan for others."""
        with self._seated(Seat(), timeout, OpeningSession) as session:
            yield session

    @contextlib.contextmanager
    def hold_joint(self, timeout: float) -> Iterator[JointSession]:
        """Sit down among those who carry out a plan together.

        Raises:
            LockHeldError: somebody who bears nobody beside them was there for ``timeout`` seconds.
            LockLostError, StateError: as for `hold`.
        """
        with self._seated(None, timeout, JointSession) as session:
            yield session

    def joint(self) -> tuple[str, str]:
        """The saved plan that is offered to be carried out together, and the one that was applied last.

        Raises:
            StateError: the database cannot be used.
        """
        project = self.address.project
        with self._looking() as connection:
            return offered(connection, project), read_frame(connection, project, self.shown).plan

    @contextlib.contextmanager
    def _seated(self, seat: Seat | None, timeout: float, kind: type[_Session]) -> Iterator[_Session]:
        """Have a seat, or the first that is free among those of workers who share a plan."""
        project, deadline = self.address.project, time.monotonic() + timeout
        connection = connect(self.address, write=True)
        with contextlib.closing(connection):
            with explained(self.address, connection):
                check_version(connection, self.shown)
                seat = self._lock(connection, seat, deadline)
                epoch, pid, warm = self._sit(connection, seat, deadline)
                with connection.transaction():
                    standing = read_state(connection, project, self.shown, seat, warm=warm)
            session = kind(self.address, connection, epoch=epoch, pid=pid, standing=standing, seat=seat)
            try:
                yield session
            finally:
                session.end()
                # Closing alone frees it as well, when the server gets to it; who waits shall not miss it.
                with contextlib.suppress(psycopg().Error):
                    connection.execute("SELECT pg_advisory_unlock_all()")

    def _lock(self, connection: Connection, seat: Seat | None, deadline: float) -> Seat:
        """Wait for the project's lock, and beside others for the seat's."""
        schema, project = self.address.schema, self.address.project
        whole = lock_number(schema, project)
        if seat is None:
            self._acquire(connection, Seat(-1), whole, deadline, shared=True)
            return free_seat(connection, schema, project)
        self._acquire(connection, seat, whole, deadline, shared=seat.shared)
        if seat.shared:
            number = lock_number(schema, project, seat.number)
            self._acquire(connection, seat, number, deadline, shared=False)
        return seat

    def _sit(self, connection: Connection, seat: Seat, deadline: float) -> tuple[int, int, bool]:
        """Wait until nobody is there who bears nobody on this seat beside them, and sign.

        Looking and signing are one step, which no two take at once: of two that are in each other's way, the
        second sees the first.
        """
        schema, project = self.address.schema, self.address.project
        door = lock_number(schema, f"{project}\0door")
        while True:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (door,))
                rows = rows_of(connection, project)
                others = taken(connection, schema, project, rows)
                other = in_the_way(seat, others)
                if other is None:
                    warm = is_warm(seat, rows, others)
                    return *begin(connection, project, seat, self.holder, warm=warm), warm
            if time.monotonic() >= deadline:
                raise self._held_by(seat, other.shown)
            time.sleep(_POLL)

    def _acquire(
        self, connection: Connection, seat: Seat, number: int, deadline: float, *, shared: bool
    ) -> None:
        """Wait for a lock in the server's own queue, so that who came first has it first."""
        while not _try(connection, number, shared=shared):
            left = deadline - time.monotonic()
            if left > 0:
                if _wait(connection, number, left, shared=shared):
                    return
            elif (holders := self._holders(connection, seat)) or left <= -_TO_SIGN:
                raise self._held_by(seat, holders or "another process")
            else:
                time.sleep(_POLL)

    def _held_by(self, seat: Seat, holders: str) -> LockHeldError:
        return LockHeldError(
            f"the lock is held by {holders}",
            where=self.shown,
            why=_BESIDE if seat.shared else "",
            next="Wait with --lock-timeout 10m; the server frees it when that session ends, within a"
            " minute also where its machine is gone",
        )

    def _holders(self, connection: Connection, seat: Seat) -> str:
        """Who signed for what keeps this seat from being taken, or "": one that has just come may not yet."""
        rows = rows_of(connection, self.address.project)
        there = taken(connection, self.address.schema, self.address.project, rows)
        others = [row for row in there if not seat.shared or row.number in (ALONE, seat.number)]
        shown = [row.shown for row in others[:_NAMED]]
        if len(others) > _NAMED:
            shown.append(f"{len(others) - _NAMED} more")
        return ", ".join(shown)


def _try(connection: Connection, number: int, *, shared: bool) -> bool:
    how = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
    row = connection.execute(f"SELECT {how}(%s)", (number,)).fetchone()
    return row is not None and bool(row[0])


def _wait(connection: Connection, number: int, seconds: float, *, shared: bool) -> bool:
    how = "pg_advisory_lock_shared" if shared else "pg_advisory_lock"
    errors = psycopg().errors
    try:
        with connection.transaction():  # the setting lasts as long, the lock as long as the session
            connection.execute(
                "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', '0', true)",
                (f"{max(1, int(seconds * 1000))}ms",),
            )
            connection.execute(f"SELECT {how}(%s)", (number,))
    except errors.LockNotAvailable:
        return False
    return True
