"""Waiting until batches are terminal, gently: few requests, further and further apart.

Nothing is kept here but what was seen last; whoever waits writes it down. The embedded service works only
while somebody is there, so an apply on it stays until its batches have ended (`wait_for`); for a service
that works by itself, only those wait who want to (`until_terminal`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL, Pass, TooLong, read_pass
from reconciler.engine.outcomes import counts_of, file_outcomes
from reconciler.model.batch import Status
from reconciler.model.errors import GivenUpError, NotFoundError, ServiceError
from reconciler.model.events import FileFailed, Pending, Progressed, Warned
from reconciler.model.outcomes import CAME_TO_NOTHING
from reconciler.model.ports import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from reconciler.engine.observe import Eyes
    from reconciler.engine.run import Run
    from reconciler.engine.stop import Stop
    from reconciler.model.batch import Address, Batch, FileCounts, Home, Key
    from reconciler.model.watched import FileOutcome

#: Up to so many batches are asked for one by one; more are read from one listing.
FEW = 16

#: How far a listing reaches back beyond the oldest batch that is waited for: times may be rounded.
_MARGIN = timedelta(seconds=1)


class _Pace(NamedTuple):
    """Seconds between two looks: short at first, since small batches end soon."""

    first: float
    longest: float
    growth: float = 1.5


_EMBEDDED = _Pace(0.05, 2.0)
_REMOTE = _Pace(1.0, 30.0)


def pauses(random: Callable[[], float], *, embedded: bool = False) -> Iterator[float]:
    """Seconds before each next look, longer and longer, with jitter: a quarter more or less."""
    first, longest, growth = _EMBEDDED if embedded else _REMOTE
    seconds = first
    while True:
        yield seconds * (0.75 + random() / 2)
        seconds = min(longest, seconds * growth)


class Awaited(NamedTuple):
    """A recorded batch whose end is waited for, as last seen, under the key that it is recorded by."""

    address: Address
    batch: Batch


@dataclass(frozen=True, slots=True)
class Ended:
    """What waiting came to.

    Attributes:
        batches: every batch that was waited for, as last seen.
        gone: those that the service does not know any more, and why that is thought.
    """

    batches: Mapping[Key, Batch]
    gone: Mapping[Key, str]


async def until_terminal(
    eyes: Eyes,
    stop: Stop,
    awaited: Iterable[Awaited],
    *,
    random: Callable[[], float],
    learn: Callable[[Batch], None],
) -> Ended:
    """Stay until all of these batches are terminal or gone, or until the run is to end.

    Args:
        eyes: the services, of which every batch's is one.
        stop: ends the waiting; a look that is under way is left.
        awaited: what is waited for; what is terminal already counts as done.
        random: uniform in [0, 1), so that those who wait for one service do not ask it all at once.
        learn: told of each batch whose status is another, as soon as that is seen.

    Raises:
        ServiceError: the service does not accept the key, or has not answered for so long that it is not
            tried any more (`GivenUpError`). What was seen until then, ``learn`` was told.
    """
    vigil = _Vigil(eyes, stop, random, learn, {item.batch.key: item for item in awaited})
    vigil.tell()
    homes = sorted({key.home for key in vigil.waiting})
    staying = [asyncio.ensure_future(_stay(vigil, home)) for home in homes]
    try:
        await asyncio.gather(*staying)
    finally:
        for task in staying:
            task.cancel()
        await asyncio.gather(*staying, return_exceptions=True)
    return vigil.ended()


async def read_files(
    eyes: Eyes, stop: Stop, ended: Iterable[Awaited], *, learn: Callable[[Batch, FileCounts], None]
) -> int:
    """Read how the files of COMPLETED batches fared, one batch after the other; others are passed over.

    Gives how many files came to nothing. Each of them is told; what cannot be read is warned of.

    Args:
        eyes: the services.
        stop: ends the reading, at whatever file it is.
        ended: the batches.
        learn: told of each batch of which every file's outcome is known.

    Raises:
        ServiceError: the service does not accept the key, or is not tried any more.
    """
    failed = 0
    for address, batch in ended:
        if batch.status is Status.COMPLETED and not stop.over:
            outcomes = await stop.unless_over(_files_of(eyes, stop, address, batch))
            if outcomes is None:
                continue
            if counts := counts_of(outcomes):
                learn(batch, counts)
            for item in outcomes:
                if item.status in CAME_TO_NOTHING:
                    eyes.listen(FileFailed(address, item.name or item.file, item.error))
                    failed += 1
    return failed


async def _files_of(eyes: Eyes, stop: Stop, address: Address, batch: Batch) -> tuple[FileOutcome, ...] | None:
    try:
        return await file_outcomes(
            eyes.providers[batch.key.home], batch.key, batch, deep=True, at_once=eyes.at_once, patience=stop
        )
    except (*FATAL, GivenUpError):
        raise
    except ServiceError as error:
        eyes.listen(Warned(f"{address}: what became of its files is not known: {error}"))
        return None


async def wait_for(run: Run, keys: Collection[Key]) -> tuple[tuple[Batch, ...], int]:
    """Stay until the run's batches on embedded services are terminal, or until the run is to stop.

    Gives every batch that was waited for, as last seen, and how many of their files came to nothing.
    """
    ended: list[Batch] = []
    failed = 0
    for home, provider in run.eyes.providers.items():
        running = {
            key: Awaited(entry.address, entry.recorded.as_batch(key))
            for key, entry in run.lock.entries.items()
            if key.home == home and key in keys and not entry.recorded.status.terminal
        }
        if running and not run.stop.over:
            async with provider.working() as check:
                if check is not None:
                    vigil = _Vigil(run.eyes, run.stop, run.random, run.learn, running)
                    vigil.tell()
                    await _look_until_terminal(vigil, home, check)
                    there = vigil.ended()
                    batches = [batch for key, batch in there.batches.items() if key not in there.gone]
                    awaited = [Awaited(running[batch.key].address, batch) for batch in batches]
                    failed += await read_files(run.eyes, run.stop, awaited, learn=run.learn_files)
                    ended += batches
    return tuple(ended), failed


@dataclass
class _Vigil:
    """What is waited for, and what was seen of it."""

    eyes: Eyes
    stop: Stop
    random: Callable[[], float]
    learn: Callable[[Batch], None]
    awaited: Mapping[Key, Awaited]
    seen: dict[Key, Batch] = field(default_factory=dict)
    gone: dict[Key, str] = field(default_factory=dict)
    waiting: set[Key] = field(init=False)
    told: dict[Key, str] = field(default_factory=dict)
    long: Counter[Home] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.waiting = {key for key, item in self.awaited.items() if not item.batch.status.terminal}

    def at(self, home: Home) -> list[Key]:
        """What is still waited for there."""
        return sorted(key for key in self.waiting if key.home == home)

    def last(self, key: Key) -> Batch:
        """The batch as last seen."""
        return self.seen.get(key, self.awaited[key].batch)

    def take(self, key: Key, batch: Batch) -> None:
        """A batch was seen."""
        batch, before = batch._replace(key=key), self.last(key)
        self.seen[key] = batch
        self.told.pop(key, None)
        if batch.status is not before.status:
            self.learn(batch)
            self.eyes.listen(Progressed(self.awaited[key].address, batch, before.status))
        if batch.status.terminal:
            self.waiting.discard(key)

    def lose(self, key: Key) -> None:
        """A batch is not there any more; waiting for it would never end."""
        why = f"{self.awaited[key].batch.id} is not known to the service any more"
        self.gone[key] = why
        self.waiting.discard(key)
        self.eyes.listen(Warned(f"{self.awaited[key].address}: {why}"))

    def warn(self, key: Key, why: str) -> None:
        """A look came to nothing; the next may not. The same is said once."""
        if self.told.get(key) != why:
            self.told[key] = why
            self.eyes.listen(Warned(f"{self.awaited[key].address}: {why}"))

    def tell(self) -> None:
        """Say how far it is."""
        self.eyes.listen(Pending(len(self.awaited) - len(self.waiting), len(self.awaited)))

    def ended(self) -> Ended:
        """What it came to."""
        return Ended({key: self.last(key) for key in sorted(self.awaited)}, dict(sorted(self.gone.items())))


async def _stay(vigil: _Vigil, home: Home) -> None:
    async with vigil.eyes.providers[home].working() as check:
        await _look_until_terminal(vigil, home, check)


async def _look_until_terminal(vigil: _Vigil, home: Home, check: Callable[[], None] | None) -> None:
    """One service's share.

    Args:
        vigil: what is waited for.
        home: which service.
        check: raises once an embedded service has stopped working; None for one that works by itself.
    """
    pace = pauses(vigil.random, embedded=check is not None)
    while vigil.at(home) and not vigil.stop.over:
        await vigil.stop.pause(next(pace))
        if check is not None:
            check()
        await vigil.stop.unless_over(_look(vigil, home))
        vigil.tell()


async def _look(vigil: _Vigil, home: Home) -> None:
    """See all that is waited for there, in one listing where that takes fewer requests."""
    provider, keys = vigil.eyes.providers[home], vigil.at(home)
    if len(keys) > FEW and not vigil.long[home]:
        keys = await _in_one_listing(vigil, home, keys)

    async def ask(key: Key) -> None:
        try:
            batch = await provider.get(vigil.awaited[key].batch.id)
        except NotFoundError:
            vigil.lose(key)
        except (*FATAL, GivenUpError):
            raise
        except ServiceError as error:
            vigil.warn(key, str(error))
        else:
            vigil.take(key, batch)

    await each(keys, vigil.eyes.at_once, ask)


async def _in_one_listing(vigil: _Vigil, home: Home, keys: list[Key]) -> list[Key]:
    """Read a listing of what is as young as the oldest of them; gives those that it does not have.

    What it lacks proves nothing, since it is only read for what it has. One with more pages than there are
    batches to ask for is not read again.
    """
    times = [vigil.last(key).created_at for key in keys]
    known = [time for time in times if time is not None]
    since = min(known) - _MARGIN if len(known) == len(times) else None
    listing = Listing(created_on_or_after=since)
    result = await read_pass(vigil.eyes.providers[home], listing, vigil.eyes.clock, most_pages=len(keys))
    if not isinstance(result, Pass):
        vigil.long[home] += isinstance(result, TooLong)
        return keys
    left = []
    for key in keys:
        if batch := result.batches.get(vigil.awaited[key].batch.id):
            vigil.take(key, batch)
        else:
            left.append(key)
    return left
