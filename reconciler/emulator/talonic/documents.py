"""Documents: they come in, are told from duplicates, and go to a batch or are done in real time.

What is known of a document is its name, its size and the SHA-256 of its content; the content itself is
not kept. A duplicate is a row of its own which leads to the document that came first, and shows what
became of that one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.talonic import moves
from reconciler.emulator.talonic.batches import PAST, START

if TYPE_CHECKING:
    import sqlite3

    from reconciler.emulator.database import Database
    from reconciler.emulator.moments import Clock, Micros
    from reconciler.emulator.talonic.batches import Order
    from reconciler.emulator.talonic.pace import Pace
    from reconciler.emulator.talonic.upload import File, Mode, Upload

SOURCE_ID = "5ca1ab1e-0000-4000-8000-000000000001"

# The payload of a batch is text, so the service takes images in real time whatever was asked for.
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_IMAGE_MESSAGE = "Images cannot be processed in a batch: this one was processed in real time."
_DUPLICATE_MESSAGE = "A document with the same content is already there."

_SELECT = (
    "SELECT d.created_us, d.id, d.source_id, d.filename, d.size, d.duplicate_of,"
    " first.processing_mode, first.status, first.error_message"
    " FROM talonic_documents AS d"
    " JOIN talonic_documents AS first ON first.id = coalesce(d.duplicate_of, d.id)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document as stored; of a duplicate, mode, status and error are those of the first one."""

    created: Micros
    id: str
    source_id: str
    filename: str
    size: int
    processing_mode: str
    status: str
    error_message: str | None
    duplicate_of: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ingested:
    """What became of an uploaded file, and a word about it where there is one to say."""

    document: Document
    message: str | None


class Documents:
    """The documents in one database."""

    def __init__(self, database: Database, clock: Clock, pace: Pace) -> None:
        self._database = database
        self._clock = clock
        self._pace = pace

    def ingest(self, upload: Upload) -> list[Ingested]:
        """Take in all files of an upload or, if something fails, none."""
        with self._database.transaction() as connection:
            now = self._clock()
            return [self._take_in(connection, file, upload.mode, now) for file in upload.files]

    def page(self, *, order: Order, after: Micros | None, limit: int) -> list[Document]:
        """Give up to `limit` documents by their time of creation, those that come after one only."""
        connection = self._database.reader()
        if connection is None:
            return []
        rows = connection.execute(
            f"{_SELECT} WHERE d.created_us {PAST[order]} ORDER BY d.created_us {order} LIMIT ?",
            (START[order] if after is None else after, limit),
        )
        return [_document(row) for row in rows]

    def total(self) -> int:
        """Count all documents, duplicates too."""
        connection = self._database.reader()
        if connection is None:
            return 0
        (count,) = connection.execute("SELECT count(*) FROM talonic_documents").fetchone()
        return int(count)

    def get(self, document_id: str) -> Document | None:
        """Give one document, or None."""
        connection = self._database.reader()
        return None if connection is None else _get(connection, document_id)

    def _take_in(self, connection: sqlite3.Connection, file: File, asked: Mode, now: Micros) -> Ingested:
        first = connection.execute(
            "SELECT id FROM talonic_documents WHERE source_id = ? AND digest = ? AND duplicate_of IS NULL",
            (SOURCE_ID, file.digest),
        ).fetchone()
        (newest,) = connection.execute("SELECT max(created_us) FROM talonic_documents").fetchone()
        created: Micros = max(now, (newest or 0) + 1)
        image = file.name.lower().endswith(_IMAGES)
        batched = asked == "batch" and not image
        document_id = str(uuid.uuid4())
        connection.execute(
            "INSERT INTO talonic_documents (created_us, id, source_id, filename, size, digest,"
            " processing_mode, status, duplicate_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                created,
                document_id,
                SOURCE_ID,
                file.name,
                file.size,
                file.digest,
                "batch" if batched else "realtime",
                "batch_queued" if batched else "completed",
                None if first is None else first["id"],
            ),
        )
        if first is not None:
            message: str | None = _DUPLICATE_MESSAGE
        else:
            message = _IMAGE_MESSAGE if image and asked == "batch" else None
            if batched:
                moves.enqueue(connection, self._pace, created, now)
        document = _get(connection, document_id)
        assert document is not None
        return Ingested(document=document, message=message)


def _get(connection: sqlite3.Connection, document_id: str) -> Document | None:
    row = connection.execute(f"{_SELECT} WHERE d.id = ?", (document_id,)).fetchone()
    return None if row is None else _document(row)


def _document(row: sqlite3.Row) -> Document:
    return Document(
        created=row["created_us"],
        id=row["id"],
        source_id=row["source_id"],
        filename=row["filename"],
        size=row["size"],
        processing_mode=row["processing_mode"],
        status=row["status"],
        error_message=row["error_message"],
        duplicate_of=row["duplicate_of"],
    )
