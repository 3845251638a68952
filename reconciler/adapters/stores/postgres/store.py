"""The store: reading without a lock, and taking the lock (C1).

Reading is one transaction that writes nothing, so SELECT is all that a plan needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.adapters.stores.lockfile import write_lock
from reconciler.adapters.stores.postgres.connection import connect, explained, psycopg
from reconciler.adapters.stores.postgres.rows import check_version, read_state
from reconciler.adapters.stores.postgres.session import PostgresSession
from reconciler.adapters.stores.succession import with_recovered
from reconciler.adapters.stores.text import as_bytes, stamp
from reconciler.model.errors import LockHeldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.adapters.stores.postgres.address import Address
    from reconciler.adapters.stores.postgres.connection import Connection
    from reconciler.adapters.stores.postgres.rows import Standing
    from reconciler.model.intent import JournalState
    from reconciler.model.lock import Lock

_TO_SIGN = 2.0  # seconds that a holder has to sign before it is called "another process"
_POLL = 0.1

_LOCK_OF = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = ((%s::bigint >> 32) & 4294967295)::oid AND objid = (%s::bigint & 4294967295)::oid"
)
_BEGIN = (
    "INSERT INTO locks (project, shard, epoch, holder, pid) VALUES (%s, %s, 1, %s, pg_backend_pid())"
    " ON CONFLICT (project, shard) DO UPDATE SET epoch = locks.epoch + 1, holder = excluded.holder,"
    " pid = excluded.pid, since = now() RETURNING epoch, pid"
)


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
        """Take the lock for as long as the context lasts.

        Raises:
            LockHeldError: another session held it for ``timeout`` seconds.
            LockLostError: within the context, the session ended before its time.
            StateError: the database cannot be used.
        """
        connection = connect(self.address, write=True)
        number = lock_number(self.address.schema, self.address.project)
        with contextlib.closing(connection):
            with explained(self.address, connection):
                check_version(connection, self.shown)
                self._acquire(connection, number, timeout)
                with connection.transaction():
                    row = connection.execute(_BEGIN, (self.address.project, 0, self.holder)).fetchone()
                    assert row is not None
                    epoch, pid = row
                    standing = read_state(connection, self.address.project, self.shown)
            try:
                yield PostgresSession(self.address, connection, epoch=epoch, pid=pid, standing=standing)
            finally:
                # Closing alone frees it as well, when the server gets to it; who waits shall not miss it.
                with contextlib.suppress(psycopg().Error):
                    connection.execute("SELECT pg_advisory_unlock(%s)", (number,))

    def _acquire(self, connection: Connection, number: int, timeout: float) -> None:
        """Wait for the lock in the server's own queue, so that who came first has it first."""
        deadline = time.monotonic() + timeout
        while not self._try(connection, number):
            left = deadline - time.monotonic()
            if left > 0:
                if self._wait(connection, number, left):
                    return
            elif (holder := self._holder(connection, number)) or left <= -_TO_SIGN:
                raise LockHeldError(
                    f"the lock is held by {holder or 'another process'}",
                    where=self.shown,
                    next="Wait with --lock-timeout 10m; the server frees it when that session ends, within a"
                    " minute also where its machine is gone",
                )
            else:
                time.sleep(_POLL)

    def _try(self, connection: Connection, number: int) -> bool:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone()
        return row is not None and bool(row[0])

    def _wait(self, connection: Connection, number: int, seconds: float) -> bool:
        errors = psycopg().errors
        try:
            with connection.transaction():  # the setting lasts as long, the lock as long as the session
                connection.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', '0', true)",
                    (f"{max(1, int(seconds * 1000))}ms",),
                )
                connection.execute("SELECT pg_advisory_lock(%s)", (number,))
        except errors.LockNotAvailable:
            return False
        return True

    def _holder(self, connection: Connection, number: int) -> str:
        """Who signed for the lock, or "": one that has just taken it has not signed yet."""
        row = connection.execute(
            f"SELECT holder, since FROM locks WHERE project = %s AND shard = 0 AND pid = ({_LOCK_OF})",  # noqa: S608 - a constant
            (self.address.project, number, number),
        ).fetchone()
        return f"{row[0]} since {stamp(row[1])}" if row else ""


def lock_number(schema: str, project: str, shard: int = 0) -> int:
    """The number of a project's advisory lock, the same for everybody. Another project's is another."""
    name = f"reconciler\0{schema}\0{project}\0{shard}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
