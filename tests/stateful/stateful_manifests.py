"""Manifests as people edit them: a few sets as values, their YAML, and what the real reader makes of that.

Edits are made on the values, so that they shrink well; what is planned from is always the text, through the
real parser, validation and expansion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from engine_time import START
from engine_world import ENDPOINT, PROJECT

from reconciler.adapters.manifests import read_documents
from reconciler.adapters.schemas import manifest_schemas
from reconciler.core.expand import expand
from reconciler.core.validate import project_digest, validate_manifests, validate_project
from reconciler.model.batch import Home, JobType, Key
from reconciler.model.project import Project

if TYPE_CHECKING:
    from reconciler.model.desired import Desired

PROJECT_FILE = f"""\
apiVersion: reconciler/v1
kind: Project
metadata: {{name: life}}
spec:
  manifests: ["*.yaml"]
  providers:
    prod: {{type: llamacloud, projectId: {PROJECT}, baseUrl: "{ENDPOINT}"}}
"""


@dataclass(frozen=True)
class Set:
    """One BatchSet. ``after`` is in seconds since the start of the world, by the service's clock."""

    configuration: str
    directories: tuple[str, ...]
    after: int | None = None
    attempts: int = 3
    on_cancelled: str = "hold"
    on_remove: str = "keep"

    def text(self, name: str) -> str:
        after = ""
        if self.after is not None:
            moment = START + timedelta(seconds=self.after)
            after = f"after: {moment:%Y-%m-%dT%H:%M:%S}Z, "
        directories = "".join(f"    - id: {directory}\n" for directory in self.directories)
        return f"""\
---
apiVersion: reconciler/v1
kind: BatchSet
metadata: {{name: {name}}}
spec:
  provider: prod
  job: {{type: parse_v2, configuration: {self.configuration}}}
  directories:
{directories}\
  rerun: {{{after}onFailed: {{maxAttempts: {self.attempts}}}, onCancelled: {self.on_cancelled}}}
  onRemove: {self.on_remove}
"""


#: Sets by name, sorted by it.
Manifests: TypeAlias = tuple[tuple[str, Set], ...]


def owner(manifests: Manifests, directory: str, configuration: str) -> str | None:
    """The set that desires this work already."""
    for name, item in manifests:
        if item.configuration == configuration and directory in item.directories:
            return name
    return None


def put(manifests: Manifests, name: str, item: Set) -> Manifests:
    """With one set written anew, or taken out if it has no directories left; unchanged if R12 forbids it."""
    others = tuple(pair for pair in manifests if pair[0] != name)
    if any(owner(others, directory, item.configuration) for directory in item.directories):
        return manifests
    written = (
        ((name, replace(item, directories=tuple(sorted(item.directories)))),) if item.directories else ()
    )
    return tuple(sorted((*others, *written), key=lambda pair: pair[0]))


def swap(manifests: Manifests, one: str, other: str) -> Manifests:
    """With the configurations of two sets exchanged; unchanged if there are not both."""
    sets = dict(manifests)
    if one not in sets or other not in sets:
        return manifests
    first, second = sets[one], sets[other]
    sets[one] = replace(first, configuration=second.configuration)
    sets[other] = replace(second, configuration=first.configuration)
    keys = [(directory, item.configuration) for item in sets.values() for directory in item.directories]
    return tuple(sorted(sets.items(), key=lambda pair: pair[0])) if len(set(keys)) == len(keys) else manifests


def policies(manifests: Manifests) -> dict[Key, Set]:
    """Per desired key, the set that asks for it, as the oracle reads it."""
    return {
        Key(ENDPOINT, PROJECT, directory, JobType.PARSE_V2, item.configuration): item
        for _, item in manifests
        for directory in item.directories
    }


@cache
def _project() -> Project:
    documents, faults = read_documents(PROJECT_FILE.encode(), "reconciler.yaml")
    file, more = validate_project(documents, manifest_schemas(), file="reconciler.yaml")
    assert file is not None, (*faults, *more)
    return Project(folder=".", file=file, sets=(), tracked=(), digest="", warnings=())


@cache
def read(manifests: Manifests) -> Desired:
    """What the real code reads out of the YAML."""
    text = "".join(item.text(name) for name, item in manifests)
    documents, faults = read_documents(text.encode(), "batches.yaml")
    project = _project()
    read = validate_manifests(documents, project.file, manifest_schemas())
    assert not faults, text
    assert not read.diagnostics, (text, read.diagnostics)
    digest = project_digest(project.file, read.sets, read.tracked)
    return expand(replace(project, sets=read.sets, digest=digest), {"prod": Home(ENDPOINT, PROJECT)})
