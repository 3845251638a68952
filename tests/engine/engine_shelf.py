"""A service that lists batches in whatever way the contract leaves open, and in some that it does not.

Batches have the time that the service knows, the one that it shows, and the one that its filters compare.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine_pages import narrowed
from engine_time import START, Time

from reconciler.engine.scan import Scanner
from reconciler.model.batch import Batch, JobType, Key, Status
from reconciler.model.errors import InvalidRequestError
from reconciler.model.ports import Listing, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from reconciler.engine.listing import Pass
    from reconciler.model.snapshot import Unknown

#: Seconds that a page takes.
LATENCY = 0.05

_EXACT = timedelta(microseconds=1)

#: All of a project.
ALL = Listing()


def ago(seconds: float) -> datetime:
    """So long before the scan."""
    return START - timedelta(seconds=seconds)


@dataclass(kw_only=True)
class Shelf:
    """Lists batches.

    Attributes:
        order: ``newest`` or ``oldest`` first; ``none``: mixed, and the same each time; ``restless``: mixed
            anew for each page.
        grain: times are shown and compared in whole multiples of it.
        strict: bounds are taken for exclusive ones.
        deaf: filters are ignored.
        nulls_pass: batches without a time are in every window, and not in none.
        tokens: how many pages may be asked for by a token of one listing.
        refuses: windows are an error.
        shift: filters compare another time than the one that is shown, by so much.
        writer: called before each page.
        uneven: some pages take two or three times as long.
    """

    times: Sequence[datetime | None]
    page_size: int = 100
    order: str = "newest"
    grain: timedelta = _EXACT
    strict: bool = False
    deaf: bool = False
    nulls_pass: bool = False
    tokens: int = 10_000
    refuses: bool = False
    shift: timedelta = timedelta()
    writer: Callable[[Shelf], None] = lambda _: None
    uneven: bool = False
    endpoint = "https://service.test"

    def __post_init__(self) -> None:
        self.time = Time()
        self.requests = self.windows = self.inside = self.most_inside = 0
        self.batches: list[Batch] = []
        self._lists: dict[tuple[Listing, int], list[Batch]] = {}
        for at in self.times:
            self.put(at)

    def put(self, at: datetime | None) -> str:
        """One more batch."""
        name = f"bat-{len(self.batches):05}"
        key = Key(self.endpoint, "prj-1", f"dir-{name}", JobType.PARSE_V2, "cfg-1")
        self.batches.append(Batch(name, key, Status.COMPLETED, at))
        return name

    @property
    def clock(self) -> datetime:
        return self.time.now()

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        self.requests += 1
        windowed = listing._replace(about=None) != ALL
        self.windows += windowed
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await asyncio.sleep(LATENCY * (1 + self.requests % 3 if self.uneven else 1))
        finally:
            self.inside -= 1
        if self.refuses and windowed:
            raise InvalidRequestError("422: created_at_on_or_after is no datetime", status=422)
        self.writer(self)
        there = self._listed(listing)
        begin = int(token or 0)
        if begin >= self.tokens * self.page_size:
            raise InvalidRequestError("400: the page token has expired", status=400)
        end = begin + self.page_size
        shown = [
            batch._replace(created_at=self._coarse(batch.created_at)) if batch.created_at else batch
            for batch in there[begin:end]
        ]
        return narrowed(Page(shown, str(end) if end < len(there) else None), listing)

    def scan(
        self,
        *,
        at_once: int = 8,
        most: int = 1000,
        keep: Callable[[Batch], bool] = lambda _: True,
        listing: Listing = ALL,
    ) -> Pass | Unknown:
        """Have it scanned."""
        scanner = Scanner(self, self.time, at_once, most, keep, lambda: None, listing)  # type: ignore[arg-type]

        async def scan() -> Pass | Unknown:
            result = await scanner.scan()
            assert self.inside == 0, "requests are under way still"
            return result

        return self.time.run(scan())  # type: ignore[no-any-return]

    def _listed(self, listing: Listing) -> list[Batch]:
        """What a listing has, kept until there is one more batch."""
        state = listing, len(self.batches)
        if self.order == "restless":
            self._lists.clear()
        if state not in self._lists:
            found = [batch for batch in self.batches if self._has(listing, batch.created_at)]
            self._lists[state] = self._sorted(found)
        return self._lists[state]

    def _sorted(self, batches: Iterable[Batch]) -> list[Batch]:
        if self.order in {"none", "restless"}:
            salt = self.requests if self.order == "restless" else 0
            return sorted(batches, key=lambda batch: random.Random(f"{batch.id} {salt}").random())
        newest = self.order == "newest"
        return sorted(batches, key=lambda batch: batch.created_at or START, reverse=newest)

    def _coarse(self, at: datetime) -> datetime:
        if self.grain == _EXACT:
            return at
        return START + (at - START) // self.grain * self.grain

    def _has(self, listing: Listing, at: datetime | None) -> bool:
        since, until = listing.created_on_or_after, listing.created_on_or_before
        if self.deaf or (since is None and until is None):
            return True
        if at is None:
            return self.nulls_pass
        compared = self._coarse(at + self.shift)
        if self.strict:
            return (since is None or compared > self._coarse(since)) and (
                until is None or compared < self._coarse(until)
            )
        return (since is None or compared >= self._coarse(since)) and (
            until is None or compared <= self._coarse(until)
        )
