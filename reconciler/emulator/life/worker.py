"""The worker: makes each move of a batch when it is due, and has documents read.

One worker a database, whatever the number of processes: the operating system's lock on a file beside
the database says who, and dies with its holder, so the next one carries on. What another process adds
to the database is noticed by looking now and then; what this process adds wakes the worker.

Not here: what a move does to a batch (`moves`), how a file is read (`reading`), how fast and how well
things go (`pace`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.emulator.errors import DatabaseUnusableError, ReaderUnavailableError, Refused
from reconciler.emulator.life.moves import FileOutcome
from reconciler.emulator.life.pace import BATCH_FAILED, FILE_FAILED, Fate
from reconciler.emulator.llamacloud.folders import MAX_FILES
from reconciler.emulator.reading.reader_process import ReaderProcess, Stopped

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from reconciler.emulator.life.moves import Moves, Waiting
    from reconciler.emulator.life.pace import Pace
    from reconciler.emulator.llamacloud.batches import Batch
    from reconciler.emulator.llamacloud.directories import Directories
    from reconciler.emulator.moments import Clock, Micros

# How long an idle worker sleeps before it looks at `stop` and at the database again, in seconds.
_NAP = 0.1
# How many batches are looked up at once.
_AT_ONCE = 100
# How often the process that reads is started before that is given up.
_STARTS = 3
_LONGEST_NAME = 100
_GONE = "the directory is gone"


class Worker:
    """Works on the batches of one database with the documents of one root."""

    def __init__(
        self,
        database: Path,
        directories: Directories,
        moves: Moves,
        pace: Pace,
        clock: Clock,
        *,
        others: Sequence[Callable[[Micros], object]] = (),
    ) -> None:
        self._results = database.with_name(f"{database.name}.results")
        self._lock = database.with_name(f"{database.name}.worker.lock")
        self._directories = directories
        self._moves = moves
        self._pace = pace
        self._clock = clock
        self._others = others
        self._reader = ReaderProcess()
        # The document that is being read: its batch, itself, and since when.
        self._reading: tuple[Batch, Waiting, Micros] | None = None

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Move batches on until `stop` is set; `wake` ends a nap early."""
        self._moves.prepare()
        try:
            with self._sole_worker(stop) as mine:
                if mine:
                    self._moves.take_up()
                while mine and not stop.is_set():
                    # Cleared before the look: what is added after the look sets it again.
                    wake.clear()
                    moved = self.advance(stop)
                    # A long document holds up no move: while it is read, moves go on.
                    if not self._read_on(stop) and not moved:
                        wake.wait(_NAP)
        except Stopped:
            pass
        finally:
            self._reader.close()

    @contextmanager
    def _sole_worker(self, stop: threading.Event) -> Iterator[bool]:
        """Wait for the lock; False when `stop` was set before it came."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DatabaseUnusableError(self._lock, error.strerror or type(error).__name__) from error
        try:
            while not stop.is_set():
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    stop.wait(_NAP)
                else:
                    yield True
                    return
            yield False
        finally:
            os.close(descriptor)

    def advance(self, stop: threading.Event) -> bool:
        """Make the moves that are due now, each as of the moment it was due; say whether there were any.

        There may be more to make afterwards, of batches that were begun and were to end before now.
        """
        now = self._clock()
        for other in self._others:
            other(now)
        self._fill(now)
        due = self._moves.due(now, limit=_AT_ONCE)
        for batch in due:
            if stop.is_set():
                break
            self._move(batch, now if batch.due is None else batch.due)
        return bool(due)

    def _move(self, batch: Batch, at: Micros) -> None:
        """Make the move of a batch that was due at a moment."""
        if batch.cancelling:
            self._moves.end_cancelling(batch, at)
        elif batch.status != "RUNNING":
            # Where there is room, nobody is throttled who came earlier: `_fill` has seen to them.
            if self._free_slots():
                self._start(batch, at)
            else:
                self._moves.throttle(batch, at)
            return
        elif self._pace.fate(batch.likeness, batch.attempt) is Fate.FAIL:
            self._moves.fail(batch, at, BATCH_FAILED)
        elif self._pace.read:
            self._moves.hand_over(batch)
            return
        else:
            self._moves.complete(batch, at, *self._taken_for_read(batch, at))
        self._fill(at)

    def _fill(self, at: Micros) -> None:
        """Start batches that wait for others to end, while there is room for them."""
        if self._pace.max_running is None:
            return
        for batch in self._moves.throttled(limit=self._free_slots()):
            self._start(batch, max(at, batch.updated))

    def _free_slots(self) -> int:
        if self._pace.max_running is None:
            return _AT_ONCE
        return max(0, self._pace.max_running - self._moves.running())

    def _start(self, batch: Batch, at: Micros) -> None:
        try:
            directory = self._directories.get(batch.directory_id)
            if directory is None:
                self._moves.fail(batch, at, _GONE)
                return
            files = self._directories.files(directory)
        except Refused as refused:
            self._moves.fail(batch, at, str(refused.detail))
            return
        if len(files) > MAX_FILES:
            self._moves.fail(batch, at, f"the directory has over {MAX_FILES} files")
            return
        cancelling = self._pace.fate(batch.likeness, batch.attempt) is Fate.CANCEL
        takes = self._pace.per_file * len(files)
        due = at + (takes // 2 if cancelling else takes)
        self._moves.start(batch, files, at, due=due, cancelling=cancelling)

    def _taken_for_read(self, batch: Batch, at: Micros) -> list[FileOutcome]:
        return [
            FileOutcome(position=file.position, started=at, finished=at, error=self._failure(batch, file))
            for file in self._moves.waiting(batch)
        ]

    def _read_on(self, stop: threading.Event) -> bool:
        """Go on with a document, or with the next one; say whether there was anything to do."""
        if self._reading is None:
            batch = self._moves.to_read()
            if batch is None:
                return False
            try:
                self._begin(batch, stop)
            except Refused as refused:
                self._moves.fail(batch, self._clock(), str(refused.detail))
        if self._reading is not None:
            outcome = self._reader.outcome(_NAP)
            if outcome is not None:
                batch, file, started = self._reading
                self._reading = None
                self._map(batch, file, started, outcome.error)
        return True

    def _begin(self, batch: Batch, stop: threading.Event) -> None:
        """Begin with the next document of a batch, or end the batch when there is none.

        Raises:
            ReaderUnavailableError: when documents cannot be read, even when tried again.
            Refused: when a folder cannot be read.
        """
        # Asked anew for each file, so that a cancel stops before the next one.
        file = self._moves.next_waiting(batch)
        started = self._clock()
        if file is None:
            self._moves.complete(batch, started)
        elif (error := self._failure(batch, file)) is not None:
            self._map(batch, file, started, error)
        elif self._directories.get(batch.directory_id) is None:
            self._moves.fail(batch, started, _GONE)
        elif (document := self._directories.document(batch.directory_id, file.file_id, file.name)) is None:
            error = "the file is gone, so no job was created for it"
            self._map(batch, file, started, error, job=False)
        else:
            # Without fields to look for, as with a `data_schema` alone, the text is all.
            fields = batch.fields or None
            name = _result_name(file, document) + (".json" if fields else ".txt")
            self._begin_reading(document, self._results / batch.id / name, fields, stop)
            self._reading = (batch, file, started)

    def _begin_reading(
        self, document: Path, target: Path, fields: Mapping[str, object] | None, stop: threading.Event
    ) -> None:
        # A machine that is short of memory may have killed it while it started.
        for _ in range(_STARTS - 1):
            try:
                self._reader.begin(document, target, fields, stop=stop)
            except ReaderUnavailableError:
                stop.wait(_NAP)
            else:
                return
        self._reader.begin(document, target, fields, stop=stop)

    def _map(
        self, batch: Batch, file: Waiting, started: Micros, error: str | None, *, job: bool = True
    ) -> None:
        finished = max(started, self._clock())
        self._moves.map(
            batch,
            FileOutcome(position=file.position, started=started, finished=finished, error=error, job=job),
        )

    def _failure(self, batch: Batch, file: Waiting) -> str | None:
        return FILE_FAILED if self._pace.fails(batch.likeness, file.name, batch.attempt) else None


def _result_name(file: Waiting, document: Path) -> str:
    """Give the name of a file's result within its batch, without its ending."""
    # A file of a folder lies under its own name, which no other one there has. Uploads may share theirs.
    return safe_name(file.name if document.name == file.name else f"{document.stem}-{file.name}")


def safe_name(name: str) -> str:
    """Give a file name that every file system takes, unlike that of any other name.

    Plain names stay as they are; others are cut and cleaned, and get a digest of the whole.
    """
    clean = re.sub(r"[^\w. -]", "_", name, flags=re.ASCII)[:_LONGEST_NAME]
    if clean == name and not name.startswith("."):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{clean.lstrip('.')}-{digest}"
