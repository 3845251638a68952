"""The fault file: what it means, and what is said about one that is wrong."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from emulator_process import refused

from reconciler.emulator.faults.active import Entry, Every, Nth, Share
from reconciler.emulator.faults.document import (
    MAX_BYTES,
    NO_FAULTS,
    FaultFile,
    faults_of,
    load_faults,
    parse_faults,
)
from reconciler.emulator.faults.errors import FaultFileError
from reconciler.emulator.faults.kinds import (
    DEFAULT_WHEN,
    KINDS,
    ClockOff,
    Closed,
    Drip,
    Late,
    Redirect,
    Refused,
    RetryAfter,
    Status,
    kind_name,
)
from reconciler.emulator.schemas import schema

if TYPE_CHECKING:
    from pathlib import Path

JSON: TypeAlias = Any

HEAD = "apiVersion: reconciler/v1\nkind: Faults\n"
COMMON = {"fault", "name", "on", "probability", "nth", "every", "times", "when"}


def problems(text: str) -> list[str]:
    with pytest.raises(FaultFileError) as caught:
        parse_faults(text.encode(), source="f.yaml")
    return [str(problem) for problem in caught.value.problems]


def entry_problems(*lines: str) -> list[str]:
    return problems(HEAD + "faults:\n" + "".join(f"  - {line}\n" for line in lines))


def test_a_file_becomes_values(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(
        HEAD
        + """seed: 7
faults:
  - fault: closed
    on: {method: POST, path: "/api/v2/batches"}
    probability: 0.05
    times: 5
    name: lost replies
  - {fault: status, status: 429, nth: [1, 4], retryAfter: {date: 3}, when: after, on: {method: [GET, POST]}}
  - {fault: status, status: 503, nth: 2, retryAfter: 0, body: empty}
  - {fault: redirect, every: 10, location: "https://elsewhere.example/", otherHost: true}
  - {fault: late, every: 1, hold: 2, delay: 0.5}
