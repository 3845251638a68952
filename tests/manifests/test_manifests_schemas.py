"""The schemas: true to their draft, to their examples, to editors and to the code that uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.adapters.schemas import SCHEMA_KINDS, load_schema, manifest_schemas, schema_names, schema_text
from reconciler.core.validate.formats import FORMATS
from reconciler.core.validate.schema import Checker, _validator
from reconciler.core.validate.sentences import TRANSLATED
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Keywords that only describe, or that only lead to other schemas.
DESCRIBING = {"$schema", "$id", "title", "description", "default", "examples"}
SENTENCES = {"errorMessage", "patternErrorMessage"}
LEADING = {"$ref", "$defs", "properties", "propertyNames", "items", "allOf", "if", "then", "else"}


def nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key, value in schema.items():
        if key in {"properties", "$defs"}:
            for inner in value.values():
                yield from nodes(inner)
        elif key == "allOf":
            for inner in value:
                yield from nodes(inner)
        elif key in {"items", "propertyNames", "additionalProperties", "if", "then", "else", "not"}:
            yield from nodes(value)


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_a_schema_is_one_of_its_draft_and_its_examples_are_valid(kind: str) -> None:
    schema = load_schema(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:reconciler:schema:{SCHEMA_KINDS[kind]}:v1"
    assert schema["title"] == kind
    for example in schema["examples"]:
        assert Checker(schema).faults(example) == []
    for node in nodes(schema):
        for example in node.get("examples", []):
            assert list(_validator({"$defs": schema["$defs"], **node}).iter_errors(example)) == []


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_every_keyword_of_a_schema_has_its_sentence_and_every_format_its_reader(kind: str) -> None:
    for node in nodes(load_schema(kind)):
        assert set(node) <= DESCRIBING | SENTENCES | LEADING | TRANSLATED
        assert node.get("format", "date-time") in FORMATS
        if "pattern" in node:
            assert node["pattern"].startswith("^")
            assert node["pattern"].endswith("$")
            assert node["patternErrorMessage"]
        if node.get("additionalProperties") is False:
            assert "properties" in node
        assert "oneOf" not in node
        assert "anyOf" not in node


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_every_property_is_described_where_somebody_hovers(kind: str) -> None:
    schema = load_schema(kind)
    for node in nodes(schema):
        for name, inner in node.get("properties", {}).items():
            if isinstance(inner, bool) or "not" in inner or set(inner) == {"const"}:
                continue
            target = schema["$defs"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else {}
            assert {**target, **inner}.get("description"), name


def test_schemas_are_found_by_kind_and_by_file_name() -> None:
    assert {"batch-set", "project", "tracked-batch"} <= set(schema_names())
    assert load_schema("BatchSet") == load_schema("batch-set") == manifest_schemas()["BatchSet"]
    assert json.loads(schema_text("Project")) == load_schema("project")
    assert set(manifest_schemas()) == {"Project", "BatchSet", "TrackedBatch"}


def test_an_unknown_schema_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(SettingsError) as raised:
        schema_text("../pyproject")
    text = str(raised.value)
    assert text.startswith("there is no schema '../pyproject'. Known: BatchSet, Project, TrackedBatch")


def test_schemas_are_written_as_json_is_formatted_here() -> None:
    for name in SCHEMA_KINDS.values():
        text = schema_text(name)
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
        assert (Path(__file__).parents[2] / "schemas" / f"{name}.json").read_text(encoding="utf-8") == text
