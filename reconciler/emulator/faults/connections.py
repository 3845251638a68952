"""The sockets under uvicorn: which transport a request came by, and what faults do to it.

An ASGI application can only answer. So uvicorn's protocol is subclassed, here and nowhere else, in the
two methods by which asyncio tells of a connection's begin and end; a request's connection is then found
by the addresses of its two ends. Of its request, only whether the body is whole is asked. After a
connection was closed, the application waits until uvicorn has noticed, because uvicorn reports a request
without an answer as an error only while it has a client.

Of requests sent ahead on one connection without waiting (pipelining), uvicorn tells only the last
that the client has left; the others wait until the service ends.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from reconciler.emulator.faults.lines import until_gone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope

    Sleep: TypeAlias = Callable[[float], Awaitable[object]]

# The client's address and ours.
_Ends: TypeAlias = "tuple[object, object]"

# Linger for 0 seconds: closing throws away what is unsent and sends RST.
_ABORT: Final = struct.pack("ii", 1, 0)


class Connections:
    """All connections of one server, which it serves once.

    Args:
        sleep: Waits so many seconds; tests give their own.
    """

    def __init__(self, *, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self._protocols: dict[_Ends, Any] = {}
        self._ending = asyncio.Event()
        self._shut = False
        self._refuse: Callable[[float], None] | None = None

    def protocol(self, base: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
        """Subclass a protocol of uvicorn (httptools or h11) so that its connections are known here."""
        connections = self

        class Watched(base):  # type: ignore[valid-type, misc] # which one is known only at run time
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                connections._joined(self)

            def connection_lost(self, exc: Exception | None) -> None:
                connections._left(self)
                super().connection_lost(exc)

        return Watched

    def on_refuse(self, refuse: Callable[[float], None]) -> None:
        """Have this called when the listener is to be closed for so many seconds."""
        self._refuse = refuse

    def line(self, scope: Scope) -> SocketLine:
        """Give the connection that a request came by."""
        protocol = self._protocols.get((scope.get("client"), scope.get("server")))
        return SocketLine(self, None if protocol is None else protocol.transport)

    def shut(self) -> None:
        """Close every connection: at once when it is idle, otherwise after its answer. Take no new ones."""
        self._shut = True
        for protocol in list(self._protocols.values()):
            if not protocol.transport.is_closing():
                protocol.shutdown()

    def reopen(self) -> None:
        """Take new connections again."""
        self._shut = False

    def refuse(self, seconds: float) -> None:
        """Close the listener and all connections for a time.

        Raises:
            RuntimeError: if no server of ours is running.
        """
        if self._refuse is None:
            raise RuntimeError("a fault needs the listener: serve with emulator.server")
        self._refuse(seconds)

    def end(self) -> None:
        """Let go of all that waits: the service ends. Requests whose body is not whole never will be."""
        self._ending.set()
        for protocol in list(self._protocols.values()):
            cycle = protocol.cycle
            if cycle is not None and cycle.more_body and not cycle.response_complete:
                protocol.transport.abort()

    async def wait(self, seconds: float | None) -> None:
        """Wait so many seconds, or without end; shorter when the service ends."""
        ending = asyncio.ensure_future(self._ending.wait())
        if seconds is None:
            await ending
            return
        await first_of(asyncio.ensure_future(self._sleep(seconds)), ending)

    def _joined(self, protocol: Any) -> None:  # noqa: ANN401 - of uvicorn, whose classes share no type
        self._protocols[protocol.client, protocol.server] = protocol
        if self._shut or self._ending.is_set():
            # Accepted just before the listener closed.
            protocol.transport.abort()

    def _left(self, protocol: Any) -> None:  # noqa: ANN401 - of uvicorn, whose classes share no type
        ends = (protocol.client, protocol.server)
        if self._protocols.get(ends) is protocol:
            del self._protocols[ends]


class SocketLine:
    """One connection; without a transport, one that the client has already left."""

    def __init__(self, connections: Connections, transport: asyncio.Transport | None) -> None:
        self._connections = connections
        self._transport = transport

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to be answered."""
        return self._transport is None or self._transport.is_closing()

    def reset(self) -> None:
        """Break the connection off (TCP RST)."""
        if self._transport is not None and not self._transport.is_closing():
            end: socket.socket = self._transport.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self._transport.abort()

    def close(self) -> None:
        """Close the connection after what was already sent."""
        if self._transport is not None:
            self._transport.close()

    def refuse(self, seconds: float) -> None:
        """Accept no connections for so long, and close the others when they have nothing to do."""
        self._connections.refuse(seconds)

    async def hold(self, receive: Receive, seconds: float | None) -> None:
        """Answer nothing until the client leaves; after so many seconds, close the connection."""
        gone = asyncio.ensure_future(until_gone(receive))
        await first_of(gone, asyncio.ensure_future(self._connections.wait(seconds)))
        self.close()

    async def wait(self, seconds: float) -> None:
        """Let time pass while a client waits; shorter when the service ends."""
        await self._connections.wait(seconds)

    async def wait_afterwards(self, seconds: float) -> None:
        """Let time pass after the client has left; shorter when the service ends."""
        await self._connections.wait(seconds)


async def first_of(*tasks: asyncio.Future[Any]) -> None:
    """Wait until one is done, and cancel the others."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
