"""Reading listings so that what they lack may be believed, or saying that it may not (O5).

A pass is one reading of all pages; a look is a pass over one directory that was held against what is
recorded of it. Either is complete, or `Unknown`. Errors that every further request would meet as well (a
wrong key) are raised instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.model.errors import (
    AuthenticationError,
    ForbiddenError,
    NotFoundError,
    PaymentError,
    ServiceError,
)
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Gone, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from reconciler.model.batch import Batch, Key
    from reconciler.model.ports import Clock, Provider

#: Errors that say that this key gets no answers at all.
FATAL = (AuthenticationError, PaymentError, ForbiddenError)

_MOST_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class Pass:
    """All batches of a listing.

    Attributes:
        batches: by id.
        begun: by the monotonic clock, when the first page was asked for.
    """

    batches: Mapping[str, Batch]
    begun: float


class TooLong(Unknown):
    """The listing has more pages than were allowed, so it was given up."""


async def read_pass(
    provider: Provider,
    listing: Listing,
    clock: Clock,
    *,
    most_pages: int = _MOST_PAGES,
    on_page: Callable[[], None] | None = None,
) -> Pass | Unknown:
    """Read a listing to its last token; a second time when the first reading cannot have been whole."""
    for _ in range(2):
        result = await _read_once(provider, listing, clock, most_pages, on_page)
        if not isinstance(result, _Shuffled):
            return result
    return Unknown("the listing changed while it was read, twice")


class _Shuffled(Unknown):
    """An id came twice, so that another may have been missed.

    In a scan that is sorted by creation, new batches at its head do that all the time, and every create looks
    once more. Looks by directory are what absence is believed by (C2, C5), they are short, and a few batches
    can come sorted by chance: there an id that comes twice is never believed.
    """


async def _read_once(
    provider: Provider,
    listing: Listing,
    clock: Clock,
    most_pages: int,
    on_page: Callable[[], None] | None,
) -> Pass | Unknown:
    begun = clock.monotonic()
    batches: dict[str, Batch] = {}
    order = _Order()
    tokens: set[str] = set()
    token: str | None = None
    twice = ""
    for _ in range(most_pages):
        try:
            page = await provider.list_page(listing, token)
        except FATAL:
            raise
        except ServiceError as error:
            return Unknown(f"the listing is incomplete: {error}")
        if on_page is not None:
            on_page()
        for batch in page.batches:
            order.add(batch)
            if batch.id in batches:
                twice = batch.id
            batches[batch.id] = batch
        if page.next is None:
            if twice and (listing.directory is not None or not order.sorted):
                return _Shuffled(f"{twice} was listed twice")
            return Pass(batches, begun)
        if page.next in tokens:
            return Unknown("the listing is incomplete: a page token came twice")
        tokens.add(page.next)
        token = page.next
    return TooLong(f"the listing has more than {most_pages:,} pages")


class _Order:
    """Whether batches came sorted by creation, one way or the other; without times, they did not."""

    def __init__(self) -> None:
        self._rising = self._falling = True
        self._last: datetime | None = None

    def add(self, batch: Batch) -> None:
        if batch.created_at is None:
            self._rising = self._falling = False
            return
        if self._last is not None:
            self._rising &= self._last <= batch.created_at
            self._falling &= self._last >= batch.created_at
        self._last = batch.created_at

    @property
    def sorted(self) -> bool:
        return self._rising or self._falling


async def look(
    provider: Provider,
    directories: Iterable[str],
    recorded: Iterable[str],
    clock: Clock,
    *,
    beside: Iterable[str] = (),
) -> Pass | Unknown:
    """Everything over some directories, whatever its status or configuration.

    Args:
        provider: the service.
        directories: where to look; more than one when the service once answered with another (C9).
        recorded: the ids that have to be among it, since they are recorded.
        clock: for the time of the look.
        beside: ids of other work there, which show whether the listing is whole; one of them that the
            service no longer knows shows nothing.
    """
    own = set(recorded)
    expected = sorted(own.union(beside))
    missing: list[str] = []
    for _ in range(2):
        found: dict[str, Batch] = {}
        begun = clock.monotonic()
        for directory in directories:
            result = await read_pass(provider, Listing(directory=directory), clock)
            if isinstance(result, Unknown):
                return result
            found |= result.batches
        missing = [name for name in expected if name not in found]
        doubt = await unlisted(provider, missing, own)
        if doubt is None:
            return Pass(found, begun)
        if not isinstance(doubt, Lagging):
            return doubt
    return Unknown(f"the listing lacks {', '.join(missing)}, though the service knows it")


class Lagging(Unknown):
    """A recorded batch is not in a complete listing, though the service knows it: read again."""


async def unlisted(provider: Provider, missing: Iterable[str], own: Collection[str]) -> Unknown | None:
    """What it means that a pass lacks these recorded ids (O5); None when it lacks none."""
    for name in missing:
        try:
            await provider.get(name)
        except NotFoundError:
            if name not in own:
                continue
            return Gone(f"the recorded batch {name} is not known to the service any more (404)")
        except FATAL:
            raise
        except ServiceError as error:
            return Unknown(f"the listing lacks {name}, which is recorded: {error}")
        return Lagging(f"the listing lacks {name}, though the service knows it")
    return None


def renamed(batches: Iterable[Batch], aliases: Mapping[Key, Key]) -> list[Batch]:
    """The batches under the keys that they were asked for, where the service renamed them (C9)."""
    if not aliases:
        return list(batches)
    return [replace(batch, key=aliases.get(batch.key, batch.key)) for batch in batches]
