"""Power is lost at any instant, then apply: one batch a key, and an undisturbed run's lockfile (C3, C9).

As tests/engine/test_engine_crash.py, in virtual time, but that files come back as `losing_disk` has them:
with only what was synced, or with whatever a seeded die kept of the rest.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from engine_world import SETTLE, Fault, Lost
from losing_disk import lose_power_at
from memory_folder import memory_folder
from test_engine_crash import START_OVER, check_recovered, worlds

from reconciler.model.intent import Throttled

if TYPE_CHECKING:
    from pathlib import Path

SEED = 7
#: Throws of the die at each instant, besides the one case that nothing unsynced lasts.
LONG_THROWS = 20


@pytest.mark.parametrize(
    ("script", "at_once", "throws"),
    [
        pytest.param([], 1, 0, id="one at a time"),
        pytest.param([Lost(SETTLE / 4), Throttled(0.0, "429")], 8, 1, id="one reply lost, one 429"),
    ],
)
def test_c9_power_is_lost_at_any_instant_then_apply(
    script: list[Fault],
    at_once: int,
    throws: int,
    long: bool,  # noqa: FBT001 - a fixture
) -> None:
    with memory_folder() as folder:
        cut_power_everywhere(folder, script, at_once, LONG_THROWS if long else throws)


def cut_power_everywhere(folder: Path, script: list[Fault], at_once: int, throws: int) -> None:
    each_world = worlds(folder, 2, script, at_once)
    undisturbed = next(each_world)
    instants = lose_power_at(undisturbed, START_OVER, None)
    assert len(instants) > 40

    for instant in range(len(instants)):
        for throw in range(throws + 1):
            world = next(each_world)
            dice = random.Random(f"{SEED} {instant} {throw}") if throw else None
            came = lose_power_at(world, instant, dice)
            story = [f"seed {SEED}, instant {instant}, throw {throw}", *came]
            assert came == instants[: instant + 1], story
            world.apply()
            check_recovered(world, undisturbed.lock, story)

    print(f"{len(instants)} instants, {throws + 1} power cuts at each, seed {SEED}")  # noqa: T201 - the counts
