"""Over real sockets: a listener that closes for a time, and a service that ends with connections open."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from faults_stand import (
    ANSWER,
    BOTH,
    PATIENCE,
    World,
    facts,
    once,
    reconnect,
)
from faults_stand import no_complaints as no_complaints  # noqa: PLC0414 - a fixture for all tests here

if TYPE_CHECKING:
    import asyncio

JSON: TypeAlias = Any


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


def test_while_connections_are_refused_the_port_is_not_given_away() -> None:
    with World(once("refused", seconds=4)) as world:
        with world.connect() as client:
            client.send()
            assert client.read() == (b"", "EOF")
            # Leaves no connection behind that would keep the port instead.
            client.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for insists in (0, 1):
            with socket.socket() as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, insists)
                with pytest.raises(OSError, match="Address already in use"):
                    thief.bind(("127.0.0.1", world.port))
        world.wake()
        with reconnect(world) as client:
            assert client.ask() == (200, ANSWER)


def test_connections_can_be_refused_again_and_again() -> None:
    with World([{"fault": "refused", "every": 2, "seconds": 0}]) as world:
        world.wake()
        for number in range(1, 4):
            with reconnect(world) as client:
                assert client.ask() == (200, b'{"effects":%d}' % number)
                client.send()
                assert client.read() == (b"", "EOF")


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


def test_the_service_ends_while_its_listener_is_closed() -> None:
    with World(once("refused", seconds=3600)) as world, world.connect() as client:
        client.send()
        assert client.read() == (b"", "EOF")
    with socket.create_server(("127.0.0.1", world.port)):
        pass
