"""Drift over a whole project: what a listing lacks is asked for by id, and half of one proves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_world import ENDPOINT, PROJECT, World

from reconciler.engine.by_hand import cancel_batch
from reconciler.engine.drift import find_drift
from reconciler.engine.run import Run
from reconciler.engine.stop import Stop
from reconciler.model.batch import Address, Home, Status
from reconciler.model.drift import Drift, DriftKind
from reconciler.model.errors import SettingsError, UnavailableError
from reconciler.model.result import Cancelling

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from reconciler.model.ports import Listing, Page

HOME = Home(ENDPOINT, PROJECT)


def drift(world: World, *, since: datetime | None = None, closely: bool = False) -> Drift:
    found = world.time.run(
        find_drift(
            world._eyes(),
            desired=world.desired,
            lock=world.lock,
            intents=world.journal.open,
            blocks={HOME: "prod"},
            ignore=(),
            since=since,
            closely=closely,
        )
    )
    assert isinstance(found, Drift)
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three batches, created and recorded."""
    world = World(tmp_path, 3)
    world.apply()
    return world


def kinds(found: Drift) -> list[tuple[DriftKind, str]]:
    return [(item.kind, item.batch.id) for item in found.deviations]


def test_what_was_applied_does_not_drift(world: World) -> None:
    found = drift(world)
    assert (found.deviations, found.unseen) == ((), ())
    assert world.service.count("get") == 0


def test_a_batch_that_is_gone_is_told_once_it_answers_404(world: World) -> None:
    gone = world.service.rows.pop()
    gone.exists = float("inf")
    world.service.rows.append(gone)
    gone.listed = float("inf")
    assert kinds(drift(world)) == [(DriftKind.GONE, gone.batch.id)]


def test_a_batch_that_is_only_not_listed_is_never_gone_and_the_listing_is_read_again_r7(world: World) -> None:
    world.service.rows[0].listed = float("inf")
    world.service.requests.clear()
    found = drift(world)
    assert found.deviations == ()
    assert [item.why for item in found.unseen] == [
        f"the listing lacks {world.service.rows[0].batch.id}, though the service knows it"
    ]
    assert world.service.requests.count("list *") == 2


def test_a_listing_that_breaks_off_says_nothing_r7(world: World) -> None:
    world.service.page_size = 1

    def fail(listing: Listing, token: str | None, page: Page) -> Page:
        if token is not None:
            raise UnavailableError("503")
        return page

    world.service.on_list = fail
    found = drift(world)
    assert (found.deviations, len(found.unseen)) == ((), 1)


def test_an_id_that_cannot_be_asked_for_is_not_gone_r7(world: World) -> None:
    world.service.rows[0].listed = float("inf")

    def fail(name: str) -> None:
        raise UnavailableError(f"503 for {name}")

    world.service.on_get = fail
    found = drift(world)
    assert (found.deviations, len(found.unseen)) == ((), 1)


def test_a_strangers_directory_is_looked_up_since_none_can_be_taken_in_without_it(world: World) -> None:
    world.service.there.add("dir-998")
    there = world.service.put("dir-998", status=Status.COMPLETED)
    nowhere = world.service.put("dir-999", status=Status.COMPLETED)
    found = drift(world)
    assert [(item.batch.id, item.counts) for item in found.deviations] == [(there, True), (nowhere, False)]


def test_a_stranger_and_a_twin_are_told_apart(world: World) -> None:
    stranger = world.service.put("dir-999")
    other = world.service.put("dir-001", "cfg-9")
    twin = world.service.put("dir-002")
    assert kinds(drift(world)) == [
        (DriftKind.NOT_DESIRED, stranger),
        (DriftKind.OTHER_WORK, other),
        (DriftKind.SURPLUS, twin),
    ]


def _cancel(world: World, address: Address, name: str) -> Cancelling:
    with world._store().hold(0) as session:
        run = Run(
            id="by-hand",
            eyes=world._eyes(),
            session=session,
            desired=world.desired,
            audit=world.ledger,
            stop=Stop(),
            random=lambda: 0.5,
            lock=session.lock,
        )
        cancelling = world.time.run(cancel_batch(run, address, name))
    assert isinstance(cancelling, Cancelling)
    return cancelling


def test_the_command_that_a_surplus_names_works_also_where_nobody_recorded_it(world: World) -> None:
    twin = world.service.put("dir-002")
    (item,) = drift(world).deviations
    assert item.address is not None
    assert item.next == f"reconciler cancel {item.address} {twin}"

    assert _cancel(world, item.address, twin).batch.status is Status.CANCELLED

    assert drift(world).deviations == ()
    (entry,) = [entry for entry in world.lock.entries.values() if entry.address == item.address]
    assert entry.current != twin
    assert {batch.id for batch in entry.batches} == {entry.current, twin}
    assert world.apply().plan.changes is False


def test_a_batch_of_other_work_is_not_cancelled_by_an_address(world: World) -> None:
    other = world.service.put("dir-002", "cfg-9")
    with pytest.raises(SettingsError, match=f"{other} is not recorded at"):
        _cancel(world, Address(next(iter(world.lock.entries.values())).address.set, "dir-002"), other)
    assert world.service.count("cancel") == 0
