"""A project on the stand-in whose commands are real processes, and what has to hold when all have ended.

File systems that cannot be written to are in `neighbour_disks`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from forked_reconciler import Fork

from reconciler.adapters.audit import verify
from reconciler.adapters.stores.file import FileStore
from reconciler.model.intent import JournalState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator_process import Emulator

    from reconciler.model.lock import Lock

RECONCILER = (sys.executable, "-m", "reconciler")
APPLY = ("apply", "--auto-approve")
KEY = "llx-emulator"

#: Seconds after which something that should have come about never will: it ends a test that hangs.
_NEVER = 120


class Ended(NamedTuple):
    """What a command printed, both streams in one, and its exit code."""

    code: int
    lines: list[str]


@dataclass
class Project:
    """A folder with manifests over directories of its own, and the service that they are processed by.

    Attributes:
        folder: as this process reaches it.
        service: None for a project that embeds its own.
        sets: per set, the names of its directories; their ids have ``dir-`` before them.
        inner: as the commands know the folder, where that is another path.
        wrap: what stands before each command, such as what enters a namespace.
        quick: the fixture `quick`, for commands that nothing stands before.
    """

    folder: Path
    service: Emulator | None
    sets: dict[str, tuple[str, ...]]
    settle: str = "1s"
    inner: Path | None = None
    wrap: Sequence[str] = ()
    quick: Path | None = field(default=None, repr=False)
    documents: Path = field(default=Path(), repr=False)

    def write(self) -> None:
        """Write the project file, the manifests and the documents."""
        (self.folder / "batches").mkdir(parents=True, exist_ok=True)
        provider = {"type": "llamacloud", "settle": self.settle}
        self._write(
            "reconciler.yaml", "Project", "neighbours", manifests=["batches/*"], providers={"cloud": provider}
        )
        for name, directories in self.sets.items():
            job = {"type": "parse_v2", "configuration": "cfg-PARSE_AGENTIC"}
            ids = [{"id": f"dir-{directory}"} for directory in directories]
            self._write(f"batches/{name}.yaml", "BatchSet", name, provider="cloud", job=job, directories=ids)
            for directory in directories:
                (self.documents / directory).mkdir(parents=True, exist_ok=True)
                (self.documents / directory / "1.txt").write_text("Paid.")

    def _write(self, file: str, kind: str, name: str, **spec: Any) -> None:  # noqa: ANN401 - JSON
        document = {"apiVersion": "reconciler/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        (self.folder / file).write_text(json.dumps(document, indent=2) + "\n")

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the caller's that a command would heed, and where the service is."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
        kept["PYTHONWARNINGS"] = "error"
        if self.service is not None:
            kept |= {"LLAMA_CLOUD_BASE_URL": self.service.url, "LLAMA_CLOUD_API_KEY": KEY}
        return kept

    def start(self, *options: str, wrap: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a command."""
        where = ("--chdir", str(self.inner or self.folder))
        return subprocess.Popen(
            [*self.wrap, *wrap, *RECONCILER, *where, *options],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def fork(self, *options: str) -> Fork:
        """Start a command that has been imported already; it has its own number, and heeds signals."""
        assert self.quick is not None
        return Fork(self.quick, options, self.folder, self.environment)

    def run(self, *options: str, wrap: Sequence[str] = ()) -> Ended:
        """Run a command to its end."""
        if self.quick is None or self.wrap or wrap:
            return ended(self.start(*options, wrap=wrap))
        return ended(self.fork(*options))

    @property
    def directories(self) -> list[str]:
        return [f"dir-{name}" for names in self.sets.values() for name in names]

    def live(self) -> dict[str, list[str]]:
        """The ids of the batches over each of the project's directories."""
        found: dict[str, list[str]] = {directory: [] for directory in self.directories}
        assert self.service is not None
        for batch in self.service.batches():
            if batch["source_directory_id"] in found:
                found[batch["source_directory_id"]].append(batch["id"])
        return found

    def state(self) -> tuple[Lock, JournalState]:
        """What lockfile and journal say."""
        from datetime import UTC, datetime

        file = self.folder / "reconciler.lock"
        return FileStore(file, file.name, "the test", datetime.now(UTC)).read()

    def audited(self) -> list[dict[str, str]]:
        """Every line of the audit log but the headers."""
        files = sorted((self.folder / "audit").iterdir())
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line for line in lines if line["kind"] == "action"]

    def assert_whole(self) -> None:
        """One batch a directory, each recorded once; the journal closed, the audit log sound."""
        live = self.live()
        assert {directory: len(ids) for directory, ids in live.items()} == dict.fromkeys(live, 1)
        lock, journal = self.state()
        recorded = {
            entry.key.directory: [item.id for item in entry.batches] for entry in lock.entries.values()
        }
        assert recorded == live
        assert len(lock.entries) == len(live)
        assert journal == JournalState(warm=True)
        assert verify(self.folder / "audit", lock.heads).faults == ()

    def bytes(self) -> dict[str, bytes | str]:
        """Every file of the project, links by where they lead."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            else:
                found[name] = "a folder" if path.is_dir() else path.read_bytes()
        return found


def ended(process: subprocess.Popen[str] | Fork) -> Ended:
    """Wait for a command's end."""
    printed, _ = process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, [line.rstrip() for line in printed.splitlines()])


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait for something that is bound to come, without an opinion on how long it may take."""
    for _ in range(_NEVER * 50):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError(f"it never came to this: {what}")


def requests(service: Emulator, **filters: str) -> list[str]:
    """What the service has received since it was told to forget, as ``METHOD path``."""
    kept = service.client.get("/__admin/requests", params=filters).raise_for_status().json()
    return [f"{item['method']} {item['path']}" for item in kept["requests"]]


def forget_requests(service: Emulator) -> None:
    service.client.delete("/__admin/requests").raise_for_status()
