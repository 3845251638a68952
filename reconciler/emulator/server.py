"""Run an ASGI application over HTTP: uvicorn in this process, on a listener that faults may close for a time.

While the listener is closed, its port is kept by a socket that is bound and does not listen: connections
are refused, and on Linux no other program is given the port. Only in the moment between closing the one
and binding the other may one be quicker.

Not here: what is served, and what faults do to a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from reconciler.emulator.faults.connections import Connections
from reconciler.emulator.faults.errors import CannotListenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Self

    from starlette.types import ASGIApp

_BACKLOG: Final = 2048
_GRACE_SECONDS: Final = 2
_KEEP_ALIVE_SECONDS: Final = 75
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_MAX_PORT: Final = 65_535
_REASONS: Final = {
    errno.EADDRINUSE: "another program listens there; choose another port, or 0 for any that is free",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "this user is not permitted to use that port; choose one from 1024 on",
    errno.EPERM: "this user is not permitted to use that port; choose one from 1024 on",
}


def _nobody(url: str) -> None:
    """Tell nobody."""
    del url


def run(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8642,
    connections: Connections | None = None,
    ready: Callable[[str], None] = _nobody,
) -> int | None:
    """Serve until a signal ends it.

    Args:
        app: What is served. It has no lifespan to run.
        host: The address or name to listen on.
        port: The port; 0 for any that is free.
        connections: What the application's `Injector` was given.
        ready: Called with the base URL when connections are accepted.

    Returns:
        The number of the signal that ended it; None if none did.

    Raises:
        CannotListenError: if the address or the port cannot be listened on.
    """
    with Listener(host, port) as listener:
        server = Server(app, listener=listener, connections=connections)
        return asyncio.run(server.serve(ready))


class Listener:
    """A port that was taken before there is anything to serve. Who connects waits until a `Server` serves it.

    It is a context manager, and closes at its end, whether it was served or not.

    Args:
        host: The address or name to listen on; of a name with several addresses, the first is taken.
        port: The port; 0 for any that is free.

    Raises:
        CannotListenError: if the address or the port cannot be listened on.

    Attributes:
        host: The address or name asked for.
        port: The true port.
        url: The base URL, with the true port and no slash at the end.
        socket: What listens.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8642) -> None:
        self.socket = _listen(host, port)
        self.host = host
        self.port: int = self.socket.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self.port}"

    def close(self) -> None:
        """Give the port back. More often than once is as good as once."""
        self.socket.close()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()


class Server:
    """One server. Its port is taken before it serves.

    Args:
        app: What is served. It has no lifespan to run.
        listener: What it serves on, and closes when it ends. Without one, one is made of `host` and `port`.
        host: The address or name to listen on.
        port: The port; 0 for any that is free.
        connections: What the application's `Injector` was given.
        protocol: The protocol of uvicorn; the fastest that is installed by default.

    Raises:
        CannotListenError: if the address or the port cannot be listened on.

    Attributes:
        url: The base URL, with the true port and no slash at the end.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        listener: Listener | None = None,
        host: str = "127.0.0.1",
        port: int = 8642,
        connections: Connections | None = None,
        protocol: type[asyncio.Protocol] = AutoHTTPProtocol,
    ) -> None:
        connections = Connections() if connections is None else connections
        listener = Listener(host, port) if listener is None else listener
        self.url = listener.url
        config = uvicorn.Config(
            app,
            http=connections.protocol(protocol),
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            # With them, a header could say which connection a request came by.
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=_BACKLOG,
            # Longer than clients keep theirs: no request then meets a connection that is just being closed.
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = _Uvicorn(config, listener, connections)

    async def serve(self, ready: Callable[[str], None] = _nobody) -> int | None:
        """Serve until a signal or `stop` ends it, once; in the main thread, signals are heard.

        Args:
            ready: Called with the base URL when connections are accepted.

        Returns:
            The number of the signal that ended it; None if none did.

        Raises:
            CannotListenError: if a fault had closed the listener and it could not be opened again.
        """
        try:
            self._server.ready = lambda: ready(self.url)
            await self._server.serve(sockets=[self._server.listener])
        finally:
            self._server.listener.close()
        if self._server.failure is not None:
            raise self._server.failure
        return self._server.signal

    def stop(self) -> None:
        """End it soon; from any thread."""
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    """Uvicorn with a listener that can be closed and opened again, and that hands signals over."""

    def __init__(self, config: uvicorn.Config, listener: Listener, connections: Connections) -> None:
        super().__init__(config)
        self.listener = listener.socket
        self.ready: Callable[[], None] = lambda: None
        self.signal: int | None = None
        self.failure: CannotListenError | None = None
        self._host = listener.host
        self._port = listener.port
        self._connections = connections
        self._closings = 0
        self._reopening: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._connections.on_refuse(self._refuse)
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._reopening:
            task.cancel()
        # What faults hold and what is not whole goes first: otherwise each would have to be cancelled.
        self._connections.end()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear signals, as uvicorn does; but do not raise them again afterwards: the caller is told."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, signal.SIG_DFL if handler is None else handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.signal = sig if self.signal is None else self.signal
        super().handle_exit(sig, frame)

    def _refuse(self, seconds: float) -> None:
        """Close the listener and every connection; open it when the last of such times is over."""
        if self._closings == 0:
            for server in self.servers:
                server.close()
            self.listener.close()
            # Whoever may have been quicker shows when the listener opens.
            with contextlib.suppress(CannotListenError):
                self.listener = _kept(self._host, self._port)
        self._connections.shut()
        self._closings += 1
        task = asyncio.ensure_future(self._reopen_after(seconds))
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def _reopen_after(self, seconds: float) -> None:
        await self._connections.wait(seconds)
        self._closings -= 1
        if self._closings or self.should_exit:
            return
        try:
            self.listener = _opened(self.listener, self._host, self._port)
        except CannotListenError as error:
            self.failure, self.should_exit = error, True
            return
        self._connections.reopen()
        # Without a lifespan, uvicorn's start is to make a server of the listener.
        await super().startup([self.listener])


def _kept(host: str, port: int) -> socket.socket:
    """Take a port so that nobody else is given it, though nobody listens there.

    Raises:
        CannotListenError: if it cannot be had.
    """
    keeper = _bound(host, port)
    # What is bound with it would share the port with whoever sets it too.
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return keeper


def _opened(keeper: socket.socket, host: str, port: int) -> socket.socket:
    """Listen on what keeps the port; anew, when that was not to be had.

    Raises:
        CannotListenError: if the port cannot be listened on.
    """
    if keeper.fileno() < 0:
        return _listen(host, port)
    # Its connections inherit it, and would keep the port from the next one.
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _listening(keeper, host, port)


def _listen(host: str, port: int) -> socket.socket:
    return _listening(_bound(host, port), host, port)


def _listening(listener: socket.socket, host: str, port: int) -> socket.socket:
    try:
        # Here and not only in asyncio: two may be bound to a port, and only one may listen.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListenError(host, port, _reason(error)) from error
    return listener


def _bound(host: str, port: int) -> socket.socket:
    """Take an address and a port without listening there.

    Raises:
        CannotListenError: if it cannot be had.
    """
    if not 0 <= port <= _MAX_PORT:
        raise CannotListenError(host, port, f"a port is a number from 0 to {_MAX_PORT}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListenError(host, port, "no address has that name") from error
    # A name for both kinds, such as localhost, is better known by its older address.
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    taken = socket.socket(family, kind, protocol)
    try:
        # Connections of a moment ago do not block the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise CannotListenError(host, port, _reason(error)) from error
    taken.setblocking(False)
    return taken


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)
