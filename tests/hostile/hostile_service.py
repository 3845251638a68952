"""A service that means harm, in a thread: it hears requests and writes whatever bytes a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    def query(self, name: str) -> str | None:
        return next(iter(parse_qs(urlsplit(self.target).query).get(name, [])), None)


@dataclass
class Line:
    """One connection, as a service has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    service: Hostile

    async def send(self, *parts: bytes) -> None:
        """Write; ends the connection's task once the client has gone."""
        for part in parts:
            for at in range(0, len(part), _PIECE):
                piece = part[at : at + _PIECE]
                self.service.sent += len(piece)
                self.writer.write(piece)
                await self.writer.drain()


#: So much is written at a time: a body of gigabytes is never held here.
_PIECE = 65536

Answer = Callable[[Heard, Line], Awaitable[None]]


@dataclass
class Hostile:
    """The service, and what it heard and sent."""

    answer: Answer
    port: int = 0
    requests: list[Heard] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    sent: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def creates(self) -> list[Heard]:
        return [heard for heard in self.requests if heard.method == "POST" and heard.path[-1] == "s"]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear and answer requests for as long as the client stays."""
        self.writers.append(writer)
        try:
            while True:
                heard = await _hear(reader)
                self.requests.append(heard)
                await self.answer(heard, Line(reader, writer, self))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has had enough, as it should
        finally:
            writer.close()


async def _hear(reader: asyncio.StreamReader) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Heard(method, target, headers, body)


@contextlib.contextmanager
def hostile(answer: Answer) -> Iterator[Hostile]:
    """A service on a port of this machine, in a thread of its own."""
    service = Hostile(answer)
    started = threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await asyncio.start_server(service.accept, "127.0.0.1", 0, limit=1 << 20)
        service.port = server.sockets[0].getsockname()[1]
        started.set()
        await ended.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in service.writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # aborted transports let go of their sockets in the loop's next turn

    ended = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole reply; what the headers hold is written as it is."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def as_json(value: object, *headers: str, status: str = "200 OK") -> bytes:
    return reply(status, json.dumps(value).encode(), "Content-Type: application/json", *headers)
