"""Batches that are only watched, as lines for people and as JSON: in plans, and after a refresh. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.model.document import FORMAT_VERSION, tracked_items
from reconciler.model.status import Health
from reconciler.model.tracking import Happened
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.model.tracking import TrackedChange

#: The marks, as they stand before each line; where an action has the same mark, it means the same.
MARKS = {
    Happened.NEW: "*",
    Happened.CHANGED: "*",
    Happened.UNCHANGED: "=",
    Happened.GONE: "!",
    Happened.UNKNOWN: "?",
    Happened.NO_LONGER_TRACKED: ".",
}

_COLOURS = {"*": "36", "=": "2", "!": "33", "?": "35", ".": "2"}

_TOLD = (
    (Happened.NEW, "new"),
    (Happened.CHANGED, "changed"),
    (Happened.GONE, "gone"),
    (Happened.UNKNOWN, "unknown"),
    (Happened.NO_LONGER_TRACKED, "no longer tracked"),
)


def tracked_lines(
    changes: Sequence[TrackedChange], *, verbose: bool = False, colour: bool = False
) -> Iterator[str]:
    """One line a batch, grouped by manifest, and an empty line after them; what is unchanged if verbose."""
    shown = [change for change in changes if verbose or change.happened is not Happened.UNCHANGED]
    rows = [_columns(change) for change in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    for name, members in groupby(zip(shown, rows, strict=True), key=lambda pair: pair[0].address.set):
        yield harmless(name)
        for change, row in members:
            mark = MARKS[change.happened]
            painted = f"\x1b[{_COLOURS[mark]}m{mark}\x1b[0m" if colour else mark
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width]
            yield "  ".join((f"  {painted} {cells[0]}", *cells[1:], harmless(change.reason)))
    if shown:
        yield ""


def _columns(change: TrackedChange) -> tuple[str, str, str]:
    """Address, health, and how many files fared how."""
    seen = change.now or change.before
    counts = seen.counts if seen else None
    files = ""
    if counts is not None:
        files = f"{counts.total:,} {'file' if counts.total == 1 else 'files'}"
        files += f", {counts.failed:,} failed" if counts.failed else ""
    return harmless(str(change.address)), change.health.value if change.health else "", files


def tracked_sentence(changes: Sequence[TrackedChange]) -> str:
    """What is tracked, in a sentence that ends the plan's closing line; "" where nothing is.

    Frozen: programs read it, and a test holds it.
    """
    if not changes:
        return ""
    there = sum(1 for change in changes if change.id.id and change.happened is not Happened.NO_LONGER_TRACKED)
    counts = [
        f"{count:,} {words}"
        for happened, words in _TOLD
        if (count := sum(1 for change in changes if change.happened is happened))
    ]
    tracked = f"{there:,} {'batch' if there == 1 else 'batches'} tracked"
    return f"{', '.join([tracked, *counts])}."


def refreshed_lines(changes: Sequence[TrackedChange], *, colour: bool = False) -> Iterator[str]:
    """What a refresh came to: every batch, then a sentence."""
    yield from tracked_lines(changes, verbose=True, colour=colour)
    degraded = sum(1 for change in changes if change.health is Health.DEGRADED)
    told = tracked_sentence(changes) or "Nothing is tracked."
    yield f"Refresh: {told}" + (f" {degraded:,} degraded." if degraded else "")


def refreshed_document(changes: Sequence[TrackedChange]) -> dict[str, Any]:
    """What a refresh came to."""
    return {"formatVersion": FORMAT_VERSION, "kind": "Refreshed", "tracked": tracked_items(changes)}
