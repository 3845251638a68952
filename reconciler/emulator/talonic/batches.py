"""The batches as their observer sees them, and the time that passes for them.

Nobody creates a batch: documents that come in form them (`documents`). What moves there are, and what
they change, stands in `moves`; here is when they are made, and in which transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from reconciler.emulator.errors import Refused
from reconciler.emulator.talonic import moves

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from reconciler.emulator.database import Database
    from reconciler.emulator.moments import Clock, Micros
    from reconciler.emulator.talonic.pace import Pace

Order: TypeAlias = Literal["asc", "desc"]
# Where a listing in an order starts, and what comes after a moment in it.
START: Mapping[Order, Micros] = {"asc": -1, "desc": 2**63 - 1}
PAST: Mapping[Order, str] = {"asc": "> ?", "desc": "< ?"}

# How many moves one transaction makes: few enough that a request which waits for its turn gets it soon.
_MOVES_AT_ONCE = 50
# The batch first, then its items by their key: so a page costs its own items, whatever else there is.
_SELECT = (
    "SELECT b.*, count(*) AS item_count, sum(i.status = 'completed') AS succeeded,"
    " sum(i.status = 'failed') AS errored, sum(i.status = 'expired') AS expired"
    " FROM talonic_batches AS b CROSS JOIN talonic_items AS i ON i.batch_us = b.created_us"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A batch as stored, with the counts of its items."""

    created: Micros
    id: str
    status: str
    error_message: str | None
    item_count: int
    succeeded: int
    errored: int
    expired: int
    submitted: Micros | None
    completed: Micros | None
    updated: Micros


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One document's part in a batch. Its status is `expired` where the item did."""

    position: int
    id: str
    document_id: str
    filename: str
    status: str
    error_message: str | None
    created: Micros
    processed: Micros | None


class Batches:
    """The batches in one database."""

    def __init__(self, database: Database, clock: Clock, pace: Pace) -> None:
        self._database = database
        self._clock = clock
        self._pace = pace

    def page(self, *, order: Order, after: Micros | None, limit: int) -> list[Batch]:
        """Give up to `limit` batches by their time of creation, those that come after one only."""
        connection = self._database.reader()
        if connection is None:
            return []
        rows = connection.execute(
            f"{_SELECT} WHERE b.created_us {PAST[order]}"
            f" GROUP BY b.created_us ORDER BY b.created_us {order} LIMIT ?",
            (START[order] if after is None else after, limit),
        )
        return [_batch(row) for row in rows]

    def total(self) -> int:
        """Count all batches."""
        connection = self._database.reader()
        if connection is None:
            return 0
        (count,) = connection.execute("SELECT count(*) FROM talonic_batches").fetchone()
        return int(count)

    def get(self, batch_id: str) -> Batch | None:
        """Give one batch, or None."""
        connection = self._database.reader()
        return None if connection is None else _get(connection, batch_id)

    def items(self, batch: Batch) -> list[Item] | None:
        """Give a batch's items in their order; None until the provider has said what became of them."""
        connection = self._database.reader()
        if connection is None or batch.status not in {"completed", "failed", "expired"}:
            return None
        rows = connection.execute(
            "SELECT i.*, d.id AS document_id, d.filename, d.created_us"
            " FROM talonic_items AS i JOIN talonic_documents AS d ON d.created_us = i.document_us"
            " WHERE i.batch_us = ? ORDER BY i.position",
            (batch.created,),
        )
        return [
            Item(
                position=row["position"],
                id=row["id"],
                document_id=row["document_id"],
                filename=row["filename"],
                status=row["status"],
                error_message=row["error_message"],
                created=row["created_us"],
                processed=row["processed_us"],
            )
            for row in rows
        ]

    def sync(self, batch_id: str) -> Batch | None:
        """Look at the provider now instead of at the next poll; None when there is no such batch."""
        if self.get(batch_id) is None:
            return None
        with self._database.transaction() as connection:
            now = self._clock()
            row = self._caught_up(connection, batch_id, now)
            if row["status"] == "submitted" and row["ready_us"] <= now:
                moves.finish(connection, self._pace, row, now)
            return _get(connection, batch_id)

    def cancel(self, batch_id: str) -> Batch | None:
        """Cancel a batch; None when there is no such batch.

        Raises:
            Refused: 400, when it neither accumulates nor is submitted.
        """
        if self.get(batch_id) is None:
            return None
        with self._database.transaction() as connection:
            now = self._clock()
            row = self._caught_up(connection, batch_id, now)
            if row["status"] not in moves.CANCELLABLE:
                raise Refused(400, f"Batch {batch_id} is {row['status']} and cannot be cancelled")
            moves.cancel(connection, row["created_us"], now)
            return _get(connection, batch_id)

    def advance(self, now: Micros) -> Micros | None:
        """Make every move that is due; give when the next one is, None when none will be.

        Each transaction makes some moves whole, so a call that was killed is carried on by the next, and
        two that run at once share the moves between them.
        """
        while True:
            connection = self._database.reader()
            if connection is None:
                return None
            due: Micros | None
            (due,) = connection.execute("SELECT min(due_us) FROM talonic_batches").fetchone()
            if due is None or due > now:
                return due
            with self._database.transaction() as writer:
                # Asked within the turn to write: another process may have made them meanwhile.
                rows = writer.execute(
                    "SELECT * FROM talonic_batches WHERE due_us <= ? ORDER BY due_us, created_us LIMIT ?",
                    (now, _MOVES_AT_ONCE),
                ).fetchall()
                for row in rows:
                    moves.make_due(writer, self._pace, row)

    def _caught_up(self, connection: sqlite3.Connection, batch_id: str, now: Micros) -> sqlite3.Row:
        """Give a batch's row once its own moves that are due are made."""
        while True:
            row: sqlite3.Row = connection.execute(
                "SELECT * FROM talonic_batches WHERE id = ?", (batch_id,)
            ).fetchone()
            if row["due_us"] is None or row["due_us"] > now:
                return row
            moves.make_due(connection, self._pace, row)


def _get(connection: sqlite3.Connection, batch_id: str) -> Batch | None:
    # The group makes it no row, instead of a row of nulls, when there is no such batch.
    row = connection.execute(f"{_SELECT} WHERE b.id = ? GROUP BY b.created_us", (batch_id,)).fetchone()
    return None if row is None else _batch(row)


def _batch(row: sqlite3.Row) -> Batch:
    return Batch(
        created=row["created_us"],
        id=row["id"],
        status=row["status"],
        error_message=row["error_message"],
        item_count=row["item_count"],
        succeeded=row["succeeded"],
        errored=row["errored"],
        expired=row["expired"],
        submitted=row["submitted_us"],
        completed=row["completed_us"],
        updated=row["updated_us"],
    )
