"""The moves of a batch, each within a transaction that its caller holds.

    accumulating ──threshold or timer──► submitted ──a poll finds the provider done──► completed
         │  │                               │                                          failed
         │  └──────────cancel───────────────┴────► cancelled                           expired
         └──fewer items than the minimum─────────► cancelled (documents done in real time)

A move is made as of the moment at which it was due, however late somebody comes to make it. So what a
batch looks like later does not depend on how often, or by how many processes, moves were made.

Not told by the documentation, and guessed here: that a batch of too few items ends as `cancelled`; that
documents of a cancelled, failed or expired batch, and of an expired item, end as `error`; that the time
of 48 hours runs from submission. Told: a document whose item failed is processed in real time.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from reconciler.emulator.talonic.pace import Fate

if TYPE_CHECKING:
    import sqlite3

    from reconciler.emulator.moments import Micros
    from reconciler.emulator.talonic.pace import Pace

CANCELLABLE = ("accumulating", "submitted")

_ITEM_FAILED = "the provider's answer could not be read (a failure on purpose)"
_ITEM_EXPIRED = "the provider did not process the item within its window"
_BATCH_FAILED = "the provider failed the batch (a failure on purpose)"
_BATCH_EXPIRED = "no item was processed within the window"
_CANCELLED = "the batch was cancelled"


class _Content(NamedTuple):
    """An item's position, when its document was created, and the digest of that one's content."""

    position: int
    document: Micros
    digest: str


def enqueue(connection: sqlite3.Connection, pace: Pace, document: Micros, now: Micros) -> None:
    """Add a document (by its time of creation) to the batch that accumulates, and submit one that is full."""
    row = connection.execute(
        "SELECT created_us, due_us FROM talonic_batches WHERE status = 'accumulating'"
    ).fetchone()
    if row is not None and row["due_us"] <= now:
        # Its timer fired before this document came, and nobody has acted on it yet.
        _close(connection, pace, row["created_us"], row["due_us"])
        row = None
    batch = _open(connection, pace, now) if row is None else row["created_us"]
    (position,) = connection.execute(
        "SELECT coalesce(max(position) + 1, 0) FROM talonic_items WHERE batch_us = ?", (batch,)
    ).fetchone()
    connection.execute(
        "INSERT INTO talonic_items (batch_us, position, id, document_us, status)"
        " VALUES (?, ?, ?, ?, 'pending')",
        (batch, position, str(uuid.uuid4()), document),
    )
    if position + 1 >= pace.threshold:
        _close(connection, pace, batch, max(now, batch))


def make_due(connection: sqlite3.Connection, pace: Pace, row: sqlite3.Row) -> None:
    """Make the move of a batch that is due, as of the moment when it fell due."""
    if row["status"] == "accumulating":
        _close(connection, pace, row["created_us"], row["due_us"])
    else:
        finish(connection, pace, row, row["due_us"])


def finish(connection: sqlite3.Connection, pace: Pace, row: sqlite3.Row, at: Micros) -> None:
    """End a submitted batch with what the provider made of it."""
    batch: Micros = row["created_us"]
    contents = _contents(connection, batch)
    if pace.fails([content.digest for content in contents]):
        connection.execute(
            "UPDATE talonic_items SET status = 'failed', error_message = ? WHERE batch_us = ?",
            (_BATCH_FAILED, batch),
        )
        _settle_documents(connection, batch, _BATCH_FAILED)
        _end(connection, batch, "failed", at, message=_BATCH_FAILED)
        return
    fates = [(content, pace.fate(content.digest)) for content in contents]
    processed = row["submitted_us"] + pace.turnaround
    connection.executemany(
        "UPDATE talonic_items SET status = ?, error_message = ?, processed_us = ?"
        " WHERE batch_us = ? AND position = ?",
        [(*_item_end(fate, processed), batch, content.position) for content, fate in fates],
    )
    connection.executemany(
        "UPDATE talonic_documents SET status = ?, error_message = ?, processing_mode = ?"
        " WHERE created_us = ?",
        [(*_document_end(fate), content.document) for content, fate in fates],
    )
    if all(fate is Fate.EXPIRE for _, fate in fates):
        _end(connection, batch, "expired", at, message=_BATCH_EXPIRED)
    else:
        _end(connection, batch, "completed", at)


def cancel(connection: sqlite3.Connection, batch: Micros, at: Micros) -> None:
    """Cancel a batch that accumulates or is submitted."""
    _settle_documents(connection, batch, _CANCELLED)
    _end(connection, batch, "cancelled", at)


def _open(connection: sqlite3.Connection, pace: Pace, now: Micros) -> Micros:
    (newest,) = connection.execute("SELECT max(created_us) FROM talonic_batches").fetchone()
    created: Micros = max(now, (newest or 0) + 1)
    connection.execute(
        "INSERT INTO talonic_batches (created_us, id, status, updated_us, due_us)"
        " VALUES (?1, ?2, 'accumulating', ?1, ?3)",
        (created, str(uuid.uuid4()), created + pace.timer),
    )
    return created


def _close(connection: sqlite3.Connection, pace: Pace, batch: Micros, at: Micros) -> None:
    digests = [content.digest for content in _contents(connection, batch)]
    if len(digests) < pace.minimum:
        _settle_documents(connection, batch, None)
        message = (
            f"the batch has {len(digests)} items and at least {pace.minimum} are needed:"
            " its documents were processed in real time"
        )
        _end(connection, batch, "cancelled", at, message=message)
        return
    ready = at + pace.work_time(digests)
    connection.execute(
        "UPDATE talonic_batches SET status = 'submitted', submitted_us = ?1, updated_us = ?1,"
        " ready_us = ?2, due_us = ?3 WHERE created_us = ?4",
        (at, ready, pace.seen_at(at, ready), batch),
    )


def _contents(connection: sqlite3.Connection, batch: Micros) -> list[_Content]:
    rows = connection.execute(
        "SELECT position, document_us, digest"
        " FROM talonic_items JOIN talonic_documents ON created_us = document_us WHERE batch_us = ?",
        (batch,),
    )
    return [_Content(*row) for row in rows]


def _item_end(fate: Fate, processed: Micros) -> tuple[str, str | None, Micros | None]:
    """Give an item's status, message and time of processing. A reply shows `expired` as `failed`."""
    match fate:
        case Fate.SUCCEED:
            return "completed", None, processed
        case Fate.FAIL:
            return "failed", _ITEM_FAILED, processed
        case Fate.EXPIRE:
            return "expired", _ITEM_EXPIRED, None


