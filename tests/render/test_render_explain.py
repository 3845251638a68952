"""Explanations as text and as documents: the schema knows every word, and no text breaks a line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.batch import Address, Batch, FileCounts, JobType, Key, Status
from reconciler.model.explanation import Course, Difference, Explanation, Standing, Verdict
from reconciler.model.intent import Intent
from reconciler.model.lock import Evidence, Origin, Recorded
from reconciler.model.plan import Action, ActionKind, Reason, ReasonCode
from reconciler.model.source import Source
from reconciler.render.explain import explained_document, explained_lines
from reconciler.render.harmless import harmless

_SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "explained.json").read_text())
_VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)

_texts = st.text(max_size=12)
_keys = st.builds(Key, _texts, _texts, _texts, st.sampled_from(JobType), _texts)
_addresses = st.builds(Address, _texts, _texts)
_times = st.datetimes(timezones=st.timezones())
_batches = st.builds(Batch, _texts, _keys, st.sampled_from(Status), st.none() | _times, st.none() | _times)
_evidence = st.builds(
    Evidence, st.sampled_from(ReasonCode), st.none() | _times, st.none() | _texts, st.none() | _texts
)
_recorded = st.builds(
    Recorded,
    _texts,
    st.sampled_from(Status),
    st.sampled_from(Origin),
    _times,
    evidence=st.none() | _evidence,
    files=st.none() | st.builds(FileCounts, st.integers(0, 9), st.integers(0, 9)),
)
_verdicts = st.builds(
    Verdict,
    batch=_batches,
    standing=st.sampled_from(Standing),
    rule=_texts,
    why=_texts,
    differing=st.lists(st.builds(Difference, _texts, _texts, _texts), max_size=2).map(tuple),
    attempt=st.none() | st.integers(1, 9),
    owner=st.none() | _addresses,
    recorded=st.none() | _recorded,
)
_actions = st.builds(
    Action,
    kind=st.sampled_from(ActionKind),
    address=_addresses,
    key=_keys,
    reason=st.builds(Reason, st.sampled_from(ReasonCode), _texts),
    batch=st.none() | _batches,
    previous=st.none() | _addresses,
    directory_name=_texts,
    files=st.none() | st.integers(0, 1001),
    evidence=st.none(),
)
_intents = st.builds(
    Intent,
    id=_texts,
    key=_keys,
    address=_addresses,
    known=st.frozensets(_texts, max_size=2),
    evidence=_evidence,
    at=_times,
    run=_texts,
)
_explanations = st.builds(
    Explanation,
    address=_addresses,
    key=_keys,
    where=st.none() | st.builds(Source, _texts, st.integers(1, 9), st.integers(1, 9)),
    directory_name=_texts,
    policy=st.dictionaries(_texts, _texts, max_size=2),
    verdicts=st.lists(_verdicts, max_size=3).map(tuple),
    courses=st.lists(
        st.builds(Course, action=_actions, ways=st.lists(_texts, max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    intents=st.lists(_intents, max_size=1).map(tuple),
    unknown=_texts,
)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMA)


@settings(max_examples=40)
@given(_explanations)
def test_every_explanation_satisfies_its_schema(explanation: Explanation) -> None:
    _VALIDATOR.validate(json.loads(json.dumps(explained_document(explanation))))


@settings(max_examples=40)
@given(_explanations)
def test_no_line_of_an_explanation_can_be_broken_from_outside(explanation: Explanation) -> None:
    for line in explained_lines(explanation):
        assert line == harmless(line)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (Standing, ("verdict", "standing")),
        (ActionKind, ("action", "action")),
        (ReasonCode, ("action", "reason")),
        (Status, ("batch", "status")),
    ],
)
def test_the_schema_knows_exactly_the_words_there_are(
    words: type[Standing | ActionKind | ReasonCode | Status], where: tuple[str, str]
) -> None:
    name, field = where
    assert set(_SCHEMA["$defs"][name]["properties"][field]["enum"]) == {word.value for word in words}
