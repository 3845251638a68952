"""How batches move on: every change of them but the create, each in one transaction.

    PENDING ──start──► RUNNING ──complete (every file mapped)──► COMPLETED
       │                  ├──fail (the orchestration failed)───► FAILED
       ├──throttle──► THROTTLED ──start──► RUNNING
       └───────────────cancel, a while after it was asked for──► CANCELLED

Each batch that is not terminal carries the moment at which its next move is due, and moves as of that
moment, however late somebody looks. One that is THROTTLED waits for another's end instead, and one that
runs and is being read for its documents. Whoever asked for a cancel was told that it will be: from then on
no other move is made. A batch captures its files when it starts. A file is mapped once, when
its job was made, and only while its batch runs; so what a killed worker left half done is simply not
mapped yet.

Not here: which move is made (`worker`).
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.llamacloud.batches import read_batch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from reconciler.emulator.database import Database
    from reconciler.emulator.life.pace import Pace
    from reconciler.emulator.llamacloud.batches import Batch
    from reconciler.emulator.llamacloud.folders import DirectoryFile
    from reconciler.emulator.moments import Micros
    from reconciler.emulator.webhooks.outbox import Outbox

_WAITING = ("PENDING", "THROTTLED")
_JOB_PREFIXES = {"parse_v2": "pjb-", "extract_v2": "exj-"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A file of a running batch that is not mapped yet."""

    position: int
    file_id: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FileOutcome:
    """What became of a waiting file.

    Attributes:
        job: whether there was a job for it at all.
        started: when its job began.
        finished: when it ended.
        error: why its job failed, or why there was none; None when all went well.
    """

    position: int
    started: Micros
    finished: Micros
    error: str | None
    job: bool = True


