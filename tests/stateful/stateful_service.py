"""The service of the engine's tests with a weather that lasts for one apply, and a memory of who made what.

Batches are ours unless `put_by_others` made them: whoever's process died, its creates stay ours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine_world import SETTLE, Fault, Lost, Service

from reconciler.model.batch import Status
from reconciler.model.errors import AuthenticationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine_time import Time

    from reconciler.model.batch import Batch, Key
    from reconciler.model.ports import Listing, Page


@dataclass(frozen=True)
class Weather:
    """What goes wrong until the next apply is over.

    Attributes:
        fates: of its creates, in order; what comes after them goes well. Effect and listing take no longer
            than the settle time together.
        latency: seconds that each request takes.
        failing: which reads and cancels fail, counted from 0 (O5, O6 has given up by then).
        deaf_from: from which of them on all fail.
        locked_from: from which of them on the key is not accepted (401).
        cancels_lost: a cancel takes effect and its reply gets lost.
        page_size: batches on a page.
        order: of listings: "as made", "newest first", or "turning": another one for each page.
    """

    fates: tuple[Fault, ...] = ()
    latency: float = 0.0
    failing: frozenset[int] = frozenset()
    deaf_from: int | None = None
    locked_from: int | None = None
    cancels_lost: bool = False
    page_size: int = 100
    order: str = "as made"


CALM = Weather()


class TrueService(Service):
    """The service, whose truth the machine may look at."""

    def __init__(self, time: Time, directories: Iterable[str], skew: int) -> None:
        super().__init__(time, directories)
        self.ahead = timedelta(seconds=skew)
        self.others: set[str] = set()
        self.looked: dict[str, frozenset[str]] = {}
        self.posted: list[Key] = []
        self.weather = CALM
        self.on_cancel: Callable[[Batch], None] = lambda _: None
        self.on_list = self._on_list
        self.fault = self._fate
        self._fates: deque[Fault] = deque()
        self._reads = 0

    def begin(self, weather: Weather) -> None:
        """Have this weather from now on."""
        self.weather = weather
        self._fates = deque(weather.fates)
        self._reads = 0
        self.latency, self.page_size = weather.latency, weather.page_size
        self.order = self._ordered

    def put(
        self,
        directory: str,
        configuration: str = "cfg-1",
        status: Status = Status.RUNNING,
        late: float = 0,
    ) -> str:
        super().put(directory, configuration, status, late)
        row = self.rows[-1]
        name = f"bat-{len(self.rows):04}"  # so that ids sort as they were made
        assert row.batch.created_at is not None
        created = row.batch.created_at + self.ahead
        row.batch = row.batch._replace(id=name, created_at=created, updated_at=created)
        return name

    def put_by_others(self, directory: str, configuration: str) -> str:
        name = self.put(directory, configuration)
        self.others.add(name)
        return name

    def of(self, key: Key) -> list[Batch]:
        """Every batch of a key, those of ours included that are still to take effect."""
        return [
            row.batch
            for row in self.rows
            if row.batch.key == key and (row.batch.id not in self.others or row.exists <= self.time.seconds)
        ]

    def could_be_seen(self, key: Key) -> list[Batch]:
        """As `of`, without others' batches that the last look over the directory came too early for."""
        looked = self.looked.get(key.directory, frozenset())
        return [batch for batch in self.of(key) if batch.id not in self.others or batch.id in looked]

    def is_unlisted(self) -> bool:
        """Whether something is still to take effect or to be listed."""
        return any(row.listed > self.time.seconds for row in self.rows)

    async def cancel(self, batch: str) -> Batch:
        answer = await super().cancel(batch)
        self.on_cancel(answer)
        if self.weather.cancels_lost:
            raise UnavailableError("the reply of the cancel was lost", status=503)
        return answer

    async def _request(self, what: str) -> None:
        await super()._request(what)
        if what.startswith("create"):
            return
        number, weather = self._reads, self.weather
        self._reads += 1
        if weather.locked_from is not None and number >= weather.locked_from:
            raise AuthenticationError("401", status=401)
        if number in weather.failing or (weather.deaf_from is not None and number >= weather.deaf_from):
            raise UnavailableError("503", status=503)

    def _fate(self, _: Key) -> Fault:
        fate = self._fates.popleft() if self._fates else None
        if isinstance(fate, Lost) and fate.effect is not None:
            return Lost(min(fate.effect, SETTLE - self.lag))
        return fate

    def _ordered(self, batches: list[Batch]) -> list[Batch]:
        match self.weather.order:
            case "newest first":
                return sorted(batches, key=lambda batch: (batch.created_at, batch.id), reverse=True)
            case "turning" if batches:
                turn = self._reads % len(batches)
                return batches[turn:] + batches[:turn]
            case _:
                return batches

    def _on_list(self, listing: Listing, token: str | None, page: Page) -> Page:
        if token is None and listing.directory is not None:
            self.looked[listing.directory] = frozenset(
                row.batch.id for row in self.rows if row.listed <= self.time.seconds
            )
        return page
