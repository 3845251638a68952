"""Turns: how many requests at once, when none at all, and when never again. Time is the test's own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import pytest
from provider_limiter import PassingClock, Patient

from reconciler.adapters.providers import limiter as limits
from reconciler.adapters.providers.limiter import Limiter
from reconciler.model.errors import GivenUpError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


class Stand:
    """A limiter, its clock, and what it told."""

    def __init__(self, at_once: int = 8, random: float = 0.5) -> None:
        self.clock = PassingClock()
        self.patient = Patient(self.clock)
        self.told: list[tuple[str, float]] = []
        self.limiter = Limiter(
            at_once,
            clock=self.clock,
            random=lambda: random,
            patience=self.patient,
            tell=lambda why, seconds: self.told.append((why, seconds)),
        )
        self.under_way = self.most = 0

    async def ask(self, status: int | None = 200, retry_after: float | None = None) -> None:
        """One request; None is one without a reply."""
        async with self.limiter.turn() as turn:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0)
            self.under_way -= 1
            if status is None:
                turn.failed()
            else:
                turn.answered(status, retry_after)

    async def ask_together(self, *statuses: int | None, retry_after: float | None = None) -> int:
        """Several at once; gives how many of them were under way together."""
        self.most = 0
        await asyncio.gather(*(self.ask(status, retry_after) for status in statuses))
        return self.most


def test_no_more_requests_are_under_way_than_allowed_and_all_have_their_turn_in_order() -> None:
    stand, order = Stand(3), list[int]()

    async def one(number: int) -> None:
        async with stand.limiter.turn():
            order.append(number)
            stand.under_way += 1
            stand.most = max(stand.most, stand.under_way)
            for _ in range(number % 4):
                await asyncio.sleep(0)
            stand.under_way -= 1

    async def scenario() -> None:
        await asyncio.gather(*(one(number) for number in range(50)))

    run(scenario())
    assert (stand.most, order) == (3, list(range(50)))


@pytest.mark.parametrize(("retry_after", "pause"), [(0.0, 0.0), (0.5, 0.75), (90.0, 90.5), (600.0, 600.5)])
def test_a_retry_after_closes_the_door_for_everybody(retry_after: float, pause: float) -> None:
    stand = Stand()

    async def scenario() -> None:
        await stand.ask(429, retry_after)
        with suppress(RateLimitedError):
            await stand.ask()

    run(scenario())
    waited = stand.clock.slept if pause <= limits.LONGEST_PAUSE else [pause]
    assert sum(waited) == pytest.approx(pause)
    assert stand.told == ([("the service asks for a pause", pause)] if pause else [])


def test_a_503_counts_like_a_429_when_it_says_when_to_come_back() -> None:
    stand = Stand()

    async def scenario() -> None:
        await stand.ask(503, 7.0)
        await stand.ask()

    run(scenario())
    assert stand.clock.slept == [7.5]


def test_the_longest_of_several_pauses_holds() -> None:
    stand = Stand()

    async def scenario() -> None:
        async with stand.limiter.turn() as one, stand.limiter.turn() as other:
            one.answered(429, 30.0)
            other.answered(429, 5.0)
        await stand.ask()

    run(scenario())
    assert stand.clock.slept == [30.5]


def test_without_a_retry_after_the_pauses_double_with_full_jitter_until_a_good_reply() -> None:
    stand = Stand()

    async def scenario() -> None:
        for _ in range(8):
            await stand.ask(429)
        await stand.ask()
        await stand.ask(429)
        await stand.ask()

    run(scenario())
    assert stand.clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 1.0]


def test_refusals_of_one_burst_halve_the_turns_once_and_good_replies_give_them_back_slowly() -> None:
    stand = Stand(8)

    async def scenario() -> list[int]:
        allowed = []
        for _ in range(4):
            await stand.ask_together(*[429] * 8, retry_after=1.0)
            allowed.append(stand.limiter.allowed)
        good = 0
        while stand.limiter.allowed < 8:
            await stand.ask()
            good += 1
        return [*allowed, good, await stand.ask_together(*[200] * 20)]

    first, *rest = run(scenario())
    # One burst of 8 at once halves once; what was let in after that has been told in its own round.
    assert first == 4
    assert rest[:3] == [1, 1, 1]
    assert 20 < rest[3] < 40  # about 1 + 2 + ... + 7
    assert rest[4] == 8


def test_a_service_that_answers_nothing_gets_one_request_at_a_time() -> None:
    stand = Stand(64)

    async def scenario() -> int:
        for _ in range(7):
            with suppress(GivenUpError):
                await stand.ask(None)
        return await stand.ask_together(*[None] * 100)

    assert run(scenario()) == 1


def test_a_service_that_has_answered_nothing_for_long_is_given_up_and_not_sent_to() -> None:
    stand = Stand()
    asked = 0

    async def scenario() -> GivenUpError:
        nonlocal asked
        while True:
            stand.clock.at += 4.0
            try:
                await stand.ask(500)
            except GivenUpError as error:
                return error
            asked += 1

    error = run(scenario())
    assert asked == limits.HOPELESS_FAILURES
    assert str(error) == (
        "the service is not tried any more in this run: all of the last 20 requests failed, in 80 s."
        " Run the command again later"
    )


def test_many_failures_in_a_moment_and_few_in_a_long_time_are_not_hopeless() -> None:
    quick, slow = Stand(), Stand()

    async def scenario() -> None:
        for _ in range(200):
            await quick.ask(None)
        for _ in range(limits.HOPELESS_FAILURES - 1):
            slow.clock.at += 3600
            await slow.ask(None)
        await slow.ask()
        slow.clock.at += 3600
        await slow.ask(None)
        await slow.ask()

    run(scenario())


def test_nobody_waits_for_longer_than_ten_minutes_nor_when_the_run_is_to_end() -> None:
    async def told(seconds: float, *, over: bool) -> RateLimitedError:
        stand = Stand()
        await stand.ask(429, seconds)
        stand.patient.over = over
        with pytest.raises(RateLimitedError) as caught:
            await stand.ask()
        assert stand.clock.slept == []
        return caught.value

    assert run(told(3600.0, over=False)).retry_after == 3600.5
    assert run(told(20.0, over=True)).what == "the run is to end, and the service asks for a pause"


def test_a_request_that_is_cancelled_while_it_waits_leaves_its_turn_to_others() -> None:
    stand = Stand(1)

    async def scenario() -> None:
        async with stand.limiter.turn():
            waiting = [asyncio.ensure_future(stand.ask()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        # The second has just been given the turn, and is cancelled before it could take it.
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        await stand.ask()

    run(scenario())


def test_who_is_urgent_goes_before_all_who_wait() -> None:
    stand, order = Stand(1), list[str]()

    async def one(name: str, *, urgent: bool) -> None:
        async with stand.limiter.turn(urgent=urgent):
            order.append(name)

    async def scenario() -> None:
        async with stand.limiter.turn():
            looks = [asyncio.ensure_future(one(f"look {number}", urgent=False)) for number in range(3)]
            await asyncio.sleep(0)
            create = asyncio.ensure_future(one("create", urgent=True))
            await asyncio.sleep(0)
        await asyncio.gather(*looks, create)

    run(scenario())
    assert order == ["create", "look 0", "look 1", "look 2"]


def test_a_pause_does_not_keep_the_turns_of_those_who_were_sent_away() -> None:
    stand = Stand(2)

    async def scenario() -> None:
        await stand.ask(429, 3600.0)
        for _ in range(5):
            with pytest.raises(RateLimitedError):
                await stand.ask()
        stand.clock.at += 4000
        await asyncio.gather(*(stand.ask() for _ in range(5)))

    run(scenario())
