"""A limiter as a test of one request wants it: many turns, and a time that passes while somebody waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.adapters.providers.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.ports import Clock


@dataclass
class PassingClock:
    """Time that only passes when somebody sleeps."""

    at: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 9, 1, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@dataclass
class Patient:
    """Waits as long as it takes, unless told that the run is to end."""

    clock: Clock
    over: bool = False

    async def pause(self, seconds: float) -> None:
        await self.clock.sleep(seconds)


def many_turns(clock: Clock | None = None, random: Callable[[], float] = lambda: 0.5) -> Limiter:
    clock = clock or PassingClock()
    return Limiter(64, clock=clock, random=random, patience=Patient(clock))
