"""Connections that reads go over, without httpx's client and pool around them.

A scan is hundreds of requests, and an apply makes three reads for each create. httpx builds URL, headers and
cookies anew for each of them, and its pool looks at every connection before and after it: half of what a read
costs on the processor. Here a reader has a connection of httpcore's, which is what httpx speaks HTTP with as
well, to itself until its reply is read. Only reads come here: what a create knows of its errors (C4) it knows
from httpx's own way. Whether a service may be spoken to like this is `client`'s business: not through a
proxy.

Kept here: no redirect is followed, as everywhere, and httpcore's errors are raised as httpx's.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

#: Seconds: a lane that was idle for longer is not used again, as in httpx's pool. What stands between may
#: have forgotten the connection and tell neither end.
_LONGEST_IDLE = 5.0


class Lanes:
    """Connections to one service, as many as there are requests at once: `limiter` says how many.

    Args:
        url: the base URL.
        headers: of every request, the key's among them.
        tls: what certificates are held against.
        timeouts: seconds to connect, to read and to write.
    """

    def __init__(
        self, url: httpx.URL, headers: httpx.Headers, tls: ssl.SSLContext, timeouts: Mapping[str, float]
    ) -> None:
        host = url.raw_host
        port = url.port or (443 if url.scheme == "https" else 80)
        self._origin = httpcore.Origin(url.raw_scheme, host, port)
        self._path = url.raw_path.rstrip(b"/")
        self._headers = [(b"Host", url.netloc), *headers.raw]
        self._tls = tls
        self._extensions = {"timeout": dict(timeouts)}
        self._idle: deque[tuple[float, httpcore.AsyncHTTPConnection]] = deque()

    def build(self, path: str, query: Iterable[tuple[str, str]]) -> httpcore.Request:
        """A read, to be sent.

        Raises:
            UnicodeError: what is asked has half a surrogate pair, or a path that is not encoded.
        """
        asked = urlencode([*query], quote_via=quote)
        target = (f"{path}?{asked}" if asked else path).encode("ascii")
        url = httpcore.URL(
            scheme=self._origin.scheme,
            host=self._origin.host,
            port=self._origin.port,
            target=self._path + target,
        )
        return httpcore.Request("GET", url, headers=self._headers, extensions=self._extensions)

    async def send(self, request: httpcore.Request) -> httpx.Response:
        """Ask; the reply's body is not read yet, and closing the reply frees its lane.

        Raises:
            httpx.HTTPError: as httpx's client would raise it.
        """
        lane = await self._lane()
        try:
            with _as_httpx():
                response = await lane.handle_async_request(request)
        except BaseException:
            await lane.aclose()
            raise
        body = _Body(self, lane, response)
        return httpx.Response(
            response.status, headers=response.headers, stream=body, extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close what is open."""
        while self._idle:
            await self._idle.pop()[1].aclose()

    async def _lane(self) -> httpcore.AsyncHTTPConnection:
        """The connection that was used last, unless the service closed it meanwhile; else another."""
        too_old = time.monotonic() - _LONGEST_IDLE
        while self._idle and self._idle[0][0] <= too_old:
            await self._idle.popleft()[1].aclose()
        while self._idle:
            _, lane = self._idle.pop()
            if lane.is_available() and not lane.has_expired():
                return lane
            await lane.aclose()
        return httpcore.AsyncHTTPConnection(self._origin, ssl_context=self._tls)

    def free(self, lane: httpcore.AsyncHTTPConnection) -> None:
        """Take a lane back whose reply was closed."""
        self._idle.append((time.monotonic(), lane))


class _Body(httpx.AsyncByteStream):
    """A reply's body, as it comes."""

    def __init__(self, lanes: Lanes, lane: httpcore.AsyncHTTPConnection, response: httpcore.Response) -> None:
        self._lanes, self._lane, self._response = lanes, lane, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._response.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        # What was not read to its end is closed by this, and thrown away when the next read wants a lane.
        await self._response.aclose()
        self._lanes.free(self._lane)


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise httpcore's errors as those of httpx, whose names are the same."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
