"""Listing for people: page by page, each batch once, and what is missing is said in the end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from engine_time import START
from engine_world import World

from reconciler.engine.browse import browse
from reconciler.model.batch import Batch, Status
from reconciler.model.errors import AuthenticationError, UnavailableError
from reconciler.model.listed import Filters, Listed, Missed, Role
from reconciler.model.ports import Listing, Page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def listed(world: World, filters: Filters | None = None) -> tuple[list[list[Listed]], tuple[Missed, ...]]:
    pages: list[list[Listed]] = []

    def show(page: Sequence[Listed]) -> None:
        pages.append(list(page))

    providers = [("prod", world.service)]
    missed = world.time.run(browse(providers, filters or Filters(), world.desired, world.lock, show))
    return pages, missed


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, 1)
    for _ in range(3):
        world.service.put("dir-001")
        world.service.put("dir-elsewhere", status=Status.COMPLETED)
    world.service.page_size = 2
    return world


def names(pages: list[list[Listed]]) -> list[list[str]]:
    return [[item.batch.id for item in page] for page in pages]


def test_pages_are_shown_as_they_come_with_their_owners(world: World) -> None:
    pages, missed = listed(world)

    assert names(pages) == [["bat-1", "bat-2"], ["bat-3", "bat-4"], ["bat-5", "bat-6"]]
    assert [(str(item.owner), item.role) for item in pages[0]] == [
        ("set/dir-001", Role.UNRECORDED),
        ("None", Role.NONE),
    ]
    assert {item.provider for page in pages for item in page} == {"prod"}
    assert (missed, world.service.count("list")) == ((), 3)


def test_the_service_is_asked_with_its_filters_and_checked_again(world: World) -> None:
    asked: set[Listing] = set()

    def note(listing: Listing, _: str | None, page: Page) -> Page:
        asked.add(listing)
        return page

    world.service.on_list = note
    filters = Filters("dir-elsewhere", Status.COMPLETED, START - timedelta(1), START + timedelta(1))

    pages, _ = listed(world, filters)

    assert names(pages) == [["bat-2", "bat-4"], ["bat-6"]]
    assert asked == {Listing("dir-elsewhere", Status.COMPLETED, START - timedelta(1), START + timedelta(1))}
    pages, _ = listed(world, Filters(status=Status.FAILED))  # a service that does not filter
    assert pages == []


def test_what_was_read_is_shown_and_what_is_missing_is_said(world: World) -> None:
    def broken(_: Listing, token: str | None, page: Page) -> Page:
        if token == "4":
            raise UnavailableError("503")
        return page

    world.service.on_list = broken

    pages, missed = listed(world)

    assert names(pages) == [["bat-1", "bat-2"], ["bat-3", "bat-4"]]
    assert missed == (Missed("prod", "503"),)


def test_a_token_that_comes_twice_is_an_end_that_is_said(world: World) -> None:
    world.service.on_list = lambda _, __, page: page._replace(next="2")

    pages, missed = listed(world)

    assert names(pages)[:2] == [["bat-1", "bat-2"], ["bat-3", "bat-4"]]
    assert missed == (Missed("prod", "the listing is incomplete: a page token came twice"),)


def test_a_batch_that_comes_twice_is_shown_once_and_told_where_another_may_lack(world: World) -> None:
    def again(batches: list[Batch]) -> list[Batch]:
        return [batches[0], *batches]

    world.service.order = again
    pages, missed = listed(world)
    assert [name for page in names(pages) for name in page] == [f"bat-{number}" for number in range(1, 7)]
    assert missed == ()  # sorted by creation, new ones at the head move the others on
    for number, row in enumerate(world.service.rows):
        world.service.rows[number].batch = Batch(row.batch.id, row.batch.key, row.batch.status)
    assert listed(world)[1] == (Missed("prod", "the listing changed while it was read: bat-1 came twice"),)


def test_a_key_that_is_refused_is_said_like_everything_else_that_is_missing(world: World) -> None:
    def refused(_: Listing, __: str | None, ___: Page) -> Page:
        raise AuthenticationError("401")

    world.service.on_list = refused
    assert listed(world) == ([], (Missed("prod", "401"),))
