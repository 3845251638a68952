"""What YAML text becomes, and what is said about text that is none: hostile text included."""

# ruff: noqa: E501 - messages are compared whole, and read best on one line each

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.adapters.manifests import read_documents, reader
from reconciler.model.source import Source

NESTED = "lists and mappings are nested more than 50 deep"
ANCHORS = "anchors (&) and aliases (*) are not read: write the value out"
TAGS = "tags (!) are not read: write the value without one"
ROOT = "a document is a mapping with apiVersion, kind, metadata and spec, not"
TAB = "a tab cannot indent: use spaces"
INDENTATION = "this line does not fit the lines above it: check its indentation"


def read(data: bytes) -> tuple[list[object], list[str]]:
    documents, diagnostics = read_documents(data, "m.yaml")
    return [document.value for document in documents], [str(item) for item in diagnostics]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: true\nb: false\nc: null\nd:\n", {"a": True, "b": False, "c": None, "d": None}),
        ("a: 0\nb: -12\nc: +3\nd: 10", {"a": 0, "b": -12, "c": 3, "d": 10}),
        ("a: 1.5\nb: -0.25\nc: 1.0e+3\nd: 2.", {"a": 1.5, "b": -0.25, "c": 1000.0, "d": 2.0}),
        (
            "a: no\nb: Yes\nc: True\nd: ~\ne: NULL",
            {"a": "no", "b": "Yes", "c": "True", "d": "~", "e": "NULL"},
        ),
        ("a: 017\nb: 0x1F\nc: 1_000\nd: 0o7", {"a": "017", "b": "0x1F", "c": "1_000", "d": "0o7"}),
        ("a: 12:30:45\nb: 2026-11-01\nc: 12e45", {"a": "12:30:45", "b": "2026-11-01", "c": "12e45"}),
        ("a: .inf\nb: .nan\nc: nan\nd: 1e5", {"a": ".inf", "b": ".nan", "c": "nan", "d": "1e5"}),
        ("a: '1'\nb: \"true\"\n'2': x\n\"null\": y", {"a": "1", "b": "true", "2": "x", "null": "y"}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
        ("a: [1, [2, {b: c}]]\nd: {}\ne: []", {"a": [1, [2, {"b": "c"}]], "d": {}, "e": []}),
        ("a: 1\rb: 2\r", {"a": 1, "b": 2}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: dépôt 📄\n", {"a": "dépôt 📄"}),
        ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
    ],
)
@pytest.mark.filterwarnings("default")
def test_only_plain_words_and_decimal_numbers_are_typed(text: str, value: object) -> None:
    assert read(text.encode()) == ([value], [])


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b"[" * 30_000, [f"m.yaml:1:51: {NESTED}"]),
        (b"{a: " * 30_000, [f"m.yaml:1:201: {NESTED}"]),
        (b"- " * 30_000, [f"m.yaml:1:101: {NESTED}"]),
        (b"".join(b" " * n + b"a:\n" for n in range(300)), [f"m.yaml:51:51: {NESTED}"]),
        (b"a: &x [y]\nb: &z [*x, *x]\nc: [*z, *z]", [f"m.yaml:1:4: {ANCHORS}"]),
        (b"*x", ["m.yaml:1:1: " + ANCHORS]),
        (b"*x : 1", ["m.yaml:1:1: " + ANCHORS]),
        (b"a: !!python/object/apply:os.system [x]\nb: !t 1", [f"m.yaml:1:4: {TAGS}"]),
        (b"a: 1\nb: 2\na: 3\n", ["m.yaml:3:1: the key 'a' stands here for the second time"]),
        (b"a: {b: 1, 'b': 2}", ["m.yaml:1:11: the key 'b' stands here for the second time"]),
        (b"a: 1\nb: \xff", ["m.yaml:2:4: not UTF-8: byte 0xff does not belong here; save the file as UTF-8"]),
        (b"a: 1\nb: x\x00y", ["m.yaml:2:5: a NUL byte cannot stand in a manifest"]),
        (b'a: "\\0"', ["m.yaml:1:4: a NUL byte cannot stand in a manifest"]),
        (b'"\\e[0m": 1', ["m.yaml:1:1: the control character U+001B cannot stand in a manifest"]),
        (b"a: \x1b[31m", ["m.yaml:1:4: the control character U+001B cannot stand in a manifest"]),
        ("a: 1".encode("utf-16"), ["m.yaml:1:1: the file is written in UTF-16; save it as UTF-8"]),
        ("a: 1".encode("utf-32"), ["m.yaml:1:1: the file is written in UTF-32; save it as UTF-8"]),
        (
            b"a: " + b"9" * 5000,
            ["m.yaml:1:4: a number of 5000 characters is too long; quote it if it is text"],
        ),
        (b"9" * 500 + b": a", [f"m.yaml:1:1: a key is text: quote it, as in '{'9' * 39}…':"]),
        (b"a: 1.0e+999", ["m.yaml:1:4: this number is too large; quote it if it is text"]),
        (b"1: a", ["m.yaml:1:1: a key is text: quote it, as in '1':"]),
        (b"true: a", ["m.yaml:1:1: a key is text: quote it, as in 'true':"]),
        (b"?\n: a", ["m.yaml:1:2: a key is missing before ':'"]),
        (b"<<: {a: 1}", ["m.yaml:1:1: merge keys ('<<') are not read: write the keys out"]),
        (b"? [a, b]\n: c", ["m.yaml:1:3: a key is text: a list or mapping cannot be one; quote it"]),
        (b"? {a: b}\n: {c: d}", ["m.yaml:1:3: a key is text: a list or mapping cannot be one; quote it"]),
        (b"a:\n\tb: 1", [f"m.yaml:2:1: {TAB}"]),
        (b"a: |\n x\n\ty", [f"m.yaml:3:1: {TAB}"]),
        (b"a: 'never\nclosed", ["m.yaml:2:7: the quote that opens at 1:4 is never closed"]),
        (b"a: @x", ["m.yaml:1:4: a value cannot begin with '@': quote it"]),
        (b"a: b: c", ["m.yaml:1:5: a ': ' cannot stand here: quote the value, or check the indentation"]),
        (
            b"a: [1 2\n",
            ["m.yaml:2:1: this list in [ ] is never closed, or a ',' is missing before this place"],
        ),
        (
            b"a: {b: 1\nc: 2\n",
            ["m.yaml:2:2: this mapping in { } is never closed, or a ',' is missing before this place"],
        ),
        (b"a: }", ["m.yaml:1:4: a value is missing before '}'"]),
        (b"a: [1,", ["m.yaml:2:1: a value or bracket is missing here"]),
        (b"a: 1\n- b", [f"m.yaml:2:1: {INDENTATION}"]),
        (b"- a\nb: 1", [f"m.yaml:2:1: {INDENTATION}"]),
        (b"a:\n  b: 1\n c: 2\n", [f"m.yaml:3:2: {INDENTATION}"]),
        (
            b'a: "\\q"',
            ["m.yaml:1:5: an unknown escape after '\\': use single quotes to keep a '\\' as it is"],
        ),
        (b'a: "\\ud800"', ["m.yaml:1:7: this escape is no character that text can hold"]),
        (b"a: 1\nb\nc: 1\n", ["m.yaml:3:1: a ':' is missing after this key"]),
        (b"%YAML 3.0\n---\na: 1", ["m.yaml:1:1: this YAML version is not read: take the %YAML line out"]),
        (b"a: 1\n...\nb: 1\n", ["m.yaml:3:1: '---' is missing before this document"]),
        (
            b"a: >5x\n",
            [
                "m.yaml:1:6: not valid YAML: while scanning a block scalar: did not find expected comment or line break"
            ],
        ),
        (b"- 1", [f"m.yaml:1:1: {ROOT} a list"]),
        (b"hello", [f"m.yaml:1:1: {ROOT} a single value"]),
        (b"---\n" * 1_000_000, ["m.yaml:10001:1: more than 10,000 documents in one file"]),
    ],
    ids=lambda item: repr(item[:24]) if isinstance(item, bytes) else None,
)
def test_text_that_is_no_manifest_gets_one_line(data: bytes, messages: list[str]) -> None:
    _, told = read(data)
    assert told == messages


