"""When the requests of all workers of a project may go: one row a service, by the database's own clock.

It has a connection of its own, since a booking shall not wait for a note, and outside of any transaction, so
that nobody waits for another's booking longer than a statement takes. Nothing here decides what is created,
so there is no epoch to be checked.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from reconciler.adapters.stores.postgres.connection import connect, explained

if TYPE_CHECKING:
    from reconciler.adapters.stores.postgres.address import Address
    from reconciler.adapters.stores.postgres.connection import Connection

_BOOK = (
    "INSERT INTO turns AS there (project, service, free_at, closed_until)"
    " VALUES (%(project)s, %(service)s, clock_timestamp() + %(span)s * interval '1 second', '-infinity')"
    " ON CONFLICT (project, service) DO UPDATE SET"
    " free_at = greatest(there.free_at, clock_timestamp()) + %(span)s * interval '1 second'"
    " RETURNING extract(epoch FROM free_at - clock_timestamp())::float8 - %(span)s,"
    " CASE WHEN closed_until > clock_timestamp()"
    " THEN extract(epoch FROM closed_until - clock_timestamp())::float8 ELSE 0 END"
)
_CLOSE = (
    "INSERT INTO turns AS there (project, service, free_at, closed_until)"
    " VALUES (%(project)s, %(service)s, clock_timestamp(),"
    " clock_timestamp() + %(span)s * interval '1 second')"
    " ON CONFLICT (project, service) DO UPDATE SET"
    " closed_until = greatest(there.closed_until, excluded.closed_until)"
)


class PostgresTurns:
    """The turns of a project's workers."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._using = threading.Lock()

    def book(self, service: str, turns: int, rate: float | None) -> tuple[float, float]:
        """Have so many turns, at so many a second; gives when the first is, and how long nobody has one.

        Raises:
            StateError: the database cannot be used.
        """
        row = self._run(_BOOK, service, turns / rate if rate else 0.0)
        return max(0.0, row[0]), row[1]

    def close(self, service: str, seconds: float) -> None:
        """Have everybody leave a service alone for so long.

        Raises:
            StateError: the database cannot be used.
        """
        self._run(_CLOSE, service, seconds)

    def end(self) -> None:
        """Let the connection go."""
        with self._using:
            if self._connection is not None:
                self._connection.close()

    def _run(self, statement: str, service: str, span: float) -> tuple[float, float]:
        given = {"project": self._address.project, "service": service, "span": span}
        with self._using:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._address, write=True)
            with explained(self._address, self._connection):
                cursor = self._connection.execute(statement.encode(), given)
                row = cursor.fetchone() if cursor.description else None
        return (row[0], row[1]) if row else (0.0, 0.0)
