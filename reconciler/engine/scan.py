"""A scan of a project: plainly while it is short, then in windows of creation time side by side (O4).

Every window is a listing of its own that is read to its last token, so that nothing depends on the order in
which a service lists. A window that turns out to be long is cut into others, which are read from their
beginning; what it has shown by then is not counted on, but has to come again. Whatever speaks against the
windows (a batch without a time, one outside of its window, one that does not come again, pages that cannot be
had with these filters) has the listing read once more as a whole. Where to cut is `core/cuts`' business.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconciler.core.cuts import Window, ahead, cut
from reconciler.engine.listing import FATAL, Pass, Reading, TooLong, read_pass
from reconciler.model.errors import (
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    UnexpectedReplyError,
)
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.core.cuts import Times
    from reconciler.model.batch import Batch
    from reconciler.model.ports import Clock, Page, Provider

#: All of a project.
_PROJECT = Listing()

#: Pages that are read plainly first: a project with no more pays nothing for windows. One page where a scan
#: stands for the looks at so many directories that some requests in vain do not matter beside the time.
_PLAIN = 3
_MANY = 1_000

#: A scan that may not take so many requests is read plainly: windows would cost too much of them.
_WORTH = 64

#: What may be read in vain before windows are cut no more: a share of the pages that counted, and some for
#: each reader.
_SHARE = 4
_EACH = 3

#: Pages: a window is not cut into smaller ones while all are busy.
_SMALL = 3

#: Errors that may be due to the filters.
_UNCLEAR = (InvalidRequestError, NotFoundError, UnexpectedReplyError)


@dataclass(frozen=True, slots=True)
class Scanner:
    """How a project is scanned.

    Attributes:
        at_once: how many requests may be under way.
        most: how many requests the scan may take in all; one that would take more is `TooLong`.
        keep: which batches are wanted; of the others only the ids are held, while they are read.
        on_page: called for each page.
        listing: what of the project is scanned; not a directory's, which is looked at (C2). What it is about
            has to hold all batches that are wanted.
    """

    provider: Provider
    clock: Clock
    at_once: int
    most: int
    keep: Callable[[Batch], bool]
    on_page: Callable[[], None]
    listing: Listing = _PROJECT

    async def scan(self) -> Pass | Unknown:
        """Everything in the listing.

        Raises:
            ServiceError: the service does not accept the key; every other failure is `Unknown` (R7).
        """
        if self.most < _WORTH or self.at_once == 1:
            return await self._whole(0)
        windows = _Windows(self)
        try:
            return await windows.read()
        except _DoubtError:
            return await self._whole(windows.requests)
        except FATAL:
            raise
        except ServiceError as error:
            return Unknown(f"the listing is incomplete: {error}")

    async def _whole(self, spent: int) -> Pass | Unknown:
        if spent >= self.most:
            return TooLong(f"the listing has more than {self.most:,} pages")
        return await read_pass(
            self.provider,
            self.listing,
            self.clock,
            most_pages=self.most - spent,
            on_page=self.on_page,
            keep=self.keep,
        )


class _DoubtError(Exception):
    """Something speaks against reading in windows."""


@dataclass(eq=False, slots=True)
class _Part:
    """One window, and how far its reading is.

    Attributes:
        first: whether it is the listing as it was asked for, which no window has to be blamed for.
        rest: how many pages it seemed to have ahead after its last one; None where nothing tells.
    """

    window: Window
    reading: Reading
    first: bool
    rest: float | None = None

    @property
    def times(self) -> Times:
        """What its pages showed so far."""
        return self.reading.times

    def weight(self) -> float:
        """How much it matters to read it soon."""
        if self.times.pages == 0:
            return math.inf
        return self.times.pages if self.rest is None else self.rest

    def take(self, page: Page, now: datetime) -> None:
        """Take a page in.

        Raises:
            _DoubtError: it is not what was asked for, or leads nowhere.
            UnexpectedReplyError: the same, where there is no window to blame for it.
        """
        why = self.reading.take(page)
        if self.first:
            if why:
                raise UnexpectedReplyError(why)
        elif not self.times.dated:
            raise _DoubtError("a batch without a time may be in no window")
        elif not all(map(self.window.holds, self.times.ends or ())):
            raise _DoubtError("a batch is outside of its window")
        elif why:
            raise _DoubtError(why)
        self.rest = ahead(self.window, self.times, now)


class _Windows:
    """The windows of one scan, those that were read and those that are to be.

    Attributes:
        requests: how many pages were asked for.
    """

    def __init__(self, scanner: Scanner) -> None:
        self.requests = 0
        self._how = scanner
        self._begun = scanner.clock.monotonic()
        self._todo: list[_Part] = []
        self._busy: dict[asyncio.Task[Page], _Part] = {}
        self._batches: dict[str, Batch] = {}
        self._owed: set[str] = set()
        self._counted = self._in_vain = 0

    async def read(self) -> Pass | Unknown:
        """Read them all.

        Raises:
            _DoubtError: they cannot be relied on.
            ServiceError: a page cannot be had.
        """
        asked = self._how.listing
        whole = Window(asked.created_on_or_after, asked.created_on_or_before)
        self._todo.append(_Part(whole, self._reading(asked), first=True))
        try:
            while self._todo or self._busy:
                while self._todo and len(self._busy) < self._how.at_once:
                    if self.requests == self._how.most:
                        return TooLong(f"the listing takes more than {self._how.most:,} requests")
                    self._ask(self._next())
                done, _ = await asyncio.wait(self._busy, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in self._busy if task in done]:
                    self._take(self._busy.pop(task), task)
        finally:
            for task in self._busy:
                task.cancel()
            await asyncio.gather(*self._busy, return_exceptions=True)
        if self._owed:
            raise _DoubtError("the windows lack what was seen before")
        return Pass(self._batches, self._begun)

    def _part(self, window: Window) -> _Part:
        listing = self._how.listing._replace(
            created_on_or_after=window.since, created_on_or_before=window.until
        )
        return _Part(window, self._reading(listing), first=False)

    def _reading(self, listing: Listing) -> Reading:
        return Reading(listing, self._how.clock.monotonic(), self._how.keep)

    def _next(self) -> _Part:
        """What to read next: first what nothing is known of, then what seems to have most ahead."""
        part = max(self._todo, key=_Part.weight)
        self._todo.remove(part)
        return part

    def _ask(self, part: _Part) -> None:
        self.requests += 1
        self._busy[asyncio.create_task(part.reading.next_page(self._how.provider))] = part

    def _take(self, part: _Part, task: asyncio.Task[Page]) -> None:
        try:
            page = task.result()
        except _UNCLEAR as error:
            if part.first:
                raise
            raise _DoubtError from error
        part.take(page, self._now)
        self._how.on_page()
        if part.first:
            self._begun = part.reading.as_pass.begun
        if part.reading.done:
            self._finish(part)
        elif windows := self._cut(part):
            self._owed |= part.reading.ids
            self._in_vain += part.reading.pages + len(windows) // 4
            self._todo += map(self._part, windows)
        else:
            self._todo.append(part)

    def _finish(self, part: _Part) -> None:
        # What is new shifts no window that ended before it.
        if part.reading.shuffled or (part.reading.twice and part.window.until is not None):
            raise _DoubtError("an id came twice")
        self._counted += part.reading.pages
        self._batches |= part.reading.batches
        self._owed -= part.reading.ids

    def _cut(self, part: _Part) -> tuple[Window, ...]:
        """The windows to read instead of one that is not at its end; none where it is better read on."""
        pages, at_once = part.times.pages, self._how.at_once
        how = partial(cut, part.window, part.times, self._now)
        if part.first:
            plain = 1 if len(self._how.listing.about or ()) >= _MANY else _PLAIN
            if pages != plain or not part.times.dated:
                return ()
            return how(parts=at_once if part.times.order.sorted else 2 * at_once, size=pages)
        if self._in_vain > self._counted // _SHARE + _EACH * at_once:
            return ()
        idle = at_once - len(self._busy) - len(self._todo) - 1
        if (rest := part.rest) is None:
            # Of a window in no order nothing tells how long it is: the longer it was, the longer it may be.
            return how(parts=idle + 1, size=1) if idle > 0 and not pages & (pages - 1) else ()
        open_ones = (part, *self._todo, *self._busy.values())
        fair = max(_SMALL, sum(item.rest or 0 for item in open_ones) / (2 * at_once))
        if pages == 1 and rest > 1.5 * fair:
            return how(parts=2 * at_once, size=fair)
        alike = (pages + rest) / (max(idle, 0) + 1)
        return how(parts=idle + 1, size=alike) if rest > alike + 2 else ()

    @property
    def _now(self) -> datetime:
        return self._how.provider.clock or self._how.clock.now()
