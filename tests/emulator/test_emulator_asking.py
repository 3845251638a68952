"""What counts before a handler looks: how a body is sent, which key, which path, which project."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from test_emulator_routes import JSON, body, call, create, ids, make

from reconciler.emulator.llamacloud.folders import Folders

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

BATCHES = "/api/v2/batches"
SENT = json.dumps(body()).encode()
UTF_16 = json.dumps(body()).encode("utf-16")
# Each route of LlamaCloud that takes JSON.
TAKING = [
    ("POST", BATCHES),
    ("POST", "/api/v1/beta/directories"),
    ("PATCH", "/api/v1/beta/directories/dir-a"),
    ("PATCH", "/api/v1/beta/directories/dir-a/files/dfl-x"),
    ("POST", "/api/v1/beta/configurations"),
    ("PUT", "/api/v1/beta/configurations/cfg-x"),
]
TYPE = "Content-Type should be application/json, in UTF-8"


@pytest.mark.parametrize(("method", "path"), TAKING)
@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ([], TYPE),
        ([("Content-Type", "")], TYPE),
        ([("Content-Type", "text/plain")], TYPE),
        ([("Content-Type", "application/x-www-form-urlencoded")], TYPE),
        ([("Content-Type", "multipart/form-data; boundary=b")], TYPE),
        ([("Content-Type", "application/jsonp")], TYPE),
        ([("Content-Type", "application/json; charset=utf-16")], TYPE),
        ([("Content-Type", "application/json; charset=utf-8; charset=latin-1")], TYPE),
        ([("Content-Type", "application/json"), ("Content-Type", "application/json")], TYPE),
        (
            [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
            "Content-Encoding should be identity",
        ),
        (
            [("Content-Type", "application/json"), ("Content-Encoding", "identity, br")],
            "Content-Encoding should be identity",
        ),
    ],
)
def test_a_body_that_is_not_sent_as_json_is_refused(
    tmp_path: Path, method: str, path: str, headers: JSON, detail: str
) -> None:
    reply = call(make(tmp_path), method, path, content=SENT, headers=headers)
    assert (reply.status_code, reply.json()) == (415, {"detail": detail})
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "Application/JSON ; Charset=UTF-8"},
        {"Content-Type": 'application/json;charset="utf-8"; x=y'},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
    ],
)
def test_a_body_that_is_sent_as_json_is_taken(tmp_path: Path, headers: JSON) -> None:
    service = make(tmp_path)
    assert call(service, "POST", BATCHES, content=SENT, headers=headers).status_code == 200
    service.close()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (UTF_16, "it is not UTF-8"),
        (json.dumps(body()).encode("utf-32-le"), ""),
        (b"\xef\xbb\xbf" + SENT, "BOM"),
        (SENT.replace(b"dir-a", b"dir-\xe9"), "it is not UTF-8"),
        (SENT[:-1] + b', "source_directory_id": "dir-b"}', "the key 'source_directory_id' is there twice"),
        (
            SENT.replace(b'"type"', b'"configuration_id": "cfg-PARSE_AGENTIC", "type"'),
            "the key 'configuration_id' is there twice",
        ),
        *(
            (SENT[:-1] + f', "webhook_configuration_ids": [{number}]}}'.encode(), f"{number} is no number")
            for number in ("NaN", "Infinity", "-Infinity")
        ),
    ],
)
def test_json_that_is_not_of_its_standard_is_refused(tmp_path: Path, sent: bytes, reason: str) -> None:
    headers = {"Content-Type": "application/json"}
    reply = call(make(tmp_path), "POST", BATCHES, content=sent, headers=headers)
    [fault] = reply.json()["detail"]
    assert (reply.status_code, fault["loc"], fault["type"]) == (422, ["body"], "json_invalid")
    assert reason in fault["msg"]
    assert not (tmp_path / "state").exists()


def test_a_cancel_needs_no_body_and_no_content_type(tmp_path: Path) -> None:
    service = make(tmp_path)
    assert call(service, "POST", f"{BATCHES}/{create(service)['id']}/cancel").status_code == 200
    service.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Authorization", "bearer llx-right")], 200),
        ([("Authorization", "BEARER  llx-right")], 200),
        ([("Authorization", "Basic llx-right")], 401),
        ([("Authorization", "llx-right")], 401),
        ([("Authorization", "Bearer")], 401),
        ([("Authorization", "Bearer LLX-RIGHT")], 401),
        ([("Authorization", "Bearer llx-right")] * 2, 401),
        ([("Authorization", "Bearer llx-right"), ("Authorization", "Bearer llx-wrong")], 401),
    ],
)
def test_the_key_is_one_bearer_token(tmp_path: Path, headers: JSON, status: int) -> None:
    assert call(make(tmp_path, api_key="llx-right"), "GET", BATCHES, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", f"{BATCHES}/a%2Fcancel", 404, "Batch 'a%2Fcancel' not found"),
        ("POST", f"{BATCHES}/a%2fcancel", 405, "Method Not Allowed"),
        ("POST", f"{BATCHES}/a%2Fb/cancel", 404, "Batch 'a%2Fb' not found"),
        ("GET", "/api%2Fv2/batches", 404, "Not Found"),
        ("GET", "/api/v1/beta/directories/dir-a%2Ffiles", 404, "Directory 'dir-a%2Ffiles' not found"),
        ("GET", "/api/v1/beta/directories/%2E%2E%2F", 404, "Directory '..%2F' not found"),
    ],
)
def test_a_slash_within_an_id_leads_to_no_other_route(
    tmp_path: Path, method: str, path: str, status: int, detail: str
) -> None:
    reply = call(make(tmp_path), method, path)
    assert (reply.status_code, reply.json()) == (status, {"detail": detail})


@pytest.mark.parametrize("path", [BATCHES, "/api/v1/beta/directories/dir-a", "/api/v1/projects"])
def test_head_is_not_served(tmp_path: Path, path: str) -> None:
    assert call(make(tmp_path), "HEAD", path).status_code == 405


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("project_id=prj-local&project_id=prj-local", 200),
        ("project_id=prj-local&project_id=prj-other", 403),
        ("project_id=prj-other&project_id=prj-local", 403),
        ("project_id=prj-local&project_id", 403),
    ],
)
def test_every_project_that_is_named_counts(tmp_path: Path, query: str, status: int) -> None:
    assert call(make(tmp_path), "GET", f"{BATCHES}?{query}").status_code == status


def test_what_was_sent_is_cut_in_what_is_said_of_it(tmp_path: Path) -> None:
    service = make(tmp_path)
    cut = f"'{'x' * 40}\\u2026'"
    long = "x" * 500
    table = [
        (call(service, "GET", f"{BATCHES}/{long}"), f"Batch {cut} not found"),
        (call(service, "POST", BATCHES, json=body(long)), f"Directory {cut} not found"),
        (call(service, "POST", BATCHES, json=body(configuration=long)), f"Configuration {cut} not found"),
    ]
    assert [reply.json() for reply, _ in table] == [{"detail": detail} for _, detail in table]
    unknown = call(service, "POST", BATCHES, json={**body(), long * 2_000: 1}).json()["detail"]
    assert [fault["loc"] for fault in unknown] == [["body", "x" * 40 + "…"]]
    files = {"upload_file": ("x", b"x"), long: (None, b"x")}
    upload = call(service, "POST", "/api/v1/beta/directories/dir-a/files/upload", files=files)
    assert [fault["loc"] for fault in upload.json()["detail"]] == [["body", "x" * 40 + "…"]]


def test_a_page_token_of_batches_belongs_to_each_filter(tmp_path: Path) -> None:
    service = make(tmp_path)
    for _ in range(3):
        create(service)
    asked = {
        "source_directory_id": "dir-a",
        "status": "PENDING",
        "created_at_on_or_after": "2026-01-01T00:00:00Z",
        "created_at_on_or_before": "2027-01-01T00:00:00Z",
    }
    first = call(service, "GET", BATCHES, params={**asked, "page_size": 1})
    token = first.json()["next_page_token"]
    assert len(ids(call(service, "GET", BATCHES, params={**asked, "page_token": token}))) == 2
    others = {
        "source_directory_id": "dir-b",
        "status": "RUNNING",
        "created_at_on_or_after": "2026-01-02T00:00:00Z",
        "created_at_on_or_before": "2027-01-02T00:00:00Z",
    }
    for name, value in others.items():
        without = {key: text for key, text in asked.items() if key != name}
        for query in (without, {**asked, name: value}):
            reply = call(service, "GET", BATCHES, params={**query, "page_token": token})
            assert reply.status_code == 422, query
    service.close()


def test_a_create_over_an_expired_directory_says_when_it_expired(tmp_path: Path) -> None:
    now = [1_790_000_000_123_456]
    service = make(tmp_path, clock=lambda: now[0])
    made = call(service, "POST", "/api/v1/beta/directories", json={"name": "e", "type": "ephemeral"}).json()
    now[0] += 48 * 3_600_000_000
    reply = call(service, "POST", BATCHES, json=body(made["id"]))
    detail = f"Directory {made['id']!a} expired at {made['expires_at']}"
    assert (reply.status_code, reply.json()) == (400, {"detail": detail})
    service.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/beta/directories"),
        ("GET", "/api/v1/beta/directories/dir-new"),
        ("GET", "/api/v1/beta/directories/dir-a/files"),
        ("GET", "/api/v1/beta/directories/dir-a/files/dfl-x"),
        ("DELETE", "/api/v1/beta/directories/dir-a/files/dfl-x"),
        ("POST", BATCHES),
    ],
)
def test_while_folders_are_read_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    service = make(tmp_path)
    reading, answered = threading.Event(), threading.Event()
    waited: list[bool] = []
    entries = Folders._entries

    def slow(self: Folders, folder: Path) -> Iterator[os.DirEntry[str]]:
        reading.set()
        waited.append(answered.wait(5))
        yield from entries(self, folder)

    monkeypatch.setattr(Folders, "_entries", slow)

    async def both() -> int:
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            options = {"json": body("dir-new")} if path == BATCHES else {}
            first = asyncio.ensure_future(client.request(method, path, **options))
            await asyncio.to_thread(reading.wait, 5)
            second = await client.get("/api/v1/projects")
            answered.set()
            await first
            return second.status_code

    assert asyncio.run(both()) == 200
    assert waited[0]
    service.close()


def test_a_create_looks_at_no_more_files_than_a_batch_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make(tmp_path)
    for index in range(3_000):
        (tmp_path / "documents" / "b" / f"{index}").touch()
    looked = [0]
    entries = Folders._entries

    def counting(self: Folders, folder: Path) -> Iterator[os.DirEntry[str]]:
        for entry in entries(self, folder):
            looked[0] += folder.name == "b"
            yield entry

    monkeypatch.setattr(Folders, "_entries", counting)
    assert call(service, "POST", BATCHES, json=body("dir-b")).status_code == 400
    assert looked[0] == 1_001


def test_threads_that_read_folders_leave_no_connection_open(tmp_path: Path) -> None:
    service = make(tmp_path)
    create(service)
    before = len(service._database._connections)
    for _ in range(3):
        call(service, "GET", "/api/v1/beta/directories")
    assert len(service._database._connections) == before
    service.close()
