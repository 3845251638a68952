"""A small application behind an injector, served over real sockets, and clients that see every byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import pytest
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - starlette reads annotations at run time
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reconciler.emulator.faults.active import ActiveFaults
from reconciler.emulator.faults.admin import FaultAdmin
from reconciler.emulator.faults.connections import Connections
from reconciler.emulator.faults.document import NO_FAULTS, faults_of
from reconciler.emulator.faults.injector import Injector
from reconciler.emulator.faults.journal import Journal
from reconciler.emulator.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON: TypeAlias = Any

BODY = b'{"name":"x"}'
ANSWER = b'{"effects":1}'
# For a machine that hangs; nothing is expected to take long.
PATIENCE = 30


class World:
    """A small application behind an injector, served in a thread until the test's end."""

    def __init__(self, entries: list[JSON], protocol: type[asyncio.Protocol] = HttpToolsProtocol) -> None:
        faults = faults_of({**NO_FAULTS.source, "faults": entries}, source="test")
        self.effects: list[JSON] = []
        self.effect = threading.Event()
        self.slept: list[float] = []
        self.asleep = threading.Event()
        self.arrived = threading.Event()
        self.journal = Journal(self.clock)
        self.connections = Connections(sleep=self.sleep)
        self.active = ActiveFaults(faults)
        app = Starlette(
            routes=[
                Route("/things", self.things, methods=["GET", "POST"]),
                Route("/form", self.form, methods=["POST"]),
                *FaultAdmin(self.active, self.journal, self.clock).routes(),
            ]
        )
        injector = Injector(
            app,
            active=self.active,
            journal=self.journal,
            clock=lambda: 0,
            lines=self.connections,
        )
        self.server = Server(injector, port=0, connections=self.connections, protocol=protocol)
        self.port = int(self.server.url.rpartition(":")[2])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self.server.serve(lambda url: self._ready.set())

        asyncio.run(serve())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def clock(self) -> int:
        # The journal asks for the time when a request comes.
        self.arrived.set()
        return 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await self._awake.wait()

    def wake(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._awake.set)

    async def things(self, request: Request) -> Response:
        self.effects.append(json.loads(await request.body() or b"null"))
        self.effect.set()
        return JSONResponse({"effects": len(self.effects)})

    async def form(self, request: Request) -> Response:
        async with request.form() as form:
            self.effects.append(len(form))
        return JSONResponse({})

    def connect(self) -> Client:
        return Client(socket.create_connection(("127.0.0.1", self.port), PATIENCE))


class Client:
    """One connection, and what comes back on it."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def send(self, body: bytes = BODY, *, path: str = "/things", missing: int = 0) -> None:
        """Send a request, of whose body so many bytes never come."""
        length = len(body) + missing
        kind = "multipart/form-data; boundary=b" if path == "/form" else "application/json"
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        self.end.sendall(head.encode() + body)

    def read(self) -> tuple[bytes, str]:
        """Give what came, and how it ended: `EOF` or `RST`."""
        got = b""
        try:
            while part := self.end.recv(65_536):
                got += part
        except ConnectionResetError:
            return got, "RST"
        return got, "EOF"

    def answer(self) -> tuple[int, bytes]:
        """Read one whole answer; the connection stays open."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += self.part()
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self.part()
        return int(head.split()[1]), body

    def part(self) -> bytes:
        part = self.end.recv(65_536)
        assert part, "the connection was closed"
        return part

    def ask(self) -> tuple[int, bytes]:
        self.send()
        return self.answer()

    def get(self) -> tuple[int, bytes]:
        """Ask by a method that the test's fault does not strike."""
        self.end.sendall(b"GET /things HTTP/1.1\r\nhost: x\r\n\r\n")
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end.close()


BOTH = pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol], ids=["httptools", "h11"])


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither uvicorn nor asyncio has anything to complain of."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def once(kind: str, **fields: JSON) -> list[JSON]:
    return [{"fault": kind, "nth": 1, **fields}]


def facts(world: World) -> list[JSON]:
    return [(each.status, each.effect) for each in world.journal]


def reconnect(world: World) -> Client:
    """Connect as soon as the listener is open again: the socket itself is what tells."""
    for _ in range(1_000):
        with contextlib.suppress(ConnectionRefusedError):
            return world.connect()
        threading.Event().wait(0.01)
    raise AssertionError("the listener did not open again")


def until(holds: Callable[[], bool]) -> None:
    """Wait for what the service does by itself."""
    for _ in range(1_000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to that")