class Moves:
    """The moves of the batches in one database; without an outbox, nobody is told of them."""

    def __init__(self, database: Database, pace: Pace, *, outbox: Outbox | None = None) -> None:
        self._database = database
        self._pace = pace
        self._outbox = outbox

    def prepare(self) -> None:
        """Make the database, if there is none."""
        with self._database.transaction():
            pass

    def take_up(self) -> None:
        """Let be due at once what waits for something other than a moment.

        An earlier worker left it so, which may have been killed or had other settings.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE batches SET due_us = updated_us"
                " WHERE due_us IS NULL AND status IN ('PENDING', 'THROTTLED', 'RUNNING')"
            )

    def idle(self) -> bool:
        """Say whether every batch is terminal."""
        connection = self._database.reader()
        if connection is None:
            return True
        unfinished = "SELECT 1 FROM batches WHERE status IN ('PENDING', 'THROTTLED', 'RUNNING') LIMIT 1"
        return connection.execute(unfinished).fetchone() is None

    def due(self, now: Micros, *, limit: int) -> list[Batch]:
        """Give the batches whose next move is due, the longest overdue first."""
        connection = self._database.reader()
        if connection is None:
            return []
        rows = connection.execute(
            "SELECT * FROM batches WHERE due_us <= ? ORDER BY due_us, created_us LIMIT ?", (now, limit)
        )
        return [read_batch(row) for row in rows]

    def throttled(self, *, limit: int) -> list[Batch]:
        """Give the batches that wait for others to end, the oldest first."""
        connection = self._database.reader()
        assert connection is not None
        rows = connection.execute(
            "SELECT * FROM batches WHERE status = 'THROTTLED' AND due_us IS NULL ORDER BY created_us LIMIT ?",
            (limit,),
        )
        return [read_batch(row) for row in rows]

    def running(self) -> int:
        """Count the batches that run."""
        connection = self._database.reader()
        assert connection is not None
        (count,) = connection.execute("SELECT count(*) FROM batches WHERE status = 'RUNNING'").fetchone()
        return int(count)

    def to_read(self) -> Batch | None:
        """Give the oldest batch whose documents are to be read, or None."""
        connection = self._database.reader()
        assert connection is not None
        row = connection.execute(
            "SELECT * FROM batches WHERE status = 'RUNNING' AND due_us IS NULL ORDER BY created_us LIMIT 1"
        ).fetchone()
        return None if row is None else read_batch(row)

    def hand_over(self, batch: Batch) -> None:
        """Let a running batch end when its documents are read, and at no other moment."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE batches SET due_us = NULL"
                " WHERE created_us = ? AND status = 'RUNNING' AND NOT cancelling",
                (batch.created,),
            )

    def throttle(self, batch: Batch, at: Micros) -> None:
        """Make a waiting batch THROTTLED: its next move is due when another one ends."""
        with self._database.transaction() as connection:
            self._move(connection, batch, "THROTTLED", at, was=_WAITING)

    def start(
        self,
        batch: Batch,
        files: Sequence[DirectoryFile],
        at: Micros,
        *,
        due: Micros,
        cancelling: bool = False,
    ) -> None:
        """Make a waiting batch RUNNING over these files, until its next move is due.

        With `cancelling`, that move is to be CANCELLED.
        """
        with self._database.transaction() as connection:
            moved = self._move(
                connection, batch, "RUNNING", at, was=_WAITING, due=due, then_cancelling=cancelling
            )
            if not moved:
                return
            connection.executemany(
                "INSERT INTO files (batch_us, position, file_id, name) VALUES (?, ?, ?, ?)",
                [(batch.created, index, file.id, os.fsencode(file.name)) for index, file in enumerate(files)],
            )

    def waiting(self, batch: Batch) -> list[Waiting]:
        """Give the files that are not mapped, in order; none when the batch no longer runs."""
        return self._waiting(batch, limit=-1)

    def next_waiting(self, batch: Batch) -> Waiting | None:
        """Give the first file that is not mapped; None when all are, or the batch no longer runs."""
        return next(iter(self._waiting(batch, limit=1)), None)

    def _waiting(self, batch: Batch, *, limit: int) -> list[Waiting]:
        connection = self._database.reader()
        assert connection is not None
        rows = connection.execute(
            "SELECT position, file_id, name FROM files JOIN batches ON batch_us = created_us"
            " WHERE batch_us = ? AND status = 'RUNNING' AND NOT cancelling AND NOT mapped"
            " ORDER BY position LIMIT ?",
            (batch.created, limit),
        )
        return [
            Waiting(position=row["position"], file_id=row["file_id"], name=os.fsdecode(row["name"]))
            for row in rows
        ]

    def map(self, batch: Batch, *outcomes: FileOutcome) -> None:
        """Map files to what became of them, unless the batch no longer runs."""
        with self._database.transaction() as connection:
            self._map(connection, batch, outcomes)

    def complete(self, batch: Batch, at: Micros, *outcomes: FileOutcome) -> None:
        """Map the files that are left, and make a RUNNING batch COMPLETED."""
        with self._database.transaction() as connection:
            if self._map(connection, batch, outcomes):
                self._move(connection, batch, "COMPLETED", at, was=("RUNNING",))

    def fail(self, batch: Batch, at: Micros, reason: str) -> None:
        """Make a batch FAILED, unless it was cancelled meanwhile; the reason stays in the database."""
        with self._database.transaction() as connection:
            # Waiting when its files could not be listed, RUNNING when they vanished later.
            if self._move(connection, batch, "FAILED", at, was=(*_WAITING, "RUNNING")):
                connection.execute(
                    "UPDATE batches SET failure = ? WHERE created_us = ?", (reason, batch.created)
                )

    def end_cancelling(self, batch: Batch, at: Micros) -> None:
        """Make a batch CANCELLED that was to be."""
        with self._database.transaction() as connection:
            self._move(connection, batch, "CANCELLED", at, was=(*_WAITING, "RUNNING"), cancelling=True)

    def _map(self, connection: sqlite3.Connection, batch: Batch, outcomes: Sequence[FileOutcome]) -> bool:
        """Map files; False, and nothing done, when the batch no longer runs."""
        latest = max((outcome.finished for outcome in outcomes), default=0)
        touched = connection.execute(
            "UPDATE batches SET updated_us = max(updated_us, ?)"
            " WHERE created_us = ? AND status = 'RUNNING' AND NOT cancelling",
            (latest, batch.created),
        )
        if not touched.rowcount:
            return False
        connection.executemany(
            "UPDATE files SET mapped = 1, mapping_error = ?, job_id = ?, job_status = ?, job_error = ?,"
            " started_us = ?, finished_us = ? WHERE batch_us = ? AND position = ? AND NOT mapped",
            [(*self._columns(batch, outcome), batch.created, outcome.position) for outcome in outcomes],
        )
        return True

    def _columns(self, batch: Batch, outcome: FileOutcome) -> tuple[object, ...]:
        """Give mapping_error, job_id, job_status, job_error, started_us, finished_us."""
        if not outcome.job:
            return (outcome.error, None, None, None, None, None)
        return (
            None,
            _JOB_PREFIXES[batch.job_type] + str(uuid.uuid4()),
            "COMPLETED" if outcome.error is None else "FAILED",
            outcome.error,
            outcome.started,
            outcome.finished + self._pace.job_lag,
        )

    def _move(
        self,
        connection: sqlite3.Connection,
        batch: Batch,
        status: str,
        at: Micros,
        *,
        was: Sequence[str],
        due: Micros | None = None,
        cancelling: bool = False,
        then_cancelling: bool = False,
    ) -> bool:
        """Give a batch another status as of a moment, if it is as it is said to be; say whether it was.

        That is: its status is one of those that it `was` said to have, and it is `cancelling` or not. It may
        have been cancelled since it was looked up. Whoever is to be told is told in the same transaction.
        """
        moved = connection.execute(
            "UPDATE batches SET status = ?, updated_us = max(updated_us, ?), due_us = ?, cancelling = ?"
            " WHERE created_us = ? AND cancelling = ? AND status IN (SELECT value FROM json_each(?))"
            " RETURNING *",
            (status, at, due, then_cancelling, batch.created, cancelling, json.dumps(was)),
        ).fetchall()
        if self._outbox is not None:
            for row in moved:
                self._outbox.tell(connection, read_batch(row))
        return bool(moved)
