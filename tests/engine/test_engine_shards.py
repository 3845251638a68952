"""A shard's run: its share is planned, created and recorded; what it sees of others' is theirs (C1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from engine_world import SETTLE, Lost, World, wanted

from reconciler.core.select import Selection
from reconciler.model.batch import Status
from reconciler.model.manifest import Rerun
from reconciler.model.plan import ActionKind
from reconciler.model.shard import Shard

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"dir-{number:03}" for number in range(1, 7)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, directories=len(NAMES))
    world.warm()
    return world


def share(world: World, index: int) -> list[str]:
    """The directories of one of two shards."""
    return [want.key.directory for want in world.desired.batches if Shard(index, 2).has(want.key)]


def as_shard(world: World, index: int) -> None:
    world.selection = Selection(shard=Shard(index, 2))


def test_each_shard_creates_its_own_and_together_they_create_all(world: World) -> None:
    assert sorted([*share(world, 1), *share(world, 2)]) == NAMES
    assert share(world, 1)
    assert share(world, 2)
    created = []
    for index in (1, 2):
        as_shard(world, index)
        applied = world.apply()
        created.append([result.action.key.directory for result in applied.results])
        assert applied.plan.not_selected == len(share(world, 3 - index))
    assert created == [share(world, 1), share(world, 2)]
    assert world.batches_per_directory() == dict.fromkeys(NAMES, 1)
    world.selection = Selection()
    assert not world.apply().plan.changes


def test_what_is_of_no_share_is_left_to_who_has_everything(world: World) -> None:
    """R10 compares with the text of sets as last applied, which a share of it is not."""
    before = world.lock.sets
    world.sets["set"] = "sha256:other"
    as_shard(world, 1)
    world.apply()
    assert world.lock.sets == before
    world.selection = Selection()
    world.apply()
    assert world.lock.sets == {"set": "sha256:other"}


def test_a_shard_forgets_only_what_is_its_own(world: World) -> None:
    world.apply()
    mine, others = share(world, 1), share(world, 2)
    world.names = []
    as_shard(world, 1)
    applied = world.apply()
    assert [action.kind for action in applied.plan.actions] == [ActionKind.FORGET] * len(mine)
    assert sorted(key.directory for key in world.lock.entries) == others


def test_a_late_twin_in_anothers_share_is_anothers_to_tell(world: World) -> None:
    world.at_once = 1
    others = share(world, 2)
    as_shard(world, 2)
    world.service.script += [Lost(3 * SETTLE), None]  # it comes late to the first of them
    world.apply()
    world.time.seconds += 3600
    as_shard(world, 1)
    before = world.lock.entries
    applied = world.apply()
    assert applied.findings == ()
    assert {key: entry for key, entry in world.lock.entries.items() if key in before} == before
    as_shard(world, 2)
    assert [finding.key.directory for finding in world.apply().findings] == others[:1]


def test_how_anothers_batch_fares_is_not_recorded_though_it_was_looked_at(world: World) -> None:
    world.apply()
    for row in world.service.rows:
        world.service.set(row.batch.id, Status.COMPLETED)
    later = wanted("later", share(world, 1)[0], Rerun(), "cfg-2")
    world.also = [later._replace(set=replace(later.set, depends_on=("set",)))]
    as_shard(world, 1)
    world.apply()
    statuses = {
        key.directory: entry.recorded.status
        for key, entry in world.lock.entries.items()
        if entry.address.set == "set"
    }
    ended, running = share(world, 1), share(world, 2)
    assert statuses == dict.fromkeys(ended, Status.COMPLETED) | dict.fromkeys(running, Status.RUNNING)
    # They were seen: else what waits for them would not have been created.
    assert later.key in world.lock.entries
