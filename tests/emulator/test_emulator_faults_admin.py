"""Seeing and changing faults while the service runs, and the journal of what was received."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.faults.active import ActiveFaults
from reconciler.emulator.faults.admin import FaultAdmin
from reconciler.emulator.faults.document import NO_FAULTS
from reconciler.emulator.faults.injector import Injector
from reconciler.emulator.faults.inprocess import InProcessTransport
from reconciler.emulator.faults.journal import Journal

if TYPE_CHECKING:
    from starlette.requests import Request

JSON: TypeAlias = Any

NOW = 1_790_000_000_000_000
EMPTY = {"document": NO_FAULTS.source, "counts": []}
RESET = {"fault": "reset", "nth": 1, "name": "first"}


class World:
    """An application with admin routes behind an injector."""

    def __init__(self, **limits: int) -> None:
        self.active = ActiveFaults(NO_FAULTS)
        self.journal = Journal(lambda: NOW, **limits)
        admin = FaultAdmin(self.active, self.journal, lambda: NOW)
        echo = Route("/{rest:path}", self.echo, methods=["GET", "POST", "DELETE"])
        app = Starlette(routes=[*admin.routes(), echo])
        injector = Injector(app, active=self.active, journal=self.journal, clock=lambda: NOW)
        self.transport = InProcessTransport(injector, clock=lambda: NOW)

    async def echo(self, request: Request) -> Response:
        await request.body()
        return JSONResponse({}, status_code=404 if "none" in request.url.path else 200)

    def ask(self, method: str, path: str, **options: JSON) -> httpx.Response:
        async def story() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://local") as client:
                return await client.request(method, path, **options)

        return asyncio.run(story())

    def found(self, **query: JSON) -> list[int]:
        reply = self.ask("GET", "/__admin/requests", params=query)
        assert reply.status_code == 200, reply.text
        return [each["number"] for each in reply.json()["requests"]]


def document(*entries: JSON) -> JSON:
    return {**NO_FAULTS.source, "faults": list(entries)}


def test_faults_are_shown_put_added_and_cleared() -> None:
    this = World()
    assert this.ask("GET", "/__admin/faults").json() == EMPTY
    count = {"fault": "reset", "name": "first", "matched": 0, "fired": 0}
    put = this.ask("PUT", "/__admin/faults", json=document(RESET))
    assert (put.status_code, put.json()) == (200, {"document": document(RESET), "counts": [count]})
    with pytest.raises(httpx.ReadError):
        this.ask("GET", "/a")
    html = {"fault": "html", "every": 1}
    added = this.ask("POST", "/__admin/faults", json=html).json()
    assert added == {
        "document": document(RESET, html),
        "counts": [
            {**count, "matched": 1, "fired": 1},
            {"fault": "html", "name": None, "matched": 0, "fired": 0},
        ],
    }
    assert this.ask("GET", "/a").text.startswith("<!DOCTYPE html>")
    assert this.ask("DELETE", "/__admin/faults").json() == EMPTY
    assert this.ask("GET", "/a").text == "{}"


def test_what_is_shown_can_be_put_again() -> None:
    this = World()
    this.ask(
        "PUT",
        "/__admin/faults",
        content="apiVersion: reconciler/v1\nkind: Faults\nfaults: [{fault: cut, nth: 2}]",
    )
    shown = this.ask("GET", "/__admin/faults").json()
    assert this.ask("PUT", "/__admin/faults", json=shown["document"]).json() == shown


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_wrong_faults_are_refused_with_every_problem_and_change_nothing(method: str) -> None:
    this = World()
    this.ask("PUT", "/__admin/faults", json=document(RESET))
    before = this.ask("GET", "/__admin/faults").json()
    wrong = {"fault": "drip", "every": 0, "bytes": 0}
    content = json.dumps(document(RESET, wrong) if method == "PUT" else wrong)
    columns = {name: content.rindex(f'"{name}": 0') + len(name) + 5 for name in ("every", "bytes")}
    reply = this.ask(method, "/__admin/faults", content=content)
    assert (reply.status_code, reply.json()) == (
        422,
        {
            "detail": [
                {
                    "loc": ["body", "faults", 1, name],
                    "msg": f"faults[1].{name}: should be 1 or more, not 0",
                    "type": "minimum",
                    "line": 1,
                    "column": columns[name],
                }
                for name in ("every", "bytes")
            ]
        },
    )
    assert this.ask("GET", "/__admin/faults").json() == before


@pytest.mark.parametrize(("size", "status"), [(256 * 1024, 422), (256 * 1024 + 1, 413)])
def test_a_large_body_is_refused(size: int, status: int) -> None:
    assert World().ask("PUT", "/__admin/faults", content=b" " * size).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "faults"), ("POST", "faults"), ("DELETE", "faults"), ("DELETE", "requests")],
)
def test_a_page_in_a_browser_changes_nothing(method: str, path: str) -> None:
    this = World()
    this.ask("GET", "/a")
    headers = {"origin": "https://page.example"}
    assert this.ask(method, f"/__admin/{path}", headers=headers, content=b"{}").status_code == 403
    assert len(list(this.journal)) == 1


def test_health_tells_the_services_time() -> None:
    this = World()
    this.ask("GET", "/a")
    assert this.ask("GET", "/__admin/health").json() == {
        "status": "ok",
        "time": "2026-09-21T14:13:20.000000Z",
        "requests": 1,
        "faults": 0,
    }


def test_requests_are_filtered_and_paged() -> None:
    this = World()
    this.ask("PUT", "/__admin/faults", json=document({**RESET, "nth": [3]}, {"fault": "html", "nth": 4}))
    for method, path in (("GET", "/a"), ("POST", "/a/none"), ("GET", "/b"), ("DELETE", "/a/c")):
        with contextlib.suppress(httpx.ReadError):
            this.ask(method, path)
    table: list[tuple[JSON, list[int]]] = [
        ({}, [1, 2, 3, 4]),
        ({"method": "GET"}, [1, 3]),
        ({"method": "get"}, [1, 3]),
        ({"effect": "true"}, [1]),
        ({"effect": "false"}, [2, 3, 4]),
        ({"path": "/a/*"}, [2, 4]),
        ({"status": 404}, [2]),
        ({"status": "none"}, [3]),
        ({"fault": "none"}, [1, 2]),
        ({"fault": "any"}, [3, 4]),
        ({"fault": "reset"}, [3]),
        ({"fault": "first"}, [3]),
        ({"fault": "other"}, []),
        ({"after": 2}, [3, 4]),
        ({"after": 1, "limit": 2}, [2, 3]),
        ({"method": "GET", "status": 200}, [1]),
    ]
    assert [(query, this.found(**query)) for query, _ in table] == table
    page = this.ask("GET", "/__admin/requests?limit=3").json()
    assert (page["next_after"], page["total"]) == (3, 4)
    assert this.ask("GET", "/__admin/requests?after=3").json()["next_after"] is None
    assert this.ask("DELETE", "/__admin/requests").status_code == 204
    this.ask("GET", "/a")
    assert this.found() == [5]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=0", ["limit"]),
        ("limit=1001&after=-1&status=99", ["limit", "after", "status"]),
        ("limit=" + "9" * 5000, ["limit"]),
        ("status=²", ["status"]),
        ("colour=red", ["colour"]),
        ("effect=yes", ["effect"]),
        ("effect=%ED%A0%80", ["effect"]),
        ("path=" + "*" * 201, ["path"]),
    ],
)
def test_a_wrong_filter_is_refused(query: str, names: list[str]) -> None:
    reply = World().ask("GET", f"/__admin/requests?{query}")
    assert (reply.status_code, [each["loc"] for each in reply.json()["detail"]]) == (
        422,
        [["query", name] for name in names],
    )
    assert len(reply.text) < 1000


def test_a_request_is_shown_without_its_headers() -> None:
    this = World()
    this.ask("POST", "/a?x=1&x=2&y=", json={"n": [1]}, headers={"authorization": "Bearer secret"})
    reply = this.ask("GET", "/__admin/requests")
    assert reply.json()["requests"] == [
        {
            "number": 1,
            "time": "2026-09-21T14:13:20.000000Z",
            "method": "POST",
            "path": "/a",
            "query": [["x", "1"], ["x", "2"], ["y", ""]],
            "body": {"n": [1]},
            "status": 200,
            "fault": None,
            "effect": True,
            "note": None,
        }
    ]
    assert "secret" not in reply.text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", None),
        (b"null", None),
        (b"5", 5),
        (b"words", {"bytes": 5}),
        (b"\xff\x00", {"bytes": 2}),
        (b"NaN", {"bytes": 3}),
        (b'"\\ud800"', {"bytes": 8}),
        (b"[" * 60_000, {"bytes": 60_000}),
        (b'"' + b"x" * (64 * 1024 - 3) + b'"', "x" * (64 * 1024 - 3)),
        (b'"' + b"x" * (64 * 1024 - 2) + b'"', {"bytes": 64 * 1024}),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_is_shown_as_json_or_by_its_size(content: bytes, shown: JSON) -> None:
    this = World()
    this.ask("POST", "/a", content=content)
    assert this.ask("GET", "/__admin/requests").json()["requests"][0]["body"] == shown


def test_the_journal_keeps_the_newest_within_its_bounds() -> None:
    this = World(limit=3)
    for _ in range(5):
        this.ask("GET", "/a")
    assert this.found() == [3, 4, 5]
    this = World(limit_bytes=25_000)
    for _ in range(5):
        this.ask("POST", "/a", content=json.dumps("x" * 10_000))
    assert this.found() == [4, 5]


def test_half_a_character_is_refused_and_breaks_nothing() -> None:
    this = World()
    for method, body in (("POST", RESET), ("PUT", document(RESET))):
        content = json.dumps(body).replace("first", "\\ud800")
        reply = this.ask(method, "/__admin/faults", content=content)
        assert (reply.status_code, [each["type"] for each in reply.json()["detail"]]) == (422, ["value"])
        assert this.ask("GET", "/__admin/faults").json() == EMPTY


def test_whatever_a_request_holds_can_be_shown() -> None:
    this = World()
    half = "%ED%A0%80"
    this.ask("POST", f"/a{half}?{half}={half}", content=b'{"\\ud800": "\\udfff"}')
    (shown,) = this.ask("GET", "/__admin/requests").json()["requests"]
    assert (shown["path"], shown["body"]) == ("/a\ufffd\ufffd\ufffd", {"bytes": 20})
    assert this.ask("GET", f"/__admin/requests?{half}={half}").status_code == 422


def test_a_pattern_of_many_stars_does_not_hang_the_service() -> None:
    this = World()
    this.ask("GET", "/" + "a" * 2000)
    assert this.found(path="/" + "*a" * 60 + "b") == []
    assert this.found(path="/" + "*a" * 60) == [1]


def test_a_refused_request_took_no_effect() -> None:
    this = World()
    this.ask("PUT", "/__admin/faults", json=document({"fault": "clock", "nth": 3}))
    for path in ("/a", "/none", "/none"):
        this.ask("POST", path)
    assert this.found(effect="true") == [1]
    assert [each.effect for each in this.journal] == [True, False, False]
