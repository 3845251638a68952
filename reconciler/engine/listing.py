"""Reading listings so that what they lack may be believed, or saying that it may not (O5).

A pass is one reading of all pages; a look is a pass over one directory that was held against what is
recorded of it. Either is complete, or `Unknown`. Errors that every further request would meet as well (a
wrong key) are raised instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from reconciler.core.cuts import Times
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

    from reconciler.model.batch import Batch, Key
    from reconciler.model.ports import Clock, Page, Provider

#: Errors that say that this key gets no answers at all.
FATAL = (AuthenticationError, PaymentError, ForbiddenError)

#: A million batches.
MOST_PAGES = 10_000

#: Pages in a row with nothing new: a service whose filters work on pages may have some, but not so many.
_MOST_BARREN = 1_000


@dataclass(frozen=True, slots=True)
class Pass:
    """All batches of a listing, or those of them that were to be kept.

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
    most_pages: int = MOST_PAGES,
    on_page: Callable[[], None] | None = None,
    keep: Callable[[Batch], bool] | None = None,
) -> Pass | Unknown:
    """Read a listing to its last token; a second time when the first reading cannot have been whole.

    Args:
        provider: the service.
        listing: what to list.
        clock: for the time of the pass.
        most_pages: a listing with more of them is given up.
        on_page: called for each page.
        keep: which batches are wanted; of the others only the ids are held, while the pass is read.
    """
    for _ in range(2):
        reading = Reading(listing, clock.monotonic(), keep)
        while not reading.done:
            if reading.pages == most_pages:
                return TooLong(f"the listing has more than {most_pages:,} pages")
            if why := await reading.turn(provider):
                return Unknown(f"the listing is incomplete: {why}")
            if on_page is not None:
                on_page()
        if not reading.shuffled:
            return reading.as_pass
    return Unknown("the listing changed while it was read, twice")


def everything(_: Batch) -> bool:
    """Keeps whatever comes."""
    return True


class Reading:
    """One reading of a listing, page after page.

    Attributes:
        listing: what is listed.
        batches: by id, those that came and are wanted.
        ids: of all that came.
        pages: how many were read.
        done: whether the last page was.
        twice: whether an id came twice.
        times: of all that came.
    """

    def __init__(self, listing: Listing, begun: float, keep: Callable[[Batch], bool] | None = None) -> None:
        self.listing = listing
        self.batches: dict[str, Batch] = {}
        self.ids: set[str] = set()
        self.pages = 0
        self.done = False
        self.times = Times()
        self._keep = keep
        self._begun = begun
        self._token: str | None = None
        self.twice = False
        self._way = Way()

    async def turn(self, provider: Provider) -> str:
        """Read the next page; gives why the listing is incomplete, or "".

        Raises:
            ServiceError: one that every further request would meet as well.
        """
        try:
            page = await self.next_page(provider)
        except FATAL:
            raise
        except ServiceError as error:
            return str(error)
        return self.take(page)

    async def next_page(self, provider: Provider) -> Page:
        """Ask for the next page."""
        return await provider.list_page(self.listing, self._token)

    def take(self, page: Page) -> str:
        """Take a page in; gives why the listing cannot be read on from there, or ""."""
        if self.pages == 0 and page.asked is not None:
            self._begun = page.asked
        self.pages += 1
        ids, times = page.listed
        before = len(self.ids)
        self.ids.update(ids)
        new = len(self.ids) - before
        self.twice |= new < len(ids)
        self.times.take(times)
        keep = self._keep
        self.batches |= {batch.id: batch for batch in page.batches if keep is None or keep(batch)}
        self._token, self.done = page.next, page.next is None
        return "" if page.next is None else self._way.fault(page.next, new=new > 0)

    @property
    def shuffled(self) -> bool:
        """Whether an id came twice, so that another may have been missed.

        In a scan that is sorted by creation, new batches at its head do that all the time, and every create
        looks once more. Looks by directory are what absence is believed by (C2, C5), they are short, and a
        few batches can come sorted by chance: there an id that comes twice is never believed.
        """
        return self.twice and (self.listing.directory is not None or not self.times.order.sorted)

    @property
    def as_pass(self) -> Pass:
        """What a reading that is done came to."""
        return Pass(self.batches, self._begun)


class Way:
    """Whether a reading gets anywhere (O5)."""

    def __init__(self) -> None:
        # Digests: tokens may be kilobytes long, and a listing thousands of pages.
        self._tokens: set[bytes] = set()
        self._barren = 0

    def fault(self, token: str, *, new: bool) -> str:
        """Why not to go on with a token, after a page with something new on it or not; or ""."""
        self._barren = 0 if new else self._barren + 1
        if self._barren == _MOST_BARREN:
            return f"{self._barren:,} pages in a row had nothing new"
        mark = blake2b(token.encode(), digest_size=16).digest()
        if mark in self._tokens:
            return "a page token came twice"
        self._tokens.add(mark)
        return ""


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
        begun = math.inf
        for directory in directories:
            result = await read_pass(provider, Listing(directory=directory), clock)
            if isinstance(result, Unknown):
                return result
            found |= result.batches
            begun = min(begun, result.begun)
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
    return [batch._replace(key=aliases.get(batch.key, batch.key)) for batch in batches]
