"""Windows and policies under an apply (R15): before it, between its creates, and between its waves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import pytest
from engine_world import CONFIGURATION, World, wanted

from reconciler.model.batch import Status
from reconciler.model.desired import DesiredBatch
from reconciler.model.errors import LimitError
from reconciler.model.events import Starting
from reconciler.model.lock import Origin
from reconciler.model.manifest import Rerun
from reconciler.model.plan import ActionKind
from reconciler.model.project import Limits, Policy, Window
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from reconciler.model.events import Event
    from reconciler.model.result import Applied

TAKES = 100.0
EVERY_DAY = frozenset(range(7))


def until(world: World, seconds: float) -> Limits:
    """A window that has been open for an hour and closes in so many seconds, to the next minute."""
    now = world.time.now()
    minutes = [(now + timedelta(seconds=part)) for part in (-3600, seconds)]
    start, end = (there.hour * 60 + there.minute for there in minutes)
    return Limits(windows=(Window(EVERY_DAY, start, end, UTC, "UTC", "reconciler.yaml:7:5"),))


def closed(world: World) -> Limits:
    """A window that opens in a few hours."""
    start = (world.time.now() + timedelta(hours=5)).hour * 60
    return Limits(windows=(Window(EVERY_DAY, start, start + 59, UTC, "UTC", "reconciler.yaml:7:5"),))


def at_a_minute(world: World, second: float = 0.0) -> World:
    """The world at so many seconds past a minute."""
    world.time.seconds += 60 - world.time.seconds % 60 + second
    return world


def two_sets(folder: Path, limits_of_b: Limits | None = None, **policy: object) -> World:
    """Set ``a`` over two directories and ``b`` over one, with a policy; batches complete after 100 s."""
    world = World(folder, 0)
    world.service.there |= {"a1", "a2", "b1"}
    world.warm()
    for name, directory in (("a", "a1"), ("a", "a2"), ("b", "b1")):
        want = wanted(name, directory, Rerun(), CONFIGURATION)
        if name == "b":
            its = replace(want.set, limits=limits_of_b or Limits(), **policy)  # type: ignore[arg-type]
            want = DesiredBatch(want.address, want.key, its, 0)
        world.also.append(want)
    world.sets = {"a": "a", "b": "b"}

    def pass_time(_: str) -> None:
        for row in world.service.rows:
            if row.exists + TAKES <= world.time.seconds:
                row.batch = row.batch._replace(status=Status.COMPLETED)

    world.service.on_request = pass_time
    return at_a_minute(world)


def outcomes(applied: Applied) -> dict[str, Outcome]:
    return {str(result.action.address): result.outcome for result in applied.results}


def at_most(creates: int, **words: str) -> Limits:
    schema: Mapping[str, Any] = {
        "properties": {"summary": {"properties": {"create": {"maximum": creates, **words}}}}
    }
    return Limits(policies=(Policy(file="policies/few.json", digest=str(schema), schema=schema),))


def test_outside_of_a_window_nothing_is_sent_unless_just_that_plan_is_confirmed(tmp_path: Path) -> None:
    world = two_sets(tmp_path)
    limits = closed(world)
    with pytest.raises(LimitError, match="may be created or cancelled now: outside Mon-Sun") as caught:
        world.apply(limits=limits)
    plan = world.plan()
    assert caught.value.where == "reconciler.yaml:7:5"
    assert caught.value.why.startswith("it opens Thu 2026-10-01 0")
    assert caught.value.next == f"Apply then, or apply just this plan with --confirm {plan.digest}"
    assert not world.service.rows
    world.confirmed = plan.digest
    applied = world.apply(limits=limits)
    assert set(outcomes(applied).values()) == {Outcome.CREATED}
    assert applied.closed == ()


def test_what_only_records_is_done_at_any_time(tmp_path: Path) -> None:
    world = two_sets(tmp_path)
    world.apply()
    (tmp_path / "reconciler.lock").unlink()
    world.journal_file.unlink()
    world.also = [want for want in world.also if want.set.name == "a"]
    applied = world.apply(limits=closed(world))
    assert outcomes(applied) == {"a/a1": Outcome.ADOPTED, "a/a2": Outcome.ADOPTED}
    world.also = world.also[:1]
    world.sets = {"a": "a, changed"}
    assert outcomes(world.apply(limits=closed(world))) == {"a/a2": Outcome.FORGOTTEN}
    assert {entry.recorded.origin for entry in world.lock.entries.values()} == {Origin.ADOPTED}


@pytest.mark.parametrize("whose", ["project", "set"])
def test_a_wave_whose_turn_comes_after_the_window_closed_is_not_sent(tmp_path: Path, whose: str) -> None:
    """Batches take 100 s, and the window is open for 60: what waits for them waits for tomorrow."""
    limits = until(two_sets(tmp_path / "clock"), 60)
    world = two_sets(tmp_path, limits if whose == "set" else None, depends_on=("a",))
    world.wait = True
    applied = world.apply(limits=limits if whose == "project" else Limits())
    assert outcomes(applied) == {
        "a/a1": Outcome.CREATED,
        "a/a2": Outcome.CREATED,
        "b/b1": Outcome.NOT_STARTED,
    }
    (shut,) = applied.closed
    assert shut.scope == ("" if whose == "project" else "set b")
    why = next(result.why for result in applied.results if result.outcome is Outcome.NOT_STARTED)
    assert why.startswith("outside Mon-Sun ")
    assert "; it opens " in why
    assert sorted(row.batch.key.directory for row in world.service.rows) == ["a1", "a2"]
    world.also[-1] = world.also[-1]._replace(set=replace(world.also[-1].set, limits=Limits()))
    assert outcomes(world.apply()) == {"b/b1": Outcome.CREATED}


def test_a_create_that_waits_for_a_place_until_the_window_has_closed_is_not_begun(tmp_path: Path) -> None:
    world = two_sets(tmp_path)
    world.max_in_flight = 1
    applied = world.apply(limits=until(world, 60))
    assert sorted(outcomes(applied).values()) == [Outcome.CREATED, Outcome.NOT_STARTED, Outcome.NOT_STARTED]
    assert len(world.service.rows) == 1
    assert [item.why for item in applied.closed]


def test_the_window_is_asked_for_again_right_before_the_first_byte(tmp_path: Path) -> None:
    """It closes during the look before the send, while that is fresh enough."""
    world = at_a_minute(two_sets(tmp_path), second=55.0)
    world.at_once = 1
    limits = until(world, 5)
    plan = world.plan()
    slow = False

    def pass_time(_: str) -> None:
        if slow:
            world.time.seconds += 3.0

    world.service.on_request = pass_time

    def listen(event: Event) -> None:
        nonlocal slow
        slow = slow or isinstance(event, Starting)

    world.on_events = listen
    applied = world.apply(limits=limits)
    assert plan.count(ActionKind.CREATE) == 3
    assert not world.service.rows
    assert set(outcomes(applied).values()) == {Outcome.NOT_STARTED}
    assert not world.journal.open


def test_what_was_confirmed_while_it_was_open_is_not_confirmed_for_later(tmp_path: Path) -> None:
    world = two_sets(tmp_path)
    world.max_in_flight = 1
    world.confirmed = world.plan().digest
    assert Outcome.NOT_STARTED in outcomes(world.apply(limits=until(world, 60))).values()


def test_a_confirmed_plan_does_not_take_along_what_it_holds_back(tmp_path: Path) -> None:
    world = two_sets(tmp_path, depends_on=("a",))
    world.wait, world.confirmed = True, world.plan().digest
    assert outcomes(world.apply(limits=closed(world))) == {
        "a/a1": Outcome.CREATED,
        "a/a2": Outcome.CREATED,
        "b/b1": Outcome.NOT_STARTED,
    }


def test_a_violated_policy_stops_everything_unless_just_that_plan_is_confirmed(tmp_path: Path) -> None:
    world = two_sets(tmp_path)
    with pytest.raises(LimitError) as caught:
        world.apply(limits=at_most(2, errorMessage="two a plan"))
    plan = world.plan()
    assert str(caught.value) == (
        "policies/few.json: the plan does not satisfy a policy: summary.create: two a plan."
        " Change the manifests, or select less with --target,"
        f" or apply just this plan with --confirm {plan.digest}"
    )
    assert not world.service.rows
    world.confirmed = plan.digest
    with pytest.raises(LimitError, match=f"few.json is not lifted by --confirm {plan.digest}"):
        world.apply(limits=at_most(2, **{"x-confirm": "never"}))
    assert not world.service.rows
    assert set(outcomes(world.apply(limits=at_most(2))).values()) == {Outcome.CREATED}


def test_a_warning_of_a_policy_stops_nothing(tmp_path: Path) -> None:
    world = two_sets(tmp_path)
    applied = world.apply(limits=at_most(2, **{"x-level": "warning"}))
    assert len(applied.plan.violations) == 1
    assert set(outcomes(applied).values()) == {Outcome.CREATED}


def test_a_wave_is_held_against_policies_with_what_was_created_before_it(tmp_path: Path) -> None:
    """Two are planned and one is held back: a policy of two a plan is not gone round by waiting."""
    world = two_sets(tmp_path, depends_on=("a",))
    world.wait = True
    with pytest.raises(LimitError, match="does not satisfy a policy"):
        world.apply(limits=at_most(2))
    assert sorted(row.batch.key.directory for row in world.service.rows) == ["a1", "a2"]
    assert {str(entry.address) for entry in world.lock.entries.values()} == {"a/a1", "a/a2"}
    world.confirmed = ""
    assert outcomes(world.apply(limits=at_most(3))) == {"b/b1": Outcome.CREATED}
