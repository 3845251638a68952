"""Directories: what is created beside the folders, and what is laid over them without touching them."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from directory_stand import JSON, NOW, STAMP, Stand
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator.database import Database
from reconciler.emulator.errors import Refused
from reconciler.emulator.llamacloud.bodies import CreateDirectory
from reconciler.emulator.llamacloud.directories import Directories
from reconciler.emulator.llamacloud.directory_rows import DirectoryFilters
from reconciler.emulator.llamacloud.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from reconciler.emulator.llamacloud.directory_rows import Mark

HOUR = 3_600_000_000
JSON_BODY = {"Content-Type": "application/json"}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_a_created_directory_is_answered_found_and_listed(stand: Stand) -> None:
    body = {
        "name": "Invoices 2026",
        "description": "line\nline",
        "type": "user",
        "system_metadata": {"a": [1, {"b": None}]},
        "connector_subscription_id": "sub-1",
    }
    created = stand.create(**body)
    assert created == {
        **body,
        "id": created["id"],
        "project_id": "prj-local",
        "expires_at": None,
        "deleted_at": None,
        "created_at": STAMP,
        "updated_at": STAMP,
    }
    assert created["id"].startswith("dir-")
    assert stand.call("GET", f"/{created['id']}").json() == created
    assert stand.call("GET", params={"name": "Invoices 2026"}).json() == {
        "items": [created],
        "next_page_token": None,
        "total_size": None,
    }


def test_an_ephemeral_directory_cannot_be_used_once_it_expired_and_is_still_shown(stand: Stand) -> None:
    directory = stand.create(name="soon gone", type="ephemeral")
    expires = NOW + 48 * HOUR
    assert directory["expires_at"] == "2026-09-23T14:13:20.123456Z"
    assert stand.directories.usable(directory["id"], expires - 1) is not None
    with pytest.raises(Refused, match=r"expired at 2026-09-23T14:13:20\.123456Z"):
        stand.directories.usable(directory["id"], expires)
    stand.now = expires
    assert stand.call("GET", f"/{directory['id']}").json() == directory
    assert stand.directories.usable("dir-a", expires) is not None
    assert stand.directories.usable("dir-none", NOW) is None


def test_nothing_is_put_into_a_directory_that_has_expired(stand: Stand) -> None:
    directory = stand.create(name="e", type="ephemeral")["id"]
    inside = stand.upload(directory)["id"]
    outside = stand.upload("dir-a")["id"]
    stand.now += 48 * HOUR
    before = stand.state()
    refused = [
        stand.send(directory, "y.pdf"),
        stand.call("PATCH", f"/dir-a/files/{outside}", json={"target_directory_id": directory}),
    ]
    detail = {"detail": f"Directory {directory!a} expired at 2026-09-23T14:13:20.123456Z"}
    assert [(reply.status_code, reply.json()) for reply in refused] == [(400, detail)] * 2
    assert stand.state() == before
    path = f"/{directory}/files/{inside}"
    # What is in it can still be seen, renamed and taken out.
    assert [
        stand.call("GET", path).status_code,
        stand.call("PATCH", path, json={"display_name": "z", "target_directory_id": directory}).status_code,
        stand.call("PATCH", path, json={"target_directory_id": "dir-b"}).status_code,
        stand.call("PATCH", f"/{directory}", json={"name": "z"}).status_code,
        stand.call("DELETE", f"/{directory}").status_code,
    ] == [200, 200, 200, 200, 204]


def test_who_uploads_while_a_directory_expires_is_refused_and_leaves_nothing(stand: Stand) -> None:
    directory = stand.create(name="e", type="ephemeral")["id"]
    form = b'--b\r\nContent-Disposition: form-data; name="upload_file"; filename="x"\r\n\r\nx\r\n--b--'

    async def slow() -> AsyncIterator[bytes]:
        yield form[:20]
        stand.now += 48 * HOUR
        yield form[20:]

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = stand.call("POST", f"/{directory}/files/upload", content=slow(), headers=headers)
    assert (reply.status_code, stand.contents()) == (400, [])


def test_an_upload_that_was_kept_when_its_directory_expired_is_dropped(stand: Stand) -> None:
    directory = stand.create(name="e", type="ephemeral")["id"]
    upload = Upload(content=io.BytesIO(b"x"), name="x", unique_id="x", metadata=None, ending="")
    kept = stand.directories.keep(upload)
    stand.now += 48 * HOUR
    with pytest.raises(Refused, match="expired at"):
        stand.directories.upload(directory, upload, kept)
    assert stand.contents() == []


def test_a_page_token_belongs_to_the_types_in_any_order_and_the_last_type_counts(stand: Stand) -> None:
    first = [("types", "user"), ("types", "ephemeral"), ("type", "index"), ("type", "user")]
    token = stand.call("GET", params=[*first, ("page_size", "1")]).json()["next_page_token"]
    again = [("types", "ephemeral"), ("types", "user"), ("types", "user"), ("page_token", token)]
    assert [item["name"] for item in stand.call("GET", params=again).json()["items"]] == ["b"]
    assert stand.call("GET", params=[("types", "user"), ("page_token", token)]).status_code == 422
    repeated = [("type", "user"), ("type", "index")]
    assert stand.call("GET", params=repeated).json()["items"] == []
    assert len(stand.call("GET", params=repeated[::-1]).json()["items"]) == 2


def test_folders_and_created_directories_make_one_list_sorted_bytewise(stand: Stand) -> None:
    for name in ("B", "ab", "é", "\U0001f600", "\uffff", "a"):
        stand.create(name=name)
    assert stand.names() == ["B", "a", "a", "ab", "b", "é", "\uffff", "\U0001f600"]
    pages: list[list[str]] = []
    token: str | None = None
    while (token or not pages) and len(pages) < 20:
        reply = stand.call("GET", params={"page_size": 1} | ({"page_token": token} if token else {})).json()
        pages.append([item["name"] for item in reply["items"]])
        token = reply["next_page_token"]
    assert pages == [[name] for name in stand.names()]


def test_every_filter_of_the_list_selects(stand: Stand) -> None:
    stand.create(name="c", type="ephemeral")
    gone = stand.create(name="d")["id"]
    stand.call("DELETE", f"/{gone}")
    stand.call("DELETE", "/dir-b")
    table: list[tuple[JSON, list[str]]] = [
        ({}, ["a", "c"]),
        ({"include_deleted": "true"}, ["a", "b", "c", "d"]),
        ({"type": "user"}, ["a"]),
        ({"type": "ephemeral"}, ["c"]),
        ({"types": ["user", "ephemeral"]}, ["a", "c"]),
        ({"type": "index"}, []),
        ({"name": "c"}, ["c"]),
        ({"name": "C"}, []),
        ({"name": "d"}, []),
        ({"name": "d", "include_deleted": "1"}, ["d"]),
    ]
    assert [(query, stand.names(**query)) for query, _ in table] == table


@pytest.mark.parametrize("kind", ["created", "folder"])
def test_a_change_replaces_what_it_names_and_keeps_the_rest(stand: Stand, kind: str) -> None:
    before = stand.create(name="b") if kind == "created" else stand.call("GET", "/dir-b").json()
    path = f"/{before['id']}"
    stand.now += 1_000_000
    later = "2026-09-21T14:13:21.123456Z"
    got = [
        stand.call("PATCH", path, json=body).json()
        for body in ({"description": "d"}, {"name": "z"}, {"name": None, "description": None}, {})
    ]
    assert got == [
        {**before, "description": "d", "updated_at": later},
        {**before, "description": "d", "name": "z", "updated_at": later},
        {**before, "name": "z", "updated_at": later},
        {**before, "name": "z", "updated_at": later},
    ]
    assert stand.call("GET", path).json() == got[-1]
    assert stand.names()[-1] == "z"
    assert sorted(path.name for path in stand.root.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("kind", ["created", "folder"])
def test_a_deleted_directory_is_only_listed_when_asked_for(stand: Stand, kind: str) -> None:
    before = stand.create(name="a") if kind == "created" else stand.call("GET", "/dir-a").json()
    path = f"/{before['id']}"
    gone = stand.call("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    refused = [
        stand.call("GET", path),
        stand.call("DELETE", path),
        stand.call("PATCH", path, json={"name": "z"}),
        stand.call("GET", f"{path}/files"),
        stand.call("POST", f"{path}/files/upload", files={"upload_file": ("x.txt", b"x")}),
    ]
    detail = {"detail": f"Directory {before['id']!a} not found"}
    assert [(reply.status_code, reply.json()) for reply in refused] == [(404, detail)] * 5
    listed = stand.call("GET", params={"include_deleted": "true"}).json()["items"]
    assert {**before, "deleted_at": STAMP, "updated_at": STAMP} in listed
    assert before["id"] not in {item["id"] for item in stand.call("GET").json()["items"]}
    assert stand.directories.usable(before["id"], NOW) is None
    assert sorted(path.name for path in (stand.root / "a").iterdir()) == ["0.txt", "1.txt"]


def test_a_folder_that_vanished_is_gone_with_all_that_lay_over_it(stand: Stand) -> None:
    stand.call("PATCH", "/dir-b", json={"name": "z"})
    (stand.root / "b").rmdir()
    assert stand.names(include_deleted="true") == ["a"]
    assert stand.call("GET", "/dir-b").status_code == 404
    (stand.root / "b").mkdir()
    assert stand.names() == ["a", "z"]


@pytest.mark.parametrize(
    ("method", "path", "body", "faults"),
    [
        ("POST", "", {}, [(["body", "name"], "missing")]),
        ("POST", "", {"name": None}, [(["body", "name"], "missing")]),
        ("POST", "", [], [(["body"], "object_type")]),
        ("POST", "", {"name": ""}, [(["body", "name"], "string_too_short")]),
        ("POST", "", {"name": "x" * 513}, [(["body", "name"], "string_too_long")]),
        ("POST", "", {"name": 1}, [(["body", "name"], "string_type")]),
        *(
            ("POST", "", {"name": f"x{character}"}, [(["body", "name"], "string_characters")])
            for character in "/\\\0\n\x1b\x7f\x85\u061c\u200e\u200f\u202a\u202e\u2066\u2069\ud800"
        ),
        ("POST", "", {"name": "x", "type": "index"}, [(["body", "type"], "literal_error")]),
        ("POST", "", {"name": "x", "type": None}, [(["body", "type"], "string_type")]),
        ("POST", "", {"name": "x", "nmae": "x"}, [(["body", "nmae"], "extra_forbidden")]),
        (
            "POST",
            "",
            {"description": 1, "system_metadata": [], "connector_subscription_id": {}},
            [
                (["body", "name"], "missing"),
                (["body", "description"], "string_type"),
                (["body", "system_metadata"], "object_type"),
                (["body", "connector_subscription_id"], "string_type"),
            ],
        ),
        (
            "POST",
            "",
            {"name": "x", "description": "\ud800"},
            [(["body", "description"], "string_characters")],
        ),
        (
            "POST",
            "",
            {"name": "x", "description": "x" * 10_001},
            [(["body", "description"], "string_too_long")],
        ),
        (
            "POST",
            "",
            {"name": "x", "system_metadata": {"\udfff": 1}},
            [(["body", "system_metadata"], "string_characters")],
        ),
        (
            "POST",
            "",
            {"name": "x", "system_metadata": {"a": json.loads("[" * 20 + "]" * 20)}},
            [(["body", "system_metadata"], "json_depth")],
        ),
        (
            "POST",
            "",
            {"name": "x", "system_metadata": {"a": "x" * 70_000}},
            [(["body", "system_metadata"], "json_too_long")],
        ),
        ("PATCH", "/dir-a", {"name": "a/b"}, [(["body", "name"], "string_characters")]),
        ("PATCH", "/dir-a", {"name": "x", "type": "user"}, [(["body", "type"], "extra_forbidden")]),
        ("PATCH", "/dir-a", {"description": []}, [(["body", "description"], "string_type")]),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_and_changes_nothing(
    stand: Stand, method: str, path: str, body: JSON, faults: JSON
) -> None:
    before = stand.state()
    reply = stand.call(method, path, content=json.dumps(body), headers=JSON_BODY)
    got = [(fault["loc"], fault["type"]) for fault in reply.json()["detail"]]
    assert (reply.status_code, got) == (422, faults)
    assert stand.state() == before
    assert not (stand.top / "state").exists()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "", {"GET", "POST"}),
        ("POST", "/dir-a", {"GET", "PATCH", "DELETE"}),
        ("PATCH", "/dir-a/files", {"GET"}),
        ("PUT", "/dir-a/files/upload", {"POST"}),
        ("POST", "/dir-a/files/dfl-x", {"GET", "PATCH", "DELETE"}),
    ],
)
def test_a_wrong_method_is_told_all_right_ones(
    stand: Stand, method: str, path: str, allowed: set[str]
) -> None:
    reply = stand.call(method, path)
    assert (reply.status_code, set(reply.headers["allow"].split(", "))) == (405, allowed)


def test_reading_makes_no_database(stand: Stand) -> None:
    before = stand.state()
    calls = [
        *(("GET", path) for path in ("", "/dir-a", "/dir-x", "/dir-a/files", "/dir-a/files/dfl-x")),
        *(("DELETE", path) for path in ("/dir-x", "/dir-a/files/dfl-x")),
    ]
    assert [stand.call(method, path).status_code for method, path in calls] == [
        *(200, 200, 404, 200, 404),
        *(404, 404),
    ]
    assert stand.call("PATCH", "/dir-x", json={"name": "z"}).status_code == 404
    assert stand.state() == before
    assert not (stand.top / "state").exists()


STEPS = st.lists(st.tuples(st.sampled_from("cdp"), st.text("ab", min_size=1, max_size=2)), max_size=30)


@settings(deadline=None, max_examples=60)
@given(
    folders=st.sets(st.text("abc", min_size=1, max_size=2), max_size=5),
    made=st.lists(st.text("abc", min_size=1, max_size=2), max_size=8),
    steps=STEPS,
    size=st.integers(1, 4),
)
def test_each_directory_that_stands_throughout_is_given_once_while_others_come_and_go(
    folders: set[str], made: list[str], steps: list[tuple[str, str]], size: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        (top / "root").mkdir()
        for folder in folders:
            (top / "root" / folder).mkdir()
        database = Database(top / "x.db")
        directories = Directories(top / "root", database, lambda: NOW, uploads=top / "uploads")
        standing = {f"dir-{folder}" for folder in folders}
        standing |= {directories.create(CreateDirectory(name=each)).id for each in made}
        passing: list[str] = []
        given_ids: list[str] = []
        after: Mark | None = None
        waiting = iter(steps)
        # No page is empty, so a list that is not through by then goes in circles.
        while len(given_ids) < 100:
            page, after = directories.page(DirectoryFilters(), after, size)
            given_ids += [directory.id for directory in page]
            if after is None:
                break
            for kind, step_name in waiting:
                if kind == "p":
                    break
                if kind == "c":
                    passing.append(directories.create(CreateDirectory(name=step_name)).id)
                elif passing:
                    directories.delete(passing.pop())
                elif standing:
                    # One of the first ones goes, given or not: from here on nothing is said of it.
                    lost = min(standing)
                    standing.remove(lost)
                    directories.delete(lost)
        database.close()
    assert len(given_ids) == len(set(given_ids))
    assert standing <= set(given_ids)


def test_a_page_of_many_directories_costs_as_much_at_the_end_as_at_the_start(stand: Stand) -> None:
    count = 5_000
    with stand.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO directories (id, name, type, created_us, updated_us, deleted_us)"
            " VALUES (?, ?, 'user', 0, 0, ?)",
            [(f"dir-{index}", f"{index:06}", 1 if index < 2_000 else None) for index in range(count)],
        )
    reader = stand.database.reader()
    assert reader is not None

    def cost(after: Mark | None) -> tuple[list[str], int]:
        steps = [0]

        def step() -> None:
            steps[0] += 1

        reader.set_progress_handler(step, 1)
        page, _ = stand.directories.page(DirectoryFilters(), after, 10)
        reader.set_progress_handler(None, 0)
        return [directory.name for directory in page], steps[0]

    start, first = cost(None)
    end, last = cost(("004985", "dir-4985"))
    assert start == [f"{index:06}" for index in range(2_000, 2_010)]
    assert end == [f"{index:06}" for index in range(4_986, 4_996)]
    assert max(first, last) < 2 * min(first, last) < count
