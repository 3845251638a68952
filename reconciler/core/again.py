"""Which directories are processed once more, by what set, and how they leave the one that has them (R12).

A batch cannot be made to do a part of its files again, and a directory belongs to one set. So a new set takes
over the directories, with a ``rerun.after`` that outdates what there is, and a person takes them out of the
old set: until that is done the project does not validate, and once it is done exactly they are created (R2,
R11). Raising ``rerun.after`` of the old set instead would have all of its directories made anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.model.batch import Status
from reconciler.model.lock import PinKind
from reconciler.model.manifest import ById, ByName, ByPattern
from reconciler.model.outcomes import ENDED_BADLY, Again, Edit, LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from reconciler.model.lock import Entry, Lock, Recorded
    from reconciler.model.manifest import BatchSet
    from reconciler.model.outcomes import Failing

_LONGEST = 63
_SUFFIX = re.compile(r"-again(-[0-9]+)?$")


def again(
    failing: Iterable[Failing],
    lock: Lock,
    sets: Iterable[BatchSet],
    taken: Collection[str],
    now: Callable[[Entry], datetime],
) -> tuple[tuple[Again, ...], tuple[LeftOut, ...]]:
    """The sets that have these batches' directories processed once more, and what none of them can have.

    Args:
        failing: batches with files that came to nothing. Those that are FAILED or CANCELLED are passed over:
            what follows that, ``rerun`` of their set says.
        lock: what is recorded.
        sets: those of the manifests.
        taken: names that a new set cannot have.
        now: the time by the clock of an entry's service, which creation times are of.
    """
    known = {item.name: item for item in sets}
    by_batch = {
        (item.address, batch.id): (item, batch) for item in lock.entries.values() for batch in item.batches
    }
    chosen: defaultdict[str, list[tuple[Entry, Recorded]]] = defaultdict(list)
    left_out: list[LeftOut] = []
    for address, name, status in failing:
        if status in ENDED_BADLY:
            continue
        if (address, name) not in by_batch:
            left_out.append(LeftOut(address, name, "it is only watched"))
            continue
        entry, batch = by_batch[address, name]
        if why := _against(entry, batch, known.get(address.set), lock, status):
            left_out.append(LeftOut(address, name, why))
        else:
            chosen[address.set].append((entry, batch))
    names = set(taken)
    made = []
    for name, members in sorted(chosen.items()):
        new = _free(name, names)
        names.add(new)
        made.append(_of_set(known[name], new, members, lock, now))
    return tuple(made), tuple(sorted(left_out))


def _against(entry: Entry, batch: Recorded, item: BatchSet | None, lock: Lock, status: Status) -> str:
    """Why a batch cannot be made anew by a new set, or ""."""
    if status is not Status.COMPLETED:
        return f"it is {status} still"
    if batch.id != entry.current:
        return f"{entry.current} stands for this work now"
    if item is None:
        return "no manifest has its set any more"
    if _configuration(item, lock) != entry.key.configuration or item.job.type is not entry.key.job:
        return "its set asks for another job now"
    if batch.created_at is None:
        return "the service does not say when it was created, so no rerun.after can outdate it"
    if _edit(item, entry, lock) is None:
        return "its set does not ask for its directory any more"
    return ""


def _configuration(item: BatchSet, lock: Lock) -> str:
    """The id of the configuration that a set asks for; "" where its name was never applied."""
    asked = item.job.configuration
    if isinstance(asked, ById):
        return asked.id
    wanted = (item.name, PinKind.CONFIGURATION, asked.name)
    return next((pin.id for pin in lock.pins if pin[:3] == wanted), "")


def _of_set(
    item: BatchSet,
    name: str,
    members: list[tuple[Entry, Recorded]],
    lock: Lock,
    now: Callable[[Entry], datetime],
) -> Again:
    edits = {edit for entry, _ in members if (edit := _edit(item, entry, lock)) is not None}
    ids = {entry.key.directory for entry, _ in members}
    if all(isinstance(there, ById) and there.id in ids for there in item.directories):
        text = f"delete the set {item.name}, which has no other directories; or do without the new set, and"
        edits = {Edit(item.source, f"{text} raise rerun.after of this one")}
    return Again(
        of=item.name,
        name=name,
        configuration=_configuration(item, lock),
        directories=tuple(sorted(ids)),
        after=max(_after(batch, now(entry)) for entry, batch in members),
        edits=tuple(sorted(edits)),
    )


def _after(batch: Recorded, now: datetime) -> datetime:
    """Later than the batch and not later than now, by the service's clock (R2); whole seconds if possible."""
    assert batch.created_at is not None
    whole = now.replace(microsecond=0)
    return whole if whole > batch.created_at else max(now, batch.created_at + timedelta(microseconds=1))


def _edit(item: BatchSet, entry: Entry, lock: Lock) -> Edit | None:
    """What takes an entry's directory out of a set; None where the set does not ask for it."""
    directory = entry.key.directory
    pins = {(pin.kind, pin.text): pin for pin in lock.pins if (pin.set, pin.id) == (item.name, directory)}
    for index, there in enumerate(item.directories):
        source = item.locate(("spec", "directories", index))
        match there:
            case ById(id=name) if name == directory:
                return Edit(source, f"delete this directory ({directory})")
            case ByName(name=text) if (PinKind.NAME, text) in pins:
                return Edit(source, f"delete this directory ({text}, {directory})")
            case ByPattern(pattern=text) if pin := pins.get((PinKind.MATCH, text)):
                return Edit(source, f"add {pin.name!r} to the pattern's exclude ({directory})")
            case _:
                pass
    return None


def _free(name: str, taken: Collection[str]) -> str:
    """A name for a set that goes on with the work of another one."""
    stem, number = _SUFFIX.sub("", name), 1
    while True:
        suffix = "-again" if number == 1 else f"-again-{number}"
        new = stem[: _LONGEST - len(suffix)].rstrip("-.") + suffix
        if new not in taken:
            return new
        number += 1
