"""Merging the lockfiles of two branches that have one past (R17).

What either branch has learned is kept: batches are united, and of one batch the later observation counts.
Of what a run decides anew each time (addresses, policies, texts of sets) the value of that side is taken
which changed it. Only which batch stands for a key can be a conflict: two branches that each created one
have spent the money twice, and which of the two is to count is for a person to say.

Swapping the sides changes nothing but which of them a conflict calls ours. Writing it down is the stores'
work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from reconciler.model.errors import StateError
from reconciler.model.lock import Entry, Lock, Origin, Pin, PinKind, Recorded, TrackedEntry
from reconciler.model.manifest import OnRemove
from reconciler.model.merge import Conflict, Merged

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from datetime import datetime

    from reconciler.model.batch import Address, Key
    from reconciler.model.watched import Watched

    _Addressed = Entry | TrackedEntry
    _Name = TypeVar("_Name", bound=Hashable)
    _Value = TypeVar("_Value")

#: What a reply named is known better than what was seen, and that better than what was there already.
_ORIGINS = (Origin.ADOPTED, Origin.FOUND, Origin.CREATED)


class _Sides(NamedTuple):
    """What the two branches have, and what they began with."""

    base: Lock
    ours: Lock
    theirs: Lock


def merge(base: Lock, ours: Lock, theirs: Lock) -> Merged:
    """The lockfile that holds what two branches have recorded.

    Args:
        base: what they began with; an empty one where both added the file.
        ours: one branch.
        theirs: the other.

    Raises:
        StateError: the two are no lockfiles of one past, or of different projects.
    """
    lineage = _lineage(ours, theirs)
    if base.lineage != lineage:
        base = Lock()  # another past, or none: then nothing was dropped from it, and all is kept
    if base in (ours, theirs) or ours == theirs:
        return Merged(theirs if base == ours else ours, {})
    sides = _Sides(base, ours, theirs)
    entries, conflicts = _entries(sides)
    lock = Lock(
        lineage=lineage,
        project=_project(sides),
        plan=_plan(*(lock.plan for lock in sides)),
        serial=max(lock.serial for lock in sides) + 1,
        # A head that was superseded on one side is one too many until the next run, and none is lost.
        heads=tuple(sorted({*ours.heads, *theirs.heads})),
        projects=_three_way([lock.projects for lock in sides], _left_out),
        sets=_three_way([lock.sets for lock in sides], lambda _, *both: min(both)),
        pins=tuple(sorted(_three_way([_named(lock.pins) for lock in sides], _pin).values())),
        tracked=_three_way([lock.tracked for lock in sides], _tracked),
        entries=entries,
    )
    return Merged(lock, conflicts)


def _lineage(ours: Lock, theirs: Lock) -> str:
    if ours.lineage and theirs.lineage and ours.lineage != theirs.lineage:
        raise StateError(
            "the branches have lockfiles that do not have one past",
            why=f"ours is of lineage {ours.lineage} and theirs of {theirs.lineage}: each was begun by an"
            " apply of its own",
            next="Take one of the two files as it is; the next plan then adopts the batches that the other"
            " recorded, and creates none of them again",
        )
    return ours.lineage or theirs.lineage


def _project(sides: _Sides) -> str:
    base, ours, theirs = (lock.project for lock in sides)
    chosen = _taken(base, ours, theirs) if ours and theirs else ours or theirs
    if chosen is None:
        raise StateError(
            "the branches have lockfiles of different projects",
            why=f"ours says project {ours!r} and theirs {theirs!r}",
            next="Give the project one name in reconciler.yaml and take the lockfile that bears it; the next"
            " plan then adopts the batches that the other recorded",
        )
    return chosen


def _plan(base: str, ours: str, theirs: str) -> str:
    """The saved plan that was applied last; of two, one will do, since the other fits no merged entries."""
    taken = _taken(base, ours, theirs)
    return max(ours, theirs) if taken is None else taken


# Entries ----------------------------------------------------------------------------------------------


def _entries(sides: _Sides) -> tuple[dict[Key, Entry], dict[Key, Conflict]]:
    conflicts: dict[Key, Conflict] = {}

    def both(base: Entry | None, ours: Entry, theirs: Entry) -> Entry:
        made = _entry(base, ours, theirs)
        if isinstance(made, Conflict):
            conflicts[ours.key] = made
            return made.ours
        return made

    return _three_way([lock.entries for lock in sides], both), conflicts


def _entry(base: Entry | None, ours: Entry, theirs: Entry) -> Entry | Conflict:
    """The batches of both, and what either side changed."""
    batches = {item.id: item for item in ours.batches}
    for item in theirs.batches:
        batches[item.id] = _same_batch(batches[item.id], item) if item.id in batches else item
    # Where both moved it, the next plan moves it to where it belongs (R11); where they do not agree on what
    # is to become of it, it is left alone (R10).
    on_remove = _taken(base.on_remove if base else None, ours.on_remove, theirs.on_remove)
    name = _taken(base.directory_name if base else None, ours.directory_name, theirs.directory_name)
    current = _taken(base.current if base else None, ours.current, theirs.current)
    entry = Entry(
        key=ours.key,
        address=_address(base, ours, theirs),
        current=ours.current if current is None else current,
        batches=tuple(batches[name] for name in sorted(batches)),
        on_remove=OnRemove.KEEP if on_remove is None else on_remove,
        directory_name=max(ours.directory_name, theirs.directory_name) if name is None else name,
    )
    return entry if current is not None else Conflict(entry, entry._replace(current=theirs.current))


def _address(base: _Addressed | None, ours: _Addressed, theirs: _Addressed) -> Address:
    taken = _taken(base.address if base else None, ours.address, theirs.address)
    return min(ours.address, theirs.address) if taken is None else taken


def _same_batch(one: Recorded, other: Recorded) -> Recorded:
    """What two branches know of one batch: its later observation, and the better account of its origin."""
    early, late = sorted((one, other), key=_observed)
    old, good = sorted((one, other), key=_known)
    return Recorded(
        id=late.id,
        status=late.status,
        origin=good.origin,
        recorded_at=min(one.recorded_at, other.recorded_at),
        created_at=late.created_at or early.created_at,
        updated_at=late.updated_at or early.updated_at,
        evidence=good.evidence or old.evidence,
        alias=_present(one.alias, other.alias),
        files=_present(one.files, other.files),
    )


def _observed(item: Recorded) -> tuple[bool, str, str, str, str]:
    """Later observations are greater: what has ended does not run again (O1), then by the service's times."""
    return (
        item.status.terminal,
        _moment(item.updated_at),
        _moment(item.recorded_at),
        item.status.value,
        _moment(item.created_at),
    )


