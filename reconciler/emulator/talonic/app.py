"""Talonic's application: all routes behind a gate, and every refusal as a reply of Talonic's shape.

The gate checks the key before any handler, gives every reply the `Date` that clients take as the
service's clock, and every request an id that its reply and its error name.
"""

from __future__ import annotations

import sqlite3
import uuid
from typing import TYPE_CHECKING, NamedTuple

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from reconciler.emulator.errors import EmulatorError, Refused
from reconciler.emulator.gates import by_segments, dated, has_key
from reconciler.emulator.moments import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from reconciler.emulator.moments import Clock


class _Kind(NamedTuple):
    """What a status is called in an error's `code` and `error`."""

    code: str
    name: str


# METHOD_NOT_ALLOWED is not in Talonic's list of codes, which has none for it.
_KINDS: Mapping[int, _Kind] = {
    400: _Kind("VALIDATION_ERROR", "Bad Request"),
    401: _Kind("AUTH_REQUIRED", "Unauthorized"),
    404: _Kind("RESOURCE_NOT_FOUND", "Not Found"),
    405: _Kind("METHOD_NOT_ALLOWED", "Method Not Allowed"),
    413: _Kind("FILE_TOO_LARGE", "Payload Too Large"),
    503: _Kind("INTERNAL_ERROR", "Service Unavailable"),
}
_SERVER_FAULTS = 500


class Gate:
    """What holds for every request: the key, and a `Date` and an `X-Request-Id` on every reply."""

    def __init__(self, app: ASGIApp, *, api_key: str | None, clock: Clock) -> None:
        self._app = app
        self._api_key = api_key
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on; mark the reply either way."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        send_dated = dated(send, self._clock)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send_dated(message)

        if self._api_key is None or has_key(scope, self._api_key):
            await self._app(by_segments(scope), receive, send_marked)
        else:
            refusal = Refused(401, "A valid API key is required")
            reply = refused_reply(Request(scope), refusal, self._clock)
            await reply(scope, receive, send_marked)


def make_app(routes: Sequence[Route], *, api_key: str | None, clock: Clock) -> Starlette:
    """Put the routes behind the gate, and turn refusals into replies. No key asks for none."""

    async def refused(request: Request, error: Exception) -> Response:
        match error:
            case Refused():
                return refused_reply(request, error, clock)
            case HTTPException():
                refusal = Refused(error.status_code, error.detail)
                return refused_reply(request, refusal, clock, error.headers)
            case _:
                # A database that is locked, full or not ours: nothing was done, and it may pass.
                return refused_reply(request, Refused(503, str(error)), clock)

    for route in routes:
        # Starlette adds it to each GET; the service that this stands in for documents no HEAD.
        (route.methods or set()).discard("HEAD")
    app = Starlette(
        routes=list(routes),
        middleware=[Middleware(Gate, api_key=api_key, clock=clock)],
        exception_handlers=dict.fromkeys((Refused, HTTPException, EmulatorError, sqlite3.Error), refused),
    )
    # A redirected POST would be sent twice; the documented paths have no slash at the end.
    app.router.redirect_slashes = False
    return app


def refused_reply(
    request: Request, refusal: Refused, clock: Clock, headers: Mapping[str, str] | None = None
) -> Response:
    """Give the reply that a refusal becomes."""
    kind = _KINDS[refusal.status]
    marks = dict(headers or {})
    if "Allow" in marks:
        # Starlette lists a set, whose order hangs on the hash seed of the process.
        marks["Allow"] = ", ".join(sorted(marks["Allow"].split(", ")))
    body = {
        "statusCode": refusal.status,
        "code": kind.code,
        "error": kind.name,
        "message": refusal.detail,
        "retryable": refusal.status >= _SERVER_FAULTS,
        "timestamp": rfc3339(clock()),
        "path": request.scope["path"],
        "request_id": request.state.request_id,
    }
    return JSONResponse(body, status_code=refusal.status, headers=marks)