def test_a_file_of_more_than_a_million_values_is_to_be_divided(
    monkeypatch: pytest.MonkeyPatch, *, long: bool
) -> None:
    assert reader.MAX_VALUES == 1_000_000
    most = 1_000_000 if long else 10_000
    monkeypatch.setattr(reader, "MAX_VALUES", most)
    _, told = read(b"a: [" + b"1," * (most + 100) + b"]")
    assert told == [f"m.yaml:1:{2 * most + 1}: more than {most:,} values in one file: divide it"]


def test_all_faults_of_a_file_come_at_once_and_reading_stops_after_a_hundred() -> None:
    _, told = read(b"a: 1\na: 2\n---\n1: x\n---\n- y\n")
    assert told == [
        "m.yaml:2:1: the key 'a' stands here for the second time",
        "m.yaml:4:1: a key is text: quote it, as in '1':",
        f"m.yaml:6:1: {ROOT} a list",
    ]
    _, told = read(b"a: 1\n" * 500)
    assert len(told) == 101
    assert told[-1] == "m.yaml:101:2: 100 faults so far: the rest is not read"


def test_a_document_is_kept_only_if_nothing_in_it_was_guessed() -> None:
    values, _ = read(b"a: 1\na: 2\n---\nb: *x\n---\n1: c\n---\n---\nd: !t 1\n---\ne: f\n")
    assert values == [{"a": 1}, {"d": "1"}, {"e": "f"}]


def test_documents_before_a_broken_one_are_kept_and_empty_ones_are_none() -> None:
    assert read(b"a: 1\n---\n---\n# only a comment\n---\nb: [\n")[0] == [{"a": 1}]
    assert read(b"") == ([], [])
    assert read(b"# nothing\n") == ([], [])


