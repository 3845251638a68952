"""The SQLite file: opened, made, its format checked; one connection a thread, one transaction a change.

WAL lets readers and the writer go on side by side, also of several processes; BEGIN IMMEDIATE makes
a writer wait for its turn instead of failing halfway. `synchronous=NORMAL` loses nothing when a
process is killed; a power cut may cost the last changes, but no consistency.

What is in the tables is the business of `batches`. Reading never makes the file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.emulator.errors import DatabaseTooNewError, DatabaseUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
# Marks the file as this program's (SQLite's application_id): "brec".
_APPLICATION = 0x62726563
# How long a writer waits for its turn, in seconds. A turn takes about a millisecond.
BUSY_TIMEOUT = 30.0

# created_us is unique and rising, so it is the key, the order of a listing and the page's mark at once.
_SCHEMA = """
CREATE TABLE batches (
    created_us INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    directory_id TEXT NOT NULL,
    job_type TEXT NOT NULL,
    configuration_id TEXT NOT NULL,
    fields TEXT,
    status TEXT NOT NULL,
    failure TEXT,
    updated_us INTEGER NOT NULL
);
CREATE INDEX batches_by_directory ON batches (directory_id, created_us);
CREATE INDEX batches_by_status ON batches (status, created_us);
CREATE TABLE files (
    batch_us INTEGER NOT NULL REFERENCES batches (created_us),
    position INTEGER NOT NULL,
    file_id TEXT NOT NULL,
    name BLOB NOT NULL,
    mapped INTEGER NOT NULL DEFAULT 0,
    mapping_error TEXT,
    job_id TEXT UNIQUE,
    job_status TEXT,
    job_error TEXT,
    started_us INTEGER,
    finished_us INTEGER,
    PRIMARY KEY (batch_us, position)
) WITHOUT ROWID;
"""


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
            if not self._is_ours(connection):
                connection.close()
                return None
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
                if not self._is_ours(connection):
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.executescript(
                        f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA application_id={_APPLICATION};"
                        f"PRAGMA user_version={FORMAT};COMMIT;"
                    )
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

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Say whether the tables stand. False: the file is new, or its maker was killed."""
        connection.execute("PRAGMA synchronous=NORMAL")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application == _APPLICATION:
            if version > FORMAT:
                raise DatabaseTooNewError(self._path, found=version, supported=FORMAT)
            return True
        if application or version or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise DatabaseUnusableError(self._path, "it is another program's database")
        return False

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
