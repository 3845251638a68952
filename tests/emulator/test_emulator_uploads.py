"""Uploads: what is taken, what is refused without a trace, and what a failure leaves."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from directory_stand import JSON, STAMP, Stand
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.emulator.database import Database
from reconciler.emulator.llamacloud import upload_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

FORM = {"content-type": "multipart/form-data; boundary=b"}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    shown = "" if filename is None else f'; filename="{filename}"'
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n\r\n'.encode() + value + b"\r\n"


def test_an_upload_is_answered_found_listed_and_its_content_kept(stand: Stand) -> None:
    directory = stand.create(name="made")["id"]
    content = os.urandom(3_000_000)
    file = stand.upload(
        directory,
        "Scan 1.PDF",
        content,
        {
            "display_name": "Invoice",
            "unique_id": "in/1",
            "external_file_id": "e",
            "metadata": '{"pages": 3, "tags": ["a", "b"], "paid": null}',
        },
    )
    assert file == {
        "id": file["id"],
        "directory_id": directory,
        "project_id": "prj-local",
        "display_name": "Invoice",
        "unique_id": "in/1",
        "file_id": file["file_id"],
        "metadata": {"pages": 3, "tags": ["a", "b"], "paid": None},
        "download_url": None,
        "deleted_at": None,
        "created_at": STAMP,
        "updated_at": STAMP,
    }
    assert file["id"].startswith("dfl-")
    assert stand.call("GET", f"/{directory}/files/{file['id']}?expand=download_url").json() == file
    assert stand.call("GET", f"/{directory}/files", params={"expand": "download_url"}).json()["items"] == [
        file
    ]
    document = stand.directories.document(directory, file["id"], "Invoice")
    # By the ending a reader knows what it is.
    assert document == stand.uploads / f"{file['id']}.pdf"
    assert document.read_bytes() == content
    assert list(stand.uploads.iterdir()) == [document]


@pytest.mark.parametrize(
    ("filename", "fields", "expected"),
    [
        ("a.pdf", {}, ("a.pdf", "a.pdf", ".pdf")),
        ("a.pdf", {"display_name": "b"}, ("b", "a.pdf", ".pdf")),
        ("a.pdf", {"external_file_id": "e"}, ("a.pdf", "e", ".pdf")),
        ("a.pdf", {"external_file_id": "e", "unique_id": "u"}, ("a.pdf", "u", ".pdf")),
        ("a.pdf", {"display_name": "", "unique_id": "", "metadata": ""}, ("a.pdf", "a.pdf", ".pdf")),
        ("blob", {"display_name": "b.HTML"}, ("b.HTML", "blob", ".html")),
        ("é.t€t", {}, ("é.t€t", "é.t€t", "")),
        ("..", {}, ("..", "..", "")),
    ],
)
def test_what_is_not_given_comes_from_the_files_name(
    stand: Stand, filename: str, fields: dict[str, str], expected: tuple[str, str, str]
) -> None:
    file = stand.upload(stand.create(name="made")["id"], filename, fields=fields)
    (content,) = stand.uploads.iterdir()
    assert (file["display_name"], file["unique_id"], content.suffix) == expected
    assert content.name.startswith(file["id"])


def test_uploads_into_a_folder_are_listed_with_its_files_and_never_written_there(stand: Stand) -> None:
    stand.upload("dir-a", "00.txt")
    stand.upload("dir-a", "2.txt", fields={"display_name": "0.txt", "unique_id": "u"})
    assert stand.file_names("dir-a") == ["0.txt", "0.txt", "00.txt", "1.txt"]
    directory = stand.directories.get("dir-a")
    assert directory is not None
    assert [file.shown for file in stand.directories.files(directory)] == stand.file_names("dir-a")
    assert stand.directories.count_files(directory, most=1_000) == 4
    assert sorted(path.name for path in stand.folder.iterdir()) == ["0.txt", "1.txt"]
    pages: list[str] = []
    token: str | None = None
    while (token or not pages) and len(pages) < 20:
        query = {"page_size": 1} | ({"page_token": token} if token else {})
        reply = stand.call("GET", "/dir-a/files", params=query).json()
        pages += [item["id"] for item in reply["items"]]
        token = reply["next_page_token"]
    assert pages == [file.id for file in stand.directories.files(directory)]


@pytest.mark.parametrize(
    ("sent", "status", "faults"),
    [
        (b"--b--\r\n", 422, [(["body", "upload_file"], "missing")]),
        (part("upload_file", b"x") + b"--b--", 422, [(["body", "upload_file"], "form_value")]),
        (part("upload_file", b"", "x.pdf") + b"--b--", 400, "The file is empty"),
        (
            part("display_name", b"x", "x.pdf") + b"--b--",
            422,
            [(["body", "display_name"], "form_value"), (["body", "upload_file"], "missing")],
        ),
        (
            part("upload_file", b"x", "x.pdf") + part("name", b"x") + part("metadata", b"[1]") + b"--b--",
            422,
            [(["body", "name"], "extra_forbidden"), (["body", "metadata"], "object_type")],
        ),
        (
            part("upload_file", b"x", "x.pdf") + part("unique_id", b"u") * 2 + b"--b--",
            422,
            [(["body", "unique_id"], "repeated")],
        ),
        *(
            (
                part("upload_file", b"x", "x.pdf") + part("metadata", metadata) + b"--b--",
                422,
                [(["body", "metadata"], kind)],
            )
            for metadata, kind in (
                (b"{", "json_invalid"),
                (b"[" * 100_000, "json_invalid"),
                (b"9" * 5000, "json_invalid"),
                (b"1", "object_type"),
                (b"null", "object_type"),
                (b'{"a": {}}', "metadata_value"),
                (b'{"a": [1]}', "metadata_value"),
                (b'{"a": NaN}', "json_invalid"),
                (b'{"a": 1e999}', "finite_number"),
                (b'{"a": 1, "a": 1}', "json_invalid"),
                (b'{"a": "\\ud800"}', "string_characters"),
                (b'{"a": "' + b"x" * 70_000 + b'"}', "json_too_long"),
            )
        ),
        (
            part("upload_file", b"x", "x.pdf")
            + part("display_name", b"a/b")
            + part("unique_id", "\u202e".encode())
            + part("external_file_id", b"x" * 513)
            + b"--b--",
            422,
            [
                (["body", "display_name"], "string_characters"),
                (["body", "external_file_id"], "string_too_long"),
                (["body", "unique_id"], "string_characters"),
            ],
        ),
        (part("upload_file", b"x", "a/b") + b"--b--", 422, [(["body", "upload_file"], "string_characters")]),
        (part("upload_file", b"x", "") + b"--b--", 422, [(["body", "upload_file"], "string_too_short")]),
        (
            part("upload_file", b"x", "x") * 2 + b"--b--",
            400,
            "Too many files. Maximum number of files is 1.",
        ),
        (b"no form at all", 400, None),
        (b"--b\r\nContent-Type: x\r\n\r\nx\r\n--b--", 400, None),
        (part("upload_file", b"x", "0.txt") + b"--b--", 409, None),
    ],
)
def test_a_wrong_upload_is_refused_and_changes_nothing(
    stand: Stand, sent: bytes, status: int, faults: JSON
) -> None:
    before = stand.state()
    reply = stand.call("POST", "/dir-a/files/upload", content=sent, headers=FORM)
    detail = reply.json()["detail"]
    got = [(fault["loc"], fault["type"]) for fault in detail] if isinstance(detail, list) else detail
    assert (reply.status_code, got if faults is not None else None) == (status, faults)
    assert stand.state() == before
    assert not stand.file.exists()


@pytest.mark.parametrize(
    "kind",
    [
        *("application/json", "", "multipart/form-data", "application/x-www-form-urlencoded"),
        *(
            "multipart/form-data; boundary=b; charset=undefined",
            "multipart/form-data; boundary=b; charset=idna",
        ),
    ],
)
def test_a_body_of_another_kind_is_refused(stand: Stand, kind: str) -> None:
    body = part("display_name", b"\xff") + b"--b--"
    reply = stand.call("POST", "/dir-a/files/upload", content=body, headers={"content-type": kind})
    assert reply.status_code in {400, 422}


def test_every_body_that_was_cut_is_refused_and_leaves_nothing(stand: Stand) -> None:
    whole = part("upload_file", b"--x--", "x.pdf") + part("metadata", b'{"a": 1}') + b"--b--\r\n"
    before = stand.state()
    for length in range(len(whole) - 2):
        reply = stand.call("POST", "/dir-a/files/upload", content=whole[:length], headers=FORM)
        assert reply.status_code in {400, 422}, whole[:length]
    assert stand.state() == before
    reply = stand.call("POST", "/dir-a/files/upload", content=whole, headers=FORM)
    assert (reply.status_code, reply.json()["metadata"]) == (200, {"a": 1})


@pytest.mark.parametrize("length", [1_000, 1_100, 300_000])
def test_what_follows_the_last_boundary_means_nothing(stand: Stand, length: int) -> None:
    body = part("upload_file", b"content", "x.pdf") + b"--b--\r\n" + b"e" * length
    reply = stand.call("POST", "/dir-b/files/upload", content=body, headers=FORM)
    assert (reply.status_code, stand.contents()) == (200, [b"content"])


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.sampled_from([b"--b", b"--", b"\r\n", b"Content-Disposition: form-data; ", b'name="upload_file"'])
        | st.sampled_from(
            [b'; filename="x', b'"', b"\r\n\r\n", b'name="metadata"', b"--b--", b"{}", b";", b"="]
        )
        | st.binary(max_size=6),
        max_size=25,
    ),
    whole=st.booleans(),
    kind=st.sampled_from([FORM["content-type"], "multipart/form-data; boundary=b; charset=utf-7"]),
)
def test_no_body_breaks_the_service(stand: Stand, pieces: list[bytes], *, whole: bool, kind: str) -> None:
    body = b"".join(pieces) + (part("upload_file", b"x", "n") + b"--b--" if whole else b"")
    reply = stand.call("POST", "/dir-a/files/upload", content=body, headers={"content-type": kind})
    assert reply.status_code in {200, 400, 409, 422}


@pytest.mark.parametrize("told", [True, False])
def test_an_upload_of_over_the_limit_is_refused(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    monkeypatch.setattr(upload_form, "MAX_UPLOAD_BYTES", 3_000_000)
    fits, too_large = (stand.send("dir-a", content=b"x" * size) for size in (3_000_000, 3_000_001))
    assert (fits.status_code, too_large.status_code, too_large.json()) == (
        200,
        413,
        {"detail": "The file is larger than 3000000 bytes"},
    )
    taken = [0]

    async def endless() -> AsyncIterator[bytes]:
        yield part("upload_file", b"x", "y.pdf")[:-2]
        for _ in range(100):
            taken[0] += 1
            yield b"x" * 1_000_000

    headers = FORM | ({"content-length": "100000000"} if told else {})
    reply = stand.call("POST", "/dir-a/files/upload", content=endless(), headers=headers)
    assert (reply.status_code, reply.json()) == (413, {"detail": "The body is larger than 4048576 bytes"})
    assert taken[0] <= (0 if told else 5)
    assert len(stand.contents()) == 1


def test_a_unique_id_is_one_files_until_that_is_deleted(stand: Stand) -> None:
    first = stand.upload("dir-a", "x.pdf")
    other = stand.create(name="made")["id"]
    assert stand.upload(other, "x.pdf")["unique_id"] == "x.pdf"
    disk = stand.call("GET", "/dir-a/files", params={"display_name": "0.txt"}).json()["items"][0]
    before = stand.state()
    refused = [
        stand.send("dir-a", "x.pdf"),
        stand.send("dir-a", "y", fields={"unique_id": "0.txt"}),
        stand.call("PATCH", f"/dir-a/files/{first['id']}", json={"unique_id": "0.txt"}),
        stand.call("PATCH", f"/dir-a/files/{disk['id']}", json={"unique_id": "x.pdf"}),
        stand.call("PATCH", f"/dir-a/files/{first['id']}", json={"target_directory_id": other}),
    ]
    elsewhere = stand.call("GET", f"/{other}/files").json()["items"][0]["id"]
    taken = [
        *(("dir-a", "x.pdf", first["id"]), ("dir-a", "0.txt", disk["id"]), ("dir-a", "0.txt", disk["id"])),
        *(("dir-a", "x.pdf", first["id"]), (other, "x.pdf", elsewhere)),
    ]
    assert [(reply.status_code, reply.json()["detail"]) for reply in refused] == [
        (409, f"Directory {directory!a} already has a file with unique_id {unique_id!a}: {file}")
        for directory, unique_id, file in taken
    ]
    assert stand.state() == before
    for file in (first["id"], disk["id"]):
        assert stand.call("DELETE", f"/dir-a/files/{file}").status_code == 204
    assert [stand.upload("dir-a", name)["unique_id"] for name in ("x.pdf", "0.txt")] == ["x.pdf", "0.txt"]


def test_two_uploads_of_one_unique_id_at_once_give_one_file(tmp_path: Path) -> None:
    stands = [Stand(tmp_path, Database(tmp_path / "state" / "x.db")) for _ in range(4)]
    directory = stands[0].create(name="made")["id"]
    statuses: list[int] = []
    line = threading.Barrier(len(stands))

    def run(stand: Stand) -> None:
        line.wait()
        statuses.append(stand.send(directory).status_code)

    threads = [threading.Thread(target=run, args=[stand]) for stand in stands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409]
    assert (stands[0].file_names(directory), stands[0].contents()) == (["x.pdf"], [b"x"])


class Failing(Database):
    """A database whose next change fails when all of it has been done but the commit."""

    fails = False

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with super().transaction() as connection:
            yield connection
            if self.fails:
                self.fails = False
                raise sqlite3.OperationalError("disk I/O error")


def test_a_failure_after_the_content_was_written_leaves_a_content_and_no_file(tmp_path: Path) -> None:
    database = Failing(tmp_path / "state" / "x.db")
    stand = Stand(tmp_path, database)
    directory = stand.create(name="made")["id"]
    database.fails = True
    failed = stand.send(directory, content=b"lost")
    assert (failed.status_code, failed.json()["detail"][-14:]) == (503, "disk I/O error")
    assert (stand.file_names(directory), stand.contents()) == ([], [b"lost"])
    stand.upload(directory, content=b"kept")
    assert (stand.file_names(directory), stand.contents()) == (["x.pdf"], [b"kept", b"lost"])


def test_a_disk_that_takes_no_content_is_an_answer_of_its_own(stand: Stand) -> None:
    stand.uploads.parent.mkdir()
    stand.uploads.write_text("no folder")
    reply = stand.send("dir-a")
    assert (reply.status_code, reply.json()) == (503, {"detail": "The upload cannot be kept: File exists"})
    assert stand.file_names("dir-a") == ["0.txt", "1.txt"]
