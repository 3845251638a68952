"""Policies and samples as files: JSON with places, whatever the bytes; and names that patterns would find."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.manifests import find_manifests, fits, read_json
from reconciler.adapters.zones import zone, zone_names
from reconciler.model.source import Document, Source

if TYPE_CHECKING:
    from pathlib import Path

TEXT = '{\n  "a": [1, {"b": "x\\"]}", "c": null}],\n\t"d": {}\n}\n'


def read(data: bytes) -> Document:
    document, diagnostics = read_json(data, "p.json")
    assert document is not None, diagnostics
    return document


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        ((), False, (1, 1)),
        (("a",), False, (2, 8)),
        (("a",), True, (2, 3)),
        (("a", 0), False, (2, 9)),
        (("a", 1, "b"), False, (2, 18)),
        (("a", 1, "c"), True, (2, 27)),
        (("d",), False, (3, 7)),
        (("d", "none"), True, (3, 7)),
        (("a", 7), False, (2, 8)),
        (("none", "at", "all"), False, (1, 1)),
    ],
)
def test_each_part_is_found_or_the_nearest_around_it(
    path: tuple[str | int, ...], *, key: bool, place: tuple[int, int]
) -> None:
    assert read(TEXT.encode()).locate(path, key=key) == Source("p.json", *place)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    value=st.dictionaries(st.text(), _json, max_size=3),
    indent=st.sampled_from([None, 1, "\t"]),
    ascii_only=st.booleans(),
)
def test_every_value_stands_where_it_is_said_to_stand(
    value: dict[str, Any], indent: int | str | None, *, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    document = read(text.encode())
    lines = text.split("\n")

    def check(part: object, path: tuple[str | int, ...]) -> None:
        source = document.locate(path)
        rest = "\n".join([lines[source.line - 1][source.column - 1 :], *lines[source.line :]])
        assert json.JSONDecoder().raw_decode(rest)[0] == part
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for name, inner in items:
            check(inner, (*path, name))

    assert document.value == value
    check(document.value, ())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "p.json:1:1: not valid JSON: expecting value"),
        (b'{"a": 1,\n}', "p.json:2:1: not valid JSON: expecting property name enclosed in double quotes"),
        (b"[]", "p.json:1:1: expected an object in braces"),
        (b"\xff{}", "p.json:1:1: the text is not UTF-8"),
        (b'{"a": {"b": 1, "b": 2}}', "p.json:1:1: not valid JSON: the key 'b' stands twice in one object"),
        (b'{"a": NaN}', "p.json:1:1: not valid JSON: NaN is no number of JSON"),
        (b'{"a": ' + b"[" * 100_000, "p.json:1:1: nested too deep to be read"),
    ],
)
def test_what_is_no_json_object_is_told_with_its_place(data: bytes, message: str) -> None:
    document, (diagnostic,) = read_json(data, "p.json")
    assert document is None
    assert str(diagnostic) == message


_NAMES = ("a.yaml", "b/a.yaml", "b/c/a.yml", ".hidden/a.yaml", "b/.a.yaml", "x*.yaml", "b/c/d/e.yaml")
_PATTERNS = (
    "*.yaml",
    "**/*.yaml",
    "b/*",
    "b/**",
    "b/**/a.y?ml",
    ".hidden/*",
    "x[*].yaml",
    "./a.yaml",
    "../*",
    "/a",
)


@pytest.mark.parametrize("pattern", _PATTERNS)
def test_a_name_fits_a_pattern_where_the_file_would_be_found(tmp_path: Path, pattern: str) -> None:
    for name in _NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found, _ = find_manifests(tmp_path, [pattern], place=lambda _: Source("f"))
    assert found == sorted(name for name in _NAMES if fits([pattern], name))


def test_zones_are_those_of_places_and_none_of_the_machine() -> None:
    known = zone_names()
    assert {"Europe/Berlin", "UTC"} <= set(known)
    assert all(zone(name) is not None for name in known)
    for name in (
        "localtime",
        "Mars/Base",
        "",
        "../etc/passwd",
        "/etc/localtime",
        "Europe",
        "a\0b",
        "posix/UTC",
    ):
        assert zone(name) is None, name
