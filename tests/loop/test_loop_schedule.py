"""When rounds are held: by the interval, after failures, on a hint, one after the other."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_script import UNCHANGED, Script

from reconciler.core.schedule import LONGEST, Pace, Turn, after_round, hurried
from reconciler.model.errors import StateError
from reconciler.model.rounds import Ending, Looking, RoundResult, Why

MINUTE = Pace(60.0)


def whens(held: list[tuple[float, str, Why]], name: str = "a") -> list[float]:
    return [when for when, held_for, _ in held if held_for == name]


def test_a_round_begins_each_interval_counted_from_the_beginning_of_the_last() -> None:
    assert whens(Script({"a": 7}).run(MINUTE, 200)) == [0, 60, 120, 180]


def test_a_round_that_overruns_is_followed_at_once_and_never_overtaken() -> None:
    script = Script({"a": 150})
    assert whens(script.run(MINUTE, 500)) == [0, 150, 300, 450]
    assert [why for _, _, why in script.held] == [Why.START, *[Why.INTERVAL] * 3]


def test_chance_makes_the_interval_longer_and_never_shorter() -> None:
    assert whens(Script({"a": 0}, chance=0.5).run(Pace(60, 0.1), 200)) == [0, 63, 126, 189]


def test_projects_take_turns_and_whoever_waited_longest_comes_first() -> None:
    script = Script({"a": 100, "b": 1, "c": 1})
    script.run(MINUTE, 250)
    order = [(name, when) for when, name, _ in script.held]
    assert order == [
        *[("a", 0), ("b", 100), ("c", 101)],
        *[("a", 102), ("b", 202), ("c", 203)],
        ("a", 204),
    ]


def test_a_project_that_fails_waits_longer_and_longer_up_to_a_bound_and_the_others_go_on() -> None:
    script = Script({"a": 0, "b": 0}, {"b": [RoundResult.ERROR]}, chance=1.0)
    held = script.run(MINUTE, 4000)
    assert whens(held) == list(range(0, 4000, 60))
    assert whens(held, "b") == [0, 60, 180, 420, 900, 1800, 2700, 3600]
    assert [event.failures for event in script.ended("b")][:3] == [1, 2, 3]
    assert [event.next for event in script.ended("b")][-1] == LONGEST
    assert {why for _, name, why in held if name == "b"} == {Why.START, Why.RETRY}


def test_loops_that_failed_together_part() -> None:
    failed = Turn(0.0, failures=3)
    least, most = (
        after_round(failed, MINUTE, began=0, now=0, failed=True, chance=chance).due for chance in (0.0, 1.0)
    )
    assert (least, most) == (240, 480)


def test_one_good_round_ends_the_waiting() -> None:
    script = Script({"a": 0}, {"a": [RoundResult.FAILED, RoundResult.FAILED, UNCHANGED]}, chance=1.0)
    assert whens(script.run(MINUTE, 300)) == [0, 60, 180, 240]


@pytest.mark.parametrize("result", sorted(RoundResult))
def test_what_counts_as_a_failure(result: RoundResult) -> None:
    """Whoever waits for a person, for another or for a window is not asked less often for it."""
    script = Script({"a": 0}, {"a": [result]})
    script.run(MINUTE, 30)
    failing = {"timed-out", "incomplete", "unresolved", "failed", "error"}
    assert script.ended("a")[0].failures == (1 if result.value in failing else 0)


def test_a_person_who_asks_to_look_is_followed_at_once_where_it_fails_too() -> None:
    script = Script({"a": 0, "b": 0}, {"b": [RoundResult.ERROR]}, rings=[(200.0, Why.HANGUP)])
    held = script.run(MINUTE, 205)
    assert [(name, why) for when, name, why in held if when == 200] == [("a", Why.HANGUP), ("b", Why.HANGUP)]
    assert Looking() in script.told


def test_a_hint_is_followed_a_moment_after_the_last_round() -> None:
    script = Script({"a": 1}, rings=[(2.0, Why.WEBHOOK)])
    assert script.run(MINUTE, 70) == [(0, "a", Why.START), (6, "a", Why.WEBHOOK), (66, "a", Why.INTERVAL)]
    later = Script({"a": 1}, rings=[(30.0, Why.WEBHOOK)])
    assert whens(later.run(MINUTE, 70)) == [0, 30]


def test_a_flood_of_hints_makes_one_early_round_at_a_time() -> None:
    script = Script({"a": 1}, rings=[(at / 10, Why.WEBHOOK) for at in range(600)])
    held = script.run(Pace(600), 60)
    assert whens(held) == [0, 6, 12, 18, 24, 30, 36, 42, 48, 54]


def test_a_hint_during_a_round_is_followed_by_one_more() -> None:
    script = Script({"a": 20}, rings=[(3.0, Why.WEBHOOK), (4.0, Why.WEBHOOK)])
    assert script.run(MINUTE, 80)[:2] == [(0, "a", Why.START), (25, "a", Why.WEBHOOK)]


def test_a_hint_does_not_cut_the_waiting_after_a_failure_short() -> None:
    script = Script({"a": 0}, {"a": [RoundResult.ERROR]}, rings=[(30.0, Why.WEBHOOK)])
    assert whens(script.run(MINUTE, 65)) == [0, 60]


def test_what_cannot_be_fetched_is_held_by_nobody_and_asked_for_again() -> None:
    script = Script({"a": 0, "b": 0}, fetches=lambda when: StateError("gone") if when < 100 else None)
    held = script.run(MINUTE, 130)
    assert script.unfetched == [(0, "a"), (0, "b"), (60, "a"), (60, "b")]
    assert [(when, name) for when, name, _ in held] == [(120, "a"), (120, "b")]


def test_a_defect_in_fetching_is_an_error_of_the_rounds_and_not_the_end() -> None:
    script = Script({"a": 0}, fetches=lambda when: ValueError("?") if when < 50 else None)
    assert whens(script.run(MINUTE, 70)) == [60]


def test_c8_a_signal_ends_the_loop_before_the_next_project() -> None:
    script = Script({"a": 10, "b": 10}, signal=5)
    script.run(MINUTE, 5)
    assert [name for _, name, _ in script.held] == ["a"]
    assert script.told[-1] == Ending(15)


def test_c8_a_signal_while_nothing_is_to_be_done_ends_it_then() -> None:
    script = Script({"a": 0}, signal=33)
    script.run(MINUTE, 33)
    assert script.time.seconds == 33


def test_a_number_of_rounds_is_each_projects_own() -> None:
    script = Script({"a": 0, "b": 0}, {"b": [RoundResult.ERROR]}, chance=1.0)
    loop = script.loop(MINUTE, rounds=3)
    loop.run()
    assert whens(script.held) == [0, 60, 120]
    assert whens(script.held, "b") == [0, 60, 180]
    assert [done.result.value for done in loop.last if done] == ["unchanged", "error"]
    assert script.ended("a")[-1].next is None


def test_there_is_a_sign_of_life_while_nothing_is_to_be_done() -> None:
    script = Script({"a": 0})
    script.run(Pace(3600), 3600)
    naps = [*script.naps, 3600.0]
    assert max(later - earlier for earlier, later in pairwise(naps)) <= 15


TIMES = st.floats(0, 1e6)


@given(
    began=TIMES,
    lasts=TIMES,
    interval=st.floats(1, 1e5),
    jitter=st.floats(0, 1),
    chance=st.floats(0, 1),
    failures=st.integers(0, 10_000),
    failed=st.booleans(),
)
def test_the_next_round_is_after_this_one_and_not_too_far(
    *, began: float, lasts: float, interval: float, jitter: float, chance: float, failures: int, failed: bool
) -> None:
    now, pace = began + lasts, Pace(interval, jitter)
    turn = after_round(
        Turn(began, failures=failures), pace, began=began, now=now, failed=failed, chance=chance
    )
    assert turn.due >= now
    assert turn.due <= now + max(LONGEST, interval * 2)
    assert turn.due >= began + interval - 1e-6
    for why in (Why.WEBHOOK, Why.HANGUP):
        sooner = hurried(turn, pace, why, now)
        assert now <= sooner.due <= turn.due
