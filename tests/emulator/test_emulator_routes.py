"""The routes, asked as a client asks them: what they answer, and how they refuse."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from contract import checked

from reconciler.emulator import Service

if TYPE_CHECKING:
    from pathlib import Path

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

JSON_BODY = {"Content-Type": "application/json"}
NOW = 1_790_000_000_123_456  # 2026-09-21T14:13:20.123456Z
FIELDS = "type: extract_v2\nfields:\n  total: {pattern: 'Total (\\S+)', type: number, required: true}\n"


def make(tmp_path: Path, **options: JSON) -> Service:
    root = tmp_path / "documents"
    for name, files in {"a": 2, "b": 1, "empty": 0, "with space": 1}.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(files):
            file = root / name / f"{index}.txt"
            file.write_text(f"Total {index}")
            os.utime(file, (1_700_000_000 + index, 1_700_000_000 + index))
        os.utime(root / name, (1_700_000_000, 1_700_000_000))
    saved = tmp_path / "configurations"
    saved.mkdir(exist_ok=True)
    (saved / "totals.yaml").write_text(FIELDS)
    (saved / "plain.yaml").write_text("type: parse_v2\nparameters: {tier: fast}\n")
    options = {"clock": lambda: NOW, "configurations": saved, **options}
    return Service(root, tmp_path / "state" / "local.db", **options)


def call(service: Service, method: str, path: str, **options: JSON) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            return await client.request(method, path, **options)

    return checked(asyncio.run(ask()))


def body(directory: str = "dir-a", kind: str = "parse_v2", configuration: str = "cfg-PARSE_AGENTIC") -> JSON:
    return {
        "source_directory_id": directory,
        "config": {"job": {"type": kind, "configuration_id": configuration}},
    }


def create(service: Service, **options: str) -> JSON:
    reply = call(service, "POST", "/api/v2/batches", json=body(**options))
    assert reply.status_code == 200, reply.text
    return reply.json()


def ids(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [item["id"] for item in reply.json()["items"]]


def test_a_created_batch_is_pending_listed_and_found(tmp_path: Path) -> None:
    service = make(tmp_path)
    created = create(service)
    assert created == {
        "id": created["id"],
        "project_id": "prj-local",
        "source_directory_id": "dir-a",
        "config": {"job": {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}},
        "status": "PENDING",
        "results": None,
        "created_at": "2026-09-21T14:13:20.123456Z",
        "updated_at": "2026-09-21T14:13:20.123456Z",
    }
    assert created["id"].startswith("bat-")
    assert call(service, "GET", "/api/v2/batches").json() == {
        "items": [created],
        "next_page_token": None,
        "total_size": None,
    }
    found = call(service, "GET", f"/api/v2/batches/{created['id']}", params={"expand": "results"})
    assert found.json() == created
    service.close()


def test_created_at_rises_strictly_while_the_clock_stands_still(tmp_path: Path) -> None:
    service = make(tmp_path)
    times = [create(service)["created_at"] for _ in range(3)]
    assert times == [f"2026-09-21T14:13:20.12345{digit}Z" for digit in (6, 7, 8)]
    service.close()


def test_every_filter_of_the_batch_list_selects(tmp_path: Path) -> None:
    service = make(tmp_path)
    first = create(service)["id"]
    second = create(service, directory="dir-b")["id"]
    third = create(service)["id"]
    call(service, "POST", f"/api/v2/batches/{third}/cancel")
    stamp = "2026-09-21T14:13:20.12345"
    table: list[tuple[dict[str, str], list[str]]] = [
        ({}, [third, second, first]),
        ({"source_directory_id": "dir-a"}, [third, first]),
        ({"source_directory_id": "dir-A"}, []),
        ({"status": "PENDING"}, [second, first]),
        ({"status": "CANCELLED"}, [third]),
        ({"created_at_on_or_after": stamp + "7Z"}, [third, second]),
        ({"created_at_on_or_before": stamp + "7Z"}, [second, first]),
        ({"created_at_on_or_after": "2026-09-21T16:13:20.123457+02:00"}, [third, second]),
        ({"created_at_on_or_after": stamp + "7Z", "created_at_on_or_before": stamp + "7Z"}, [second]),
        ({"project_id": "prj-local", "organization_id": "any"}, [third, second, first]),
    ]
    got = [(query, ids(call(service, "GET", "/api/v2/batches", params=query))) for query, _ in table]
    assert got == table
    service.close()


@pytest.mark.parametrize(
    ("query", "place", "kind"),
    [
        ("status=DONE", "status", "literal_error"),
        ("page_size=0", "page_size", "out_of_range"),
        ("page_size=101", "page_size", "out_of_range"),
        ("page_size=ten", "page_size", "int_parsing"),
        ("page_size=" + "9" * 5000, "page_size", "int_parsing"),
        ("page_token=abc", "page_token", "page_token"),
        ("page_token=%C3%A9", "page_token", "page_token"),
        ("created_at_on_or_after=2026-01-01", "created_at_on_or_after", "datetime_parsing"),
        ("created_at_on_or_after=2026-13-01T00:00:00Z", "created_at_on_or_after", "datetime_parsing"),
        # A plus sign that was not percent-encoded is a space.
        ("created_at_on_or_before=2026-01-01T00:00:00+00:00", "created_at_on_or_before", "datetime_parsing"),
    ],
)
def test_a_wrong_query_is_refused_with_its_place(tmp_path: Path, query: str, place: str, kind: str) -> None:
    reply = call(make(tmp_path), "GET", f"/api/v2/batches?{query}")
    faults = reply.json()["detail"]
    assert (reply.status_code, [(fault["loc"], fault["type"]) for fault in faults]) == (
        422,
        [(["query", place], kind)],
    )
    assert all(len(fault["msg"]) < 200 for fault in faults)


@pytest.mark.parametrize(
    ("sent", "faults"),
    [
        (b"", [(["body"], "json_invalid")]),
        (b"{", [(["body"], "json_invalid")]),
        (b"\xff", [(["body"], "json_invalid")]),
        (b"[" * 100_000, [(["body"], "json_invalid")]),
        (b"[]", [(["body"], "object_type")]),
        (b"{}", [(["body", "config"], "missing"), (["body", "source_directory_id"], "missing")]),
        (
            b'{"source_directory_id": 1, "config": {"job": {"type": "x"}}, "name": "y"}',
            [
                (["body", "name"], "extra_forbidden"),
                (["body", "source_directory_id"], "string_type"),
                (["body", "config", "job", "type"], "literal_error"),
                (["body", "config", "job", "configuration_id"], "missing"),
            ],
        ),
        (
            json.dumps({**body(), "config": {"job": None}}).encode(),
            [(["body", "config", "job"], "object_type")],
        ),
        (json.dumps(body("\ud800")).encode(), [(["body", "source_directory_id"], "string_value")]),
        (json.dumps(body("")).encode(), [(["body", "source_directory_id"], "string_value")]),
        (json.dumps(body("x" * 600)).encode(), [(["body", "source_directory_id"], "string_too_long")]),
        (
            json.dumps(
                {**body(), "webhook_configuration_ids": [1], "webhook_configurations": [{"url": "x"}, 2]}
            ).encode(),
            [
                (["body", "webhook_configuration_ids", 0], "string_type"),
                (["body", "webhook_configurations", 0, "url"], "extra_forbidden"),
                (["body", "webhook_configurations", 1], "object_type"),
            ],
        ),
    ],
)
def test_a_wrong_body_is_refused_with_every_fault(tmp_path: Path, sent: bytes, faults: JSON) -> None:
    service = make(tmp_path)
    reply = call(service, "POST", "/api/v2/batches", content=sent, headers=JSON_BODY)
    assert reply.status_code == 422
    assert [(fault["loc"], fault["type"]) for fault in reply.json()["detail"]] == faults
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("wanted", "status", "detail"),
    [
        (body("dir-none"), 404, "Directory 'dir-none' not found"),
        (body("dir-.."), 404, "Directory 'dir-..' not found"),
        (body("dir-empty"), 400, "Directory 'dir-empty' has 0 files; a batch takes from 1 to 1000"),
        (body(configuration="cfg-none"), 404, "Configuration 'cfg-none' not found"),
        (
            body(kind="extract_v2"),
            400,
            (
                "Configuration 'cfg-PARSE_AGENTIC' is for parse_v2"
                " and cannot be used for a job of type extract_v2"
            ),
        ),
        (
            body(configuration="cfg-totals"),
            400,
            "Configuration 'cfg-totals' is for extract_v2 and cannot be used for a job of type parse_v2",
        ),
    ],
)
def test_a_create_that_cannot_run_is_refused(tmp_path: Path, wanted: JSON, status: int, detail: str) -> None:
    service = make(tmp_path)
    reply = call(service, "POST", "/api/v2/batches", json=wanted)
    assert (reply.status_code, reply.json()) == (status, {"detail": detail})
    assert not (tmp_path / "state").exists()


def test_a_folder_of_1001_files_is_refused_and_one_of_1000_taken(tmp_path: Path) -> None:
    service = make(tmp_path)
    for index in range(999):
        (tmp_path / "documents" / "b" / f"more-{index}").touch()
    create(service, directory="dir-b")
    (tmp_path / "documents" / "b" / "one more").touch()
    reply = call(service, "POST", "/api/v2/batches", json=body("dir-b"))
    assert (reply.status_code, reply.json()) == (
        400,
        {"detail": "Directory 'dir-b' has more than 1000 files; a batch takes from 1 to 1000"},
    )
    service.close()


def test_a_body_of_over_a_megabyte_is_refused(tmp_path: Path) -> None:
    assert (
        call(
            make(tmp_path), "POST", "/api/v2/batches", content=b" " * 1_100_000, headers=JSON_BODY
        ).status_code
        == 413
    )


def test_pages_go_on_by_token_to_the_last_one_which_has_none(tmp_path: Path) -> None:
    service = make(tmp_path)
    one, two, three, four = (create(service)["id"] for _ in range(4))
    path = "/api/v2/batches?source_directory_id=dir-a&page_size=2"
    first = call(service, "GET", path)
    token = first.json()["next_page_token"]
    create(service)
    second = call(service, "GET", f"{path}&page_token={token}")
    assert (ids(first), ids(second)) == ([four, three], [two, one])
    assert second.json()["next_page_token"] is None
    # The token belongs to the list and filters that it was made for, not to the size of a page.
    rest = call(service, "GET", f"/api/v2/batches?source_directory_id=dir-a&page_token={token}")
    assert ids(rest) == [two, one]
    for other in ("/api/v2/batches?source_directory_id=dir-b&", "/api/v1/beta/directories?"):
        assert call(service, "GET", f"{other}page_token={token}").status_code == 422
    service.close()


def test_cancel_works_once(tmp_path: Path) -> None:
    service = make(tmp_path)
    batch = create(service)
    path = f"/api/v2/batches/{batch['id']}/cancel"
    first, second = call(service, "POST", path), call(service, "POST", path)
    assert (first.status_code, first.json()) == (200, {**batch, "status": "CANCELLED"})
    assert (second.status_code, second.json()) == (
        409,
        {"detail": f"Batch {batch['id']} is CANCELLED and cannot be cancelled"},
    )
    service.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/api/v2/batches/bat-none", 404, "Batch 'bat-none' not found"),
        ("POST", "/api/v2/batches/bat-none/cancel", 404, "Batch 'bat-none' not found"),
        ("GET", "/api/v2/parse/pjb-none", 404, "Job 'pjb-none' not found"),
        ("GET", "/api/v2/extract/exj-none", 404, "Job 'exj-none' not found"),
        ("GET", "/api/v1/beta/directories/dir-none", 404, "Directory 'dir-none' not found"),
        ("GET", "/api/v1/beta/directories/dir-none/files", 404, "Directory 'dir-none' not found"),
        ("GET", "/api/v1/beta/configurations/cfg-none", 404, "Configuration 'cfg-none' not found"),
        ("GET", "/api/v1/beta/configurations/cfg-..%2Fx", 404, "Configuration 'cfg-..%2Fx' not found"),
        ("GET", "/api/v2/batches/", 404, "Not Found"),
        ("GET", "/elsewhere", 404, "Not Found"),
        ("PUT", "/api/v2/batches", 405, "Method Not Allowed"),
        (
            "GET",
            "/api/v2/batches?project_id=prj-other",
            403,
            "The project_id does not belong to this API key",
        ),
        ("POST", "/api/v2/batches?project_id=", 403, "The project_id does not belong to this API key"),
    ],
)
def test_what_is_not_there_says_so(tmp_path: Path, method: str, path: str, status: int, detail: str) -> None:
    with_database = make(tmp_path)
    without = call(with_database, method, path)
    create(with_database)
    reply = call(with_database, method, path)
    assert (reply.status_code, reply.json()) == (status, {"detail": detail})
    assert (without.status_code, without.json()) == (status, {"detail": detail})
    with_database.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "llx-é".encode()}, 401),
        ({"Authorization": "Bearer llx-right"}, 200),
    ],
)
def test_the_key_is_asked_for_where_one_is_set(tmp_path: Path, headers: JSON, status: int) -> None:
    reply = call(make(tmp_path, api_key="llx-right"), "GET", "/api/v2/batches", headers=headers)
    assert reply.status_code == status
    if status == 401:
        assert reply.json() == {"detail": "Invalid API key"}


@pytest.mark.parametrize("path", ["/api/v2/batches", "/elsewhere", "/api/v2/batches?project_id=x"])
def test_every_reply_carries_the_services_date(tmp_path: Path, path: str) -> None:
    assert call(make(tmp_path), "GET", path).headers["date"] == "Mon, 21 Sep 2026 14:13:20 GMT"


def test_directories_are_the_folders(tmp_path: Path) -> None:
    service = make(tmp_path)
    (tmp_path / "documents" / ".hidden").mkdir()
    (tmp_path / "documents" / "a file").touch()
    path = "/api/v1/beta/directories"
    items = call(service, "GET", path).json()["items"]
    assert items[0] == {
        "id": "dir-a",
        "name": "a",
        "project_id": "prj-local",
        "type": "user",
        "description": None,
        "expires_at": None,
        "deleted_at": None,
        "system_metadata": None,
        "connector_subscription_id": None,
        "created_at": "2023-11-14T22:13:20.000000Z",
        "updated_at": "2023-11-14T22:13:20.000000Z",
    }
    spaced = items[3]["id"]
    assert [(item["id"], item["name"]) for item in items] == [
        ("dir-a", "a"),
        ("dir-b", "b"),
        ("dir-empty", "empty"),
        (spaced, "with space"),
    ]
    assert call(service, "GET", f"{path}/dir-a").json() == items[0]
    assert call(service, "GET", f"{path}/{spaced}").json() == items[3]
    assert ids(call(service, "GET", path, params={"name": "b"})) == ["dir-b"]
    assert ids(call(service, "GET", path, params={"type": "user", "page_size": 2})) == ["dir-a", "dir-b"]
    assert ids(call(service, "GET", path, params={"type": "index"})) == []
    assert call(service, "GET", path, params={"type": "x"}).status_code == 422


def test_the_files_of_a_directory_and_every_filter(tmp_path: Path) -> None:
    service = make(tmp_path)
    path = "/api/v1/beta/directories/dir-a/files"
    first, second = call(service, "GET", path).json()["items"]
    assert first == {
        "id": first["id"],
        "directory_id": "dir-a",
        "project_id": "prj-local",
        "display_name": "0.txt",
        "unique_id": "0.txt",
        "file_id": None,
        "metadata": None,
        "download_url": None,
        "deleted_at": None,
        "created_at": "2023-11-14T22:13:20.000000Z",
        "updated_at": "2023-11-14T22:13:20.000000Z",
    }
    both = [first["id"], second["id"]]
    table: list[tuple[dict[str, str], list[str]]] = [
        ({}, both),
        ({"display_name": "0.txt"}, both[:1]),
        ({"display_name": "0"}, []),
        ({"display_name_contains": ".tx"}, both),
        ({"display_name_contains": "1"}, both[1:]),
        ({"unique_id": "x"}, []),
        ({"unique_id": "0.txt"}, both[:1]),
        ({"file_id": "x"}, []),
        ({"updated_at_on_or_after": "2023-11-14T22:13:21Z"}, both[1:]),
        ({"updated_at_on_or_before": "2023-11-14T22:13:20Z"}, both[:1]),
        ({"page_size": "1"}, both[:1]),
        ({"include_deleted": "true"}, both),
    ]
    assert [(query, ids(call(service, "GET", path, params=query))) for query, _ in table] == table


def test_configurations_and_presets(tmp_path: Path) -> None:
    service = make(tmp_path)
    path = "/api/v1/beta/configurations"
    plain, totals = call(service, "GET", path, params={"latest_only": "true"}).json()["items"]
    assert totals == {
        "id": "cfg-totals",
        "name": "totals",
        "product_type": "extract_v2",
        "parameters": {
            "product_type": "extract_v2",
            "data_schema": {"type": "object", "properties": {"total": {"type": "number"}}},
            "fields": {"total": {"pattern": "Total (\\S+)", "type": "number", "required": True}},
        },
        "version": totals["version"],
        "created_at": None,
        "updated_at": totals["updated_at"],
    }
    assert (plain["id"], plain["parameters"]) == (
        "cfg-plain",
        {"product_type": "parse_v2", "tier": "fast", "version": "latest"},
    )
    assert call(service, "GET", f"{path}/cfg-totals").json() == totals
    assert ids(call(service, "GET", path, params={"name": "plain"})) == ["cfg-plain"]
    types = [("product_type", "extract_v2"), ("product_type", "split_v1")]
    assert ids(call(service, "GET", path, params=types)) == ["cfg-totals"]
    assert ids(call(service, "GET", path, params={"page_size": 1})) == ["cfg-plain"]
    assert call(service, "GET", path, params={"product_type": "x"}).status_code == 422
    preset = call(service, "GET", f"{path}/cfg-PARSE_COST_EFFECTIVE").json()
    assert (preset["product_type"], preset["parameters"]["tier"]) == ("parse_v2", "cost_effective")


def test_a_configuration_has_another_version_once_its_content_changed(tmp_path: Path) -> None:
    service = make(tmp_path)
    file = tmp_path / "configurations" / "totals.yaml"

    def version() -> str:
        os.utime(file, (1_700_000_000, 1_700_000_000))
        found: str = call(service, "GET", "/api/v1/beta/configurations/cfg-totals").json()["version"]
        return found

    before = version()
    assert before == version()
    file.write_text(FIELDS + "# edited\n")
    after = version()
    assert before != after
    assert before[:20] == after[:20] == "2023-11-14T22:13:20."


def test_projects_are_a_bare_list_of_one(tmp_path: Path) -> None:
    service = make(tmp_path, project_id="prj-mine")
    project = {
        "id": "prj-mine",
        "name": "prj-mine",
        "organization_id": "org-local",
        "is_default": True,
        "created_at": None,
        "updated_at": None,
    }
    assert call(service, "GET", "/api/v1/projects").json() == [project]
    assert call(service, "GET", "/api/v1/projects", params={"project_name": "other"}).json() == []


def test_reads_write_nothing(tmp_path: Path) -> None:
    service = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for path in (
        "/api/v2/batches",
        "/api/v2/batches/bat-x",
        "/api/v1/beta/directories",
        "/api/v1/beta/directories/dir-a/files",
        "/api/v1/beta/configurations",
        "/api/v2/parse/x",
    ):
        call(service, "GET", path)
    call(service, "POST", "/api/v2/batches/bat-x/cancel")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_root_that_is_not_there_is_an_answer_of_its_own(tmp_path: Path) -> None:
    service = Service(tmp_path / "none", tmp_path / "x.db")
    reply = call(service, "GET", "/api/v1/beta/directories")
    assert (reply.status_code, reply.json()) == (
        400,
        {"detail": f"The folder '{tmp_path / 'none'}' cannot be read: No such file or directory"},
    )
