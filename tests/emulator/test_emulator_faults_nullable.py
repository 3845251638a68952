"""What may be null, read from an OpenAPI document; and what becomes of an answer."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from reconciler.emulator.faults.bodies import with_extra_fields, with_nulls, with_status
from reconciler.emulator.faults.nullable import nullable_in

JSON: TypeAlias = Any


def document(schema: JSON, **components: JSON) -> JSON:
    answer = {"content": {"application/json": {"schema": schema}}}
    return {
        "openapi": "3.1.0",
        "paths": {
            "/things": {"get": {"responses": {"200": answer, "404": {"$ref": "#/components/responses/No"}}}},
            "/things/{id}": {"get": {"responses": {"200": {"$ref": "#/components/responses/Thing"}}}},
            "/things/mine": {"get": {"responses": {"204": {}}}, "post": {"responses": {"201": answer}}},
        },
        "components": {"schemas": components, "responses": {"Thing": answer, "No": answer}},
    }


def found(schema: JSON, **components: JSON) -> set[str]:
    paths = nullable_in(document(schema, **components))("GET", "/things")
    return {"/".join(path) for path in paths}


def thing(**properties: JSON) -> JSON:
    return {"type": "object", "properties": properties}


NULL = {"type": "null"}
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (thing(a=TEXT, b={"type": ["string", "null"]}), {"b"}),
        (thing(a={"anyOf": [TEXT, NULL]}, b={"oneOf": [NULL, TEXT]}, c={"anyOf": [TEXT, TEXT]}), {"a", "b"}),
        (thing(a={"enum": ["x", None]}, b={"const": None}, c={"enum": ["x"]}), {"a", "b"}),
        (thing(a={"allOf": [{"type": ["string", "null"]}, {"type": ["string", "null"]}]}), {"a"}),
        (thing(a={"allOf": [{"type": ["string", "null"]}, TEXT]}, b={}, c=True), set()),
        (thing(a={"$ref": "#/components/schemas/Maybe"}), {"a", "a/x"}),
        (thing(a={"$ref": "#/components/schemas/None"}, b={"$ref": "other.json#/x"}), set()),
        (thing(items={"type": "array", "items": {"type": ["integer", "null"]}}), {"items/[]"}),
        ({"type": "array", "items": thing(a={"type": ["string", "null"]})}, {"[]/a"}),
        (thing(m={"type": "object", "additionalProperties": {"type": ["string", "null"]}}), {"m/{}"}),
        ({"allOf": [thing(a=NULL), thing(b=NULL)]}, {"a", "b"}),
        (thing(next_page_token={"type": ["string", "null"]}, next_cursor=NULL, total=NULL), {"total"}),
    ],
)
def test_these_may_be_null(schema: JSON, expected: set[str]) -> None:
    maybe = {"anyOf": [thing(x=NULL), NULL]}
    assert found(schema, Maybe=maybe) == expected


def test_a_schema_that_contains_itself_is_read_to_a_depth() -> None:
    node = thing(
        next={"anyOf": [{"$ref": "#/components/schemas/Node"}, NULL]},
        loop={"$ref": "#/components/schemas/Loop"},
    )
    paths = found(
        {"$ref": "#/components/schemas/Node"}, Node=node, Loop={"$ref": "#/components/schemas/Loop"}
    )
    assert {"next", "next/next", "next/next/next"} <= paths
    assert len(paths) < 20


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/things", True),
        ("POST", "/things", False),
        ("GET", "/things/7", True),
        ("GET", "/things/7/8", False),
        ("GET", "/things/mine", False),
        ("POST", "/things/mine", True),
        ("GET", "/other", False),
    ],
)
def test_an_operation_is_found_by_method_and_path(method: str, path: str, expected: bool) -> None:  # noqa: FBT001 - a table
    nullable = nullable_in(document(thing(a=NULL)))
    assert nullable(method, path) == ({("a",)} if expected else set())


@pytest.mark.parametrize(
    ("value", "paths", "expected"),
    [
        ({"a": 1, "b": 2}, {("a",), ("c",)}, {"a": None, "b": 2}),
        ({"a": [{"b": 1}, {"b": 2}]}, {("a", "[]", "b")}, {"a": [{"b": None}, {"b": None}]}),
        ({"m": {"x": 1, "y": 2}}, {("m", "{}"), ("m", "x", "z")}, {"m": {"x": 1, "y": None}}),
        ({"a": None}, {("a",)}, None),
        ({"a": 1}, set(), None),
        ([1, 2], {("[]",)}, [None, None]),
        ("text", {("a",)}, None),
    ],
)
def test_values_at_paths_become_null(value: JSON, paths: set[tuple[str, ...]], expected: JSON) -> None:
    assert with_nulls(value, frozenset(paths)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"status": "A", "x": [{"status": "B"}]}, {"status": "Z", "x": [{"status": "Z"}]}),
        ({"status": None}, None),
        ({"status": {"status": "A"}}, {"status": {"status": "Z"}}),
        ([1], None),
    ],
)
def test_every_text_named_status_is_replaced(value: JSON, expected: JSON) -> None:
    assert with_status(value, "Z") == expected


def test_every_object_gets_an_unknown_field() -> None:
    extra = {"x_unknown_field": "added by a fault"}
    assert with_extra_fields([{"a": {}}, 1]) == [{"a": extra, **extra}, 1]
    assert with_extra_fields([1, [2]]) is None
