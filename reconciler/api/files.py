"""Faces for a project's files alone: no service is asked, and no state is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.api.running import environment_of
from reconciler.model.errors import ManifestError
from reconciler.model.source import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.model.batch import Address
    from reconciler.model.plan import Selected
    from reconciler.model.policy_test import PolicyTest
    from reconciler.model.project import Project
    from reconciler.model.saved import SavedPlan
    from reconciler.model.source import Diagnostic, Source


def load(folder: str | Path = ".") -> Project:
    """Read the project file of a folder and all its manifests.

    Raises:
        ManifestError: they have faults; it carries all of them.
    """
    from reconciler.api.reading import read_project

    project, diagnostics = read_project(Path(folder))
    errors = [item for item in diagnostics if item.severity is Severity.ERROR]
    if project is None or errors:
        raise ManifestError(errors)
    return project


def validate(folder: str | Path = ".", *, environ: Mapping[str, str] | None = None) -> tuple[Diagnostic, ...]:
    """Everything there is to say about a project's files, warnings included, without asking any service.

    Args:
        folder: the project's folder.
        environ: environment variables; those of this process by default.
    """
    from reconciler.api.reading import read_project, unset

    project, diagnostics = read_project(Path(folder))
    if project is not None:
        diagnostics = (*diagnostics, *unset(project, environment_of(environ)))
    return tuple(sorted(diagnostics))


def places(project: Project, selected: Iterable[Selected] = ()) -> Callable[[Address, str], Source | None]:
    """Finds where a manifest asks for an address, given it and its directory's name, if that is known.

    Args:
        project: as `load` gives it.
        selected: what names stand for, as a plan has it.
    """
    from reconciler.core.places import places as find

    return find(project, selected)


def init(folder: str | Path = ".") -> list[str]:
    """Write a small commented project that validates and plans; gives the names of the files.

    Raises:
        SettingsError: a file that it would write exists already.
    """
    from reconciler.adapters.scaffold import write_project

    return write_project(Path(folder))


def schema_names() -> list[str]:
    """The kinds that `schema` knows."""
    from reconciler.adapters import schemas

    return sorted({*schemas.SCHEMA_KINDS, *schemas.schema_names()} - set(schemas.SCHEMA_KINDS.values()))


def schema(kind: str) -> str:
    """The JSON Schema of a kind of document, as text.

    Raises:
        SettingsError: there is no such kind.
    """
    from reconciler.adapters.schemas import schema_text

    return schema_text(kind)


def write_new(folder: str | Path, files: Mapping[str, str]) -> list[str]:
    """Write files that do not exist yet, and give their paths.

    Raises:
        SettingsError: one exists already, so that nothing was written; or one cannot be written.
    """
    from reconciler.adapters.new_files import write_new as write

    return write(Path(folder), files)


def refuse_plan_file(path: str | Path) -> None:
    """Make sure that `save_plan` would not write over something else.

    Raises:
        SettingsError: something is there that is no plan.
    """
    from reconciler.adapters.plan_file import refuse_other

    refuse_other(Path(path))


def save_plan(path: str | Path, document: Mapping[str, Any]) -> str:
    """Write a plan's document, so that `read_plan` and `apply` can take it; gives its own digest.

    Raises:
        SettingsError: the file cannot be written, or something else stands in it.
    """
    from reconciler.adapters.plan_file import write_plan

    return write_plan(Path(path), document)


def read_plan(path: str | Path) -> SavedPlan:
    """Read a saved plan.

    Raises:
        SettingsError: it cannot be read, is no plan, is one of a newer tool, or was edited.
    """
    from reconciler.adapters.plan_file import read_plan as read

    return read(Path(path))


def try_policies(
    folder: str | Path = ".", *, paths: Sequence[str] = (), plan: str | None = None
) -> PolicyTest:
    """Hold policies against the samples beside them, or against one plan.

    Args:
        folder: the project's folder.
        paths: the policies' files; those that the project file names by default.
        plan: a file with a plan's document.

    Raises:
        ManifestError: a policy or the project file has faults.
        SettingsError: there are no policies, or the plan cannot be read.
    """
    from reconciler.api.policies import try_policies as tried

    return tried(Path(folder), paths, plan)


def merge_lock(base: str | Path, ours: str | Path, theirs: str | Path, *, shown: str = "") -> str:
    """Merge two lockfiles as git's merge drivers do: the result is left in ``ours``.

    Args:
        base: what both began with; an empty file where there was nothing.
        ours: one of them, and the place of the result.
        theirs: the other.
        shown: the lockfile's name for messages; that of ``ours`` by default.

    Returns:
        Something to be said beside it, or "".

    Raises:
        StateError: they cannot be merged; ``ours`` then has conflict marks, and no command takes it for a
            lockfile.
    """
    from reconciler.api.merging import merge_lockfiles

    return merge_lockfiles(Path(base), Path(ours), Path(theirs), shown or str(ours))


def install_merge_driver(
    folder: str | Path = ".", *, environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Have git merge a project's lockfile by `merge_lock`; gives what was done, or nothing if it was.

    Raises:
        ManifestError: the project file has faults.
        SettingsError: the folder is in no work tree, or ``.gitattributes`` cannot be written.
        StateError: git cannot be run, or refused.
    """
    from reconciler.api.pushing import install_merging

    return tuple(install_merging(Path(folder), environ))
