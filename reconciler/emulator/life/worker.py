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

from reconciler.emulator.errors import DatabaseUnusableError, Refused
from reconciler.emulator.life.moves import FileOutcome
from reconciler.emulator.life.pace import BATCH_FAILED, FILE_FAILED, Fate
from reconciler.emulator.llamacloud.folders import MAX_FILES
from reconciler.emulator.reading.reader_process import ReaderProcess, Stopped

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
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

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Move batches on until `stop` is set; `wake` ends a nap early."""
        self._moves.prepare()
        try:
            with self._sole_worker(stop) as mine:
                while mine and not stop.is_set():
                    # Cleared before the look: what is added after the look sets it again.
                    wake.clear()
                    if not self.advance(stop):
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
        """Make the moves that are due now; say whether there were any of batches of LlamaCloud's."""
        now = self._clock()
        for other in self._others:
            other(now)
        due = self._moves.due(now, limit=_AT_ONCE)
        for batch in due:
            if stop.is_set():
                break
            if batch.cancelling:
                self._moves.end_cancelling(batch)
            elif batch.status == "RUNNING":
                self._finish(batch, stop)
            elif self._free_slots():
                self._start(batch)
            else:
                self._moves.throttle(batch)
        return bool(due) | self._start_throttled(stop)

    def _free_slots(self) -> int:
        if self._pace.max_running is None:
            return _AT_ONCE
        return max(0, self._pace.max_running - self._moves.running())

    def _start_throttled(self, stop: threading.Event) -> bool:
        if self._pace.max_running is None:
            # An earlier process may have left some.
            started = self._moves.throttled(limit=_AT_ONCE)
        else:
            started = self._moves.throttled(limit=self._free_slots())
        for batch in started:
            if stop.is_set():
                break
            self._start(batch)
        return bool(started)

    def _start(self, batch: Batch) -> None:
        try:
            directory = self._directories.get(batch.directory_id)
            if directory is None:
                self._moves.fail(batch, _GONE)
                return
            files = self._directories.files(directory)
        except Refused as refused:
            self._moves.fail(batch, str(refused.detail))
            return
        if len(files) > MAX_FILES:
            self._moves.fail(batch, f"the directory has over {MAX_FILES} files")
            return
        cancelling = self._fate(batch) is Fate.CANCEL
        takes = self._pace.per_file * len(files)
        due = self._clock() + (takes // 2 if cancelling else takes)
        self._moves.start(batch, files, due=due, cancelling=cancelling)

    def _finish(self, batch: Batch, stop: threading.Event) -> None:
        """Bring a running batch to its end, unless `stop` is set first."""
        if self._fate(batch) is Fate.FAIL:
            self._moves.fail(batch, BATCH_FAILED)
        elif self._pace.read:
            self._read(batch, stop)
        else:
            now = self._clock()
            self._moves.complete(
                batch,
                *(
                    FileOutcome(position=file.position, started=now, error=self._failure(batch, file))
                    for file in self._moves.waiting(batch)
                ),
            )

    def _read(self, batch: Batch, stop: threading.Event) -> None:
        while not stop.is_set():
            # Asked anew for each file, so that a cancel stops before the next one.
            waiting = self._moves.next_waiting(batch)
            if waiting is None:
                self._moves.complete(batch)
                return
            outcome = self._read_file(batch, waiting, stop)
            if outcome is None:
                self._moves.fail(batch, _GONE)
                return
            self._moves.map(batch, outcome)

    def _read_file(self, batch: Batch, file: Waiting, stop: threading.Event) -> FileOutcome | None:
        """Have a document read; None when its directory is gone."""
        started = self._clock()
        if (error := self._failure(batch, file)) is not None:
            return FileOutcome(position=file.position, started=started, error=error)
        if self._directories.get(batch.directory_id) is None:
            return None
        document = self._directories.document(batch.directory_id, file.file_id, file.name)
        if document is None:
            error = "the file is gone, so no job was created for it"
            return FileOutcome(position=file.position, started=started, error=error, job=False)
        # Without fields to look for, as in a configuration that has a `data_schema` alone, the text is all.
        fields = batch.fields or None
        target = self._results / batch.id / (_result_name(file, document) + (".json" if fields else ".txt"))
        error = self._reader.read(document, target, fields, stop=stop)
        return FileOutcome(position=file.position, started=started, error=error)

    def _fate(self, batch: Batch) -> Fate:
        return self._pace.fate(batch.directory_id, batch.job_type, batch.configuration_id, batch.attempt)

    def _failure(self, batch: Batch, file: Waiting) -> str | None:
        fails = self._pace.fails(batch.directory_id, file.name, batch.attempt)
        return FILE_FAILED if fails else None


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
