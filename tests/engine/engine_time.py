"""Virtual time for the engine's tests: a clock and an event loop that never wait, over many runs."""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

START = datetime(2026, 10, 1, tzinfo=UTC)

# A shorter sleep could be less than the last digit of the time, and would never end.
_SHORTEST = 1e-6


class Killed(BaseException):
    """The process is dead: nothing that it does from now on reaches a file or the service."""


class Stuck(BaseException):
    """Everything waits for something that never comes: after a kill that is as good as dead."""


class Time:
    """Virtual seconds since the start, over all runs of a world."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.dying = False

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, _SHORTEST) if seconds > 0 else 0)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the work gives
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            return runner.run(work)


class _Selector(selectors.SelectSelector):
    """The loop asks for input to wait for when nobody is ready: then time jumps to the next sleeper."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Stuck
            self._time.seconds += timeout
        return ready


class DoneAtOnce(asyncio.BaseEventLoop):
    """What goes to a thread is done at once, so that order is certain."""

    def run_in_executor(
        self, executor: object, func: Callable[..., Any], *args: object
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - as a thread hands it over
            future.set_exception(error)
        return future


class _VirtualLoop(DoneAtOnce, asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self, time: Time) -> None:
        self._virtual = time
        super().__init__(_Selector(time))
        if time.dying:  # a dead process logs nothing about the tasks that it leaves
            self.set_exception_handler(lambda _, __: None)

    def time(self) -> float:
        return self._virtual.seconds
