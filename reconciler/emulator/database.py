"""The SQLite file: opened, made, its format checked; one connection a thread, one transaction a change.

WAL lets readers and the writer go on side by side, also of several processes; BEGIN IMMEDIATE makes
a writer wait for its turn instead of failing halfway. `synchronous=NORMAL` loses nothing when a
process is killed; a power cut may cost the last changes, but no consistency.

What the tables are stands in `tables`. Reading never makes the file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.emulator.errors import DatabaseTooNewError, DatabaseUnusableError
from reconciler.emulator.tables import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FORMAT = len(STEPS)
# Marks the file as this program's (SQLite's application_id): "brec".
_APPLICATION = 0x62726563
# How long a writer waits for its turn, in seconds. A turn takes about a millisecond; one that takes longer
# than this is another program's, and requests wait here in the thread that serves all of them.
BUSY_TIMEOUT = 5.0


class Database:
    """One database file, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._guard = threading.Lock()

    def reader(self) -> sqlite3.Connection | None:
        """Give this thread's connection for reading; None while there is no database.

        Raises:
            DatabaseTooNewError: if a later version wrote it.
            DatabaseUnusableError: if it cannot be opened or is not ours.
        """
        with self._errors():
            return self._connection() or self._open()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection within one transaction that holds the turn to write.

        Raises:
            DatabaseTooNewError: if a later version wrote it.
            DatabaseUnusableError: if it cannot be made, opened or written.
        """
        with self._errors():
            connection = self._connection() or self._open() or self._make()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def release(self) -> None:
        """Close this thread's connection, if it has one."""
        connection = self._connection()
        if connection is not None:
            self._local.connection = None
            with self._guard:
                self._connections.remove(connection)
            connection.close()

    def close(self) -> None:
        """Close the connections of all threads; none of them may be in use."""
        with self._guard:
            connections, self._connections = self._connections, []
        self._local = threading.local()
        for connection in connections:
            connection.close()

    def _connection(self) -> sqlite3.Connection | None:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        return connection

    def _open(self) -> sqlite3.Connection | None:
        """Open what exists; None when it does not, or is being made at this moment."""
        if not self._path.exists():
            return None
        connection = self._connect("rw")
        try:
            version = self._version(connection)
            if not version:
                connection.close()
                return None
            if version < FORMAT:
                self._upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return self._keep(connection)

    def _make(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Switching to WAL does not wait its turn in SQLite, so makers queue up outside of it. The folder
        # is what they all have, and locking it leaves no file behind.
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            connection = self._connect("rwc")
            try:
                if not self._version(connection):
                    connection.execute("PRAGMA journal_mode=WAL")
                    self._upgrade(connection)
            except BaseException:
                connection.close()
                raise
        finally:
            os.close(folder)
        return self._keep(connection)

    def _connect(self, mode: str) -> sqlite3.Connection:
        # Each thread keeps to its own connection; only `close` comes from another one.
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        """Give the format of the tables. 0: the file is new, or its maker was killed."""
        connection.execute("PRAGMA synchronous=NORMAL")
        # As of one moment: its maker may be done between one question and the next, and what is half of it
        # looks like another program's.
        connection.execute("BEGIN")
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            tables = connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if application == _APPLICATION:
            if version > FORMAT:
                raise DatabaseTooNewError(self._path, found=version, supported=FORMAT)
            return int(version)
        if application or version or tables:
            raise DatabaseUnusableError(self._path, "it is another program's database")
        return 0

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """Take the steps that the tables lack, all or none."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again: another process may have been faster while this one waited for its turn.
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            for statement in _statements(STEPS[version:]):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _keep(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        self._local.connection = connection
        with self._guard:
            self._connections.append(connection)
        return connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DatabaseUnusableError(self._path, reason or type(error).__name__) from error


def _statements(steps: Sequence[str]) -> Iterator[str]:
    # One by one: sqlite3's executescript would commit the transaction that it is called in.
    for step in steps:
        yield from filter(str.strip, step.split(";"))
