"""Saved configurations: what the API saves beside the files, and what it refuses to change."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from contract import checked
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator.database import Database
from reconciler.emulator.errors import Refused
from reconciler.emulator.llamacloud.app import make_app
from reconciler.emulator.llamacloud.bodies import CreateBatch, SaveConfiguration
from reconciler.emulator.llamacloud.configuration_routes import ConfigurationRoutes
from reconciler.emulator.llamacloud.configurations import ConfigurationFilters, Configurations

if TYPE_CHECKING:
    from reconciler.emulator.llamacloud.directory_rows import Mark

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

PATH = "/api/v1/beta/configurations"
NOW = 1_790_000_000_123_456
STAMP = "2026-09-21T14:13:20.12345"  # the last digit counts microseconds
FIELDS = {"total": {"pattern": r"Total (\S+)"}}
PARSE = {"product_type": "parse_v2", "tier": "fast", "version": "latest"}
JSON_BODY = {"Content-Type": "application/json"}
# What each product's parameters must have.
NEEDED: dict[str, JSON] = {
    "parse_v2": PARSE,
    "extract_v2": {"product_type": "extract_v2", "data_schema": {"type": "object"}},
    "classify_v2": {
        "product_type": "classify_v2",
        "rules": [{"description": "an invoice", "type": "invoice"}],
    },
    "split_v1": {"product_type": "split_v1", "categories": [{"name": "invoice"}]},
    "spreadsheet_v1": {"product_type": "spreadsheet_v1"},
    "unknown": {"product_type": "unknown"},
}


class Stand:
    """The routes over the files plain.yaml (parse) and totals.yaml (extract), and a clock that stands."""

    def __init__(self, top: Path) -> None:
        self.file = top / "state" / "x.db"
        self.saved = top / "saved"
        self.saved.mkdir(exist_ok=True)
        (self.saved / "plain.yaml").write_text("type: parse_v2\nparameters: {tier: fast}\n")
        (self.saved / "totals.yaml").write_text(
            "type: extract_v2\nfields: {total: {pattern: 'Total (\\S+)'}}\n"
        )
        self.configurations = Configurations(self.saved, Database(self.file), lambda: NOW)
        routes = ConfigurationRoutes(self.configurations).table()
        self.app = make_app(routes, project_id="prj-local", api_key=None, clock=lambda: NOW)

    def call(self, method: str, path: str = "", **options: JSON) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
                return await client.request(method, PATH + path, **options)

        return checked(asyncio.run(ask()))

    def save(self, name: str, product_type: str = "parse_v2", **parameters: JSON) -> JSON:
        body = {"name": name, "parameters": {**NEEDED[product_type], **parameters}}
        reply = self.call("POST", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def names(self, **query: JSON) -> list[str]:
        reply = self.call("GET", params=query)
        assert reply.status_code == 200, reply.text
        return [item["name"] for item in reply.json()["items"]]

    def rows(self) -> list[str]:
        if not self.file.exists():
            return []
        with closing(sqlite3.connect(self.file)) as connection:
            return list(connection.iterdump())


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_a_saved_configuration_is_answered_found_and_listed(stand: Stand) -> None:
    parameters = {**PARSE, "tier": "agentic", "any": {"other": [1, None, "é"]}}
    saved = stand.call("POST", json={"name": "my own / plain", "parameters": parameters}).json()
    assert saved == {
        "id": saved["id"],
        "name": "my own / plain",
        "product_type": "parse_v2",
        "parameters": parameters,
        "version": f"{STAMP}6Z",
        "created_at": f"{STAMP}6Z",
        "updated_at": f"{STAMP}6Z",
    }
    assert saved["id"].startswith("cfg-")
    assert stand.call("GET", f"/{saved['id']}").json() == saved
    assert stand.names() == ["my own / plain", "plain", "totals"]
    assert stand.call("GET", params={"name": "my own / plain"}).json()["items"] == [saved]


def test_saving_again_keeps_the_id_and_replaces_the_rest_with_a_later_version(stand: Stand) -> None:
    first = stand.save("p", tier="fast", old=1)
    other = stand.save("p", "split_v1")
    second = stand.save("p", tier="agentic")
    third = stand.save("p", tier="agentic")
    assert other["id"] != first["id"]
    assert second == {
        **first,
        "parameters": {**PARSE, "tier": "agentic"},
        "version": f"{STAMP}7Z",
        "updated_at": f"{STAMP}7Z",
    }
    assert third == {**second, "version": f"{STAMP}8Z", "updated_at": f"{STAMP}8Z"}
    assert stand.names(latest_only="true") == stand.names() == ["p", "p", "plain", "totals"]


def test_every_filter_selects_and_pages_go_on(stand: Stand) -> None:
    for name in ("q", "é", "Q"):
        stand.save(name, "extract_v2", fields=FIELDS)
    stand.save("q", "classify_v2")
    table: list[tuple[JSON, list[str]]] = [
        ({}, ["Q", "plain", "q", "q", "totals", "é"]),
        ({"name": "q"}, ["q", "q"]),
        ({"name": "totals"}, ["totals"]),
        ({"product_type": "extract_v2"}, ["Q", "q", "totals", "é"]),
        ({"product_type": ["classify_v2", "parse_v2"]}, ["plain", "q"]),
        ({"product_type": "unknown"}, []),
        ({"name": "q", "product_type": "classify_v2"}, ["q"]),
    ]
    assert [(query, stand.names(**query)) for query, _ in table] == table
    given_names: list[str] = []
    token: str | None = None
    while (token or not given_names) and len(given_names) < 20:
        query = {"page_size": 2} | ({"page_token": token} if token else {})
        reply = stand.call("GET", params=query).json()
        given_names += [item["name"] for item in reply["items"]]
        token = reply["next_page_token"]
    assert given_names == stand.names()


def test_a_change_replaces_what_it_names_and_keeps_the_rest(stand: Stand) -> None:
    before = stand.save("p", tier="agentic", any=1)
    path = f"/{before['id']}"
    bodies: list[JSON] = [
        {"name": "z"},
        {"parameters": PARSE},
        {"name": None, "parameters": None},
        {},
    ]
    got = [stand.call("PUT", path, json=body).json() for body in bodies]
    named = {**before, "name": "z", "version": f"{STAMP}7Z", "updated_at": f"{STAMP}7Z"}
    emptied = {
        **named,
        "parameters": PARSE,
        "version": f"{STAMP}8Z",
        "updated_at": f"{STAMP}8Z",
    }
    assert got == [named, emptied, emptied, emptied]
    assert stand.call("GET", path).json() == emptied


def test_a_deleted_configuration_is_gone_and_its_name_free(stand: Stand) -> None:
    saved = stand.save("p")
    gone = stand.call("DELETE", f"/{saved['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    path = f"/{saved['id']}"
    refused = [
        stand.call("GET", path),
        stand.call("DELETE", path),
        stand.call("PUT", path, json={"name": "x"}),
    ]
    detail = {"detail": f"Configuration {saved['id']!a} not found"}
    assert [(reply.status_code, reply.json()) for reply in refused] == [(404, detail)] * 3
    assert stand.save("p")["id"] != saved["id"]


def test_what_a_file_or_a_preset_says_cannot_be_changed_and_a_name_is_one_configurations(
    stand: Stand,
) -> None:
    one, two = stand.save("one")["id"], stand.save("two")["id"]
    stand.save("totals", "parse_v2")
    before = stand.rows()
    parse, extract = PARSE, NEEDED["extract_v2"]
    plain = "Configuration 'plain' for parse_v2 is kept in the file 'plain.yaml': change that file"
    totals = "Configuration 'totals' for extract_v2 is kept in the file 'totals.yaml': change that file"
    built_in = "Configuration 'PARSE_AGENTIC' is built in and cannot be changed"
    table: list[tuple[str, str, JSON, str]] = [
        ("POST", "", {"name": "plain", "parameters": parse}, plain),
        ("POST", "", {"name": "totals", "parameters": extract}, totals),
        ("POST", "", {"name": "PARSE_AGENTIC", "parameters": parse}, built_in),
        ("PUT", "/cfg-plain", {"name": "x"}, plain),
        ("PUT", "/cfg-PARSE_AGENTIC", {"name": "x"}, built_in),
        ("PUT", f"/{one}", {"name": "plain"}, plain),
        ("PUT", f"/{one}", {"name": "PARSE_AGENTIC"}, built_in),
        ("PUT", f"/{one}", {"name": "two"}, f"Configuration {two!a} for parse_v2 has the name 'two' already"),
        (
            "PUT",
            f"/{one}",
            {"parameters": extract},
            f"Configuration {one!a} is for parse_v2 and stays so: save one for extract_v2 instead",
        ),
        ("DELETE", "/cfg-totals", None, totals),
        ("DELETE", "/cfg-PARSE_AGENTIC", None, built_in),
    ]
    for method, path, body, detail in table:
        reply = stand.call(method, path, json=body)
        assert (reply.status_code, reply.json()) == (409, {"detail": detail})
    assert stand.rows() == before
    assert sorted(path.name for path in stand.saved.iterdir()) == ["plain.yaml", "totals.yaml"]


@pytest.mark.parametrize(
    ("parameters", "faults"),
    [
        (None, [(["body", "parameters"], "object_type")]),
        ([], [(["body", "parameters"], "object_type")]),
        ({}, [(["body", "parameters", "product_type"], "missing")]),
        ({"product_type": "parse_v1"}, [(["body", "parameters", "product_type"], "literal_error")]),
        ({"product_type": "extract_v2"}, [(["body", "parameters", "data_schema"], "missing")]),
        (
            {"product_type": "extract_v2", "data_schema": [], "fields": {}},
            [
                (["body", "parameters", "data_schema"], "object_type"),
                (["body", "parameters", "fields"], "fields"),
            ],
        ),
        (
            {"product_type": "extract_v2", "data_schema": {}, "fields": {"a": {"pattern": "("}}},
            [(["body", "parameters", "fields"], "fields")],
        ),
        ({"product_type": "parse_v2", "x": "\udc00"}, [(["body", "parameters"], "string_characters")]),
        (
            {"product_type": "parse_v2", "x": json.loads("[" * 20 + "]" * 20)},
            [(["body", "parameters"], "json_depth")],
        ),
        ({"product_type": "parse_v2", "x": "y" * 70_000}, [(["body", "parameters"], "json_too_long")]),
        (
            {"product_type": "parse_v2", "tier": "turbo", "version": 1},
            [
                (["body", "parameters", "tier"], "literal_error"),
                (["body", "parameters", "version"], "string_type"),
            ],
        ),
        (
            {"product_type": "parse_v2"},
            [(["body", "parameters", "tier"], "missing"), (["body", "parameters", "version"], "missing")],
        ),
        (
            {"product_type": "extract_v2", "data_schema": {}, "tier": "fast"},
            [(["body", "parameters", "tier"], "literal_error")],
        ),
        (
            {"product_type": "extract_v2", "fields": FIELDS},
            [(["body", "parameters", "data_schema"], "missing")],
        ),
        ({"product_type": "classify_v2"}, [(["body", "parameters", "rules"], "missing")]),
        ({"product_type": "classify_v2", "rules": None}, [(["body", "parameters", "rules"], "list_type")]),
        (
            {"product_type": "classify_v2", "rules": [{"type": 1}, "x"]},
            [
                (["body", "parameters", "rules", 0, "description"], "missing"),
                (["body", "parameters", "rules", 0, "type"], "string_type"),
                (["body", "parameters", "rules", 1], "object_type"),
            ],
        ),
        (
            {"product_type": "split_v1", "categories": {}},
            [(["body", "parameters", "categories"], "list_type")],
        ),
        (
            {"product_type": "split_v1", "categories": [{}]},
            [(["body", "parameters", "categories", 0, "name"], "missing")],
        ),
        (
            {"product_type": "spreadsheet_v1", "tier": "fast"},
            [(["body", "parameters", "tier"], "literal_error")],
        ),
    ],
)
def test_wrong_parameters_are_refused_with_their_place_and_change_nothing(
    stand: Stand, parameters: JSON, faults: JSON
) -> None:
    post = stand.call("POST", content=json.dumps({"name": "n", "parameters": parameters}), headers=JSON_BODY)
    got = [(fault["loc"], fault["type"]) for fault in post.json()["detail"]]
    assert (post.status_code, got) == (422, faults)
    assert not stand.file.exists()
    saved = stand.save("n")
    before = stand.rows()
    put = stand.call(
        "PUT", f"/{saved['id']}", content=json.dumps({"parameters": parameters}), headers=JSON_BODY
    )
    assert put.status_code == (200 if parameters is None else 422)
    assert stand.rows() == before


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [(["body", "name"], "missing"), (["body", "parameters"], "missing")]),
        ({"name": "a\nb"}, [(["body", "name"], "string_characters"), (["body", "parameters"], "missing")]),
        (
            {"name": 1, "parameters": {"product_type": "unknown"}, "id": "x"},
            [(["body", "id"], "extra_forbidden"), (["body", "name"], "string_type")],
        ),
    ],
)
def test_a_wrong_body_is_refused_with_every_fault(stand: Stand, body: JSON, faults: JSON) -> None:
    reply = stand.call("POST", json=body)
    got = [(fault["loc"], fault["type"]) for fault in reply.json()["detail"]]
    assert (reply.status_code, got) == (422, faults)
    assert not stand.file.exists()


@pytest.mark.parametrize(
    "parameters",
    [
        *NEEDED.values(),
        *({**PARSE, "tier": tier, "version": "2026-06-15"} for tier in ("agentic", "agentic_plus")),
        {**NEEDED["extract_v2"], "data_schema": {}, "tier": "turbo", "fields": FIELDS},
        {**NEEDED["extract_v2"], "tier": None, "system_prompt": "x"},
        {"product_type": "classify_v2", "rules": []},
        {"product_type": "split_v1", "categories": [{"name": "", "description": None}]},
        {"product_type": "spreadsheet_v1", "tier": "agentic"},
        {"product_type": "unknown", "tier": 1},
    ],
)
def test_parameters_that_the_official_types_allow_are_kept_as_they_are(
    stand: Stand, parameters: JSON
) -> None:
    reply = stand.call("POST", json={"name": "n", "parameters": parameters})
    assert (reply.status_code, reply.json().get("parameters")) == (200, parameters)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            "{tier: turbo}",
            "its tier should be one of agentic, agentic_plus, cost_effective, fast, not 'turbo'",
        ),
        (
            "{tier: [fast]}",
            "its tier should be one of agentic, agentic_plus, cost_effective, fast, not ['fast']",
        ),
        ("{version: 2026}", "its version should be a text"),
    ],
)
def test_a_file_with_a_tier_or_version_that_there_is_not_is_named(
    stand: Stand, parameters: str, reason: str
) -> None:
    (stand.saved / "plain.yaml").write_text(f"type: parse_v2\nparameters: {parameters}\n")
    reply = stand.call("GET", "/cfg-plain")
    detail = f"Configuration file 'plain.yaml' is not valid: {reason}"
    assert (reply.status_code, reply.json()) == (400, {"detail": detail})


def test_a_page_token_belongs_to_the_products_in_any_order(stand: Stand) -> None:
    for name in ("p", "q"):
        stand.save(name, "split_v1")
    first = [("product_type", "split_v1"), ("product_type", "parse_v2")]
    token = stand.call("GET", params=[*first, ("page_size", "1")]).json()["next_page_token"]
    again = [*reversed(first), ("product_type", "split_v1"), ("page_token", token)]
    assert [item["name"] for item in stand.call("GET", params=again).json()["items"]] == ["plain", "q"]
    assert stand.call("GET", params=[*first[:1], ("page_token", token)]).status_code == 422


def test_a_batch_takes_a_saved_configuration_of_its_type_only(stand: Stand) -> None:
    table: list[tuple[str, str, JSON]] = [
        ("p", "parse_v2", {}),
        ("f", "extract_v2", {"fields": FIELDS}),
        ("s", "extract_v2", {"data_schema": {"type": "object"}}),
        ("c", "classify_v2", {}),
    ]
    ids = {name: stand.save(name, kind, **parameters)["id"] for name, kind, parameters in table}

    def fields(name: str, kind: JSON) -> JSON:
        request = CreateBatch(directory_id="dir-a", job_type=kind, configuration_id=ids[name])
        try:
            return stand.configurations.for_create(request).fields
        except Refused as refused:
            return refused.status

    got = {name: [fields(name, kind) for kind in ("parse_v2", "extract_v2")] for name in ids}
    # Without fields there is nothing to look for here, and each job will say so.
    assert got == {"p": [None, 400], "f": [400, FIELDS], "s": [400, {}], "c": [400, 400]}


def test_who_saves_one_name_at_once_saves_one_configuration(tmp_path: Path) -> None:
    stands = [Stand(tmp_path) for _ in range(4)]
    names = [f"n{index}" for index in range(20)]
    replies: list[JSON] = []
    line = threading.Barrier(len(stands))

    def run(stand: Stand) -> None:
        for name in names:
            line.wait()
            body = {"name": name, "parameters": PARSE}
            replies.append(stand.call("POST", json=body).json())

    threads = [threading.Thread(target=run, args=[stand]) for stand in stands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = {name: [reply for reply in replies if reply.get("name") == name] for name in names}
    assert {name: len({reply["id"] for reply in of_name}) for name, of_name in got.items()} == dict.fromkeys(
        names, 1
    )
    versions = [f"{STAMP}{digit}Z" for digit in (6, 7, 8, 9)]
    assert {name: sorted(reply["version"] for reply in of_name) for name, of_name in got.items()} == (
        dict.fromkeys(names, versions)
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "", {"GET", "POST"}), ("POST", "/cfg-x", {"GET", "PUT", "DELETE"})],
)
def test_a_wrong_method_is_told_all_right_ones(
    stand: Stand, method: str, path: str, allowed: set[str]
) -> None:
    reply = stand.call(method, path)
    assert (reply.status_code, set(reply.headers["allow"].split(", "))) == (405, allowed)


def test_reading_makes_no_database(stand: Stand) -> None:
    calls = [("GET", ""), ("GET", "/cfg-plain"), ("GET", "/cfg-x"), ("DELETE", "/cfg-x")]
    assert [stand.call(*call).status_code for call in calls] == [200, 200, 404, 404]
    assert stand.call("PUT", "/cfg-x", json={"name": "z"}).status_code == 404
    assert not stand.file.parent.exists()


def test_a_configuration_is_found_although_a_file_of_another_is_broken(stand: Stand) -> None:
    saved = stand.save("p")
    (stand.saved / "broken.yaml").write_text("type: [")
    assert stand.call("GET", f"/{saved['id']}").json() == saved
    reply = stand.call("POST", json={"name": "broken", "parameters": PARSE})
    assert reply.status_code == 400


@settings(deadline=None, max_examples=40)
@given(
    standing=st.sets(st.text("abc", min_size=1, max_size=2), max_size=6),
    files=st.sets(st.text("abc", min_size=1, max_size=2), max_size=4),
    passing=st.lists(st.text("xyabc", min_size=3, max_size=3), max_size=10),
    size=st.integers(1, 3),
)
def test_each_configuration_that_stands_throughout_is_given_once(
    standing: set[str], files: set[str], passing: list[str], size: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        for file in files:
            (Path(name) / f"{file}.yaml").write_text("type: parse_v2")
        database = Database(Path(name) / "x.db")
        store = Configurations(Path(name), database, lambda: NOW)

        def save(each: str) -> str:
            return store.save(SaveConfiguration(name=each, product_type="split_v1", parameters={})).id

        expected = {save(each) for each in standing} | {f"cfg-{file}" for file in files}
        given_ids: list[str] = []
        waiting = list(passing)
        after: Mark | None = None
        # No page is empty, so a list that is not through by then goes in circles.
        while len(given_ids) < 100:
            page, after = store.page(ConfigurationFilters(), after, size)
            given_ids += [item.id for item in page]
            if after is None:
                break
            if waiting:
                made = save(waiting.pop())
                if len(waiting) % 2:
                    store.delete(made)
        database.close()
    assert len(given_ids) == len(set(given_ids))
    assert expected <= set(given_ids)
