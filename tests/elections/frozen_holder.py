"""Holders of the lock that are stopped at one instant each, others that take over, and what came of it.

The two of a pair are runners in folders of their own that share nothing but the store and the service. How
a process stops itself is `frozen_child`'s business. A database's session is ended by the server while its
holder is frozen, as it does where a machine is gone; a lease runs out, since the clock that all go by is
moved on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import frozen_child
from bucket_project import BucketProject
from frozen_child import ASKED, FROZEN, NEVER, UNDISTURBED, WINDOW
from neighbour_project import APPLY, Ended, until
from shared_project import SharedProject, shared_project

from reconciler.adapters.audit import verify
from reconciler.adapters.stores.object.lease import MARGIN, Terms
from reconciler.adapters.stores.postgres.seats import lock_number
from reconciler.api.stores import fetch_audit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emulator_process import Emulator
    from object_servers import Buckets
    from postgres_server import Server

_NUMBERS = itertools.count(1)
_ALONE = ("--parallelism", "1")  # so that instants come in the same order in each run

#: A lease, a send's time-out, the settle time of the projects here and the margin, as the product has them.
TAKEOVER = Terms().lease + 120.0 + 1.0 + MARGIN


@contextlib.contextmanager
def zygote() -> Iterator[Path]:
    """Who forks the processes here while the block lasts."""
    folder = Path(tempfile.mkdtemp())
    here = Path(frozen_child.__file__).parent
    command = [sys.executable, frozen_child.__file__, str(folder / "line")]
    shared = os.pathsep.join([str(here), str(here.parent / "kills")])
    environ = os.environ | {"PYTHONPATH": shared}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield folder / "line"
        finally:
            server.kill()
            shutil.rmtree(folder)


@dataclass
class Holder:
    """One process that may stop itself, and what it names on its way."""

    pipe: BinaryIO
    printed: BinaryIO
    names: list[str] = field(default_factory=list)

    def frozen(self) -> bool:
        """Wait until it stops or ends; whether it stopped."""
        while FROZEN not in self.names:
            line = self.pipe.readline().decode().strip()
            if not line:
                return False
            self.names.append(line)
        until("it has stopped", lambda: self._stat().startswith("T"))
        return True

    def _stat(self) -> str:
        return Path(f"/proc/{self.names[0]}/stat").read_text().rpartition(") ")[2]

    def wake(self) -> None:
        os.kill(int(self.names[0]), signal.SIGCONT)

    def ended(self) -> tuple[Ended, list[str]]:
        """Its end, and the names of the instants that it reached."""
        with self.pipe, self.printed:
            self.names += self.pipe.read().decode().splitlines()
            self.printed.seek(0)
            lines = [line.rstrip() for line in self.printed.read().decode().splitlines()]
        return Ended(int(self.names[-1]), lines), self.names[1:-1]


@dataclass
class Freeze:
    """What one freeze came to.

    Attributes:
        at: the name of the instant.
        before: the names of those before it.
        old: the end of the one that was frozen.
        new: the end of the one that took over.
        sends: how many creates were sent once the first was awake again.
        refused: whether the first changed nothing of the state any more.
        counts: how many batches there are over each directory.
        recorded: how many of them the lockfile names.
        faults: those of the audit log.
        other: the project as the second has it.
        story: all that was printed, for where something is not as it has to be.
    """

    at: str
    before: list[str]
    old: Ended
    new: Ended
    sends: int
    refused: bool
    counts: list[int]
    recorded: int
    faults: list[str]
    other: Project
    story: str

    @property
    def window(self) -> bool:
        """Whether the last look at the lock was over, and what had to follow it was not sent.

        A database answers that look, so the instant of its answer is within the window as well.
        """
        asked = self.at == ASKED and self.before[-1].startswith("after headers POST")
        return self.at == WINDOW or asked

    @property
    def sound(self) -> bool:
        """One batch of each, each recorded, with a sound audit log, and nothing of the late one's."""
        once = self.counts == [1] * len(self.counts) and not self.sends
        return once and self.recorded == len(self.counts) and not self.faults and self.new.code == 0


