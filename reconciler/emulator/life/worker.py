"""The worker: takes batches from the database and has their files read, one after the other.

One worker a database, whatever the number of processes: the operating system's lock on a file beside
the database says who, and dies with its holder, so the next one carries on. What another process adds
to the database is noticed by looking now and then; what this process adds wakes the worker.

Not here: what a status means (`batches`), how a file is read (`reader_process`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.emulator.errors import DatabaseUnusableError, Refused
from reconciler.emulator.llamacloud.folders import MAX_FILES
from reconciler.emulator.reading.reader_process import ReaderProcess, Stopped

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.emulator.llamacloud.batches import Batch, Batches, Waiting
    from reconciler.emulator.llamacloud.folders import Directory, Folders
    from reconciler.emulator.moments import Clock

# How long an idle worker sleeps before it looks at `stop` and at the database again, in seconds.
_NAP = 0.1
_LONGEST_NAME = 100
_GONE = "the directory is gone"


class Worker:
    """Works on the batches of one database with the documents of one root."""

    def __init__(self, database: Path, folders: Folders, batches: Batches, clock: Clock) -> None:
        self._results = database.with_name(f"{database.name}.results")
        self._lock = database.with_name(f"{database.name}.worker.lock")
        self._folders = folders
        self._batches = batches
        self._clock = clock
        self._reader = ReaderProcess()

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Process batches until `stop` is set; `wake` ends a nap early."""
        self._batches.prepare()
        try:
            with self._sole_worker(stop) as mine:
                while mine and not stop.is_set():
                    # Cleared before the look: what is added after the look sets it again.
                    wake.clear()
                    batch = self._batches.next_unfinished()
                    if batch is None:
                        wake.wait(_NAP)
                    else:
                        self._advance(batch, stop)
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

    def _advance(self, batch: Batch, stop: threading.Event) -> None:
        """Carry one batch on, to its end unless `stop` is set."""
        try:
            directory = self._folders.directory(batch.directory_id)
            if directory is None:
                self._batches.fail(batch, _GONE)
                return
            if batch.status == "PENDING":
                files = self._folders.files(directory)
                if len(files) > MAX_FILES:
                    self._batches.fail(batch, f"the directory has over {MAX_FILES} files")
                    return
                self._batches.start(batch, files)
        except Refused as refused:
            self._batches.fail(batch, str(refused.detail))
            return
        while not stop.is_set():
            # Asked anew for each file, so that a cancel stops before the next one.
            waiting = self._batches.next_waiting(batch)
            if waiting is None:
                self._batches.complete(batch)
                return
            self._process(batch, directory, waiting, stop)

    def _process(self, batch: Batch, directory: Directory, file: Waiting, stop: threading.Event) -> None:
        if not self._folders.has(directory, file.name):
            if self._folders.directory(batch.directory_id) is None:
                self._batches.fail(batch, _GONE)
                return
            self._batches.map_nothing(batch, file, error="the file is gone, so no job was created for it")
            return
        started = self._clock()
        suffix = ".txt" if batch.fields is None else ".json"
        target = self._results / batch.id / (safe_name(file.name) + suffix)
        error = self._reader.read(directory.path / file.name, target, batch.fields, stop=stop)
        self._batches.map(batch, file, started=started, error=error)


def safe_name(name: str) -> str:
    """Give a file name that every file system takes, unlike that of any other name.

    Plain names stay as they are; others are cut and cleaned, and get a digest of the whole.
    """
    clean = re.sub(r"[^\w. -]", "_", name, flags=re.ASCII)[:_LONGEST_NAME]
    if clean == name and not name.startswith("."):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{clean.lstrip('.')}-{digest}"
