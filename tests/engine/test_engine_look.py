"""Before the send: the look that decides once more (C2), the intent and what it knows (C3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from engine_world import SETTLE, World, wanted

from reconciler.adapters.stores.journal import read_journal
from reconciler.model.batch import Status
from reconciler.model.errors import LimitError, UnavailableError
from reconciler.model.events import Waiting
from reconciler.model.lock import Origin
from reconciler.model.plan import ActionKind
from reconciler.model.project import Limits
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.model.batch import Key
    from reconciler.model.ports import Listing, Page


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One desired directory, on a service without faults; the last run closed its journal."""
    world = World(tmp_path)
    world.warm()
    return world


def after_the_plan(world: World, act: Callable[[], object]) -> None:
    """Something happens between the plan's look at a directory and the one before its create."""
    looks = 0

    def on_request(what: str) -> None:
        nonlocal looks
        if what == "before list dir-001":
            looks += 1
            if looks == 2:
                act()

    world.service.on_request = on_request


def test_c2_a_batch_that_appears_between_plan_and_send_is_adopted_and_not_created(world: World) -> None:
    after_the_plan(world, lambda: world.service.put("dir-001"))

    applied = world.apply()

    assert [(r.action.kind, r.outcome, r.batch and r.batch.id) for r in applied.results] == [
        (ActionKind.CREATE, Outcome.ADOPTED, "bat-1")
    ]
    assert world.service.count("create") == 0
    (entry,) = world.lock.entries.values()
    assert [(item.id, item.origin) for item in entry.batches] == [("bat-1", Origin.ADOPTED)]
    assert not world.plan().changes


def test_c2_a_batch_that_appears_and_is_cancelled_between_plan_and_send_blocks_the_create(
    world: World,
) -> None:
    after_the_plan(world, lambda: world.service.put("dir-001", status=Status.CANCELLED))

    applied = world.apply()

    assert [(r.outcome, r.why) for r in applied.results] == [
        (
            Outcome.BLOCKED,
            (
                "since the plan was made: bat-1 was cancelled; to run again, raise rerun.after or set"
                " rerun.onCancelled: rerun"
            ),
        )
    ]
    assert world.service.count("create") == 0


def test_c2_a_cold_run_waits_one_settle_time_and_looks_twice(tmp_path: Path) -> None:
    world = World(tmp_path, directories=3)
    world.service.latency = 0.25

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.CREATED] * 3
    waits = [event.why for event in world.events if isinstance(event, Waiting)]
    assert waits == ["what was sent before is not known for certain here, so absence has to be seen twice"]
    # the observation begins at 0, the looks a settle time later; a look and a create take 1/4 s each
    assert world.service.sent_at == [SETTLE + 0.25] * 3
    assert world.time.seconds == SETTLE + 0.5
    assert [world.service.requests.count(f"list {name}") for name in world.names] == [2, 2, 2]


def test_c2_a_warm_run_does_not_wait_but_looks_all_the_same(world: World) -> None:
    begun = world.time.seconds

    world.apply()

    assert world.time.seconds == begun
    assert world.service.requests.count("list dir-001") == 2


def test_c2_a_create_of_a_lost_run_that_is_listed_late_is_adopted_by_a_cold_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.service.lag = SETTLE
    world.service.put("dir-001")  # somebody's last act, who left no journal

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.ADOPTED]
    assert world.service.count("create") == 0


def test_c2_what_was_forgotten_before_it_had_to_be_listed_is_not_created_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.service.lag = SETTLE
    world.apply()
    names, world.names = world.names, []
    assert [r.outcome for r in world.apply().results] == [Outcome.FORGOTTEN]
    world.names = names

    applied = world.apply()  # within the settle time of the create

    assert [r.outcome for r in applied.results] == [Outcome.ADOPTED]
    assert world.batches_per_directory() == {"dir-001": 1}


def test_c2_what_was_listed_long_ago_is_forgotten_and_leaves_the_next_run_warm(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.apply()
    world.time.seconds += SETTLE
    world.names = []

    world.apply()

    assert world.journal.warm


def decline(world: World) -> None:
    world.apply(approve=False)


def go_past_a_limit(world: World) -> None:
    with pytest.raises(LimitError):
        world.apply(limits=Limits(max_creates=0))


def stop_at_once(world: World) -> None:
    world.on_events = lambda _: world.stop.request(15) if world.stop else None
    world.apply()
    world.on_events = world.events.append


@pytest.mark.parametrize("end", [decline, go_past_a_limit, stop_at_once])
def test_c2_a_cold_run_that_did_not_stay_leaves_the_next_one_cold(
    tmp_path: Path, end: Callable[[World], None]
) -> None:
    world = World(tmp_path)
    world.service.lag = SETTLE
    world.service.put("dir-001")
    end(world)

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.ADOPTED]
    assert world.service.count("create") == 0


