"""What has changed in a folder since the work tree and another line of work parted.

Compared with the merge base, as reviews of pull requests do: what others changed meanwhile is not ours.
What counts is the work tree, with what was not committed or added yet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.adapters.git.program import Git

_WHERE = "--changed-since"


def reading(git: Git) -> Git:
    """The same git, that leaves the index alone while somebody else may be committing."""
    return replace(git, environ={**git.environ, "GIT_OPTIONAL_LOCKS": "0"})


def merge_base(git: Git, ref: str) -> str:
    """The commit at which what is checked out and a ref parted.

    Raises:
        SettingsError: there is no work tree, no such commit, or nothing that both have in common.
    """
    inside = git.ask("rev-parse", "--is-inside-work-tree")
    if inside.code or inside.out.strip() != "true":
        raise SettingsError(
            "this folder is in no work tree of git, so that nothing says what has changed",
            where=str(git.folder),
            why=inside.said if inside.code else "the repository is bare",
            next=f"Run it in a clone, or leave {_WHERE} out",
        )
    for name in (ref, "HEAD"):
        found = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if not name or name.startswith("-") or found.code:
            raise _no_commit(git, name)
    found = git.ask("merge-base", "--end-of-options", ref, "HEAD")
    commit = found.out.strip()
    if found.code or not commit:
        raise SettingsError(
            f"{ref!r} and what is checked out have no commit in common",
            where=_WHERE,
            why="the clone is shallow, and where they parted is not in it" if _shallow(git) else "",
            next="`git fetch --unshallow` brings the rest (in GitHub's checkout: fetch-depth: 0)"
            if _shallow(git)
            else "Name a ref of this history",
        )
    return commit


def changed_files(git: Git, commit: str, names: Iterable[str]) -> frozenset[str]:
    """Names of files, relative to git's folder, that are not now as they were at a commit.

    Args:
        git: git in the folder.
        commit: to compare with.
        names: of files that are there and count as changed where git does not know them yet.

    Raises:
        StateError: git failed.
    """
    options = ("--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative")
    what = "git cannot tell what has changed"
    diff = git.must("diff", *options, "--ignore-submodules=all", commit, "--", what=what)
    known = git.must("ls-files", "-z", "--cached", "--", what=what)
    untracked = frozenset(names) - frozenset(known.split("\0"))
    return untracked | {name for name in diff.split("\0") if name}


def content_at(git: Git, commit: str, name: str) -> bytes | None:
    """What a file held at a commit, or None where it was not there."""
    answer = git.ask("cat-file", "blob", f"{commit}:./{name}")
    return None if answer.code else answer.out.encode("utf-8", "surrogateescape")


def _shallow(git: Git) -> bool:
    return git.ask("rev-parse", "--is-shallow-repository").out.strip() == "true"


def _no_commit(git: Git, name: str) -> SettingsError:
    if name == "HEAD":
        return SettingsError(
            "there is no commit yet, so that nothing says what has changed",
            where=str(git.folder),
            next=f"Commit first, or leave {_WHERE} out",
        )
    fetch = "`git fetch --unshallow`" if _shallow(git) else "`git fetch`"
    return SettingsError(
        f"there is no commit {name!r} here",
        where=_WHERE,
        next=f"{fetch} may bring it; `git branch --all` lists what there is",
    )
