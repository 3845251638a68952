"""Faults without sockets: an httpx transport over an ASGI application, which raises what httpx would.

Nothing here waits: time passes by the `sleep` that the owner gives. A request that is to be carried out
late waits until `settle` or `aclose` is called, so that its moment is the owner's choice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx

from reconciler.emulator.faults.lines import EXTENSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope

    from reconciler.emulator.moments import Clock, Micros

    Sleep: TypeAlias = Callable[[float], Awaitable[object]]

_MICROS_PER_SECOND: Final = 1_000_000
_CLIENT: Final = ("127.0.0.1", 123)


async def no_sleep(seconds: float) -> None:
    """Let no time pass."""
    del seconds


class InProcessTransport(httpx.AsyncBaseTransport):
    """Sends requests to an ASGI application, whose `Injector` may do to them what networks do.

    Args:
        app: The application, with the `Injector` outermost.
        clock: The service's clock: while it has not moved past a `refused` fault's seconds, connections fail.
        sleep: Lets so many seconds pass; none by default.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, sleep: Sleep = no_sleep) -> None:
        self._app = app
        self._clock = clock
        self._sleep = sleep
        self._refused_until: Micros | None = None
        self._held: list[tuple[_Call, asyncio.Task[None]]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            httpx.TransportError: what a fault did to it.
        """
        if self._refused_until is not None and self._clock() < self._refused_until:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        call = _Call(self, request, await request.aread())
        task = asyncio.ensure_future(_run(self._app, call))
        parted = asyncio.ensure_future(call.parted.wait())
        try:
            await asyncio.wait({task, parted}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            parted.cancel()
            await asyncio.gather(task, parted, return_exceptions=True)
            raise
        if task.done():
            parted.cancel()
            await task
        else:
            self._held.append((call, task))
        return call.result()

    async def settle(self) -> None:
        """Let what waits be carried out, in the order in which it was sent."""
        while self._held:
            call, task = self._held.pop(0)
            call.settled.set()
            await task

    async def aclose(self) -> None:
        """Let what waits be carried out, and end."""
        await self.settle()

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await self._sleep(seconds)

    def refuse(self, seconds: float) -> None:
        """Fail every connection for so long by the service's clock."""
        self._refused_until = self._clock() + round(seconds * _MICROS_PER_SECOND)


async def _run(app: ASGIApp, call: _Call) -> None:
    await app(call.scope(), call.receive, call.send)


class _Body(httpx.AsyncByteStream):
    """The pieces of a body, and what is raised after them."""

    def __init__(self, parts: list[bytes], error: httpx.TransportError | None) -> None:
        self._parts = parts
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        if self._error is not None:
            raise self._error


class _Call:
    """One request, as the application and the faults see it; keeps `lines.Line`."""

    def __init__(self, transport: InProcessTransport, request: httpx.Request, body: bytes) -> None:
        self.parted = asyncio.Event()
        self.settled = asyncio.Event()
        self._transport = transport
        self._request = request
        self._body: bytes | None = body
        self._over = asyncio.Event()
        self._start: Message | None = None
        self._parts: list[bytes] = []
        self._error: httpx.TransportError | None = None
        self._refused = False

    def scope(self) -> Scope:
        """Describe the request as ASGI does."""
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": _CLIENT,
            "root_path": "",
            "extensions": {EXTENSION: self},
        }

    async def receive(self) -> Message:
        """Give the request's body, and then wait for its end."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a piece of the answer."""
        if self._over.is_set():
            return
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._over.set()

    def result(self) -> httpx.Response:
        """Give what the client gets, or raise it."""
        if self._start is None:
            raise self._error or RuntimeError("the application returned without an answer")
        parts = [] if self._request.method == "HEAD" else [part for part in self._parts if part]
        return httpx.Response(
            self._start["status"], headers=self._start.get("headers", []), stream=_Body(parts, self._error)
        )

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to be answered."""
        return self._over.is_set()

    def reset(self) -> None:
        """Break the connection off."""
        self._fail(httpx.ReadError("Connection reset by peer", request=self._request))

    def close(self) -> None:
        """Close the connection after what was already sent."""
        if self._refused:
            self._fail(httpx.ConnectError("All connection attempts failed", request=self._request))
            return
        sent = sum(map(len, self._parts))
        words = (
            "Server disconnected without sending a response."
            if self._start is None
            else f"peer closed connection without sending complete message body (received {sent} bytes)"
        )
        self._fail(httpx.RemoteProtocolError(words, request=self._request))

    def refuse(self, seconds: float) -> None:
        """Fail every connection for so long."""
        self._refused = True
        self._transport.refuse(seconds)

    async def hold(self, receive: Receive, seconds: float | None) -> None:
        """Let the client's patience, or so many seconds, pass; the client's wait ends with a timeout."""
        del receive
        timeouts: dict[str, Any] = self._request.extensions.get("timeout", {})
        limits = [limit for limit in (timeouts.get("read"), seconds) if limit is not None]
        await self._transport.pause(min(limits, default=0.0))
        self._fail(httpx.ReadTimeout("The read operation timed out", request=self._request))
        self.parted.set()

    async def wait(self, seconds: float) -> None:
        """Let time pass while the client waits."""
        await self._transport.pause(seconds)

    async def wait_afterwards(self, seconds: float) -> None:
        """Wait until the owner settles what is late, and then so many seconds."""
        await self.settled.wait()
        await self._transport.pause(seconds)

    def _fail(self, error: httpx.TransportError) -> None:
        if not self._over.is_set():
            self._error = error
            self._over.set()
