"""The closing lines are an interface, and foreign text is harmless."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.batch import Address, Batch, JobType, Key, Status
from reconciler.model.plan import Action, ActionKind, Breach, Plan, Reason, ReasonCode
from reconciler.model.result import Applied, Finding, Outcome, Result
from reconciler.render.harmless import harmless
from reconciler.render.text import MARKS, applied_lines, closing_line, plan_lines, summary_line


def _action(kind: ActionKind, directory: str = "dir-a", *, name: str = "", text: str = "so it is") -> Action:
    key = Key("local:documents", "prj-local", directory, JobType.PARSE_V2, "cfg-PARSE_AGENTIC")
    address = Address("invoices", directory)
    return Action(
        kind=kind,
        address=address,
        key=key,
        reason=Reason(ReasonCode.MISSING, text),
        directory_name=name,
        files=None,
    )


def _plan(*kinds: ActionKind, not_selected: int = 0) -> Plan:
    return Plan(actions=tuple(_action(kind) for kind in kinds), not_selected=not_selected)


def _running() -> Plan:
    kept = _action(ActionKind.KEEP)
    states = (Status.COMPLETED, Status.THROTTLED)
    return Plan(actions=tuple(kept._replace(batch=Batch("bat-1", kept.key, status)) for status in states))


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (_plan(), "No changes. 0 batches as desired."),
        (_plan(ActionKind.KEEP), "No changes. 1 batch as desired."),
        (_running(), "No changes. 2 batches as desired, 1 of them still running."),
        (
            _plan(*[ActionKind.KEEP] * 1234, not_selected=2),
            "No changes. 1,234 batches as desired. 2 desired batches not selected.",
        ),
        (_plan(*[ActionKind.CREATE] * 3), "Plan: 3 to create."),
        (
            _plan(*ActionKind),
            (
                "Plan: 1 to create, 1 to adopt, 1 to move, 1 to forget, 1 to cancel; 1 blocked, 1 unresolved;"
                " 1 unchanged."
            ),
        ),
        (_plan(ActionKind.BLOCKED), "Plan: nothing to do; 1 blocked."),
        (
            _plan(ActionKind.UNRESOLVED, ActionKind.CREATE, not_selected=1),
            "Plan: 1 to create; 1 unresolved. 1 desired batch not selected.",
        ),
    ],
)
def test_the_closing_line_of_a_plan_is_frozen(plan: Plan, line: str) -> None:
    assert closing_line(plan) == line


def _applied(*outcomes: Outcome, batches: tuple[Batch, ...] = ()) -> Applied:
    results = tuple(Result(_action(ActionKind.CREATE), outcome) for outcome in outcomes)
    return Applied(plan=_plan(), results=results, batches=batches)


def _batch(status: Status) -> Batch:
    return Batch("bat-1", _action(ActionKind.KEEP).key, status)


@pytest.mark.parametrize(
    ("applied", "line"),
    [
        (_applied(), "Apply: nothing to do."),
        (_applied(Outcome.CREATED, Outcome.CREATED, Outcome.FAILED), "Apply: 2 created, 1 failed."),
        (
            _applied(*Outcome),
            (
                "Apply: 1 created, 1 found, 1 adopted, 1 kept, 1 moved, 1 forgotten, 1 cancelled, 1 refused,"
                " 1 failed, 1 blocked, 1 unresolved, 1 not observed, 1 not started."
            ),
        ),
        (
            _applied(Outcome.CREATED, batches=(_batch(Status.RUNNING), _batch(Status.COMPLETED))),
            "Apply: 1 created. Batches: 1 COMPLETED, 1 RUNNING.",
        ),
    ],
)
def test_the_closing_line_of_an_apply_is_frozen(applied: Applied, line: str) -> None:
    assert summary_line(applied) == line


def test_every_action_has_a_mark_of_its_own() -> None:
    assert {kind.value: MARKS[kind] for kind in ActionKind} == {
        "create": "+",
        "adopt": "&",
        "keep": "=",
        "move": "~",
        "forget": ".",
        "cancel": "x",
        "blocked": "!",
        "unresolved": "?",
    }


def test_a_plan_shows_columns_that_line_up_and_leaves_out_what_stays() -> None:
    plan = Plan(
        actions=(
            _action(ActionKind.CREATE, "dir-a", name="September"),
            _action(ActionKind.BLOCKED, "dir-long-name", name=""),
            _action(ActionKind.KEEP, "dir-z"),
        ),
        breaches=(Breach("maxCreates", 0, 1),),
    )
    assert list(plan_lines(plan)) == [
        "invoices",
        "  + invoices/dir-a          September  parse_v2 cfg-PARSE_AGENTIC  so it is",
        "  ! invoices/dir-long-name             parse_v2 cfg-PARSE_AGENTIC  so it is",
        "",
        "Over the limit: maxCreates is 0, the plan has 1.",
        f"To apply it all the same: reconciler apply --confirm {plan.digest}",
        "Plan: 1 to create; 1 blocked; 1 unchanged.",
    ]
    assert list(plan_lines(plan, verbose=True))[3].startswith("  = invoices/dir-z")


def test_colour_is_on_marks_only() -> None:
    (_, line, *_) = plan_lines(_plan(ActionKind.CREATE), colour=True)
    assert line == "  \x1b[32m+\x1b[0m invoices/dir-a  parse_v2 cfg-PARSE_AGENTIC  so it is"


def test_duplicates_and_ambiguity_name_the_ids_and_what_to_do() -> None:
    key = _action(ActionKind.KEEP).key
    applied = Applied(
        plan=_plan(),
        findings=(
            Finding(Address("invoices", "dir-a"), key, ("bat-1", "bat-2"), ambiguous=False, stands="bat-1"),
            Finding(Address("invoices", "dir-a"), key, ("bat-3",), ambiguous=True),
        ),
        not_looked_again=(Address("invoices", "dir-b"),),
        ended="the service answered 402: no credits",
        timed_out=True,
    )
    assert list(applied_lines(applied)) == [
        "DUPLICATE invoices/dir-a: bat-1, bat-2 are one piece of work; bat-1 stands.",
        "  To cancel the surplus one: reconciler cancel invoices/dir-a bat-2",
        "AMBIGUOUS invoices/dir-a: bat-3 appeared over its directory and no other create explains it.",
        "  If it is this work: reconciler import invoices/dir-a bat-3",
        (
            "NOT SURE invoices/dir-b: a reply was lost, and the run ended before its last look for late"
            " batches; the next apply looks."
        ),
        "Stopped: the time of --timeout was up. Run apply again; it goes on from here.",
        "Ended early: the service answered 402: no credits",
        "Apply: nothing to do.",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Rechnungen Müller & Söhne", "Rechnungen Müller & Söhne"),
        ("請求書", "請求書"),
        ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
        ("two\nlines\r\tand\x00more", "two\\nlines\\r\\tand\\x00more"),
        ("\x9b31m", "\\x9b31m"),
        ("evil\u202egnp.exe", "evil\\u202egnp.exe"),
        ("\u2066isolate\u2069", "\\u2066isolate\\u2069"),
        ("line\u2028separator", "line\\u2028separator"),
        ("\ud800", "\\ud800"),
    ],
)
def test_foreign_text_is_harmless(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text())
def test_no_text_keeps_a_character_that_acts(text: str) -> None:
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]", harmless(text))


@given(st.text(alphabet=st.characters(max_codepoint=0x3000)))
def test_names_from_a_service_never_add_a_line_to_a_plan(name: str) -> None:
    plan = Plan(actions=(_action(ActionKind.CREATE, name=name, text=name),))
    assert [len(text.splitlines()) for text in plan_lines(plan)] == [1, 1, 0, 1]
