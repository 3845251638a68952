"""How a lockfile gets to a remote that others push to as well.

Commit the lockfile and the audit log, and nothing else that lies about; push; where the remote has moved, put
the commit on top of what it has by now and push again; in the end, look whether the remote really has it.
Putting it on top happens in a work tree of its own, so that nothing is half done here when it fails: the
local commit stays. Only when the remote has the commit does the branch here follow.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.adapters.git.attributes import DRIVER, pattern
from reconciler.model.errors import SettingsError, StateError
from reconciler.model.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.adapters.git.program import Answer, Git
    from reconciler.adapters.git.repository import Repository

#: So often a commit is pushed before it is given up.
TRIES = 8

# Looks at a remote that does not show yet what it has accepted, and seconds between them.
_LOOKS, _BETWEEN = 3, 1.0

# What a remote says of a branch that somebody else has moved meanwhile: the fetch will show it.
_MOVED = re.compile(
    r"fetch first|non-fast-forward|stale info|cannot lock ref|failed to update ref|incorrect old"
)

_COMMAND = (sys.executable, "-P", "-m", "reconciler", "lock", "merge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One lockfile on its way to one branch of one remote.

    Attributes:
        repository: where it is.
        remote: the remote's name.
        address: its address, for messages.
        branch: the branch there.
        lockfile: as git has it, relative to the top.
        audit: the folder of the audit log, likewise.
        message: of the commit.
        readable: raises `StateError` if a content is no lockfile.
        conflict: an error in words for contents of a lockfile that cannot be merged: what both began with,
            what is here, what the remote has. None if they can.
        pause: lets about so many seconds go by.
    """

    repository: Repository
    remote: str
    address: str
    branch: str
    lockfile: str
    audit: str
    message: str
    readable: Callable[[bytes], object]
    conflict: Callable[[bytes, bytes, bytes], StateError | None]
    pause: Callable[[float], None]

    def run(self) -> Pushed:
        """Commit, push, and see that it is there.

        Raises:
            StateError: the remote does not have it. Whatever was committed stays committed.
            SettingsError: git does not know who commits.
        """
        files = self.changed()
        if files:
            self.repository.refuse_nameless()
            self.commit(files)
        mine = self.repository.head()
        tip = "" if files else self.tip()
        if not mine or not (files or self.outstanding(mine, tip)):
            return Pushed(self.remote, self.branch)
        pushed, rebased = self.push(mine)
        self.look_for(pushed, mine)
        note = self.follow(mine, pushed)
        return Pushed(self.remote, self.branch, pushed, tuple(files), rebased, note)

    # What is to be pushed

    def changed(self) -> list[str]:
        """The lockfile, the audit files and their signatures, where they differ from the last commit.

        A file of the audit log that is gone is left out: its loss is for `audit verify` to tell, and not for
        a commit to hide.
        """
        audit = f":(top,glob){_globbed(self.audit)}"
        patterns = [f":(top,literal){self.lockfile}", f"{audit}/*.jsonl", f"{audit}/*.signed"]
        answer = self.git.ask(
            *("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching"),
            *("--", *patterns),
        )
        if answer.code:
            raise StateError("git cannot tell what has changed", where=self.lockfile, why=answer.said)
        rows = [(row[:2], row[3:]) for row in answer.out.split("\0") if row]
        if ignored := sorted(name for state, name in rows if state == "!!"):
            raise SettingsError(
                f"git ignores {ignored[0]}",
                where=str(self.repository.top),
                why="the lockfile names what is in the audit log, and others would lack it",
                next=f"Take it out of .gitignore: `git check-ignore -v {shlex.quote(ignored[0])}` says which"
                " line it is",
            )
        return sorted(name for state, name in rows if "D" not in state)

    def commit(self, files: Sequence[str]) -> None:
        """Commit these files as they are in the work tree, and leave alone what else is staged.

        Raises:
            StateError: a hook refused it, or changed what is recorded. Nothing is left of it then.
        """
        git, paths = self.git, ("--pathspec-from-file=-", "--pathspec-file-nul")
        contents = self.repository.contents(files)
        before = self.repository.head()
        what = "the lockfile could not be committed"
        given = [f":(literal){name}" for name in files]
        known = set(git.ask("ls-files", "-z", "--", self.lockfile, self.audit).out.split("\0"))
        new = [f":(literal){name}" for name in files if name not in known]
        if new:
            git.must("add", *paths, what=what, given=new, where=self.lockfile)
        done = git.ask("commit", "--quiet", "--only", f"--message={self.message}", *paths, given=given)
        if done.code:
            if new:  # what git did not know before it does not know after it either
                git.ask("rm", "--cached", "--quiet", "--force", *paths, given=new)
            raise StateError(
                what,
                where=self.lockfile,
                why=done.said,
                next="Nothing was pushed, and the files are as they were; a hook of the repository may have"
                " refused it",
            )
        if changed := self.repository.changed_by_hooks(contents):
            git.must("update-ref", *(("HEAD", before) if before else ("-d", "HEAD")), what=what)
            undo = ("reset", "--quiet") if before else ("rm", "--cached", "--quiet", "--force")
            git.ask(*undo, *paths, given=given)
            raise StateError(
                f"a hook of the repository changed {changed[0]} while it was committed",
                where=self.lockfile,
                why="what is recorded is true only as it was written",
                next="Nothing was pushed, and the files are as they were. Have formatters and hooks leave"
                f" {self.lockfile} and {self.audit} alone, then run it again",
            )

    def outstanding(self, mine: str, tip: str) -> bool:
        """Whether a commit of the lockfile is not there yet: an earlier push may have failed."""
        if tip and not self.known(tip):
            self.fetch()
        known = [f"^{tip}"] if tip and self.known(tip) else []
        said = self.git.must(
            *("rev-list", "--max-count=1", mine, *known, "--"),
            *(f":(top,literal){self.lockfile}", f":(top,literal){self.audit}"),
            what="git cannot tell what the remote lacks",
        )
        return bool(said)

    # Pushing

    def push(self, mine: str) -> tuple[str, int]:
        """Push until the remote takes it; give the commit as it is there, and how often it was redone."""
        commit, rebased = mine, 0
        for number in range(TRIES):
            done = self.git.ask(
                *("push", "--porcelain", "--no-follow-tags", "--no-recurse-submodules"),
                *(self.remote, f"{commit}:refs/heads/{self.branch}"),
            )
            if not done.code:
                return commit, rebased
            refused = _refusal(done)
            if not _MOVED.search(refused or done.err):
                if "[remote rejected]" not in refused and self.arrived(commit):
                    return commit, rebased  # the reply was lost, not the push
                raise self.failed(_why(done, refused), mine)
            if number:
                self.pause(min(0.2 * 2**number, 5.0))
            tip = self.fetch()
            if tip:
                commit, rebased = self.on_top(commit, tip), rebased + 1
                if self.ancestor(commit, tip):
                    return tip, rebased  # somebody else has pushed the very same
        raise StateError(
            f"the branch {self.branch} of {self.remote} moved each of {TRIES} times",
            where=self.address,
            why="others push to it all the time",
            next=f"{self.stays(mine)} Run `reconciler lock push` again",
        )

    def on_top(self, commit: str, tip: str) -> str:
        """The commit, and what else is not on the remote, on top of what the remote has."""
        if self.ancestor(tip, commit):
            return commit
        if self.git.ask("merge-base", commit, tip).code:
            raise StateError(
                f"{self.branch} of {self.remote} and this work tree have no commit in common",
                where=self.address,
                why="the clone may be too shallow for it",
                next=f"{self.stays(commit)} `git fetch --unshallow {self.remote}`, then push again",
            )
        with tempfile.TemporaryDirectory(prefix="reconciler-push-") as folder:
            attributes, tree = Path(folder) / "attributes", Path(folder) / "tree"
            attributes.write_text(f"{pattern(self.lockfile)} merge={DRIVER}\n", encoding="utf-8")
            driver = f"{shlex.join(_COMMAND)} %O %A %B %P"
            aside = self.git.at(
                self.git.folder,
                *(
                    "core.hooksPath=/dev/null",
                    f"core.attributesFile={attributes}",
                    f"merge.{DRIVER}.driver={driver}",
                ),
                *("rebase.autoStash=false", "rebase.updateRefs=false", "rerere.enabled=false"),
                *("advice.detachedHead=false", "rebase.autoSquash=false"),
            )
            aside = replace(aside, environ={**aside.environ, "GIT_LFS_SKIP_SMUDGE": "1"})
            what = "the commit could not be put on top of the remote's"
            aside.must("worktree", "add", "--quiet", "--detach", str(tree), commit, what=what)
            try:
                return self.rebased(replace(aside, folder=tree), commit, tip)
            finally:
                aside.ask("worktree", "remove", "--force", "--force", str(tree))

    def rebased(self, git: Git, commit: str, tip: str) -> str:
        """What comes of it there, which has to be a lockfile."""
        done = git.ask("rebase", "--quiet", "--no-fork-point", tip)
        if done.code:
            raise self.unmerged(git, commit, done)
        made = git.must("rev-parse", "HEAD", what="git does not know what it made")
        content = git.ask("cat-file", "blob", f"{made}:{self.lockfile}").out
        try:
            self.readable(content.encode("utf-8", "surrogateescape"))
        except StateError as error:
            raise StateError(
                f"what {self.branch} of {self.remote} has and what is here make no lockfile together",
                where=error.where or self.lockfile,
                why=error.what,
                next=f"{self.stays(commit)} Put right what is there, then push again",
            ) from error
        return made

    def unmerged(self, git: Git, commit: str, done: Answer) -> StateError:
        """Why it could not be put on top."""
        by_hand = (
            f"`reconciler lock merge --install`, `git pull --rebase {self.remote} {self.branch}`, put it"
            " right as that says, then `reconciler lock push`"
        )
        names = git.ask("diff", "--name-only", "-z", "--diff-filter=U").out.split("\0")
        if self.lockfile in names:
            # In a rebase, git calls ours what is there already; here it is what this work tree has.
            stages = [git.ask("cat-file", "blob", f":{at}:{self.lockfile}") for at in (1, 3, 2)]
            error = self.conflict(*(item.out.encode("utf-8", "surrogateescape") for item in stages))
            if error is not None:
                return StateError(
                    error.what,
                    where=error.where or self.lockfile,
                    why=error.why,
                    next=f"{self.stays(commit)} {by_hand}",
                )
        there = ", ".join(name for name in names if name)
        return StateError(
            f"the commits here do not fit on top of {self.branch} of {self.remote}",
            where=there or self.address,
            why=f"{there} changed on both sides" if there else done.said,
            next=f"{self.stays(commit)} {by_hand}",
        )

    # What the remote has

    def tip(self) -> str:
        """The commit that the branch is at on the remote, or "" where it does not exist yet."""
        name = f"refs/heads/{self.branch}"
        said = self.git.must(
            *("ls-remote", self.remote, name),
            what=f"the remote {self.remote} does not answer",
            where=self.address,
            next=f"{self.stays(self.repository.head())} Check the address and what may be read with these"
            " credentials, then run it again",
        )
        rows = [line.split("\t") for line in said.splitlines()]
        return next((row[0] for row in rows if row[1:] == [name]), "")

    def fetch(self) -> str:
        """The same, once the commit is known here as well."""
        tip = self.tip()
        if tip and not self.known(tip):
            self.git.must(
                *(
                    "fetch",
                    "--quiet",
                    "--no-tags",
                    "--no-recurse-submodules",
                    self.remote,
                    f"refs/heads/{self.branch}",
                ),
                what=f"what {self.remote} has cannot be fetched",
                where=self.address,
                next=f"{self.stays(self.repository.head())} `git fetch {self.remote}` says more",
            )
        return tip

    def has(self, commit: str) -> bool:
        """Whether the remote's branch holds a commit."""
        tip = self.fetch()
        return bool(tip) and self.ancestor(commit, tip)

    def arrived(self, commit: str) -> bool:
        """The same where nobody knows whether the remote answers at all."""
        try:
            return self.has(commit)
        except StateError:
            return False

    def look_for(self, commit: str, mine: str) -> None:
        """Make sure that the remote has what it has accepted."""
        for number in range(_LOOKS):
            if number:
                self.pause(_BETWEEN)
            if self.has(commit):
                return
        raise StateError(
            f"{self.remote} accepted the push, and its branch {self.branch} does not have it",
            where=self.address,
            why="a hook or a rule of the remote took it back, or somebody has overwritten the branch",
            next=f"{self.stays(mine)} Ask who looks after the remote: others do not see what is recorded",
        )

    def failed(self, why: str, mine: str) -> StateError:
        """The remote did not take it."""
        return StateError(
            f"{self.remote} did not accept the push to {self.branch}",
            where=self.address,
            why=why,
            next=f"{self.stays(mine)} Where the branch is protected, let this actor push to it, or push to"
            " another with --branch and open a pull request",
        )

    def stays(self, commit: str) -> str:
        """What is left of it all here."""
        return f"The lockfile stays committed here, in {commit[:12]}, and was not pushed." if commit else ""

    # The branch here

    def follow(self, mine: str, pushed: str) -> str:
        """Have the branch and the work tree here follow the remote; give what was in the way, or ""."""
        if mine == pushed:
            return ""
        self.git.ask("update-index", "-q", "--refresh")
        moved = self.git.ask("read-tree", "-m", "-u", mine, pushed)
        if not moved.code:
            moved = self.git.ask("update-ref", "-m", "reconciler lock push", "HEAD", pushed, mine)
        if not moved.code:
            return ""
        return (
            f"the remote has it, but this work tree stays at {mine[:12]}, with the lockfile as it was before"
            f" the merge: {moved.said}. Run `git pull --rebase {self.remote} {self.branch}` before the next"
            " apply"
        )

    def known(self, commit: str) -> bool:
        """Whether a commit is here."""
        return self.git.ask("cat-file", "-e", f"{commit}^{{commit}}").code == 0

    def ancestor(self, commit: str, of: str) -> bool:
        """Whether a commit is part of another's past."""
        return self.git.ask("merge-base", "--is-ancestor", commit, of).code == 0

    @property
    def git(self) -> Git:
        """The program, at the top of the work tree."""
        return self.repository.git


def _refusal(done: Answer) -> str:
    """What the remote said of the branch, or "" where it did not get to that."""
    rows = [line.split("\t") for line in done.out.splitlines() if line.startswith("!")]
    return rows[0][-1] if rows else ""


def _why(done: Answer, refused: str) -> str:
    remote = [
        line.removeprefix("remote:").strip() for line in done.err.splitlines() if line.startswith("remote:")
    ]
    told = "; ".join(line for line in remote if line)
    return ": ".join(part for part in (refused, told) if part)[:600] or done.said


def _globbed(path: str) -> str:
    return re.sub(r"([\\*?\[\]])", r"\\\1", path)
