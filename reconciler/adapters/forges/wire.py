"""One request to a service that keeps repositories, and its reply: bounded in time and size.

The token goes to the API's own address and nowhere else: no redirect is followed, and a next page elsewhere
is not read. Of what a service says, its own short message is repeated, unless the token is in it. A refusal
because of too many requests certainly did nothing, so anything is sent again after it; after a lost reply
only what may safely come twice.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx

from reconciler import __version__
from reconciler.model import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds to reach the service, and between two signs of life of it.
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0
#: Seconds for one request as a whole.
DEADLINE = 60.0
#: How often one request is sent at most, and the longest pause that is waited for.
TRIES, LONGEST_PAUSE = 4, 90.0
# Bytes of a reply: a page of 50 notes of GitLab's greatest length.
_LARGEST = 64 * 1024 * 1024
_LONGEST_MESSAGE = 300
# So many characters of a token in a row are too many to be shown.
_PIECE = 8
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Method = Literal["GET", "POST", "PATCH", "PUT"]


class Answer(NamedTuple):
    """What a service answered.

    Attributes:
        body: the JSON, whatever it is.
        next: the address of the next page, or "".
        headers: by lower-case name.
    """

    body: Any
    next: str
    headers: Mapping[str, str]


class Wire:
    """The way to one service."""

    def __init__(
        self, base: str, headers: Mapping[str, str], token: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._base = base
        self._headers = {**headers, "User-Agent": f"reconciler/{__version__}", "Accept-Encoding": "identity"}
        self._token = token
        self._sleep = sleep

    def pause(self, seconds: float) -> None:
        """Wait for something to come about at the service."""
        self._sleep(seconds)

    def send(self, method: Method, path: str, body: object = None, *, again: bool | None = None) -> Answer:
        """Send, more than once where that may help and cannot harm; give what came of it.

        Args:
            method: what to do.
            path: below the base, or a whole address of the same service.
            body: sent as JSON, unless it is None.
            again: whether it may come twice; by default all may but POST.

        Raises:
            ServiceError: the service could not be reached, refused, or did not answer.
        """
        safe = method != "POST" if again is None else again
        for tried in range(1, TRIES + 1):
            try:
                return self._once(method, path, body)
            except errors.RateLimitedError as error:
                pause = float(1 << tried) if error.retry_after is None else error.retry_after
                if tried == TRIES or pause > LONGEST_PAUSE:
                    raise
            except errors.NotSentError:
                if tried == TRIES:
                    raise
                pause = float(1 << tried - 1)
            except errors.UnavailableError:
                if tried == TRIES or not safe:
                    raise
                pause = float(1 << tried - 1)
            self._sleep(pause)
        raise AssertionError("unreachable")

    def _once(self, method: Method, path: str, body: object) -> Answer:
        url = path if "://" in path else f"{self._base}{path}"
        where = f"{method} {url.partition('?')[0]}"
        host = urlsplit(url).hostname
        content = None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + DEADLINE
        try:
            with httpx.Client(
                headers=self._headers,
                timeout=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
                follow_redirects=False,
                trust_env=host not in _LOOPBACK,
                # Plain http goes to this machine alone, and reading all authorities takes its time.
                verify=not url.startswith("http://"),
            ) as client:
                kind = {"Content-Type": "application/json"} if content is not None else None
                with client.stream(method, url, content=content, headers=kind) as reply:
                    text = bytearray()
                    for part in reply.iter_raw():
                        text += part
                        if len(text) > _LARGEST or time.monotonic() > deadline:
                            raise errors.UnavailableError(
                                "the reply is too large or too slow", where=where, status=reply.status_code
                            )
                    return self._judged(reply, bytes(text), where)
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
        ) as error:
            raise errors.NotSentError(
                "the service cannot be reached",
                where=where,
                why=type(error).__name__,
                next="Check the address, the proxy settings and the network, then run it again",
            ) from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise errors.UnavailableError(
                "the service did not answer", where=where, why=type(error).__name__, next="Run it again"
            ) from None
        except (httpx.InvalidURL, ValueError, ImportError) as error:
            # Not chained: it may hold a proxy's password.
            raise errors.SettingsError(
                "the address, the proxy or the certificate settings cannot be used",
                where=host or "",
                why=type(error).__name__,
                next="Check HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
            ) from None

    def _judged(self, reply: httpx.Response, text: bytes, where: str) -> Answer:
        status, headers = reply.status_code, {name.lower(): value for name, value in reply.headers.items()}
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's class of success
            try:
                body = json.loads(text)
            except (ValueError, RecursionError):
                raise errors.UnexpectedReplyError(
                    "the reply is not JSON", where=where, status=status
                ) from None
            return Answer(body, self._following(reply), headers)
        told: dict[str, Any] = {"where": where, "next": "Run it again later"}
        why = self._message(text)
        if _too_many(status, headers):
            raise errors.RateLimitedError(
                "the service asks to wait",
                retry_after=_pause(headers),
                where=where,
                next="Run it again later",
            )
        if status == 408 or status >= 500:  # noqa: PLR2004 - HTTP's own
            raise errors.UnavailableError(f"the service failed ({status})", why=why, status=status, **told)
        if status < 400:  # noqa: PLR2004 - HTTP's own
            raise errors.UnexpectedReplyError(
                f"the service answered with a redirect ({status}), which is not followed",
                where=where,
                next="Name the repository as it is called now: --repository",
                status=status,
            )
        kind, what, then = _REFUSALS.get(status, (errors.InvalidRequestError, "the service refused it", ""))
        raise kind(f"{what} ({status})", where=where, why=why, next=then, status=status)

    def _following(self, reply: httpx.Response) -> str:
        base = urlsplit(self._base)
        try:
            url = str(reply.links.get("next", {}).get("url", ""))
            there = urlsplit(url)[:2]
        except ValueError:
            url, there = "?", ("", "")
        if url and there != base[:2]:
            raise errors.UnexpectedReplyError(
                "the next page is elsewhere, and the token is not for there", where=base.hostname or ""
            )
        return url

    def _message(self, text: bytes) -> str:
        """What the service says of a refusal, in short, and without the token."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        words = " ".join(" ".join(_strings(said)).split())
        pieces = (self._token[at : at + _PIECE] for at in range(max(1, len(self._token) - _PIECE + 1)))
        if any(piece in words for piece in pieces):
            return "its message repeats the token, and is not shown"
        return words if len(words) <= _LONGEST_MESSAGE else f"{words[: _LONGEST_MESSAGE - 1]}…"


