"""Talonic's pace: fates that repeat by their seed, and when a poll finds the provider done."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.emulator.chance import draw
from reconciler.emulator.talonic.pace import Fate, Pace

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

HOUR = 3_600_000_000
DIGESTS = [f"{number:064x}" for number in range(2000)]


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert Pace() == Pace(
        threshold=100,
        timer=HOUR // 4,
        minimum=100,
        turnaround=HOUR,
        poll=HOUR,
        window=48 * HOUR,
        failing_items=0,
        expiring_items=0,
        failing_batches=0,
        seed=0,
    )


def test_fates_hang_on_seed_and_content_and_are_the_same_in_every_run() -> None:
    pace = Pace(failing_items=0.3, expiring_items=0.3, seed=7)
    assert [pace.fate(digest) for digest in DIGESTS[:8]] == [
        Fate.FAIL,
        Fate.EXPIRE,
        Fate.SUCCEED,
        Fate.FAIL,
        Fate.SUCCEED,
        Fate.FAIL,
        Fate.SUCCEED,
        Fate.EXPIRE,
    ]
    assert [round(draw(7, "item", digest), 6) for digest in DIGESTS[:3]] == [0.21211, 0.599165, 0.93502]


def test_a_share_of_the_items_and_batches_fares_badly() -> None:
    pace = Pace(failing_items=0.2, expiring_items=0.1, failing_batches=0.4)
    fates = [pace.fate(digest) for digest in DIGESTS]
    failed = [pace.fails([digest]) for digest in DIGESTS]
    counts = [fates.count(fate) for fate in (Fate.SUCCEED, Fate.FAIL, Fate.EXPIRE)]
    assert (counts, failed.count(True)) == ([1374, 427, 199], 808)


@given(digests=st.lists(st.sampled_from(DIGESTS), unique=True, max_size=10), data=st.data())
def test_the_fate_of_a_batch_is_blind_to_the_order_of_arrival(
    digests: list[str], data: st.DataObject
) -> None:
    pace = Pace(failing_batches=0.5, expiring_items=0.1)
    shuffled = data.draw(st.permutations(digests))
    assert pace.fails(shuffled) == pace.fails(digests)
    assert pace.work_time(shuffled) == pace.work_time(digests)


def test_another_seed_chooses_others() -> None:
    chosen = [
        [digest for digest in DIGESTS if Pace(failing_items=0.5, seed=seed).fate(digest) is Fate.FAIL]
        for seed in (1, 2)
    ]
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize(
    ("submitted", "ready", "poll", "seen"),
    [
        (10, 10, 60, 70),
        (10, 69, 60, 70),
        (10, 70, 60, 70),
        (10, 71, 60, 130),
        (10, 131, 60, 190),
        (10, 10, 0, 10),
        (10, 71, 0, 71),
    ],
)
def test_the_first_poll_after_the_provider_is_done_sees_it(
    submitted: int, ready: int, poll: int, seen: int
) -> None:
    assert Pace(poll=poll).seen_at(submitted, ready) == seen


@pytest.mark.parametrize(
    ("options", "time", "fate"),
    [
        ({}, HOUR, Fate.SUCCEED),
        ({"failing_items": 1.0}, HOUR, Fate.FAIL),
        # What the provider never gets to holds up its batch until the window ends.
        ({"expiring_items": 1.0}, 48 * HOUR, Fate.EXPIRE),
        ({"expiring_items": 1.0, "failing_batches": 1.0}, HOUR, Fate.EXPIRE),
        ({"turnaround": 49 * HOUR}, 48 * HOUR, Fate.EXPIRE),
        ({"turnaround": 48 * HOUR}, 48 * HOUR, Fate.SUCCEED),
        ({"turnaround": 49 * HOUR, "failing_batches": 1.0}, 48 * HOUR, Fate.EXPIRE),
    ],
)
def test_the_provider_takes_its_time_but_no_longer_than_the_window(
    options: JSON, time: int, fate: Fate
) -> None:
    pace = Pace(**options)
    assert (pace.work_time(DIGESTS[:3]), pace.fate(DIGESTS[0])) == (time, fate)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"minimum": 0}, "the minimum must be at least 1 and not above the threshold"),
        ({"minimum": 101}, "the minimum must be at least 1 and not above the threshold"),
        ({"threshold": 99}, "the minimum must be at least 1 and not above the threshold"),
        ({"timer": -1}, "a duration must not be negative"),
        ({"window": -1}, "a duration must not be negative"),
        (
            {"failing_items": 1.1},
            "a share, and that of all items which fail or expire, must be from 0 to 1",
        ),
        (
            {"failing_batches": -0.1},
            "a share, and that of all items which fail or expire, must be from 0 to 1",
        ),
        (
            {"failing_items": 0.6, "expiring_items": 0.6},
            "a share, and that of all items which fail or expire, must be from 0 to 1",
        ),
        (
            {"failing_items": float("nan")},
            "a share, and that of all items which fail or expire, must be from 0 to 1",
        ),
    ],
)
def test_a_pace_out_of_bounds_is_refused(options: JSON, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said + "$"):
        Pace(**options)
