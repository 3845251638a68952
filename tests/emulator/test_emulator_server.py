"""The runner: where it listens, what it says when it cannot, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest

from reconciler.emulator import EmulatorError
from reconciler.emulator.faults.connections import Connections
from reconciler.emulator.faults.errors import CannotListenError
from reconciler.emulator.server import Listener, Server, run

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

JSON: TypeAlias = Any

PATIENCE = 30


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_the_true_port_is_reported_and_serves() -> None:
    async def story() -> tuple[str, httpx.Response, int | None]:
        server = Server(app, port=0)
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(server.serve(ready.set_result))
        url = await ready
        async with httpx.AsyncClient() as client:
            reply = await client.get(f"{url}/any")
        server.stop()
        return url, reply, await serving

    url, reply, ended_by = asyncio.run(story())
    assert url.startswith("http://127.0.0.1:")
    assert not url.endswith(":0")
    assert (reply.status_code, reply.text, ended_by) == (200, "ok", None)
    # Neither uvicorn's name nor the machine's time: the date is the service's.
    assert dict(reply.headers) == {"content-length": "2"}


def test_the_name_asked_for_is_the_name_reported() -> None:
    server = Server(app, host="localhost", port=0)
    assert server.url == f"http://localhost:{server._server._port}"
    server._server.listener.close()


def test_a_port_is_taken_before_there_is_anything_to_serve() -> None:
    async def story(listener: Listener) -> tuple[str, str]:
        server = Server(app, listener=listener)
        async with httpx.AsyncClient() as client:
            # Whoever comes before it serves has to wait and is not turned away.
            early = asyncio.ensure_future(client.get(listener.url))
            serving = asyncio.ensure_future(server.serve())
            text = (await early).text
        server.stop()
        await serving
        return server.url, text

    with Listener("127.0.0.1", 0) as listener:
        with pytest.raises(CannotListenError, match="another program listens there"):
            Listener("127.0.0.1", listener.port)
        assert asyncio.run(story(listener)) == (f"http://127.0.0.1:{listener.port}", "ok")


def test_a_port_that_is_never_served_is_given_back() -> None:
    with Listener("localhost", 0) as listener:
        assert (listener.host, listener.url) == ("localhost", f"http://localhost:{listener.port}")
    listener.close()
    with Listener("localhost", listener.port) as again:
        assert again.port == listener.port


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListenError) as caught:
            run(app, port=port)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1 port {port}: "
        "another program listens there; choose another port, or 0 for any that is free"
    )
    assert isinstance(caught.value, EmulatorError)


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("192.0.2.1", 0, "this machine does not have that address"),
        ("127.0.0.1", 65_536, "a port is a number from 0 to 65535"),
        ("127.0.0.1", -1, "a port is a number from 0 to 65535"),
        ("no.such.host.invalid", 0, "no address has that name"),
        ("a" * 100, 0, "no address has that name"),
        ("", 65_536, "a port is a number from 0 to 65535"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused(host: str, port: int, reason: str) -> None:
    with pytest.raises(CannotListenError) as caught:
        Server(app, host=host, port=port)
    assert (caught.value.host, caught.value.port, caught.value.reason) == (host, port, reason)


def test_a_port_that_is_not_permitted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether a user may have port 80 is the machine's choice, so the refusal itself is made up.
    def bind(end: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("reconciler.emulator.server.socket.socket.bind", bind, raising=False)
    with pytest.raises(CannotListenError, match="this user is not permitted to use that port"):
        Server(app, port=80)


def test_a_listener_that_cannot_open_again_ends_the_server_with_the_reason() -> None:
    awake = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await awake.wait()

    async def story() -> None:
        connections = Connections(sleep=sleep)
        server = Server(app, port=0, connections=connections)
        ready = asyncio.Event()
        serving = asyncio.ensure_future(server.serve(lambda url: ready.set()))
        await ready.wait()
        connections.refuse(1)
        # As if another program had been quicker in the moment between the listener and what keeps its port.
        server._server.listener.close()
        with Listener("127.0.0.1", server._server._port):
            awake.set()
            with pytest.raises(CannotListenError) as caught:
                await serving
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", server._server._port)
        assert caught.value.reason.startswith("another program listens there")

    asyncio.run(story())


def test_the_listener_opens_when_the_last_of_several_refusals_is_over() -> None:
    async def story() -> list[str]:
        over = {1.0: asyncio.Event(), 2.0: asyncio.Event()}

        async def sleep(seconds: float) -> None:
            await over[seconds].wait()

        async def attempt() -> str:
            # Whatever has been set in motion has its turns first.
            for _ in range(20):
                await asyncio.sleep(0)
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server._server._port)
            except ConnectionRefusedError:
                return "refused"
            writer.close()
            await writer.wait_closed()
            return "connected"

        connections = Connections(sleep=sleep)
        server = Server(app, port=0, connections=connections)
        ready = asyncio.Event()
        serving = asyncio.ensure_future(server.serve(lambda url: ready.set()))
        await ready.wait()
        seen = [await attempt()]
        for seconds in over:
            connections.refuse(seconds)
        for event in over.values():
            seen.append(await attempt())
            event.set()
        seen.append(await attempt())
        server.stop()
        await serving
        return seen

    assert asyncio.run(story()) == ["connected", "refused", "refused", "connected"]


def test_a_connection_accepted_just_before_the_listener_closed_is_dropped() -> None:
    class Transport(asyncio.Transport):
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    class Base(asyncio.Protocol):
        client = ("127.0.0.1", 1)
        server = ("127.0.0.1", 2)
        transport: asyncio.BaseTransport

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

    async def story() -> list[bool]:
        connections = Connections()
        seen = []
        for change in (connections.reopen, connections.shut, connections.reopen):
            change()
            protocol, transport = connections.protocol(Base)(), Transport()
            protocol.connection_made(transport)
            seen.append(transport.aborted)
            protocol.connection_lost(None)
        return seen

    assert asyncio.run(story()) == [False, True, False]


PROGRAM = """
import signal, sys
from reconciler.emulator.server import run
async def app(scope, receive, send):
    print("asked", flush=True)
    while (await receive())["type"] != "http.disconnect":
        pass
before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
ended_by = run(app, port=0, ready=lambda url: print(url, flush=True))
assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
print("ended by", ended_by, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("busy", ["idle", "busy"])
def test_a_signal_ends_it_and_is_handed_over(number: signal.Signals, busy: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), PATIENCE) as client:
            if busy == "busy":
                client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                assert process.stdout.readline() == "asked\n"
            os.kill(process.pid, number)
            out, err = process.stdout.read(), process.stderr.read()
        assert (process.wait(PATIENCE), out) == (0, f"ended by {int(number)}\n")
    # An application that waits for ever by itself, and not by a fault, is cut off; that is said.
    assert err == "" if busy == "idle" else "timeout graceful shutdown exceeded" in err


def test_it_runs_in_a_thread_without_touching_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    server = Server(app, port=0)
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(lambda url: ready.set())))
    thread.start()
    assert ready.wait(PATIENCE)
    assert signal.getsignal(signal.SIGTERM) == before
    assert httpx.get(server.url).text == "ok"
    server.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
