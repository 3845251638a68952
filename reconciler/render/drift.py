"""Drift, for people and as a JSON document. The closing line is an interface."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.model.document import FORMAT_VERSION, batch_document, time_text
from reconciler.model.drift import DriftKind
from reconciler.render.harmless import harmless
from reconciler.render.text import painted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.drift import Deviation, Drift

HEADS = {
    DriftKind.NOT_DESIRED: "Live, and not desired",
    DriftKind.OTHER_WORK: "Live over a desired directory, and not desired",
    DriftKind.GONE: "Recorded, and gone",
    DriftKind.DIFFERENT: "Recorded, and different",
    DriftKind.SURPLUS: "Surplus: the same work twice",
}
_COUNTED = {
    DriftKind.NOT_DESIRED: "not desired",
    DriftKind.OTHER_WORK: "other work",
    DriftKind.GONE: "gone",
    DriftKind.DIFFERENT: "different",
    DriftKind.SURPLUS: "surplus",
}


def drift_lines(drift: Drift, *, verbose: bool = False, colour: bool = False) -> Iterator[str]:
    """Drift, line by line; the last one is frozen.

    Args:
        drift: what drifted.
        verbose: show also what nobody can act on.
        colour: colour the marks with terminal sequences.
    """
    shown = [item for item in drift.deviations if verbose or item.counts]
    for kind, members in groupby(shown, key=lambda item: item.kind):
        yield f"{HEADS[kind]}:"
        for item in members:
            yield from _deviation_lines(item, colour=colour)
        yield ""
    for unseen in drift.unseen:
        mark = painted("?", "35", colour=colour)
        yield f"{mark} {harmless(f'{unseen.home.endpoint}, project {unseen.home.project}: {unseen.why}')}"
    if drift.since is not None:
        yield f"Batches created before {time_text(drift.since)} were not looked at."
    yield closing_line(drift)


def closing_line(drift: Drift) -> str:
    """Drift in one sentence. Frozen: programs read it, and a test holds it."""
    counts = [f"{count:,} {words}" for kind, words in _COUNTED.items() if (count := drift.count(kind))]
    if drift.unseen:
        number = len({item.home for item in drift.unseen})
        text = f"Drift: {', '.join(counts) or 'nothing found'}; {number:,} not seen."
    else:
        text = f"Drift: {', '.join(counts)}." if counts else "No drift."
    return f"{text} {drift.ignored:,} ignored." if drift.ignored else text


def _deviation_lines(item: Deviation, *, colour: bool) -> Iterator[str]:
    batch = item.batch
    mark = painted("~", "33", colour=colour) if item.counts else " "
    whose = f"{item.address}  " if item.address else ""
    work = f"{item.key.directory}  {item.key.job} {item.key.configuration}"
    yield f"  {mark} " + harmless(f"{whose}{batch.id}  {batch.status}  {work}")
    yield harmless(f"      {item.why}")
    for name, before, after in _fields(item):
        yield harmless(f"      {name}: {before} -> {after}")
    if item.next and item.counts:
        yield harmless(f"      next: {item.next}")


def _fields(item: Deviation) -> list[tuple[str, str, str]]:
    """The fields that differ, by name: both sides have the same ones."""
    if item.recorded == item.live:
        return []
    from deepdiff import DeepDiff

    changed = DeepDiff(dict(item.recorded), dict(item.live), view="tree", threshold_to_diff_deeper=0).get(
        "values_changed", ()
    )
    return sorted((str(level.path(output_format="list")[0]), level.t1, level.t2) for level in changed)


def drift_document(drift: Drift, *, verbose: bool = False) -> dict[str, Any]:
    """Drift as a JSON document."""
    shown = [item for item in drift.deviations if verbose or item.counts]
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Drift",
        "complete": not drift.unseen,
        "drift": drift.found,
        "summary": {kind.value: drift.count(kind) for kind in sorted(DriftKind)},
        "ignored": drift.ignored,
        "since": time_text(drift.since),
        "notSeen": [
            {"endpoint": item.home.endpoint, "project": item.home.project, "why": item.why}
            for item in drift.unseen
        ],
        "deviations": [_document(item) for item in shown],
    }


def _document(item: Deviation) -> dict[str, Any]:
    return {
        "drift": item.kind.value,
        "counts": item.counts,
        "address": str(item.address) if item.address else None,
        "key": str(item.key),
        "endpoint": item.key.endpoint,
        "project": item.key.project,
        "directory": item.key.directory,
        "job": item.key.job.value,
        "configuration": item.key.configuration,
        "batch": batch_document(item.batch),
        "message": item.why,
        "fields": [
            {"field": name, "recorded": before, "live": after} for name, before, after in _fields(item)
        ],
        "next": item.next,
    }
