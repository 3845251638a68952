"""The worker's handle on a process that reads documents: `reader`, started once, kept for all files.

Documents and regular expressions come from anywhere, and one that crashes a native parser, never ends
or holds Python's global lock must cost no more than its own file. So the reading is done in a process
of its own, in a session of its own (a Ctrl-C for the owner is none for it), and killed when a file
takes too long or the owner wants to stop.

`begin` and `outcome` let the owner do other things while a document is read.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.emulator.errors import ReaderUnavailableError

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

# A page takes about a millisecond; a file that takes this long is not going to end.
SECONDS_A_FILE = 120
# How often the wait for a reply looks at `stop`, in seconds.
_GLANCE = 0.1
# The same search path as here, wherever this package was found, and no code from the current folder.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from reconciler.emulator.reading.reader import main; main()"
)


class Stopped(Exception):  # noqa: N818 - a wish of the owner, not a defect
    """The owner wanted to stop before the file was done; nothing is known about the file."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a document.

    Attributes:
        error: why it could not be read or written; None when it was.
    """

    error: str | None


class ReaderProcess:
    """Reads one document at a time. Not for several threads."""

    def __init__(self, *, seconds: int = SECONDS_A_FILE) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._line = b""
        self._deadline = 0.0

    def read(
        self, source: Path, target: Path, fields: Mapping[str, object] | None, *, stop: threading.Event
    ) -> str | None:
        """Write the text (or with `fields` the record) of a document to `target`.

        Returns:
            None, or why it could not be done.

        Raises:
            ReaderUnavailableError: when the process cannot be started.
            Stopped: when `stop` was set first.
        """
        self.begin(source, target, fields, stop=stop)
        while True:
            if stop.is_set():
                self.close()
                raise Stopped
            if (outcome := self.outcome(_GLANCE)) is not None:
                return outcome.error

    def begin(
        self, source: Path, target: Path, fields: Mapping[str, object] | None, *, stop: threading.Event
    ) -> None:
        """Begin to read a document; `outcome` says what became of it. For arguments and errors see `read`."""
        # Paths need not be Unicode; JSON carries the surrogates that stand for their bytes.
        request = {
            "source": str(source.absolute()),
            "target": str(target.absolute()),
            "fields": fields,
            "seconds": self._seconds + 5,
        }
        line = json.dumps(request).encode("ascii") + b"\n"
        try:
            self._send(line, stop)
        except OSError:
            # It died between two files, which says nothing about this one.
            self.close()
            self._send(line, stop)

    def outcome(self, seconds: float) -> Outcome | None:
        """Wait so long for the document that was begun; give what became of it, None when it is not done."""
        reply = self._reply(seconds)
        if isinstance(reply, bytes):
            return Outcome(json.loads(reply)["error"])
        if reply is None:
            return None
        self.close()
        return Outcome(reply)

    def close(self) -> None:
        """End the process, if there is one; the next document starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                # Closing flushes what the process will never read.
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()

    def _send(self, line: bytes, stop: threading.Event) -> None:
        process = self._process or self._start(stop)
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()
        self._expect()

    def _start(self, stop: threading.Event) -> subprocess.Popen[bytes]:
        package = str(Path(__file__).resolve().parents[3])
        search = [*(entry or os.getcwd() for entry in sys.path), package]  # noqa: PTH109 - as Python does
        try:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-c", _PROGRAM, json.dumps(search)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise ReaderUnavailableError(error.strerror or type(error).__name__) from error
        self._process = process
        # Its greeting shows that it runs; from here on, an early end is a document's doing.
        self._expect()
        greeting: bytes | str | None = None
        while greeting is None:
            if stop.is_set():
                self.close()
                raise Stopped
            greeting = self._reply(_GLANCE)
        if isinstance(greeting, str):
            self.close()
            raise ReaderUnavailableError("its program does not start")
        return process

    def _expect(self) -> None:
        """Begin to wait for a line."""
        self._line = b""
        self._deadline = time.monotonic() + self._seconds

    def _reply(self, seconds: float) -> bytes | str | None:
        """Wait so long for a line; give it, or say why there will be none, or None when it may yet come."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout
        if time.monotonic() > self._deadline:
            return f"reading the document took longer than {self._seconds} seconds"
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(seconds):
                return None
        part = os.read(pipe.fileno(), 65536)
        if not part:
            return "reading the document crashed the parser"
        self._line += part
        return self._line if self._line.endswith(b"\n") else None
