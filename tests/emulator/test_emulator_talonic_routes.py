"""Talonic's routes, asked as a client asks them: whole bodies, refusals, pages."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import tempfile
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from contract import checked
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator.database import Database
from reconciler.emulator.talonic import upload
from reconciler.emulator.talonic.app import make_app
from reconciler.emulator.talonic.batches import Batches
from reconciler.emulator.talonic.documents import SOURCE_ID, Documents
from reconciler.emulator.talonic.pace import Pace
from reconciler.emulator.talonic.routes import TalonicRoutes

if TYPE_CHECKING:
    from collections.abc import Sequence

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

NOW = 1_790_000_000_123_456  # 2026-09-21T14:13:20.123456Z
MINUTE = 60_000_000
SOURCE = f"/v1/sources/{SOURCE_ID}"
INGEST = f"{SOURCE}/documents"
NONE = "00000000-0000-0000-0000-000000000000"
BOUNDARY = "b0"


class Local:
    """The application over one folder, with a clock that stands until it is stepped."""

    def __init__(self, folder: Path, *, api_key: str | None = "tlnc_emulator", **options: JSON) -> None:
        self.now = NOW
        self.path = folder / "state" / "x.db"
        self.database = Database(self.path)
        pace = Pace(**{"threshold": 2, "minimum": 1, **options})
        self.batches = Batches(self.database, lambda: self.now, pace)
        self.wake = threading.Event()
        documents = Documents(self.database, lambda: self.now, pace)
        routes = TalonicRoutes(batches=self.batches, documents=documents, wake=self.wake).table()
        self.app = make_app(routes, api_key=api_key, clock=lambda: self.now)

    def call(self, method: str, path: str, **options: JSON) -> httpx.Response:
        options = {"headers": {"Authorization": "Bearer tlnc_emulator"}, **options}

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
                return await client.request(method, path, **options)

        return checked(asyncio.run(ask()))

    def get(self, path: str, **params: object) -> JSON:
        reply = self.call("GET", path, params=params)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def ingest(self, *names: str, mode: str | None = "batch") -> JSON:
        files = [("file", (name, f"content of {name}")) for name in names]
        data = {} if mode is None else {"processing_mode": mode}
        reply = self.call("POST", INGEST, files=files, data=data)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def form(self, *parts: bytes, end: bytes = b"--b0--\r\n") -> httpx.Response:
        """Send parts of a form exactly as they stand."""
        return self.call(
            "POST",
            INGEST,
            content=b"".join(b"--b0\r\n" + part + b"\r\n" for part in parts) + end,
            headers={
                "Authorization": "Bearer tlnc_emulator",
                "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            },
        )

    def rows(self) -> JSON:
        if not self.path.exists():
            return None
        connection = sqlite3.connect(self.path)
        tables = ("talonic_batches", "talonic_documents", "talonic_items")
        rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
        connection.close()
        return rows


def file_part(name: bytes, content: bytes = b"x", field: bytes = b"file") -> bytes:
    return (
        b'Content-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"\r\n\r\n' + content
    )


def text_part(name: bytes, text: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"\r\n\r\n' + text


KINDS = {
    400: ("VALIDATION_ERROR", "Bad Request"),
    401: ("AUTH_REQUIRED", "Unauthorized"),
    404: ("RESOURCE_NOT_FOUND", "Not Found"),
    405: ("METHOD_NOT_ALLOWED", "Method Not Allowed"),
    413: ("FILE_TOO_LARGE", "Payload Too Large"),
    503: ("INTERNAL_ERROR", "Service Unavailable"),
}


def error(reply: httpx.Response, status: int, message: str) -> JSON:
    code, name = KINDS[status]
    return {
        "statusCode": status,
        "code": code,
        "error": name,
        "message": message,
        "retryable": False,
        "timestamp": "2026-09-21T14:13:20.123456Z",
        "path": reply.request.url.path,
        "request_id": reply.headers["x-request-id"],
    }


def test_an_ingested_document_is_queued_for_a_batch(tmp_path: Path) -> None:
    local = Local(tmp_path)
    taken = local.ingest("a.pdf")
    document, batch = taken["document_id"], local.get("/v1/batches")["data"][0]
    assert taken == {
        "document_id": str(uuid.UUID(document)),
        "filename": "a.pdf",
        "size_bytes": 16,
        "status": "queued",
        "processing_mode": "batch",
        "source_id": SOURCE_ID,
        "existing_document_id": None,
        "message": None,
        "links": {"document": f"/v1/documents/{document}", "source": SOURCE},
    }
    assert local.get(f"/v1/documents/{document}") == {
        "id": document,
        "filename": "a.pdf",
        "status": "batch_queued",
        "size_bytes": 16,
        "type_detected": None,
        "processing_mode": "batch",
        "source": {"id": SOURCE_ID, "type": "api"},
        "created_at": "2026-09-21T14:13:20.123456Z",
        "links": {"self": f"/v1/documents/{document}"},
    }
    assert batch == {
        "id": str(uuid.UUID(batch["id"])),
        "status": "accumulating",
        "provider": "anthropic",
        "item_count": 1,
        "succeeded_count": 0,
        "errored_count": 0,
        "expired_count": 0,
        "submitted_at": None,
        "completed_at": None,
        "error_message": None,
        "created_at": "2026-09-21T14:13:20.123456Z",
        "updated_at": "2026-09-21T14:13:20.123456Z",
        "links": {"self": f"/v1/batches/{batch['id']}"},
    }
    assert local.get(f"/v1/batches/{batch['id']}") == {**batch, "items": None}
    assert local.wake.is_set()


def test_a_batch_that_completed_shows_its_items(tmp_path: Path) -> None:
    local = Local(tmp_path, expiring_items=0.4, seed=3)
    taken = local.ingest("a.pdf", "b.pdf")["data"]
    local.now += 48 * 60 * MINUTE
    local.batches.advance(local.now)
    batch = local.get("/v1/batches")["data"][0]
    detail = local.get(f"/v1/batches/{batch['id']}")
    prefix = f"msgbatch_{batch['id'].replace('-', '')[:12]}"
    assert detail == {
        **batch,
        "status": "completed",
        "item_count": 2,
        "succeeded_count": 1,
        "errored_count": 0,
        "expired_count": 1,
        "submitted_at": "2026-09-21T14:13:20.123456Z",
        "completed_at": "2026-09-23T14:13:20.123456Z",
        "updated_at": "2026-09-23T14:13:20.123456Z",
        "items": [
            {
                "id": str(uuid.UUID(detail["items"][0]["id"])),
                "document_id": taken[0]["document_id"],
                "document_filename": "a.pdf",
                "custom_id": f"{prefix}:0",
                "status": "completed",
                "error_message": None,
                "created_at": "2026-09-21T14:13:20.123456Z",
                "processed_at": "2026-09-21T15:13:20.123456Z",
            },
            {
                "id": str(uuid.UUID(detail["items"][1]["id"])),
                "document_id": taken[1]["document_id"],
                "document_filename": "b.pdf",
                "custom_id": f"{prefix}:1",
                "status": "failed",
                "error_message": "the provider did not process the item within its window",
                "created_at": "2026-09-21T14:13:20.123457Z",
                "processed_at": None,
            },
        ],
    }
    expired = local.get(f"/v1/documents/{taken[1]['document_id']}")
    assert (expired["status"], expired["error"]) == (
        "error",
        "the provider did not process the item within its window",
    )


def test_sync_and_cancel_answer_with_the_batch_as_it_is_then(tmp_path: Path) -> None:
    local = Local(tmp_path)
    local.ingest("a.pdf", "b.pdf", "c.pdf")
    accumulating, submitted = local.get("/v1/batches")["data"]
    early = local.call("POST", f"/v1/batches/{submitted['id']}/sync")
    assert (early.status_code, early.json()) == (200, submitted)
    local.now += 60 * MINUTE
    synced = local.call("POST", f"/v1/batches/{submitted['id']}/sync").json()
    assert synced == {
        **submitted,
        "status": "completed",
        "succeeded_count": 2,
        "completed_at": "2026-09-21T15:13:20.123456Z",
        "updated_at": "2026-09-21T15:13:20.123456Z",
    }
    cancelled = local.call("POST", f"/v1/batches/{accumulating['id']}/cancel").json()
    assert cancelled == {
        **accumulating,
        "status": "cancelled",
        "submitted_at": "2026-09-21T14:28:20.123457Z",
        "updated_at": "2026-09-21T15:13:20.123456Z",
    }
    path = f"/v1/batches/{synced['id']}/cancel"
    reply, before = local.call("POST", path), local.rows()
    message = f"Batch {synced['id']} is completed and cannot be cancelled"
    expected = error(reply, 400, message)
    assert (reply.status_code, reply.json()) == (
        400,
        {**expected, "timestamp": "2026-09-21T15:13:20.123456Z"},
    )
    assert local.rows() == before


def test_real_time_images_and_duplicates_are_not_queued(tmp_path: Path) -> None:
    local = Local(tmp_path)
    image = "Images cannot be processed in a batch: this one was processed in real time."
    there = "A document with the same content is already there."
    table: list[tuple[tuple[str, str | None], tuple[str, str, str | None]]] = [
        (("a.pdf", None), ("queued", "realtime", None)),
        (("b.pdf", "realtime"), ("queued", "realtime", None)),
        (("c.PNG", "batch"), ("queued", "realtime", image)),
        (("d.jpeg", "batch"), ("queued", "realtime", image)),
        (("e.jpg", None), ("queued", "realtime", None)),
        (("a.pdf", "batch"), ("duplicate", "realtime", there)),
        (("c.PNG", "batch"), ("duplicate", "realtime", there)),
    ]
    taken = [local.ingest(name, mode=mode) for (name, mode), _ in table]
    assert [(one["status"], one["processing_mode"], one["message"]) for one in taken] == [
        expected for _, expected in table
    ]
    assert [one["existing_document_id"] for one in taken] == [
        *[None] * 5,
        taken[0]["document_id"],
        taken[2]["document_id"],
    ]
    statuses = {local.get(f"/v1/documents/{one['document_id']}")["status"] for one in taken}
    assert (statuses, local.get("/v1/batches")["data"]) == ({"completed"}, [])


def test_one_source_is_there_from_the_beginning(tmp_path: Path) -> None:
    local = Local(tmp_path)
    source = {
        "id": SOURCE_ID,
        "name": "Local",
        "type": "api",
        "status": "active",
        "document_count": 0,
        "default_schema": None,
        "endpoint": INGEST,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "links": {"self": SOURCE, "documents": INGEST},
    }
    assert local.get(SOURCE) == source
    empty: JSON = {"total": 0, "limit": 20, "has_more": False, "next_cursor": None}
    assert local.get(INGEST) == {"data": [], "pagination": empty}
    assert local.get("/v1/batches", limit=7) == {"data": [], "pagination": {**empty, "limit": 7}}
    assert not local.path.exists()
    taken = local.ingest("a.pdf", "b.pdf")["data"]
    assert local.get("/v1/sources") == {
        "data": [{**source, "document_count": 2}],
        "pagination": {"total": 1, "limit": 20, "has_more": False, "next_cursor": None},
    }
    listed = local.get(INGEST)
    assert listed["data"] == [local.get(f"/v1/documents/{one['document_id']}") for one in taken[::-1]]
    assert listed["pagination"] == {"total": 2, "limit": 20, "has_more": False, "next_cursor": None}


def test_what_is_known_of_a_file_is_its_name_size_and_digest(tmp_path: Path) -> None:
    local = Local(tmp_path)
    content = b"\r\n--b0x\r\n--b\x00 end \r\n"
    taken = local.form(file_part("é %22 &.pdf".encode(), content)).json()
    _, [row], _ = local.rows()
    assert (taken["filename"], taken["size_bytes"]) == ("é %22 &.pdf", len(content))
    assert row[3:6] == ("é %22 &.pdf", len(content), hashlib.sha256(content).hexdigest())


FIFTY = "file: 51 files are more than the 50 of one request"
NAMELESS = "file 1: the name should have from 1 to 512 characters"
ODD = "the name has a slash, a backslash, or a control or bidirectional character"
SHAPE = "the body should be complete multipart/form-data with a file in the field 'file'"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "file: no file was given"),
        ([text_part(b"processing_mode", b"batch")], "file: no file was given"),
        ([text_part(b"file", b"text")], "file: should be a file, not a text; file: no file was given"),
        ([file_part(b"a", b"")], "file 1: the file is empty"),
        ([file_part(b"")], NAMELESS),
        ([file_part(b"x" * 513)], NAMELESS),
        ([file_part(b"ok"), file_part(b"a/b"), file_part(b"c\\\\d")], f"file 2: {ODD}; file 3: {ODD}"),
        ([file_part(b"a\tb")], f"file 1: {ODD}"),
        ([file_part("a\u202eb".encode())], f"file 1: {ODD}"),
        ([file_part("a\u061cb".encode())], f"file 1: {ODD}"),
        ([file_part("a\u0085b".encode())], f"file 1: {ODD}"),
        ([file_part(b"a\xff")], "file 1: the name is not UTF-8"),
        (
            [file_part(b"a"), text_part(b"mode", b"batch"), file_part(b"b", field=b"upload")],
            "'mode': unknown field; 'upload': unknown field",
        ),
        (
            [file_part(b"a"), text_part(b"processing_mode", b"sync\n")],
            "processing_mode: should be 'realtime' or 'batch', not 'sync\\n'",
        ),
        (
            [file_part(b"a"), file_part(b"batch", field=b"processing_mode")],
            "'processing_mode': unknown field",
        ),
        (
            [file_part(b"a"), *[text_part(b"processing_mode", b"batch")] * 2],
            "processing_mode: given more than once",
        ),
        ([file_part(b"%d" % index) for index in range(51)], FIFTY),
        ([file_part(b"%d" % index) for index in range(101)], "the form has more than 100 parts"),
        ([b"\r\nno headers"], "'': unknown field; file: no file was given"),
        ([b"no colon\r\n\r\nx"], SHAPE),
        ([file_part(b"a" * 5000)], SHAPE),
    ],
)
def test_a_form_with_a_fault_takes_in_nothing(tmp_path: Path, parts: Sequence[bytes], message: str) -> None:
    local = Local(tmp_path)
    reply = local.form(*parts)
    expected = error(reply, 400, message)
    assert (reply.status_code, reply.json()) == (400, expected)
    assert not local.path.exists()
    assert not local.wake.is_set()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (None, b""),
        ("application/json", b"{}"),
        ("multipart/form-data", b"--b0--"),
        ("multipart/form-data; boundary=", b"----"),
        ("multipart/form-data; boundary=" + "b" * 300, b"--b0--"),
        ("multipart/form-data; boundary=b0", b"--b0\r\n" + file_part(b"a") + b"\r\n--b0\r\n"),
        ("multipart/form-data; boundary=b0", b"--b0\r\n" + file_part(b"a") + b"\r\n--b"),
        ("multipart/form-data; boundary=b0", b""),
    ],
)
def test_a_body_that_is_no_whole_form_is_refused(tmp_path: Path, kind: str | None, content: bytes) -> None:
    local = Local(tmp_path)
    headers = {"Authorization": "Bearer tlnc_emulator", **({} if kind is None else {"Content-Type": kind})}
    reply = local.call("POST", INGEST, content=content, headers=headers)
    assert (reply.status_code, reply.json()["message"]) == (400, SHAPE)
    assert not local.path.exists()


def test_what_follows_the_last_boundary_means_nothing(tmp_path: Path) -> None:
    local = Local(tmp_path)
    reply = local.form(file_part(b"a"), end=b"--b0--\r\n" + b"e" * 300_000)
    assert (reply.status_code, reply.json()["filename"]) == (200, "a")


def test_head_is_not_served(tmp_path: Path) -> None:
    assert Local(tmp_path).call("HEAD", "/v1/batches").status_code == 405


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ("GET /v1/batches/x%2Fsync", 404, "Batch 'x%2Fsync' not found"),
        ("POST /v1/batches/x%2Fsync", 405, "Method Not Allowed"),
        ("GET /v1/sources/x%2fdocuments", 404, "Source 'x%2Fdocuments' not found"),
    ],
)
def test_a_slash_within_an_id_leads_to_no_other_route(
    tmp_path: Path, asked: str, status: int, message: str
) -> None:
    reply = Local(tmp_path).call(*asked.split(" "))
    assert (reply.status_code, reply.json()["message"]) == (status, message)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MAX_FILE_BYTES", 10)
    local = Local(tmp_path)
    assert local.form(file_part(b"a", b"x" * 10)).status_code == 200
    before = local.rows()
    reply = local.form(file_part(b"b"), file_part(b"c", b"x" * 11))
    expected = error(reply, 413, "a file is larger than 10 bytes")
    assert (reply.status_code, reply.json()) == (413, expected)
    assert local.rows() == before


def test_the_limits_are_fifty_files_of_100_mebibytes(tmp_path: Path) -> None:
    assert (upload.MAX_FILES, upload.MAX_FILE_BYTES) == (50, 104_857_600)
    local = Local(tmp_path)
    assert len(local.ingest(*map(str, range(50)))["data"]) == 50


@pytest.mark.parametrize(
    ("asked", "status", "message", "allowed"),
    [
        ("GET /v1/batches?limit=0", 400, "limit: Input should be between 1 and 100, not 0", None),
        (
            f"GET {INGEST}?limit=101&order=up&cursor=x",
            400,
            (
                "limit: Input should be between 1 and 100, not 101; "
                "order: Input should be 'asc' or 'desc', not 'up'; "
                "cursor: Cursor is not valid for this list and order"
            ),
            None,
        ),
        ("GET /v1/sources?limit=ten", 400, "limit: Input should be a whole number, not 'ten'", None),
        (f"GET /v1/batches/{NONE}", 404, f"Batch '{NONE}' not found", None),
        ("POST /v1/batches/x/sync", 404, "Batch 'x' not found", None),
        ("POST /v1/batches/x/cancel", 404, "Batch 'x' not found", None),
        (f"GET /v1/sources/{NONE}", 404, f"Source '{NONE}' not found", None),
        ("GET /v1/sources/x/documents", 404, "Source 'x' not found", None),
        ("POST /v1/sources/x/documents", 404, "Source 'x' not found", None),
        ("GET /v1/documents/" + "y" * 41, 404, f"Document '{'y' * 40}\\u2026' not found", None),
        ("GET /v1/batches/", 404, "Not Found", None),
        ("GET /v1/é%3F%23?q", 404, "Not Found", None),
        ("POST /v1/batches", 405, "Method Not Allowed", "GET"),
        (f"DELETE {INGEST}", 405, "Method Not Allowed", "GET, POST"),
        (f"GET /v1/batches/{NONE}/sync", 405, "Method Not Allowed", "POST"),
    ],
)
def test_a_refusal_has_talonics_shape_and_changes_nothing(
    tmp_path: Path, asked: str, status: int, message: str, allowed: str | None
) -> None:
    local = Local(tmp_path)
    method, _, path = asked.partition(" ")
    without = local.call(method, path)
    assert not local.path.exists()
    local.ingest("a.pdf", "b.pdf", "c.pdf")
    before = local.rows()
    for reply in (without, local.call(method, path)):
        assert (reply.status_code, reply.json()) == (status, error(reply, status, message))
        assert reply.headers.get("allow") == allowed
    assert local.rows() == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer llx-emulator"}, 401),
        ({"Authorization": "tlnc_emulator"}, 401),
        ({"Authorization": "Bearer tlnc_é".encode()}, 401),
        ([("Authorization", "Bearer tlnc_emulator")] * 2, 401),
        ({"Authorization": "Bearer tlnc_emulator"}, 200),
        ({"Authorization": "bEARER tlnc_emulator"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/v1/batches", INGEST])
def test_the_key_is_asked_for(tmp_path: Path, path: str, headers: JSON, status: int) -> None:
    reply = Local(tmp_path).call("GET", path, headers=headers)
    assert reply.status_code == status
    if status == 401:
        assert reply.json() == error(reply, 401, "A valid API key is required")
    assert Local(tmp_path, api_key=None).call("GET", path, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/elsewhere", "/v1/batches?limit=0"])
def test_every_reply_carries_the_services_date_and_an_id_of_its_own(tmp_path: Path, path: str) -> None:
    local = Local(tmp_path)
    replies = [local.call("GET", path), local.call("GET", path), local.call("GET", path, headers={})]
    assert {reply.headers["date"] for reply in replies} == {"Mon, 21 Sep 2026 14:13:20 GMT"}
    assert len({uuid.UUID(reply.headers["x-request-id"]) for reply in replies}) == 3


def test_a_database_that_cannot_be_used_is_said_to_be_worth_another_try(tmp_path: Path) -> None:
    local = Local(tmp_path)
    local.path.parent.mkdir()
    local.path.write_bytes(b"not a database, but a text that is long enough to be looked at" * 9)
    for method, path in (("GET", "/v1/batches"), ("POST", INGEST)):
        reply = local.call(method, path, files=[("file", ("a", b"x"))] if method == "POST" else None)
        message = f"{local.path} cannot be used as the stand-in's database: file is not a database"
        expected = error(reply, 503, message)
        assert (reply.status_code, reply.json()) == (503, {**expected, "retryable": True})


def test_a_read_that_fails_halfway_is_a_reply_too(tmp_path: Path) -> None:
    # Without a key, and asked where the connection was made: the handler runs in this thread.
    local = Local(tmp_path)
    local.ingest("a.pdf")
    connection = local.database.reader()
    assert connection is not None
    connection.set_progress_handler(lambda: True, 1)
    reply = local.call("GET", "/v1/batches")
    connection.set_progress_handler(None, 0)
    assert (reply.status_code, reply.json()["message"]) == (503, "interrupted")


def test_a_cursor_belongs_to_its_list_and_order(tmp_path: Path) -> None:
    local = Local(tmp_path)
    local.ingest(*"abcdef")
    first = local.get("/v1/batches", limit=2)
    cursor = first["pagination"]["next_cursor"]
    assert first["pagination"] == {"total": 3, "limit": 2, "has_more": True, "next_cursor": cursor}
    last = local.get("/v1/batches", limit=5, cursor=cursor, order="desc")
    assert last["pagination"] == {"total": 3, "limit": 5, "has_more": False, "next_cursor": None}
    # A page that holds just what there is leads to no empty one.
    whole = local.get("/v1/batches", limit=3)["pagination"]
    assert whole == {"total": 3, "limit": 3, "has_more": False, "next_cursor": None}
    assert [one["id"] for one in first["data"] + last["data"]] == [
        one["id"] for one in local.get("/v1/batches", order="asc")["data"][::-1]
    ]
    for path, params in (
        ("/v1/batches", {"cursor": cursor, "order": "asc"}),
        ("/v1/batches", {"cursor": cursor + "A"}),
        ("/v1/batches", {"cursor": cursor[:-1]}),
        ("/v1/batches", {"cursor": ""}),
        ("/v1/batches", {"cursor": "é"}),
        (INGEST, {"cursor": cursor}),
    ):
        reply = local.call("GET", path, params=params)
        message = "cursor: Cursor is not valid for this list and order"
        assert (reply.status_code, reply.json()["message"]) == (400, message)


@settings(deadline=None, max_examples=25)
@given(
    path=st.sampled_from(["/v1/batches", INGEST]),
    order=st.sampled_from(["asc", "desc"]),
    count=st.integers(0, 9),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    added=st.lists(st.integers(0, 2), max_size=6),
)
def test_what_stood_at_the_first_page_is_given_exactly_once_while_more_comes(
    path: str, order: str, count: int, sizes: list[int], added: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Each document is a batch of its own.
        local = Local(Path(folder), threshold=1)
        for number in range(count):
            local.ingest(f"{number}.pdf")
        stood = [one["id"] for one in local.get(path, order=order, limit=100)["data"]]
        given_ids: list[str] = []
        cursor: str | None = None
        for turn in range(100):
            params = {"order": order, "limit": sizes[turn % len(sizes)]}
            page = local.get(path, **params, **({} if cursor is None else {"cursor": cursor}))
            given_ids += [one["id"] for one in page["data"]]
            cursor = page["pagination"]["next_cursor"]
            if cursor is None:
                break
            for extra in range(added[turn] if turn < len(added) else 0):
                local.ingest(f"more {turn} {extra}.pdf")
        local.database.close()
    assert cursor is None
    assert given_ids[: len(stood)] == stood
    assert len(set(given_ids)) == len(given_ids)
    assert order == "asc" or given_ids == stood
