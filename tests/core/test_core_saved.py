"""A saved plan allows what was reviewed and forbids the rest: each way of going stale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from reconciler.core.saved import staleness
from reconciler.model.batch import Address, Batch, JobType, Key, Status
from reconciler.model.lock import Evidence, Lock
from reconciler.model.plan import Action, ActionKind, Plan, Reason, ReasonCode
from reconciler.model.saved import SavedAction, SavedPlan

if TYPE_CHECKING:
    from collections.abc import Callable

CREATE, ADOPT, KEEP, FORGET = ActionKind.CREATE, ActionKind.ADOPT, ActionKind.KEEP, ActionKind.FORGET
BLOCKED, UNRESOLVED, MOVE = ActionKind.BLOCKED, ActionKind.UNRESOLVED, ActionKind.MOVE


def action(
    directory: str, kind: ActionKind = CREATE, code: ReasonCode = ReasonCode.MISSING, inputs: str | None = "i"
) -> Action:
    key = Key("https://api.example", "prj", directory, JobType.PARSE_V2, "cfg")
    return Action(
        kind=kind,
        address=Address("s", directory),
        key=key,
        reason=Reason(code, "so it is"),
        batch=Batch(f"bat-{directory}", key, Status.RUNNING, datetime(2026, 9, 1, tzinfo=UTC)),
        evidence=Evidence(code, inputs=inputs) if kind is CREATE else None,
    )


def plan(*actions: Action) -> Plan:
    return Plan(actions=actions, lineage="l", state="s", manifests="m")


def saved(made: Plan) -> SavedPlan:
    return SavedPlan(
        file="plan.json",
        own="sha256:own",
        digest=made.digest,
        lineage=made.lineage,
        state=made.state,
        manifests=made.manifests,
        targets=(),
        actions=tuple(
            SavedAction(
                item.kind.value,
                str(item.address),
                str(item.key),
                item.reason.code.value,
                (item.evidence.inputs or "") if item.evidence else "",
            )
            for item in made.actions
        ),
    )


BEFORE = plan(action("d1"), action("d2"), action("d3", KEEP), action("d4", FORGET), action("d5", BLOCKED))


def changed(directory: str, **changes: object) -> Plan:
    """The plan where one action is another."""
    return replace(
        BEFORE,
        actions=tuple(
            item._replace(**changes) if item.address.directory == directory else item  # type: ignore[arg-type]  # fields of a table
            for item in BEFORE.actions
        ),
    )


def without(directory: str) -> Plan:
    return replace(
        BEFORE, actions=tuple(item for item in BEFORE.actions if item.address.directory != directory)
    )


NO_LONGER = [
    ("another lineage", lambda: replace(BEFORE, lineage="x"), "it was made from another lockfile"),
    ("another state", lambda: replace(BEFORE, state="x"), "what the lockfile records has changed since"),
    ("other manifests", lambda: replace(BEFORE, manifests="x"), "the manifests have changed since"),
    (
        "one more create",
        lambda: replace(BEFORE, actions=(*BEFORE.actions, action("d6"))),
        "s/d6 is new: create, so it is",
    ),
    (
        "a create that is blocked",
        lambda: changed("d1", kind=BLOCKED),
        "s/d1 was create and is blocked now: so it is",
    ),
    (
        "a create that is not known",
        lambda: changed("d1", kind=UNRESOLVED),
        "s/d1 was create and is unresolved now: so it is",
    ),
    (
        "a keep that is forgotten",
        lambda: changed("d3", kind=FORGET),
        "s/d3 was keep and is forget now: so it is",
    ),
    (
        "what was blocked and is created",
        lambda: changed("d5", kind=CREATE),
        "s/d5 was blocked and is create now: so it is",
    ),
    (
        "a create that is out of the question",
        lambda: without("d2"),
        "s/d2 was create, and is not in question any more",
    ),
    ("another address", lambda: changed("d4", address=Address("t", "d4")), "s/d4 is t/d4 now"),
    (
        "another reason",
        lambda: changed("d1", reason=Reason(ReasonCode.FAILED, "bat-9 failed")),
        "s/d1 was to be created because of missing, and now: bat-9 failed",
    ),
    (
        "other files",
        lambda: changed("d1", evidence=Evidence("missing", inputs="other")),
        "the files of s/d1 have changed since",
    ),
]


@pytest.mark.parametrize(("now", "why"), [row[1:] for row in NO_LONGER], ids=[row[0] for row in NO_LONGER])
def test_whatever_else_would_happen_makes_a_plan_stale(now: Callable[[], Plan], why: str) -> None:
    assert staleness(saved(BEFORE), now(), Lock()) == why


STILL = [
    ("the same", lambda: BEFORE),
    ("a create that somebody else made", lambda: changed("d1", kind=ADOPT, evidence=None)),
    ("a create that is recorded", lambda: changed("d1", kind=KEEP, evidence=None)),
    ("a keep that is blocked", lambda: changed("d3", kind=BLOCKED)),
    ("a keep that is out of the question", lambda: without("d3")),
    ("one more that is kept", lambda: replace(BEFORE, actions=(*BEFORE.actions, action("d6", KEEP)))),
    ("files that were not looked at", lambda: changed("d1", evidence=Evidence("missing"))),
    ("another sentence", lambda: changed("d1", reason=Reason(ReasonCode.MISSING, "in other words"))),
]


@pytest.mark.parametrize("now", [row[1] for row in STILL], ids=[row[0] for row in STILL])
def test_what_costs_nothing_makes_no_plan_stale(now: Callable[[], Plan]) -> None:
    assert staleness(saved(BEFORE), now(), Lock()) == ""


def test_a_plan_is_for_one_apply_and_a_first_one_goes_stale_too() -> None:
    assert staleness(saved(BEFORE), BEFORE, Lock(plan="sha256:own")).startswith("it was applied already")
    assert staleness(saved(BEFORE), BEFORE, Lock(plan="sha256:another")) == ""
    first = saved(replace(BEFORE, lineage=""))
    assert staleness(first, BEFORE, Lock()) == "a lockfile has come since"
