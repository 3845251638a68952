"""What a round of `run` does about a plan, and what it came to: decided from values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.plan import ActionKind, ReasonCode
from reconciler.model.result import Outcome
from reconciler.model.rounds import RoundResult
from reconciler.model.tracking import Happened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.intent import JournalState
    from reconciler.model.lock import Lock
    from reconciler.model.plan import Plan
    from reconciler.model.result import Applied


# How the endpoints of the embedded service begin: its batches go on while an apply stays with them.
_EMBEDDED = "local:"


def left_behind(journal: JournalState) -> str:
    """What an earlier run left, which comes before any plan (C7, C9); or ""."""
    if journal.open:
        return "creates whose outcome is not known"
    return "what a run that broke off left in the journal" if journal.recovered else ""


def worth_applying(plan: Plan, sets: Mapping[str, str], lock: Lock) -> str:
    """Why the lock should be taken for a plan, or "" where everything is as it should be.

    A batch that went on is recorded, so that the lockfile shows how things stand and a batch that has ended
    costs no request any more (O1). A set whose text alone has changed is, too: what it says by now of a batch
    that it may lose is what holds then (R10).

    Args:
        plan: what stands against what is asked for.
        sets: per set, the digest of its text.
        lock: what is recorded.
    """
    if plan.changes:
        return "changes"
    if dict(lock.sets) != dict(sets):
        return "manifests"
    for action in plan.actions:
        entry = lock.entries.get(action.key)
        if entry is None or action.batch is None:
            continue
        if action.key.endpoint.startswith(_EMBEDDED) and not action.batch.status.terminal:
            return "batches that go on only while somebody is there"
        if any(item.id == action.batch.id and item.status != action.batch.status for item in entry.batches):
            return "statuses"
    return "watched batches" if any(change.recordable for change in plan.tracked) else ""


def is_incomplete(plan: Plan) -> bool:
    """Whether something could not be seen (R7)."""
    return any(action.reason.code is ReasonCode.UNKNOWN for action in plan.actions) or any(
        change.happened is Happened.UNKNOWN for change in plan.tracked
    )


def open_creates(plan: Plan) -> int:
    """How many creates have an outcome that is not known (R8)."""
    return sum(
        1
        for action in plan.actions
        if action.kind is ActionKind.UNRESOLVED and action.reason.code is ReasonCode.OPEN_INTENT
    )


_CAME_TO_NOTHING = frozenset({Outcome.REJECTED, Outcome.FAILED})


def result_of(applied: Applied) -> RoundResult:
    """What an apply was for its round: the worst that happened.

    What is BLOCKED is no failure of the round: it waits for others, or for a person, and the plan says for
    which.
    """
    outcomes = {result.outcome for result in applied.results}
    if applied.stopped is not None:
        return RoundResult.STOPPED
    if applied.findings or applied.unresolved or Outcome.UNKNOWN in outcomes:
        return RoundResult.UNRESOLVED
    if outcomes & _CAME_TO_NOTHING or applied.ended:
        return RoundResult.FAILED
    if applied.timed_out:
        return RoundResult.TIMED_OUT
    if Outcome.UNSEEN in outcomes or is_incomplete(applied.plan):
        return RoundResult.INCOMPLETE
    return RoundResult.REFUSED if applied.closed else RoundResult.APPLIED
