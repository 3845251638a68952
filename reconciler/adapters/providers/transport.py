"""One request, one reply: bounded in time and size, with httpx's errors mapped to the tree.

Nothing is sent twice here (O6: reads are repeated by ``retry``, and a create by nobody), and no reply is
judged: that is ``refusals``' and ``wire``'s business. Every request of a provider goes through
`Transport.exchange`, and takes its turn there (see ``limiter``).

What C4 needs to know is decided here: was the request certainly not sent? Of httpx's errors these say so:

- ``ConnectError`` and ``ConnectTimeout``: name look-up, TCP or TLS failed. httpcore raises them from
  ``connect_tcp`` and ``start_tls`` alone, and has no connection to write to before both succeeded.
- ``PoolTimeout``: the request never got a connection.
- ``ProxyError``: the proxy refused the tunnel. Nothing is written into a tunnel that does not stand, and
  what is sent in the clear goes to loopback, which is never proxied.
- ``UnsupportedProtocol`` and ``InvalidURL``: there was nothing to connect to.

All others do not. ``WriteError`` and ``WriteTimeout`` come after a connection stood, and the service may
have enough of the request to carry it out. ``LocalProtocolError`` mostly comes before the first byte, but
h11 raises it for a body that is too short as well, after the headers have gone. ``ReadError``,
``ReadTimeout``, ``RemoteProtocolError`` and this file's own deadline say nothing about what the service
did. Through a proxy, a lost reply to CONNECT looks like a lost reply to the request, and is taken for it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from reconciler.adapters.providers.bodies import UnknownPackingError, body
from reconciler.adapters.providers.connection import Line
from reconciler.adapters.providers.redaction import Redaction
from reconciler.adapters.providers.wording import one_line
from reconciler.model.errors import NotSentError, ServiceError, UnavailableError, UnexpectedReplyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import httpx

    from reconciler.adapters.providers.lanes import Lanes
    from reconciler.model.kind import Turns
    from reconciler.model.ports import Clock

_LOG = logging.getLogger(__name__)

#: Seconds for one request as a whole, so that a reply that drips in forever ends too.
DEADLINE = 120.0

#: Headers that services name a request in, the usual one first.
_REQUEST_ID = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-trace-id", "cf-ray")
_REQUEST_IDS = frozenset(_REQUEST_ID)

_SECONDS = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)
_EPOCH_SECONDS = re.compile(r"\d{10}(\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        path: below the base URL, with ids already percent-encoded.
        query: names and values as they are, not yet encoded.
        body: JSON, or None.
    """

    method: Literal["GET", "POST"]
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What was answered, whatever the status.

    Attributes:
        where: the request, for errors: its method and address without the query.
        reason: of a refusal, the status in words, as the service or the standard has them.
        body: unpacked; of a refusal only its beginning.
        request_id: the service's own name for the request, or "".
        retry_after: of a refusal, seconds to wait as the service said; None when it did not say, or made no
            sense.
        location: where a redirect points, cut short; it is never followed.
        asked: by the monotonic clock, when the request's turn had come.
    """

    status: int
    where: str
    reason: str = ""
    body: bytes = field(default=b"", repr=False)
    request_id: str = ""
    retry_after: float | None = None
    location: str = ""
    asked: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the service did what it was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's class of success


class WithheldError(Exception):
    """The request was not sent, because its sender objected when its turn came."""


class Transport:
    """The way to one service over an `httpx.AsyncClient` that somebody else made, or will, and closes.

    Args:
        client: has the base URL and the credentials.
        endpoint: how errors name the service.
        clock: for the service's time.
        limiter: gives turns; one for all who use this service's key.
        deadline: seconds for one request as a whole, once its turn has come.
        secrets: what is sent beside the key and shall not be shown if the service repeats it.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | Line,
        *,
        endpoint: str,
        clock: Clock,
        limiter: Turns,
        deadline: float = DEADLINE,
        secrets: Iterable[str] = (),
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._endpoint = endpoint
        self._clock = clock
        self.deadline = deadline
        self._dated: tuple[datetime, float] | None = None
        if isinstance(client, Line):
            key = client.key
        else:
            key = client.headers.get("authorization", "").rpartition(" ")[2]
        self._redaction = Redaction((key, *secrets))
        self._redaction_of_key = Redaction((key,))

    @property
    def service_time(self) -> datetime | None:
        """The last reply's ``Date``, moved on by what this process's monotonic clock has run since."""
        if self._dated is None:
            return None
        date, at = self._dated
        try:
            return date + timedelta(seconds=self._clock.monotonic() - at)
        except OverflowError:
            return None  # it was the last second of the year 9999

    async def exchange(self, request: Request, objection: Callable[[], str] | None = None) -> Reply:
        """Send once and give what came back; redirects are replies like any other.

        Args:
            request: what to send.
            objection: what it gives, unless "", is why not to send. It is asked when the turn has come, and
                over a network once more when a connection stands and all that is missing is the body: a
                request without the body that it announces is none. Who brings one has the next turn.

        Raises:
            WithheldError: there was an objection, and nothing was sent that could be carried out.
            NotSentError: not a byte of the request left this machine (see above).
            RateLimitedError: likewise, since the service asks for a longer pause than anybody waits.
            UnavailableError: it may have, and no whole reply came.
            UnexpectedReplyError: the reply is larger or packed otherwise than a client can take.
        """
        where = f"{request.method} {self._endpoint}{request.path}"
        async with self._limiter.turn(urgent=objection is not None) as turn:
            if objection is not None and (why := objection()):
                raise WithheldError(why)
            begun = self._clock.monotonic()
            try:
                reply = await self._exchange(request, where, begun, objection)
            except ServiceError as error:
                turn.failed()
                _LOG.debug("%s?%s: %s (%s)", where, _shown_query(request), error.what, error.why)
                raise
            turn.answered(reply.status, reply.retry_after)
        if _LOG.isEnabledFor(logging.DEBUG):
            took = 1000 * (self._clock.monotonic() - begun)
            said = (reply.status, len(reply.body), took, reply.request_id or "unnamed")
            _LOG.debug("%s?%s: %d, %d bytes, %.0f ms, request %s", where, _shown_query(request), *said)
        return reply

    async def _exchange(
        self, request: Request, where: str, begun: float, objection: Callable[[], str] | None = None
    ) -> Reply:
        import httpx

        client = self._client.client if isinstance(self._client, Line) else self._client
        lanes: Lanes | None = getattr(client, "lanes", None) if request.method == "GET" else None
        try:
            if lanes is not None:
                sent = lanes.send(lanes.build(request.path, request.query))
            else:
                built = _built(client, request, objection)
                sent = client.send(built, stream=True, follow_redirects=False)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NotSentError("the request cannot be written", where=where, why=str(error)) from error
        try:
            async with asyncio.timeout(self.deadline):
                return await self._read(await sent, where, begun)
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
        ) as error:
            raise NotSentError(
                "the service cannot be reached", where=where, why=self._said(error)
            ) from self._cause(error)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise UnavailableError(
                "the service did not answer", where=where, why=self._said(error)
            ) from self._cause(error)

    async def _read(self, response: httpx.Response, where: str, begun: float) -> Reply:
        try:
            self._take_date(response)
            reply = Reply(
                status=response.status_code,
                where=where,
                body=self._shown(response).body(await body(response, where)),
                request_id=self._request_id(response),
                asked=begun,
            )
            if response.is_success:
                return reply
            return replace(
                reply,
                reason=one_line(self._redacted(response.reason_phrase)),
                retry_after=self._retry_after(response),
                location=one_line(self._redacted(response.headers.get("location", ""))),
            )
        except UnknownPackingError as error:
            # Not chained: the header may repeat the key.
            why = f"it is packed as {one_line(self._redacted(str(error)), 40)}, which was not asked for"
            raise UnexpectedReplyError(
                "the reply cannot be unpacked", where=where, why=why, status=response.status_code
            ) from None
        finally:
            await response.aclose()

    def _shown(self, response: httpx.Response) -> Redaction:
        """What is taken out of a reply. Decisions are made on a good one: a webhook's header may be an id."""
        return self._redaction_of_key if response.is_success else self._redaction

    def _take_date(self, response: httpx.Response) -> None:
        date = _http_date(response.headers.get("date", ""))
        if date is not None:
            self._dated = (date, self._clock.monotonic())

    def _request_id(self, response: httpx.Response) -> str:
        there = _REQUEST_IDS.intersection(response.headers)
        names = (response.headers[name] for name in _REQUEST_ID if name in there)
        return one_line(self._redacted(next(filter(None, names), "")), 100) if there else ""

    def _retry_after(self, response: httpx.Response) -> float | None:
        text = response.headers.get("retry-after", "").strip()
        if _SECONDS.fullmatch(text):
            return max(0.0, float(text))
        until = _http_date(text)
        if until is None and response.status_code == 429:  # noqa: PLR2004 - HTTP's own
            # Talonic's; on other replies it only says when a quota is counted anew.
            until = _moment(response.headers.get("x-ratelimit-reset", "").strip())
        if until is None:
            return None
        # By the service's own clock, which this machine's need not agree with.
        now = _http_date(response.headers.get("date", "")) or self._clock.now()
        return max(0.0, (until - now).total_seconds())

    def _redacted(self, text: str) -> str:
        return self._redaction.text(text)

    def _said(self, error: Exception) -> str:
        text = one_line(self._redacted(str(error)))
        return f"{type(error).__name__}: {text}" if text else type(error).__name__

    def _cause(self, error: Exception) -> Exception | None:
        """The error to chain, unless its message repeats the key, as a hostile status line could."""
        return error if self._redacted(str(error)) == str(error) else None