def _known(item: Recorded) -> tuple[int, bool, str]:
    """Who knows better why a batch was made is greater; the first of two equals knows it at first hand."""
    return _ORIGINS.index(item.origin), item.evidence is not None, str(item.evidence)


def _tracked(base: TrackedEntry | None, ours: TrackedEntry, theirs: TrackedEntry) -> TrackedEntry:
    early, late = sorted((ours.watched, theirs.watched), key=_watched)
    return TrackedEntry(
        address=_address(base, ours, theirs),
        watched=replace(
            late,
            created_at=late.created_at or early.created_at,
            updated_at=late.updated_at or early.updated_at,
            counts=late.counts or early.counts,
        ),
        recorded_at=min(ours.recorded_at, theirs.recorded_at),
    )


def _watched(item: Watched) -> tuple[bool, str, bool, str]:
    times = f"{_moment(item.updated_at)} {_moment(item.created_at)}"
    return item.status.terminal, times, item.counts is not None, f"{item.counts} {item.status} {item.word}"


def _moment(time: datetime | None) -> str:
    """Times as text that sorts as they do, with no time before all of them."""
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}" if time else ""


# Pins -------------------------------------------------------------------------------------------------


def _named(pins: Sequence[Pin]) -> dict[tuple[str, ...], Pin]:
    """Pins by what is pinned: a pattern has one for each directory."""
    return {
        (pin.set, pin.kind, pin.text, pin.id if pin.kind is PinKind.MATCH else ""): pin
        for pin in sorted(pins)
    }


def _pin(base: Pin | None, ours: Pin, theirs: Pin) -> Pin | None:
    """None where the two stand for different things: which is newer nobody can tell, so it is looked up anew.

    To choose one could pin an older version of a configuration than a batch was made with, and that would be
    a reason to create one more.
    """
    del base
    if (ours.id, ours.version) == (theirs.id, theirs.version):
        return max(ours, theirs)
    return None


# Three ways -------------------------------------------------------------------------------------------


def _three_way(
    sides: Sequence[Mapping[_Name, _Value]],
    both: Callable[[_Value | None, _Value, _Value], _Value | None],
) -> dict[_Name, _Value]:
    """Members of both sides; ``both`` says what becomes of one that both changed, None that it goes.

    What one side dropped and the other left as it was is dropped; what the other changed is kept.
    """
    base, ours, theirs = sides
    merged = {}
    for name in _names(ours, theirs):
        before, one, other = base.get(name), ours.get(name), theirs.get(name)
        if one is None or other is None:
            there = one if other is None else other
            if there != before:
                merged[name] = there
        else:
            merged[name] = (
                taken if (taken := _taken(before, one, other)) is not None else both(before, one, other)
            )
    return {name: value for name, value in merged.items() if value is not None}


def _names(ours: Mapping[_Name, _Value], theirs: Mapping[_Name, _Value]) -> Iterator[_Name]:
    yield from ours
    yield from (name for name in theirs if name not in ours)


def _taken(base: _Value | None, ours: _Value, theirs: _Value) -> _Value | None:
    """The value of that side which changed it; None where both did, and not alike."""
    if ours in (theirs, base):
        return theirs
    return ours if theirs == base else None


def _left_out(base: str | None, ours: str, theirs: str) -> None:
    """Which project a key belongs to is asked of the service again: a wrong answer would hide batches."""


def _present(one: _Value | None, other: _Value | None) -> _Value | None:
    """What either has; of two, always the same one."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other, key=str)
