"""`--changed-since`: which manifests are not now as they were where the work tree and a ref parted.

A manifest is a document, so comments, order of keys and the file that it stands in do not count; one that is
gone has changed, and what it left in the lockfile is selected with it. The project file concerns all of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.adapters.manifests import find_manifests, fits, read_documents, read_manifest
from reconciler.api.pushing import secrets_of
from reconciler.api.reading import PROJECT_FILE
from reconciler.core.validate.across import name_of
from reconciler.model.canonical import digest
from reconciler.model.plan import Since

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.adapters.git.program import Git
    from reconciler.model.project import Project, ProjectFile
    from reconciler.model.source import Document


def changed_since(project: Project, ref: str, environ: Mapping[str, str]) -> Since:
    """What has changed since a ref, in the work tree as it is.

    Raises:
        SettingsError: git does not know the ref here, or nothing that it and the work tree have in common.
        StateError: git cannot be run, or failed.
    """
    from reconciler.adapters.git.changes import changed_files, merge_base, reading
    from reconciler.adapters.git.program import git_in

    folder, file = Path(project.folder), project.file
    git = reading(git_in(folder, environ, frozenset(secrets_of(file))))
    commit = merge_base(git, ref)
    there = frozenset(_real_names(folder, file))
    changed = changed_files(git, commit, {*there, PROJECT_FILE})
    if PROJECT_FILE in changed and _documents(_before(git, commit, PROJECT_FILE)) != {file.name: file.digest}:
        return Since(ref, commit, None)
    before: dict[str, str] = {}
    now: dict[str, str] = {}
    for name in sorted(changed):
        if name in there or fits(file.manifests, name):
            before |= _documents(_before(git, commit, name))
        if name in there:
            now |= _digests(read_manifest(folder, name)[0])
    names = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    return Since(ref, commit, tuple(sorted(names)))


def _real_names(folder: Path, file: ProjectFile) -> Iterator[str]:
    """The manifests' files as git has them: behind the symbolic links that lead to them."""
    skip = frozenset({PROJECT_FILE})
    names, _ = find_manifests(folder, file.manifests, place=lambda _: file.source, skip=skip)
    for name in names:
        yield Path(os.path.relpath(os.path.realpath(folder / name), folder)).as_posix()


def _before(git: Git, commit: str, name: str) -> bytes:
    from reconciler.adapters.git.changes import content_at

    return content_at(git, commit, name) or b""


def _documents(data: bytes) -> dict[str, str]:
    """The digests of a file's documents, by name; of what cannot be read, none."""
    return _digests(read_documents(data, "")[0])


def _digests(documents: Iterable[Document]) -> dict[str, str]:
    return {name: digest(document.value) for document in documents if (name := name_of(document))}