"""
    )

    def entry(**fields: JSON) -> Entry:
        default: JSON = {"when": "before", "methods": frozenset(), "path": None, "times": None, "name": None}
        return Entry(**{**default, **fields})

    file = load_faults(path)
    assert (file.seed, file.entries) == (
        7,
        (
            entry(
                fault=Closed(),
                when="after",
                methods=frozenset({"POST"}),
                path="/api/v2/batches",
                trigger=Share(probability=0.05),
                times=5,
                name="lost replies",
            ),
            entry(
                fault=Status(status=429, retry_after=RetryAfter(seconds=3, as_date=True)),
                when="after",
                methods=frozenset({"GET", "POST"}),
                trigger=Nth(numbers=frozenset({1, 4})),
            ),
            entry(
                fault=Status(status=503, body="empty", retry_after=RetryAfter(seconds=0)),
                trigger=Nth(numbers=frozenset({2})),
            ),
            entry(
                fault=Redirect(location="https://elsewhere.example/", other_host=True),
                trigger=Every(step=10),
            ),
            entry(fault=Late(hold=2, delay=0.5), when=None, trigger=Every(step=1)),
        ),
    )
    assert file.source["faults"][0]["name"] == "lost replies"


def test_reading_the_same_file_twice_gives_equal_values() -> None:
    text = (HEAD + "seed: 3\nfaults: [{fault: drip, every: 2}]\n").encode()
    assert parse_faults(text, source="a") == parse_faults(text, source="b")
    assert parse_faults(json.dumps(NO_FAULTS.source).encode(), source="c") == NO_FAULTS


def test_a_whole_number_may_be_written_with_a_point() -> None:
    text = HEAD + "faults: [{fault: status, status: 503.0, nth: [1.0], retryAfter: 3.0}]\n"
    file = parse_faults(text.encode(), source="f")
    assert repr(file.entries[0].fault) == repr(Status(status=503, retry_after=RetryAfter(seconds=3)))
    assert repr(file.entries[0].trigger) == "Nth(numbers=frozenset({1}))"


def test_every_problem_of_a_file_is_said_at_once() -> None:
    assert entry_problems(
        "{fault: status, status: 200, every: 1, nth: 0, foo: 1}",
        '{fault: truncated, when: after, probability: "much"}',
        "{fault: nope, every: 1}",
        '{fault: redirect, location: "//other.example/", every: 1}',
        "{fault: status, nth: []}",
        "{every: 1}",
        "text",
        "{fault: late, every: yes, when: sometimes}",
        "{fault: reset, when: sometimes, on: {method: post, path: api, host: x}, nth: [1, 1, 0]}",
        "{fault: status, status: 429, every: 1, retryAfter: {}, body: xml}",
    ) == [
        "faults[0]: needs exactly one of probability, nth and every",
        "faults[0].status: should be 400 or more, not 200",
        "faults[0].nth: should be 1 or more, not 0",
        (
            "faults[0]: the fault status has no foo; it has fault, name, on, probability, nth, every, times,"
            " when, status, body, retryAfter"
        ),
        "faults[1]: truncated has no choice of when",
        'faults[1].probability: should be a number, not "much"',
        f'faults[2].fault: there is no fault "nope" (there are {", ".join(KINDS)})',
        "faults[3].location: points to another host; say otherHost: true if that is meant",
        "faults[4]: needs status",
        "faults[4].nth: should not be empty, not []",
        "faults[5]: needs fault",
        'faults[6]: should be a mapping, not "text"',
        'faults[7].every: should be a whole number, not "yes"',
        "faults[7]: late has no choice of when",
        'faults[8].when: should be one of before, after, not "sometimes"',
        'faults[8].on.method: should be a method in capitals, such as POST, not "post"',
        'faults[8].on.path: should begin with / or *, not "api"',
        "faults[8].on: this has no host; it has method, path",
        "faults[8].nth: should have no value twice, not [1, 1, 0]",
        "faults[8].nth[2]: should be 1 or more, not 0",
        "faults[9].retryAfter: needs date",
        'faults[9].body: should be one of json, html, empty, not "xml"',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["should be a mapping, not null"]),
        ("[]", ["should be a mapping, not []"]),
        ("{}", ["needs apiVersion and kind and faults"]),
        (
            "apiVersion: v2\nkind: Fault\nfaults: 1\nsede: 1\nseed: -1\n",
            [
                'apiVersion: should be reconciler/v1, not "v2"',
                'kind: should be Faults, not "Fault"',
                "faults: should be a list, not 1",
                "this has no sede; it has apiVersion, kind, seed, faults",
                "seed: should be 0 or more, not -1",
            ],
        ),
        ("a: [", ["expected the node content, but found '<stream end>'"]),
        ("a: &x 1\nb: *x\n", ["it uses a YAML alias"]),
        ("a: 1\na: 2\n", ["the key 'a' stands here twice"]),
        ("[" * 21 + "]" * 21, ["it nests deeper than 20 levels"]),
        ("[" * 50_000, ["it nests deeper than 20 levels"]),
        ("- " * 30, ["it nests deeper than 20 levels"]),
        (
            "a: !!set {b}",
            ["it holds a value that cannot be used: Object of type set is not JSON serializable"],
        ),
        (
            "a: .inf",
            ["it holds a value that cannot be used: Out of range float values are not JSON compliant"],
        ),
        ("x" * (MAX_BYTES + 1), [f"it is larger than {MAX_BYTES} bytes"]),
        ("!!python/object/apply:os.getcwd []", None),
        ("\x00", None),
    ],
)
def test_a_document_that_is_none_is_refused(text: str, expected: list[str] | None) -> None:
    found = problems(text)
    assert len(found) >= 1
    if expected is not None:
        assert [re.sub(r": inf$|: a$", "", line) for line in found] == expected


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(FaultFileError):
        parse_faults(b"\xff\xfe\xff", source="f")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(FaultFileError) as caught:
        load_faults(path)
    assert (
        str(caught.value)
        == f"{path} is not a valid fault file:\n  {path}:1:1: it cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    "location", ["https://a.example/", "//a.example", "/\\a.example", "\\\\a", "javascript:x"]
)
def test_a_redirect_elsewhere_needs_to_be_owned_up_to(location: str) -> None:
    entry: JSON = {"fault": "redirect", "every": 1, "location": location}
    document = {**NO_FAULTS.source, "faults": [entry]}
    with pytest.raises(FaultFileError):
        faults_of(document, source="f")
    fault = faults_of({**document, "faults": [{**entry, "otherHost": True}]}, source="f").entries[0].fault
    assert fault == Redirect(location=location, other_host=True)


def test_the_key_on_is_no_truth_value() -> None:
    file = parse_faults((HEAD + "faults: [{fault: reset, every: 1, on: {method: GET}}]").encode(), source="f")
    assert file.entries[0].methods == {"GET"}


def test_the_schema_and_the_classes_say_the_same() -> None:
    definitions = schema("faults")["$defs"]
    assert definitions.keys() - {"entry"} == KINDS.keys()
    for name, kind in KINDS.items():
        own = {key: value for key, value in definitions[name]["properties"].items() if key not in COMMON}
        fields = {
            re.sub(r"_(\w)", lambda m: m[1].upper(), field.name): field for field in dataclasses.fields(kind)
        }
        assert list(own) == list(fields), name
        for key, field in fields.items():
            default = field.default if field.default is not None else dataclasses.MISSING
            assert own[key].get("default", dataclasses.MISSING) == default, (name, key)
            assert own[key]["description"]
        when = definitions[name]["properties"].get("when", {}).get("default")
        assert when == DEFAULT_WHEN[name], name


def test_every_kind_can_be_written_with_its_defaults_alone() -> None:
    needed = {"status": {"status": 500}}
    entries = [{"fault": name, "every": 1, **needed.get(name, {})} for name in KINDS]
    file: FaultFile = faults_of({**NO_FAULTS.source, "faults": entries}, source="f")
    assert [kind_name(entry.fault) for entry in file.entries] == list(KINDS)
    assert {Refused(), ClockOff(), Drip()} <= {entry.fault for entry in file.entries}


def places(text: str) -> list[str]:
    with pytest.raises(FaultFileError) as caught:
        parse_faults(text.encode(), source="f")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_each_problem_has_its_line_and_column() -> None:
    text = HEAD + (
        "sede: 1\n"
        "faults:\n"
        "  - fault: closed\n"
        "    probability: 2\n"
        "  - {fault: reset, nth: 1, on: {method: GET, host: x}}\n"
        "  - {nth: 1}\n"
    )
    assert places(text) == [
        "f:3:1: this has no sede; it has apiVersion, kind, seed, faults",
        "f:6:18: faults[0].probability: should be 1 or less, not 2",
        "f:7:46: faults[1].on: this has no host; it has method, path",
        "f:8:5: faults[2]: needs fault",
    ]
    assert places("a: 1\na: 2\n") == ["f:2:1: the key 'a' stands here twice"]
    assert places("a: b\n- c\n")[0].startswith("f:2:1: ")
    assert places("a: &x 1\nb: *x\n") == ["f:2:4: it uses a YAML alias"]


@pytest.mark.parametrize("indent", [1, 4, "\t"])
def test_json_has_lines_and_columns_too(indent: int | str) -> None:
    document = {**NO_FAULTS.source, "faults": [{"fault": "drip", "every": 0, "name": "/\\é"}]}
    width = len(" " * indent if isinstance(indent, int) else indent) * 3
    text = json.dumps(document, indent=indent).replace("/", "\\/")
    assert places(text) == [f"f:7:{width + 10}: faults[0].every: should be 1 or more, not 0"]


def test_an_unknown_kind_is_told_with_the_one_that_was_meant_and_nothing_else() -> None:
    assert entry_problems(
        "{fault: close, every: 0, seconds: 1}",
        "{fault: melted, times: 0}",
        "{fault: extra_fields}",
        "{fault: [1], when: x}",
        "{fault: Timeout, every: 1}",
    ) == [
        f'faults[0].fault: there is no fault "close"; did you mean closed? (there are {", ".join(KINDS)})',
        'faults[1].fault: there is no fault "melted"',
        'faults[2].fault: there is no fault "extra_fields"; did you mean extraFields?',
        "faults[3].fault: there is no fault [1]",
        'faults[4].fault: there is no fault "Timeout"; did you mean timeout?',
    ]


def test_one_entry_is_no_file_and_says_so() -> None:
    assert problems("{fault: closed, nth: 1}") == [
        "needs apiVersion and kind and faults",
        "this is one entry of a fault file, not a file: POST adds one, PUT takes a whole file",
    ]


@pytest.mark.parametrize("location", ["", "location: /here, ", "location: https, "])
def test_another_host_that_is_not_named_is_a_problem(location: str) -> None:
    assert entry_problems(f"{{fault: redirect, {location}otherHost: true, every: 1}}") == [
        "faults[0].otherHost: needs a location that points to another host"
    ]


def test_half_a_character_is_refused_where_it_stands() -> None:
    entry = '{fault: reset, nth: 1, name: "\\ud800"}'
    assert entry_problems(entry) == ["faults[0].name: holds half a character, a lone surrogate"]
    assert places('{"faults":\n [{"name": "\\ud800"}]}') == [
        "f:2:12: faults[0].name: holds half a character, a lone surrogate"
    ]
    assert problems('{"a": {"\\udfff": 1}}') == ["a: a key in it holds half a character, a lone surrogate"]
    # A whole one, written in two halves.
    assert problems('"\\ud83d\\ude00"') == ['should be a mapping, not "\\ud83d\\ude00"']


def test_the_command_line_tells_each_problem_in_a_line_as_editors_read_them(
    tmp_path: Path, quick: Path
) -> None:
    (tmp_path / "faults.yaml").write_text(
        HEAD + "faults:\n  - fault: closed\n    probability: 2\n  - {fault: close, nth: 0}\n"
    )
    assert refused(tmp_path, "--faults", "faults.yaml", quick=quick) == (
        1,
        (
            "faults.yaml:5:18: faults[0].probability: should be 1 or less, not 2\n"
            'faults.yaml:6:13: faults[1].fault: there is no fault "close"; did you mean closed?'
            f" (there are {', '.join(KINDS)})\n"
        ),
    )
    assert refused(tmp_path, "--faults", "none.yaml", quick=quick) == (
        1,
        "none.yaml:1:1: it cannot be read: No such file or directory\n",
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "faults.yaml"]


def test_a_key_given_twice_in_json_is_refused_with_its_place() -> None:
    with pytest.raises(FaultFileError) as caught:
        parse_faults(b'{"apiVersion": "reconciler/v1", "kind": "Faults", "seed": 1, "seed": 2}', source="x")
    assert [(each.line, str(each)) for each in caught.value.problems] == [
        (1, "the key 'seed' stands here twice")
    ]


def test_a_location_with_a_newline_at_its_end_is_refused() -> None:
    entry = {"fault": "redirect", "nth": 1, "location": "/x\n"}
    document = {"apiVersion": "reconciler/v1", "kind": "Faults", "faults": [entry]}
    with pytest.raises(FaultFileError) as caught:
        parse_faults(json.dumps(document).encode(), source="x")
    assert [each.place for each in caught.value.problems] == ["faults[0].location"]
