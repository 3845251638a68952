"""The sender: POSTs what is in the outbox, in a thread of its own, and tries again what was not taken.

One a database: it begins when its process has become the one whose worker moves batches on. Several
deliveries are on their way at once, a few for each host, so that one that never answers does not hold
up the others; batches and requests never wait for any of them.
"""

from __future__ import annotations

import asyncio
import threading
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

import httpx

from reconciler.emulator.moments import system_clock
from reconciler.emulator.webhooks.requests import headers_of, signature_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.emulator.moments import Clock, Micros
    from reconciler.emulator.webhooks.outbox import Delivery, Outbox

# Seconds between a try and the next one; after the last try there is none.
PAUSES = (1.0, 2.0, 4.0, 8.0)
# Seconds for a whole try.
PATIENCE = 10.0
# How long an idle sender sleeps before it looks at `stop` and at the outbox again, in seconds.
_NAP = 0.1
_AT_ONCE = 32
_AT_ONCE_TO_ONE = 4
_MICROS_PER_SECOND = 1_000_000


class Sender:
    """Sends what one outbox holds.

    Args:
        outbox: What is to be sent.
        pauses: Seconds between tries, as many as there are tries after the first.
        patience: Seconds until a try without an answer is given up.
        machine: The clock that pauses go by: not the service's, which may stand still.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        pauses: Sequence[float] = PAUSES,
        patience: float = PATIENCE,
        machine: Clock = system_clock,
    ) -> None:
        self._outbox = outbox
        self._pauses = pauses
        self._patience = patience
        self._machine = machine
        self._mine = threading.Event()

    def permit(self, now: Micros) -> None:
        """Let it begin. The worker calls this, which does so only once it is the only one."""
        del now
        self._mine.set()

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set. What is on its way then is sent again by the next sender.

        Raises:
            EmulatorError: if the database cannot be used.
        """
        while not stop.is_set():
            if self._mine.wait(_NAP):
                asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        self._outbox.recover()
        going: dict[asyncio.Task[None], str] = {}
        async with _Clients() as clients:
            try:
                while not stop.is_set():
                    self._begin(going, clients)
                    if not going:
                        await asyncio.sleep(_NAP)
                        continue
                    ended, _ = await asyncio.wait(going, timeout=_NAP, return_when=asyncio.FIRST_COMPLETED)
                    for task in ended:
                        del going[task]
                        task.result()
            finally:
                for task in going:
                    task.cancel()
                await asyncio.gather(*going, return_exceptions=True)

    def _begin(self, going: dict[asyncio.Task[None], str], clients: _Clients) -> None:
        while len(going) < _AT_ONCE:
            to = list(going.values())
            full = {authority for authority in to if to.count(authority) >= _AT_ONCE_TO_ONE}
            delivery = self._outbox.claim(self._machine(), without=full)
            if delivery is None:
                return
            going[asyncio.ensure_future(self._deliver(delivery, clients))] = delivery.authority

    async def _deliver(self, delivery: Delivery, clients: _Clients) -> None:
        status, error = None, None
        try:
            async with asyncio.timeout(self._patience):
                status = await _post(delivery, clients)
        except TimeoutError:
            error = f"no answer within {self._patience:g} s"
        # Whatever is wrong with one address must not keep the others from hearing.
        except Exception as failure:  # noqa: BLE001
            # Its name alone: a message might repeat a header. Why there is no connection, none does.
            reason = str(failure) if isinstance(failure, httpx.ConnectError) else ""
            error = ": ".join(filter(None, (type(failure).__name__, reason)))
        if status is not None and httpx.codes.is_success(status):
            self._outbox.sent(delivery, status)
            return
        due = None
        if delivery.tries <= len(self._pauses):
            due = self._machine() + int(self._pauses[delivery.tries - 1] * _MICROS_PER_SECOND)
        self._outbox.failed(delivery, status=status, error=error, due=due)


class _Clients:
    """Two clients: one heeds the proxies that the environment names, one goes straight to this machine."""

    def __init__(self) -> None:
        self._straight = _client(heeding=False)
        # Made when it is needed: a proxy that cannot be used is a failure of who would go through it.
        self._heeding: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        del raised
        await self._straight.aclose()
        if self._heeding is not None:
            await self._heeding.aclose()

    def to(self, url: httpx.URL) -> httpx.AsyncClient:
        """Give the one for an address."""
        if is_loopback(url.host):
            return self._straight
        if self._heeding is None:
            self._heeding = _client(heeding=True)
        return self._heeding


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _client(*, heeding: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        trust_env=heeding,
        follow_redirects=False,
        # The whole try has a limit, not each of its steps.
        timeout=httpx.Timeout(None),
        # Always a new connection: one that the receiver has just closed would be a failure for nothing.
        limits=httpx.Limits(max_keepalive_connections=0),
        # No receiver's cookie is kept.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=())),
    )


async def _post(delivery: Delivery, clients: _Clients) -> int:
    """Send a delivery; give the status of the answer. Its body is not read: it might never end."""
    url = httpx.URL(delivery.url)
    signature = None if delivery.secret is None else signature_of(delivery.body, delivery.secret)
    headers = headers_of(
        delivery.headers, event=delivery.event, event_id=delivery.event_id, signature=signature
    )
    async with clients.to(url).stream("POST", url, content=delivery.body, headers=headers) as reply:
        return reply.status_code
