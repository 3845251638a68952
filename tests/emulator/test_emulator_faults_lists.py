"""Faults of lists, as a client meets them that pages through one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.faults.active import ActiveFaults
from reconciler.emulator.faults.document import NO_FAULTS, faults_of
from reconciler.emulator.faults.injector import Injector
from reconciler.emulator.faults.inprocess import InProcessTransport
from reconciler.emulator.faults.journal import Journal
from reconciler.emulator.moments import rfc3339

if TYPE_CHECKING:
    from starlette.requests import Request

JSON: TypeAlias = Any

NOW = 1_790_000_000_000_000
SECOND = 1_000_000


class World:
    """Both APIs' lists over ten items behind an injector; each was created a second before the last."""

    def __init__(self, *entries: JSON, seed: int = 0, count: int = 10) -> None:
        source = {**NO_FAULTS.source, "seed": seed, "faults": list(entries)}
        self.journal = Journal(lambda: NOW)
        self.sizes: list[int] = []
        self.items = [{"id": n, "created_at": rfc3339(NOW - n * SECOND)} for n in range(count)]
        app = Starlette(routes=[Route("/api/things", self.llama), Route("/v1/things", self.talonic)])
        injector = Injector(
            app,
            active=ActiveFaults(faults_of(source, source="test")),
            journal=self.journal,
            clock=lambda: NOW,
        )
        transport = InProcessTransport(injector, clock=lambda: NOW)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://local")

    def cut(self, token: str | None, size: int) -> tuple[list[JSON], str | None]:
        self.sizes.append(size)
        start = int((token or "t0").removeprefix("t"))
        return self.items[start : start + size], f"t{start + size}" if start + size < len(
            self.items
        ) else None

    async def llama(self, request: Request) -> Response:
        query = request.query_params
        items, token = self.cut(query.get("page_token"), int(query.get("page_size", 50)))
        return JSONResponse({"items": items, "next_page_token": token, "total_size": None})

    async def talonic(self, request: Request) -> Response:
        query = request.query_params
        items, token = self.cut(query.get("cursor"), int(query.get("limit", 20)))
        paging = {"total": len(self.items), "limit": 3, "has_more": token is not None, "next_cursor": token}
        return JSONResponse({"data": items, "pagination": paging})

    async def page(
        self, token: str | None, size: int | None = 3, api: str = "llama"
    ) -> tuple[JSON, str | None]:
        llama = api == "llama"
        names = ("page_token", "page_size") if llama else ("cursor", "limit")
        params = {name: value for name, value in zip(names, (token, size), strict=True) if value is not None}
        reply = await self.client.get("/api/things" if llama else "/v1/things", params=params)
        value = reply.json()
        if llama:
            assert value.keys() == {"items", "next_page_token", "total_size"}
            return [item["id"] for item in value["items"]], value["next_page_token"]
        assert value["pagination"]["has_more"] is (value["pagination"]["next_cursor"] is not None)
        return [item["id"] for item in value["data"]], value["pagination"]["next_cursor"]

    def walk(
        self, size: int | None = 3, api: str = "llama", limit: int = 9
    ) -> list[tuple[list[int], str | None]]:
        async def story() -> list[tuple[list[int], str | None]]:
            pages: list[tuple[list[int], str | None]] = []
            token = None
            while len(pages) < limit:
                pages.append(await self.page(token, size, api))
                token = pages[-1][1]
                if token is None:
                    break
            return pages

        return asyncio.run(story())

    def notes(self) -> list[str | None]:
        return [each.note for each in self.journal]


def fault(kind: str, **fields: JSON) -> JSON:
    return {"fault": kind, **({} if {"nth", "every"} & fields.keys() else {"every": 1}), **fields}


PLAIN = [([0, 1, 2], "t3"), ([3, 4, 5], "t6"), ([6, 7, 8], "t9"), ([9], None)]
APIS = pytest.mark.parametrize("api", ["llama", "talonic"])


@APIS
def test_without_a_fault_pages_are_the_services_own(api: str) -> None:
    assert World().walk(api=api) == PLAIN


@APIS
def test_an_empty_page_has_a_token_that_goes_on_at_the_same_place(api: str) -> None:
    this = World(fault("emptyPage", nth=[1, 3, 4]))
    assert this.walk(api=api) == [
        ([], "empty1~"),
        ([0, 1, 2], "t3"),
        ([], "empty1~t3"),
        ([], "empty2~t3"),
        *PLAIN[1:],
    ]
    assert [dict(each.query).get("page_token" if api == "llama" else "cursor") for each in this.journal] == [
        None,
        "empty1~",
        "t3",
        "empty1~t3",
        "empty2~t3",
        "t6",
        "t9",
    ]


