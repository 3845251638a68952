"""LlamaCloud's calls for batches, directories and configurations, as the ports `Provider` and `Creator`.

The same code speaks to the cloud and, through a client over an ASGI transport, to the embedded service.
How a request travels is ``transport``'s business, what a reply holds ``wire``'s. Kept here:

- **C4**: a create is one POST, whatever happens to it, and its outcome is one of six values.
- **O5**: a page token that repeats, or a listing that does not end, is an error and never an end.
- **O6**: reads go through ``retry``; creates and cancels do not.

Listings of batches are given page by page, because only the engine knows what an incomplete one means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from reconciler.adapters.providers import retry, rows, wire
from reconciler.adapters.providers.refusals import detail, refusal
from reconciler.adapters.providers.transport import DEADLINE, Reply, Request, Transport, WithheldError
from reconciler.adapters.providers.wording import one_line
from reconciler.model.batch import JobType
from reconciler.model.errors import (
    AuthenticationError,
    ForbiddenError,
    NotFoundError,
    NotSentError,
    PaymentError,
    RateLimitedError,
    ReconcilerError,
    ServiceError,
    UnexpectedReplyError,
)
from reconciler.model.intent import Created, NotSent, Rejected, Throttled, Unanswered, Withheld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    import httpx

    from reconciler.adapters.providers.connection import Line
    from reconciler.model.batch import Batch, Configuration, Directory, DirectoryFile, FileResult, Key
    from reconciler.model.intent import SendOutcome
    from reconciler.model.kind import Turns
    from reconciler.model.ports import Clock, Listing, Page
    from reconciler.model.watched import JobOutcome

T = TypeVar("T")

BATCHES = "/api/v2/batches"
DIRECTORIES = "/api/v1/beta/directories"
_JOBS = {JobType.PARSE_V2: "/api/v2/parse", JobType.EXTRACT_V2: "/api/v2/extract"}
CONFIGURATIONS = "/api/v1/beta/configurations"

#: The most that is known to be allowed: larger page sizes are not documented for batches.
PAGE_SIZE = "100"

#: Pages of one listing of directories, files or configurations: a million items.
MOST_PAGES = 10_000

#: Pages in a row without an item: a service whose filters work on pages may have some, but not so many.
MOST_EMPTY = 1_000


class LlamaCloud:
    """One project of one service that speaks LlamaCloud's API.

    Args:
        client: has the base URL and the credentials; its owner closes it.
        endpoint: how keys name this service.
        project: the project's id, or None for the key's own.
        organization: the organisation's id, or None.
        settle: settle time in seconds.
        clock: moves the service's time on.
        limiter: gives turns to requests, together with all others who use the same key.
        random: uniform in [0, 1), for the jitter between tries.
        worker: for the embedded service: within this context its batches go on; gives a check on that.
        deadline: seconds for one request as a whole.
        secrets: what webhooks carry; it is not shown if the service repeats it.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | Line,
        *,
        endpoint: str,
        project: str | None,
        organization: str | None,
        settle: float,
        clock: Clock,
        random: Callable[[], float],
        limiter: Turns,
        worker: Callable[[], AbstractAsyncContextManager[Callable[[], None]]] | None = None,
        deadline: float = DEADLINE,
        secrets: Iterable[str] = (),
    ) -> None:
        self._transport = Transport(
            client,
            endpoint=endpoint,
            clock=clock,
            limiter=limiter,
            deadline=deadline,
            secrets=secrets,
        )
        self._endpoint = endpoint
        self._project = project
        self._organization = organization
        self._settle = settle
        self._patience = limiter.patience
        self._random = random
        self._worker = worker

    @property
    def endpoint(self) -> str:
        """Which service this is, as keys name it."""
        return self._endpoint

    @property
    def settle(self) -> float:
        """Settle time in seconds."""
        return self._settle

    @property
    def clock(self) -> datetime | None:
        """The service's own time as its last reply gave it, moved on to now; None before a reply."""
        return self._transport.service_time

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        """One page of the live batches; ``token`` is the ``next`` of the page before.

        Raises:
            ServiceError: the page cannot be had, so nothing is known (R7).
        """
        query = (
            ("source_directory_id", listing.directory),
            ("status", listing.status),
            ("created_at_on_or_after", _rfc3339(listing.created_on_or_after)),
            ("created_at_on_or_before", _rfc3339(listing.created_on_or_before)),
            ("page_size", PAGE_SIZE),
            ("page_token", token),
        )
        reply = await self._read(BATCHES, *query)
        found = wire.decode(reply, partial(rows.page, endpoint=self._endpoint, listing=listing))
        return found._replace(asked=reply.asked)

    async def get(self, batch: str) -> Batch:
        """One batch by its id.

        Raises:
            NotFoundError: the service does not know it.
            ServiceError: it cannot be had.
        """
        reply = await self._read(_path(BATCHES, batch))
        found = wire.decode(reply, self._batch)
        _same(batch, found.id, reply)
        return found

    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        """What the batch did per file, or None while the service does not say.

        The order is the service's, and files may lack: it is not documented to be the directory's.

        Raises:
            NotFoundError: the service does not know the batch.
            ServiceError: the results cannot be had.
        """
        return wire.decode(await self._read(_path(BATCHES, batch), ("expand", "results")), wire.results)

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        """What became of the job of one file; a status that nobody knows is no failure.

        Raises:
            NotFoundError: the service does not know the job.
            ServiceError: it cannot be had.
        """
        return wire.decode(await self._read(_path(_JOBS[job], name)), wire.job)

    async def cancel(self, batch: str) -> Batch:
        """Ask once for a batch to be cancelled; the reply need not be CANCELLED yet.

        With which status a terminal batch refuses is not documented, and a reply can be lost: then the
        batch is looked at, and a terminal one is the answer.

        Raises:
            NotFoundError: the service does not know it.
            ServiceError: it was refused or lost, and the batch is not terminal.
        """
        request = Request("POST", _path(BATCHES, batch, "cancel"), self._query())
        try:
            reply = await self._transport.exchange(request)
            if not reply.ok:
                raise refusal(reply)
        except (NotSentError, AuthenticationError, PaymentError, ForbiddenError, RateLimitedError):
            raise
        except ServiceError:
            found = await self.get(batch)
            if not found.status.terminal:
                raise
            return found
        try:
            return wire.decode(reply, self._batch)
        except UnexpectedReplyError:
            # It was accepted, whatever the body is: what the batch looks like now is the answer.
            return await self.get(batch)

    async def directory(self, directory: str) -> Directory:
        """One directory by its id.

        Raises:
            NotFoundError: the service does not know it.
            ServiceError: it cannot be had.
        """
        reply = await self._read(_path(DIRECTORIES, directory))
        found = wire.decode(reply, wire.directory)
        _same(directory, found.id, reply)
        return found

    async def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        """The files of a directory that are not deleted, page after page as they are taken.

        Raises:
            NotFoundError: the service does not know the directory.
            ServiceError: a page cannot be had, or the listing does not end.
        """
        async for file in self._pages(_path(DIRECTORIES, directory, "files"), wire.directory_file):
            yield file

    async def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        """The project's directories that are not deleted; with ``name``, those called exactly so.

        Names are not documented as unique.

        Raises:
            ServiceError: a page cannot be had, or the listing does not end.
        """
        async for found in self._pages(DIRECTORIES, wire.directory, ("name", name)):
            if found.deleted_at is None and name in {None, found.name}:
                yield found

    async def configuration(self, configuration: str) -> Configuration | None:
        """One saved configuration by its id, or None when none is saved under it.

        Built-in presets have ids that are saved nowhere. Whether the service calls them unknown (404) or
        malformed (400, 422) is not documented, and neither speaks against using them.

        Raises:
            ServiceError: it cannot be had.
        """
        reply = await self._answer(_path(CONFIGURATIONS, configuration))
        if reply.status in {400, 404, 422}:
            return None
        return wire.decode(_granted(reply), wire.configuration)

    async def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        """The project's saved configurations, with exactly this name and product type where given.

        Every version that the service lists is given, in its order.

        Raises:
            ServiceError: a page cannot be had, or the listing does not end.
        """
        filters = (("name", name), ("product_type", product))
        async for found in self._pages(CONFIGURATIONS, wire.configuration, *filters):
            if name in {None, found.name} and product in {None, found.product}:
                yield found

    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str] = lambda: ""
    ) -> SendOutcome:
        """Send one create, once, and say what became of it (C4).

        Args:
            key: what to create; its project is named in the request, so that a key (the credential)
                that has moved to another project creates nothing there.
            webhooks: saved ids as text, inline configurations as mappings in the API's own words.
            objection: asked when the request's turn has come; what it gives, unless "", is why not to send.

        Returns:
            `Withheld`: there was an objection.
            `NotSent`: name look-up, connect, TLS, proxy or pool failed (see ``transport``).
            `Rejected`: 400, 401, 402, 403, 404 or 422.
            `Throttled`: 429.
            `Created`: a 2xx whose body is a batch, even one of another directory or configuration.
            `Unanswered`: everything else.

        Raises:
            TypeError: a webhook is neither, or holds what JSON cannot; nothing was sent.
        """
        request = Request("POST", BATCHES, self._query(project=key.project), _create_body(key, webhooks))
        try:
            reply = await self._transport.exchange(request, objection)
        except WithheldError as error:
            return Withheld(str(error))
        except NotSentError as error:
            return NotSent(str(error))
        except RateLimitedError as error:  # before it was sent: a 429 is a reply, and no error yet
            return Throttled(error.retry_after, str(error))
        except ServiceError as error:
            return Unanswered(str(error))
        except ReconcilerError:
            raise  # the objection's own: the lock is lost, and nothing was sent
        except Exception as error:  # noqa: BLE001 - once bytes may have gone, nothing may hide that (C4)
            return Unanswered(f"{BATCHES}: {type(error).__name__}")
        return self._outcome(reply)

    def _outcome(self, reply: Reply) -> SendOutcome:
        match reply.status:
            case status if reply.ok:
                try:
                    return Created(wire.decode(reply, self._batch), reply.request_id)
                except UnexpectedReplyError as error:
                    return Unanswered(f"{status}, but {error}")
            case 401 | 402 | 403 as status:
                return Rejected(status, detail(reply), final=True, request_id=reply.request_id)
            case 400 | 404 | 422 as status:
                return Rejected(status, detail(reply), final=False, request_id=reply.request_id)
            case 429:
                return Throttled(reply.retry_after, detail(reply))
            case _:
                named = f" (request {reply.request_id})" if reply.request_id else ""
                return Unanswered(f"{refusal(reply)}{named}")

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Callable[[], None] | None]:
        """Within this context the embedded service's batches go on; gives its worker's check."""
        if self._worker is None:
            yield None
            return
        async with self._worker() as check:
            yield check

    def _batch(self, value: object) -> Batch:
        return wire.batch(value, self._endpoint)

    def _query(self, *wanted: tuple[str, str | None], project: str = "") -> tuple[tuple[str, str], ...]:
        scope = (("project_id", project or self._project), ("organization_id", self._organization))
        return tuple((name, value) for name, value in (*wanted, *scope) if value)

    async def _answer(self, path: str, *query: tuple[str, str | None]) -> Reply:
        request = Request("GET", path, self._query(*query))
        return await retry.read(
            lambda: self._transport.exchange(request), patience=self._patience, random=self._random
        )

    async def _read(self, path: str, *query: tuple[str, str | None]) -> Reply:
        return _granted(await self._answer(path, *query))

    async def _pages(
        self, path: str, item: Callable[[object], T | None], *query: tuple[str, str | None]
    ) -> AsyncIterator[T]:
        """Items to the last token: an empty page that has one goes on (O5)."""
        token: str | None = None
        seen: set[str] = set()
        empty = 0
        for _ in range(MOST_PAGES):
            reply = await self._read(path, *query, ("page_size", PAGE_SIZE), ("page_token", token))
            items, token = wire.decode(reply, partial(wire.page, item=item))
            empty = 0 if items else empty + 1
            for found in items:
                yield found
            if token is None:
                return
            if token in seen:
                raise UnexpectedReplyError("the listing repeats a page token", where=reply.where)
            if empty == MOST_EMPTY:
                raise UnexpectedReplyError(
                    f"the listing has {MOST_EMPTY:,} pages in a row with nothing new", where=reply.where
                )
            seen.add(token)
        raise UnexpectedReplyError(f"the listing did not end after {MOST_PAGES} pages", where=reply.where)


