"""How many requests a second a service gets, from one process or from all workers of a project together.

A request's turn is a point in time. Turns are a fixed span apart, and nobody has two. Workers beside each
other book theirs where their state is, a few at once, so that a request does not cost one there as well. What
was booked and not used in time is lost: all together never send more than they may, whoever sleeps.

How many are under way at once, and what a refusal does, is the limiter's.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from reconciler.model.ports import Clock, Patience, TurnBook

#: Seconds' worth of turns that a worker books at once: so much later may it learn of a pause, too.
AHEAD = 0.25

#: A turn that was not used so many seconds after its time is used by nobody.
LATE = 1.0


class Pace:
    """The turns of one service in time.

    Args:
        service: names it in the book.
        rate: requests a second; None for as many as there are.
        clock: for the time.
        patience: waits, and says when waiting has no point any more.
        book: where turns are booked that others have as well; None for who is alone.
    """

    def __init__(
        self, service: str, rate: float | None, *, clock: Clock, patience: Patience, book: TurnBook | None
    ) -> None:
        self._service, self._rate = service, rate
        self._clock, self._patience, self._book = clock, patience, book
        self._next = -math.inf  # the time of the next turn
        self._left = 0.0  # how many there are from then on
        self._asked = -math.inf  # when the book was last asked
        self._asking = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def turn(self) -> float:
        """Wait for a turn; gives for how many seconds some worker was told to leave the service alone."""
        if self._rate is None and self._book is None:
            return 0.0
        async with self._asking:
            closed, now = 0.0, self._clock.monotonic()
            if self._rate is None:
                return await self._more(now) if now >= self._asked + AHEAD else 0.0
            if self._left < 1 or now > self._next + LATE:
                closed = await self._more(now)
            at = max(self._next, now)
            self._left -= 1
            self._next = at + 1 / self._rate
        await self._patience.pause(at - now)
        return closed

    async def _more(self, now: float) -> float:
        """Have further turns, from now on or later."""
        if self._book is None:
            self._next, self._left = max(self._next, now), math.inf
            return 0.0
        many = 1 if self._rate is None else max(1, int(self._rate * AHEAD))
        try:
            wait, closed = await asyncio.to_thread(self._book.book, self._service, many, self._rate)
        except StateError:  # then the lock is gone as well, and whoever is to send is told so
            wait, closed = 0.0, 0.0
        self._asked = self._clock.monotonic()
        self._next, self._left = self._asked + wait, many
        return closed

    def close(self, seconds: float) -> None:
        """Tell the other workers that the service asked to be left alone."""
        if self._book is not None and seconds > 0:
            task = asyncio.create_task(self._tell(self._book, seconds))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _tell(self, book: TurnBook, seconds: float) -> None:
        with contextlib.suppress(StateError):
            await asyncio.to_thread(book.close, self._service, seconds)
