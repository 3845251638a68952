"""`--max-in-flight`: creates are held back until fewer batches run.

What runs is what is recorded and not terminal, whoever began it. It is looked at again only while a create
waits for a place, one by one, since no more than the limit are waited for.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from reconciler.core.record import with_status
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL
from reconciler.model.errors import GivenUpError, NotFoundError, ServiceError
from reconciler.model.events import Waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from reconciler.engine.run import Run
    from reconciler.model.batch import Key

# Seconds between two looks at what runs: short at first, since small batches end soon.
_FIRST, _LONGEST, _GROWTH = 0.5, 30.0, 1.5


class Flight:
    """How many batches may run at once, and which do.

    Args:
        run: the run; what is learned of its batches is recorded there.
        limit: how many may run; None does not limit.
    """

    def __init__(self, run: Run, limit: int | None) -> None:
        self._run = run
        self._limit = limit
        self.limited = limit is not None
        self._looking = asyncio.Lock()  # of several creates that wait, one looks
        self._begun: set[Key] = set()
        self._gone: set[Key] = set()

    @asynccontextmanager
    async def place(self, key: Key) -> AsyncIterator[None]:
        """Wait until fewer batches run than are allowed, or until the run is to end; then count as one."""
        if self._limit is None:
            yield
            return
        async with self._looking:
            await self._until_free(self._limit)
            self._begun.add(key)
        try:
            yield
        finally:
            self._begun.discard(key)

    def _running(self) -> Iterator[Key]:
        """What runs as far as is known; what cannot be asked about, or is gone, is waited for by nobody."""
        run = self._run
        for key, entry in run.lock.entries.items():
            known = key.home in run.eyes.providers and key not in self._gone and key not in self._begun
            if known and not entry.recorded.status.terminal:
                yield key

    async def _until_free(self, limit: int) -> None:
        seconds = _FIRST
        while not self._run.over and (count := len(list(self._running())) + len(self._begun)) >= limit:
            self._run.eyes.listen(Waiting(f"{count:,} batches run, and {limit:,} may", seconds))
            await self._look(seconds)
            seconds = min(_LONGEST, seconds * _GROWTH)

    async def _look(self, seconds: float) -> None:
        """Let some time go by and see what has ended. An embedded service works only meanwhile."""
        run = self._run
        homes = {key.home for key in self._running()}
        for home in sorted(homes):
            async with run.eyes.providers[home].working() as check:
                await run.stop.pause(seconds)
                if check is not None:
                    check()
            keys = [key for key in self._running() if key.home == home]
            await each(keys, run.eyes.at_once, self._see)
        if not homes:
            await run.stop.pause(seconds)

    async def _see(self, key: Key) -> None:
        entry = self._run.lock.entries[key]
        try:
            batch = await self._run.provider(key).get(entry.current)
        except NotFoundError:
            self._gone.add(key)
            return
        except (*FATAL, GivenUpError):
            raise
        except ServiceError:
            return  # the next look may come to more
        self._run.put(with_status(entry, batch))
