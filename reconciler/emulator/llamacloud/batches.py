"""Batches and the jobs of their files, as clients create, list and cancel them.

Not here: what a reply looks like (`replies`), and how a batch moves on (`life`).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Refused

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from reconciler.emulator.database import Database
    from reconciler.emulator.life.pace import Pace
    from reconciler.emulator.llamacloud.bodies import CreateBatch
    from reconciler.emulator.moments import Clock, Micros
    from reconciler.emulator.webhooks.outbox import Outbox

TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")


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
    attempt: int
    cancelling: bool
    due: Micros | None
    likeness: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What became of one file: RUNNING, COMPLETED, or FAILED with the reason."""

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
class Filters:
    """Which batches to list; both bounds are inclusive."""

    project_id: str
    directory_id: str | None = None
    status: str | None = None
    created_from: Micros | None = None
    created_to: Micros | None = None


class Batches:
    """The batches in one database; without an outbox, nobody is told of them."""

    def __init__(self, database: Database, clock: Clock, pace: Pace, *, outbox: Outbox | None = None) -> None:
        self._database = database
        self._clock = clock
        self._pace = pace
        self._outbox = outbox

    def create(
        self,
        request: CreateBatch,
        *,
        project_id: str,
        fields: Mapping[str, object] | None,
        likeness: str = "",
    ) -> Batch:
        """Add a PENDING batch, created later than every other, whatever the clock says.

        Args:
            request: what it is over.
            project_id: whose it is.
            fields: those of an extract configuration as it is now.
            likeness: names of what it is over, for its fate.
        """
        batch_id = f"bat-{uuid.uuid4()}"
        with self._database.transaction() as connection:
            (newest,) = connection.execute("SELECT max(created_us) FROM batches").fetchone()
            now = self._clock()
            created = max(now, (newest or 0) + 1)
            key = (project_id, request.directory_id, request.job_type, request.configuration_id)
            newest_of_key = connection.execute(
                "SELECT attempt FROM batches WHERE project_id = ? AND directory_id = ? AND job_type = ?"
                " AND configuration_id = ? ORDER BY created_us DESC LIMIT 1",
                key,
            ).fetchone()
            attempt = 0 if newest_of_key is None else newest_of_key["attempt"] + 1
            [row] = connection.execute(
                "INSERT INTO batches (created_us, id, project_id, directory_id, job_type, configuration_id,"
                " fields, status, updated_us, attempt, due_us, likeness)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'PENDING', ?, ?, ?, ?) RETURNING *",
                (
                    *(created, batch_id, *key),
                    *(None if fields is None else json.dumps(fields), created),
                    *(attempt, now + self._pace.pending, likeness),
                ),
            ).fetchall()
            batch = read_batch(row)
            if self._outbox is not None:
                self._outbox.open(connection, batch, request.webhooks)
            return batch

    def page(self, filters: Filters, *, before: Micros | None, limit: int) -> list[Batch]:
        """Give up to `limit` batches, the newest first, those created before `before` only."""
        connection = self._database.reader()
        if connection is None:
            return []
        conditions: list[tuple[str, object]] = [
            ("project_id = ?", filters.project_id),
            ("directory_id = ?", filters.directory_id),
            # With a `+` the index by status is left alone: a directory has few batches, a status many.
            ("status = ?" if filters.directory_id is None else "+status = ?", filters.status),
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
        return [read_batch(row) for row in rows]

    def get(self, batch_id: str, project_id: str) -> Batch | None:
        """Give one batch of a project, or None."""
        connection = self._database.reader()
        if connection is None:
            return None
        row = connection.execute(
            "SELECT * FROM batches WHERE id = ? AND project_id = ?", (batch_id, project_id)
        ).fetchone()
        return None if row is None else read_batch(row)

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
        ended = row["finished_us"] <= self._clock()
        return Job(
            id=row["job_id"],
            type=row["job_type"],
            project_id=row["project_id"],
            file_id=row["file_id"],
            name=row["name"].decode("utf-8", "replace"),
            status=row["job_status"] if ended else "RUNNING",
            error_message=row["job_error"] if ended else None,
            created=row["started_us"],
            updated=row["finished_us"] if ended else row["started_us"],
        )

    def cancel(self, batch_id: str, project_id: str) -> Batch | None:
        """Ask for a batch to be CANCELLED; None when there is no such batch.

        Nothing more is done on it from now on, and its status follows as the pace says. Asked again,
        nothing changes.

        Raises:
            Refused: 409, when it is terminal.
        """
        if self.get(batch_id, project_id) is None:
            return None
        with self._database.transaction() as connection:
            row = connection.execute("SELECT * FROM batches WHERE id = ?", (batch_id,)).fetchone()
            if row["status"] in TERMINAL:
                raise Refused(409, f"Batch {batch_id} is {row['status']} and cannot be cancelled")
            now = self._clock()
            if not self._pace.cancel_lag:
                [cancelled] = connection.execute(
                    "UPDATE batches SET status = 'CANCELLED', due_us = NULL,"
                    " updated_us = max(updated_us, ?) WHERE id = ? RETURNING *",
                    (now, batch_id),
                ).fetchall()
                if self._outbox is not None:
                    self._outbox.tell(connection, read_batch(cancelled))
            elif not row["cancelling"]:
                connection.execute(
                    "UPDATE batches SET cancelling = 1, due_us = ? WHERE id = ?",
                    (now + self._pace.cancel_lag, batch_id),
                )
        return self.get(batch_id, project_id)


def read_batch(row: sqlite3.Row) -> Batch:
    """Give a row of the table as a value."""
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
        attempt=row["attempt"],
        cancelling=bool(row["cancelling"]),
        due=row["due_us"],
        likeness=row["likeness"],
    )
