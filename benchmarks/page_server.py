"""A service that costs next to nothing: LlamaCloud's listing, looks and creates, answered from memory.

    python benchmarks/page_server.py --live 100000 [--latency 0.05] [--times even|bursts] [--core 1]

`reconciler emulator` behaves like the service; this one only answers fast, in some 0.1 ms a page on one core,
so that what is measured against it is the client. Every batch is rendered before the first request; asyncio's
protocols do the rest. It knows what a client of the listing asks for: pages, tokens, and the filters by
directory, status and creation time, newest first; any directory exists and has two files; a create adds a
batch. It runs on one core where the system can do that, and counts what it is asked, which is exact.

What is here beside the server is how the benchmarks start it, set its latency and read its counts. How
anything is measured is not: that is `measuring`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any, Self

PROJECT = "prj-benchmark"
CONFIGURATION = "cfg-benchmark"
KEY = "llx-benchmark"

_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=300)
#: With `--times bursts`, so many batches were made within seconds of each other, as a script makes them.
_BURST = 1_000
_STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
_BATCHES = "/api/v2/batches"
_DIRECTORIES = "/api/v1/beta/directories/"
_CONFIGURATIONS = "/api/v1/beta/configurations/"


def directory_id(number: int) -> str:
    """The directory of the so manieth batch; those of no batch have higher numbers."""
    return f"dir-{number:08x}-bbbb-4ccc-8ddd-eeeeeeeeeeee"


class Batches:
    """What the service holds, oldest first, each batch rendered once."""

    def __init__(self, live: int, times: str) -> None:
        self._times: list[str] = []
        self._rendered: list[bytes] = []
        self._statuses: list[str] = []
        self._by_directory: dict[str, list[int]] = {}
        for number in range(live):
            self.add(directory_id(number), "COMPLETED", _made(number, live, times), CONFIGURATION)
        self._live = live

    def __len__(self) -> int:
        return len(self._rendered)

    def add(self, directory: str, status: str, made: datetime, configuration: str) -> bytes:
        """One more, the newest of all; gives it as JSON."""
        number = len(self._rendered)
        stamp = made.strftime(_STAMP)
        batch = {
            "id": f"bat-{number:08x}-bbbb-4ccc-8ddd-eeeeeeeeeeee",
            "project_id": PROJECT,
            "source_directory_id": directory,
            "config": {"job": {"type": "parse_v2", "configuration_id": configuration}},
            "status": status,
            "results": None,
            "created_at": stamp,
            "updated_at": stamp,
        }
        self._times.append(stamp)
        self._rendered.append(json.dumps(batch, separators=(",", ":")).encode())
        self._statuses.append(status)
        self._by_directory.setdefault(directory, []).append(number)
        return self._rendered[-1]

    def forget_created(self) -> None:
        """Back to what was there at the start."""
        for listing in (self._times, self._rendered, self._statuses):
            del listing[self._live :]
        for directory, numbers in list(self._by_directory.items()):
            if numbers[-1] >= self._live:
                numbers[:] = [number for number in numbers if number < self._live]
                if not numbers:
                    del self._by_directory[directory]

    def one(self, name: str) -> bytes | None:
        """A batch by its id."""
        number = int(name[4:12], 16)
        return self._rendered[number] if number < len(self._rendered) else None

    def page(self, query: dict[str, str]) -> bytes:
        """A page: newest first, from the token on. A token is a number that newer batches do not move."""
        size = int(query.get("page_size", "50"))
        low = bisect_left(self._times, _stamp(query["after"])) if "after" in query else 0
        high = bisect_right(self._times, _stamp(query["before"])) if "before" in query else len(self)
        if "token" in query:
            high = min(high, int(query["token"]))
        matching: Sequence[int] = range(low, max(low, high))
        if "directory" in query:
            numbers = self._by_directory.get(query["directory"], [])
            matching = numbers[bisect_left(numbers, low) : bisect_left(numbers, high)]
        if "status" in query:
            matching = [number for number in matching if self._statuses[number] == query["status"]]
        shown = matching[: -size - 1 : -1]
        following = f'"{shown[-1]}"' if len(matching) > size else "null"
        items = b",".join([self._rendered[number] for number in shown])
        return b'{"items":[%b],"next_page_token":%b,"total_size":null}' % (items, following.encode())


def _made(number: int, live: int, times: str) -> datetime:
    if times == "bursts":
        burst, within = divmod(number, _BURST)
        return _FIRST + burst * (_SPAN / -(-live // _BURST)) + within * timedelta(milliseconds=60)
    return _FIRST + number * (_SPAN / live)


def _stamp(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime(_STAMP)


_FILTERS = {
    "created_at_on_or_after": "after",
    "created_at_on_or_before": "before",
    "page_size": "page_size",
    "page_token": "token",
    "source_directory_id": "directory",
    "status": "status",
}


class Service:
    """What is answered to which request, and how often it was asked."""

    def __init__(self, live: int, times: str, latency: float) -> None:
        self.batches = Batches(live, times)
        self.latency = latency
        self.counts: Counter[str] = Counter()
        self.under_way = self.most = 0

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Status and JSON."""
        path, _, asked = target.partition("?")
        if path == "/__admin":
            return self._administer(dict(parse_qsl(asked)))
        kind, status, reply = self._serve(method, path, asked, body)
        self.counts[kind] += 1
        return status, reply

    def _serve(self, method: str, path: str, asked: str, body: bytes) -> tuple[str, int, bytes]:
        if path == _BATCHES and method == "GET":
            query = {_FILTERS[name]: value for name, value in parse_qsl(asked) if name in _FILTERS}
            kind = "look" if "directory" in query else "window" if query.keys() & _WINDOW else "page"
            return kind, 200, self.batches.page(query)
        if path == _BATCHES:
            wanted = json.loads(body)
            job = wanted["config"]["job"]["configuration_id"]
            made = datetime.now(UTC)
            return "create", 200, self.batches.add(wanted["source_directory_id"], "PENDING", made, job)
        if path.startswith(_BATCHES + "/"):
            found = self.batches.one(path[len(_BATCHES) + 1 :])
            return "get", 404 if found is None else 200, found or _UNKNOWN
        if path.startswith(_CONFIGURATIONS):
            return "configuration", 200, _configuration(unquote(path[len(_CONFIGURATIONS) :]))
        if path.startswith(_DIRECTORIES):
            name, _, files = unquote(path[len(_DIRECTORIES) :]).partition("/")
            return ("files", 200, _files(name)) if files else ("directory", 200, _directory(name))
        return "other", 404, _UNKNOWN

    def _administer(self, wanted: dict[str, str]) -> tuple[int, bytes]:
        told = {"counts": dict(sorted(self.counts.items())), "most": self.most, "batches": len(self.batches)}
        if "latency" in wanted:
            self.latency = float(wanted["latency"])
        if "forget" in wanted:
            self.batches.forget_created()
        self.counts.clear()
        self.most = self.under_way = 0
        return 200, json.dumps(told).encode()


