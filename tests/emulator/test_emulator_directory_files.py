"""The files of a directory: changed, moved, deleted, filtered; a folder's own ones are never touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from directory_stand import JSON, STAMP, Stand

from reconciler.emulator.llamacloud.folders import file_id

if TYPE_CHECKING:
    from pathlib import Path

JSON_BODY = {"Content-Type": "application/json"}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


@pytest.mark.parametrize("kind", ["uploaded", "folder"])
def test_a_change_of_a_file_replaces_what_it_names_and_keeps_the_rest(stand: Stand, kind: str) -> None:
    if kind == "uploaded":
        before = stand.upload("dir-a", "5.pdf", fields={"metadata": '{"a": 1}'})
    else:
        before = stand.call("GET", "/dir-a/files").json()["items"][1]
    path = f"/dir-a/files/{before['id']}"
    stand.now += 1_000_000
    later = {"updated_at": "2026-09-21T14:13:21.123456Z"}
    same = {"display_name": None, "unique_id": None, "target_directory_id": "dir-a", "metadata": None}
    bodies: list[JSON] = [
        {"display_name": "z.pdf"},
        {"unique_id": "u", "metadata": {"b": ["c"]}},
        same,
        {},
    ]
    got = [stand.call("PATCH", path, json=body).json() for body in bodies]
    named = {**before, **later, "display_name": "z.pdf"}
    known = {**named, "unique_id": "u", "metadata": {"b": ["c"]}}
    assert got == [named, known, {**known, "metadata": None}, {**known, "metadata": None}]
    assert stand.call("GET", path).json() == got[-1]
    assert stand.file_names("dir-a")[-1] == "z.pdf"
    assert stand.file_names("dir-a", unique_id="u") == ["z.pdf"]
    document = stand.directories.document("dir-a", before["id"], before["display_name"])
    assert document is not None
    assert document.read_bytes() == b"x"
    assert sorted(path.name for path in stand.folder.iterdir()) == ["0.txt", "1.txt"]


def test_an_uploaded_file_can_be_moved_and_a_folders_file_cannot(stand: Stand) -> None:
    directory = stand.create(name="made")["id"]
    file = stand.upload(directory, content=b"moved")
    moved = stand.call("PATCH", f"/{directory}/files/{file['id']}", json={"target_directory_id": "dir-a"})
    assert moved.json() == {**file, "directory_id": "dir-a"}
    assert (stand.file_names(directory), stand.file_names("dir-a")) == ([], ["0.txt", "1.txt", "x.pdf"])
    assert stand.call("GET", f"/{directory}/files/{file['id']}").status_code == 404
    # A batch over the directory that it was in goes on with it, even without that directory.
    stand.call("DELETE", f"/{directory}")
    for place in (directory, "dir-a"):
        document = stand.directories.document(place, file["id"], "x.pdf")
        assert document is not None
        assert document.read_bytes() == b"moved"
    directory = stand.create(name="made")["id"]
    before = stand.state()
    disk = stand.call("GET", "/dir-a/files").json()["items"][0]["id"]
    refused = [
        stand.call("PATCH", f"/dir-a/files/{disk}", json={"target_directory_id": directory}),
        stand.call("PATCH", f"/dir-a/files/{file['id']}", json={"target_directory_id": "dir-x"}),
    ]
    lies = "lies in a folder of yours, where nothing is moved through the API"
    assert [(reply.status_code, reply.json()["detail"]) for reply in refused] == [
        (409, f"File {disk} {lies}: move it on the disk"),
        (404, "Directory 'dir-x' not found"),
    ]
    assert stand.state() == before


@pytest.mark.parametrize("kind", ["uploaded", "folder"])
def test_a_deleted_file_is_only_listed_when_asked_for(stand: Stand, kind: str) -> None:
    if kind == "uploaded":
        before = stand.upload("dir-a", "0.pdf")
    else:
        before = stand.call("GET", "/dir-a/files").json()["items"][0]
    path = f"/dir-a/files/{before['id']}"
    gone = stand.call("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    refused = [stand.call(*call) for call in (("GET", path), ("DELETE", path))]
    refused.append(stand.call("PATCH", path, json={"display_name": "z"}))
    detail = {"detail": f"File {before['id']!a} not found"}
    assert [(reply.status_code, reply.json()) for reply in refused] == [(404, detail)] * 3
    listed = stand.call("GET", "/dir-a/files", params={"include_deleted": "true"}).json()["items"]
    assert {**before, "deleted_at": STAMP, "updated_at": STAMP} in listed
    assert before["display_name"] not in stand.file_names("dir-a")
    assert stand.directories.document("dir-a", before["id"], before["display_name"]) is None
    directory = stand.directories.get("dir-a")
    assert directory is not None
    assert stand.directories.count_files(directory, most=1_000) == len(stand.file_names("dir-a"))
    assert stand.contents() == []
    assert sorted(path.name for path in stand.folder.iterdir()) == ["0.txt", "1.txt"]


def test_the_contents_of_a_deleted_directory_are_removed(stand: Stand) -> None:
    directory = stand.create(name="made")["id"]
    file = stand.upload(directory, "1.pdf")
    stand.upload(directory, "2.pdf")
    stand.upload("dir-a", "3.pdf", b"stays")
    stand.call("DELETE", f"/{directory}")
    assert stand.contents() == [b"stays"]
    assert stand.directories.document(directory, file["id"], "1.pdf") is None


def test_every_filter_of_the_files_selects(stand: Stand) -> None:
    up = stand.upload("dir-a", "up_%.txt", fields={"unique_id": "u"})
    gone = stand.upload("dir-a", "gone.txt")["id"]
    stand.call("DELETE", f"/dir-a/files/{gone}")
    table: list[tuple[JSON, list[str]]] = [
        ({}, ["0.txt", "1.txt", "up_%.txt"]),
        ({"include_deleted": "true"}, ["0.txt", "1.txt", "gone.txt", "up_%.txt"]),
        ({"display_name": "up_%.txt"}, ["up_%.txt"]),
        ({"display_name": "1.txt"}, ["1.txt"]),
        ({"display_name_contains": "p_%"}, ["up_%.txt"]),
        ({"display_name_contains": "%"}, ["up_%.txt"]),
        ({"display_name_contains": "T"}, []),
        ({"unique_id": "u"}, ["up_%.txt"]),
        ({"unique_id": "1.txt"}, ["1.txt"]),
        ({"file_id": up["file_id"]}, ["up_%.txt"]),
        ({"file_id": "x"}, []),
        ({"updated_at_on_or_after": STAMP}, ["up_%.txt"]),
        ({"updated_at_on_or_after": "2026-09-21T14:13:20.123457Z"}, []),
        ({"updated_at_on_or_before": STAMP}, ["0.txt", "1.txt", "up_%.txt"]),
        ({"updated_at_on_or_before": "2023-11-14T22:13:20Z"}, ["0.txt"]),
    ]
    assert [(query, stand.file_names("dir-a", **query)) for query, _ in table] == table
    assert stand.call("GET", "/dir-a/files", params={"expand": "x"}).status_code == 422


def test_a_page_token_of_files_belongs_to_its_directory(stand: Stand) -> None:
    for name in ("2.txt", "3.txt"):
        stand.upload("dir-b", name)
    token = stand.call("GET", "/dir-a/files", params={"page_size": 1}).json()["next_page_token"]
    got = [stand.call("GET", f"/{place}/files", params={"page_token": token}) for place in ("dir-a", "dir-b")]
    assert [reply.status_code for reply in got] == [200, 422]


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"display_name": "a/b"}, [(["body", "display_name"], "string_characters")]),
        ({"unique_id": ""}, [(["body", "unique_id"], "string_too_short")]),
        ({"metadata": {"a": {"b": 1}}}, [(["body", "metadata"], "metadata_value")]),
        ({"metadata": "{}"}, [(["body", "metadata"], "object_type")]),
        ({"target_directory_id": 1, "x": 1}, [
            (["body", "x"], "extra_forbidden"), (["body", "target_directory_id"], "string_type")
        ]),
    ],
)  # fmt: skip
def test_a_wrong_change_of_a_file_is_refused_and_changes_nothing(
    stand: Stand, body: JSON, faults: JSON
) -> None:
    file = stand.upload("dir-a")
    before = stand.state()
    reply = stand.call("PATCH", f"/dir-a/files/{file['id']}", content=json.dumps(body), headers=JSON_BODY)
    got = [(fault["loc"], fault["type"]) for fault in reply.json()["detail"]]
    assert (reply.status_code, got) == (422, faults)
    assert stand.state() == before


def test_a_name_that_is_no_unicode_is_shown_changed_and_read(stand: Stand) -> None:
    try:
        (stand.folder / "caf\udce9.txt").write_text("coffee")
        (stand.folder / "caf\udcea.txt").write_text("other")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    files = stand.call("GET", "/dir-a/files", params={"display_name": "caf\ufffd.txt"}).json()["items"]
    # Shown, both look alike; a unique id is one file's.
    assert [file["unique_id"] for file in files] == [file["id"] for file in files]
    [file] = stand.items("/dir-a/files", unique_id=file_id("dir-a", "caf\udce9.txt"))
    assert stand.send("dir-a", fields={"unique_id": file["id"]}).status_code == 409
    assert stand.call("PATCH", f"/dir-a/files/{file['id']}", json={"metadata": {"a": 1}}).status_code == 200
    document = stand.directories.document("dir-a", file["id"], "caf\udce9.txt")
    assert document is not None
    assert document.read_text() == "coffee"
