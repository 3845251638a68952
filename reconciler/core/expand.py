"""From manifests to desired batches: one value per directory, with its key (R12, R13, R17)."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from reconciler.core.names import Catalogue, Pinned, meaning
from reconciler.model.batch import Address, Key
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.errors import ManifestError
from reconciler.model.manifest import ByName
from reconciler.model.source import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from reconciler.core.names import Meaning
    from reconciler.model.batch import Home
    from reconciler.model.lock import Entry, Pin
    from reconciler.model.manifest import BatchSet
    from reconciler.model.project import Project

_NOTHING = Catalogue()

_PLACE = itemgetter(0, 1)  # address and key


def expand(
    project: Project,
    homes: Mapping[str, Home],
    catalogue: Catalogue = _NOTHING,
    pins: Iterable[Pin] = (),
    entries: Iterable[Entry] = (),
    *,
    only: Collection[str] | None = None,
) -> Desired:
    """Every batch that the manifests ask for, sorted by address.

    Args:
        project: the manifests, valid.
        homes: per provider block that a set uses, where it leads.
        catalogue: what names and patterns were found to stand for.
        pins: what they stood for when they were last applied.
        entries: what is recorded, which says for what the pins were.
        only: the names of the sets that are expanded; all by default.

    Raises:
        ManifestError: two of them are the same work (R12), a name stands for nothing or for several
            directories, or what is called removed is desired.
    """
    known = Pinned(pins, project.sets, homes, entries)
    sets = [item for item in project.sets if only is None or item.name in only]
    meanings = [(item, meaning(item, catalogue, known)) for item in sets]
    said = [fault for _, there in meanings for fault in there.faults]
    if faults := [fault for fault in said if fault.severity is Severity.ERROR]:
        raise ManifestError(sorted(faults))
    batches = sorted(
        (batch for item, there in meanings for batch in _desired(item, there, homes[item.provider])),
        key=_PLACE,
    )
    _refuse_twins(batches)
    return Desired(
        tuple(batches),
        {item.name: item.digest for item in project.sets},
        project.digest,
        tuple(sorted(pin for _, there in meanings for pin in _pins(there))),
        _removed(project, batches),
        tuple(sorted(said)),
        whole=len(sets) == len(project.sets),
    )


def _desired(item: BatchSet, there: Meaning, home: Home) -> Iterator[DesiredBatch]:
    job, configuration = item.job.type, there.configuration
    for directory, position, pin in there.directories:
        key = Key(home.endpoint, home.project, directory, job, configuration)
        name = "" if pin is None else pin.name or pin.text
        yield DesiredBatch(Address(item.name, directory), key, item, position, name)


def _pins(there: Meaning) -> Iterator[Pin]:
    yield from (chosen.pin for chosen in there.directories if chosen.pin is not None)
    if there.pin is not None:
        yield there.pin


def _refuse_twins(batches: list[DesiredBatch]) -> None:
    """R12: directory, job type, configuration; whatever the provider blocks, they may lead to one place."""
    first: dict[tuple[str, ...], DesiredBatch] = {}
    faults = []
    for batch in batches:
        twin = first.setdefault(batch.key[2:], batch)
        if twin is not batch:
            if batch.address == twin.address:
                text = f"{batch.address} is chosen twice, here and at {twin.locate()}"
            else:
                text = f"{batch.address} is the same work as {twin.address} at {twin.locate()}"
            if batch.name or twin.name:
                text += "; a pattern leaves a directory out with exclude"
            if any(isinstance(one.set.directories[one.position], ByName) for one in (batch, twin)):
                text += f", and `lock --upgrade {batch.address.set}` looks up names anew"
            faults.append(Diagnostic(batch.locate(), text))
    if faults:
        raise ManifestError(sorted(faults))


def _removed(project: Project, batches: list[DesiredBatch]) -> dict[str, str]:
    """What ``removed`` names, and where; it cannot be desired as well."""
    if not any(item.removed for item in project.sets):
        return {}
    desired = {str(batch.address): batch for batch in batches} | {
        batch.address.set: batch for batch in batches
    }
    places: dict[str, str] = {}
    faults = []
    for item in project.sets:
        for index, name in enumerate(item.removed):
            source = item.locate(("spec", "removed", index))
            places.setdefault(name, str(source))
            if name in desired:
                text = f"{name} is removed here and still asked for at {desired[name].locate()}"
                faults.append(Diagnostic(source, text))
    if faults:
        raise ManifestError(sorted(faults))
    return places
