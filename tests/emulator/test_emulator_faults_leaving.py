"""Clients that leave before their request is whole, and a service that ends before it: nobody complains."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from emulator_process import KEY, emulator
from faults_stand import BOTH, PATIENCE, World, once, until
from faults_stand import no_complaints as no_complaints  # noqa: PLC0414 - a fixture for all tests here

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

JSON: TypeAlias = Any

LEFT = (None, False, "the client left before its body was whole")
FORM = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\nhalf of it'


def facts(world: World) -> list[JSON]:
    return [(each.status, each.effect, each.note) for each in world.journal]


@BOTH
@pytest.mark.parametrize(
    "faults",
    [
        [],
        once("closed", when="before"),
        once("closed", when="after"),
        once("late"),
        once("status", status=503),
        once("truncated"),
        once("refused"),
    ],
    ids=lambda faults: "".join(each["fault"] for each in faults),
)
@pytest.mark.parametrize("path", ["/things", "/form"])
def test_a_client_that_leaves_in_the_middle_of_its_body_is_noted(
    protocol: type[asyncio.Protocol], faults: list[JSON], path: str
) -> None:
    with World(faults, protocol) as world:
        with world.connect() as client:
            client.send(FORM, path=path, missing=10)
            assert world.arrived.wait(PATIENCE)
        until(lambda: facts(world) == [LEFT])
    assert world.effects == []


@BOTH
def test_a_client_that_leaves_in_the_middle_of_new_faults_changes_none(
    protocol: type[asyncio.Protocol],
) -> None:
    with World([], protocol) as world:
        with world.connect() as client:
            client.send(b'{"fault": "reset", "nth": 1', path="/__admin/faults", missing=1)
        with world.connect() as client:
            client.send()
            assert client.answer()[0] == 200
    assert world.active.file.entries == ()


@BOTH
def test_the_service_ends_in_the_middle_of_uploads(protocol: type[asyncio.Protocol]) -> None:
    with (
        World([], protocol) as world,
        world.connect() as one,
        world.connect() as two,
        world.connect() as three,
    ):
        one.send(b"", missing=10)
        two.send(FORM, path="/form", missing=10)
        three.send(b"{", path="/__admin/faults", missing=10)
        until(lambda: len(list(world.journal)) == 2)
        world.server.stop()
        assert [client.read()[0] for client in (one, two, three)] == [b""] * 3
    assert facts(world) == [LEFT, LEFT]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_an_upload_leaves_nothing_on_standard_error(
    tmp_path: Path, number: signal.Signals, quick: Path
) -> None:
    with emulator(tmp_path, quick=quick) as there:
        made = there.client.post("/api/v1/beta/directories", json={"name": "a"}).json()["id"]
        path = f"/api/v1/beta/directories/{made}/files/upload"
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {KEY['Authorization']}\r\n"
            "content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n"
        )
        port = int(there.url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as one,
            socket.create_connection(("127.0.0.1", port), PATIENCE) as two,
        ):
            for end in (one, two):
                end.sendall(head.encode() + FORM)
            until(lambda: there.client.get("/__admin/health").json()["requests"] == 3)
            assert there.end(number) == (128 + number, "")


@BOTH
def test_while_connections_are_refused_nobody_reaches_the_administration_either(
    protocol: type[asyncio.Protocol],
) -> None:
    with (
        World(once("refused", seconds=4, on={"method": "POST"}), protocol) as world,
        world.connect() as admin,
        world.connect() as client,
    ):
        admin.end.sendall(b"GET /__admin/health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert admin.answer()[0] == 200
        client.send()
        # It was accepted, so it is not refused: its connection ends without a reply.
        assert client.read() == (b"", "EOF")
        assert admin.read() == (b"", "EOF")
        with pytest.raises(ConnectionRefusedError):
            world.connect()
