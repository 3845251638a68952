"""What an application raises: the client is answered, the owner is told in one line."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from faults_stand import PATIENCE
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from reconciler.emulator.faults.active import ActiveFaults
from reconciler.emulator.faults.connections import Connections
from reconciler.emulator.faults.document import NO_FAULTS, faults_of
from reconciler.emulator.faults.injector import Injector
from reconciler.emulator.faults.inprocess import InProcessTransport
from reconciler.emulator.faults.journal import Journal
from reconciler.emulator.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

JSON: TypeAlias = Any

FAILED = {"detail": "the stand-in failed: ZeroDivisionError"}


async def fail(request: Request) -> Response:
    await request.body()
    raise ZeroDivisionError("by\x1b[2J nothing")


async def own(request: Request) -> Response:
    return PlainTextResponse("my own", 500)


async def half(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    return StreamingResponse(parts())


class World:
    """An application that fails, behind an injector."""

    def __init__(self, *entries: JSON) -> None:
        self.journal = Journal(lambda: 0)
        self.connections = Connections()
        app = Starlette(
            routes=[
                Route("/fail", fail, methods=["GET", "POST"]),
                Route("/__admin/fail", fail),
                Route("/own", own),
                Route("/half", half),
            ]
        )
        faults = faults_of({**NO_FAULTS.source, "faults": list(entries)}, source="test")
        self.app = Injector(
            app,
            active=ActiveFaults(faults),
            journal=self.journal,
            clock=lambda: 0,
            lines=self.connections,
        )

    def ask(self, method: str, path: str, **options: JSON) -> httpx.Response:
        """Ask over a socket."""

        async def story() -> httpx.Response:
            server = Server(self.app, port=0, connections=self.connections)
            serving = asyncio.ensure_future(server.serve())
            try:
                async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as client:
                    return await client.request(method, path, **options)
            finally:
                server.stop()
                await serving

        return asyncio.run(story())

    def facts(self) -> list[JSON]:
        return [(each.status, each.effect) for each in self.journal]


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [
        (record.name, record.levelname, record.getMessage())
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


def line(request: str, words: str = "") -> tuple[str, str, str]:
    return (
        "reconciler.emulator",
        "ERROR",
        f"{request}: the stand-in failed: ZeroDivisionError: {words!a}",
    )


@pytest.mark.parametrize("fault", [None, "closed", "truncated", "drip"])
def test_what_is_raised_is_answered_and_told_in_one_line(
    fault: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    this = World(*([] if fault is None else [{"fault": fault, "nth": 1}]))
    reply = this.ask("POST", "/fail", content=b"x")
    assert (reply.status_code, reply.json(), reply.headers["content-type"]) == (
        500,
        FAILED,
        "application/json",
    )
    assert this.facts() == [(500, False)]
    assert told(caplog) == [line("POST '/fail'", "by\x1b[2J nothing")]
    assert [record for record in caplog.records if record.exc_info] == []


def test_the_traceback_is_for_whoever_asks_for_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="reconciler.emulator"):
        World().ask("GET", "/fail")
    assert [record.levelname for record in caplog.records if record.exc_info] == ["DEBUG"]


def test_what_the_administration_raises_is_answered_too(caplog: pytest.LogCaptureFixture) -> None:
    this = World()
    reply = this.ask("GET", "/__admin/fail")
    assert (reply.status_code, reply.json()) == (500, FAILED)
    assert told(caplog) == [line("GET '/__admin/fail'", "by\x1b[2J nothing")]
    assert this.facts() == []


def test_an_answer_that_has_begun_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    this = World()
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        this.ask("GET", "/half")
    assert told(caplog) == [line("GET '/half'")]
    assert this.facts() == [(200, False)]


def test_an_answer_of_500_that_the_application_means_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    this = World()
    reply = this.ask("GET", "/own")
    assert (reply.status_code, reply.text, told(caplog)) == (500, "my own", [])
    assert this.facts() == [(500, False)]


def test_it_is_the_same_in_process() -> None:
    this = World({"fault": "reset", "nth": 2, "when": "after"})
    transport = InProcessTransport(this.app, clock=lambda: 0)

    async def story() -> list[JSON]:
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            replies = [await client.get(path) for path in ("/fail", "/fail", "/own")]
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/half")
            return [json.loads(reply.content) for reply in replies[:2]] + [replies[2].text]

    assert asyncio.run(story()) == [FAILED, FAILED, "my own"]
    assert this.facts() == [(500, False), (500, False), (500, False), (200, False)]


def test_the_log_has_a_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    this = World({"fault": "status", "status": 503, "nth": 2}, {"fault": "clock", "nth": 3})
    transport = InProcessTransport(this.app, clock=lambda: 0)

    async def story() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            for path in ("/none?a=b%0a", "/none", "/none"):
                await client.get(path)

    with caplog.at_level(logging.INFO, logger="reconciler.emulator"):
        asyncio.run(story())
    assert [record.getMessage() for record in caplog.records if record.name == "reconciler.emulator"] == [
        "GET /none?a=b%0A: 404",
        "GET /none: 503, fault status before, not carried out",
        "GET /none: 404, fault clock, not carried out",
    ]
