"""C8: the wish to stop, as a value that every wait and every new create asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.ports import Clock


class Stop:
    """Asked for once, by a signal: no new create, no resend, waits end; what is in flight is finished."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> None:
        """Belong to the running loop, so that a request from a signal handler wakes it."""
        self._loop = asyncio.get_running_loop()
        if self.requested:
            self._event.set()

    def request(self, signal: int) -> None:
        """Ask to stop. May be called from a signal handler or another thread."""
        self.signal = signal
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    @property
    def requested(self) -> bool:
        """Whether somebody asked."""
        return self.signal is not None

    async def pause(self, clock: Clock, seconds: float) -> None:
        """Let so many seconds go by, or fewer when a stop is asked for meanwhile."""
        if self.requested or seconds <= 0:
            return
        tasks = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(self._event.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
