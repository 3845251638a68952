"""The service, as the port `Creator` sees it, and what it may do with each request (C4, C9).

Every request may be answered, may fail, or may meet what people do meanwhile. Reading takes no time, a
create takes a second. What the service knows is in `World.rows`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING

from model_promise import LATE_EFFECT, LATE_LISTED, LOCK_GONE
from model_values import ENDPOINT, PROJECT, SETTLE, START, Row, batch

from reconciler.model.batch import Directory, DirectoryFile
from reconciler.model.errors import NotFoundError, UnavailableError
from reconciler.model.intent import Created, NotSent, Rejected, Throttled, Unanswered, Withheld
from reconciler.model.ports import Page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

    from model_life import Process

    from reconciler.model.batch import Batch, Configuration, FileResult, JobType, Key
    from reconciler.model.intent import SendOutcome
    from reconciler.model.ports import Listing
    from reconciler.model.watched import JobOutcome

#: Seconds: how old a look may be at the send (C3), and a look that is older when it is over.
OLDEST, SLOW = 10.0, 11.0
#: Late, and too late: just outside of a settle time, and outside of every run that waits for it.
LATER, MUCH_LATER = 1.5 * SETTLE, 12 * SETTLE


class Fate(Enum):
    """What becomes of one request; the good end is None."""

    FAILS = auto()
    SLOW = auto()
    LOST = auto()
    LOST_LATE = auto()
    LOST_TOO_LATE = auto()
    LOST_MUCH_TOO_LATE = auto()
    NO_EFFECT = auto()
    THROTTLED = auto()
    REFUSED = auto()
    NOT_SENT = auto()
    STANDS_STILL = auto()
    LAGS = auto()
    LAGS_TOO_LONG = auto()
    RENAMED = auto()
    SWAPPED = auto()


_READ = ((Fate.FAILS, "it fails, as all its tries do", ""),)
_LIST = (*_READ, (Fate.SLOW, f"it takes {SLOW:.0f} s", ""))
_SEND = (
    (Fate.LOST, "its reply is lost; it takes effect at once", ""),
    (Fate.LOST_LATE, f"its reply is lost; it takes effect {SETTLE:.0f} s after it was sent", ""),
    (Fate.NO_EFFECT, "a 5xx, or lost on its way: no reply and no effect", ""),
    (Fate.THROTTLED, "429", ""),
    (Fate.REFUSED, "422", ""),
    (Fate.NOT_SENT, "no connection: certainly not sent", ""),
    (Fate.STANDS_STILL, f"the process stands still for {2 * SETTLE:.0f} s before the first byte", ""),
    (Fate.LOST_TOO_LATE, f"its reply is lost; it takes effect {LATER:.0f} s after it was sent", LATE_EFFECT),
    (
        Fate.LOST_MUCH_TOO_LATE,
        f"its reply is lost; it takes effect {MUCH_LATER:.0f} s after it was sent",
        LATE_EFFECT,
    ),
)
_SHOWN = (
    (Fate.RENAMED, "the service gives it another configuration", ""),
    (Fate.LAGS, f"it is listed only {SETTLE:.0f} s after it was sent", ""),
    (Fate.LAGS_TOO_LONG, f"it is listed only {MUCH_LATER:.0f} s after it was sent", LATE_LISTED),
)
_SWAPPED = (Fate.SWAPPED, "the service gives it the configuration of the other manifest", "")

#: Seconds from the first byte to the effect, or until it is listed.
_LATE: dict[object, float] = {
    Fate.LOST_LATE: SETTLE,
    Fate.LOST_TOO_LATE: LATER,
    Fate.LOST_MUCH_TOO_LATE: MUCH_LATER,
    Fate.LAGS: SETTLE,
    Fate.LAGS_TOO_LONG: MUCH_LATER,
}


class Client:
    """The service as one process reaches it."""

    endpoint = ENDPOINT
    settle = SETTLE

    def __init__(self, process: Process) -> None:
        self.process = process
        self.world = process.world
        self.looked: dict[str, int] = {}
        self.asked: dict[str, float] = {}

    @property
    def clock(self) -> datetime | None:
        return self.world.time.now()

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        where = listing.directory or "everything"
        fate = self.process.request(f"the look at {where}", _LIST, listing.directory)
        if listing.directory:
            self.asked[listing.directory] = self.world.now
        await asyncio.sleep(SLOW if fate is Fate.SLOW else 0)
        self._answer(fate)
        there = [row.batch for row in self.world.rows if row.listed <= self.world.now]
        there = [item for item in there if _fits(item, listing)]
        if listing.directory:
            self.looked[listing.directory] = len(self.world.rows)
        self.process.tell(f"looks at {where}: {', '.join(item.id for item in there) or 'nothing'}")
        return Page(there[::-1], None)

    async def get(self, batch: str) -> Batch:
        row = next((row for row in self.world.rows if row.batch.id == batch), None)
        fate = self.process.request(f"asks for {batch}", _READ, row.sent.directory if row else None)
        await asyncio.sleep(0)
        self._answer(fate)
        for row in self.world.rows:
            if row.batch.id == batch and row.exists <= self.world.now:
                return row.batch
        raise NotFoundError(f"there is no batch {batch}", status=404)

    async def directory(self, directory: str) -> Directory:
        await self._read(f"looks up {directory}")
        return Directory(directory, directory, PROJECT)

    async def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        await self._read(f"looks up the files of {directory}")
        yield DirectoryFile("fil-1", "a.pdf")

    async def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        none: tuple[Directory, ...] = ()
        for directory in none:
            yield directory

    async def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        none: tuple[Configuration, ...] = ()
        for saved in none:
            yield saved

    async def configuration(self, configuration: str) -> Configuration | None:
        await self._read(f"looks up {configuration}")
        return None

    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        self.process.request("before the create", (), key.directory)
        if why := objection():
            return Withheld(why)
        self._may_send(key)
        fate = self.process.request("the create", _SEND, key.directory)
        if fate is Fate.STANDS_STILL:
            self.process.request("while it stands still", (), key.directory)
            await asyncio.sleep(2 * SETTLE)
        self._first_byte()
        sent = self.world.now  # the settle time is promised from here
        self.process.tell(f"sends the create over {key.directory}")
        await asyncio.sleep(1)
        self.process.alive()
        match fate:
            case Fate.NO_EFFECT:
                return Unanswered("no reply")
            case Fate.THROTTLED:
                return Throttled(None, "429")
            case Fate.REFUSED:
                return Rejected(422, "422", final=False)
            case Fate.NOT_SENT:
                return NotSent("no connection")
        row = self._made(key, sent, fate)
        if fate in (None, Fate.STANDS_STILL):
            self.process.tell(f"hears that it is {row.batch.id}")
            return Created(row.batch)
        return Unanswered("the reply was lost")

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Callable[[], None] | None]:
        yield None

    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        raise AssertionError("nobody asks for results here")

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        raise AssertionError("nobody asks for jobs here")

    async def cancel(self, batch: str) -> Batch:
        raise AssertionError("nothing is to be cancelled here")

    async def _read(self, what: str) -> None:
        fate = self.process.request(what, _READ, None)
        await asyncio.sleep(0)
        self._answer(fate)

    def _answer(self, fate: object) -> None:
        self.process.alive()
        if fate is Fate.FAILS:
            raise UnavailableError("503", status=503)

    def _may_send(self, key: Key) -> None:
        """What has to hold when nothing is said against a send (C1, C3)."""
        session = self.process.session
        assert session is not None
        assert session.knows(key), "C3: a create is sent without a durable intent"
        assert session.disk.journal is session.file, "C1: a create is sent though the lock is lost"
        assert self.world.now - self.asked[key.directory] <= OLDEST, "C3: a create is sent on an old look"

    def _first_byte(self) -> None:
        """Between that and the first byte, the lock may have gone."""
        self.process.alive()
        session = self.process.session
        if session is not None and session.disk.journal is not session.file:
            self.world.broken |= {LOCK_GONE}

    def _made(self, key: Key, sent: float, fate: object) -> Row:
        """The create takes effect, now or by itself later."""
        others = [other for other in self.world.keys if other != key and other[:3] == key[:3]]
        shown = self.process.request("the effect", (*_SHOWN, *([_SWAPPED] if others else [])), None)
        named = key
        if shown in (Fate.RENAMED, Fate.SWAPPED):
            other = others[0].configuration if shown is Fate.SWAPPED else "cfg-renamed"
            named = key._replace(configuration=other)
        exists = max(self.world.now, sent + _LATE.get(fate, 0.0))
        listed = max(exists, sent + _LATE.get(shown, 0.0))
        row = Row(
            batch(f"bat-{len(self.world.rows) + 1}", named, exists),
            key,
            ours=True,
            exists=exists,
            listed=listed,
            looked=self.looked.get(key.directory, 0),
        )
        self.world.add(row)
        return row


def _fits(item: Batch, listing: Listing) -> bool:
    made = item.created_at or START
    return (
        (listing.directory in (None, item.key.directory))
        and (listing.status in (None, item.status))
        and (listing.created_on_or_after is None or made >= listing.created_on_or_after)
        and (listing.created_on_or_before is None or made <= listing.created_on_or_before)
    )


def by_hand(row_count: int, key: Key, now: float) -> Row:
    """A batch that a person makes: it is there and listed at once."""
    name = f"bat-{row_count + 1}"
    return Row(batch(name, key, now), key, ours=False, exists=now, listed=now)
