"""A tiny server that webhooks are sent to: it keeps what it gets, and answers as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON: TypeAlias = Any

# Seconds until a test that waits for what never comes is ended; none that passes waits so long.
_FOR_EVER = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request: its path, its headers by names in small letters, its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> JSON:
        """What it tells, whichever way it is written."""
        told = json.loads(self.body)
        return json.loads(told) if isinstance(told, str) else told


class Receiver:
    """Answers the first request with the first status, and all after the last with the last.

    None as a status is no answer until `release` is called, and then a 200.
    """

    def __init__(self, *statuses: int | None, seen: Callable[[], object] = lambda: None) -> None:
        self._statuses = list(statuses) or [200]
        self._seen = seen
        self._changed = threading.Condition()
        self._released = threading.Event()
        self.calls: list[Call] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._take(self)

            def log_message(self, *words: object) -> None:
                del words

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *where: None  # type: ignore[method-assign] # who was sent away
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def events(self) -> list[str]:
        """The types of the events that came, in order."""
        return [call.event["event_type"] for call in self.calls]

    def wait(self, count: int) -> list[Call]:
        """Wait until so many requests have come; give them all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= count, _FOR_EVER), self.events
            return list(self.calls)

    def release(self) -> None:
        """Let those be answered that were not."""
        self._released.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._changed:
            self._seen()
            status = self._statuses[min(len(self.calls), len(self._statuses) - 1)]
            self.calls.append(Call(path=request.path, headers=headers, body=body))
            self._changed.notify_all()
        if status is None:
            self._released.wait(_FOR_EVER)
        request.send_response(status or 200)
        request.send_header("Location", "/elsewhere")
        request.send_header("Set-Cookie", "crumb=1")
        request.send_header("Content-Length", "0")
        request.end_headers()


@contextlib.contextmanager
def receiver(*statuses: int | None, seen: Callable[[], object] = lambda: None) -> Iterator[Receiver]:
    """A receiver that is gone afterwards."""
    there = Receiver(*statuses, seen=seen)
    try:
        yield there
    finally:
        there.close()
