"""How batches move on: every change of them but the create, each in one transaction.

    PENDING ──start──► RUNNING ──complete (every file mapped)──► COMPLETED
       │                  ├──fail (the orchestration failed)───► FAILED
       ├──throttle──► THROTTLED ──start──► RUNNING
       └───────────────cancel, a while after it was asked for──► CANCELLED

Each batch that is not terminal carries the moment at which its next move is due; one that is THROTTLED
waits for another's end instead. A batch captures its files when it starts. A file is mapped once, when
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
    from reconciler.emulator.moments import Clock, Micros

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
        started: when its job was.
        error: why its job failed, or why there was none; None when all went well.
    """

    position: int
    started: Micros
    error: str | None
    job: bool = True


class Moves:
    """The moves of the batches in one database."""

    def __init__(self, database: Database, clock: Clock, pace: Pace) -> None:
        self._database = database
        self._clock = clock
        self._pace = pace

    def prepare(self) -> None:
        """Make the database, if there is none."""
        with self._database.transaction():
            pass

    def due(self, now: Micros, *, limit: int) -> list[Batch]:
        """Give the batches whose next move is due, the longest overdue first."""
        connection = self._database.reader()
        if connection is None:
            return []
        rows = connection.execute(
            "SELECT * FROM batches WHERE due_us <= ? ORDER BY due_us, created_us LIMIT ?", (now, limit)
        )
        return [read_batch(row) for row in rows]

    def next_due(self) -> Micros | None:
        """Give when the next move is due; None when there is none."""
        connection = self._database.reader()
        if connection is None:
            return None
        (due,) = connection.execute("SELECT min(due_us) FROM batches WHERE due_us IS NOT NULL").fetchone()
        return None if due is None else int(due)

    def throttled(self, *, limit: int) -> list[Batch]:
        """Give the batches that wait for others to end, the oldest first."""
        connection = self._database.reader()
        assert connection is not None
        rows = connection.execute(
            "SELECT * FROM batches WHERE status = 'THROTTLED' AND NOT cancelling ORDER BY created_us LIMIT ?",
            (limit,),
        )
        return [read_batch(row) for row in rows]

    def running(self) -> int:
        """Count the batches that run."""
        connection = self._database.reader()
        assert connection is not None
        (count,) = connection.execute("SELECT count(*) FROM batches WHERE status = 'RUNNING'").fetchone()
        return int(count)

    def throttle(self, batch: Batch) -> None:
        """Make a batch that waited THROTTLED: its next move is due when another one ends."""
        with self._database.transaction() as connection:
            _move(connection, batch.created, "THROTTLED", self._clock(), was=("PENDING",))

    def start(
        self, batch: Batch, files: Sequence[DirectoryFile], *, due: Micros, cancelling: bool = False
    ) -> None:
        """Make a waiting batch RUNNING over these files, until its next move is due.

        With `cancelling`, that move is to be CANCELLED.
        """
        with self._database.transaction() as connection:
            if not _move(connection, batch.created, "RUNNING", self._clock(), was=_WAITING, due=due):
                return
            connection.execute(
                "UPDATE batches SET cancelling = ? WHERE created_us = ?", (cancelling, batch.created)
            )
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

    def complete(self, batch: Batch, *outcomes: FileOutcome) -> None:
        """Map the files that are left, and make a RUNNING batch COMPLETED."""
        with self._database.transaction() as connection:
            if self._map(connection, batch, outcomes):
                _move(connection, batch.created, "COMPLETED", self._clock(), was=("RUNNING",))

    def fail(self, batch: Batch, reason: str) -> None:
        """Make a batch FAILED, unless it was cancelled meanwhile; the reason stays in the database."""
        with self._database.transaction() as connection:
            # Waiting when its files could not be listed, RUNNING when they vanished later.
            if _move(connection, batch.created, "FAILED", self._clock(), was=(*_WAITING, "RUNNING")):
                connection.execute(
                    "UPDATE batches SET failure = ? WHERE created_us = ?", (reason, batch.created)
                )

    def end_cancelling(self, batch: Batch) -> None:
        """Make a batch CANCELLED that was to be."""
        with self._database.transaction() as connection:
            _move(connection, batch.created, "CANCELLED", self._clock(), was=(*_WAITING, "RUNNING"))

    def _map(self, connection: sqlite3.Connection, batch: Batch, outcomes: Sequence[FileOutcome]) -> bool:
        """Map files; False, and nothing done, when the batch no longer runs."""
        now = self._clock()
        touched = connection.execute(
            "UPDATE batches SET updated_us = max(updated_us, ?)"
            " WHERE created_us = ? AND status = 'RUNNING' AND NOT cancelling",
            (now, batch.created),
        )
        if not touched.rowcount:
            return False
        connection.executemany(
            "UPDATE files SET mapped = 1, mapping_error = ?, job_id = ?, job_status = ?, job_error = ?,"
            " started_us = ?, finished_us = ? WHERE batch_us = ? AND position = ? AND NOT mapped",
            [(*self._columns(batch, outcome, now), batch.created, outcome.position) for outcome in outcomes],
        )
        return True

    def _columns(self, batch: Batch, outcome: FileOutcome, now: Micros) -> tuple[object, ...]:
        """Give mapping_error, job_id, job_status, job_error, started_us, finished_us."""
        if not outcome.job:
            return (outcome.error, None, None, None, None, None)
        return (
            None,
            _JOB_PREFIXES[batch.job_type] + str(uuid.uuid4()),
            "COMPLETED" if outcome.error is None else "FAILED",
            outcome.error,
            outcome.started,
            max(outcome.started, now) + self._pace.job_lag,
        )


def _move(
    connection: sqlite3.Connection,
    created: Micros,
    status: str,
    now: Micros,
    *,
    was: Sequence[str],
    due: Micros | None = None,
) -> bool:
    """Give a batch another status, if it has one of those that it `was` said to have; say whether it had."""
    cursor = connection.execute(
        "UPDATE batches SET status = ?, updated_us = max(updated_us, ?), due_us = ?"
        " WHERE created_us = ? AND status IN (SELECT value FROM json_each(?))",
        (status, now, due, created, json.dumps(was)),
    )
    return cursor.rowcount == 1
