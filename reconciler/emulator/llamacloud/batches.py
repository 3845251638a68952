"""Batches and the jobs of their files: every change of them, each in one transaction.

    PENDING ──start──► RUNNING ──complete (every file mapped)──► COMPLETED
       │                  └──fail (the orchestration failed)──► FAILED
       └──────────────────cancel──────────────────────────────► CANCELLED

A batch captures its files when it starts. A file is mapped once, when its job has ended, and only
while its batch runs; so what a killed worker left half done is simply not mapped yet.

Not here: what a reply looks like (`replies`), and what is done with a file (`worker`).
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Refused

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from reconciler.emulator.database import Database
    from reconciler.emulator.llamacloud.bodies import CreateBatch
    from reconciler.emulator.llamacloud.folders import DirectoryFile
    from reconciler.emulator.moments import Clock, Micros

TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")
_JOB_PREFIXES = {"parse_v2": "pjb-", "extract_v2": "exj-"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A batch as stored. `fields` are those of the extract configuration when the batch was created."""

    created: Micros
    id: str
    project_id: str
    directory_id: str
    job_type: str
    configuration_id: str
    fields: Mapping[str, object] | None
    status: str
    updated: Micros


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What became of one file: COMPLETED, or FAILED with the reason."""

    id: str
    type: str
    project_id: str
    file_id: str
    name: str
    status: str
    error_message: str | None
    created: Micros
    updated: Micros


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One row of a batch's results."""

    file_id: str
    job_id: str | None
    error_message: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A file of a running batch that is not mapped yet."""

    position: int
    file_id: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """Which batches to list; both bounds are inclusive."""

    project_id: str
    directory_id: str | None = None
    status: str | None = None
    created_from: Micros | None = None
    created_to: Micros | None = None


class Batches:
    """The batches in one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create(self, request: CreateBatch, *, project_id: str, fields: Mapping[str, object] | None) -> Batch:
        """Add a PENDING batch, created later than every other, whatever the clock says."""
        batch_id = f"bat-{uuid.uuid4()}"
        with self._database.transaction() as connection:
            (newest,) = connection.execute("SELECT max(created_us) FROM batches").fetchone()
            created = max(self._clock(), (newest or 0) + 1)
            connection.execute(
                "INSERT INTO batches (created_us, id, project_id, directory_id, job_type, configuration_id,"
                " fields, status, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, 'PENDING', ?)",
                (
                    created,
                    batch_id,
                    project_id,
                    request.directory_id,
                    request.job_type,
                    request.configuration_id,
                    None if fields is None else json.dumps(fields),
                    created,
                ),
            )
            return _batch(connection.execute("SELECT * FROM batches WHERE id = ?", (batch_id,)).fetchone())

    def page(self, filters: Filters, *, before: Micros | None, limit: int) -> list[Batch]:
        """Give up to `limit` batches, the newest first, those created before `before` only."""
        connection = self._database.reader()
        if connection is None:
            return []
        conditions: list[tuple[str, object]] = [
            ("project_id = ?", filters.project_id),
            ("directory_id = ?", filters.directory_id),
            ("status = ?", filters.status),
            ("created_us >= ?", filters.created_from),
            ("created_us <= ?", filters.created_to),
            ("created_us < ?", before),
        ]
        used = [(condition, value) for condition, value in conditions if value is not None]
        where = " AND ".join(condition for condition, _ in used)
        rows = connection.execute(
            f"SELECT * FROM batches WHERE {where} ORDER BY created_us DESC LIMIT ?",  # noqa: S608 - constants
            (*(value for _, value in used), limit),
        )
        return [_batch(row) for row in rows]

    def get(self, batch_id: str, project_id: str) -> Batch | None:
        """Give one batch of a project, or None."""
        connection = self._database.reader()
        if connection is None:
            return None
        row = connection.execute(
            "SELECT * FROM batches WHERE id = ? AND project_id = ?", (batch_id, project_id)
        ).fetchone()
        return None if row is None else _batch(row)

    def results(self, batch: Batch) -> list[Result]:
        """Give the rows mapped so far, in the order of the files."""
        connection = self._database.reader()
        if connection is None:
            return []
        rows = connection.execute(
            "SELECT file_id, job_id, mapping_error FROM files"
            " WHERE batch_us = ? AND mapped ORDER BY position",
            (batch.created,),
        )
        return [
            Result(file_id=row["file_id"], job_id=row["job_id"], error_message=row["mapping_error"])
            for row in rows
        ]

    def job(self, job_id: str, job_type: str, project_id: str) -> Job | None:
        """Give one job of a type and project, or None."""
        connection = self._database.reader()
        if connection is None:
            return None
        row = connection.execute(
            "SELECT files.*, job_type, project_id FROM files JOIN batches ON batch_us = created_us"
            " WHERE job_id = ? AND job_type = ? AND project_id = ?",
            (job_id, job_type, project_id),
        ).fetchone()
        if row is None:
            return None
        return Job(
            id=row["job_id"],
            type=row["job_type"],
            project_id=row["project_id"],
            file_id=row["file_id"],
            name=row["name"].decode("utf-8", "replace"),
            status=row["job_status"],
            error_message=row["job_error"],
            created=row["started_us"],
            updated=row["finished_us"],
        )

    def cancel(self, batch_id: str, project_id: str) -> Batch | None:
        """Make a batch CANCELLED; None when there is no such batch.

        Raises:
            Refused: 409, when it is terminal.
        """
        if self.get(batch_id, project_id) is None:
            return None
        with self._database.transaction() as connection:
            row = connection.execute("SELECT * FROM batches WHERE id = ?", (batch_id,)).fetchone()
            if row["status"] in TERMINAL:
                raise Refused(409, f"Batch {batch_id} is {row['status']} and cannot be cancelled")
            _set_status(connection, row["created_us"], "CANCELLED", self._clock())
        return self.get(batch_id, project_id)

    def prepare(self) -> None:
        """Make the database, if there is none."""
        with self._database.transaction():
            pass

    def next_unfinished(self) -> Batch | None:
        """Give the oldest batch that runs, else the oldest that waits."""
        connection = self._database.reader()
        if connection is None:
            return None
        # Two look-ups by the index; one with both statuses would sort.
        for status in ("RUNNING", "PENDING"):
            row = connection.execute(
                "SELECT * FROM batches WHERE status = ? ORDER BY created_us LIMIT 1", (status,)
            ).fetchone()
            if row is not None:
                return _batch(row)
        return None

    def start(self, batch: Batch, files: Sequence[DirectoryFile]) -> None:
        """Make a PENDING batch RUNNING over these files."""
        with self._database.transaction() as connection:
            if not _set_status(connection, batch.created, "RUNNING", self._clock(), was="PENDING"):
                return
            connection.executemany(
                "INSERT INTO files (batch_us, position, file_id, name) VALUES (?, ?, ?, ?)",
                [(batch.created, index, file.id, os.fsencode(file.name)) for index, file in enumerate(files)],
            )

    def next_waiting(self, batch: Batch) -> Waiting | None:
        """Give the first file that is not mapped; None when all are, or the batch no longer runs."""
        connection = self._database.reader()
        assert connection is not None
        row = connection.execute(
            "SELECT position, file_id, name FROM files JOIN batches ON batch_us = created_us"
            " WHERE batch_us = ? AND status = 'RUNNING' AND NOT mapped ORDER BY position LIMIT 1",
            (batch.created,),
        ).fetchone()
        if row is None:
            return None
        return Waiting(position=row["position"], file_id=row["file_id"], name=os.fsdecode(row["name"]))

    def map(self, batch: Batch, file: Waiting, *, started: Micros, error: str | None) -> None:
        """Map a file to a job that ended, FAILED when there is an `error`."""
        self._map(
            batch,
            file,
            job_id=_JOB_PREFIXES[batch.job_type] + str(uuid.uuid4()),
            job_status="COMPLETED" if error is None else "FAILED",
            job_error=error,
            started_us=started,
            finished_us=max(started, self._clock()),
        )

    def map_nothing(self, batch: Batch, file: Waiting, *, error: str) -> None:
        """Note that no job could be made for a file."""
        self._map(batch, file, mapping_error=error)

    def complete(self, batch: Batch) -> None:
        """Make a RUNNING batch COMPLETED."""
        with self._database.transaction() as connection:
            _set_status(connection, batch.created, "COMPLETED", self._clock(), was="RUNNING")

    def fail(self, batch: Batch, reason: str) -> None:
        """Make a batch FAILED, unless it was cancelled meanwhile; the reason stays in the database."""
        with self._database.transaction() as connection:
            # PENDING when its files could not be listed, RUNNING when they vanished later.
            if any(
                _set_status(connection, batch.created, "FAILED", self._clock(), was=status)
                for status in ("PENDING", "RUNNING")
            ):
                connection.execute(
                    "UPDATE batches SET failure = ? WHERE created_us = ?", (reason, batch.created)
                )

    def _map(self, batch: Batch, file: Waiting, **columns: object) -> None:
        assignments = "".join(f", {name} = ?" for name in columns)
        with self._database.transaction() as connection:
            if not _set_status(connection, batch.created, "RUNNING", self._clock(), was="RUNNING"):
                return
            connection.execute(
                f"UPDATE files SET mapped = 1{assignments}"  # noqa: S608 - constants
                " WHERE batch_us = ? AND position = ? AND NOT mapped",
                (*columns.values(), batch.created, file.position),
            )


def _set_status(
    connection: sqlite3.Connection, created: Micros, status: str, now: Micros, *, was: str | None = None
) -> bool:
    """Set a batch's status, if it has the status it is said to have; say whether it had."""
    cursor = connection.execute(
        "UPDATE batches SET status = ?1, updated_us = max(updated_us, ?2)"
        " WHERE created_us = ?3 AND (?4 IS NULL OR status = ?4)",
        (status, now, created, was),
    )
    return cursor.rowcount == 1


def _batch(row: sqlite3.Row) -> Batch:
    return Batch(
        created=row["created_us"],
        id=row["id"],
        project_id=row["project_id"],
        directory_id=row["directory_id"],
        job_type=row["job_type"],
        configuration_id=row["configuration_id"],
        fields=None if row["fields"] is None else json.loads(row["fields"]),
        status=row["status"],
        updated=row["updated_us"],
    )
