"""A service on a port of this machine that does to a connection whatever a test wants."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Serve = Callable[["Connection"], Awaitable[None]]


@dataclass
class StillClock:
    """Time that only passes when somebody sleeps."""

    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 9, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Connection:
    """One accepted connection, as a service has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:")), 0
        )
        return head + await self.reader.readexactly(length)

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@dataclass
class Server:
    """A service on a port of this machine, and what it was sent."""

    port: int
    accepted: list[Connection] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[Server]:
    running = Server(0)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        running.accepted.append(connection)
        try:
            await serve(connection)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has had enough, as it should
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        for connection in running.accepted:
            connection.writer.transport.abort()
        await server.wait_closed()


async def drip(connection: Connection) -> None:
    """A reply that never ends, a byte at a time."""
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await connection.send(b"1\r\n \r\n")
        await asyncio.sleep(0)
