"""What a round comes to, decided from values; and how each event of the loop is logged."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.adapters.schemas import load_schema
from reconciler.cli.exits import of_rounds
from reconciler.core.rounds import is_incomplete, left_behind, open_creates, result_of, worth_applying
from reconciler.model.batch import Address, Batch, JobType, Key, Status
from reconciler.model.errors import LockHeldError, ManifestError, StateError
from reconciler.model.events import Done, Observing, Planned, Warned
from reconciler.model.intent import Intent, JournalState
from reconciler.model.lock import Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.plan import Action, ActionKind, Closed, Plan, Reason, ReasonCode
from reconciler.model.result import Applied, Finding, Outcome, Result
from reconciler.model.rounds import (
    Began,
    Called,
    Ending,
    Fetched,
    Happening,
    Looking,
    LoopEvent,
    Paused,
    Round,
    RoundBegan,
    RoundEnded,
    RoundResult,
    Verdict,
    Why,
)
from reconciler.model.source import Diagnostic, Source
from reconciler.render.rounds import json_record, records, text_line

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 22, 9, 30, 0, 250_000, tzinfo=UTC)
KEY = Key("https://api", "prj", "dir-a", JobType("parse_v2"), "cfg")
ADDRESS = Address("invoices", "dir-a")
BATCH = Batch("bat-1", KEY, Status.RUNNING, NOW, None)


def action(kind: ActionKind, code: ReasonCode, batch: Batch | None = None) -> Action:
    return Action(kind=kind, address=ADDRESS, key=KEY, reason=Reason(code, "as it is"), batch=batch)


CREATE = action(ActionKind.CREATE, ReasonCode.MISSING)
KEEP = action(ActionKind.KEEP, ReasonCode.SATISFIED, BATCH)
UNKNOWN = action(ActionKind.UNRESOLVED, ReasonCode.UNKNOWN)
OPEN = action(ActionKind.UNRESOLVED, ReasonCode.OPEN_INTENT)
HELD = action(ActionKind.BLOCKED, ReasonCode.HELD)
PLAN = Plan(actions=(CREATE,))


def lock(status: Status) -> Lock:
    recorded = Recorded("bat-1", status, Origin.CREATED, NOW)
    return Lock(
        entries={KEY: Entry(key=KEY, address=ADDRESS, current="bat-1", batches=(recorded,))},
    )


def applied(outcome: Outcome = Outcome.CREATED, **more: Any) -> Applied:  # noqa: ANN401 - of its fields
    return Applied(plan=PLAN, results=(Result(CREATE, outcome),), **more)


def test_the_lock_is_taken_only_for_a_reason() -> None:
    intent = Intent(
        id="i",
        key=KEY,
        address=ADDRESS,
        known=frozenset(),
        evidence=Evidence("missing"),
        at=NOW,
        run="r",
    )
    entry = lock(Status.PENDING).entries[KEY]
    assert left_behind(JournalState()) == ""
    assert left_behind(JournalState(open=(intent,))) == "creates whose outcome is not known"
    assert left_behind(JournalState(recovered=(entry,))).startswith("what a run that broke off")

    quiet = Plan(actions=(KEEP,))
    assert worth_applying(PLAN, {}, Lock()) == "changes"
    assert worth_applying(quiet, {}, lock(Status.RUNNING)) == ""
    assert worth_applying(quiet, {}, lock(Status.PENDING)) == "statuses"
    assert worth_applying(quiet, {"invoices": "sha256:1"}, lock(Status.RUNNING)) == "manifests"
    assert worth_applying(Plan(actions=(HELD, OPEN, UNKNOWN)), {}, lock(Status.RUNNING)) == ""


def test_what_could_not_be_seen_and_what_is_open_are_told_apart() -> None:
    assert (is_incomplete(Plan(actions=(UNKNOWN,))), open_creates(Plan(actions=(UNKNOWN,)))) == (True, 0)
    assert (is_incomplete(Plan(actions=(OPEN,))), open_creates(Plan(actions=(OPEN, KEEP)))) == (False, 1)


DUPLICATE = Finding(ADDRESS, KEY, ("bat-1", "bat-2"), ambiguous=False, stands="bat-1")


@pytest.mark.parametrize(
    ("came_to", "result"),
    [
        (applied(), RoundResult.APPLIED),
        (applied(Outcome.BLOCKED), RoundResult.APPLIED),
        (applied(Outcome.REJECTED), RoundResult.FAILED),
        (applied(Outcome.FAILED), RoundResult.FAILED),
        (applied(Outcome.UNKNOWN), RoundResult.UNRESOLVED),
        (applied(Outcome.UNSEEN), RoundResult.INCOMPLETE),
        (applied(findings=(DUPLICATE,)), RoundResult.UNRESOLVED),
        (applied(unresolved=(ADDRESS,)), RoundResult.UNRESOLVED),
        (applied(ended="the key is refused"), RoundResult.FAILED),
        (applied(Outcome.NOT_STARTED, timed_out=True), RoundResult.TIMED_OUT),
        (applied(Outcome.NOT_STARTED, closed=(Closed("", "over", "a:1"),)), RoundResult.REFUSED),
        (applied(Outcome.UNKNOWN, stopped=15), RoundResult.STOPPED),
    ],
)
def test_what_an_apply_was_for_its_round(came_to: Applied, result: RoundResult) -> None:
    assert result_of(came_to) is result


def round_of(result: RoundResult, **more: Any) -> Round:  # noqa: ANN401 - of its fields
    fields: dict[str, Any] = {"project": "finance", "folder": ".", "why": Why.INTERVAL, "seconds": 0.25}
    return Round(result=result, **(fields | more))


def ended(result: RoundResult, **more: Any) -> RoundEnded:  # noqa: ANN401 - of its fields
    return RoundEnded(round_of(result, **more), 0, 60.0)


def logged(event: LoopEvent) -> list[str]:
    made = list(records(event, lambda error: type(error).__name__))
    for record in made:
        # Nothing in it is Python's alone, and the schema knows it.
        SCHEMA.validate(json.loads(json.dumps(json_record(NOW, record))))
    return [text_line(NOW, record).removeprefix("2026-11-22T09:30:00.250Z ") for record in made]


SCHEMA = Draft202012Validator(load_schema("run-log"))
TAIL = "(0.2 s; next in 60 s)"
A_DEFECT = "a defect in reconciler: KeyError; please report it; --log-level debug shows where"
FAULTY = ManifestError([Diagnostic(Source("a.yaml", 3, 1), "no\x1b[2J!"), Diagnostic(Source("b.yaml"), "x")])


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (
            Began(("a", "b"), 60.0, approved=True, listening="0.0.0.0:8080"),
            ["INFO    every 60 s at a, b; applies what they lack; listening at 0.0.0.0:8080"],
        ),
        (
            Began((".",), 60.0, approved=False, listening=""),
            ["INFO    every 60 s at .; only looks: --auto-approve was not given"],
        ),
        (Fetched("main", "b" * 40, "a" * 40), ["INFO    main is bbbbbbbbbbbb, and was aaaaaaaaaaaa"]),
        (RoundBegan("finance", Why.WEBHOOK), ["DEBUG   finance: round: webhook"]),
        (Happening("finance", Observing(1, 1)), []),
        (Happening("finance", Warned("odd")), ["WARNING finance: odd"]),
        (
            Happening("finance", Planned(PLAN)),
            ["DEBUG   finance: invoices/dir-a: create: as it is", "DEBUG   finance: Plan: 1 to create."],
        ),
        (
            Happening("finance", Done(CREATE, Outcome.CREATED, BATCH)),
            ["INFO    finance: + invoices/dir-a  created  bat-1"],
        ),
        (
            ended(RoundResult.UNCHANGED, plan=Plan(actions=())),
            [f"INFO    finance: unchanged: nothing to do; No changes. 0 batches as desired {TAIL}"],
        ),
        (
            ended(RoundResult.APPLIED, plan=PLAN, applied=applied()),
            ["INFO    finance: applied: Apply: 1 created (0.2 s; next in 60 s)"],
        ),
        (
            ended(RoundResult.APPLIED, plan=Plan(actions=()), applied=applied(), because="statuses"),
            [f"INFO    finance: applied: how batches go on was recorded {TAIL}"],
        ),
        (
            ended(RoundResult.STANDBY, plan=PLAN, error=LockHeldError("held by a@b", next="wait")),
            ["INFO    finance: standby: not applied: held by a@b (0.2 s; next in 60 s)"],
        ),
        (
            ended(RoundResult.PAUSED, plan=PLAN),
            [f"WARNING finance: paused: not applied: the pause file is there; Plan: 1 to create {TAIL}"],
        ),
        (
            ended(
                RoundResult.ERROR, error=StateError("it is torn", where="x.lock", why="cut", next="mend it")
            ),
            ["ERROR   finance: error: x.lock: it is torn; cut; mend it (0.2 s; next in 60 s)"],
        ),
        (
            RoundEnded(round_of(RoundResult.ERROR, error=FAULTY), 1, None),
            [
                r"ERROR   finance: a.yaml:3:1: no\x1b[2J!",
                "ERROR   finance: b.yaml:1:1: x",
                r"ERROR   finance: error: a.yaml:3:1: no\x1b[2J!, and 1 more; reconciler validate (0.2 s)",
            ],
        ),
        (
            ended(RoundResult.ERROR, error=KeyError("what must not be said")),
            [f"ERROR   finance: error: {A_DEFECT} {TAIL}"],
        ),
        (Paused(paused=True, file="/p"), ["WARNING the pause file /p is there: nothing is applied"]),
        (Paused(paused=False, file="/p"), ["WARNING the pause file /p is gone"]),
        (Called(Verdict.ACCEPTED, 1), ["DEBUG   webhook: accepted"]),
        (Called(Verdict.FORGED, 7), ["WARNING webhook: forged, 7 times"]),
        (Looking(), ["INFO    SIGHUP: every project is looked at now"]),
        (Ending(15), ["INFO    ended by signal 15"]),
    ],
)
def test_each_event_is_logged_in_words(event: LoopEvent, lines: list[str]) -> None:
    assert logged(event) == lines


def test_duplicates_and_what_is_open_have_lines_of_their_own() -> None:
    came_to = applied(findings=(DUPLICATE,), unresolved=(ADDRESS,))
    lines = logged(ended(RoundResult.UNRESOLVED, plan=PLAN, applied=came_to))
    assert [line.split()[0] for line in lines] == ["ERROR"] * 3
    assert "bat-2" in lines[0]
    assert lines[1] == "ERROR   finance: invoices/dir-a: whether a create took effect is not known"


def test_the_schema_knows_each_result_each_reason_and_each_verdict() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    for result in RoundResult:
        logged(ended(result))
    for why in Why:
        logged(ended(RoundResult.APPLIED, why=why))
    for verdict in Verdict:
        logged(Called(verdict, 1))
    [record] = records(ended(RoundResult.APPLIED), lambda _: "")
    for name in ("result", "why", "seconds", "time"):
        assert not SCHEMA.is_valid(json_record(NOW, record) | {name: "else"})


def test_the_round_as_data() -> None:
    error = StateError("it is torn", where="x.lock", why="cut", next="mend it")
    event = ended(RoundResult.ERROR, plan=PLAN, commit="c" * 40, error=error)
    [record] = records(event, lambda _: "")
    assert json_record(NOW, record) == {
        "time": "2026-11-22T09:30:00.250Z",
        "level": "error",
        "event": "round-ended",
        "project": "finance",
        "message": "error: x.lock: it is torn; cut; mend it (0.2 s; next in 60 s)",
        "result": "error",
        "why": "interval",
        "because": "",
        "seconds": 0.25,
        "commit": "c" * 40,
        "failures": 0,
        "nextIn": 60.0,
        "plan": {"create": 1},
        "error": {"what": "it is torn", "where": "x.lock", "why": "cut", "next": "mend it"},
    }


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (["unchanged", "applied", "observed", "paused"], 0),
        (["applied", "standby"], 3),
        (["standby", "refused"], 7),
        (["refused", "timed-out"], 8),
        (["timed-out", "failed"], 6),
        (["failed", "unresolved"], 5),
        (["unresolved", "error"], 1),
        (["incomplete", "applied"], 1),
    ],
)
def test_a_loop_that_comes_to_its_end_gives_the_worst_exit_code(results: list[str], code: int) -> None:
    make: Callable[[str], Round] = lambda result: round_of(RoundResult(result))  # noqa: E731
    assert of_rounds(map(make, results)) == code