def _shown_query(request: Request) -> str:
    return urlencode(request.query, errors="replace")


def _built(client: httpx.AsyncClient, request: Request, objection: Callable[[], str] | None) -> httpx.Request:
    return client.build_request(
        request.method,
        request.path,
        params=request.query or None,
        content=request.body,
        headers={"Content-Type": "application/json"} if request.body is not None else None,
        extensions={"trace": _last_check(objection)} if objection is not None else None,
    )


def _last_check(objection: Callable[[], str]) -> Callable[[str, object], Awaitable[None]]:
    """Asks once more at the last step of httpcore's that comes before the service can do anything (C1).

    A connection may have been waited for since the turn came: for a name, TCP, TLS. What is raised here ends
    the request, and its connection with it.
    """

    async def trace(step: str, _: object) -> None:
        if step.endswith(".send_request_body.started") and (why := objection()):
            raise WithheldError(why)

    return trace


@lru_cache(maxsize=4)  # a scan has some hundred replies of one second
def _http_date(text: str) -> datetime | None:
    """A date as HTTP writes them, in UTC; None for anything else."""
    try:
        date = parsedate_to_datetime(text)
        # "-0000" gives a time without a zone, and HTTP knows no zone but GMT.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None


def _moment(text: str) -> datetime | None:
    """A moment as epoch seconds or ISO 8601, in UTC; None for anything else, a small number among it."""
    try:
        if _EPOCH_SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
