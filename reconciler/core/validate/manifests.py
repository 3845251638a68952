"""All manifests of a project at once: every fault of every document, in one pass."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.core.validate.across import (
    cycle_faults,
    duplicate_faults,
    name_faults,
    name_of,
    provider_faults,
    removed_faults,
    unknown_dependencies,
)
from reconciler.core.validate.faults import Fault, placed
from reconciler.core.validate.kinds import BATCH_SET, PROJECT, TRACKED_BATCH, kind_faults
from reconciler.core.validate.schema import MAX_FAULTS, Checker
from reconciler.core.validate.sets import batch_set, tracked_batch
from reconciler.core.validate.windows import ONLY_UTC, Zones, window_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.manifest import BatchSet, TrackedBatch
    from reconciler.model.project import ProjectFile
    from reconciler.model.source import Diagnostic, Document


class Manifests(NamedTuple):
    """What the manifests of a project say.

    Attributes:
        sets: the valid sets, by file and line.
        tracked: the valid groups of observed batches, by file and line.
        diagnostics: everything to say about the manifests, sorted; with an error among them, sets and
            groups are incomplete and are not to be acted on.
    """

    sets: tuple[BatchSet, ...]
    tracked: tuple[TrackedBatch, ...]
    diagnostics: tuple[Diagnostic, ...]


def validate_manifests(
    documents: Iterable[Document],
    project: ProjectFile | None,
    schemas: Mapping[str, Mapping[str, Any]],
    *,
    unread: bool = False,
    zones: Zones = ONLY_UTC,
) -> Manifests:
    """Make values of all manifests, and find all their faults.

    Args:
        documents: those of all manifest files, in any order.
        project: the project file, or None when it has faults of its own: providers are then not judged.
        schemas: the JSON Schemas by kind.
        unread: whether some manifest could not be read; what it may have held is then not called missing.
        zones: the time zones that there are.
    """
    ordered = sorted(documents, key=lambda document: document.source)
    walk = _Walk(schemas, zones)
    for document in ordered:
        walk.take(document)
    walk.compare(project, unread=unread)
    diagnostics = [item for document in ordered for item in placed(document, walk.faults.get(document, ()))]
    return Manifests(tuple(walk.sets.values()), tuple(walk.tracked.values()), tuple(sorted(diagnostics)))


class _Walk:
    """One pass over the documents, and one over their values."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], zones: Zones) -> None:
        self._zones = zones
        self.faults: dict[Document, list[Fault]] = {}
        self.sets: dict[Document, BatchSet] = {}
        self.tracked: dict[Document, TrackedBatch] = {}
        self._checkers = {kind: Checker(schemas[kind]) for kind in (BATCH_SET, TRACKED_BATCH)}
        self._judged: list[Document] = []
        self._names: dict[str, set[str]] = {BATCH_SET: set(), TRACKED_BATCH: set()}

    def take(self, document: Document) -> None:
        """Judge one document by itself."""
        faults = kind_faults(document)
        kind = document.value.get("kind")
        if kind == PROJECT and not faults:
            faults = [Fault(("kind",), "a second Project: a project has one, in its project file")]
        # Whatever is wrong with a set, its name is not missing; and a misspelled kind was meant for a set.
        name = name_of(document)
        if name:
            self._names[TRACKED_BATCH if kind == TRACKED_BATCH else BATCH_SET].add(name)
        if not faults:
            self._judged.append(document)
            faults = self._checkers[str(kind)].faults(document.value)
            faults = faults or list(window_faults(document, self._zones))
        if faults:
            self.faults[document] = faults
        elif kind == BATCH_SET:
            self.sets[document] = batch_set(document, self._zones)
        else:
            self.tracked[document] = tracked_batch(document)

    def compare(self, project: ProjectFile | None, *, unread: bool) -> None:
        """Judge the documents by each other and by the project file."""
        for document, fault in name_faults(self._judged):
            self._add(document, fault)
        if project is not None:
            for document in self._judged:
                self._add(document, *provider_faults(document, project))
        owners = {id(item): document for document, item in self.sets.items()}
        sets = tuple(self.sets.values())
        cycles = cycle_faults({item.name: item for item in sets})
        for item, fault in (*duplicate_faults(sets), *removed_faults(sets), *cycles):
            self._add(owners[id(item)], fault)
        if not unread:
            names = {kind: frozenset(names) for kind, names in self._names.items()}
            for document in self._judged:
                unknown = unknown_dependencies(document, names[BATCH_SET], names[TRACKED_BATCH])
                self._add(document, *islice(unknown, MAX_FAULTS))

    def _add(self, document: Document, *faults: Fault) -> None:
        if faults:
            self.faults.setdefault(document, []).extend(faults)