def _document_end(fate: Fate) -> tuple[str, str | None, str]:
    """Give a document's status, message and mode of processing."""
    match fate:
        case Fate.SUCCEED:
            return "completed", None, "batch"
        case Fate.FAIL:
            return "completed", None, "realtime"
        case Fate.EXPIRE:
            return "error", _ITEM_EXPIRED, "batch"


def _settle_documents(connection: sqlite3.Connection, batch: Micros, error: str | None) -> None:
    """End all documents of a batch: with an error, or else in real time."""
    status, mode = ("completed", "realtime") if error is None else ("error", "batch")
    connection.execute(
        "UPDATE talonic_documents SET status = ?, error_message = ?, processing_mode = ?"
        " WHERE created_us IN (SELECT document_us FROM talonic_items WHERE batch_us = ?)",
        (status, error, mode, batch),
    )


def _end(
    connection: sqlite3.Connection, batch: Micros, status: str, at: Micros, *, message: str | None = None
) -> None:
    # Only a batch that completed has a time of completion, as the documentation says of cancelled ones.
    connection.execute(
        "UPDATE talonic_batches SET status = ?1, error_message = ?2, updated_us = max(updated_us, ?3),"
        " completed_us = iif(?1 = 'completed', ?3, NULL), due_us = NULL WHERE created_us = ?4",
        (status, message, at, batch),
    )