def test_c2_after_an_incomplete_look_nothing_is_sent(world: World) -> None:
    def fail(_: Listing, __: str | None, page: Page) -> Page:
        if world.service.count("list") == 2:
            raise UnavailableError("503", status=503)
        return page

    world.service.on_list = fail

    applied = world.apply()

    assert [(r.outcome, r.why) for r in applied.results] == [
        (Outcome.UNSEEN, "the listing is incomplete: 503")
    ]
    assert world.service.count("create") == 0


def test_c3_the_intent_is_in_the_journal_before_the_create_is_entered(world: World) -> None:
    found: list[tuple[Key, str]] = []

    def on_create(key: Key) -> None:
        journal = read_journal(world.journal_file.read_bytes(), "journal")
        found.extend((intent.key, intent.run) for intent in journal.open)
        assert key in [intent.key for intent in journal.open]

    world.service.on_create = on_create
    world.apply()

    assert found == [(world.desired.batches[0].key, f"run-{world.runs}")]
    assert world.journal.open == ()


def test_c3_an_intent_knows_every_batch_of_the_directory_live_or_recorded(world: World) -> None:
    world.also = [wanted("other", "dir-001", world.rerun, "cfg-2")]
    names, world.names = world.names, []
    world.apply()  # bat-1 of cfg-2 is recorded
    world.names = names
    stranger = world.service.put("dir-001", "cfg-9")
    known: list[frozenset[str]] = []
    world.service.on_create = lambda _: known.extend(intent.known for intent in world.journal.open)

    world.apply()

    assert known == [frozenset({"bat-1", stranger})]


def test_o5_a_listing_that_lacks_what_is_recorded_of_another_key_is_not_believed(world: World) -> None:
    world.also = [wanted("other", "dir-001", world.rerun, "cfg-2")]
    names, world.names = world.names, []
    world.apply()  # bat-1 of cfg-2 is recorded
    world.names = names
    somebodys = world.service.put("dir-001")
    # a stale page: neither the recorded one nor somebody's batch of the wanted key is in it
    world.service.order = lambda _: []

    applied = world.apply()

    assert [result.outcome for result in applied.results] == [Outcome.UNSEEN]
    assert [batch.id for batch in world.service.existing()] == ["bat-1", somebodys]


def test_o5_what_the_service_forgot_of_another_key_blocks_nothing(world: World) -> None:
    world.also = [wanted("other", "dir-001", world.rerun, "cfg-2")]
    names, world.names = world.names, []
    world.apply()
    world.service.set("bat-1", Status.COMPLETED)
    world.apply()  # trusted from now on (O1)
    world.names = names
    world.service.rows[0].exists = world.service.rows[0].listed = float("inf")

    applied = world.apply()

    assert [(str(r.action.address), r.outcome) for r in applied.results] == [("set/dir-001", Outcome.CREATED)]


def test_c3_eight_concurrent_creates_take_no_more_syncs_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, syncs = os.fsync, 0

    def count(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    taken = []
    for directories in (1, 8):
        folder = tmp_path / str(directories)
        folder.mkdir()
        world = World(folder, directories)
        world.warm()
        before = syncs
        world.apply()
        taken.append(syncs - before)
        assert world.service.count("create") == directories
        assert world.service.most_inside == directories

    assert taken[0] == taken[1]


def test_c3_a_look_older_than_ten_seconds_is_not_used(world: World) -> None:
    slow = [11.0, 10.0]

    def on_request(what: str) -> None:
        world.service.latency = 0.0
        if what.startswith("before list") and world.service.count("list") >= 1 and slow:
            world.service.latency = slow.pop(0)

    world.service.on_request = on_request
    begun = world.time.seconds

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.CREATED]
    assert world.service.sent_at == [begun + 21.0]
    assert world.service.requests.count("list dir-001") == 3
    assert world.journal.open == ()


def test_c3_a_service_that_is_always_too_slow_is_given_up(world: World) -> None:
    world.service.latency = 11.0

    applied = world.apply()

    assert [(r.outcome, r.why) for r in applied.results] == [
        (Outcome.FAILED, "the service is too slow to be looked at and sent to within 10 s")
    ]
    assert world.service.count("create") == 0
    assert world.journal.warm


def test_r9_with_the_lockfile_lost_everything_is_adopted(tmp_path: Path) -> None:
    world = World(tmp_path, directories=3)
    world.apply()
    before = world.lock
    (tmp_path / "reconciler.lock").unlink()

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.ADOPTED] * 3
    assert world.service.count("create") == 3
    assert {key: entry.current for key, entry in world.lock.entries.items()} == {
        key: entry.current for key, entry in before.entries.items()
    }
