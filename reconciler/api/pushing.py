"""A project's lockfile in its repository: having git merge it by our rules, and pushing it.

The lock is held while the lockfile is committed and put on top of others' work: no run may change it
meanwhile, nor be surprised by a change.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from reconciler.api.merging import conflict_error, merge_contents
from reconciler.api.reading import read_project_file
from reconciler.api.running import environment_of, system_clock
from reconciler.api.stores import file_store_of, lockfile_of
from reconciler.model.errors import ManifestError, StateError
from reconciler.model.project import ForeignProvider, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from reconciler.model.project import ProjectFile
    from reconciler.model.pushed import Pushed

# Where providers look for a key if their block does not say.
USUAL_KEYS = frozenset({"LLAMA_CLOUD_API_KEY", "TALONIC_API_KEY"})


def install_merging(folder: Path, environ: Mapping[str, str] | None) -> list[str]:
    """Have git merge a project's lockfile by our rules; gives what was done."""
    from reconciler.adapters.git.attributes import install
    from reconciler.adapters.git.program import git_in
    from reconciler.adapters.git.repository import repository_of

    file = _project_file(folder)
    git = git_in(folder.resolve(), environment_of(environ), frozenset(secrets_of(file)))
    shown = lockfile_of(file)
    repository_of(git).inside(folder / shown, shown)
    return install(git, folder, shown)


def push_lockfile(
    folder: Path,
    environ: Mapping[str, str] | None,
    *,
    message: str,
    remote: str,
    branch: str,
    lock_timeout: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Pushed:
    """Commit a project's lockfile and push it."""
    from reconciler.adapters.git.program import git_in
    from reconciler.adapters.git.push import Push
    from reconciler.adapters.git.repository import repository_of
    from reconciler.adapters.stores.merging import read_side

    file, env = _project_file(folder), environment_of(environ)
    shown = lockfile_of(file)
    repository = repository_of(git_in(folder.resolve(), env, frozenset(secrets_of(file))))
    lockfile = repository.inside(folder / shown, shown)
    repository.refuse_halfway(lockfile)
    address, there = repository.remote(remote), repository.branch(remote, branch, env)
    store = file_store_of(folder, file, system_clock())
    if not store.path.exists():
        raise StateError(
            "there is no lockfile yet", where=shown, next="`reconciler apply` writes it; then push it"
        )

    def conflict(base: bytes, ours: bytes, theirs: bytes) -> StateError | None:
        try:
            merged = merge_contents(base, ours, theirs, shown)
        except StateError as error:
            return error
        return conflict_error(merged, shown, "") if merged.conflicts else None

    with store.hold(lock_timeout) as session:
        pushed = Push(
            repository=repository,
            remote=remote,
            address=address,
            branch=there,
            lockfile=lockfile,
            audit=repository.inside(folder / "audit", "audit"),
            message=message or f"Record the batches that stand in {lockfile}",
            readable=lambda content: read_side(content, shown),
            conflict=conflict,
            # Others that were refused in the same moment are not to come again in the same moment.
            pause=lambda seconds: sleep(seconds * random.uniform(0.5, 1.5)),  # noqa: S311 - no secret
        ).run()
        left = len(session.journal.open) + len(session.journal.recovered)
    if left and not pushed.note:
        return pushed._replace(
            note=f"{left} creates are in {store.journal_shown} alone: run apply, and push again"
        )
    return pushed


def _project_file(folder: Path) -> ProjectFile:
    file, diagnostics = read_project_file(folder)
    if file is None:
        raise ManifestError(diagnostics)
    return file


def secrets_of(file: ProjectFile) -> Iterator[str]:
    """Variables that hold the services' keys or the audit log's, which neither git nor its hooks need."""
    from reconciler.adapters.audit import KEY_VARIABLE

    yield KEY_VARIABLE
    yield from USUAL_KEYS
    for spec in file.providers.values():
        match spec:
            case LocalProvider():
                pass
            case ForeignProvider():
                yield from (variable for _, variable in spec.secrets())
            case _ if spec.api_key is not None:
                yield spec.api_key.variable
