"""Virtual time of the model: a clock, and an event loop that never waits and costs next to nothing."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from engine_time import DoneAtOnce
from model_values import START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


class Time:
    """Virtual seconds since the start of the history; the port `Clock`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @contextlib.contextmanager
    def loop(self) -> Iterator[_Loop]:
        loop = _Loop(self)
        asyncio.set_event_loop(loop)
        try:
            yield loop
        finally:
            if left := asyncio.all_tasks(loop):  # of a process that was killed, or that the model stopped
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            asyncio.set_event_loop(None)
            loop.close()


class _Loop(DoneAtOnce):
    """An event loop without input. When nobody is ready, time jumps to the next sleeper."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self._virtual = time
        self._selector = self
        self.set_exception_handler(lambda _, __: None)  # a dead process leaves tasks that nobody asks

    def time(self) -> float:
        return self._virtual.seconds

    def select(self, timeout: float | None) -> list[object]:
        assert timeout is not None, "everything waits for something that never comes"
        self._virtual.seconds += timeout
        return []

    def _process_events(self, events: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""
