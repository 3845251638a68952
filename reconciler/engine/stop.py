"""C8: the wish that a run ends, as a value that every wait and every new create asks for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from reconciler.model.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from reconciler.model.ports import Clock

_Result = TypeVar("_Result")


class Stop:
    """Asked for once, by a signal or when the run's time is up.

    No new create, no resend, waits end; what is in flight is finished and recorded.

    Attributes:
        signal: the signal that asked, or None.
        timed_out: whether the run's time was up.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.timed_out = False
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Clock | None = None

    def bind(self, clock: Clock, seconds: float | None = None) -> None:
        """Belong to the running loop, so that a request from a signal handler wakes it.

        Args:
            clock: what pauses wait by.
            seconds: how long the run may take; None does not bound it.
        """
        # Made anew, since the one of an earlier run belongs to that one's loop.
        self._loop, self._clock, self._event = asyncio.get_running_loop(), clock, asyncio.Event()
        self.timed_out = False
        if self.over:
            self._event.set()
        if seconds is not None:
            self._loop.call_later(seconds, self._time_is_up)

    def request(self, signal: int) -> None:
        """Ask to stop. May be called from a signal handler or another thread."""
        self.signal = signal
        if self._loop is not None:
            # A signal can come after the loop has ended, while the state is being let go: nobody waits then.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._event.set)

    def _time_is_up(self) -> None:
        self.timed_out = True
        self._event.set()

    @property
    def over(self) -> bool:
        """Whether somebody asked, or the time is up."""
        return self.signal is not None or self.timed_out

    def error(self) -> StoppedError:
        """What a run ends with that is to end before it has a plan."""
        why = "the run's time was up" if self.timed_out else "the run was stopped"
        return StoppedError(
            f"{why} before there was a plan, so nothing was created",
            signal=self.signal,
            next="Run apply again" + (" with a longer --timeout" if self.timed_out else ""),
        )

    async def pause(self, seconds: float) -> None:
        """Let so many seconds go by, or fewer when the run is to end meanwhile."""
        assert self._clock is not None
        if seconds > 0 and not self.over:
            await self.unless_over(self._clock.sleep(seconds))

    async def unless_over(self, work: Coroutine[object, object, _Result]) -> _Result | None:
        """Do the work, which may be left at any point; None when it was left because the run is to end."""
        if self.over:
            work.close()
            return None
        working, asked = asyncio.ensure_future(work), asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            for task in (working, asked):
                task.cancel()
            await asyncio.gather(working, asked, return_exceptions=True)
