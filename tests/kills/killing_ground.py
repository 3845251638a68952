"""Projects of three creates over `reconciler emulator`, one for each history of kills.

The emulator is a process of its own and outlives all that die. Each history has a folder and three source
directories of its own; its first create gets no reply though it takes effect, its second one a 429. Here is
also what has to be true at the end of each. How a process dies is `killed_child`'s business.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from emulator_process import emulator
from killed_child import NEVER, Died, HurriedClock, apply_and_die
from memory_folder import memory_folder

from reconciler import api
from reconciler.adapters.audit import Agreement, verify
from reconciler.adapters.stores.file import FileStore
from reconciler.emulator.llamacloud.folders import file_id
from reconciler.model.canonical import digest
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from emulator_process import Emulator

    from reconciler.model.audit import AuditFault
    from reconciler.model.lock import Lock

#: Seconds of settle time that a run believes in, and the share of them that it really waits.
SETTLE, SHARE = 1, 0.01

_POST = {"method": "POST", "path": "/api/v2/batches"}
_FAULTS = {
    "apiVersion": "reconciler/v1",
    "kind": "Faults",
    "seed": 1,
    "faults": [
        {"fault": "closed", "when": "after", "on": _POST, "nth": 1},
        {"fault": "status", "status": 429, "retryAfter": 0, "when": "before", "on": _POST, "nth": 2},
    ],
}
# Nothing of the caller's, and no git to be asked four times a run.
_ENVIRON = {
    "KILLS_API_KEY": "llx-emulator",
    "PATH": "/nonexistent",
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "ada",
    "GITHUB_SHA": "c0ffee",
}
_CHANGED = datetime(2026, 9, 1, tzinfo=UTC)


@dataclass
class Ground:
    """Where histories happen: one emulator, and a folder in memory, since a kill loses nothing written."""

    service: Emulator
    folder: Path
    histories: int = 0

    def begin(self) -> History:
        """A project that was never applied, with its faults ahead of it."""
        self.histories += 1
        history = History(self, f"h{self.histories:06}")
        self.service.client.put("/__admin/faults", json=_FAULTS).raise_for_status()
        return history

    def struck(self) -> list[int]:
        """How often each fault struck since the last history began."""
        said = self.service.client.get("/__admin/faults").raise_for_status().json()
        return [item["fired"] for item in said["counts"]]


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """A ground that is gone afterwards. This process is ready to be forked from then on."""
    with memory_folder() as folder:
        for name in ("service", "documents"):
            (folder / name).mkdir()
        options = ("--root", str(folder / "documents"), "--no-read", "--project-id", "prj-kills")
        with emulator(folder / "service", *options) as service:
            there = Ground(service, folder)
            first = there.begin()
            # Has everything imported that a run imports.
            api.apply(first.project, clock=HurriedClock(SHARE), environ=_ENVIRON)
            first.end()
            gc.collect()
            gc.freeze()  # so that children need not copy what they only look at
            try:
                yield there
            finally:
                gc.unfreeze()


@dataclass
class History:
    """One project, applied again and again."""

    ground: Ground
    name: str
    told: list[str] = field(default_factory=list)
    created: bool = False

    def __post_init__(self) -> None:
        self.folder = self.ground.folder / self.name
        self._write()
        self.project = api.load(self.folder)

    @property
    def directories(self) -> list[str]:
        return [f"{self.name}-{letter}" for letter in "abc"]

    def _write(self) -> None:
        for name in self.directories:
            place = self.ground.folder / "documents" / name
            place.mkdir()
            (place / "1.txt").write_text("x")
            os.utime(place / "1.txt", (_CHANGED.timestamp(), _CHANGED.timestamp()))
        (self.folder / "batches").mkdir(parents=True)
        (self.folder / "reconciler.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: kills}\nspec:\n"
            '  manifests: ["batches/*.yaml"]\n  providers:\n'
            f'    prod: {{type: llamacloud, baseUrl: "{self.ground.service.url}", projectId: prj-kills,'
            f" apiKey: {{env: KILLS_API_KEY}}, settle: {SETTLE}s}}\n"
        )
        (self.folder / "batches" / "claims.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {name: claims}\nspec:\n"
            "  provider: prod\n  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}\n  directories:\n"
            + "".join(f"    - id: dir-{name}\n" for name in self.directories)
        )

    def apply(self, instant: int = NEVER, *, each: bool = True) -> Died:
        """Apply, and be killed at an instant."""
        died = apply_and_die(self.project, instant, share=SHARE, environ=_ENVIRON, each=each)
        self.created = any(name.startswith("after POST") for name in died.instants)
        self.told.append(f"killed at instant {instant}: " + ", ".join(died.instants[-3:]))
        assert not died.failure, "\n".join([*self.told, died.failure])
        return died

    def check(self, undisturbed: object) -> None:
        """Never twice, never lost: what has to be true when an apply has come to its end."""
        story = "\n".join([self.name, *self.told])
        counts = dict.fromkeys(self.directories, 0)
        page = self.ground.service.client.get("/api/v2/batches", params={"page_size": "100"})
        live = {}
        for batch in page.raise_for_status().json()["items"]:
            name = batch["source_directory_id"].removeprefix("dir-")
            if name in counts:
                counts[name] += 1
                live[f"claims/dir-{name}"] = batch["id"]
        assert counts == dict.fromkeys(self.directories, 1), story
        lock, journal = self.store.read()
        assert {str(entry.address): entry.current for entry in lock.entries.values()} == live, story
        assert self.normal() == undisturbed, story
        assert (journal.open, journal.recovered) == ((), ()), story
        # A cold run closes the journal if it stayed for the settle time, which one that creates does (C2).
        assert journal.warm or not self.created, story
        assert self.audit_faults(lock) == [], story

    def audit_faults(self, lock: Lock) -> list[AuditFault]:
        """Those of the log by itself, and where it and the lockfile differ over what was created."""
        batches = [(str(key), item) for key, entry in lock.entries.items() for item in entry.batches]
        recorded = frozenset(item.id for _, item in batches)
        created = {
            item.id: (key, lambda: Source("lock")) for key, item in batches if item.origin == "created"
        }
        agreement = Agreement(created, recorded)
        faults = verify(self.folder / "audit", lock.heads, agreement=agreement).faults
        return [*faults, *agreement.faults(recorded, "lock", lines_are_lost=bool(faults))]

    @property
    def store(self) -> FileStore:
        return FileStore(self.folder / "reconciler.lock", "reconciler.lock", "ada", datetime.now(UTC))

    def normal(self) -> object:
        """The lockfile without what may differ: times, ids, created or found, serial, heads, and names."""
        text = (self.folder / "reconciler.lock").read_text()
        for name in self.directories:
            inputs = digest([[file_id(f"dir-{name}", "1.txt"), _CHANGED.isoformat()]])
            text = text.replace(inputs, f"inputs of {name}")
        for item in self.project.sets:
            text = text.replace(item.digest, f"set {item.name}")
        document: dict[str, Any] = json.loads(text.replace(self.name, "h"))
        document |= {"lineage": "", "serial": 0, "heads": []}
        for entry in document["entries"].values():
            ids = [batch["id"] for batch in entry["batches"]]
            entry["current"] = ids.index(entry["current"])
            for batch in entry["batches"]:
                batch.update(dict.fromkeys(("id", "recordedAt", "createdAt", "updatedAt"), ""))
                if batch["origin"] in ("created", "found"):
                    batch["origin"] = "ours"
        return document

    def end(self) -> None:
        """Make room: the emulator reads all names of its root now and then."""
        shutil.rmtree(self.folder)
        for name in self.directories:
            shutil.rmtree(self.ground.folder / "documents" / name)


def shown(instants: Sequence[str]) -> str:
    """Instants by kind, for people."""
    requests = sum(1 for name in instants if " GET " in name or " POST " in name)
    return f"{len(instants)} instants: {requests} at requests, {len(instants) - requests} at files"
