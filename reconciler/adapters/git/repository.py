"""What is asked of a repository before anything is done to it: where it is, what is going on, where to push.

Each answer that stands in the way of a push is an error with its next command.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.adapters.git.program import redacted
from reconciler.model.errors import SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.adapters.git.program import Git

_GOING_ON = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree.

    Attributes:
        git: git at its top.
        top: its topmost folder.
    """

    git: Git
    top: Path

    def inside(self, path: Path, shown: str) -> str:
        """A path as git has it, relative to the top.

        Raises:
            SettingsError: it is not in this work tree, is a link, or git is told to ignore it.
        """
        if path.is_symlink():
            raise SettingsError(
                f"{shown} is a link",
                where=str(self.top),
                why="git keeps where a link leads to, and nothing of what is there",
                next=f"Put what it leads to in its place: others need what is in {shown}",
            )
        try:
            name = (path.parent.resolve() / path.name).relative_to(self.top).as_posix()
        except ValueError:
            raise SettingsError(
                f"{shown} is not in the work tree",
                where=str(self.top),
                next="state.path in reconciler.yaml says where the lockfile is; keep it beside the manifests",
            ) from None
        if self.git.ask("check-ignore", "--quiet", "--", name).code == 0:
            raise SettingsError(
                f"git ignores {name}",
                where=str(self.top),
                next=f"Take it out of .gitignore: `git check-ignore -v {name}` says which line it is",
            )
        return name

    def refuse_halfway(self, lockfile: str) -> None:
        """Make sure that nobody is in the middle of something.

        Raises:
            StateError: a merge, a rebase or the like is under way.
        """
        for name, what in _GOING_ON.items():
            place = self.git.must("rev-parse", "--git-path", name, what="git does not know its own folder")
            if (self.top / place).exists():
                raise StateError(
                    f"a {what} is under way",
                    where=str(self.top),
                    next=f"Finish it with `git {what} --continue`, or leave it with `git {what} --abort`",
                )
        if self.git.ask("ls-files", "--unmerged", "--", lockfile).out:
            raise StateError(
                f"git holds {lockfile} for unmerged",
                where=str(self.top),
                next=f"Put it right and say so with `git add {lockfile}`",
            )

    def head(self) -> str:
        """The commit that is checked out, or "" before the first one."""
        return self.git.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}").out.strip()

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """What is in files of the work tree; links have nothing in them.

        Raises:
            StateError: one cannot be read.
        """
        paths = {name: self.top / name for name in names}
        try:
            return {name: path.read_bytes() for name, path in paths.items() if not path.is_symlink()}
        except OSError as error:
            raise StateError(
                "a file cannot be read", where=str(error.filename), why=error.strerror or ""
            ) from error

    def changed_by_hooks(self, contents: Mapping[str, bytes]) -> list[str]:
        """Which files the last commit does not have as they were. Those of the work tree are put right.

        Args:
            contents: the files, as git has their names, and what was in them before the commit.
        """
        for name, content in contents.items():
            path = self.top / name
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)
        folders = {name.rpartition("/")[0] for name in contents}
        within = [] if "" in folders else [f":(top,literal){folder}" for folder in sorted(folders)]
        rows = self.git.ask("diff", "--name-only", "-z", "HEAD", "--", *within).out
        return sorted(set(rows.split("\0")) & contents.keys())

    def remote(self, name: str) -> str:
        """A remote's address, without credentials.

        Raises:
            SettingsError: there is none of that name.
        """
        names = self.git.ask("remote").out.splitlines()
        if name not in names:
            known = f"the repository has {', '.join(sorted(names))}" if names else "the repository has none"
            raise SettingsError(
                f"there is no remote {redacted(name)!r}",
                where=str(self.top),
                why=known,
                next="Name one with --remote"
                if names
                else f"`git remote add {name} URL` adds it; without one there is nowhere to push to",
            )
        return redacted(self.git.ask("remote", "get-url", "--push", name).out.strip())

    def branch(self, remote: str, wanted: str, environ: Mapping[str, str]) -> str:
        """The branch of the remote to push to: as wanted, else the upstream, else the one CI names.

        Raises:
            SettingsError: nothing says which.
        """
        if wanted:
            if wanted.startswith("-") or self.git.ask("check-ref-format", f"refs/heads/{wanted}").code:
                raise SettingsError(f"{wanted!r} is no name of a branch", where="--branch")
            return wanted
        here = self.git.ask("symbolic-ref", "--quiet", "--short", "HEAD").out.strip()
        if here:
            if self._setting(f"branch.{here}.remote") == remote:
                return self._setting(f"branch.{here}.merge").removeprefix("refs/heads/") or here
            return here
        if (named := _named_by_ci(environ)) is not None:
            return named
        raise SettingsError(
            "no branch is checked out, so that nothing says where to push to",
            where=str(self.top),
            why="HEAD is detached, as CI checks out pull requests and tags",
            next="Name the branch with --branch",
        )

    def refuse_nameless(self) -> None:
        """Make sure that git knows whose commits it makes.

        Raises:
            SettingsError: it does not.
        """
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            answer = self.git.ask("var", who)
            if answer.code:
                raise SettingsError(
                    "git does not know who commits here",
                    where=str(self.top),
                    why=answer.err.strip().splitlines()[-1] if answer.err.strip() else "",
                    next="`git config user.name NAME` and `git config user.email ADDRESS`;"
                    " nothing was changed",
                )

    def _setting(self, name: str) -> str:
        return self.git.ask("config", "--get", name).out.strip()


def repository_of(git: Git) -> Repository:
    """The work tree that a folder is in.

    Raises:
        SettingsError: it is in none.
    """
    answer = git.ask("rev-parse", "--show-toplevel")
    top = answer.out.removesuffix("\n")
    if answer.code or not top:
        raise SettingsError(
            "this folder is in no work tree of git",
            where=str(git.folder),
            why=answer.said if answer.code else "the repository is bare",
            next="`git init` makes one; `reconciler lock push` needs a remote as well",
        )
    return Repository(git.at(Path(top)), Path(top))


def _named_by_ci(environ: Mapping[str, str]) -> str | None:
    """The branch that a pipeline runs for; None in one for a tag or a pull request."""
    if environ.get("GITHUB_ACTIONS") == "true" and environ.get("GITHUB_REF", "").startswith("refs/heads/"):
        return environ["GITHUB_REF"].removeprefix("refs/heads/")
    if environ.get("GITLAB_CI") == "true":
        return environ.get("CI_COMMIT_BRANCH") or None
    return None
