"""The published document: valid, complete, and what the stand-in is held to."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from contract import (
    Broken,
    Operation,
    check,
    checked,
    document,
    example_path,
    operation,
    operations,
    resolved,
)
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Mount, Route

from reconciler.emulator.host import Host
from reconciler.emulator.life.pace import Pace
from reconciler.emulator.talonic.pace import Pace as TalonicPace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.routing import BaseRoute

JSON: TypeAlias = Any

KEYS = {"llamaCloudKey": "llx-right", "talonicKey": "tlnc_right"}
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
HEADERS = {"date": DATE, "content-type": "application/json"}
BATCH = {
    "id": "bat-1",
    "project_id": "prj-local",
    "source_directory_id": "dir-a",
    "config": {"job": {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}},
    "status": "PENDING",
    "results": None,
    "created_at": "2026-09-21T14:13:20.123456Z",
    "updated_at": "2026-09-21T14:13:20.123456Z",
}


def named(known: Operation) -> str:
    return known.id


def nodes(value: JSON) -> Iterator[dict[str, JSON]]:
    """Every object within a value."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def make(tmp_path: Path) -> Host:
    (tmp_path / "documents").mkdir()
    return Host(
        root=tmp_path / "documents",
        database=tmp_path / "local.db",
        configurations=None,
        project_id="prj-local",
        api_key=KEYS["llamaCloudKey"],
        talonic_key=KEYS["talonicKey"],
        pace=Pace(),
        talonic_pace=TalonicPace(),
    )


def ask(service: Host, method: str, path: str, **options: JSON) -> httpx.Response:
    async def one() -> httpx.Response:
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            return await client.request(method, path, **options)

    return asyncio.run(one())


