"""How many requests a second go out: as there are turns, alone or with workers beside (virtual time)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from engine_time import Time
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.providers.limiter import Limiter
from reconciler.adapters.providers.pace import AHEAD, LATE, Pace
from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from reconciler.model.ports import TurnBook


class Wait:
    """Patience that is never over."""

    over = False

    def __init__(self, time: Time) -> None:
        self._time = time

    async def pause(self, seconds: float) -> None:
        await self._time.sleep(seconds)


class Book:
    """What the database does, in virtual time."""

    def __init__(self, time: Time) -> None:
        self.time, self.free_at, self.closed_until, self.asked, self.broken = time, 0.0, 0.0, 0, False

    def book(self, service: str, turns: int, rate: float | None) -> tuple[float, float]:
        assert service == "cloud"
        if self.broken:
            raise StateError("the database is away")
        self.asked += 1
        now = self.time.seconds
        span = turns / rate if rate else 0.0
        self.free_at = max(self.free_at, now) + span
        return self.free_at - span - now, max(0.0, self.closed_until - now)

    def close(self, service: str, seconds: float) -> None:
        assert service == "cloud"
        self.closed_until = max(self.closed_until, self.time.seconds + seconds)


def _pace(time: Time, rate: float | None, book: TurnBook | None) -> Pace:
    return Pace("cloud", rate, clock=time, patience=Wait(time), book=book)


def _most_within(times: list[float], seconds: float) -> int:
    """How many fall into the fullest window of that length."""
    times = sorted(times)
    return max(sum(1 for other in times if start <= other < start + seconds - 1e-9) for start in times)


@given(rate=st.integers(1, 40), idle=st.lists(st.floats(0, 3), min_size=1, max_size=30))
def test_alone_no_two_requests_are_closer_than_the_rate_allows(rate: int, idle: list[float]) -> None:
    time, sent = Time(), []

    async def go() -> None:
        pace = _pace(time, rate, None)
        for seconds in idle:
            await time.sleep(seconds)
            await pace.turn()
            sent.append(time.seconds)

    time.run(go())
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(sent))
    # Nobody waits who need not: what was idle for a turn's span goes at once.
    assert sent[-1] <= sum(idle) + len(idle) / rate + 1e-3


@given(
    rate=st.integers(1, 60),
    workers=st.integers(1, 6),
    idle=st.lists(st.floats(0, 2), min_size=1, max_size=12),
)
def test_workers_together_keep_the_rate_but_for_what_each_has_booked_ahead(
    rate: int, workers: int, idle: list[float]
) -> None:
    time, sent = Time(), []
    book = Book(time)

    async def work(number: int) -> None:
        pace = _pace(time, rate, book)
        for index in range(len(idle)):
            await time.sleep(idle[(index + number) % len(idle)])
            await pace.turn()
            sent.append(time.seconds)

    async def go() -> None:
        await asyncio.gather(*(work(number) for number in range(workers)))

    time.run(go())
    ahead = workers * max(1, int(rate * AHEAD)) + rate * LATE
    for seconds in (1.0, 2.0, 5.0):
        assert _most_within(sent, seconds) <= rate * seconds + ahead + 1


def test_busy_workers_together_send_exactly_at_the_rate() -> None:
    time, sent = Time(), []
    book = Book(time)

    async def work() -> None:
        pace = _pace(time, 20, book)
        while time.seconds < 10:
            await pace.turn()
            sent.append(time.seconds)

    async def go() -> None:
        await asyncio.gather(*(work() for _ in range(4)))

    time.run(go())
    within = [item for item in sent if 1 <= item < 9]
    assert abs(len(within) - 160) <= 4, len(within)
    assert book.asked <= len(sent) / (20 * AHEAD) + 8


def test_a_pause_that_one_worker_is_told_of_holds_for_all() -> None:
    time, told, sent = Time(), [], []
    book = Book(time)

    def limiter() -> Limiter:
        return Limiter(
            2,
            clock=time,
            random=lambda: 0.0,
            patience=Wait(time),
            tell=lambda why, seconds: told.append((why, round(seconds, 1))),
            pace=_pace(time, None, book),
        )

    async def go() -> None:
        first, second = limiter(), limiter()
        async with first.turn() as turn:
            turn.answered(429, 7.0)
        await time.sleep(AHEAD)
        async with second.turn():
            sent.append(round(time.seconds, 1))

    time.run(go())
    assert sent == [7.0]
    assert told == [
        ("the service asks for a pause", 7.0),
        ("another worker was told that the service asks for a pause", 6.8),
    ]


def test_without_a_rate_and_alone_nobody_is_asked_and_nobody_waits() -> None:
    time = Time()

    async def go() -> None:
        for _ in range(100):
            assert await _pace(time, None, None).turn() == 0.0

    time.run(go())
    assert time.seconds == 0.0


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_book_that_cannot_be_used_stops_nobody_from_hearing_that_the_lock_is_lost(
    rate: float | None,
) -> None:
    time = Time()
    book = Book(time)
    book.broken = True

    async def go() -> None:
        pace = _pace(time, rate, book)
        for _ in range(20):
            assert await pace.turn() == 0.0
        pace.close(5)
        await time.sleep(1)

    time.run(go())
    assert time.seconds <= 3.1
