"""Drift as text and as a document: the closing line is frozen, and the schema knows every word."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.batch import Address, Batch, Home, JobType, Key, Status
from reconciler.model.drift import Deviation, Drift, DriftKind, Unseen
from reconciler.render.drift import closing_line, drift_document, drift_lines
from reconciler.render.harmless import harmless

_SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "drift.json").read_text())
_VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)

_texts = st.text(max_size=12)
_keys = st.builds(Key, _texts, _texts, _texts, st.sampled_from(JobType), _texts)
_times = st.none() | st.datetimes(timezones=st.timezones())
_fields = st.dictionaries(st.sampled_from(["job", "createdAt", "inputs"]), st.tuples(_texts, _texts))


def _deviation(fields: dict[str, tuple[str, str]], **rest: Any) -> Deviation:  # noqa: ANN401 - the fields of Deviation
    recorded = {name: values[0] for name, values in fields.items()}
    return Deviation(recorded=recorded, live={name: values[1] for name, values in fields.items()}, **rest)


_deviations = st.builds(
    _deviation,
    fields=_fields,
    kind=st.sampled_from(DriftKind),
    key=_keys,
    batch=st.builds(Batch, _texts, _keys, st.sampled_from(Status), _times, _times),
    address=st.none() | st.builds(Address, _texts, _texts),
    why=_texts,
    next=_texts,
    counts=st.booleans(),
)
_drifts = st.builds(
    Drift,
    deviations=st.lists(_deviations, max_size=3).map(tuple),
    ignored=st.integers(0, 9),
    unseen=st.lists(st.builds(Unseen, st.builds(Home, _texts, _texts), _texts), max_size=2).map(tuple),
    since=_times,
)

KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
HOME = KEY.home


def deviations(kind: DriftKind, count: int, **fields: Any) -> tuple[Deviation, ...]:  # noqa: ANN401 - the fields of Deviation
    usual: dict[str, Any] = {"address": Address("a", "dir-1"), "why": "because", "next": "reconciler help"}
    batch = Batch("bat-1", KEY, Status.RUNNING)
    return (Deviation(kind=kind, key=KEY, batch=batch, **usual | fields),) * count


@pytest.mark.parametrize(
    ("drift", "line"),
    [
        (Drift(deviations=()), "No drift."),
        (Drift(deviations=(), ignored=1200), "No drift. 1,200 ignored."),
        (
            Drift(deviations=(*deviations(DriftKind.NOT_DESIRED, 3), *deviations(DriftKind.GONE, 1))),
            "Drift: 3 not desired, 1 gone.",
        ),
        (
            Drift(deviations=tuple(item for kind in DriftKind for item in deviations(kind, 1)), ignored=2),
            "Drift: 1 not desired, 1 other work, 1 gone, 1 different, 1 surplus. 2 ignored.",
        ),
        (Drift(deviations=deviations(DriftKind.SURPLUS, 1, counts=False)), "No drift."),
        (Drift(deviations=(), unseen=(Unseen(HOME, "503"),)), "Drift: nothing found; 1 not seen."),
        (
            Drift(
                deviations=deviations(DriftKind.GONE, 1),
                unseen=(Unseen(HOME, "503"), Unseen(HOME, "also"), Unseen(HOME._replace(project="b"), "")),
            ),
            "Drift: 1 gone; 2 not seen.",
        ),
    ],
)
def test_the_closing_line_is_frozen(drift: Drift, line: str) -> None:
    assert closing_line(drift) == line


def test_a_difference_is_shown_field_by_field() -> None:
    recorded, live = (
        {"job": "parse_v2", "configuration": "cfg"},
        {"job": "parse_v2", "configuration": "cfg-9"},
    )
    item = deviations(DriftKind.DIFFERENT, 1, recorded=recorded, live=live)
    drift = Drift(deviations=item, since=datetime(2026, 9, 1, tzinfo=UTC))
    assert list(drift_lines(drift)) == [
        "Recorded, and different:",
        "  ~ a/dir-1  bat-1  RUNNING  dir-1  parse_v2 cfg",
        "      because",
        "      configuration: cfg -> cfg-9",
        "      next: reconciler help",
        "",
        "Batches created before 2026-09-01T00:00:00Z were not looked at.",
        "Drift: 1 different.",
    ]
    assert drift_document(drift)["deviations"][0]["fields"] == [
        {"field": "configuration", "recorded": "cfg", "live": "cfg-9"}
    ]


def test_what_nobody_can_act_on_is_shown_on_request_only() -> None:
    drift = Drift(deviations=deviations(DriftKind.SURPLUS, 1, counts=False))
    assert list(drift_lines(drift)) == ["No drift."]
    assert len(list(drift_lines(drift, verbose=True))) == 5
    assert drift_document(drift)["deviations"] == []
    assert len(drift_document(drift, verbose=True)["deviations"]) == 1


def test_the_schema_is_one_and_knows_exactly_the_words_there_are() -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMA)
    words = set(_SCHEMA["$defs"]["deviation"]["properties"]["drift"]["enum"])
    assert words == {kind.value for kind in DriftKind} == set(_SCHEMA["properties"]["summary"]["properties"])
    assert set(_SCHEMA["$defs"]["batch"]["properties"]["status"]["enum"]) == {
        status.value for status in Status
    }


@settings(max_examples=40)
@given(_drifts)
def test_every_drift_satisfies_its_schema(drift: Drift) -> None:
    _VALIDATOR.validate(json.loads(json.dumps(drift_document(drift, verbose=True))))


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from("abc"), st.tuples(_texts, _texts)))
def test_exactly_the_fields_that_differ_are_shown(fields: dict[str, tuple[str, str]]) -> None:
    batch = Batch("bat-1", KEY, Status.RUNNING)
    drifted = _deviation(
        fields, kind=DriftKind.DIFFERENT, key=KEY, batch=batch, address=None, why="", next=""
    )
    shown = drift_document(Drift(deviations=(drifted,)))["deviations"][0]["fields"]
    assert [(item["field"], item["recorded"], item["live"]) for item in shown] == [
        (name, *values) for name, values in sorted(fields.items()) if values[0] != values[1]
    ]


@settings(max_examples=40)
@given(_drifts)
def test_no_line_of_drift_can_be_broken_from_outside(drift: Drift) -> None:
    for line in drift_lines(drift, verbose=True):
        assert line == harmless(line)
