"""What is judged without jsonschema is judged as jsonschema judges it, and with none of it imported."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.adapters.schemas import SCHEMA_KINDS, load_schema
from reconciler.core.validate.plain import Plain, UnjudgedError
from reconciler.core.validate.schema import _validator

if TYPE_CHECKING:
    from collections.abc import Iterator

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 10**20, "", "a", "A b", "x" * 300, "é\n", "true", "1", "-1"),
    *("3d", "1h", "50%", "100.5%", "30s", "0s", "10:00", "2026-11-01T00:00:00Z", "2026-02-30T00:00:00Z"),
    *("https://a.test", "http://a.test", "dir-1", "a/b", "../a", "*.yaml", "Europe/Berlin", "No/Where"),
    *([], [1], ["a"], ["a", "a"], {}, {"env": "A"}, {"env": ""}, {"id": "a"}, {"name": "a"}, {"a": "b"}),
]


def nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Every schema within a schema, and what is none but looks like one."""
    if isinstance(schema, dict):
        yield schema
        for key, inner in schema.items():
            if key not in {"examples", "const", "enum", "default"}:
                yield from nodes(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from nodes(inner)


def changed(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """The value with one thing in it left out, added or replaced."""
    if isinstance(value, dict):
        for name, inner in value.items():
            rest = {other: copy.deepcopy(there) for other, there in value.items() if other != name}
            yield rest
            yield {**rest, f"{name}x": inner}
            for other in [*ODD[::5], *changed(inner)]:
                yield {**rest, name: other}
    elif isinstance(value, list):
        yield [*value, *value]
        for index, inner in enumerate(value):
            for other in [*ODD[::5], *changed(inner)]:
                yield [*value[:index], other, *value[index + 1 :]]


def edges(node: dict[str, Any]) -> Iterator[Any]:
    """Values at the bounds of a schema, and one beyond."""
    for keyword in ("minLength", "maxLength", "minItems", "minimum", "maximum"):
        for bound in (node[keyword] - 1, node[keyword], node[keyword] + 1) if keyword in node else ():
            yield bound if keyword.endswith("imum") else "a" * bound if "Length" in keyword else ["a"] * bound


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_every_part_of_a_schema_allows_what_it_allows(kind: str) -> None:
    schema = load_schema(kind)
    for node in nodes({name: rule for name, rule in schema.items() if name not in {"$id", "$schema"}}):
        part = {**node, "$defs": schema["$defs"]}
        if not isinstance(node.get("type"), str):
            continue  # a mapping of names to schemas, or a part that only refers to another
        plain, validator = Plain(part), _validator(part)
        for value in [*ODD, *edges(node), *node.get("examples", [])]:
            assert plain.fits(value) == (list(validator.iter_errors(value)) == []), (node, value)


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_every_document_fits_or_does_not_as_jsonschema_says(kind: str) -> None:
    schema = load_schema(kind)
    plain, validator = Plain(schema), _validator(schema)
    fitting = 0
    for example in schema["examples"]:
        assert plain.fits(example)
        for number, value in enumerate(changed(example)):
            if number % 3 == 0:
                fits = plain.fits(value)
                assert fits == (list(validator.iter_errors(value)) == []), value
                fitting += fits
    assert fitting


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "string"}]},
        {"const": 1},
        {"enum": ["a", None]},
        {"$ref": "#/properties/a"},
        {"$ref": "#/$defs/missing"},
        {"properties": {"a": {"$id": "urn:b"}}},
        {"if": {"contains": True}},
    ],
)
def test_what_is_not_known_is_not_judged(schema: dict[str, Any]) -> None:
    with pytest.raises(UnjudgedError):
        Plain(schema).fits({"a": 1})
