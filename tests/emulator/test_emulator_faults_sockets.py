"""Faults over real sockets: what exactly the client sees, and whether the effect took place.

No test waits for time to pass: faults wait by an event that the test sets, and the client by the socket.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from faults_stand import (
    ANSWER,
    BOTH,
    PATIENCE,
    World,
    facts,
    once,
)
from faults_stand import no_complaints as no_complaints  # noqa: PLC0414 - a fixture for all tests here

if TYPE_CHECKING:
    import asyncio

JSON: TypeAlias = Any


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
def test_a_large_body_is_read_before_the_connection_ends(size: int) -> None:
    with World(once("closed", when="before")) as world, world.connect() as client:
        client.send(b"1" * size)
        assert client.read() == (b"", "EOF")
    assert [(each.body_bytes, each.body is None) for each in world.journal] == [(size, size > 65_535)]


@pytest.mark.parametrize("kind", ["reset", "closed"])
def test_a_fault_ends_its_own_connection_and_no_other(kind: str) -> None:
    with (
        World([{"fault": kind, "nth": 4, "when": "before"}]) as world,
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


def test_httpx_raises_over_sockets_what_it_raises_in_process() -> None:
    entries = [
        {"fault": kind, "nth": number}
        for number, kind in enumerate(("reset", "closed", "cut", "timeout"), start=1)
    ]
    seen = []
    with World(entries) as world:
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


def test_a_late_request_closes_on_a_client_that_stays() -> None:
    with World(once("late", hold=5)) as world, world.connect() as client:
        client.send()
        assert world.asleep.wait(PATIENCE)
        world.wake()
        assert client.read() == (b"", "EOF")
        assert world.effect.wait(PATIENCE)
    assert (world.slept, world.effects) == ([5, 0], [{"name": "x"}])


def test_a_body_too_large_to_be_kept_is_carried_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.emulator.faults.exchange.MAX_HELD", 1_000)
    body = b'"' + b"x" * 3_000_000 + b'"'
    with World(once("late")) as world, world.connect() as client:
        client.send(body)
        assert client.answer() == (200, ANSWER)
    assert world.effects == ["x" * 3_000_000]
    assert [(each.body_bytes, each.effect, each.note) for each in world.journal] == [
        (len(body), True, "the body is too large to be kept for later: the fault did nothing")
    ]


def test_a_body_drips_over_the_socket() -> None:
    with World(once("drip", bytes=5, seconds=9)) as world, world.connect() as client:
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


def test_a_client_that_leaves_while_it_drips_leaves_nothing_behind() -> None:
    with World(once("drip", bytes=1)) as world, world.connect() as client:
        client.send()
        assert world.asleep.wait(PATIENCE)
        client.end.close()
    assert world.slept == [0.1]


def test_no_header_says_which_connection_a_request_came_by() -> None:
    with World(once("reset")) as world, world.connect() as other, world.connect() as client:
        port = other.end.getsockname()[1]
        client.end.sendall(
            f"GET /things HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 127.0.0.1:{port}\r\n\r\n".encode()
        )
        assert client.read() == (b"", "RST")
        assert other.ask() == (200, ANSWER)