_WINDOW = {"after", "before"}
_UNKNOWN = b'{"detail":"not found"}'
_WHEN = "2025-01-01T00:00:00.000000Z"


def _directory(name: str) -> bytes:
    fields = {"id": name, "name": name, "project_id": PROJECT, "type": "user", "description": None}
    gone = {"expires_at": None, "deleted_at": None, "system_metadata": None}
    return json.dumps({**fields, **gone, "created_at": _WHEN, "updated_at": _WHEN}).encode()


def _files(directory: str) -> bytes:
    items = [
        {
            "id": f"dfl-{directory}-{number}",
            "directory_id": directory,
            "project_id": PROJECT,
            "display_name": f"{number}.pdf",
            "deleted_at": None,
            "created_at": _WHEN,
            "updated_at": _WHEN,
        }
        for number in range(2)
    ]
    return json.dumps({"items": items, "next_page_token": None, "total_size": None}).encode()


def _configuration(name: str) -> bytes:
    fields = {"id": name, "name": "benchmark", "product_type": "parse_v2", "version": _WHEN}
    parameters = {"product_type": "parse_v2", "tier": "agentic", "version": "latest"}
    return json.dumps({**fields, "parameters": parameters, "updated_at": _WHEN}).encode()


class _Connection(asyncio.Protocol):
    """One connection that is kept open, with one request after the other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].decode("latin-1")
            whole = end + 4 + _length(head)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            method, target, _ = head.partition("\r\n")[0].split(" ")
            self._begin(method, target, body)

    def _begin(self, method: str, target: str, body: bytes) -> None:
        service = self._service
        if target.startswith("/__admin"):
            return self._reply(*service.answer(method, target, body))
        service.under_way += 1
        service.most = max(service.most, service.under_way)
        if service.latency:
            asyncio.get_running_loop().call_later(service.latency, self._finish, method, target, body)
        else:
            self._finish(method, target, body)
        return None

    def _finish(self, method: str, target: str, body: bytes) -> None:
        self._service.under_way -= 1
        self._reply(*self._service.answer(method, target, body))

    def _reply(self, status: int, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Not Found'}\r\n"
            f"Date: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        if not self._transport.is_closing():
            self._transport.write(head.encode() + body)


def _length(head: str) -> int:
    _, found, after = head.lower().partition("\r\ncontent-length:")
    return int(after.partition("\r\n")[0]) if found else 0


class PageServer:
    """The server as a process of its own, for as long as the context lasts."""

    def __init__(self, live: int, *, times: str = "even", core: int | None = None) -> None:
        bound = [] if core is None else ["--core", str(core)]
        self._command = [sys.executable, __file__, "--live", str(live), "--times", times, *bound]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip().removeprefix("Listening on ")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.terminate()
        self._process.wait()

    def counts(self) -> dict[str, int]:
        """How often what was asked for since the last time."""
        return dict(self._ask("")["counts"])

    def set_latency(self, seconds: float) -> None:
        """How long every reply is held back from now on."""
        self._ask(f"?latency={seconds}")

    def forget_created(self) -> None:
        """Back to the batches of the start, and to no counts."""
        self._ask("?forget=1")

    def batches(self) -> int:
        """How many there are by now."""
        return int(self._ask("")["batches"])

    def _ask(self, query: str) -> dict[str, Any]:
        connection = HTTPConnection(self.url.removeprefix("http://"))
        try:
            connection.request("GET", f"/__admin{query}")
            told: dict[str, Any] = json.load(connection.getresponse())
        finally:
            connection.close()
        return told


async def _serve(service: Service) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(service), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"Listening on http://{host}:{port}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until the end."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--live", type=int, default=10_000, help="batches at the start, all COMPLETED")
    options.add_argument("--latency", type=float, default=0.0, help="seconds that each reply is held back")
    options.add_argument("--times", choices=("even", "bursts"), default="even")
    options.add_argument("--core", type=int, help="the core to run on")
    chosen = options.parse_args()
    if chosen.core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {chosen.core})
    service = Service(chosen.live, chosen.times, chosen.latency)
    gc.freeze()  # a hundred thousand batches are not to be looked through while somebody waits
    asyncio.run(_serve(service))


if __name__ == "__main__":
    main()
