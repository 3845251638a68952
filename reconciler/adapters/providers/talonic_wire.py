"""Talonic's JSON, read into the model's values; whatever does not fit is named by field.

Fields are those of Talonic's reference page (batch detail) and of its lists; statuses are the union of what
that page and the SDK say, since the two differ. Unknown fields are passed over, an unknown status is
`Status.OTHER`, which has not ended, and keeps the service's own word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.adapters.providers import wire
from reconciler.adapters.providers.listings import WatchedPage
from reconciler.model.batch import FileCounts, Status
from reconciler.model.watched import FileOutcome, FileStatus, Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

#: What Talonic calls the statuses of a batch, as ours. An expired batch came to nothing.
STATUSES: Mapping[str, Status] = {
    "accumulating": Status.PENDING,
    "submitted": Status.PENDING,
    "in_progress": Status.RUNNING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "expired": Status.FAILED,
    "cancelled": Status.CANCELLED,
}

# The documented ones, and those that the batch counts and its items are not documented to have.
_ITEM_STATUSES: Mapping[str, FileStatus] = {
    "pending": FileStatus.PROCESSING,
    "processing": FileStatus.PROCESSING,
    "completed": FileStatus.SUCCEEDED,
    "failed": FileStatus.FAILED,
    "errored": FileStatus.FAILED,
    "expired": FileStatus.FAILED,
    "cancelled": FileStatus.FAILED,
}


def watched(value: object, endpoint: str) -> Watched:
    """A batch of the service that is named by ``endpoint``."""
    word = wire.field(value, "status", wire.words)
    return Watched(
        id=WatchedId(endpoint, wire.field(value, "id", wire.identifier)),
        status=STATUSES.get(word.casefold(), Status.OTHER),
        word=word,
        created_at=wire.optional(value, "created_at", wire.time),
        updated_at=wire.optional(value, "updated_at", wire.time),
        counts=_counts(value),
    )


def _counts(value: object) -> FileCounts | None:
    """How many items came to nothing; None while the service gives no total."""
    total = wire.optional(value, "item_count", wire.count)
    errored = wire.optional(value, "errored_count", wire.count) or 0
    expired = wire.optional(value, "expired_count", wire.count) or 0
    if total is None:
        return None
    # The counts need not be of one moment; more than all cannot have failed.
    return FileCounts(total, min(total, errored + expired))


def page(value: object, endpoint: str) -> WatchedPage:
    """One page of the list. A cursor goes on, whatever ``has_more`` says; without one, nothing may follow."""
    items = _each(value, "data", lambda raw: watched(raw, endpoint))
    pagination = wire.optional(value, "pagination", wire.record) or {}
    following = wire.optional(pagination, "next_cursor", wire.token) or None
    more = wire.optional(pagination, "has_more", wire.flag)
    if more and following is None:
        raise wire.MisfitError("there is more, and no cursor that leads there", "pagination")
    total = wire.optional(pagination, "total", wire.count)
    return WatchedPage(items, following if more is not False else None, total)


def outcomes(value: object) -> tuple[FileOutcome, ...] | None:
    """What became of a batch's items, sorted by id; None while they are null or absent."""
    if wire.optional(value, "items", wire.sequence) is None:
        return None
    found = {item.file: item for item in _each(value, "items", _outcome)}
    return tuple(found[name] for name in sorted(found))


def _outcome(value: object) -> FileOutcome:
    word = wire.field(value, "status", wire.words)
    status = _ITEM_STATUSES.get(word.casefold(), FileStatus.UNKNOWN)
    said = wire.optional(value, "error_message", wire.words)
    error = said or f"the item is {word}"
    return FileOutcome(
        file=wire.field(value, "id", wire.identifier),
        status=status,
        name=wire.optional(value, "document_filename", wire.words) or "",
        error=error if status is FileStatus.FAILED else said or "",
    )


def _each(value: object, name: str, read: Callable[[object], T]) -> list[T]:
    found: list[T] = []
    for index, raw in enumerate(wire.field(value, name, wire.sequence)):
        try:
            found.append(read(raw))
        except wire.MisfitError as error:
            raise error.within(f"{name}[{index}]") from error
    return found


def retryable(value: object) -> bool | None:
    """Whether an error's body calls it worth another try; None where it does not say."""
    for place in (value, value.get("error") if isinstance(value, dict) else None):
        if isinstance(place, dict) and isinstance(said := place.get("retryable"), bool):
            return said
    return None
