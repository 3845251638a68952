"""From a folder to a project: the manifests on disk, held against their schemas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.adapters.manifests import find_manifests, read_json_file, read_manifest
from reconciler.adapters.schemas import load_schema, manifest_schemas
from reconciler.adapters.zones import zone, zone_names
from reconciler.core.validate import (
    Zones,
    foreign_types,
    project_digest,
    unset_variables,
    validate_manifests,
    validate_project,
)
from reconciler.core.validate.faults import placed
from reconciler.model.canonical import digest
from reconciler.model.kind import Kinds
from reconciler.model.project import Policy, Project
from reconciler.model.source import Diagnostic, Severity, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from reconciler.model.project import ProjectFile

_ZONES = Zones(zone, zone_names)

#: The project file's name.
PROJECT_FILE = "reconciler.yaml"


def read_project_file(folder: Path) -> tuple[ProjectFile | None, tuple[Diagnostic, ...]]:
    """The project file alone, and everything to say about it; None when it has faults or is not there."""
    if not (folder / PROJECT_FILE).exists():
        message = "there is no project file here: run `reconciler init`, or name its folder with --chdir"
        return None, (Diagnostic(Source(PROJECT_FILE), message),)
    documents, diagnostics = read_manifest(folder, PROJECT_FILE)
    if diagnostics:
        return None, diagnostics
    schemas, kinds = {"Project": load_schema("Project")}, _kinds(foreign_types(documents))
    return validate_project(documents, schemas, file=PROJECT_FILE, kinds=kinds, zones=_ZONES)


def read_project(folder: Path) -> tuple[Project | None, tuple[Diagnostic, ...]]:
    """The project and everything to say about its files; None when there is no project to speak of."""
    file, diagnostics = read_project_file(folder)
    if file is None:
        return None, diagnostics
    names, found = find_manifests(
        folder,
        file.manifests,
        place=lambda index: file.locate(("spec", "manifests", index)),
        skip=frozenset({PROJECT_FILE}),
    )
    policies, told = read_policies(folder, file)
    found = (*found, *told)
    read = [read_manifest(folder, name) for name in names]
    unread = any(faults for _, faults in read)
    manifests = validate_manifests(
        [document for documents, _ in read for document in documents],
        file,
        manifest_schemas(),
        unread=unread,
        zones=_ZONES,
    )
    diagnostics = (
        *diagnostics,
        *found,
        *(item for _, faults in read for item in faults),
        *manifests.diagnostics,
    )
    project = Project(
        folder=str(folder.resolve()),
        file=replace(file, limits=replace(file.limits, policies=policies)),
        sets=manifests.sets,
        tracked=manifests.tracked,
        digest=project_digest(file, manifests.sets, manifests.tracked),
        warnings=tuple(item for item in diagnostics if item.severity is Severity.WARNING),
    )
    return project, diagnostics


def read_policies(folder: Path, file: ProjectFile) -> tuple[tuple[Policy, ...], tuple[Diagnostic, ...]]:
    """The policies that a project file names, and everything to say about their files."""
    if not file.policies:
        return (), ()
    names, found = find_manifests(
        folder, file.policies, place=lambda index: file.locate(("spec", "policies", index))
    )
    read = [read_policy(folder, name) for name in names]
    policies = tuple(policy for policy, _ in read if policy is not None)
    return policies, (*found, *(item for _, faults in read for item in faults))


def read_policy(folder: Path, name: str) -> tuple[Policy | None, tuple[Diagnostic, ...]]:
    """One policy, or what is wrong with it."""
    document, diagnostics = read_json_file(folder, name)
    if document is None:
        return None, diagnostics
    from reconciler.core.validate.policies import policy_faults

    if faults := placed(document, policy_faults(document.value)):
        return None, tuple(faults)
    return Policy(file=name, digest=digest(document.value), schema=document.value), ()


def _kinds(types: frozenset[str]) -> Kinds:
    """What installed packages offer of these types. Nobody looks for any where all types are ours."""
    if not types:
        return Kinds({}, {}, frozenset())
    from reconciler.adapters.providers.registry import installed

    return installed(types)


def unset(
    project: Project, environ: Mapping[str, str], reach: Collection[str] | None = None
) -> tuple[Diagnostic, ...]:
    """A warning for each environment variable that these manifests, or all, need and that is not set."""
    sets = [item for item in project.sets if reach is None or item.name in reach]
    tracked = [item for item in project.tracked if reach is None or item.name in reach]
    return unset_variables(project.file, sets, tracked, environ)
