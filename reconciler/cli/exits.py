"""Exit codes, and what gives which: they are an interface for scripts and CI.

Errors and plans are every command's; words of other results are imported where such a result is.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from reconciler.model import errors
from reconciler.model.batch import Status
from reconciler.model.plan import ActionKind, ReasonCode
from reconciler.model.result import Outcome
from reconciler.model.tracking import Happened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.api.outcomes import ResultsRead
    from reconciler.model.plan import Plan
    from reconciler.model.report import Report
    from reconciler.model.result import Applied
    from reconciler.model.rounds import Round
    from reconciler.model.status import StatusReport, Waited
    from reconciler.model.tracking import TrackedChange


class Exit(IntEnum):
    """What a process's end means. A signal ends it with 128 and the signal's number."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    LOCKED = 3
    STALE = 4
    UNRESOLVED = 5
    FAILED = 6
    LIMIT = 7
    TOO_LONG = 8
    USAGE = 64


def of_error(error: errors.ReconcilerError) -> int:
    """The exit code of an error that ended a command."""
    match error:
        case errors.LockHeldError() | errors.LockLostError():
            return Exit.LOCKED
        case errors.StoppedError(signal=signal):
            return Exit.TOO_LONG if signal is None else 128 + signal
        case errors.StalePlanError():
            return Exit.STALE
        case errors.LimitError() | errors.PinError():
            return Exit.LIMIT
        case _:
            return Exit.ERROR


def of_plan(plan: Plan, *, detailed: bool) -> Exit:
    """The exit code of `plan`. ``detailed`` tells changes from none."""
    unresolved = [action for action in plan.actions if action.kind is ActionKind.UNRESOLVED]
    if any(action.reason.code is ReasonCode.UNKNOWN for action in unresolved) or _unseen(plan.tracked):
        return Exit.ERROR  # R7: the listing was incomplete
    if unresolved:
        return Exit.UNRESOLVED
    if plan.breaches or plan.guarded or plan.refused:
        return Exit.LIMIT  # a closed window is none: it opens by itself
    return Exit.CHANGES if detailed and plan.changes else Exit.DONE


def of_refresh(found: Iterable[TrackedChange]) -> Exit:
    """The exit code of `refresh`."""
    return Exit.ERROR if _unseen(found) else Exit.DONE


def _unseen(found: Iterable[TrackedChange]) -> bool:
    return any(change.happened is Happened.UNKNOWN for change in found)


def of_results(read: ResultsRead) -> Exit:
    """The exit code of `results`: what could not be read speaks before what failed (R7)."""
    if read.tally.unread:
        return Exit.ERROR
    return Exit.FAILED if read.tally.failed else Exit.DONE


_FAILED = frozenset({Outcome.REJECTED, Outcome.FAILED, Outcome.BLOCKED})


def of_apply(applied: Applied, *, waited: bool = False) -> int:
    """The exit code of `apply`: the worst that happened. Who waited wants to know of failed files, too."""
    outcomes = {result.outcome for result in applied.results}
    if applied.stopped is not None:
        return 128 + applied.stopped
    if applied.findings or applied.unresolved or Outcome.UNKNOWN in outcomes:
        return Exit.UNRESOLVED
    if applied.timed_out:
        return Exit.TOO_LONG
    if Outcome.UNSEEN in outcomes or _unseen(applied.plan.tracked):
        return Exit.ERROR
    ended_badly = any(batch.status in {Status.FAILED, Status.CANCELLED} for batch in applied.batches)
    if outcomes & _FAILED or ended_badly or (waited and applied.failed_files):
        return Exit.FAILED
    if applied.closed:
        return Exit.LIMIT
    if Outcome.NOT_STARTED in outcomes:
        return Exit.FAILED
    return Exit.ERROR if applied.ended else Exit.DONE


def of_rounds(last: Iterable[Round]) -> int:
    """The exit code of a `run` that has had all its rounds: the worst of each project's last one."""
    from reconciler.model.rounds import RoundResult

    worst_first = {
        RoundResult.ERROR: Exit.ERROR,
        RoundResult.INCOMPLETE: Exit.ERROR,
        RoundResult.UNRESOLVED: Exit.UNRESOLVED,
        RoundResult.FAILED: Exit.FAILED,
        RoundResult.TIMED_OUT: Exit.TOO_LONG,
        RoundResult.REFUSED: Exit.LIMIT,
        RoundResult.STANDBY: Exit.LOCKED,
    }
    results = {done.result for done in last}
    return next((code for result, code in worst_first.items() if result in results), Exit.DONE)


def of_status(report: StatusReport) -> Exit:
    """The exit code of `status`: whether there is anything that it does not know."""
    from reconciler.model.status import Sync

    if report.by_sync.get(Sync.UNKNOWN):
        return Exit.ERROR  # R7, as for a plan
    return Exit.UNRESOLVED if report.by_sync.get(Sync.AMBIGUOUS) else Exit.DONE


def of_report(report: Report) -> Exit:
    """The exit code of `report`: as of the status that it shows, where somebody looked."""
    if report.unread:
        return Exit.ERROR
    return of_status(report.status) if report.looked else Exit.DONE


def of_wait(waited: Waited) -> int:
    """The exit code of `wait`. What could not be learned comes before what went badly."""
    from reconciler.model.status import Health, Sync

    health = waited.report.by_health
    if waited.stopped is not None:
        return 128 + waited.stopped
    rows = waited.report.rows
    if waited.timed_out and (not rows or any(row.running for row in rows)):
        return Exit.TOO_LONG
    unread = any(row.health is Health.COMPLETED and not row.tracked for row in waited.report.rows)
    if unread and waited.timed_out:
        return Exit.TOO_LONG
    unseen = any(row.sync is Sync.UNKNOWN for row in waited.report.rows if row.tracked)
    if unread or unseen or waited.gone:
        return Exit.ERROR
    return Exit.FAILED if health.get(Health.DEGRADED) else Exit.DONE
