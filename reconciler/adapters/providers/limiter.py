"""How hard all requests of a run together press one service.

Every request takes a turn here before its first byte. There are so many turns at once as the caller allows,
fewer after the service said that it is too much, and none while it asks to be left alone:

- A 429, or a 503 that says when to come back, closes the door for everybody until then. Without a time to
  come back, the door stays closed for a random part of a span that doubles with each refusal in a row.
- A refusal and a failure (a 5xx, a time-out, a reset) halve the turns, once for all requests that were under
  way together. Each full round of good replies gives one back. So a service that answers nothing gets one
  request at a time, whoever wants to try again: retries cannot become a storm.
- A service that has answered nothing for a while, in many tries, is not tried any more in this run.

What a reply means for the request itself, and whether that is sent again, is decided elsewhere (C4, O6).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from reconciler.model.errors import GivenUpError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from reconciler.adapters.providers.pace import Pace
    from reconciler.model.ports import Clock, Patience

#: Seconds: whoever would have to wait longer for the door to open is sent away instead.
LONGEST_PAUSE = 600.0

#: Seconds: what a pause without a Retry-After never goes past.
LONGEST_BACKOFF = 60.0

#: A service is given up after so many failures in a row ...
HOPELESS_FAILURES = 20
#: ... that have lasted for so many seconds.
HOPELESS_SECONDS = 60.0


class Turn:
    """One request's turn, which hears what came of it."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._round = limiter.round

    def answered(self, status: int, retry_after: float | None) -> None:
        """There was a reply, with a Retry-After of so many seconds or none."""
        if status == 429 or (status == 503 and retry_after is not None):  # noqa: PLR2004 - HTTP's own
            self._limiter.refused(self._round, retry_after)
        elif status >= 500:  # noqa: PLR2004 - HTTP's class of server errors
            self._limiter.failed(self._round)
        else:
            self._limiter.served()

    def failed(self) -> None:
        """There was none."""
        self._limiter.failed(self._round)


class Limiter:
    """The turns of one service, for all requests of a run.

    Args:
        at_once: how many requests may be under way at most.
        clock: for the time.
        random: uniform in [0, 1), so that those who were told the same do not come back together.
        patience: waits, and says when waiting has no point any more.
        tell: told why everybody waits, and for how many seconds.
        pace: how many requests a second there are; None for as many as their turns allow.
    """

    def __init__(
        self,
        at_once: int,
        *,
        clock: Clock,
        random: Callable[[], float],
        patience: Patience,
        tell: Callable[[str, float], None] = lambda _, __: None,
        pace: Pace | None = None,
    ) -> None:
        self._most = at_once
        self._clock = clock
        self._random = random
        self._tell = tell
        self._pace = pace
        self._allowed = float(at_once)
        self._under_way = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._opens = 0.0
        self._refusals = 0
        self._failures = 0
        self._failing_since = 0.0
        #: For waits between two tries of one request as well.
        self.patience = patience
        #: Counts the times that the turns were halved: what was under way before says nothing new.
        self.round = 0

    @property
    def allowed(self) -> int:
        """How many requests may be under way now."""
        return int(self._allowed)

    @contextlib.asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[Turn]:
        """Wait for a turn, and have it; ``urgent`` goes before all who wait: a create's look grows old.

        Raises:
            RateLimitedError: the service asks for a longer pause than a run waits, or the run is to end.
            GivenUpError: the service has not answered for so long that it is not tried any more.
        """
        await self._enter(urgent=urgent)
        try:
            if self._pace is not None:
                self._close(
                    await self._pace.turn(), "another worker was told that the service asks for a pause"
                )
            await self._door()
            yield Turn(self)
        finally:
            self._leave()

    async def _enter(self, *, urgent: bool) -> None:
        if self._under_way < self.allowed and not self._queue:
            self._under_way += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._queue.appendleft if urgent else self._queue.append)(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # it was given a turn at the very moment
            raise

    def _leave(self) -> None:
        """Hand the turn on, or several once more are allowed."""
        self._under_way -= 1
        while self._queue and self._under_way < self.allowed:
            place = self._queue.popleft()
            if not place.done():
                self._under_way += 1
                place.set_result(None)

    async def _door(self) -> None:
        """Wait until requests are wanted again."""
        self._refuse_hopeless()
        while (left := self._opens - self._clock.monotonic()) > 0:
            if left > LONGEST_PAUSE:
                raise RateLimitedError(
                    f"the service asks to be left alone for {left:,.0f} s",
                    retry_after=left,
                    next="Run the command again later",
                )
            if self.patience.over:
                raise RateLimitedError(
                    "the run is to end, and the service asks for a pause", retry_after=left
                )
            await self.patience.pause(left)

    def _refuse_hopeless(self) -> None:
        silent = self._clock.monotonic() - self._failing_since
        if self._failures >= HOPELESS_FAILURES and silent >= HOPELESS_SECONDS:
            raise GivenUpError(
                "the service is not tried any more in this run",
                why=f"all of the last {self._failures} requests failed, in {silent:,.0f} s",
                next="Run the command again later",
            )

    def refused(self, round_: int, retry_after: float | None) -> None:
        """The service said that it is too much."""
        self._failures = 0
        fresh = self._lower(round_)
        if retry_after is not None:
            pause = retry_after + self._random() * min(1.0, retry_after)
        elif fresh:
            self._refusals += 1
            pause = self._random() * min(LONGEST_BACKOFF, 2.0**self._refusals)
        else:
            return
        self._close(pause, "the service asks for a pause")
        if self._pace is not None:
            self._pace.close(pause)

    def _close(self, pause: float, why: str) -> None:
        opens = self._clock.monotonic() + pause
        if pause > 0 and opens > self._opens:
            self._opens = opens
            self._tell(why, pause)

    def failed(self, round_: int) -> None:
        """The service did not answer, or with an error of its own."""
        if self._failures == 0:
            self._failing_since = self._clock.monotonic()
        self._failures += 1
        self._lower(round_)

    def served(self) -> None:
        """The service answered, whatever it said."""
        self._failures = self._refusals = 0
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)

    def _lower(self, round_: int) -> bool:
        """Halve the turns, unless that was done since the request began; gives whether it was done."""
        if round_ != self.round:
            return False
        self.round += 1
        self._allowed = max(1.0, self._allowed / 2)
        return True
