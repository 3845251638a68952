"""The file store: a lockfile for git, and beside it a journal whose lock is the operating system's (C1).

The lock is an flock on the journal, so it dies with its holder, whatever kills that. It excludes the
processes of one machine, and of machines that share a file system with working locks; nothing else.
The journal is never replaced nor removed, only emptied, since its inode is what the lock is on.

State that cannot be used, or that was brought here from elsewhere, is refused here, before anything is
sent and without a change to any file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.adapters.stores.disk import append, explained, read_all, replace_file, sync_folder
from reconciler.adapters.stores.journal import (
    Belongs,
    Closed,
    Committed,
    Journal,
    Note,
    Opened,
    read_journal,
    write_note,
)
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.adapters.stores.succession import OpenIntents, successor, with_recovered
from reconciler.adapters.stores.text import as_bytes, stamp
from reconciler.model.errors import LockHeldError, LockLostError, StateError
from reconciler.model.intent import Closing, JournalState, Settled
from reconciler.model.lock import Lock
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from reconciler.model.intent import Intent

_POLL = 0.1  # seconds between two tries at a lock that is held
_TO_SIGN = 2.0  # seconds that a holder has to sign before it is called "another process"


@dataclass(frozen=True, slots=True)
class FileStore:
    """State in files.

    Attributes:
        path: the lockfile. The journal's name is the same with ``.journal`` added.
        shown: the lockfile's name as messages give it.
        holder: who this process is, for those who find the lock held.
        now: the time, for the same purpose.
        project: the project's own name; a lockfile that bears another is not its own. "" asks nothing.
    """

    path: Path
    shown: str
    holder: str
    now: datetime
    project: str = ""

    def read(self) -> tuple[Lock, JournalState]:
        """What stands now, without the lock: nothing is written, not even an empty file.

        Raises:
            StateError: a file cannot be read, or is none of ours.
        """
        # The journal first: what a run that ends meanwhile takes out of it is in the lockfile by then.
        content = b""
        with explained("read", self.journal_shown), contextlib.suppress(FileNotFoundError):
            content = self.journal.read_bytes()
        text = self.read_lockfile()
        return self._together(read_journal(content, self.journal_shown), text)

    @contextlib.contextmanager
    def hold(self, timeout: float) -> Iterator[FileSession]:
        """Take the lock for as long as the context lasts.

        Raises:
            LockHeldError: another process held it for ``timeout`` seconds.
            StateError: the files cannot be used.
        """
        with explained("write", self.journal_shown):
            self.journal.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._acquire(descriptor, timeout)
            content = read_all(descriptor)
            journal = read_journal(content, self.journal_shown)
            opened = Opened(secrets.token_hex(4), self.holder, stamp(self.now))
            session: FileSession | None = None
            try:
                with explained("write", self.journal_shown):
                    if journal.size != len(content):
                        os.ftruncate(descriptor, journal.size)
                    # Before all else: others may be asking already who holds the lock.
                    append(descriptor, write_note(opened))
                    if not content:  # a new file's name is to last as long as its lines
                        sync_folder(self.journal.parent)
                text = self.read_lockfile()
                lock, state = self._together(journal, text)
                session = FileSession(
                    self, descriptor, lock=lock, journal=state, text=text, of=journal.lineage
                )
                yield session
            finally:
                if session is None or session.idle:
                    # A session that came to nothing leaves the journal byte for byte as it was (C2).
                    with contextlib.suppress(OSError):  # the next run is then merely cold
                        os.ftruncate(descriptor, journal.size)
        finally:
            os.close(descriptor)

    @property
    def journal(self) -> Path:
        """Where the journal is, beside the lockfile."""
        return self.path.with_name(self.path.name + ".journal")

    @property
    def journal_shown(self) -> str:
        """The journal's name as messages give it."""
        return self.shown + ".journal"

    def _acquire(self, descriptor: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                over = time.monotonic() - deadline
                if over >= 0 and ((holder := self._holder()) or over >= _TO_SIGN):
                    raise self._held(holder) from None
                time.sleep(_POLL)
            except OSError as error:
                raise StateError(
                    "the file system does not lock files", where=self.journal_shown, why=error.strerror or ""
                ) from error
            else:
                return

    def _holder(self) -> str:
        """Who signed for the lock, or "": one that has just taken it has not signed yet."""
        try:
            return read_journal(self.journal.read_bytes(), self.journal_shown).holder
        except (OSError, StateError):
            return ""

    def _held(self, holder: str) -> LockHeldError:
        return LockHeldError(
            f"the lock is held by {holder or 'another process'}",
            where=self.journal_shown,
            next="Wait with --lock-timeout 10m; a lock never outlives the process that holds it",
        )

    def _together(self, journal: Journal, text: bytes) -> tuple[Lock, JournalState]:
        """Both files as one state, if they belong to each other and to this project.

        A lockfile from elsewhere would have its batches forgotten or cancelled (R10), its projects believed,
        and what this journal has open recorded where nobody looks for it.
        """
        lock = read_lock(text.decode(), self.shown) if text else Lock()
        if self.project and lock.project and lock.project != self.project:
            raise StateError(
                "the lockfile belongs to another project",
                where=self.shown,
                why=f"it says project {lock.project!r}, and reconciler.yaml is that of {self.project!r}",
                next="Put this project's own lockfile there, or none: the next plan then adopts the batches"
                f" that exist. If the project was renamed, write its new name into {self.shown}",
            )
        if lock.lineage and journal.lineage and lock.lineage != journal.lineage:
            left = len(journal.open) + len(journal.recovered)
            raise StateError(
                "the lockfile is not the one that the journal beside it belongs to",
                where=self.shown,
                why=f"it is of lineage {lock.lineage}, and {self.journal_shown} of {journal.lineage}"
                + (f", with {left} of its creates not in any lockfile yet" if left else ""),
                next="Put the journal's own lockfile back (git log has it). Only if this one is right, remove"
                f" {self.journal_shown}: the next apply is cold, and looks twice before it creates anything",
            )
        state = JournalState(journal.open, journal.recovered, warm=journal.closed == _digest(text))
        return with_recovered(lock, journal.recovered), state

    def read_lockfile(self) -> bytes:
        """The lockfile's bytes, or none where there is none.

        Raises:
            StateError: it cannot be read, or is no text.
        """
        with explained("read", self.shown):
            if self.path.is_symlink():
                raise StateError(
                    "the lockfile is a symbolic link",
                    where=self.shown,
                    why="it is replaced by renaming, and its lock is beside it: neither follows a link",
                    next="Name the file itself as state.path in reconciler.yaml",
                )
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

    def audit(self) -> dict[str, bytes]:
        """None: the audit files are in the project's folder, as the lockfile is."""
        return {}

    def heads_place(self) -> Source:
        """Where the lockfile holds the heads of the audit log, for messages about them.

        Raises:
            StateError: as for `read_lockfile`.
        """
        lines = enumerate(self.read_lockfile().split(b"\n"), 1)
        return Source(self.shown, next((at for at, line in lines if line.lstrip().startswith(b'"heads"')), 1))


class FileSession:
    """The state while its lock is held."""

    def __init__(
        self, store: FileStore, descriptor: int, *, lock: Lock, journal: JournalState, text: bytes, of: str
    ) -> None:
        self._store = store
        self._descriptor = descriptor
        self._text = text
        self._of = of  # the lineage that the journal says it belongs to
        self._open = OpenIntents(journal.open)
        self.idle = True
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
            there = self._store.journal.stat()
        except OSError:
            there = None
        if there is None or (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
            raise LockLostError(
                "the journal was removed or replaced while this run held its lock",
                where=self._store.journal_shown,
                why="nothing was sent after that was seen",
                next="Run apply again; it looks before it creates",
            )

    def note(self, notes: Sequence[Intent | Settled]) -> None:
        """Append notes with one sync for all of them (C3).

        Raises:
            StateError: they could not be made durable, or a second create of a key would be open.
        """
        opened = self._open.after(notes, self._store.journal_shown)
        self.append(notes)
        self._open = opened
        self._uncommitted |= any(isinstance(note, Settled) and note.entry is not None for note in notes)

    def append(self, notes: Sequence[Note]) -> None:
        """Write lines at the end and make them durable, or leave none of them.

        The first that are written beside a lockfile say whose they are.
        """
        of = self.lock.lineage or self._of
        if of != self._of:
            notes = [Belongs(of), *notes]
        with self._writing, explained("write", self._store.journal_shown):
            append(self._descriptor, b"".join(write_note(note) for note in notes))
        self._of = of
        self.idle = False

    def commit(self, lock: Lock) -> Lock:
        """Replace the lockfile, if it says anything new, and give it back as it stands.

        Raises:
            StateError: it could not be made durable; the old one then stands as it was.
        """
        if lock == Lock() and not self._text and not self._uncommitted:
            return lock
        lock = successor(lock, self._written(), lineage=self._of, project=self._store.project)
        text = as_bytes(write_lock(lock))
        if text != self._text:
            self._replace(text)
        self.lock = lock
        if self._uncommitted:
            self.append([Committed(_digest(text))])
            self._uncommitted = False
        return lock

    def take_over(self, lock: Lock, journal: JournalState) -> None:
        """Stand in for another store; the lockfile that stood here is kept beside it, with ``.backup`` added.

        The journal comes first and is only added to: whatever a crash leaves, no open create is forgotten.
        """
        text = as_bytes(write_lock(lock))
        here = {intent.id for intent in self.journal.open}
        intents = [intent for intent in journal.open if intent.id not in here]
        recovered = [Settled("taken over", Closing.FOUND, entry=entry) for entry in journal.recovered]
        notes: list[Note] = [Belongs(lock.lineage), *intents, *recovered]
        opened = self._open.after(intents, self._store.journal_shown)
        self.confirm()
        self._of = lock.lineage
        self.append(notes)
        self._open = opened
        if text != self._text:
            if self._text:
                with explained("write", self._store.shown):
                    replace_file(self._store.path.with_name(self._store.path.name + ".backup"), self._text)
            self._replace(text)
        self.lock = with_recovered(lock, journal.recovered)
        if journal.warm:
            self.close()

    def keep(self, name: str, content: bytes) -> None:
        """Nothing: the audit files are in the project's folder, as the lockfile is."""

    def _written(self) -> Lock:
        return read_lock(self._text.decode(), self._store.shown) if self._text else Lock()

    def _replace(self, text: bytes) -> None:
        self.idle = False
        self.confirm()
        if self._store.read_lockfile() != self._text:
            raise StateError(
                "the lockfile was changed while this run held its lock",
                where=self._store.shown,
                why="by git or by hand; what this run did is in the journal",
                next="Run apply again: it brings both together",
            )
        with explained("write", self._store.shown):
            replace_file(self._store.path, text)
            self._text = text  # also when the next line fails: it is there
            sync_folder(self._store.path.parent)

    def close(self) -> None:
        """Empty the journal but for its closing line, unless an intent is open."""
        with self._writing:
            if self._open:
                return
            self.idle = False
            with explained("write", self._store.journal_shown):
                # Cut first, then write: a crash in between leaves an empty journal, which is merely cold.
                os.ftruncate(self._descriptor, 0)
            self._of = ""
            self.append([Closed(_digest(self._text))])


def _digest(text: bytes) -> str:
    return "sha256:" + hashlib.sha256(text).hexdigest()
