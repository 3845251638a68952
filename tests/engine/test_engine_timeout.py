"""A run's time is bounded: when it is up, the run stops as it does at a signal, and says what is open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from engine_world import SETTLE, Lost, World

from reconciler.cli.exits import Exit, of_apply, of_error
from reconciler.engine.stop import Stop
from reconciler.model.errors import StoppedError
from reconciler.model.events import Waiting
from reconciler.model.intent import Throttled
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, directories=4)
    world.at_once = 1
    world.warm()
    return world


def test_what_is_in_flight_is_finished_and_the_rest_is_not_begun(world: World) -> None:
    world.service.latency = 3.0
    world.timeout = 50.0
    begun = world.time.seconds

    applied = world.apply()

    outcomes = [r.outcome for r in applied.results]
    created = outcomes.count(Outcome.CREATED)
    assert 0 < created < 4
    assert outcomes == [Outcome.CREATED] * created + [Outcome.NOT_STARTED] * (4 - created)
    assert (applied.timed_out, applied.stopped, of_apply(applied)) == (True, None, Exit.TOO_LONG)
    assert len(world.lock.entries) == len(world.service.existing()) == created
    assert begun + 50 <= world.time.seconds <= begun + 53
    world.timeout = None
    assert [r.outcome for r in world.apply().results] == [Outcome.CREATED] * (4 - created)


def test_before_there_is_a_plan_nothing_is_created_and_nothing_known_is_forgotten(world: World) -> None:
    world.service.latency = 3.0
    world.timeout = 4.0

    with pytest.raises(StoppedError) as caught:
        world.apply()

    assert str(caught.value) == (
        "the run's time was up before there was a plan, so nothing was created. Run apply again with a longer"
        " --timeout"
    )
    assert of_error(caught.value) == Exit.TOO_LONG
    assert world.service.count("create") == 0
    assert world.journal.warm


def test_a_wait_for_the_service_ends_and_says_what_it_was_for(world: World) -> None:
    world.service.script.append(Throttled(300.0, "slow down"))
    world.timeout = 20.0
    begun = world.time.seconds

    applied = world.apply()

    assert [e for e in world.events if isinstance(e, Waiting)] == [Waiting("set/dir-001: slow down", 300.0)]
    assert [r.outcome for r in applied.results] == [Outcome.NOT_STARTED] * 4
    assert world.time.seconds == pytest.approx(begun + 20)


def test_one_stop_does_for_several_runs_one_after_the_other(world: World) -> None:
    stop = Stop()

    async def short_run() -> tuple[float, str | None]:
        stop.bind(world.time, 100.0)
        begun = world.time.seconds
        await stop.pause(3.0)
        return world.time.seconds - begun, await stop.unless_over(asyncio.sleep(0, "done"))

    assert [world.time.run(short_run()) for _ in range(3)] == [(3.0, "done")] * 3


def test_a_lost_reply_stays_open_and_the_run_says_so(world: World) -> None:
    world.service.script.append(Lost(SETTLE / 2))
    world.timeout = SETTLE / 8

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.UNKNOWN] + [Outcome.NOT_STARTED] * 3
    assert of_apply(applied) == Exit.UNRESOLVED
    assert [intent.key.directory for intent in world.journal.open] == ["dir-001"]


def test_a_second_look_that_there_was_no_time_for_is_named(world: World) -> None:
    world.names = world.names[:1]
    world.service.script.append(Lost())
    world.timeout = SETTLE / 8

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.FOUND]
    assert [str(address) for address in applied.not_looked_again] == ["set/dir-001"]
    assert not world.journal.warm
    world.timeout = None
    assert world.apply().not_looked_again == ()
