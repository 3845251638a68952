"""The HTTP that the loop answers: few paths, in a thread of its own, with a bound on everything.

HTTP is read by h11; a request's head, its body, its time and how many there are at once are bounded here. A
connection has one request, so that none is kept for nothing. What a path answers is given from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import h11

#: Bytes of a request's line and headers together.
LARGEST_HEAD = 16 * 1024

#: Seconds for a request and its answer, whatever it is that takes so long.
PATIENCE = 10.0

#: Connections at once; whoever comes then is sent away.
AT_ONCE = 64

_CHUNK = 16 * 1024

# Who is answered may take so many seconds to stop sending, and so many chunks; they are not kept.
_LINGER, _LINGERING = 1.0, 64
_PLAIN = "text/plain; charset=utf-8"


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    kind: str = _PLAIN


class Request(NamedTuple):
    """What a path is asked: the headers by their names in small letters, the first of each that came."""

    headers: Mapping[str, str]
    body: bytes


class Path(NamedTuple):
    """What answers at a path.

    Attributes:
        method: the only one that it takes, but that GET takes HEAD as well.
        answer: gives the answer. It is called in the server's thread, and should be quick.
        largest: bytes of a body.
        too_large: told when a body is larger.
    """

    method: str
    answer: Callable[[Request], Reply]
    largest: int = 0
    too_large: Callable[[], None] = lambda: None


class _RefusedError(Exception):
    """The request is answered without being asked any further."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class Endpoints:
    """Serves paths while it is entered.

    Args:
        listener: a bound socket.
        paths: what answers where.
        patience: seconds for a request.
    """

    def __init__(
        self, listener: socket.socket, paths: Mapping[str, Path], *, patience: float = PATIENCE
    ) -> None:
        self._listener, self._paths, self._patience = listener, paths, patience
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._serve, name="endpoints", daemon=True)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve within this context."""
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, sock=self._listener, limit=_CHUNK)
        )
        self._thread.start()
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(server.close)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            for task in self._connections:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= AT_ONCE:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            async with asyncio.timeout(self._patience):
                await self._converse(reader, writer)
        except (TimeoutError, OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h11

        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        head = False
        try:
            request = await _head(connection, reader)
            if request is None:
                return
            head = request.method == b"HEAD"
            reply = await self._answered(connection, reader, writer, request)
        except _RefusedError as refusal:
            reply = refusal.reply
        except h11.RemoteProtocolError as error:
            reply = Reply(error.error_status_hint, b"this is no request\n")
        await _send(connection, writer, reply, without_body=head)
        await _linger(reader, writer)

    async def _answered(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: h11.Request,
    ) -> Reply:
        path = self._paths.get(request.target.partition(b"?")[0].decode("latin-1"))
        if path is None:
            raise _RefusedError(Reply(404, b"there is nothing here\n"))
        method = request.method.decode("latin-1")
        if method != path.method and not (method == "HEAD" and path.method == "GET"):
            raise _RefusedError(Reply(405, f"only {path.method} is taken here\n".encode()))
        headers: dict[str, str] = {}
        for name, value in request.headers:
            headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        body = await _body(connection, reader, writer, path, headers.get("content-length", ""))
        return path.answer(Request(headers, body))


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The next event of the other side's."""
    import h11

    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(_CHUNK))
    return event


async def _head(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """A request's head; None where the other side leaves without one."""
    import h11

    event = await _next(connection, reader)
    return event if isinstance(event, h11.Request) else None


async def _body(
    connection: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: Path,
    length: str,
) -> bytes:
    """A request's body, which may not be larger than its path takes."""
    import h11

    refused = _RefusedError(Reply(413, f"a body of {path.largest} bytes at most is taken here\n".encode()))
    if length and int(length) > path.largest:  # h11 has made sure that it is a number
        path.too_large()
        raise refused
    if connection.they_are_waiting_for_100_continue:
        writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
    parts, size = [], 0
    while isinstance(event := await _next(connection, reader), h11.Data):
        size += len(event.data)
        if size > path.largest:
            path.too_large()
            raise refused
        parts.append(bytes(event.data))
    return b"".join(parts)


async def _send(
    connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply, *, without_body: bool
) -> None:
    import h11

    if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    headers = [
        ("Content-Type", reply.kind),
        ("Content-Length", str(len(reply.body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    response = h11.Response(status_code=reply.status, headers=headers)
    writer.write(connection.send(response) or b"")
    if not without_body:
        writer.write(connection.send(h11.Data(data=reply.body)) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the other side read the answer: it would not, if it were cut off while it still sends."""
    if reader.at_eof():
        return
    with contextlib.suppress(TimeoutError, OSError):
        writer.write_eof()
        async with asyncio.timeout(_LINGER):
            for _ in range(_LINGERING):
                if not await reader.read(_CHUNK):
                    return


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        SettingsError: the address cannot be had.
    """
    where = f"--listen {host}:{port}"
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise SettingsError("there is no such address to listen at", where=where, why=str(error)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(AT_ONCE)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise SettingsError(
            "this address cannot be listened at",
            where=where,
            why="another program listens there" if taken else error.strerror or str(error),
            next="Choose another port, or 0 for any that is free",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Where a socket listens, as HOST:PORT."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
