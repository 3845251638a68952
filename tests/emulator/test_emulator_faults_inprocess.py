"""Every kind of fault in process: what the client gets, what the application did, what the journal says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - starlette reads annotations at run time
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.faults.active import ActiveFaults
from reconciler.emulator.faults.document import NO_FAULTS, faults_of
from reconciler.emulator.faults.injector import Injector
from reconciler.emulator.faults.inprocess import InProcessTransport
from reconciler.emulator.faults.journal import Journal

JSON: TypeAlias = Any

NOW = 1_790_000_000_123_456  # 2026-09-21T14:13:20.123456Z
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
BODY = {"name": "x"}
ANSWER = {"id": "t-1", "status": "PENDING", "got": BODY, "note": None}
RAW = json.dumps(ANSWER, separators=(",", ":"), ensure_ascii=False)


@dataclass
class World:
    """A small application behind an injector, and what was done and waited for."""

    entries: list[JSON]
    effects: list[JSON] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    now: int = NOW

    def __post_init__(self) -> None:
        faults = faults_of({**NO_FAULTS.source, "faults": self.entries}, source="test")
        self.active = ActiveFaults(faults)
        self.journal = Journal(lambda: self.now)
        app = Starlette(
            routes=[
                Route("/api/things", self.create, methods=["POST"]),
                Route("/api/plain", self.plain, methods=["GET"]),
                Route("/v1/things", self.create, methods=["POST"]),
                Route("/__admin/health", self.plain, methods=["GET"]),
            ]
        )
        injector = Injector(
            app,
            active=self.active,
            journal=self.journal,
            clock=lambda: self.now,
            nullable=lambda method, path: frozenset({("note",), ("got", "{}")}),
        )
        self.transport = InProcessTransport(injector, clock=lambda: self.now, sleep=self.sleep)
        self.client = httpx.AsyncClient(transport=self.transport, base_url="http://local", timeout=30)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def create(self, request: Request) -> Response:
        got = await request.json()
        self.effects.append(got)
        return JSONResponse({**ANSWER, "id": f"t-{len(self.effects)}", "got": got}, headers={"date": DATE})

    async def plain(self, request: Request) -> Response:
        self.effects.append("plain")
        return Response("plain words", media_type="text/plain")

    def shown(self) -> list[JSON]:
        return [each.shown() for each in self.journal]


def world(kind: str, **fields: JSON) -> World:
    trigger = {} if {"nth", "every", "probability"} & fields.keys() else {"nth": 1}
    return World([{"fault": kind, **trigger, **fields}])


async def ask(this: World, path: str = "/api/things", **options: JSON) -> httpx.Response:
    return await this.client.post(path, **{"json": BODY, **options})


async def outcome(this: World) -> tuple[str, str] | tuple[int, str]:
    try:
        reply = await ask(this)
    except httpx.TransportError as error:
        return type(error).__name__, str(error)
    return reply.status_code, reply.text


DISCONNECTED = ("RemoteProtocolError", "Server disconnected without sending a response.")
TIMED_OUT = ("ReadTimeout", "The read operation timed out")
RESET = ("ReadError", "Connection reset by peer")
HTML = (
    "<!DOCTYPE html>\n<html><head><title>{0}</title></head>"
    "<body><h1>{0}</h1><p>This page was sent on purpose.</p></body></html>\n"
)
EXTRA = '"x_unknown_field":"added by a fault"'


@pytest.mark.parametrize(
    ("kind", "fields", "expected", "effects", "note"),
    [
        ("refused", {}, ("ConnectError", "All connection attempts failed"), 0, None),
        ("refused", {"when": "after"}, (200, RAW), 1, None),
        ("reset", {}, RESET, 0, None),
        ("reset", {"when": "after"}, RESET, 1, None),
        ("closed", {}, DISCONNECTED, 1, None),
        ("closed", {"when": "before"}, DISCONNECTED, 0, None),
        ("late", {}, TIMED_OUT, 0, None),
        ("timeout", {}, TIMED_OUT, 0, None),
        ("timeout", {"when": "after"}, TIMED_OUT, 1, None),
        ("status", {"status": 503}, (503, '{"detail": "Service Unavailable"}'), 0, None),
        ("status", {"status": 418, "when": "after"}, (418, '{"detail": "I\'m a Teapot"}'), 1, None),
        ("status", {"status": 499}, (499, '{"detail": "Client Error"}'), 0, None),
        ("status", {"status": 599, "body": "html"}, (599, HTML.format("599 Server Error")), 0, None),
        ("status", {"status": 500, "body": "empty"}, (500, ""), 0, None),
        ("truncated", {}, (200, RAW[: len(RAW) // 2]), 1, None),
        (
            "cut",
            {},
            (
                "RemoteProtocolError",
                (
                    "peer closed connection without sending complete message body"
                    f" (received {len(RAW) // 2} bytes)"
                ),
            ),
            1,
            None,
        ),
        ("html", {}, (200, HTML.format("200 OK")), 0, None),
        ("html", {"when": "after"}, (200, HTML.format("200 OK")), 1, None),
        ("empty", {}, (200, ""), 0, None),
        ("empty", {"when": "after"}, (200, ""), 1, None),
        ("redirect", {}, (307, ""), 0, None),
        ("redirect", {"status": 303, "when": "after"}, (303, ""), 1, None),
        (
            "extraFields",
            {},
            (
                200,
                '{"id":"t-1","status":"PENDING","got":{"name":"x",' + EXTRA + '},"note":null,' + EXTRA + ","
                '"x_unknown_object":{"list":[1,null,"three"]}}',
            ),
            1,
            None,
        ),
        ("unknownStatus", {}, (200, RAW.replace("PENDING", "ARCHIVED")), 1, None),
        ("unknownStatus", {"value": "X"}, (200, RAW.replace("PENDING", "X")), 1, None),
        ("nulls", {}, (200, RAW.replace('"x"', "null")), 1, None),
        ("emptyPage", {}, (200, RAW), 1, "the answer is no page of a list"),
        ("repeatedToken", {}, (200, RAW), 1, "the answer is no page of a list"),
        ("inserted", {}, (200, RAW), 1, "the answer is no page of a list"),
        ("reordered", {}, (200, RAW), 1, "the answer is no page of a list"),
        ("lag", {}, (200, RAW), 1, "the answer is no page of a list"),
        ("clock", {}, (200, RAW), 1, None),
        ("drip", {}, (200, RAW), 1, None),
    ],
)
def test_a_fault_gives_this_and_does_that(
    kind: str, fields: JSON, expected: tuple[str, str] | tuple[int, str], effects: int, note: str | None
) -> None:
    this = world(kind, **fields)

    async def story() -> tuple[JSON, list[JSON], list[JSON]]:
        got = await outcome(this)
        effects, shown = list(this.effects), this.shown()
        await this.client.aclose()
        return got, effects, shown

    got, done, shown = asyncio.run(story())
    assert (got, done) == (expected, [BODY] * effects)
    (entry,) = this.active.file.entries
    assert shown == [
        {
            "number": 1,
            "time": "2026-09-21T14:13:20.123456Z",
            "method": "POST",
            "path": "/api/things",
            "query": [],
            "body": BODY,
            "status": expected[0] if isinstance(expected[0], int) else 200 if kind == "cut" else None,
            "fault": {"kind": kind, "when": entry.when, "name": None},
            "effect": effects == 1,
            "note": note,
        }
    ]


@pytest.mark.parametrize("kind", ["truncated", "extraFields", "unknownStatus", "nulls"])
def test_what_is_no_json_passes_unchanged(kind: str) -> None:
    this = world(kind)
    reply = asyncio.run(this.client.get("/api/plain"))
    assert (reply.status_code, reply.text) == (200, "plain words")
    assert [each["note"] for each in this.shown()] == ["the answer is no JSON"]


def test_a_request_is_carried_out_late_when_settled_and_only_once() -> None:
    this = world("late", hold=100, delay=5)

    async def story() -> list[JSON]:
        first = await outcome(this)
        between = list(this.effects)
        second = await outcome(this)
        seen = [first, between, second, list(this.effects)]
        await this.transport.settle()
        await this.transport.settle()
        await this.client.aclose()
        return seen

    assert asyncio.run(story()) == [TIMED_OUT, [], (200, RAW), [BODY]]
    assert this.effects == [BODY, BODY]
    # The client's patience of 30 seconds ends before the hold of 100.
    assert this.slept == [30, 5]
    assert [(each["status"], each["effect"]) for each in this.shown()] == [(None, True), (200, True)]


def test_what_is_late_is_settled_when_the_client_closes() -> None:
    this = world("late", every=1)

    async def story() -> None:
        async with this.client:
            for name in "ab":
                with pytest.raises(httpx.ReadTimeout):
                    await ask(this, json={"name": name})
            assert this.effects == []

    asyncio.run(story())
    assert this.effects == [{"name": "a"}, {"name": "b"}]


def test_connections_are_refused_until_the_clock_has_moved_on() -> None:
    this = world("refused", seconds=2.5)

    async def story() -> list[JSON]:
        seen = []
        for step in (0, 2_499_999, 1):
            this.now += step
            seen.append((await outcome(this))[0])
        return seen

    assert asyncio.run(story()) == ["ConnectError", "ConnectError", 200]
    # A request that never came is not in the journal.
    assert [each["status"] for each in this.shown()] == [None, 200]


@pytest.mark.parametrize(
    ("retry", "header"),
    [
        (None, None),
        (0, "0"),
        (3, "3"),
        ({"date": 3}, "Mon, 21 Sep 2026 14:13:23 GMT"),
        ({"date": -20}, "Mon, 21 Sep 2026 14:13:00 GMT"),
    ],
)
def test_retry_after_comes_in_seconds_as_a_date_or_not_at_all(retry: JSON, header: str | None) -> None:
    this = world("status", status=429, **({} if retry is None else {"retryAfter": retry}))
    reply = asyncio.run(ask(this))
    assert (reply.headers.get("retry-after"), reply.headers["date"]) == (header, DATE)


def test_an_error_has_the_shape_of_the_api_that_the_path_belongs_to() -> None:
    this = world("status", status=429)
    assert asyncio.run(ask(this, "/v1/things")).json() == {
        "statusCode": 429,
        "code": "TOO_MANY_REQUESTS",
        "error": "Too Many Requests",
        "message": "Too Many Requests (a fault on purpose)",
        "retryable": True,
        "timestamp": "2026-09-21T14:13:20.123456Z",
        "path": "/v1/things",
        "request_id": "req-fault",
    }


@pytest.mark.parametrize(
    ("fields", "target", "location"),
    [
        ({}, "/api/things?a=1&b=%C3%A9", "/api/things?a=1&b=%C3%A9"),
        ({}, "//evil.example/x", "/.//evil.example/x"),
        ({"location": "/other"}, "/api/things", "/other"),
        ({"location": "https://o.example/", "otherHost": True}, "/api/things", "https://o.example/"),
    ],
)
def test_a_redirect_leads_elsewhere_only_when_told_to(fields: JSON, target: str, location: str) -> None:
    this = world("redirect", **fields)
    reply = asyncio.run(ask(this, f"http://local{target}"))
    assert reply.headers["location"] == location
    assert httpx.URL("http://local/").join(location).host == (
        "o.example" if "otherHost" in fields else "local"
    )


def test_a_followed_redirect_arrives() -> None:
    this = world("redirect", status=308)
    reply = asyncio.run(ask(this, follow_redirects=True))
    assert (reply.status_code, reply.text, this.effects) == (200, RAW, [BODY])


@pytest.mark.parametrize(
    ("hours", "date"), [(12, "Tue, 22 Sep 2026 02:13:20 GMT"), (-0.5, "Mon, 21 Sep 2026 13:43:20 GMT")]
)
def test_the_date_is_off_by_hours(hours: float, date: str) -> None:
    assert asyncio.run(ask(world("clock", hours=hours))).headers.get_list("date") == [date]


def test_a_body_drips_in_pieces() -> None:
    this = world("drip", bytes=30, seconds=0.25)

    async def story() -> list[str]:
        async with this.client.stream("POST", "/api/things", json=BODY) as reply:
            return [part async for part in reply.aiter_text()]

    parts = asyncio.run(story())
    assert parts == [RAW[start : start + 30] for start in range(0, len(RAW), 30)]
    assert this.slept == [0.25] * (len(parts) - 1)


def test_an_answer_without_a_body_is_neither_cut_nor_truncated() -> None:
    for kind in ("cut", "truncated"):
        this = world(kind)
        assert asyncio.run(this.client.head("/api/plain")).status_code == 200
        assert len([each["note"] for each in this.shown() if each["note"]]) == 1


def test_headers_fit_the_body_that_is_sent() -> None:
    for kind in ("truncated", "extraFields", "unknownStatus", "nulls", "html", "empty", "drip", "clock"):
        reply = asyncio.run(ask(world(kind)))
        assert reply.headers.get_list("content-length") == [str(len(reply.content))], kind


def test_the_owner_cannot_be_locked_out() -> None:
    this = World([{"fault": "reset", "every": 1, "on": {"path": "**"}}])
    assert asyncio.run(this.client.get("/__admin/health")).status_code == 200
    assert this.shown() == []


def test_a_cancelled_request_leaves_nothing_running() -> None:
    this = world("late")
    stuck = asyncio.Event()

    async def never(seconds: float) -> None:
        await stuck.wait()

    this.transport = InProcessTransport(this.transport._app, clock=lambda: NOW, sleep=never)
    this.client = httpx.AsyncClient(transport=this.transport, base_url="http://local", timeout=30)

    async def story() -> int:
        task = asyncio.ensure_future(ask(this))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert asyncio.run(story()) == 1
    assert this.effects == []


def test_a_server_without_lines_says_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    this = world("reset")
    plain = httpx.AsyncClient(transport=httpx.ASGITransport(this.transport._app), base_url="http://local")
    assert asyncio.run(plain.post("/api/things", json=BODY)).status_code == 500
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        (
            "POST '/api/things': the stand-in failed: RuntimeError: 'a fault needs the connection:"
            " serve with emulator.server or InProcessTransport'"
        )
    ]
