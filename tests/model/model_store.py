"""The disk, as the port `Session` writes to it: lockfile, journal, and the lock on the journal (C1, C3).

The contract of `adapters/stores/file.py` in memory. What was written survives the end of a process;
only what was synced survives the end of the machine's power. Every step asks the world how it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from model_values import Closed, Committed, Line, Opened, read

from reconciler.model.errors import LockHeldError, LockLostError, StateError
from reconciler.model.intent import Intent, JournalState, Settled
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_life import Process

    from reconciler.model.lock import Entry


@dataclass(eq=False)
class Journal:
    """One file: who holds its lock, its lines, and what a power failure would leave of them."""

    lines: tuple[Line, ...] = ()
    synced: tuple[Line, ...] = ()
    holder: Process | None = None


@dataclass(eq=False)
class Disk:
    """One checkout's files."""

    lockfile: Lock | None = None
    lockfile_synced: Lock | None = None
    journal: Journal | None = None

    def lose_lockfile(self) -> None:
        self.lockfile = self.lockfile_synced = None

    def lose_journal(self) -> None:
        """Removed, so whoever has it open keeps writing to a file that nobody else will see."""
        self.journal = None

    def held(self) -> bool:
        return self.journal is not None and self.journal.holder is not None


@dataclass(eq=False)
class Session:
    """The state while a process holds its lock."""

    process: Process
    disk: Disk
    file: Journal
    text: Lock | None
    lock: Lock = field(init=False)
    journal: JournalState = field(init=False)
    at_first: tuple[Line, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.at_first = self.file.lines
        intents, recovered = read(self.file.lines)
        warm = bool(self.file.lines) and self.file.lines[-1] == Closed(self.text)
        self.journal = JournalState(intents, recovered, warm)
        self.lock = _with(self.text or Lock(), recovered)
        self._open = {intent.id for intent in intents}
        self._uncommitted = bool(recovered)
        self._append([Opened()], "takes the lock")
        self._idle = True

    def confirm(self) -> None:
        self.process.store_step("makes sure of its lock")
        self._own()

    def note(self, notes: Sequence[Intent | Settled]) -> None:
        self._append(notes, " and ".join(_said(note) for note in notes))
        for note in notes:
            if isinstance(note, Intent):
                self._open.add(note.id)
            else:
                self._open.discard(note.intent)
                self._uncommitted |= note.entry is not None

    def commit(self, lock: Lock) -> Lock:
        if lock == Lock() and self.text is None:
            return lock
        lock = replace(lock, lineage="model", serial=0, entries=dict(lock.entries))
        if lock != self.text:
            self._idle = False
            self.process.store_step("replaces the lockfile")
            self._own()
            if self.disk.lockfile != self.text:
                raise StateError("the lockfile was changed while this run held its lock")
            self.disk.lockfile = self.text = lock
            self.process.unsynced(f"records {_recorded(lock)}")
            self.disk.lockfile_synced = lock
        self.lock = lock
        if self._uncommitted:
            self._append([Committed()], "notes that it is recorded")
            self._uncommitted = False
        return lock

    def close(self) -> None:
        if self._open:
            return
        self._idle = False
        self.process.store_step("empties the journal")
        self.file.lines = ()
        self._append([Closed(self.text)], "closes the journal")

    def leave(self) -> None:
        """A session that came to nothing leaves the journal as it was (C2)."""
        if self._idle:
            self.process.store_step("leaves the journal as it was")
            self.file.lines = self.file.synced = self.at_first

    def knows(self, key: object) -> bool:
        """Whether a create of the key would be durable news to nobody: C3, as the service may ask it."""
        return any(intent.key == key for intent in read(self.file.synced)[0])

    def _own(self) -> None:
        if self.disk.journal is not self.file:
            raise LockLostError("the journal was removed while this run held its lock")

    def _append(self, lines: Sequence[Line], what: str) -> None:
        self.process.store_step(what)
        self.file.lines += tuple(lines)
        self.process.unsynced(what)
        self.file.synced = self.file.lines
        self._idle = False


def hold(disk: Disk, process: Process) -> Session:
    """Take the lock, at once or not at all."""
    if disk.held():
        raise LockHeldError("the lock is held")
    if disk.journal is None:
        disk.journal = Journal()
    disk.journal.holder = process
    return Session(process, disk, disk.journal, disk.lockfile)


def _with(lock: Lock, recovered: Sequence[Entry]) -> Lock:
    entries = dict(lock.entries)
    for entry in recovered:
        there = entries.get(entry.key)
        known = {item.id: item for item in (*entry.batches, *(there.batches if there else ()))}
        entries[entry.key] = entry._replace(batches=tuple(known[name] for name in sorted(known)))
    return replace(lock, entries=entries)


def _said(note: Intent | Settled) -> str:
    if isinstance(note, Intent):
        return f"notes the intent to create {note.address}"
    return f"notes the end of the intent: {note.closing}"


def _recorded(lock: Lock) -> str:
    ids = sorted(item.id for entry in lock.entries.values() for item in entry.batches)
    return ", ".join(ids) or "no batch"
