"""Which way to send requests: httpx's own pool, aiohttp under httpx, HTTP/2 and httpx2, at some latencies.

    python benchmarks/transport.py [--latency 0 0.01 0.05] [--at-once 8 16] [--requests 800] [--pairs 3]

Each way is a whole process that reads so many full pages and so many looks (replies without a batch) from the
page server, so many at once, as reconciler sends them: built, sent as a stream, read to the end, parsed. The
ways take turns. Shown are medians: what a start takes on the processor (importing and making a client, beyond
asyncio and json); the time of a request, which is the time of all of them divided by their number; and
the processor's part of that. asyncio's streams and json alone are the least there is.

The ways have an environment of their own, `.venv-transport`, made if it is not there. HTTP/2 is spoken
without TLS to a server that is written with the package h2 for that; that server is slower than the other,
so that at no latency only the processor's figures of HTTP/2 say something. Reconciler itself is not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_ROOT = Path(__file__).parents[1]
_ENVIRONMENT = _ROOT / ".venv-transport"
_PACKAGES = ("h2", "httpx>=0.27,<1", "httpx-aiohttp", "httpx2", "sniffio")
_PATH = "/api/v2/batches"
_PAGES = _PATH + "?page_size=100"
_LOOKS = _PATH + "?source_directory_id=dir-none&page_size=100"
_LIVE = 1_000

#: By name: what it is, and whether it needs the server that speaks HTTP/2.
WAYS = {
    "raw": ("asyncio streams", False),
    "httpx": ("httpx, its own pool", False),
    "httpx-aiohttp": ("httpx over httpx-aiohttp", False),
    "aiohttp": ("aiohttp alone", False),
    "httpx2": ("httpx2, its own pool", False),
    "httpx-http2": ("httpx, HTTP/2", True),
    "httpx2-http2": ("httpx2, HTTP/2", True),
}


# --- one way, in a process of its own ------------------------------------------------------------------


def send(name: str, url: str, requests: int, at_once: int) -> dict[str, float]:
    """Start, read all pages, read all looks; gives seconds."""
    begun = time.process_time()
    ask = _WAYS[name](url, at_once)
    told = {"start": time.process_time() - begun}

    async def all_of(send_one: Any, path: str) -> tuple[float, float]:  # noqa: ANN401 - a callable
        queue = iter(range(requests))

        async def worker() -> None:
            for _ in queue:
                json.loads(await send_one(path))

        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return (time.perf_counter() - began) / requests, (time.process_time() - used) / requests

    async def run() -> None:
        making = time.process_time()
        send_one, close = await ask()
        told["start"] += time.process_time() - making
        await asyncio.gather(*(send_one(_LOOKS) for _ in range(at_once)))  # connected
        for kind, path in (("page", _PAGES), ("look", _LOOKS)):
            told[kind], told[f"{kind}_cpu"] = await all_of(send_one, path)
        await close()

    asyncio.run(run())
    return told


def _through_raw(url: str, at_once: int) -> Callable[[], Awaitable[Any]]:
    host, _, port = url.removeprefix("http://").partition(":")
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def begin() -> Any:  # noqa: ANN401 - two callables
        for _ in range(at_once):
            idle.append(await asyncio.open_connection(host, int(port), limit=1 << 20))  # noqa: PERF401

        async def send_one(path: str) -> bytes:
            reader, writer = connection = idle.pop()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            idle.append(connection)
            return body

        async def close() -> None:
            for _, writer in idle:
                writer.close()

        return send_one, close

    return begin


def _through(client: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """As reconciler's transport does it: build, send as a stream, read raw to the end."""

    async def begin() -> Any:  # noqa: ANN401 - two callables
        there = client()

        async def send_one(path: str) -> bytes:
            response = await there.send(there.build_request("GET", path), stream=True)
            try:
                return b"".join([chunk async for chunk in response.aiter_raw()])
            finally:
                await response.aclose()

        return send_one, there.aclose

    return begin


def _through_httpx(url: str, at_once: int, *, http2: bool = False) -> Callable[[], Awaitable[Any]]:
    import httpx

    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    return _through(
        lambda: httpx.AsyncClient(
            base_url=url, limits=limits, timeout=60, trust_env=False, http1=not http2, http2=http2
        )
    )


def _through_httpx2(url: str, at_once: int, *, http2: bool = False) -> Callable[[], Awaitable[Any]]:
    import httpx2  # type: ignore[import-not-found,unused-ignore]

    limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    return _through(
        lambda: httpx2.AsyncClient(
            base_url=url, limits=limits, timeout=60, trust_env=False, http1=not http2, http2=http2
        )
    )


def _through_httpx_aiohttp(url: str, at_once: int) -> Callable[[], Awaitable[Any]]:
    import httpx
    from httpx_aiohttp import AiohttpTransport  # type: ignore[import-not-found,unused-ignore]

    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    return _through(
        lambda: httpx.AsyncClient(
            base_url=url, timeout=60, trust_env=False, transport=AiohttpTransport(limits=limits)
        )
    )


def _through_aiohttp(url: str, at_once: int) -> Callable[[], Awaitable[Any]]:
    import aiohttp  # type: ignore[import-not-found,unused-ignore]

    async def begin() -> Any:  # noqa: ANN401 - two callables
        session = aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=at_once))

        async def send_one(path: str) -> bytes:
            async with session.get(path) as response:
                return bytes(await response.read())

        return send_one, session.close

    return begin


