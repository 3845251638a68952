"""Object stores for tests: moto's S3, in a process of its own; and a small one that can misbehave.

moto honours conditional writes, but looks and writes in two steps: where four wrote at once over one tag, two
of them won in six of four hundred rounds. S3 does it in one step, so here moto's requests take turns. The
small one speaks just as much of S3 as is needed, and does what a test has put into its ``whim``: it forgets
conditions, loses replies after the fact, or refuses.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NEVER = 60
_NUMBERS = itertools.count(1)
BUCKET = "states"
CREDENTIALS = {"access_key_id": "AKIAMOTO", "secret_access_key": "hunter2hunter2", "region": "us-east-1"}


@dataclass(frozen=True)
class Buckets:
    """A service with one bucket. Each path of it is a world of its own."""

    endpoint: str

    def new_url(self) -> str:
        return f"s3://{BUCKET}/world-{next(_NUMBERS)}"


_MOTO = """\
import sys
import threading
from datetime import timedelta
from pathlib import Path

from moto import server
from moto.s3 import models

ahead, turn, serve = sys.argv.pop(), threading.Lock(), server.run_simple

def in_turn(app):
    def answer(environ, start_response):
        with turn:
            return list(app(environ, start_response))
    return answer

server.run_simple = lambda host, port, app, **rest: serve(host, port, in_turn(app), **rest)
if ahead:
    now = models.utcnow
    models.utcnow = lambda: now() + timedelta(seconds=float(Path(ahead).read_text()))
server.main()
"""


@contextlib.contextmanager
def moto(ahead: Path | None = None) -> Iterator[Buckets]:
    """moto's S3 server, gone afterwards.

    Args:
        ahead: a file with the seconds by which its clock is ahead of ours.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO, "-H", "127.0.0.1", "-p", str(port), str(ahead or "")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))},
    )
    made = Buckets(f"http://127.0.0.1:{port}")
    try:
        for _ in range(_NEVER * 20):
            assert process.poll() is None
            with contextlib.suppress(httpx.TransportError):
                httpx.put(f"{made.endpoint}/{BUCKET}", timeout=_NEVER).raise_for_status()
                break
            time.sleep(0.05)
        yield made
    finally:
        process.kill()
        process.wait()


@dataclass
class Small:
    """What the small one holds, and how it behaves.

    Attributes:
        whim: given a method and a key, what it does otherwise: ``forget`` takes no notice of conditions,
            ``lose`` does it and closes the connection without a reply, ``drop`` closes it and does nothing; a
            number is a status that it refuses with, and a text the code in the refusal's body.
        ahead: seconds by which its clock is ahead of ours.
    """

    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    whim: Callable[[str, str], str | int | None] = lambda method, key: None
    ahead: float = 0.0
    asked: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    small: Small
    turn: threading.Lock

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own word
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        said = f"<Error><Code>{code}</Code><Message>said the store</Message><Key>hunter2</Key></Error>"
        self._answer(status, said.encode())

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.path.partition("?")[0]
        with self.turn:
            whim = self.small.whim(self.command, key)
            self.small.asked.append(f"{self.command} {key}")
            if whim == "drop":
                self.close_connection = True
                return
            if isinstance(whim, int):
                self._error(whim, {403: "AccessDenied", 404: "NoSuchBucket"}.get(whim, "SlowDown"))
                return
            if whim == "skewed":
                self._error(403, "RequestTimeTooSkewed")
                return
            there = self.small.objects.get(key)
            tag = f'"{hashlib.md5(there[0]).hexdigest()}"' if there else None
            if self.command == "PUT":
                self._put(key, body, tag, whim)
            elif self.command == "DELETE":
                self.small.objects.pop(key, None)
                self._answer(204)
            elif there is None or tag is None:
                self._error(404, "NoSuchKey")
            else:
                self._answer(200, there[0], ETag=tag, Last_Modified=formatdate(there[1], usegmt=True))

    def _put(self, key: str, body: bytes, tag: str | None, whim: str | None) -> None:
        wanted, unwanted = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        if whim != "forget" and ((wanted and wanted != tag) or (unwanted and tag)):
            self._error(412, "PreconditionFailed")
            return
        self.small.objects[key] = (body, time.time() + self.small.ahead)
        if whim == "lose":
            self.close_connection = True
            return
        self._answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

    do_GET = do_PUT = do_DELETE = _do  # noqa: N815 - the base's own words


@contextlib.contextmanager
def small() -> Iterator[tuple[Buckets, Small]]:
    """The small one, gone afterwards."""
    there = Small()
    handler = type("Handler", (_Handler,), {"small": there, "turn": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Buckets(f"http://127.0.0.1:{server.server_address[1]}"), there
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
