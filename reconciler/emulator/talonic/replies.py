"""The shapes of what is sent: one function a noun of the API, from a value to its JSON object.

Every documented field that a batch, an item or an upload has is there, null where there is nothing to
say. Of documents and sources those are there that the stand-in knows something about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from reconciler.emulator.moments import rfc3339
from reconciler.emulator.talonic.documents import SOURCE_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.emulator.moments import Micros
    from reconciler.emulator.talonic.batches import Batch, Item
    from reconciler.emulator.talonic.documents import Document, Ingested

Reply: TypeAlias = dict[str, object]

# The source is there before any database is: 2026-01-01T00:00:00Z.
_SOURCE_CREATED: Micros = 1_767_225_600_000_000


def batch(value: Batch) -> Reply:
    """Give a batch without its items."""
    return {
        "id": value.id,
        "status": value.status,
        "provider": "anthropic",
        "item_count": value.item_count,
        "succeeded_count": value.succeeded,
        "errored_count": value.errored,
        "expired_count": value.expired,
        "submitted_at": _when(value.submitted),
        "completed_at": _when(value.completed),
        "error_message": value.error_message,
        "created_at": rfc3339(value.created),
        "updated_at": rfc3339(value.updated),
        "links": {"self": f"/v1/batches/{value.id}"},
    }


def batch_detail(value: Batch, items: Sequence[Item] | None) -> Reply:
    """Give a batch with its items, which are null until they ended."""
    return {**batch(value), "items": None if items is None else [_item(value, item) for item in items]}


def document(value: Document) -> Reply:
    """Give a document; it has an `error` only when that is its status."""
    return {
        "id": value.id,
        "filename": value.filename,
        "status": value.status,
        **({} if value.error_message is None else {"error": value.error_message}),
        "size_bytes": value.size,
        "type_detected": None,
        "processing_mode": value.processing_mode,
        "source": {"id": value.source_id, "type": "api"},
        "created_at": rfc3339(value.created),
        "links": {"self": f"/v1/documents/{value.id}"},
    }


def ingested(value: Ingested) -> Reply:
    """Give what became of one uploaded file."""
    taken = value.document
    return {
        "document_id": taken.id,
        "filename": taken.filename,
        "size_bytes": taken.size,
        "status": "queued" if taken.duplicate_of is None else "duplicate",
        "processing_mode": taken.processing_mode,
        "source_id": taken.source_id,
        "existing_document_id": taken.duplicate_of,
        "message": value.message,
        "links": {"document": f"/v1/documents/{taken.id}", "source": f"/v1/sources/{taken.source_id}"},
    }


def source(document_count: int) -> Reply:
    """Give the one source there is."""
    path = f"/v1/sources/{SOURCE_ID}"
    return {
        "id": SOURCE_ID,
        "name": "Local",
        "type": "api",
        "status": "active",
        "document_count": document_count,
        "default_schema": None,
        "endpoint": f"{path}/documents",
        "created_at": rfc3339(_SOURCE_CREATED),
        "links": {"self": path, "documents": f"{path}/documents"},
    }


def page(data: Sequence[Reply], *, total: int, limit: int, next_cursor: str | None) -> Reply:
    """Give one page of a list."""
    return {
        "data": list(data),
        "pagination": {
            "total": total,
            "limit": limit,
            "has_more": next_cursor is not None,
            "next_cursor": next_cursor,
        },
    }


def _item(owner: Batch, value: Item) -> Reply:
    return {
        "id": value.id,
        "document_id": value.document_id,
        "document_filename": value.filename,
        "custom_id": f"msgbatch_{owner.id.replace('-', '')[:12]}:{value.position}",
        # The documented statuses of an item know no expiry; the batch counts it, the message says it.
        "status": "failed" if value.status == "expired" else value.status,
        "error_message": value.error_message,
        "created_at": rfc3339(value.created),
        "processed_at": _when(value.processed),
    }


def _when(moment: Micros | None) -> str | None:
    return None if moment is None else rfc3339(moment)
