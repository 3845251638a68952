"""Two clones of one bare repository, each with a project in it, and lockfiles to put there."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reconciler import api
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.model.batch import Address, JobType, Key, Status
from reconciler.model.lock import Entry, Lock, Origin, Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.model.pushed import Pushed

START = datetime(2026, 9, 1, tzinfo=UTC)
EMPTY = Lock(lineage="line", project="clones", serial=1)

_PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: clones}
spec:
  manifests: ["batches/*.yaml"]
  providers: {local: {type: local, root: documents}}
"""


def entry(directory: str, *batches: str, current: str = "") -> Entry:
    """What is recorded of a directory: running batches, the last of which stands."""
    key = Key("local:documents", "prj", directory, JobType.PARSE_V2, "cfg")
    there = tuple(
        Recorded(name, Status.RUNNING, Origin.CREATED, START + timedelta(hours=number))
        for number, name in enumerate(batches)
    )
    return Entry(key=key, address=Address("set", directory), current=current or batches[-1], batches=there)


def lock(*entries: Entry, serial: int = 2) -> Lock:
    return replace(EMPTY, serial=serial, entries={item.key: item for item in entries})


@dataclass(frozen=True)
class Clone:
    """One clone, whose project is in a folder below its top."""

    top: Path
    environ: Mapping[str, str]

    @property
    def folder(self) -> Path:
        return self.top / "project"

    @property
    def lockfile(self) -> Path:
        return self.folder / "reconciler.lock"

    def git(self, *words: str, fails: bool = False) -> str:
        """Run git, and give what it printed on both streams."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.top,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert bool(done.returncode) == fails, f"git {' '.join(words)}: {done.stdout}"
        return done.stdout.strip()

    def record(self, stands: Lock) -> None:
        """What an apply leaves: a lockfile, and a file of the audit log."""
        self.lockfile.write_text(write_lock(stands))
        audit = self.folder / "audit"
        audit.mkdir(exist_ok=True)
        (audit / f"{self.top.name}-{stands.serial}.jsonl").write_text(f"{self.top.name}\r\n")

    def commit(self, message: str = "by hand") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def push(self, branch: str = "", **more: str) -> Pushed:
        return api.push_lock(self.folder, branch=branch, environ={**self.environ, **more})

    def read(self) -> Lock:
        return read_lock(self.lockfile.read_text(), "reconciler.lock")

    def hook(self, name: str, text: str) -> None:
        """A hook of this repository, whichever that is."""
        path = self.top / self.git("rev-parse", "--git-path", f"hooks/{name}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


@dataclass(frozen=True)
class World:
    """The remote, and two who work with it."""

    remote: Clone
    ada: Clone
    bob: Clone

    def there(self, branch: str = "main") -> Lock:
        """The lockfile as the remote has it."""
        return read_lock(self.remote.git("show", f"{branch}:project/reconciler.lock"), "remote")


def environment(home: Path) -> dict[str, str]:
    """Nothing of the caller's own git."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def make(folder: Path) -> World:
    """A world in which both clones have the same empty lockfile."""
    environ = environment(folder)
    remote, ada, bob = (Clone(folder / name, environ) for name in ("remote.git", "ada", "bob"))
    remote.top.mkdir(parents=True)
    remote.git("init", "--quiet", "--bare", "--initial-branch=main")
    for clone in (ada, bob):
        clone.top.mkdir()
        clone.git("clone", "--quiet", "../remote.git", ".")
        clone.git("config", "user.name", clone.top.name.title())
        clone.git("config", "user.email", f"{clone.top.name}@example.com")
        if clone is ada:
            (ada.folder / "batches").mkdir(parents=True)
            (ada.folder / "reconciler.yaml").write_text(_PROJECT)
            (ada.folder / ".gitignore").write_text("*.lock.journal\n")
            ada.lockfile.write_text(write_lock(EMPTY))
            ada.commit("start")
            ada.git("push", "--quiet", "origin", "main")
    return World(remote, ada, bob)


def copied(template: World, folder: Path) -> World:
    """The same world elsewhere: their remote is found by a path from here to there."""
    shutil.copytree(template.ada.top.parent, folder, symlinks=True)
    environ = environment(folder)
    made = World(
        *(Clone(folder / clone.top.name, environ) for clone in (template.remote, template.ada, template.bob))
    )
    for clone in (made.ada, made.bob):
        clone.git("remote", "set-url", "origin", str(made.remote.top))
    return made
