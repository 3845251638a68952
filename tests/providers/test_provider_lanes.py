"""Reads over lanes: they ask, fail and end as they would through httpx's client."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import NoneType
from typing import TYPE_CHECKING

import pytest
from provider_limiter import many_turns
from provider_sockets import Connection, Serve, StillClock, answer, drip, serving

from reconciler.adapters.providers.client import Client
from reconciler.adapters.providers.connection import Line, connect
from reconciler.adapters.providers.lanes import Lanes
from reconciler.adapters.providers.llamacloud import LlamaCloud
from reconciler.model.batch import JobType, Key
from reconciler.model.errors import NotFoundError, NotSentError, ServiceError, SettingsError
from reconciler.model.intent import Rejected
from reconciler.model.ports import Listing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

SECRET = "llx-marked-key-never-shown"
EMPTY = json.dumps({"items": [], "next_page_token": None}).encode()


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def cloud(base_url: str, deadline: float = 60.0, *, lanes: bool = True) -> AsyncIterator[LlamaCloud]:
    async with Line(base_url, SECRET, parallelism=8) as line:
        if not lanes:
            assert isinstance(line.client, Client)
            line.client.lanes = None
        yield LlamaCloud(
            line,
            endpoint="here",
            project="prj 1/é",
            organization=None,
            settle=0,
            clock=StillClock(),
            random=lambda: 0.0,
            limiter=many_turns(),
            deadline=deadline,
        )


def asked(serve: Serve, pages: int = 1, *, lanes: bool) -> tuple[list[str], int]:
    """What asking for pages one after the other came to, and over how many connections."""

    async def scenario() -> tuple[list[str], int]:
        told: list[str] = []
        async with serving(serve) as server, cloud(f"{server.where}/below/", lanes=lanes) as provider:
            for _ in range(pages):
                try:
                    told.append(str((await provider.list_page(Listing(), "a b&c")).batches))
                except ServiceError as error:
                    told.append(f"{type(error).__name__}: {error} ({error.next})")
            return told, len(server.accepted)

    return asyncio.run(scenario())


def heads(*, lanes: bool) -> list[bytes]:
    heard: list[bytes] = []

    async def serve(connection: Connection) -> None:
        while True:
            heard.append(await connection.request())
            await connection.send(answer("200 OK", EMPTY))

    assert asked(serve, 3, lanes=lanes) == (["()"] * 3, 1)
    return heard


def test_pages_follow_one_another_on_one_connection() -> None:
    for head in heads(lanes=True):
        assert head.startswith(
            b"GET /below/api/v2/batches?page_size=100&page_token=a%20b%26c&project_id=prj%201%2F%C3%A9 "
        )


def test_what_is_asked_has_the_headers_of_all_requests() -> None:
    def headers(head: bytes) -> list[bytes]:
        # The port is another one each time.
        return sorted(line.lower() for line in head.split(b"\r\n")[1:] if not line.startswith(b"Host:"))

    assert headers(heads(lanes=True)[0]) == headers(heads(lanes=False)[0])
    assert b"Host: 127.0.0.1:" in heads(lanes=True)[0]


def test_every_read_has_a_lane_and_a_create_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    over_lanes: list[str] = []
    build = Lanes.build

    def noted(self: Lanes, path: str, query: Iterable[tuple[str, str]]) -> object:
        over_lanes.append(path)
        return build(self, path, query)

    monkeypatch.setattr(Lanes, "build", noted)

    async def serve(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(answer("404 Not Found", b"{}"))

    async def scenario() -> None:
        async with serving(serve) as server, cloud(server.where) as provider:
            for read in (
                provider.list_page(Listing(), None),
                provider.list_page(Listing(directory="dir-1"), None),
                provider.get("bat-1"),
                provider.directory("dir-1"),
                anext(provider.files("dir-1")),
            ):
                with pytest.raises(NotFoundError):
                    await read
            assert await provider.configuration("cfg-1") is None
            key = Key("here", "prj-1", "dir-1", JobType.PARSE_V2, "cfg-1")
            assert isinstance(await provider.create(key, ()), Rejected)

    asyncio.run(scenario())
    batches, directories = "/api/v2/batches", "/api/v1/beta/directories/dir-1"
    assert over_lanes == [
        *(batches, batches, f"{batches}/bat-1", directories, f"{directories}/files"),
        "/api/v1/beta/configurations/cfg-1",
    ]


def test_a_lane_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long that what stands between may have forgotten it."""
    monkeypatch.setattr("reconciler.adapters.providers.lanes._LONGEST_IDLE", 0.0)

    async def serve(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(answer("200 OK", EMPTY))

    assert asked(serve, 3, lanes=True) == (["()"] * 3, 3)


def four_at_once() -> Serve:
    """Answers nobody until four have asked, and from then on everybody."""
    begun, all_there = 0, asyncio.Event()

    async def serve(connection: Connection) -> None:
        nonlocal begun
        while True:
            await connection.request()
            begun += 1
            if begun == 4:
                all_there.set()
            await all_there.wait()
            await connection.send(answer("200 OK", EMPTY))

    return serve


def test_lanes_that_a_burst_left_behind_are_closed_by_the_next_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, all_closed, at_once = 0, asyncio.Event(), four_at_once()

    async def serve(connection: Connection) -> None:
        nonlocal ended
        try:
            await at_once(connection)
        except asyncio.IncompleteReadError:
            ended += 1
            if ended == 4:
                all_closed.set()

    async def scenario() -> int:
        async with serving(serve) as server, cloud(server.where) as provider:
            await asyncio.gather(*(provider.list_page(Listing(), None) for _ in range(4)))
            monkeypatch.setattr("reconciler.adapters.providers.lanes._LONGEST_IDLE", 0.0)
            await provider.list_page(Listing(), None)
            await all_closed.wait()
            return len(server.accepted)

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == 5


def test_what_cannot_be_written_in_a_query_was_not_sent() -> None:
    """Half a surrogate pair: a name from a service may be one."""

    async def scenario(*, lanes: bool) -> None:
        async with cloud("http://127.0.0.1:9", lanes=lanes) as provider:
            with pytest.raises(NotSentError, match="the request cannot be written"):
                await provider.list_page(Listing(directory="\ud800"), None)

    asyncio.run(scenario(lanes=True))
    asyncio.run(scenario(lanes=False))


FAILURES: dict[str, bytes | None] = {
    "closes": b"",
    "resets": None,
    "is cut off": answer("200 OK", EMPTY[:9], length=len(EMPTY)),
    "is no http": b"\x00\x01 hello \xff\r\n\r\n",
    "redirects": answer("307 Temporary", b"", "Location: http://127.0.0.1:9/"),
    "refuses": answer("403 Forbidden", SECRET.encode()),
    "breaks": answer("500 Broken", b"oh", length=20),
    "is packed": answer("200 OK", EMPTY, "Content-Encoding: gzip"),
    "is packed otherwise": answer("200 OK", EMPTY, "Content-Encoding: br"),
    "closes after the reply": answer("200 OK", EMPTY, "Connection: close"),
    "closes behind the reply": answer("200 OK", EMPTY),
}


@pytest.mark.parametrize("reply", FAILURES.values(), ids=FAILURES.keys())
def test_what_becomes_of_a_page_does_not_depend_on_its_way(reply: bytes | None) -> None:
    """Also what is said of it; a lane that the service closed is not used for the next page."""

    async def serve(connection: Connection) -> None:
        await connection.request()
        if reply is None:
            connection.reset()
        else:
            await connection.send(reply)

    over_lanes, plainly = asked(serve, 2, lanes=True), asked(serve, 2, lanes=False)
    assert over_lanes == plainly
    assert SECRET not in str(over_lanes)


def test_nobody_listens_and_both_ways_say_so() -> None:
    async def scenario(*, lanes: bool) -> str:
        async with cloud("http://127.0.0.1:9", lanes=lanes) as provider:
            with pytest.raises(ServiceError) as caught:
                await provider.list_page(Listing(), None)
            return str(caught.value)

    assert asyncio.run(scenario(lanes=True)) == asyncio.run(scenario(lanes=False))


def test_a_page_that_drips_in_for_ever_is_given_up_on() -> None:
    async def scenario() -> tuple[str, int]:
        async with serving(drip) as server, cloud(server.where, deadline=0.05) as provider:
            with pytest.raises(ServiceError, match="TimeoutError") as caught:
                await provider.list_page(Listing(), None)
            return type(caught.value).__name__, len(server.accepted)

    assert asyncio.run(scenario()) == ("UnavailableError", 5)


def test_as_many_lanes_are_open_as_pages_are_read_at_once() -> None:
    async def scenario() -> int:
        async with serving(four_at_once()) as server, cloud(server.where) as provider:
            for _ in range(2):
                await asyncio.gather(*(provider.list_page(Listing(), None) for _ in range(4)))
            return len(server.accepted)

    assert asyncio.run(scenario()) == 4


@pytest.mark.parametrize(
    ("url", "proxy", "kind"),
    [
        ("https://host.test", "", Lanes),
        ("https://host.test", "http://proxy.test", NoneType),
        ("http://127.0.0.1:1", "http://proxy.test", Lanes),
    ],
)
def test_there_are_no_lanes_where_a_proxy_may_stand(
    url: str, proxy: str, kind: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)

    async def scenario() -> None:
        async with connect(url, SECRET) as client:
            assert isinstance(client, Client)
            assert isinstance(client.lanes, kind)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "url", ["http://host.test", "ftp://127.0.0.1", "https://me@host.test", "", "https://a:0"]
)
def test_where_the_key_may_not_go_is_said_before_anything_is_made(url: str) -> None:
    def said(way: Callable[[], object]) -> str:
        try:
            way()
        except SettingsError as error:
            return str(error)
        return ""

    assert said(lambda: Line(url, SECRET, parallelism=1)) == said(lambda: connect(url, SECRET))
