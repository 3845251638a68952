"""The file store: a lockfile for git, and beside it a journal whose lock is the operating system's (C1).

The lock is an flock on the journal, so it dies with its holder, whatever kills that. It excludes the
processes of one machine, and of machines that share a file system with working locks; nothing else.
The journal is never replaced nor removed, only emptied, since its inode is what the lock is on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.adapters.stores.journal import (
    Closed,
    Committed,
    Journal,
    Note,
    Opened,
    read_journal,
    write_note,
)
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.adapters.stores.text import as_bytes, stamp
from reconciler.model.errors import LockHeldError, LockLostError, StateError
from reconciler.model.intent import JournalState
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from reconciler.model.intent import Intent, Settled

_POLL = 0.1  # seconds between two tries at a lock that is held


@dataclass(frozen=True, slots=True)
class FileStore:
    """State in files.

    Attributes:
        path: the lockfile. The journal's name is the same with ``.journal`` added.
        shown: the lockfile's name as messages give it.
        holder: who this process is, for those who find the lock held.
        now: the time, for the same purpose.
    """

    path: Path
    shown: str
    holder: str
    now: datetime

    def read(self) -> tuple[Lock, JournalState]:
        """What stands now, without the lock: nothing is written, not even an empty file.

        Raises:
            StateError: a file cannot be read, or is none of ours.
        """
        # The journal first: what a run that ends meanwhile takes out of it is in the lockfile by then.
        content = b""
        with self._explained("read"), contextlib.suppress(FileNotFoundError):
            content = self._journal.read_bytes()
        text = self._read_lockfile()
        journal = read_journal(content, self._journal_shown)
        lock = read_lock(text.decode(), self.shown) if text else Lock()
        return _recovered(lock, journal), _state(journal, text)

    @contextlib.contextmanager
    def hold(self, timeout: float) -> Iterator[FileSession]:
        """Take the lock for as long as the context lasts.

        Raises:
            LockHeldError: another process held it for ``timeout`` seconds.
            StateError: the files cannot be used.
        """
        with self._explained("write"):
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._journal, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        session: FileSession | None = None
        try:
            self._acquire(descriptor, timeout)
            text = self._read_lockfile()
            content = _read_all(descriptor)
            journal = read_journal(content, self._journal_shown)
            lock = read_lock(text.decode(), self.shown) if text else Lock()
            with self._explained("write"):
                if journal.size != len(content):
                    os.ftruncate(descriptor, journal.size)
                session = FileSession(
                    self, descriptor, lock=_recovered(lock, journal), journal=_state(journal, text), text=text
                )
                session.append([Opened(secrets.token_hex(4), self.holder, stamp(self.now))])
                if not content:
                    _sync_folder(self._journal.parent)  # a new file's name is to last as long as its lines
            yield session
        finally:
            try:
                if session is not None:
                    with contextlib.suppress(StateError):  # the next run is then merely cold
                        session.leave()
            finally:
                os.close(descriptor)

    @property
    def _journal(self) -> Path:
        return self.path.with_name(self.path.name + ".journal")

    @property
    def _journal_shown(self) -> str:
        return self.shown + ".journal"

    def _acquire(self, descriptor: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._held() from None
                time.sleep(_POLL)
            except OSError as error:
                raise StateError(
                    "the file system does not lock files", where=self._journal_shown, why=error.strerror or ""
                ) from error
            else:
                return

    def _held(self) -> LockHeldError:
        holder = ""
        with contextlib.suppress(OSError, StateError):
            holder = read_journal(self._journal.read_bytes(), self._journal_shown).holder
        return LockHeldError(
            f"the lock is held by {holder or 'another process'}",
            where=self._journal_shown,
            next="Wait with --lock-timeout 10m; a lock never outlives the process that holds it",
        )

    def _read_lockfile(self) -> bytes:
        with self._explained("read"):
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                return b""
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise StateError(
                f"not UTF-8 at byte {error.start}",
                where=f"{self.shown}:{line}",
                next="Restore it from git",
            ) from error
        if not content.strip():
            raise StateError(
                "the lockfile is empty", where=self.shown, next="Restore it from git, or delete it"
            )
        return content

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Map what the operating system says; nothing was sent when it says it."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StateError(
                f"cannot {verb} the state",
                where=self.shown,
                why=(error.strerror or str(error)).lower(),
                next="Free some space and run it again" if full else "",
            ) from error


class FileSession:
    """The state while its lock is held."""

    def __init__(
        self, store: FileStore, descriptor: int, *, lock: Lock, journal: JournalState, text: bytes
    ) -> None:
        self._store = store
        self._descriptor = descriptor
        self._text = text
        self._open = {intent.id for intent in journal.open}
        self._idle = True
        self._uncommitted = bool(journal.recovered)
        self._writing = threading.RLock()
        self.lock = lock
        self.journal = journal

    def confirm(self) -> None:
        """Make sure that the locked file is still the journal: somebody may have removed it.

        Raises:
            LockLostError: it is not, so another process may hold a lock of its own by now.
        """
        mine = os.fstat(self._descriptor)
        try:
            there = self._store._journal.stat()  # noqa: SLF001 - one room, two classes
        except OSError:
            there = None
        if there is None or (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
            raise LockLostError(
                "the journal was removed or replaced while this run held its lock",
                where=self._store._journal_shown,  # noqa: SLF001 - as above
                why="nothing was sent after that was seen",
                next="Run apply again; it looks before it creates",
            )

    def note(self, notes: Sequence[Intent | Settled]) -> None:
        """Append notes with one sync for all of them (C3).

        Raises:
            StateError: they could not be made durable.
        """
        from reconciler.model.intent import Intent

        self._idle = False
        self.append(notes)
        for note in notes:
            if isinstance(note, Intent):
                self._open.add(note.id)
            else:
                self._open.discard(note.intent)
                self._uncommitted |= note.entry is not None

    def append(self, notes: Sequence[Note]) -> None:
        """Write lines at the end and make them durable, or leave none of them."""
        content = b"".join(write_note(note) for note in notes)
        with self._writing, self._store._explained("write"):  # noqa: SLF001 - as above
            size = os.fstat(self._descriptor).st_size
            try:
                _write_all(self._descriptor, content)
                os.fsync(self._descriptor)
            except OSError:
                # Half a line, as a full disk leaves it, would spoil the next note that does get through.
                os.ftruncate(self._descriptor, size)
                raise

    def commit(self, lock: Lock) -> Lock:
        """Replace the lockfile, if it says anything new, and give it back as it stands.

        The serial rises with every change but that of a status, a time or an audit head (R10's policies
        and R3's evidence included), and the lineage is made with the first; what the argument says of the
        two does not count once there is a lockfile.

        Raises:
            StateError: it could not be made durable; the old one then stands as it was.
        """
        if lock == Lock() and not self._text:
            return lock
        before = read_lock(self._text.decode(), self._store.shown) if self._text else Lock()
        lineage = before.lineage or lock.lineage or str(uuid.uuid4())
        lock = replace(lock, lineage=lineage, serial=before.serial)
        if _substance(lock) != _substance(before):
            lock = replace(lock, serial=before.serial + 1)
        text = as_bytes(write_lock(lock))
        if text != self._text:
            self._idle = False
            self.confirm()
            if self._store._read_lockfile() != self._text:  # noqa: SLF001 - as above
                raise StateError(
                    "the lockfile was changed while this run held its lock",
                    where=self._store.shown,
                    why="by git or by hand; what this run did is in the journal",
                    next="Run apply again: it brings both together",
                )
            with self._store._explained("write"):  # noqa: SLF001 - as above
                _replace(self._store.path, text)
                self._text = text  # also when the next line fails: it is there
                _sync_folder(self._store.path.parent)
        self.lock = lock
        if self._uncommitted:
            self.append([Committed(_digest(text))])
            self._uncommitted = False
        return lock

    def leave(self) -> None:
        """What ends a session that came to nothing: the journal is as closed as it was (C2)."""
        if self._idle and self.journal.warm:
            self.close()

    def close(self) -> None:
        """Empty the journal but for its closing line, unless an intent is open."""
        with self._writing:
            if self._open:
                return
            with self._store._explained("write"):  # noqa: SLF001 - as above
                # Cut first, then write: a crash in between leaves an empty journal, which is merely cold.
                os.ftruncate(self._descriptor, 0)
            self.append([Closed(_digest(self._text))])


def _state(journal: Journal, text: bytes) -> JournalState:
    return JournalState(journal.open, journal.recovered, warm=journal.closed == _digest(text))


def _recovered(lock: Lock, journal: Journal) -> Lock:
    """C9: what came back before a crash is recorded, whether or not the lockfile had been written."""
    if not journal.recovered:
        return lock
    entries = dict(lock.entries)
    for entry in journal.recovered:
        there = entries.get(entry.key)
        if there is not None:
            known = {item.id: item for item in (*entry.batches, *there.batches)}
            entry = replace(entry, batches=tuple(known[name] for name in sorted(known)))  # noqa: PLW2901 - the same entry, whole
        entries[entry.key] = entry
    return replace(lock, entries=entries)


def _substance(lock: Lock) -> object:
    """What a serial counts: everything but statuses, times and heads."""
    entries = {
        key: (
            entry.address,
            entry.current,
            entry.on_remove,
            tuple((item.id, item.origin, item.evidence, item.alias) for item in entry.batches),
        )
        for key, entry in lock.entries.items()
    }
    return lock.lineage, dict(lock.projects), dict(lock.sets), entries


def _digest(text: bytes) -> str:
    return "sha256:" + hashlib.sha256(text).hexdigest()


def _read_all(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    parts = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _replace(path: Path, content: bytes) -> None:
    """Write beside it, sync, rename over it: a crash leaves the old or the new one whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
