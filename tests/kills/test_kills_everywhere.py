"""SIGKILL at every instant, and at every two, then apply: one batch a key, nothing lost (C9).

Real processes, files and sockets; tests/engine/test_engine_crash.py does the same in virtual time, where
creates may take effect late as well. The settle time is scaled down to a hundredth (`killing_ground.SHARE`):
10 ms, against an emulator on which a create takes effect in about one.

Where one step directly follows another, dying after the one and before the other leaves the same behind.
The short form counts those two as one instant, and so do the pairs; the long form (`pytest --long tests/kills
-s`) goes through each instant alone, and through every ordered pair.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest
from killing_ground import Ground, ground, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.early

SEED = 20261122
#: Pairs of kills in the short form.
SAMPLE = 12


@pytest.fixture(scope="module")
def there() -> Iterator[Ground]:
    with ground() as it:
        yield it


def undisturbed(there: Ground, *, each: bool) -> tuple[object, int]:
    """The lockfile that one run to its end leaves, and how many instants it has."""
    history = there.begin()
    died = history.apply(each=each)
    assert there.struck() == [1, 1]
    normal = history.normal()
    history.check(normal)
    again = history.apply()
    assert not any("POST" in name or "replace" in name for name in again.instants)
    history.check(normal)
    history.end()
    print(f"\nundisturbed, {shown(died.instants)}")  # noqa: T201 - the campaign's counts
    assert len(died.instants) > 40
    return normal, len(died.instants)


def test_c9_a_sigkill_at_every_instant_then_apply(there: Ground, long: bool) -> None:  # noqa: FBT001 - a fixture
    normal, most = undisturbed(there, each=long)
    began = time.monotonic()
    killed = instant = 0

    # Creates run side by side, so one run may have a few instants more than another.
    while instant < most or killed == instant:
        history = there.begin()
        killed += history.apply(instant, each=long).killed
        history.apply()
        history.check(normal)
        history.end()
        instant += 1

    took = time.monotonic() - began
    print(f"{killed} kills, each followed by an apply to its end: {_pace(took, instant)}")  # noqa: T201 - the campaign's counts
    assert killed > most * 0.9


def test_c9_two_sigkills_at_every_two_instants_then_apply(there: Ground, long: bool) -> None:  # noqa: FBT001 - a fixture
    normal, most = undisturbed(there, each=False)
    began = time.monotonic()
    dice = random.Random(SEED)
    pairs = twice = 0

    def history_of(first: int, second: int) -> bool:
        nonlocal pairs, twice
        history = there.begin()
        history.told.append(f"first {first}, second {second}")
        once = history.apply(first, each=False).killed
        again = history.apply(second, each=False).killed
        history.apply()
        history.check(normal)
        history.end()
        pairs += 1
        twice += once and again
        return again

    if long:
        for first in range(most):
            second = 0
            while history_of(first, second):
                second += 1
    else:
        for _ in range(SAMPLE):
            history_of(dice.randrange(most), dice.randrange(most))

    took = time.monotonic() - began
    form = "every pair" if long else f"a sample of pairs, seed {SEED}"
    print(f"{form}: {pairs} histories, {twice} with two kills: {_pace(took, pairs)}")  # noqa: T201 - the campaign's counts
    assert twice > (2000 if long else SAMPLE / 3)


def _pace(seconds: float, histories: int) -> str:
    return f"{seconds:.0f} s, {1000 * seconds / histories:.0f} ms a history"
