"""A whole listing of watched batches, page after page, or an error: nothing in between (R7).

What a service calls its tokens and how a page is read is its own file's business. Kept here, for all of
them, is O5: a token that repeats, pages without end and pages with nothing new are errors and never an end;
an id that comes twice in a listing that is not sorted by creation may hide another that was never shown, so
such a listing is read once more, and then given up. One that says it has more than it showed is read once
more as well, and then taken: what services count is not documented, and what was missed shows next time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.errors import UnexpectedReplyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from reconciler.model.watched import Watched

#: Pages of one listing: a million batches.
MOST_PAGES = 10_000

#: Pages in a row with nothing new.
MOST_BARREN = 1_000


class WatchedPage(NamedTuple):
    """One page; ``next`` is None on the last one, ``total`` where the service does not say it."""

    batches: Sequence[Watched]
    next: str | None
    total: int | None = None


async def whole(
    page: Callable[[str | None], Awaitable[WatchedPage]], where: str, *, until: datetime | None = None
) -> list[Watched]:
    """Everything that a listing has, each batch once, as it was shown last.

    Args:
        page: reads the page of a token.
        where: the listing, for errors.
        until: older batches are not wanted. Reading ends at a page of nothing but older ones, if all that
            was read until then came newest first: whoever asked for that order got it.

    Raises:
        ServiceError: a page cannot be had, or the listing does not end.
    """
    listing = await _read(page, where, until)
    if listing.doubtful or listing.short:
        listing = await _read(page, where, until)
    if listing.doubtful:
        raise UnexpectedReplyError(f"the listing shows {listing.twice} twice, in no order", where=where)
    return list(listing.batches.values())


async def _read(
    page: Callable[[str | None], Awaitable[WatchedPage]], where: str, until: datetime | None
) -> _Listing:
    listing = _Listing(where)
    token: str | None = None
    while True:
        found = await page(token)
        token = listing.take(found)
        if token is None:
            listing.short = found.total is not None and len(listing.batches) < found.total
            return listing
        if until is not None and listing.past(until, found.batches):
            return listing


class _Listing:
    """What was read so far, and whether reading on gets anywhere."""

    def __init__(self, where: str) -> None:
        self.batches: dict[str, Watched] = {}
        self.twice = ""
        #: Whether the service says that there are more.
        self.short = False
        self._where = where
        self._tokens: set[str] = set()
        self._barren = 0
        self._rising = self._falling = True
        self._last: datetime | None = None

    def take(self, page: WatchedPage) -> str | None:
        before = len(self.batches)
        for watched in page.batches:
            self._order(watched)
            if watched.id.id in self.batches:
                self.twice = watched.id.id
            self.batches[watched.id.id] = watched
        if page.next is None:
            return None
        self._barren = 0 if len(self.batches) > before else self._barren + 1
        if page.next in self._tokens:
            raise UnexpectedReplyError("the listing repeats a page token", where=self._where)
        if self._barren == MOST_BARREN:
            raise UnexpectedReplyError(
                f"the listing has {MOST_BARREN:,} pages in a row with nothing new", where=self._where
            )
        self._tokens.add(page.next)
        if len(self._tokens) == MOST_PAGES:
            raise UnexpectedReplyError(
                f"the listing did not end after {MOST_PAGES:,} pages", where=self._where
            )
        return page.next

    def _order(self, watched: Watched) -> None:
        if watched.created_at is None:
            self._rising = self._falling = False
            return
        if self._last is not None:
            self._rising &= self._last <= watched.created_at
            self._falling &= self._last >= watched.created_at
        self._last = watched.created_at

    @property
    def doubtful(self) -> bool:
        return bool(self.twice) and not (self._rising or self._falling)

    def past(self, until: datetime, page: Sequence[Watched]) -> bool:
        """Whether a page is all older than ``until``, and so is what follows it."""
        times = [watched.created_at for watched in page]
        return bool(times) and self._falling and all(time is not None and time < until for time in times)
