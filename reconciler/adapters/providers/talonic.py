"""Talonic's calls for batches, as the port `Watcher`: there is none that makes a batch (R16).

Documents that are ingested for batches queue up, and the service forms the batches by itself. How a request
travels is ``transport``'s business, what a reply holds ``talonic_wire``'s, when a listing is whole
``listings``'. Everything here reads, or asks the service to look: both may be sent again (O6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler.adapters.providers import retry, talonic_wire, wire
from reconciler.adapters.providers.listings import whole
from reconciler.adapters.providers.refusals import refusal
from reconciler.adapters.providers.transport import DEADLINE, Reply, Request, Transport
from reconciler.adapters.providers.wording import one_line
from reconciler.model.batch import Status
from reconciler.model.errors import InvalidRequestError, NotFoundError, UnexpectedReplyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from datetime import datetime
    from typing import Literal

    import httpx

    from reconciler.adapters.providers.listings import WatchedPage
    from reconciler.model.kind import Turns
    from reconciler.model.ports import Clock
    from reconciler.model.watched import FileOutcome, Watched

BASE_URL = "https://api.talonic.com"
BATCHES = "/v1/batches"

#: The most that is documented.
PAGE_SIZE = "100"

#: How often a batch that has ended is asked for its items while it gives none, and the seconds in between.
ITEMS_TRIES = 3
ITEMS_PAUSE = 2.0


class Talonic:
    """One account of one service that speaks Talonic's API.

    Args:
        client: has the base URL and the credentials; its owner closes it.
        endpoint: how the lockfile names this service.
        clock: for the service's time.
        limiter: gives turns to requests, together with all others who use the same key.
        random: uniform in [0, 1), for the jitter between tries.
        deadline: seconds for one request as a whole.
        secrets: what is not shown if the service repeats it, beside the key.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        endpoint: str,
        clock: Clock,
        limiter: Turns,
        random: Callable[[], float],
        deadline: float = DEADLINE,
        secrets: Iterable[str] = (),
    ) -> None:
        self._transport = Transport(
            client, endpoint=endpoint, clock=clock, limiter=limiter, deadline=deadline, secrets=secrets
        )
        self._endpoint = endpoint
        self._patience = limiter.patience
        self._random = random

    @property
    def endpoint(self) -> str:
        """Which service this is."""
        return self._endpoint

    async def watched(self, batch: str) -> Watched:
        """One batch by its id.

        Raises:
            NotFoundError: the service does not know it.
            ServiceError: it cannot be had.
        """
        return self._read(batch, await self._detail(batch))

    async def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        """Every batch created at or after ``since``, or in one of these statuses, in the service's own words.

        The service documents no filter, so its whole list is read and the choice is made here; with
        ``since``, the list is read newest first and left once it is past that time.

        Raises:
            ServiceError: the listing cannot be read to its end.
        """
        wanted = {word.casefold() for word in statuses}
        where = f"GET {self._endpoint}{BATCHES}"
        for found in await whole(self._page, where, until=None if wanted else since):
            old = since is not None and found.created_at is not None and found.created_at < since
            if not old and (not wanted or found.word.casefold() in wanted):
                yield found

    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:  # noqa: ARG002 - the batch tells all
        """What became of each item, sorted by id, or None while the service does not say.

        Items may lack for a moment after a batch has ended: then they are asked for again.

        Raises:
            NotFoundError: the service does not know the batch.
            ServiceError: it cannot be had.
        """
        for tried in range(1, ITEMS_TRIES + 1):
            reply = await self._detail(batch)
            found = wire.decode(reply, talonic_wire.outcomes)
            ended = self._read(batch, reply).status is Status.COMPLETED
            if found is not None or not ended or tried == ITEMS_TRIES or self._patience.over:
                return found
            await self._patience.pause(ITEMS_PAUSE)
        return None

    async def refresh(self, batch: str) -> Watched:
        """Have the service look at its provider now, and give what it then says of the batch.

        Which batches it refuses to look after is not documented: then the batch is as the service has it.

        Raises:
            NotFoundError: the service does not know it.
            ServiceError: it did not answer.
        """
        reply = await self._answer("POST", _path(batch, "sync"))
        if not reply.ok and not isinstance(refused := refusal(reply), InvalidRequestError):
            raise refused
        # What a sync answers with is not documented either.
        return await self.watched(batch)

    def _read(self, batch: str, reply: Reply) -> Watched:
        found = wire.decode(reply, lambda value: talonic_wire.watched(value, self._endpoint))
        if found.id.id != batch:
            why = f"it names {one_line(found.id.id, 100)}"
            raise UnexpectedReplyError("the reply is about something else", where=reply.where, why=why)
        return found

    async def _page(self, cursor: str | None) -> WatchedPage:
        asked = (("limit", PAGE_SIZE), ("order", "desc"), *((("cursor", cursor),) if cursor else ()))
        reply = _granted(await self._answer("GET", BATCHES, asked))
        return wire.decode(reply, lambda value: talonic_wire.page(value, self._endpoint))

    async def _detail(self, batch: str) -> Reply:
        return _granted(await self._answer("GET", _path(batch)))

    async def _answer(
        self, method: Literal["GET", "POST"], path: str, query: tuple[tuple[str, str], ...] = ()
    ) -> Reply:
        request = Request(method, path, query)
        return await retry.read(
            lambda: self._transport.exchange(request),
            patience=self._patience,
            random=self._random,
            says=_says,
        )


def _says(reply: Reply) -> bool | None:
    """Whether the service itself calls a refusal worth another try."""
    try:
        return talonic_wire.retryable(wire.body(reply.body))
    except wire.MisfitError:
        return None


def _granted(reply: Reply) -> Reply:
    if not reply.ok:
        raise refusal(reply)
    return reply


def _path(batch: str, *further: str) -> str:
    # "." and ".." would name another resource once the path is normalised, and "" the collection.
    if batch in {"", ".", ".."}:
        raise NotFoundError(f"{batch!r} is no id", where=BATCHES)
    return "/".join((BATCHES, quote(batch, safe=""), *further))
