"""`reconciler` as processes that stop themselves, with a real SIGSTOP, at the instant they were told.

    frozen_child.py SOCKET

listens there, with everything imported, and forks for each request: half a second of start-up for each of a
hundred pairs would be most of what they take. A request is ``{"words", "environ", "when", "ahead"}`` as JSON,
with two descriptors: for what is printed, and a pipe for the names of instants; the first line there is the
process's id and the last one its exit code.

An instant is before or after a step that somebody else can see: a request to the service (and, of a create,
its headers and its body apart), a question to the database, an object that is read or written, a system call
that changes a file of the project. Instants are numbered from 0 as they come. ``when`` is a number, or a
name for the first of that name, or ``never``; with ``undisturbed`` nothing is wrapped. What the command does
is the product's own, and what is wrapped is wrapped in that process alone. ``ahead`` is "", or names a file
with the seconds by which the clock that leases go by is ahead of the machine's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import httpcore
from killed_child import _Reaper

if TYPE_CHECKING:
    from collections.abc import Callable

#: Named to the pipe when it stops; what follows was done after it was woken.
FROZEN = "frozen"
#: At no instant, and not even looking out for one.
NEVER, UNDISTURBED = "never", "undisturbed"
#: Between the last look at the lock and the part of a create without which nobody can carry it out.
WINDOW = "before body POST /api/v2/batches"
#: A question to the database has been answered.
ASKED = "after asking the database"


class Freezer(_Reaper):
    """Counts instants, tells the parent of each, and stops at the fatal one until it is woken."""

    def __init__(self, folder: str, when: str, pipe: int) -> None:
        super().__init__(folder, int(when) if when.isdigit() else -1, pipe, each=True)
        self._name = when

    def reach(self, name: str) -> None:
        if threading.current_thread().name == "lease":  # its renewals come when they come
            return
        with self._one_at_a_time:
            # Nothing lies between the end of one step and the beginning of the next, but for a create's.
            same = name.startswith("before") and self._last.startswith("after") and "POST" not in name
            self._last = name
            if same:
                return
            self.say(f"{name}\n")
            if self._left == 0 or name == self._name:
                self._name = ""
                self.say(f"{FROZEN}\n")
                os.kill(os.getpid(), signal.SIGSTOP)
            self._left -= 1

    def arm(self) -> None:
        super().arm()
        self._arm_sends(httpcore.AsyncHTTP11Connection)
        if "obstore" in sys.modules:
            from reconciler.adapters.stores.object.bucket import Bucket

            for name, shown in (("read", "read"), ("_write", "write"), ("put", "put"), ("names", "list")):
                setattr(Bucket, name, self._asking(shown, getattr(Bucket, name)))

    def _arm_sends(self, connection: Any) -> None:  # noqa: ANN401 - a class of a package
        for part in ("headers", "body"):
            sends = getattr(connection, f"_send_request_{part}")

            async def send(
                mine: object,
                request: httpcore.Request,
                *,
                part: str = part,
                sends: Callable[..., Any] = sends,
            ) -> None:
                name = f"{part} {request.method.decode()} {request.url.target.decode().partition('?')[0]}"
                if request.method == b"POST":
                    self.reach(f"before {name}")
                await sends(mine, request)
                if request.method == b"POST":
                    self.reach(f"after {name}")

            setattr(connection, f"_send_request_{part}", send)

    def _asking(self, shown: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(bucket: object, name: str, *rest: Any, **named: Any) -> Any:  # noqa: ANN401 - as it has it
            what = f"{shown} {'probe' if name.startswith('probe/') else name.partition('/')[0]}"
            self.reach(f"before {what}")
            try:
                return call(bucket, name, *rest, **named)
            finally:
                self.reach(f"after {what}")

        return asked


def _go_by(ahead: Path) -> None:
    """Have the lease's clock be one that a test can move on, as it moves that of the service."""
    from reconciler.adapters.stores.object import lease as leases

    ticks = leases.ticks
    leases.ticks = lambda: ticks() + float(ahead.read_text())


def _serve(address: str) -> None:
    """Listen, and fork for each request."""
    # Whatever a command imports late would be imported by each fork anew.
    import jsonschema  # noqa: F401
    import obstore  # noqa: F401
    import psycopg  # noqa: F401

    import reconciler.adapters.providers.llamacloud
    import reconciler.adapters.stores.object.store
    import reconciler.adapters.stores.postgres.store
    import reconciler.engine.apply  # noqa: F401
    from reconciler.cli.main import run_command  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever asked hears of the end by the pipe
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)  # noqa: T201 - what the parent waits for
        while True:
            line, _ = listener.accept()
            with line:
                head, (out, pipe), _, _ = socket.recv_fds(line, 8, 2)
                with line.makefile("rb") as file:
                    asked = json.loads(file.read(int.from_bytes(head, "big")))
            if os.fork() == 0:
                listener.close()
                _live(asked, out, pipe)
            os.close(out)
            os.close(pipe)


def _live(asked: dict[str, Any], out: int, pipe: int) -> NoReturn:
    """One command, from its beginning to its end."""
    from reconciler.cli.main import run_command

    code = 99
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.write(pipe, f"{os.getpid()}\n".encode())
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.clear()
        os.environ.update(asked["environ"])
        sys.argv = ["reconciler", *asked["words"]]
        if asked["ahead"]:
            _go_by(Path(asked["ahead"]))
        if asked["when"] != UNDISTURBED:
            Freezer(asked["words"][asked["words"].index("--chdir") + 1], asked["when"], pipe).arm()
        code = run_command()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os.write(pipe, f"{code}\n".encode())
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