@dataclass
class Ground:
    """Where holders freeze: a service, a place for state, and a clock that leases go by."""

    line: Path
    service: Emulator
    documents: Path
    folder: Path
    server: Server | None = None
    buckets: Buckets | None = None
    ahead: Path | None = None

    def project(self) -> Project:
        """A project that nobody has applied, over directories that nobody else has."""
        number = next(_NUMBERS)
        place = self.folder / f"{number}-old"
        if self.server is not None:
            return shared_project(place, self.service, self.documents, self.server, directories=2)
        assert self.buckets is not None
        project = BucketProject(
            place,
            self.service,
            {"papers": (f"f{number}-0", f"f{number}-1")},
            "1s",
            documents=self.documents,
            endpoint=self.buckets.endpoint,
            url=self.buckets.new_url(),
        )
        project.write()
        return project

    def beside(self, project: Project) -> Project:
        """The same project on another machine."""
        other = replace(project, folder=project.folder.with_name(project.folder.name.replace("old", "new")))
        other.write()
        return other

    def begin(self, project: Project, when: str, *options: str) -> Holder:
        """Start an apply that stops at an instant."""
        words = ["--chdir", str(project.folder), *APPLY, *_ALONE, *options]
        request = {
            "words": words,
            "environ": project.environment,
            "when": when,
            "ahead": str(self.ahead or ""),
        }
        asked = json.dumps(request).encode()
        reader, writer = os.pipe()
        printed = tempfile.TemporaryFile()  # noqa: SIM115 - the holder closes it
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.line))
            socket.send_fds(line, [len(asked).to_bytes(8, "big")], [printed.fileno(), writer])
            line.sendall(asked)
            line.shutdown(socket.SHUT_WR)
            line.recv(1)  # the other end is closed once it has all
        os.close(writer)
        return Holder(os.fdopen(reader, "rb"), printed)

    def instants(self) -> list[str]:
        """The names of all instants of an apply that nobody disturbs."""
        done, names = self.begin(self.project(), NEVER).ended()
        assert done.code == 0, done
        return names

    def freeze(self, whens: Sequence[str]) -> list[Freeze]:
        """Stop a holder at each of these instants, have others take over and finish, and wake the first.

        What comes to its end before its instant is left out: runs differ by a step or two at their end.
        """
        projects = [self.project() for _ in whens]
        olds = [self.begin(project, when) for project, when in zip(projects, whens, strict=True)]
        pairs = [(old, project) for old, project in zip(olds, projects, strict=True) if _frozen(old)]
        for _, project in pairs:
            self.end_session(project)
        self.move_on(TAKEOVER)
        others = [self.beside(project) for _, project in pairs]
        news = [self.begin(other, UNDISTURBED, "--lock-timeout", "600s") for other in others]
        ends = [new.ended()[0] for new in news]
        return [_judge(old, other, end) for (old, _), other, end in zip(pairs, others, ends, strict=True)]

    def move_on(self, seconds: float) -> None:
        """Have so much time gone by, for the service's clock and for that of all holders."""
        if self.ahead is not None:
            self.ahead.write_text(str(float(self.ahead.read_text()) + seconds))

    def end_session(self, project: Project) -> bool:
        """What a server does to a session whose machine is gone; whether there was one that held the lock."""
        if not isinstance(project, SharedProject):
            return False
        assert self.server is not None
        number = lock_number(project.schema, "neighbours") % (1 << 64)
        return bool(
            self.server.run(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'"
                f" AND granted AND objsubid = 1"
                f" AND classid = {number >> 32} AND objid = {number & 0xFFFFFFFF}"
            )
        )


Project: TypeAlias = BucketProject | SharedProject


def _frozen(old: Holder) -> bool:
    if old.frozen():
        return True
    done, names = old.ended()
    assert (done.code, FROZEN in names) == (0, False), (done, names)
    return False


def _judge(old: Holder, other: Project, new: Ended) -> Freeze:
    store = other.store
    before = store.read_lockfile(), store.read()
    old.wake()
    done, names = old.ended()
    at = names.index(FROZEN)
    lock, journal = store.read()
    fetch_audit(store, other.folder / "audit")
    live = other.live()
    recorded = {item.id for entry in lock.entries.values() for item in entry.batches}
    return Freeze(
        names[at - 1],
        names[: at - 1],
        done,
        new,
        sends=names[at - 1 :].count(WINDOW),
        refused=(store.read_lockfile(), (lock, journal)) == before,
        counts=[len(ids) for ids in live.values()],
        recorded=sum(1 for ids in live.values() for name in ids if name in recorded),
        faults=[str(fault) for fault in verify(other.folder / "audit", lock.heads).faults],
        other=other,
        story="\n".join(
            [
                f"frozen at instant {at - 1}, {names[at - 1]}",
                *("old:", *done.lines, f"exit {done.code}"),
                *("new:", *new.lines, f"exit {new.code}"),
                *("once it was awake:", *names[at + 1 :]),
            ]
        ),
    )
