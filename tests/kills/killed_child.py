"""A process that applies a project and kills itself, with a real SIGKILL, at the instant it was told.

An instant is before or after a step that outlives the process: a system call that changes a file of the
project, in whatever thread, an HTTP request, or a question to a database. Instants are numbered from 0 as
they come. The child is forked from a parent that has imported everything, so that a run costs milliseconds;
what is wrapped is wrapped in the child alone. What is applied, and what has to be true afterwards, is not
said here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import httpx

from reconciler import api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.project import Project

#: No run has so many instants: whoever is to die then comes to its end.
NEVER = 1_000_000

_DONE, _FAILED = 0, 99

# Reading the machine's certificates takes longer than a run, and loopback is spoken to without TLS.
_TLS = ssl.create_default_context()


class HurriedClock:
    """The machine's clock, on which sleeping takes a fraction of the time that goes by meanwhile.

    Requests take as long as they take, so a look is as old as it is (C3); only the waits, that for the
    settle time first of all, are shorter than they are said to be.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        due = self.monotonic() + seconds
        await asyncio.sleep(seconds * self._share)
        self._ahead = max(self._ahead, due - time.monotonic())


@dataclass(frozen=True)
class Died:
    """What became of a child.

    Attributes:
        instants: the names of the instants that it reached; the last one was fatal if it was killed.
        killed: whether it died of SIGKILL; else it came to its end.
        failure: a traceback or an exit code, if it came to a bad end.
    """

    instants: tuple[str, ...]
    killed: bool
    failure: str


def apply_and_die(
    project: Project, instant: int, *, share: float, environ: Mapping[str, str], each: bool
) -> Died:
    """Apply a project in a child that dies at an instant, and wait for its death.

    Args:
        project: as `api.load` gives it.
        instant: the number of the fatal one, or `NEVER`.
        share: how long sleeping takes, as for `HurriedClock`.
        environ: the environment that the run is given.
        each: whether an instant "before" that directly follows one "after" is an instant of its own. Nothing
            lasting lies between the two, so dying at either leaves the same behind.
    """
    assert threading.active_count() == 1, "a process with threads is not to be forked"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _live(project, _Reaper(project.folder, instant, writer, each=each), share, environ)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        text = said.read().decode()
    _, status = os.waitpid(child, 0)
    lines, _, failure = text.partition("\0")
    code = os.waitstatus_to_exitcode(status)
    killed = code == -signal.SIGKILL
    if not killed and code != _DONE:
        failure = failure or f"it ended with {code}"
    return Died(tuple(lines.splitlines()), killed, failure)


def _live(project: Project, reaper: _Reaper, share: float, environ: Mapping[str, str]) -> NoReturn:
    """The child's whole life. It never returns into the tests of its parent."""
    code = _FAILED
    try:
        # httpcore asks at every step whether this is trio, and a search for what is not there is slow.
        sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type] # so that importing it fails at once
        httpx._transports.default.create_ssl_context = lambda *_, **__: _TLS  # type: ignore[attr-defined]
        reaper.arm()
        # A server may take a moment to notice that who held its lock is dead.
        api.apply(project, clock=HurriedClock(share), environ=environ, lock_timeout=60)
        code = _DONE
    except BaseException:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        reaper.say("\0" + traceback.format_exc())
    finally:
        os._exit(code)


class _Reaper:
    """Counts instants, tells the parent of each, and kills at the fatal one."""

    def __init__(self, folder: str, instant: int, pipe: int, *, each: bool) -> None:
        self._folder = f"{folder}{os.sep}"
        self._left = instant
        self._each = each
        self._pipe = pipe
        self._last = ""
        self._one_at_a_time = threading.Lock()
        self._write = os.write  # the true one

    def say(self, text: str) -> None:
        self._write(self._pipe, text.encode())

    def reach(self, name: str) -> None:
        with self._one_at_a_time:
            same = name.startswith("before") and self._last.startswith("after")
            self._last = name
            if same and not self._each:
                return
            self.say(f"{name}\n")
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1

    def arm(self) -> None:
        """Wrap what this process does to files and to the service."""
        for name in ("write", "fsync", "ftruncate"):
            setattr(os, name, self._around(name, getattr(os, name), self._of_descriptor))
        for name in ("replace", "rename", "unlink", "mkdir"):
            setattr(os, name, self._around(name, getattr(os, name), os.fspath))
        opens, creates = os.open, self._around("create", os.open, os.fspath)

        def opened(path: str, flags: int, *rest: int, **named: int) -> int:
            """Of opening, only what may make a file lasts."""
            descriptor: int = (creates if flags & os.O_CREAT else opens)(path, flags, *rest, **named)
            return descriptor

        os.open = opened  # type: ignore[assignment]
        sends = httpx.AsyncHTTPTransport.handle_async_request

        async def send(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            name = f"{request.method} {request.url.path}"
            self.reach(f"before {name}")
            try:
                return await sends(transport, request)
            finally:
                self.reach(f"after {name}")

        httpx.AsyncHTTPTransport.handle_async_request = send  # type: ignore[method-assign, assignment]
        if "psycopg" in sys.modules:
            self._arm_database(sys.modules["psycopg"].Connection)

    def _arm_database(self, connection: Any) -> None:  # noqa: ANN401 - a class of a package that need not be there
        """Wrap each question to a database: a statement, a transaction's begin or its end."""
        asks = connection.wait

        def ask(*rest: Any, **named: Any) -> Any:  # noqa: ANN401 - as the package has it
            self.reach("before asking the database")
            try:
                return asks(*rest, **named)
            finally:
                self.reach("after asking the database")

        connection.wait = ask

    def _around(
        self, name: str, call: Callable[..., Any], path_of: Callable[[Any], str]
    ) -> Callable[..., Any]:
        def wrapped(what: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 - as the system call has it
            path = path_of(what)
            if not f"{path}{os.sep}".startswith(self._folder):
                return call(what, *rest, **options)
            shown = f"{name} {path[len(self._folder) :] or 'the folder'}"
            self.reach(f"before {shown}")
            result = call(what, *rest, **options)
            self.reach(f"after {shown}")
            return result

        return wrapped

    def _of_descriptor(self, descriptor: int) -> str:
        return "" if descriptor == self._pipe else os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - not resolved further
