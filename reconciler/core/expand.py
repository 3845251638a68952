"""From manifests to desired batches: one value per directory, with its key (R12, R17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.batch import Address, Key
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.errors import ManifestError
from reconciler.model.manifest import ById
from reconciler.model.source import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.batch import Home
    from reconciler.model.manifest import BatchSet
    from reconciler.model.project import Project


def expand(project: Project, homes: Mapping[str, Home]) -> Desired:
    """Every batch that the manifests ask for, sorted by address.

    Args:
        project: the manifests, valid.
        homes: per provider block that a set uses, where it leads.

    Raises:
        ManifestError: two of them are the same work (R12), or a directory or configuration is not named
            by its id.
    """
    faults = [fault for batch_set in project.sets for fault in _not_by_id(batch_set)]
    if faults:
        raise ManifestError(sorted(faults))
    batches = sorted(
        (
            _desired(batch_set, index, homes[batch_set.provider])
            for batch_set in project.sets
            for index in range(len(batch_set.directories))
        ),
        key=lambda batch: batch[:2],
    )
    _refuse_twins(batches)
    sets = {batch_set.name: batch_set.digest for batch_set in project.sets}
    return Desired(tuple(batches), sets, project.digest)


def _desired(batch_set: BatchSet, index: int, home: Home) -> DesiredBatch:
    directory, configuration = batch_set.directories[index], batch_set.job.configuration
    assert isinstance(directory, ById)
    assert isinstance(configuration, ById)
    key = Key(home.endpoint, home.project, directory.id, batch_set.job.type, configuration.id)
    return DesiredBatch(Address(batch_set.name, directory.id), key, batch_set, index)


def _not_by_id(batch_set: BatchSet) -> list[Diagnostic]:
    """Names and patterns are part of the format; this version cannot look them up yet."""
    faults = [
        Diagnostic(
            batch_set.locate(("spec", "directories", index)),
            "directories by name or pattern cannot be planned by this version: give the directory's id",
        )
        for index, directory in enumerate(batch_set.directories)
        if not isinstance(directory, ById)
    ]
    if not isinstance(batch_set.job.configuration, ById):
        faults.append(
            Diagnostic(
                batch_set.locate(("spec", "job", "configuration")),
                "configurations by name cannot be planned by this version: give the configuration's id",
            )
        )
    return faults


def _refuse_twins(batches: list[DesiredBatch]) -> None:
    """R12: directory, job type, configuration; whatever the provider blocks, they may lead to one place."""
    first: dict[tuple[str, ...], DesiredBatch] = {}
    faults = []
    for batch in batches:
        twin = first.setdefault(batch.key[2:], batch)
        if twin is not batch:
            text = f"{batch.address} is the same work as {twin.address} at {twin.locate()}"
            faults.append(Diagnostic(batch.locate(), text))
    if faults:
        raise ManifestError(sorted(faults))
