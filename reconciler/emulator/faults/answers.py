"""Whole answers: the application's, caught on its way out, and those that are given instead of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from reconciler.emulator.faults.kinds import Empty, Html, Redirect, RetryAfter, Status
from reconciler.emulator.moments import http_date, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Message, Scope

    from reconciler.emulator.faults.kinds import Instead
    from reconciler.emulator.moments import Micros

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

_MICROS_PER_SECOND = 1_000_000
_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
_CLIENT_CLOSED = 500
_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"


class _NoJson:
    """What stands for a body that is no JSON, since null is JSON."""


NO_JSON = _NoJson()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A whole answer. Header names are lower-case."""

    status: int
    headers: Headers
    body: bytes

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Give the body as JSON; `NO_JSON` if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return NO_JSON

    def with_body(self, body: bytes) -> Answer:
        """Give it another body, with a fitting length."""
        kept = without(self.headers, b"content-length", b"transfer-encoding")
        return replace(self, body=body, headers=(*kept, (b"content-length", str(len(body)).encode())))

    def with_value(self, value: object) -> Answer:
        """Give it another JSON body."""
        return self.with_body(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())

    def with_header(self, name: bytes, value: bytes) -> Answer:
        """Give it a header in place of any with the same name."""
        return replace(self, headers=(*without(self.headers, name), (name, value)))


class Catcher:
    """An ASGI `send` that keeps what the application answers."""

    def __init__(self) -> None:
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Keep a message."""
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))

    def answer(self) -> Answer:
        """Give the whole answer.

        Raises:
            RuntimeError: if the application gave none.
        """
        if self._start is None:
            raise RuntimeError("the application returned without an answer")
        headers = ((name.lower(), value) for name, value in self._start.get("headers", ()))
        return Answer(status=self._start["status"], headers=tuple(headers), body=b"".join(self._parts))


def without(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> Headers:
    """Give the headers but those with these lower-case names."""
    return tuple((name, value) for name, value in headers if name not in names)


def instead(fault: Instead, scope: Scope, now: Micros) -> Answer:
    """Make the answer that a fault gives instead of the application's."""
    match fault:
        case Status():
            return _status(fault, scope, now)
        case Html():
            return _answer(200, _page(200), _HTML, now)
        case Empty():
            return _answer(200, b"", None, now)
        case Redirect():
            location = fault.location or _same_url(scope)
            return _answer(fault.status, b"", None, now, (b"location", location.encode()))
        case _:
            assert_never(fault)


def _answer(status: int, body: bytes, kind: bytes | None, now: Micros, *more: tuple[bytes, bytes]) -> Answer:
    headers = [(b"date", http_date(now).encode()), (b"content-length", str(len(body)).encode()), *more]
    if kind is not None:
        headers.append((b"content-type", kind))
    return Answer(status=status, headers=tuple(headers), body=body)


def _status(fault: Status, scope: Scope, now: Micros) -> Answer:
    more = [] if fault.retry_after is None else [(b"retry-after", _retry_after(fault.retry_after, now))]
    match fault.body:
        case "json":
            body = json.dumps(_error(fault.status, scope, now)).encode()
            return _answer(fault.status, body, _JSON, now, *more)
        case "html":
            return _answer(fault.status, _page(fault.status), _HTML, now, *more)
        case "empty":
            return _answer(fault.status, b"", None, now, *more)
        case _:
            assert_never(fault.body)


def _retry_after(wish: RetryAfter, now: Micros) -> bytes:
    if wish.as_date:
        return http_date(now + wish.seconds * _MICROS_PER_SECOND).encode()
    return str(wish.seconds).encode()


def _error(status: int, scope: Scope, now: Micros) -> dict[str, object]:
    """Write an error as the API does that the path belongs to."""
    phrase = _phrase(status)
    if not scope["path"].startswith("/v1/"):
        return {"detail": phrase}
    return {
        "statusCode": status,
        "code": phrase.upper().replace(" ", "_").replace("-", "_"),
        "error": phrase,
        "message": f"{phrase} (a fault on purpose)",
        "retryable": status in _RETRYABLE,
        "timestamp": rfc3339(now),
        "path": scope["path"],
        "request_id": "req-fault",
    }


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Error" if status < _CLIENT_CLOSED else "Server Error"


def _page(status: int) -> bytes:
    title = f"{status} {_phrase(status)}"
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
        f"<body><h1>{title}</h1><p>This page was sent on purpose.</p></body></html>\n"
    ).encode()


def _same_url(scope: Scope) -> str:
    """Give the request's own path and query, as a reference that cannot be read as another host's."""
    path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").replace("\\", "%5C")
    query: str = scope["query_string"].decode("latin-1")
    # Two slashes at the start would begin a host name.
    path = f"/.{path}" if path.startswith("//") else path
    return f"{path}?{query}" if query else path