def _same(asked: str, answered: str, reply: Reply) -> None:
    """A reply about something else is no reply: a proxy may have mixed up two of them."""
    if asked != answered:
        raise UnexpectedReplyError(
            "the reply is about something else", where=reply.where, why=f"it names {one_line(answered, 100)}"
        )


def _granted(reply: Reply) -> Reply:
    if not reply.ok:
        raise refusal(reply)
    return reply


def _path(collection: str, identifier: str, *further: str) -> str:
    # "." and ".." would name another resource once the path is normalised, and "" the collection.
    if identifier in {"", ".", ".."}:
        raise NotFoundError(f"{identifier!r} is no id", where=collection)
    return "/".join((collection, quote(identifier, safe=""), *further))


def _rfc3339(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _create_body(key: Key, webhooks: Sequence[object]) -> bytes:
    body: dict[str, object] = {
        "source_directory_id": key.directory,
        "config": {"job": {"type": key.job.value, "configuration_id": key.configuration}},
    }
    saved = [webhook for webhook in webhooks if isinstance(webhook, str)]
    inline = [webhook for webhook in webhooks if not isinstance(webhook, str)]
    if saved:
        body["webhook_configuration_ids"] = saved
    if inline:
        body["webhook_configurations"] = inline
    return json.dumps(body, default=_plain).encode()


def _plain(value: object) -> object:
    """A frozen mapping as the dictionary that JSON knows.

    Raises:
        TypeError: it is anything else.
    """
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a webhook cannot hold a {type(value).__name__}")
