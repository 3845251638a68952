"""From live batches to manifests that ask for them: a plan then adopts what satisfies, and creates nothing.

Which batch satisfies is asked of `match`, for a set without any ``rerun``. What cannot be asked for without
creating something is remarked on, with the reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.match import STOPPED, choose
from reconciler.core.plan import aliases_of
from reconciler.model.batch import Directory, JobType, Status
from reconciler.model.canonical import digest
from reconciler.model.export import Export, ExportedDirectory, ExportedSet, Omitted, Remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reconciler.model.batch import Batch, Home, Key
    from reconciler.model.desired import Desired
    from reconciler.model.lock import Lock
    from reconciler.model.snapshot import Missing

#: What a set's name may have, as the schema says.
_LONGEST_NAME = 63
_UNFIT = re.compile(r"[^a-z0-9.]+")
_HASH = 8


class _Group(NamedTuple):
    provider: str
    job: JobType
    configuration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an export is made from.

    Attributes:
        live: per provider block, its batches; no two blocks lead to one project.
        directories: per project and id, the directory, or why it cannot be had.
        taken: names that sets of the project have already.
        writable: whether an id can stand in a manifest.
    """

    live: Mapping[str, tuple[Batch, ...]]
    directories: Mapping[tuple[Home, str], Directory | Missing]
    desired: Desired
    lock: Lock
    taken: frozenset[str]
    writable: Callable[[str], bool]


def undesired(batches: Iterable[Batch], desired: Desired, lock: Lock) -> dict[Key, list[Batch]]:
    """The batches by the work that they are, but for work that a manifest asks for already (R12)."""
    aliases = aliases_of(lock)
    asked = {want.key[2:] for want in desired.batches}
    work: defaultdict[Key, list[Batch]] = defaultdict(list)
    for batch in batches:
        key = aliases.get(batch.key, batch.key)
        if key[2:] not in asked:
            work[key].append(batch)
    return work


def export(found: Found) -> Export:
    """The manifests, whatever order the batches came in (R17)."""
    groups: defaultdict[_Group, list[ExportedDirectory | Remark]] = defaultdict(list)
    taken_work: dict[tuple[str, ...], str] = {}
    desired = 0
    for provider, batches in sorted(found.live.items()):
        work = undesired(batches, found.desired, found.lock)
        desired += len(batches) - sum(len(mine) for mine in work.values())
        for key, mine in sorted(work.items()):
            group = _Group(provider, key.job, key.configuration)
            groups[group] += _judged(found, provider, key, mine, taken_work)
    names = _Names(found.taken)
    sets = [_exported(group, items, names) for group, items in sorted(groups.items())]
    return Export(sets=tuple(sorted(sets, key=lambda item: item.name)), desired=desired)


def _exported(group: _Group, items: list[ExportedDirectory | Remark], names: _Names) -> ExportedSet:
    directories = sorted(
        (item for item in items if isinstance(item, ExportedDirectory)), key=lambda item: item.id
    )
    remarks = sorted(
        (item for item in items if isinstance(item, Remark)),
        key=lambda item: (item.directory, item.batch.id),
    )
    return ExportedSet(
        name=names.give(group, [item.id for item in directories]),
        provider=group.provider,
        job=group.job,
        configuration=group.configuration,
        directories=tuple(directories),
        remarks=tuple(remarks),
    )


def _judged(
    found: Found, provider: str, key: Key, batches: list[Batch], taken: dict[tuple[str, ...], str]
) -> Iterator[ExportedDirectory | Remark]:
    """The batches of one work: at most one directory is asked for, and all else remarked on."""
    there = found.directories[key.home, key.directory]
    name = there.name if isinstance(there, Directory) else ""

    def remarks(reason: Omitted, why: str) -> Iterator[Remark]:
        for batch in batches:
            yield Remark(batch=batch, directory=key.directory, reason=reason, why=why, name=name)

    if not (found.writable(key.directory) and found.writable(key.configuration)):
        yield from remarks(Omitted.UNWRITABLE, "an id of it cannot stand in a manifest")
        return
    if not isinstance(there, Directory):
        yield from remarks(Omitted.NO_DIRECTORY, there.why)
        return
    if there.deleted_at is not None:
        yield from remarks(Omitted.NO_DIRECTORY, f"its directory was deleted on {there.deleted_at:%Y-%m-%d}")
        return
    satisfying = [batch for batch in batches if batch.status not in STOPPED]
    if satisfying and taken.setdefault(key[2:], provider) != provider:
        why = f"the same directory, job and configuration is exported for provider {taken[key[2:]]} (R12)"
        yield from remarks(Omitted.SAME_WORK, why)
        return
    chosen = choose(satisfying, found.lock.entries.get(key)) if satisfying else None
    if chosen is not None:
        yield ExportedDirectory(key.directory, name, chosen)
    for batch in batches:
        if batch is not chosen:
            reason, why = _omitted(batch, chosen)
            yield Remark(batch=batch, directory=key.directory, reason=reason, why=why, name=name)


def _omitted(batch: Batch, chosen: Batch | None) -> tuple[Omitted, str]:
    if batch.status not in STOPPED:
        assert chosen is not None
        return Omitted.SURPLUS, f"surplus: {chosen.id} is the same work, and is adopted"
    reason, ended = (
        (Omitted.FAILED, "it failed")
        if batch.status is Status.FAILED
        else (Omitted.CANCELLED, "it was cancelled")
    )
    return reason, f"{ended}; {chosen.id} is adopted" if chosen else f"{ended}, and nothing else stands"


class _Names:
    """Names for sets: readable, valid, and no two alike."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def give(self, group: _Group, directories: list[str]) -> str:
        """The same name for the same group, as long as nobody has it; else one with a digest."""
        plain = _UNFIT.sub("-", "-".join(group).lower()).strip("-.")
        name = plain[:_LONGEST_NAME].rstrip("-.")
        seen: list[object] = [list(group)]
        while name in self._taken or not name:
            mark = digest(seen).rpartition(":")[2][:_HASH]
            name = f"{plain[: _LONGEST_NAME - _HASH - 1].rstrip('-.')}-{mark}".lstrip("-")
            seen.append(directories)
        self._taken.add(name)
        return name
