"""Faults over real sockets: what exactly the client sees, and whether the effect took place.

No test waits for time to pass: faults wait by an event that the test sets, and the client by the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - starlette reads annotations at run time
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reconciler.emulator.faults.active import ActiveFaults
from reconciler.emulator.faults.connections import Connections
from reconciler.emulator.faults.document import NO_FAULTS, faults_of
from reconciler.emulator.faults.injector import Injector
from reconciler.emulator.faults.journal import Journal
from reconciler.emulator.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON: TypeAlias = Any

BODY = b'{"name":"x"}'
ANSWER = b'{"effects":1}'
# For a machine that hangs; nothing is expected to take long.
PATIENCE = 30


class World:
    """A small application behind an injector, served in a thread until the test's end."""

    def __init__(self, entries: list[JSON], protocol: type[asyncio.Protocol]) -> None:
        faults = faults_of({**NO_FAULTS.source, "faults": entries}, source="test")
        self.effects: list[JSON] = []
        self.effect = threading.Event()
        self.slept: list[float] = []
        self.asleep = threading.Event()
        self.arrived = threading.Event()
        self.journal = Journal(self.clock)
        self.connections = Connections(sleep=self.sleep)
        app = Starlette(routes=[Route("/things", self.things, methods=["GET", "POST"])])
        injector = Injector(
            app,
            active=ActiveFaults(faults),
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

    def connect(self) -> Client:
        return Client(socket.create_connection(("127.0.0.1", self.port), PATIENCE))


class Client:
    """One connection, and what comes back on it."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def send(self, body: bytes = BODY) -> None:
        head = f"POST /things HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
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


@pytest.fixture
def protocol(request: pytest.FixtureRequest) -> type[asyncio.Protocol]:
    """Give the fast protocol of uvicorn, or the one that a test marked `BOTH` asks for."""
    kind: type[asyncio.Protocol] = getattr(request, "param", HttpToolsProtocol)
    return kind


BOTH = pytest.mark.parametrize(
    "protocol", [HttpToolsProtocol, H11Protocol], ids=["httptools", "h11"], indirect=True
)


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


@BOTH
@pytest.mark.parametrize(
    ("kind", "when", "ended", "effects"),
    [
        ("reset", "before", "RST", 0),
        ("reset", "after", "RST", 1),
        ("closed", "before", "EOF", 0),
        ("closed", "after", "EOF", 1),
    ],
)
def test_a_connection_ends_without_an_answer(
    protocol: type[asyncio.Protocol], kind: str, when: str, ended: str, effects: int
) -> None:
    with World(once(kind, when=when), protocol) as world:
        with world.connect() as client:
            client.send()
            assert client.read() == (b"", ended)
            assert len(world.effects) == effects
        with world.connect() as client:
            assert client.ask() == (200, b'{"effects":%d}' % (effects + 1))
    assert facts(world) == [(None, effects == 1), (200, True)]


@pytest.mark.parametrize("size", [10, 200_000, 3_000_000])
def test_a_large_body_is_read_before_the_connection_ends(protocol: type[asyncio.Protocol], size: int) -> None:
    with World(once("closed", when="before"), protocol) as world, world.connect() as client:
        client.send(b"1" * size)
        assert client.read() == (b"", "EOF")
    assert [(each.body_bytes, each.body is None) for each in world.journal] == [(size, size > 65_535)]


@pytest.mark.parametrize("kind", ["reset", "closed"])
def test_a_fault_ends_its_own_connection_and_no_other(protocol: type[asyncio.Protocol], kind: str) -> None:
    with (
        World([{"fault": kind, "nth": 4, "when": "before"}], protocol) as world,
        contextlib.ExitStack() as open_,
    ):
        clients = [open_.enter_context(world.connect()) for _ in range(3)]
        assert [client.ask() for client in clients] == [(200, b'{"effects":%d}' % n) for n in (1, 2, 3)]
        clients[1].send()
        assert clients[1].read() == (b"", "RST" if kind == "reset" else "EOF")
        # Kept alive, and used again.
        assert [clients[index].ask() for index in (0, 2)] == [
            (200, b'{"effects":4}'),
            (200, b'{"effects":5}'),
        ]


@BOTH
def test_a_cut_body_is_shorter_than_its_length(protocol: type[asyncio.Protocol]) -> None:
    with World(once("cut"), protocol) as world, world.connect() as client:
        client.send()
        got, ended = client.read()
        head, _, body = got.partition(b"\r\n\r\n")
        assert (ended, body) == ("EOF", ANSWER[:6])
        assert b"content-length: 13" in head.lower()
    assert facts(world) == [(200, True)]


def test_httpx_raises_over_sockets_what_it_raises_in_process(protocol: type[asyncio.Protocol]) -> None:
    entries = [
        {"fault": kind, "nth": number}
        for number, kind in enumerate(("reset", "closed", "cut", "timeout"), start=1)
    ]
    seen = []
    with World(entries, protocol) as world:
        # The last of these waits for its own short timeout; the fault has none.
        for patience in (PATIENCE, PATIENCE, PATIENCE, 0.05):
            with httpx.Client(base_url=world.server.url, timeout=patience) as client:
                try:
                    client.post("/things", json={})
                except httpx.TransportError as error:
                    seen.append((type(error).__name__, str(error).rpartition("] ")[2][:25]))
    assert seen == [
        ("ReadError", "Connection reset by peer"),
        ("RemoteProtocolError", "Server disconnected witho"),
        ("RemoteProtocolError", "peer closed connection wi"),
        ("ReadTimeout", "timed out"),
    ]


@BOTH
@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
def test_a_timeout_answers_nothing_and_closes_after_its_seconds(
    protocol: type[asyncio.Protocol], when: str, effects: int
) -> None:
    with World(once("timeout", when=when, seconds=7), protocol) as world, world.connect() as client:
        client.send()
        assert world.asleep.wait(PATIENCE)
        assert (world.slept, len(world.effects)) == ([7], effects)
        # Another connection is served meanwhile.
        with world.connect() as other:
            assert other.ask() == (200, b'{"effects":%d}' % (effects + 1))
        world.wake()
        assert client.read() == (b"", "EOF")


@BOTH
def test_a_request_is_carried_out_after_the_client_has_left(protocol: type[asyncio.Protocol]) -> None:
    with World(once("late", delay=3, on={"method": "POST"}), protocol) as world:
        with world.connect() as client:
            client.send()
            assert world.arrived.wait(PATIENCE)
            with world.connect() as other:
                assert other.get() == (200, ANSWER)
            assert world.slept == []
        # Only now that the client has gone does the delay begin.
        assert world.asleep.wait(PATIENCE)
        assert (world.slept, world.effects) == ([3], [None])
        world.effect.clear()
        world.wake()
        assert world.effect.wait(PATIENCE)
    assert world.effects == [None, {"name": "x"}]
    assert facts(world) == [(None, True), (200, True)]


def test_a_late_request_closes_on_a_client_that_stays(protocol: type[asyncio.Protocol]) -> None:
    with World(once("late", hold=5), protocol) as world, world.connect() as client:
        client.send()
        assert world.asleep.wait(PATIENCE)
        world.wake()
        assert client.read() == (b"", "EOF")
        assert world.effect.wait(PATIENCE)
    assert (world.slept, world.effects) == ([5, 0], [{"name": "x"}])


@BOTH
@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
def test_connections_are_refused_for_a_time(
    protocol: type[asyncio.Protocol], when: str, effects: int
) -> None:
    with World([{"fault": "refused", "nth": 2, "when": when, "seconds": 4}], protocol) as world:
        with world.connect() as idle, world.connect() as client:
            assert idle.ask() == (200, ANSWER)
            client.send()
            got, ended = client.read()
            assert (got.partition(b"\r\n\r\n")[2], ended) == (b'{"effects":2}' if effects else b"", "EOF")
            # Kept alive until now.
            assert idle.read() == (b"", "EOF")
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError):
                    world.connect()
            assert world.asleep.wait(PATIENCE)
            assert world.slept == [4]
            world.wake()
        with reconnect(world) as client:
            assert client.ask() == (200, b'{"effects":%d}' % (effects + 2))
    assert facts(world) == [(200, True), (200 if effects else None, effects == 1), (200, True)]


def reconnect(world: World) -> Client:
    """Connect as soon as the listener is open again: the socket itself is what tells."""
    for _ in range(1_000):
        with contextlib.suppress(ConnectionRefusedError):
            return world.connect()
        threading.Event().wait(0.01)
    raise AssertionError("the listener did not open again")


def test_while_connections_are_refused_the_port_is_not_given_away(protocol: type[asyncio.Protocol]) -> None:
    with World(once("refused", seconds=4), protocol) as world:
        with world.connect() as client:
            client.send()
            assert client.read() == (b"", "EOF")
            # Leaves no connection behind that would keep the port instead.
            client.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with socket.socket() as thief, pytest.raises(OSError, match="Address already in use"):
            thief.bind(("127.0.0.1", world.port))
        world.wake()
        with reconnect(world) as client:
            assert client.ask() == (200, ANSWER)


def test_a_body_too_large_to_be_kept_is_carried_out_at_once(
    protocol: type[asyncio.Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.emulator.faults.exchange.MAX_HELD", 1_000)
    body = b'"' + b"x" * 3_000_000 + b'"'
    with World(once("late"), protocol) as world, world.connect() as client:
        client.send(body)
        assert client.answer() == (200, ANSWER)
    assert world.effects == ["x" * 3_000_000]
    assert [(each.body_bytes, each.effect, each.note) for each in world.journal] == [
        (len(body), True, "the body is too large to be kept for later: the fault did nothing")
    ]


def test_connections_can_be_refused_again_and_again(protocol: type[asyncio.Protocol]) -> None:
    with World([{"fault": "refused", "every": 2, "seconds": 0}], protocol) as world:
        world.wake()
        for number in range(1, 4):
            with reconnect(world) as client:
                assert client.ask() == (200, b'{"effects":%d}' % number)
                client.send()
                assert client.read() == (b"", "EOF")


def test_a_body_drips_over_the_socket(protocol: type[asyncio.Protocol]) -> None:
    with World(once("drip", bytes=5, seconds=9), protocol) as world, world.connect() as client:
        client.send()
        got = b""
        while not got.endswith(ANSWER[:5]):
            got += client.part()
        assert world.asleep.wait(PATIENCE)
        world.wake()
        while not got.endswith(ANSWER):
            got += client.part()
        assert client.ask() == (200, b'{"effects":2}')
    assert world.slept == [9, 9]


def test_a_client_that_leaves_while_it_drips_leaves_nothing_behind(protocol: type[asyncio.Protocol]) -> None:
    with World(once("drip", bytes=1), protocol) as world, world.connect() as client:
        client.send()
        assert world.asleep.wait(PATIENCE)
        client.end.close()
    assert world.slept == [0.1]


@BOTH
@pytest.mark.parametrize(
    "entry",
    [
        {"fault": "timeout"},
        {"fault": "late", "delay": 3600},
        {"fault": "late"},
        {"fault": "drip", "bytes": 5},
    ],
)
def test_the_service_ends_while_a_fault_holds_a_connection(
    protocol: type[asyncio.Protocol], entry: JSON
) -> None:
    with World([{**entry, "nth": 1}], protocol) as world, world.connect() as client:
        client.send()
        assert world.arrived.wait(PATIENCE)
        if entry["fault"] == "drip":
            assert world.asleep.wait(PATIENCE)
        world.server.stop()
        got, ended = client.read()
        assert ended == "EOF"
        assert got.endswith(b"\r\n\r\n" + ANSWER) if entry["fault"] == "drip" else got == b""
    # What was to be carried out late is not forgotten.
    assert len(world.effects) == (0 if entry["fault"] == "timeout" else 1)


def test_the_service_ends_while_its_listener_is_closed(protocol: type[asyncio.Protocol]) -> None:
    with World(once("refused", seconds=3600), protocol) as world, world.connect() as client:
        client.send()
        assert client.read() == (b"", "EOF")
    with socket.create_server(("127.0.0.1", world.port)):
        pass


def test_no_header_says_which_connection_a_request_came_by(protocol: type[asyncio.Protocol]) -> None:
    with World(once("reset"), protocol) as world, world.connect() as other, world.connect() as client:
        port = other.end.getsockname()[1]
        client.end.sendall(
            f"GET /things HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 127.0.0.1:{port}\r\n\r\n".encode()
        )
        assert client.read() == (b"", "RST")
        assert other.ask() == (200, ANSWER)