_WAYS: dict[str, Callable[[str, int], Callable[[], Awaitable[Any]]]] = {
    "raw": _through_raw,
    "httpx": _through_httpx,
    "httpx-aiohttp": _through_httpx_aiohttp,
    "aiohttp": _through_aiohttp,
    "httpx2": _through_httpx2,
    "httpx-http2": lambda url, at_once: _through_httpx(url, at_once, http2=True),
    "httpx2-http2": lambda url, at_once: _through_httpx2(url, at_once, http2=True),
}


# --- the server that speaks HTTP/2 ---------------------------------------------------------------------


def serve_http2(latency: float, core: int | None) -> None:
    """The page server's answers over HTTP/2 without TLS, to clients that know that it speaks it."""
    from h2.config import H2Configuration  # type: ignore[import-not-found,unused-ignore]
    from h2.connection import H2Connection  # type: ignore[import-not-found,unused-ignore]
    from h2.events import RequestReceived  # type: ignore[import-not-found,unused-ignore]
    from page_server import Service

    service = Service(_LIVE, "even", 0.0)

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            self.transport = transport
            self.state = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
            self.state.initiate_connection()
            self.transport.write(self.state.data_to_send())

        def data_received(self, data: bytes) -> None:
            for event in self.state.receive_data(data):
                if isinstance(event, RequestReceived):
                    path = dict(event.headers)[":path"]
                    asyncio.get_running_loop().call_later(latency, self.answer, event.stream_id, path)
            self.transport.write(self.state.data_to_send())

        def answer(self, stream: int, path: str) -> None:
            if self.transport.is_closing():
                return
            status, body = service.answer("GET", path, b"")
            self.state.send_headers(stream, [(":status", str(status)), ("content-length", str(len(body)))])
            # A page is smaller than the window that every stream begins with.
            for begin in range(0, len(body), size := self.state.max_outbound_frame_size):
                self.state.send_data(stream, body[begin : begin + size])
            self.state.end_stream(stream)
            self.transport.write(self.state.data_to_send())

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
        print(f"Listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()

    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})
    asyncio.run(run())


# --- all ways in turn ----------------------------------------------------------------------------------


def environment() -> str:
    """The interpreter that has all the packages."""
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", _ENVIRONMENT], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *_PACKAGES], check=True)
    return str(python)


def served(command: list[str]) -> tuple[subprocess.Popen[str], str]:
    """A server, and where it listens."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip().removeprefix("Listening on ")


def compare(
    python: str, latency: float, at_once: int, *, requests: int, pairs: int, core: int | None
) -> None:
    """One table's worth: every way, in turn."""
    bound = [] if core is None else ["--core", str(core)]
    pages = str(Path(__file__).parent / "page_server.py")
    shared = ["--latency", str(latency), *bound]
    plain, plain_url = served([python, pages, "--live", str(_LIVE), *shared])
    second, second_url = served([python, __file__, "--serve-http2", *shared])
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    try:
        for _ in range(pairs):
            for name, (_, http2) in WAYS.items():
                url = second_url if http2 else plain_url
                command = [python, __file__, "--send", name, url, "--requests", str(requests)]
                done = subprocess.run(
                    [*command, "--at-once", str(at_once)], check=True, capture_output=True, text=True
                )
                runs[name].append(json.loads(done.stdout))
    finally:
        for process in (plain, second):
            assert process.stdout is not None
            process.stdout.close()
            process.terminate()
            process.wait()
    for name, (shown, _) in WAYS.items():
        figures = {kind: 1000 * statistics.median(run[kind] for run in runs[name]) for kind in runs[name][0]}
        told = " | ".join(f"{figures[kind]:.2f}" for kind in ("page", "page_cpu", "look", "look_cpu"))
        print(f"| {1000 * latency:g} | {at_once} | {shown} | {figures['start']:.0f} | {told} |", flush=True)


def main() -> None:
    """Measure and print; or be one of the processes that are measured."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.01, 0.05], help="seconds")
    options.add_argument("--at-once", type=int, nargs="+", default=[8, 16])
    options.add_argument("--requests", type=int, default=800, help="of each kind")
    options.add_argument("--pairs", type=int, default=3, help="how many times each way is run")
    options.add_argument("--send", nargs=2, metavar=("WAY", "URL"), help="be one of the clients")
    options.add_argument("--serve-http2", action="store_true", help="be the server that speaks HTTP/2")
    options.add_argument("--core", type=int, help="where that one runs")
    chosen = options.parse_args()
    if chosen.send:
        name, url = chosen.send
        print(json.dumps(send(name, url, chosen.requests, chosen.at_once[0])))
        return
    if chosen.serve_http2:
        serve_http2(chosen.latency[0], chosen.core)
        return
    python = environment()
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    core = cores[-1] if len(cores) > 1 else None
    if core is not None:
        os.sched_setaffinity(0, set(cores[:-1]))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores,", end=" "
    )
    print(f"load {os.getloadavg()[0]:.1f} before; medians of {chosen.pairs}; milliseconds\n")
    print("| latency | at once | way | start, processor | page | processor | look | processor |")
    print("|---|---|---|---|---|---|---|---|")
    for latency in chosen.latency:
        for at_once in chosen.at_once:
            compare(python, latency, at_once, requests=chosen.requests, pairs=chosen.pairs, core=core)
    print(f"\nload {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
