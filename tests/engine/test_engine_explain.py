"""What an explanation sees, also where that is not everything: it says so, and nothing counts as absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_world import World

from reconciler.engine.explain import explain_address
from reconciler.engine.stop import Stop
from reconciler.model.batch import Address, Status
from reconciler.model.errors import SettingsError, UnavailableError
from reconciler.model.explanation import Explanation, Standing
from reconciler.model.plan import ActionKind
from reconciler.model.project import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.ports import Listing, Page


def explain(world: World, address: Address | None = None) -> Explanation:
    found = world.time.run(
        explain_address(
            world._eyes(),
            address or world.desired.batches[0].address,
            desired=world.desired,
            lock=world.lock,
            intents=world.journal.open,
            limits=Limits(),
            patience=Stop(),
        )
    )
    assert isinstance(found, Explanation)
    return found


def standings(explanation: Explanation) -> list[tuple[str, Standing]]:
    return [(item.batch.id, item.standing) for item in explanation.verdicts]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One batch, created and recorded, and one of other work over its directory."""
    world = World(tmp_path)
    world.apply()
    world.service.put("dir-001", "cfg-9")
    return world


def test_everything_over_the_directory_is_listed(world: World) -> None:
    found = explain(world)
    assert standings(found) == [("bat-1", Standing.STANDS), ("bat-2", Standing.OTHER_WORK)]
    assert found.unknown == ""
    assert [course.action.kind for course in found.courses] == [ActionKind.KEEP]


def test_a_recorded_batch_that_is_only_not_listed_is_asked_for(world: World) -> None:
    world.service.rows[0].listed = float("inf")
    found = explain(world)
    assert standings(found)[0] == ("bat-1", Standing.STANDS)
    assert "the listing lacks it, though the service knows it" in found.verdicts[0].why


def test_a_recorded_batch_that_is_gone_says_how_to_settle_that(world: World) -> None:
    world.service.rows[0].listed = world.service.rows[0].exists = float("inf")
    found = explain(world)
    assert standings(found) == [("bat-1", Standing.GONE), ("bat-2", Standing.OTHER_WORK)]
    (course,) = found.courses
    assert course.action.kind is ActionKind.UNRESOLVED
    assert course.ways[-1].endswith("`reconciler lock resolve set/dir-001 --absent`")


def test_a_listing_that_fails_is_told_and_what_is_recorded_is_shown_r7(world: World) -> None:
    def fail(listing: Listing, token: str | None, page: Page) -> Page:
        raise UnavailableError("503")

    def fail_too(name: str) -> None:
        raise UnavailableError("503")

    world.service.on_list = fail
    found = explain(world)
    assert standings(found) == [("bat-1", Standing.STANDS)]
    assert "503" in found.unknown

    world.service.on_get = fail_too
    found = explain(world)
    assert standings(found) == [("bat-1", Standing.UNSEEN)]
    assert "503" in found.unknown


def test_the_plan_that_is_explained_is_the_plan_that_is_made(world: World) -> None:
    for status in (Status.FAILED, Status.CANCELLED, Status.COMPLETED):
        world.service.set("bat-1", status)
        (course,) = explain(world).courses
        assert [course.action] == list(world.plan().actions)


def test_an_unknown_address_names_a_close_one(world: World) -> None:
    with pytest.raises(SettingsError, match="neither in the manifests nor recorded") as raised:
        explain(world, Address("set", "dir-01"))
    assert "set/dir-001" in raised.value.next
