"""Killed at any instant, then applied again: one batch a key, and an undisturbed run's lockfile (C7, C9).

An instant is before or after a request, or before or after a sync of a file. What a dead process would have
written or sent after it does not happen: the files are put back as they were at that instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_world import SETTLE, Fault, Lost, World

from reconciler.model.lock import Lock, Origin
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.model.batch import Key
    from reconciler.model.lock import Entry

START_OVER = 1000  # no run has so many instants


def told(lock: Lock) -> dict[Key, Entry]:
    """The entries without what may differ: times, and which of two names told of the batch (C5)."""
    return {
        key: entry._replace(
            batches=tuple(
                item._replace(recorded_at=None, created_at=None, updated_at=None, origin=Origin.CREATED)  # type: ignore[arg-type]  # no time is compared
                for item in entry.batches
            ),
        )
        for key, entry in lock.entries.items()
    }


def worlds(folder: Path, directories: int, script: list[Fault], at_once: int) -> Iterator[World]:
    number = 0
    while True:
        number += 1
        place = folder / str(number)
        place.mkdir()
        world = World(place, directories)
        world.at_once = at_once
        world.service.latency = 0.25
        world.service.lag = SETTLE / 2
        world.service.script.extend(script)
        yield world


def same_directories(entries: dict[Key, Entry]) -> dict[Key, tuple[object, ...]]:
    """Which batch stands where depends on the order in which they were made: compare all but the ids."""
    return {
        key: (
            entry.address,
            entry.on_remove,
            entry.directory_name,
            tuple(item._replace(id="") for item in entry.batches),
            len(entry.batches),
        )
        for key, entry in entries.items()
    }


def check_recovered(world: World, undisturbed: Lock, instants: list[str]) -> None:
    lock = world.lock
    assert world.batches_per_directory() == dict.fromkeys(world.names, 1), instants
    assert same_directories(told(lock)) == same_directories(told(undisturbed)), instants
    assert {key.directory: entry.current for key, entry in lock.entries.items()} == {
        batch.key.directory: batch.id for batch in world.service.existing()
    }
    assert (lock.sets, lock.projects) == (undisturbed.sets, undisturbed.projects)
    assert world.journal.open == ()
    assert not world.plan().changes


@pytest.mark.parametrize(
    ("script", "at_once"),
    [
        pytest.param([], 1, id="one at a time"),
        pytest.param([], 8, id="all at once"),
        pytest.param([Lost(SETTLE / 4)], 8, id="one reply lost, late"),
    ],
)
def test_c9_a_kill_at_any_instant_then_apply_gives_what_one_apply_would_have(
    tmp_path: Path, script: list[Fault], at_once: int
) -> None:
    each_world = worlds(tmp_path, 2, script, at_once)
    undisturbed = next(each_world)
    instants = len(undisturbed.die_at(START_OVER))
    assert instants > 30

    for instant in range(instants):
        world = next(each_world)
        came = world.die_at(instant)
        assert len(came) == instant + 1
        applied = world.apply()
        assert {r.outcome for r in applied.results} <= {Outcome.CREATED, Outcome.FOUND, Outcome.ADOPTED}, came
        check_recovered(world, undisturbed.lock, came)


def test_c9_two_kills_at_any_two_instants_then_apply(tmp_path: Path) -> None:
    each_world = worlds(tmp_path, 1, [], 8)
    undisturbed = next(each_world)
    instants = len(undisturbed.die_at(START_OVER))
    pairs = 0

    for first in range(0, instants, 2):
        for second in range(0, START_OVER, 3):
            world = next(each_world)
            world.die_at(first)
            came = world.die_at(second)
            world.apply()
            check_recovered(world, undisturbed.lock, came)
            pairs += 1
            if len(came) <= second:
                break  # the second run had come to its end

    assert pairs > 100


def test_c9_what_a_reply_named_is_recorded_as_created_by_us_even_when_the_run_dies_then(
    tmp_path: Path,
) -> None:
    (world,) = (next(worlds(tmp_path, 1, [], 8)),)
    after_the_reply_was_noted = -1
    trial = next(worlds(_folder(tmp_path, "trial"), 1, [], 8)).die_at(START_OVER)
    after_the_reply_was_noted = trial.index("after sync", trial.index("after create"))

    world.die_at(after_the_reply_was_noted)

    assert [(e.current, e.recorded.origin) for e in world.lock.entries.values()] == [
        ("bat-1", Origin.CREATED)
    ]


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
