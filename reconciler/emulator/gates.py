"""What the gates of all services have in common: the key, the path by its segments, the `Date` of replies."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders

from reconciler.emulator.moments import http_date

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from reconciler.emulator.moments import Clock


def dated(send: Send, clock: Clock) -> Send:
    """Give a way to send replies that carry the `Date` which clients take as the service's clock."""

    async def send_dated(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Date"] = http_date(clock())
        await send(message)

    return send_dated


class Dated:
    """A gate that is open to all, and dates what is answered."""

    def __init__(self, app: ASGIApp, *, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; date its reply."""
        await self._app(scope, receive, dated(send, self._clock))


def has_key(scope: Scope, key: str) -> bool:
    """Say whether a request carries a bearer key, in one header; the word before it in any case."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    # Of two, it would be a matter of taste which one counts.
    scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    right = hmac.compare_digest(token.lstrip(b" "), key.encode())
    return right and scheme.lower() == b"bearer"


def by_segments(scope: Scope) -> Scope:
    """Give a request whose path has only those slashes that separate: one within an id stays `%2F`.

    Decoded, `batches/a%2Fcancel` would be another path than the one that was asked for.
    """
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return scope
    segments = [unquote(segment).replace("/", "%2F") for segment in raw.decode("latin-1").split("/")]
    return {**scope, "path": "/".join(segments)}