def served(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each method and path of an application, with the names of parameters left out."""
    for route in routes:
        match route:
            case Mount():
                yield from served(route.routes, prefix + route.path)
            case Route():
                path = re.sub(r"\{[^}]*\}", "{}", prefix + route.path)
                yield from ((method.lower(), path) for method in route.methods or ())
            case _:
                raise AssertionError(f"{route} is neither a route nor a mount")


def test_the_document_is_valid_openapi_31() -> None:
    assert document()["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document()).iter_errors()) == []


def test_every_schema_of_the_document_is_one_of_its_draft() -> None:
    for name, schema in document()["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema["description"], name
        closed = schema.get("type") != "object" or schema.get("additionalProperties") is False
        assert closed or "kept as they are" in schema["description"]


def test_every_reference_leads_somewhere_and_every_component_is_led_to() -> None:
    led_to = {node["$ref"] for node in nodes(document()) if isinstance(node.get("$ref"), str)}
    mapped = {
        target
        for node in nodes(document())
        for target in node.get("discriminator", {}).get("mapping", {}).values()
    }
    for reference in led_to | mapped:
        assert resolved({"$ref": reference}), reference
    kinds = ("headers", "parameters", "responses", "schemas")
    components = {f"#/components/{kind}/{name}" for kind in kinds for name in document()["components"][kind]}
    # What a method or path answers that is not there belongs to no operation.
    off_the_map = {f"#/components/responses/{family}MethodNotAllowed" for family in ("", "Talonic")}
    assert components - led_to == off_the_map


def test_every_operation_says_what_it_is_and_what_it_may_answer() -> None:
    ids = [known.id for known in operations()]
    assert len(ids) == len(set(ids))
    for known in operations():
        node = document()["paths"][known.path][known.method]
        assert node["summary"], known
        assert node["description"].endswith("."), known
        assert known.key == ("talonicKey" if known.path.startswith("/v1/") else "llamaCloudKey")
        assert {"200", "204"} & set(known.responses), known
        assert "401" in known.responses, known
        # A create names things in its body.
        assert ("404" in known.responses) == ("{" in known.path or known.id == "createBatch"), known
        for status in known.responses:
            assert "Date" in resolved(known.responses[status])["headers"], (known, status)


def test_every_link_leads_to_an_operation_and_names_its_parameters() -> None:
    by_id = {known.id: known for known in operations()}
    for known in operations():
        for node in known.responses.values():
            for link in node.get("links", {}).values():
                target = by_id[link["operationId"]]
                item = document()["paths"][target.path]
                parameters = map(
                    resolved, [*item.get("parameters", ()), *item[target.method].get("parameters", ())]
                )
                assert set(link.get("parameters", {})) <= {parameter["name"] for parameter in parameters}


def test_every_route_is_documented_and_every_documented_one_is_there(tmp_path: Path) -> None:
    service = make(tmp_path)
    found = {route for app in service.services for route in served(app.routes)}
    own = {
        (method, path) for method, path in found if path == "/openapi.json" or path.startswith("/__admin/")
    }
    documented = {(known.method, re.sub(r"\{[^}]*\}", "{}", known.path)) for known in operations()}
    assert found - own == documented
    service.close()


@pytest.mark.parametrize("known", operations(), ids=named)
def test_every_operation_refuses_who_has_not_its_key(tmp_path: Path, known: Operation) -> None:
    service = make(tmp_path)
    [other] = set(KEYS.values()) - {KEYS[known.key]}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {other}"}):
        reply = checked(ask(service, known.method, example_path(known), headers=headers))
        assert reply.status_code == 401
    service.close()


def test_paths_are_found_by_their_template() -> None:
    table = {
        ("GET", "/api/v2/batches?status=PENDING"): "listBatches",
        ("post", "/api/v2/batches"): "createBatch",
        ("GET", "/api/v2/batches/bat-1"): "getBatch",
        ("GET", "/api/v2/batches/a%2Fcancel"): "getBatch",
        ("POST", "/api/v2/batches/bat-1/cancel"): "cancelBatch",
        ("GET", "/api/v2/batches/"): None,
        ("GET", "/api/v2/batches/a/b"): None,
        ("PUT", "/api/v2/batches"): None,
        ("POST", "/v1/batches/x/sync"): "syncTalonicBatch",
    }
    found = {request: operation(*request) for request in table}
    assert {request: known and known.id for request, known in found.items()} == table


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/v2/batches/bat-1", 200, BATCH),
        ("GET", "/api/v2/batches", 200, {"items": [BATCH], "next_page_token": None, "total_size": None}),
        ("GET", "/api/v2/batches/bat-1", 404, {"detail": "Batch 'bat-1' not found"}),
        ("GET", "/api/v2/batches", 422, {"detail": [{"loc": ["query", "x"], "msg": "no", "type": "t"}]}),
        ("GET", "/elsewhere", 404, {"detail": "Not Found"}),
        ("PUT", "/elsewhere", 401, {"detail": "Invalid API key"}),
    ],
)
def test_a_reply_as_documented_passes(method: str, path: str, status: int, body: JSON) -> None:
    check(method, path, status, HEADERS, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "reason"),
    [
        ("GET", "/api/v2/batches/b", 418, {}, "GET /api/v2/batches/b: 418 is not documented"),
        ("GET", "/elsewhere", 200, {}, "GET /elsewhere: 200 is not documented"),
        ("PUT", "/api/v2/batches", 404, {"detail": "x"}, "PUT /api/v2/batches: 404 is not documented"),
        (
            "GET",
            "/api/v2/batches/b",
            200,
            {**BATCH, "status": "DONE"},
            "GET /api/v2/batches/b: 200; $.status: 'DONE' is not one of ['PENDING', 'THROTTLED', ",
        ),
        ("GET", "/api/v2/batches/b", 200, {**BATCH, "name": "x"}, "'name' was unexpected"),
        ("GET", "/api/v2/batches/b", 200, {**BATCH, "created_at": "2026-09-21"}, "is not a 'date-time'"),
        ("GET", "/api/v2/batches/b", 404, {"detail": [1]}, "$.detail: [1] is not of type 'string'"),
        ("POST", "/api/v2/batches", 200, {**BATCH, "results": []}, "$.results: [] is not of type 'null'"),
        ("GET", "/v1/batches", 401, {"detail": "Invalid API key"}, "'statusCode' is a required property"),
        ("GET", "/v1/elsewhere", 404, {"detail": "Not Found"}, "'statusCode' is a required property"),
        ("DELETE", "/api/v1/beta/directories/d", 204, {}, "has a body, and none is documented"),
    ],
)
def test_a_reply_that_is_not_as_documented_is_broken(
    method: str, path: str, status: int, body: JSON, reason: str
) -> None:
    with pytest.raises(Broken, match=re.escape(reason)):
        check(method, path, status, HEADERS, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({"content-type": "application/json"}, b"{}", "has no header Date"),
        ({**HEADERS, "date": "now"}, b"{}", "header Date; $: 'now' does not match"),
        ({**HEADERS, "content-type": "text/html"}, b"{}", "is of content type 'text/html'"),
        (HEADERS, b"{", "has a body that is no JSON"),
        (HEADERS, b'{"id": NaN}', "NaN is not of JSON"),
    ],
)
def test_a_reply_in_a_wrong_wrapping_is_broken(headers: dict[str, str], body: bytes, reason: str) -> None:
    with pytest.raises(Broken, match=re.escape(reason)):
        check("GET", "/api/v2/batches/bat-1", 200, headers, body)


RESULT = {"source_directory_file_id": "dfl-1", "job_reference": None, "error_message": "gone"}
BATCHES = {"items": [BATCH, {**BATCH, "id": "bat-2"}], "next_page_token": None, "total_size": None}
JOB = {
    "id": "exj-1",
    "project_id": "prj-local",
    "status": "FAILED",
    "error_message": "it is damaged",
    "file_input": "dfl-1",
    "created_at": BATCH["created_at"],
    "updated_at": BATCH["updated_at"],
}
SOURCES: JSON = {"data": [], "pagination": {"total": 0, "limit": 20, "has_more": False, "next_cursor": None}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v2/batches/bat-1?expand=results", {**BATCH, "results": [RESULT]}),
        ("/api/v2/batches?page_size=1&page_size=2", BATCHES),
        ("/api/v2/batches?source_directory_id=dir-b&source_directory_id=dir-a&status=PENDING", BATCHES),
        ("/api/v2/extract/exj-1", JOB),
        ("/v1/batches?limit=20", SOURCES),
    ],
)
def test_a_reply_that_goes_with_its_request_passes(path: str, body: JSON) -> None:
    check("GET", path, 200, HEADERS, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/v2/batches/bat-1", {**BATCH, "results": [RESULT]}, "has results that were not asked for"),
        ("/api/v2/batches/bat-1?expand=results", {**BATCH, "results": []}, "$.results: []"),
        (
            "/api/v2/batches/bat-1?expand=results",
            {**BATCH, "results": [{**RESULT, "error_message": None}]},
            "is not valid under any of the given schemas",
        ),
        ("/api/v2/batches?page_size=1", BATCHES, "has 2 items on a page of 1"),
        ("/api/v2/batches", {**BATCHES, "items": [BATCH] * 51}, "has 51 items on a page of 50"),
        ("/api/v2/batches?status=RUNNING", BATCHES, "whose status is 'PENDING', not in {'RUNNING'}"),
        (
            "/api/v2/batches?source_directory_id=dir-a&source_directory_id=dir-b",
            BATCHES,
            "whose source_directory_id is 'dir-a', not in {'dir-b'}",
        ),
        ("/api/v2/extract/exj-1", {**JOB, "error_message": None}, "$.error_message: None is not of type"),
        ("/v1/batches?limit=21", SOURCES, "says that a page has 20 items, not 21"),
        (
            "/v1/batches",
            {"data": [], "pagination": {**SOURCES["pagination"], "has_more": True}},
            "$.pagination: ",
        ),
    ],
)
def test_a_reply_that_does_not_go_with_its_request_is_broken(path: str, body: JSON, reason: str) -> None:
    with pytest.raises(Broken, match=re.escape(reason)):
        check("GET", path, 200, HEADERS, json.dumps(body).encode())


@pytest.mark.parametrize("allowed", ["GET", "GET, HEAD, POST", "GET, POST, POST", "GET, PUT"])
def test_the_methods_of_a_405_are_those_that_are_documented(allowed: str) -> None:
    with pytest.raises(Broken, match="and documented are"):
        check("PUT", "/api/v2/batches", 405, {**HEADERS, "allow": allowed}, b'{"detail": "x"}')


def test_a_method_that_is_not_there_is_answered_with_those_that_are() -> None:
    body = b'{"detail": "Method Not Allowed"}'
    check("PUT", "/api/v2/batches", 405, {**HEADERS, "allow": "GET, POST"}, body)
    with pytest.raises(Broken, match="has no header Allow"):
        check("PUT", "/api/v2/batches", 405, HEADERS, body)
