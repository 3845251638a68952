"""A project's whole life, in any order of edits, runs, kills, losses, faults and other people's work.

The seeds are fixed and printed. A failing life is shrunk, and printed as the steps of a program; `--long`
lives many more of them, and more of each.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from stateful_life import COUNTS, Life

SHORT, LONG = (20261001,), range(20261001, 20261009)
HAPPENS = ("cancels", "creates", "kills", "power losses", "rests", "second processes", "stops")


def live(start: int, machines: int, steps: int) -> None:
    COUNTS.clear()
    run_state_machine_as_test(
        seed(start)(Life),
        settings=settings(
            max_examples=machines,
            stateful_step_count=steps,
            database=None,  # the seed alone says what is lived
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    told = ", ".join(f"{count:,} {what}" for what, count in sorted(COUNTS.items()))
    print(f"seed {start}: {told}")  # noqa: T201
    # Lives in which nothing happens would prove nothing.
    assert min(COUNTS[what] for what in HAPPENS) > 0


@pytest.mark.early
def test_never_twice_never_lost_always_explained_whatever_a_project_lives_through(
    long: bool,  # noqa: FBT001 - a fixture
) -> None:
    seeds, (machines, steps) = (LONG, (250, 50)) if long else (SHORT, (80, 30))
    for start in seeds:
        live(start, machines, steps)
