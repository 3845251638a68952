"""Live batches as lines, page by page, and as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from reconciler.model.listed import Listed, Missed

FORMAT_VERSION = "1.0"

# Ids, statuses and times of one service are mostly of one length, so that columns seldom move.
_WIDTHS = (0, 9, 20, 0, 0, 0)


class Lines:
    """The lines of a listing that is not known to its end: columns only ever grow."""

    def __init__(self) -> None:
        self._widths = list(_WIDTHS)
        self._count = self._unowned = 0

    def of(self, listed: Sequence[Listed]) -> Iterator[str]:
        """A page: id, status, time, job and configuration, directory, and the address or -."""
        table = [_cells(item) for item in listed]
        for cells in table:
            self._widths = [max(pair) for pair in zip(self._widths, map(len, cells), strict=True)]
        self._count += len(listed)
        self._unowned += sum(1 for item in listed if item.owner is None)
        for cells in table:
            padded = (cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True))
            yield "  ".join(padded).rstrip()

    def closing(self, missed: Sequence[Missed]) -> str:
        """The listing in one line. Frozen: programs read it, and a test holds it."""
        text = f"List: {self._count:,} {'batch' if self._count == 1 else 'batches'}"
        if self._unowned:
            text += f", {self._unowned:,} of them nobody's"
        return f"{text}; incomplete." if missed else f"{text}."


def listed_document(listed: Iterable[Listed], missed: Iterable[Missed]) -> dict[str, Any]:
    """A whole listing, sorted by provider, the newest first, then by id."""
    why = [missed_text(item) for item in missed]
    ordered = sorted(listed, key=lambda item: item.batch.id)
    ordered.sort(key=lambda item: _time(item.batch.created_at) or "", reverse=True)
    ordered.sort(key=lambda item: item.provider)
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Batches",
        "complete": not why,
        "why": why,
        "batches": [listed_item(item) for item in ordered],
    }


def listed_item(item: Listed) -> dict[str, Any]:
    """One batch."""
    batch = item.batch
    return {
        "id": batch.id,
        "status": batch.status.value,
        "createdAt": _time(batch.created_at),
        "updatedAt": _time(batch.updated_at),
        "provider": item.provider,
        "endpoint": batch.key.endpoint,
        "project": batch.key.project,
        "directory": batch.key.directory,
        "job": batch.key.job.value,
        "configuration": batch.key.configuration,
        "owner": str(item.owner) if item.owner else None,
        "role": item.role.value,
    }


def missed_text(missed: Missed) -> str:
    """What is missing, and why."""
    return f"the batches of provider {missed.provider} could not all be listed: {missed.why}"


def _cells(item: Listed) -> tuple[str, ...]:
    batch = item.batch
    made = batch.created_at
    owner = str(item.owner) if item.owner else "-"
    if item.owner and item.role.value == "unrecorded":
        owner += " (not recorded)"
    return (
        harmless(batch.id),
        batch.status.value,
        f"{made:%Y-%m-%dT%H:%M:%SZ}" if made else "-",
        harmless(f"{batch.key.job} {batch.key.configuration}"),
        harmless(batch.key.directory),
        harmless(owner),
    )


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
