"""The state while its lease is held: two objects, each written over what this session read or wrote alone.

``lockfile`` and ``journal`` are the file store's texts behind a line that says which session wrote it and how
often that had written. A session begins by writing both anew under its own epoch, so whatever the one before
still has under way meets another tag and is refused (C1).
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.adapters.stores.journal import Belongs, Closed, read_journal, write_note
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.adapters.stores.object.bucket import ConflictError
from reconciler.adapters.stores.succession import OpenIntents, successor, with_recovered
from reconciler.adapters.stores.text import as_bytes
from reconciler.model.errors import LockLostError, StateError
from reconciler.model.intent import Closing, Intent, JournalState, Settled
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.adapters.stores.journal import Journal, Note
    from reconciler.adapters.stores.object.bucket import Bucket, Object
    from reconciler.adapters.stores.object.lease import Lease
    from reconciler.model.lock import Entry

LOCKFILE, JOURNAL = "lockfile", "journal"
_FENCES = 5


class Page:
    """One of the two objects, as this session has read or written it last."""

    def __init__(self, bucket: Bucket, name: str, epoch: int) -> None:
        """Make it this session's own.

        Raises:
            LockLostError: a later session has done so.
            StateError: it changes again and again, or cannot be read or written.
        """
        self._bucket, self._name, self._epoch, self._number = bucket, name, epoch, 0
        for _ in range(_FENCES):
            there = bucket.read(name)
            whose, self.text = _parted(there, f"{bucket.shown}/{name}")
            if whose > epoch:  # who slept on its way here shall not take it from the one that came after
                raise self._taken()
            try:
                self._tag = bucket.write(name, self._whole(self.text), over=there.tag if there else None)
            except ConflictError:
                continue  # a late write of the session before: read it, and fence again
            return
        raise StateError("it changes without end", where=f"{bucket.shown}/{name}", next="Run it again")

    def write(self, text: bytes) -> None:
        """Have this stand there.

        Raises:
            LockLostError: it is another session's by now.
            StateError: it could not be written.
        """
        self._number += 1
        try:
            self._tag = self._bucket.write(self._name, self._whole(text), over=self._tag)
        except ConflictError:
            raise self._taken() from None
        self.text = text

    def _taken(self) -> LockLostError:
        return LockLostError(
            "another session has taken the lock since",
            where=f"{self._bucket.shown}/{self._name}",
            why="nothing was sent after that was seen",
            next="Run apply again; it looks before it creates",
        )

    def _whole(self, text: bytes) -> bytes:
        head = {"formatVersion": 1, "epoch": self._epoch, "number": self._number}
        return json.dumps(head, sort_keys=True).encode() + b"\n" + text


def text_of(there: Object | None, where: str) -> bytes:
    """What stands behind the first line.

    Raises:
        StateError: the first line is none of ours, or of a newer version.
    """
    return _parted(there, where)[1]


def _parted(there: Object | None, where: str) -> tuple[int, bytes]:
    """The epoch of the session that wrote it, and the text."""
    if there is None:
        return 0, b""
    line, _, text = there.content.partition(b"\n")
    try:
        head = json.loads(line)
        version, epoch = head["formatVersion"], int(head.get("epoch", 0))
    except (ValueError, TypeError, KeyError) as error:
        raise StateError(
            "this object is none that reconciler wrote", where=where, next="state.url names another path?"
        ) from error
    if version != 1:
        raise StateError(
            "this object is of a newer version",
            where=where,
            next="Upgrade: pip install --upgrade batch-reconciler",
        )
    return epoch, text


def together(lockfile: bytes, journal: Journal, shown: str) -> tuple[Lock, JournalState]:
    """What was committed, and what the journal says to it."""
    lock = read_lock(lockfile.decode(), f"{shown}/{LOCKFILE}") if lockfile else Lock()
    warm = journal.closed == digest(lockfile)
    return lock, JournalState(journal.open, journal.recovered, warm)


def digest(text: bytes) -> str:
    """How a closed journal knows its lockfile (C2)."""
    return "sha256:" + hashlib.sha256(text).hexdigest()


class ObjectSession:
    """The state while its lease is held."""

    def __init__(self, bucket: Bucket, lease: Lease, project: str) -> None:
        """Make both objects this session's own.

        Raises:
            StateError: they cannot be used.
        """
        self._bucket, self._lease, self._project = bucket, lease, project
        self._journal = Page(bucket, JOURNAL, lease.epoch)
        self._lockfile = Page(bucket, LOCKFILE, lease.epoch)
        journal = read_journal(self._journal.text, f"{bucket.shown}/{JOURNAL}")
        self._standing, self.journal = together(self._lockfile.text, journal, bucket.shown)
        self._opened = {intent.id: intent for intent in self.journal.open}
        self._recovered: list[Entry] = list(self.journal.recovered)
        self._lineage = journal.lineage
        self._open = OpenIntents(self.journal.open)
        self._writing = threading.RLock()
        self.idle = True
        self.lock = with_recovered(self._standing, self.journal.recovered)

    def confirm(self) -> None:
        """Make sure that the lease lasts still, by this machine's clock: the last act before a send.

        Raises:
            LockLostError: it does not.
        """
        self._lease.confirm()

    def note(self, notes: Sequence[Intent | Settled]) -> None:
        """Write the journal anew with these, in one write (C3).

        Raises:
            LockLostError: the lease is another's.
            StateError: it could not be written, or a second create of a key would be open.
        """
        with self._writing:
            after = self._open.after(notes, self._bucket.shown)
            opened, recovered = dict(self._opened), list(self._recovered)
            for note in notes:
                if isinstance(note, Intent):
                    opened[note.id] = note
                else:
                    opened.pop(note.intent, None)
                    recovered += [note.entry] if note.entry else []
            self._write_journal(opened, recovered)
            self._open, self._opened, self._recovered = after, opened, recovered

    def _write_journal(
        self, opened: dict[str, Intent], recovered: list[Entry], *last: Note, lineage: str = ""
    ) -> None:
        self._lease.confirm()
        lineage = lineage or self._standing.lineage or self._lineage
        whose: list[Note] = [Belongs(lineage)] if lineage else []
        entries = [Settled("recorded", Closing.FOUND, entry=entry) for entry in recovered]
        notes: list[Note] = [*whose, *opened.values(), *entries, *last]
        self._journal.write(b"".join(write_note(note) for note in notes))
        self.idle = False

    def commit(self, lock: Lock) -> Lock:
        """Write the lockfile, if it says anything new, and give it back as it stands.

        Raises:
            LockLostError: the lease is another's.
            StateError: it could not be written; the old one then stands as it was.
        """
        if lock == Lock() and not self._lockfile.text and not self._recovered:
            return lock
        with self._writing:
            lock = successor(lock, self._standing, lineage=self._lineage, project=self._project)
            self._write_lockfile(lock)
            self.lock = lock
            if self._recovered:
                self._write_journal(self._opened, [])
                self._recovered = []
        return lock

    def _write_lockfile(self, lock: Lock) -> None:
        text = as_bytes(write_lock(lock))
        if text != self._lockfile.text:
            self._lease.confirm()
            self._lockfile.write(text)
            self.idle = False
        # The caller goes on changing its entries; the next commit is held against these.
        self._standing = replace(lock, entries=copy.copy(lock.entries))

    def close(self) -> None:
        """Close the journal, unless an intent is open: the next run is then warm (C2)."""
        with self._writing:
            if self._open:
                return
            self._write_journal({}, [], Closed(digest(self._lockfile.text)))
            self._recovered = []

    def take_over(self, lock: Lock, journal: JournalState) -> None:
        """Stand in for another store; the lockfile that stood here is kept below ``backups/``."""
        with self._writing:
            opened = {intent.id: intent for intent in (*self._opened.values(), *journal.open)}
            after = self._open.after([item for name, item in opened.items() if name not in self._opened], "")
            self._write_journal(opened, list(journal.recovered), lineage=lock.lineage)
            self._open, self._opened, self._recovered = after, opened, list(journal.recovered)
            self._lineage = lock.lineage
            if self._lockfile.text:
                name = f"backups/{self._lease.epoch:08}-{self._standing.serial:08}"
                self._bucket.put(name, self._lockfile.text)
            self._write_lockfile(lock)
            self.lock = with_recovered(lock, journal.recovered)
            if journal.warm:
                self.close()

    def keep(self, name: str, content: bytes) -> None:
        """Keep a run's audit file, which only that run writes."""
        self._bucket.put(f"audit/{name}", content)
        self.idle = False