def test_hostile_files_are_read_in_bounded_memory() -> None:
    hostile = [b"[" * 30_000, b"---\n" * 100_000, b"a: [" + b"[]," * 100_000, b'"' + b"a" * 4_000_000]
    for data in hostile:
        tracemalloc.start()
        read_documents(data, "m.yaml")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 50_000_000


def test_places_are_those_of_keys_values_and_the_nearest_value_above() -> None:
    text = b"---\nx: y\n---\n# c\na:\n  b: [1, {c: 'd'}]\n  e:\n"
    first, second = read_documents(text, "m.yaml")[0]
    places = {
        (): (5, 1),
        ("a",): (6, 3),
        ("a", "b"): (6, 6),
        ("a", "b", 0): (6, 7),
        ("a", "b", 1, "c"): (6, 14),
        ("a", "b", 9): (6, 6),
        ("a", "b", -1): (6, 6),
        ("a", "b", "c"): (6, 6),
        ("a", "no", "more"): (6, 3),
        ("a", "b", 0, "deeper"): (6, 7),
        ("no",): (5, 1),
    }
    assert {path: second.locate(path)[1:] for path in places} == places
    assert second.locate(("a", "b", 1, "c"), key=True) == Source("m.yaml", 6, 11)
    assert second.locate(("a", "e"), key=True) == Source("m.yaml", 7, 3)
    assert second.locate(("a", "b", 0), key=True) == Source("m.yaml", 6, 7)
    assert second.locate(("a", "no"), key=True) == Source("m.yaml", 6, 3)
    assert first.locate(("x",)) == Source("m.yaml", 2, 4)
    assert (first.source, second.source) == (Source("m.yaml", 2, 1), Source("m.yaml", 5, 1))


def test_of_two_equal_keys_the_first_is_read_and_found() -> None:
    [document] = read_documents(b"a: {b: 1}\na: {c: 2}\n", "m.yaml")[0]
    assert document.value == {"a": {"b": 1}}
    assert document.locate(("a", "b")) == Source("m.yaml", 1, 8)


def test_no_more_of_a_file_is_read_for_a_place_than_was_accepted() -> None:
    [document] = read_documents(b"a: 1\n---\nb: " + b"[" * 30_000, "m.yaml")[0]
    tracemalloc.start()
    assert document.locate(("a",)) == Source("m.yaml", 1, 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_fault_behind_a_document_does_not_hide_its_places() -> None:
    [document] = read_documents(b"a: 1\n---\nb: [\n", "m.yaml")[0]
    assert document.locate(("a",)) == Source("m.yaml", 1, 4)


TEXT = st.text(
    st.characters(min_codepoint=32, exclude_categories=["C"], exclude_characters="\ufeff"), max_size=12
)
SCALARS = (
    TEXT
    | st.sampled_from(
        ["", "no", "017", "1e5", "~", "12:30:45", "2026-11-01", "<<", "=", "- a", "a: b", ".5", "x\ny\n"]
    )
    | st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
LOADERS = [reader._LOADER, yaml.SafeLoader]


@pytest.fixture(params=LOADERS, ids=["libyaml", "pure"])
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_LOADER", request.param)


@pytest.mark.usefixtures("_loader")
@given(st.dictionaries(TEXT, TREES, max_size=5), st.booleans())
@settings(deadline=None)
def test_what_pyyaml_writes_reads_back_equal(tree: dict[str, Any], flow: bool) -> None:  # noqa: FBT001 - generated
    text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    [document], faults = read_documents(text.encode(), "m.yaml")
    assert faults == ()
    assert repr(document.value) == repr(tree)


@pytest.mark.usefixtures("_loader")
@given(st.binary(max_size=200) | st.text("ab:-[]{}'\"\n\t &*!|>?,#%@0", max_size=60).map(str.encode))
@settings(deadline=None, max_examples=300)
def test_any_bytes_give_documents_or_diagnostics(data: bytes) -> None:
    documents, faults = read_documents(data, "m.yaml")
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\x85") + data.count(b"\xe2\x80") + 2
    for place in (*(item.source for item in documents), *(item.source for item in faults)):
        assert place.file == "m.yaml"
        assert 1 <= place.line <= lines
        assert place.column >= 1
    for fault in faults:
        assert fault.message.isprintable()


@given(st.dictionaries(st.from_regex("[a-c]{1,3}", fullmatch=True), TREES, min_size=1, max_size=5))
@settings(deadline=None)
def test_every_value_is_found_where_it_was_read(tree: dict[str, Any]) -> None:
    text = yaml.safe_dump(tree, default_flow_style=True, width=10**6, allow_unicode=True)
    [document], _ = read_documents(text.encode(), "m.yaml")
    for path, value in walk((), document.value):
        line, column = document.locate(path)[1:]
        rest = text.splitlines()[line - 1][column - 1 :]
        match value:
            case dict():
                assert rest.startswith("{")
            case list():
                assert rest.startswith("[")
            case bool() | None:
                assert rest.startswith({True: "true", False: "false", None: "null"}[value])
            case int():
                assert rest.startswith(str(value))
            case _:
                assert rest


def walk(path: tuple[str | int, ...], value: Any) -> Any:  # noqa: ANN401 - JSON
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk((*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk((*path, index), inner)
