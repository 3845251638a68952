"""A work tree that follows one ref of a remote, wherever that goes: fetched shallowly, and never merged.

The folder is ours alone: it is made here, marked, and held by one process at a time. What is checked out is
exactly the commit, but for what runs leave beside the manifests: ``audit`` and ``.reconciler``. Credentials
are git's own business.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.adapters.git.program import redacted
from reconciler.model.errors import SettingsError, StateError

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.adapters.git.program import Git

# Stands in the repository's own folder; its lock is that of the checkout.
_MARK = "reconciler-checkout"

# What runs leave behind, and what is not in the remote.
_KEPT = ("audit", ".reconciler")

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "gc.autoDetach=false",
    "gc.pruneExpire=1.hour.ago",  # each commit comes without its past, and the one before is of no use
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "submodule.recurse=false",
    "advice.detachedHead=false",
)

_REF = re.compile(r"[\w./@+-]+")


@dataclass(slots=True)
class Checkout:
    """One ref of one remote in a folder.

    Attributes:
        git: git in the folder.
        folder: the folder; absolute.
        remote: the remote's address, as git takes it.
        ref: a branch, a tag, or a commit's name where the remote lets it be fetched.
        commit: what is checked out; "" before the first update.
    """

    git: Git
    folder: Path
    remote: str
    ref: str
    commit: str = ""
    _held: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what git would take for something else."""
        if not self.remote or self.remote.startswith("-"):
            raise SettingsError(f"{self.remote!r} is no address of a remote", where="--git-remote")
        if not _REF.fullmatch(self.ref) or self.ref.startswith(("-", "+")):
            raise SettingsError(
                f"{self.ref!r} is no ref", where="--git-ref", next="Name a branch, a tag or a commit"
            )
        # Said and not found out: git would go up to the next repository where this one is not whole.
        here = {"GIT_DIR": str(self.folder / ".git"), "GIT_WORK_TREE": str(self.folder)}
        git = replace(self.git, environ={**self.git.environ, **here})
        self.git = git.at(self.folder, *_SETTINGS)

    @property
    def shown(self) -> str:
        """The remote's address, without what stands before an @."""
        return redacted(self.remote)

    def update(self) -> str:
        """Have the ref's commit checked out as it is on the remote now; gives its name.

        Raises:
            SettingsError: the folder is not ours.
            StateError: the remote, the ref or the folder cannot be used; what is checked out may then be
                neither the one nor the other, and is not to be read.
        """
        self._take()
        where = f"{self.shown} {self.ref}"
        self.commit = ""
        options = ("--quiet", "--depth=1", "--no-tags", "--force", "--no-recurse-submodules")
        self.git.must(
            "fetch",
            *options,
            "--end-of-options",
            self.remote,
            self.ref,
            what="the manifests cannot be fetched",
            where=where,
            next="Try it by hand: git ls-remote, with the same address, user and environment",
        )
        broken = {"where": str(self.folder), "next": f"Delete {self.folder / '.git'}; it is made again"}
        found = self.git.must(
            "rev-parse", "--verify", "FETCH_HEAD^{commit}", what="what was fetched is no commit", **broken
        )
        kept = [part for name in _KEPT for part in ("-e", name)]
        what = "the commit cannot be checked out"
        self.git.must("checkout", "--quiet", "--force", "--detach", found, what=what, **broken)
        self.git.must("clean", "-ffdxq", *kept, what=what, **broken)
        self.commit = found
        return found

    def close(self) -> None:
        """Let go of the folder."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _take(self) -> None:
        """Make the folder, if it is not there, and hold it."""
        if self._held is not None:
            return
        own = self.folder / ".git"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not own.exists():
                if any(self.folder.iterdir()):
                    raise _not_ours(self.folder, "there is something else in it")
                own.mkdir()
                (own / _MARK).touch()
            elif not (own / _MARK).exists():
                raise _not_ours(self.folder, "it is a repository of its own, and would be written over")
            held = os.open(own / _MARK, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StateError(
                "the folder of the checkout cannot be used",
                where=str(self.folder),
                why=error.strerror or str(error),
            ) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(held)
            raise _not_ours(self.folder, "another process follows a ref there") from error
        self._held = held
        # Nobody else is here: what a git that was killed has left is in nobody's use.
        for path in own.glob("*.lock"):
            path.unlink(missing_ok=True)
        self.git.must("init", "--quiet", "--template=", what="no repository can be made")


def _not_ours(folder: Path, why: str) -> SettingsError:
    return SettingsError(
        "this folder cannot be used for the checkout",
        where=str(folder),
        why=why,
        next="Name another one with --git-into",
    )