@APIS
def test_a_repeated_token_is_the_one_that_was_sent(api: str) -> None:
    this = World(fault("repeatedToken", nth=2))
    assert this.walk(api=api) == [PLAIN[0], ([3, 4, 5], "t3"), PLAIN[1], *PLAIN[2:]]


@APIS
def test_after_the_first_page_a_token_comes_twice(api: str) -> None:
    this = World(fault("repeatedToken", nth=1))
    assert this.walk(api=api) == [([0, 1, 2], "again1~t3"), ([3, 4, 5], "again1~t3"), *PLAIN[1:]]
    assert this.notes() == [None, "the token came a second time: an earlier fault goes on", None, None, None]


def test_a_single_page_has_no_token_to_repeat() -> None:
    this = World(fault("repeatedToken"), count=2)
    assert this.walk() == [([0, 1], None)]
    assert this.notes() == ["the answer has nothing that this fault changes"]


@APIS
def test_an_inserted_item_moves_the_last_of_a_page_to_the_next(api: str) -> None:
    this = World(fault("inserted", nth=2))
    assert this.walk(api=api) == [([0, 1, 2], "t3"), ([2, 3, 4], "t5"), ([5, 6, 7], "t8"), ([8, 9], None)]
    assert this.sizes == [3, 2, 3, 3]


def test_items_inserted_before_every_page_repeat_each_last_one() -> None:
    assert World(fault("inserted")).walk() == [
        ([0, 1, 2], "t3"),
        ([2, 3, 4], "t5"),
        ([4, 5, 6], "t7"),
        ([6, 7, 8], "t9"),
        ([8, 9], None),
    ]


@pytest.mark.parametrize(("api", "size"), [("llama", 50), ("talonic", 20)])
def test_without_a_size_the_page_is_as_long_as_it_would_have_been(api: str, size: int) -> None:
    this = World(fault("inserted", nth=2), count=120)
    pages = this.walk(None, api)
    assert [len(items) for items, _ in pages[:2]] == [size] * 2
    assert pages[1][0] == list(range(size - 1, 2 * size - 1))


def test_with_one_item_a_page_the_inserted_one_is_all_of_it() -> None:
    this = World(fault("inserted", nth=2), count=3)
    assert this.walk(1) == [([0], "t1"), ([0], "empty1~t1"), ([1], "t2"), ([2], None)]


def test_a_token_that_was_not_seen_here_has_no_item_before_it() -> None:
    this = World(fault("inserted"))
    assert asyncio.run(this.page("t3")) == ([3, 4, 5], "t6")
    assert this.notes() == ["the answer has nothing that this fault changes"]


@APIS
def test_reordered_pages_are_shuffled_and_lack_one_item_after_the_first(api: str) -> None:
    this = World(fault("reordered"), seed=1)
    pages = this.walk(api=api)
    assert [(sorted(items), token) for items, token in pages] == [
        ([0, 1, 2], "t3"),
        ([3, 4], "t6"),
        ([6, 7], "t9"),
        ([], None),
    ]
    assert pages != [(sorted(items), token) for items, token in pages]
    assert World(fault("reordered"), seed=1).walk(api=api) == pages
    others = [World(fault("reordered"), seed=seed).walk(api=api) for seed in range(2, 6)]
    assert any(other != pages for other in others)


@APIS
def test_a_list_lags_behind_by_the_services_clock(api: str) -> None:
    this = World(fault("lag", seconds=4))
    assert this.walk(api=api) == [([], "t3"), ([4, 5], "t6"), *PLAIN[2:]]
    assert this.notes() == [None, None, *["the answer has nothing that this fault changes"] * 2]


def test_a_marked_token_is_unwrapped_even_when_no_fault_is_in_force() -> None:
    assert asyncio.run(World().page("empty7~t3")) == ([3, 4, 5], "t6")


def test_a_fault_of_lists_leaves_other_answers() -> None:
    this = World(fault("emptyPage"))
    reply = asyncio.run(this.client.get("/api/nothing"))
    assert (reply.status_code, this.notes()) == (404, ["the answer is no page of a list"])
