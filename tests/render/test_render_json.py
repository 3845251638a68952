"""The JSON documents: they satisfy their published schemas, and the schemas know every word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.audit import AuditFault, Verified
from reconciler.model.batch import Address, Batch, FileCounts, JobType, Key, Status
from reconciler.model.document import plan_document
from reconciler.model.plan import (
    Action,
    ActionKind,
    Breach,
    Closed,
    Level,
    Plan,
    Reason,
    ReasonCode,
    Since,
    Violation,
)
from reconciler.model.result import Applied, Finding, Outcome, Result
from reconciler.model.source import Diagnostic, Severity, Source
from reconciler.model.status import Health
from reconciler.model.tracking import Happened, TrackedChange
from reconciler.model.watched import Watched, WatchedId
from reconciler.render.audit import verified_document
from reconciler.render.json import applied_document, diagnostics_document
from reconciler.render.tracking import refreshed_document

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMAS = Path(__file__).parents[2] / "schemas"


def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((_SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


_texts = st.text(max_size=20)
_keys = st.builds(Key, _texts, _texts, _texts, st.sampled_from(JobType), _texts)
_addresses = st.builds(Address, _texts, _texts)
_times = st.none() | st.datetimes(timezones=st.timezones())
_batches = st.builds(Batch, _texts, _keys, st.sampled_from(Status), _times, _times)
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
_breaches = st.builds(Breach, st.sampled_from(["maxCreates", "maxFiles"]), st.integers(0), st.integers(0))
_closed = st.builds(Closed, _texts, _texts, _texts, _times, _texts)
_violations = st.builds(Violation, _texts, _texts, _texts, _texts, st.sampled_from(Level), st.booleans())
_since = st.builds(Since, _texts, _texts, st.none() | st.lists(_texts, max_size=2).map(tuple))
_watched_ids = st.builds(WatchedId, _texts, _texts)
_counts = st.none() | st.builds(FileCounts, st.integers(0), st.integers(0))
_watched = st.none() | st.builds(
    Watched,
    id=_watched_ids,
    status=st.sampled_from(Status),
    word=_texts,
    created_at=_times,
    updated_at=_times,
    counts=_counts,
)
_tracked = st.builds(
    TrackedChange,
    address=_addresses,
    id=_watched_ids,
    happened=st.sampled_from(Happened),
    reason=_texts,
    now=_watched,
    before=_watched,
    health=st.none() | st.sampled_from(Health),
)
_digest = "sha256:" + "0" * 64
_plans = st.builds(
    Plan,
    actions=st.lists(_actions, max_size=3).map(tuple),
    not_selected=st.integers(0, 5),
    lineage=_texts,
    state=st.just(_digest),
    manifests=st.just(_digest),
    breaches=st.lists(_breaches, max_size=2).map(tuple),
    tracked=st.lists(_tracked, max_size=2).map(tuple),
    closed=st.lists(_closed, max_size=2).map(tuple),
    violations=st.lists(_violations, max_size=2).map(tuple),
    targets=st.lists(_texts, max_size=2).map(tuple),
    since=st.none() | _since,
)
_results = st.builds(Result, _actions, st.sampled_from(Outcome), _texts, st.none() | _batches)
_findings = st.builds(Finding, _addresses, _keys, st.lists(_texts, max_size=3).map(tuple), st.booleans())
_applied = st.builds(
    Applied,
    plan=_plans,
    results=st.lists(_results, max_size=3).map(tuple),
    findings=st.lists(_findings, max_size=2).map(tuple),
    batches=st.lists(_batches, max_size=2).map(tuple),
    failed_files=st.integers(0, 9),
    ended=_texts,
    stopped=st.none() | st.just(2),
    timed_out=st.booleans(),
    closed=st.lists(_closed, max_size=2).map(tuple),
    not_looked_again=st.lists(_addresses, max_size=2).map(tuple),
)
_sources = st.builds(Source, _texts, st.integers(1, 99), st.integers(1, 99))
_diagnostics = st.builds(Diagnostic, _sources, _texts, st.sampled_from(Severity))
_faults = st.builds(AuditFault, _texts, st.integers(1, 99), _texts, _texts)
_verified = st.builds(
    Verified, st.integers(0, 9), st.integers(0, 99), st.lists(_faults, max_size=3).map(sorted).map(tuple)
)


@given(_plans)
def test_every_plan_satisfies_its_schema(plan: Plan) -> None:
    _validator("plan").validate(json.loads(json.dumps(plan_document(plan))))


@given(_applied)
def test_every_outcome_satisfies_its_schema(applied: Applied) -> None:
    _validator("applied").validate(json.loads(json.dumps(applied_document(applied))))


@given(st.lists(_tracked, max_size=3))
def test_every_refresh_satisfies_its_schema(found: list[TrackedChange]) -> None:
    _validator("refreshed").validate(json.loads(json.dumps(refreshed_document(found))))


@given(st.lists(_diagnostics, max_size=3))
def test_all_diagnostics_satisfy_their_schema(diagnostics: list[Diagnostic]) -> None:
    _validator("diagnostics").validate(json.loads(json.dumps(diagnostics_document(diagnostics))))


@given(_verified)
def test_every_verification_satisfies_its_schema(verified: Verified) -> None:
    document = json.loads(json.dumps(verified_document(verified)))
    _validator("audit-verified").validate(document)
    assert document["valid"] is (document["faults"] == [])


def _words(schema: Mapping[str, Any], *path: str) -> set[str]:
    value: Any = schema
    for step in path:
        value = value[step]
    return set(value["enum"]) - {None}


@pytest.mark.parametrize(
    ("words", "name", "path"),
    [
        (ActionKind, "plan", ("$defs", "action", "properties", "action")),
        (ReasonCode, "plan", ("$defs", "action", "properties", "reason")),
        (Status, "plan", ("$defs", "batch", "properties", "status")),
        (Happened, "plan", ("$defs", "tracked", "properties", "change")),
        (Happened, "applied", ("$defs", "tracked", "properties", "change")),
        (Happened, "refreshed", ("$defs", "tracked", "properties", "change")),
        (Health, "refreshed", ("$defs", "tracked", "properties", "health")),
        (Status, "refreshed", ("$defs", "watched", "properties", "status")),
        (Outcome, "applied", ("properties", "results", "items", "properties", "outcome")),
        (ReasonCode, "applied", ("properties", "results", "items", "properties", "reason")),
    ],
)
def test_the_schemas_know_exactly_the_words_there_are(words: Any, name: str, path: tuple[str, ...]) -> None:  # noqa: ANN401 - any enum
    assert _words(json.loads((_SCHEMAS / f"{name}.json").read_text()), *path) == {
        word.value for word in words
    }
