"""State as real runs leave it in a `World`, put back as often as somebody wants to spoil it in another way.

Two states: after a run that came to its end, and after one that was killed while one create was settled,
one more was looked for, and one was not sent yet. Both have an audit log with the lines of their runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine_world import SETTLE, Ledger, Lost, World

from reconciler.adapters.audit import AuditFolder
from reconciler.model.batch import Status
from reconciler.model.ports import Environment

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.adapters.audit import AuditFile
    from reconciler.model.audit import AuditLine
    from reconciler.model.result import Applied

_WHO = Environment("ada", "git", "", "c0ffee", dirty=False)
_SENT = "before create dir-002"  # its reply gets lost


@dataclass
class _Written(Ledger):
    """The audit log in its files."""

    file: AuditFile = field(kw_only=True)

    def append(self, line: AuditLine) -> None:
        self.file.append(line)

    def close(self) -> str:
        return self.file.close()


class State:
    """A world, and what it was like when it was taken down. Its audit log stands beside its folder."""

    def __init__(self, folder: Path, *, killed: bool) -> None:
        self.audit = folder / "audit"
        self._folder = folder
        self.world = _world(folder / "state")
        if killed:
            trial = _world(folder.parent / "trial").die_at(1000)
            second_look = trial.index("after list", trial.index("after list", trial.index(_SENT)) + 1)
            self._begin()
            self.world.die_at(second_look)
        else:
            self.apply()
            for batch in self.world.service.existing()[:2]:  # two are trusted from then on, one is asked for
                self.world.service.set(batch.id, Status.COMPLETED)
            self.world.time.seconds += 3600
            self.apply()
        self._files = self.files()
        self._rows = [replace(row) for row in self.world.service.rows]
        self._seconds = self.world.time.seconds

    def apply(self) -> Applied:
        """Apply as a run with its audit log in files does."""
        self._begin()
        return self.world.apply()

    def _begin(self) -> None:
        self.world.time.seconds += 1  # audit files are named by the second
        run = f"run-{self.world.runs + 1}"
        log = AuditFolder(self.audit).begin(run, _WHO, self.world.lock.heads, self.world.time)
        self.world.ledger = _Written(file=log)

    def put_back(self, spoilt: Path | None = None, content: bytes = b"") -> World:
        """Everything as it was, but for one file's content."""
        for path in self._folder.rglob("*"):
            if path.is_file() and path not in self._files:
                path.unlink()
        for path, whole in self._files.items():
            path.write_bytes(content if path == spoilt else whole)
        self.world.service.rows = [replace(row) for row in self._rows]
        self.world.service.script.clear()
        self.world.time.seconds = self._seconds
        self.world.forget()
        return self.world

    def files(self) -> dict[Path, bytes]:
        """Everything as it is now."""
        return {path: path.read_bytes() for path in self._folder.rglob("*") if path.is_file()}


def _world(folder: Path) -> World:
    folder.mkdir(parents=True)
    world = World(folder, 3)
    world.at_once = 1
    world.service.script.extend([None, Lost()])
    world.service.latency = 0.25
    world.service.lag = SETTLE / 2
    return world