_SEE = "Check --repository and --number, and that the token may read the repository"
_REFUSALS: Mapping[int, tuple[type[errors.ServiceError], str, str]] = {
    401: (errors.AuthenticationError, "the service does not know the token", "Make another token"),
    403: (errors.ForbiddenError, "the token may not do this", "Check what the token may do"),
    404: (errors.NotFoundError, "there is no such repository or request, or the token may not see it", _SEE),
    410: (errors.NotFoundError, "what is asked for is gone", _SEE),
}


def _too_many(status: int, headers: Mapping[str, str]) -> bool:
    """GitHub says so with a 403 as well, and then in its headers."""
    limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return status == 429 or (status == 403 and limited)  # noqa: PLR2004 - HTTP's own


def _pause(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as the service said; None where it did not."""
    for name in ("retry-after", "ratelimit-reset", "x-ratelimit-reset"):
        text = headers.get(name, "")
        if text.isascii() and text.isdecimal() and len(text) <= 12:  # noqa: PLR2004 - centuries
            seconds = float(text)
            return seconds if name == "retry-after" else max(0.0, seconds - time.time())
    return None


def _strings(said: object, depth: int = 4) -> list[str]:
    """What there is to read in a refusal: GitHub's and GitLab's ``message``, ``error`` and ``errors``."""
    if isinstance(said, str):
        return [said]
    if not depth:
        return []
    if isinstance(said, list):
        return [text for item in said[:5] for text in _strings(item, depth - 1)]
    if isinstance(said, dict):
        parts = (value for name, value in said.items() if name not in {"documentation_url", "status"})
        return [text for item in parts for text in _strings(item, depth - 1)]
    return []
