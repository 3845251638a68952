"""What a person has to be shown beside a manifest's line: what is invalid, blocked, unresolved or adrift.

One closed value for all of it, so that each format that points into files says the same. Which of them are
shown, and how they are written, is the formats' business; places are found only for those that are.
"""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.batch import Address
from reconciler.model.plan import ActionKind, ReasonCode
from reconciler.model.plan import Level as PolicyLevel
from reconciler.model.result import Outcome
from reconciler.model.source import Severity
from reconciler.model.status import Health, Sync
from reconciler.model.tracking import Happened
from reconciler.render.text import closed_text, violation_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.drift import Drift
    from reconciler.model.errors import ReconcilerError
    from reconciler.model.plan import Action, Closed, Plan, Violation
    from reconciler.model.result import Applied
    from reconciler.model.source import Diagnostic, Source
    from reconciler.model.status import StatusReport
    from reconciler.model.tracking import TrackedChange


class Level(StrEnum):
    """How much a remark weighs; the words are GitHub's."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class Remark(NamedTuple):
    """One thing to say about one place.

    Attributes:
        title: what it is, in words of ours.
        text: what there is to say, as it came.
        source: where, if that is known already.
        address: else what it is about, if it is about an address.
        name: the name of that address's directory, or "".
    """

    level: Level
    title: str
    text: str
    source: Source | None = None
    address: Address | None = None
    name: str = ""


#: Blocked by nothing but an order that a run brings about: it goes away without anybody.
_IN_TURN = frozenset({ReasonCode.DEPENDS_ON, ReasonCode.CANARY})


def diagnostics_remarks(diagnostics: Iterable[Diagnostic]) -> Iterator[Remark]:
    """What is wrong with the files."""
    for item in diagnostics:
        if item.severity is Severity.ERROR:
            yield Remark(Level.ERROR, "Invalid", item.message, item.source)
        else:
            yield Remark(Level.WARNING, "Warning", item.message, item.source)


def error_remarks(error: ReconcilerError) -> Iterator[Remark]:
    """What ended a command. Faults of files have their places."""
    from reconciler.model.errors import ManifestError

    if isinstance(error, ManifestError):
        yield from diagnostics_remarks(error.diagnostics)
    else:
        yield Remark(Level.ERROR, "Error", str(error))


def plan_remarks(plan: Plan) -> Iterator[Remark]:
    """What a plan cannot do, and why."""
    for breach in plan.breaches:
        whose = f" of {breach.scope}" if breach.scope else ""
        text = f"{breach.limit}{whose} is {breach.allowed:,}, the plan has {breach.planned:,}"
        yield Remark(Level.ERROR, "Over the limit", text)
    for item in plan.guarded:
        text = f"{item.address}: {item.what} ({item.source})"
        yield Remark(Level.ERROR, "Protected", text, None, item.address)
    for violation in plan.violations:
        yield _violated(violation)
    for closed in plan.closed:
        yield Remark(Level.NOTICE, "Not now", f"{closed_text(closed)} ({closed.source})")
    for action in plan.actions:
        if action.kind in (ActionKind.BLOCKED, ActionKind.UNRESOLVED):
            yield _not_done(action)
    yield from _tracked_remarks(plan.tracked)


def _violated(item: Violation) -> Remark:
    level = Level.ERROR if item.level is PolicyLevel.ERROR else Level.WARNING
    address = None
    with contextlib.suppress(ValueError):
        address = Address.parse(item.address)
    return Remark(level, "Policy", violation_text(item), None, address)


def _not_done(action: Action) -> Remark:
    if action.kind is ActionKind.UNRESOLVED:
        level, title = Level.ERROR, "Unresolved"
    else:
        level = Level.NOTICE if action.reason.code in _IN_TURN else Level.WARNING
        title = "Blocked"
    text = f"{action.address}: {action.reason.text}"
    return Remark(level, title, text, None, action.address, action.directory_name)


def _tracked_remarks(changes: Iterable[TrackedChange]) -> Iterator[Remark]:
    for change in changes:
        text = f"{change.address}: {change.reason}"
        if change.happened is Happened.UNKNOWN:
            yield Remark(Level.ERROR, "Not seen", text, None, change.address)
        elif change.happened is Happened.GONE:
            yield Remark(Level.WARNING, "Gone", text, None, change.address)


_BADLY = {
    Outcome.REJECTED: "Refused by the service",
    Outcome.FAILED: "Failed",
    Outcome.UNKNOWN: "Outcome not known",
    Outcome.UNSEEN: "Not sent",
    Outcome.NOT_STARTED: "Not started",
}


def applied_remarks(applied: Applied) -> Iterator[Remark]:
    """What an apply did not bring about, and what a person has to look at."""
    for finding in applied.findings:
        if finding.ambiguous:
            title, text = "Ambiguous", "appeared over its directory and no other create explains it"
        else:
            title, text = "Duplicate", f"are one piece of work; {finding.stands} stands"
        said = f"{finding.address}: {', '.join(finding.batches)} {text}"
        yield Remark(Level.ERROR, title, said, None, finding.address)
    for result in applied.results:
        action = result.action
        if result.outcome is Outcome.BLOCKED:
            yield _not_done(action)
        elif result.outcome in _BADLY:
            level = Level.WARNING if result.outcome is Outcome.NOT_STARTED else Level.ERROR
            text = f"{action.address}: {result.why or action.reason.text}"
            yield Remark(level, _BADLY[result.outcome], text, None, action.address, action.directory_name)
    said_already = {result.action.address for result in applied.results if result.outcome is Outcome.UNKNOWN}
    for address in applied.unresolved:
        if address not in said_already:
            text = f"{address}: whether a create took effect is not known"
            yield Remark(Level.ERROR, "Unresolved", text, None, address)
    yield from _closed_remarks(applied.closed)
    if applied.ended:
        yield Remark(Level.ERROR, "Ended early", applied.ended)
    if applied.timed_out:
        yield Remark(Level.ERROR, "Stopped", "the time of --timeout was up")
    yield from _tracked_remarks(applied.plan.tracked)


def _closed_remarks(items: Iterable[Closed]) -> Iterator[Remark]:
    for item in items:
        yield Remark(Level.ERROR, "Closed meanwhile", f"{closed_text(item)} ({item.source})")


def status_remarks(report: StatusReport) -> Iterator[Remark]:
    """What is not known, and what ended badly."""
    for row in report.rows:
        about = f"{row.address}: {row.why or row.batch}"
        if row.sync in (Sync.UNKNOWN, Sync.AMBIGUOUS):
            yield Remark(Level.ERROR, row.sync.value, about, None, row.address, row.directory_name)
        elif row.health is Health.DEGRADED:
            files = f" ({row.files.failed:,} of {row.files.total:,} files failed)" if row.files else ""
            text = f"{row.address}: {row.batch} {row.word or row.status or ''}{files}"
            yield Remark(Level.WARNING, "Degraded", text, None, row.address, row.directory_name)


def drift_remarks(drift: Drift) -> Iterator[Remark]:
    """What somebody can act on, and what could not be seen."""
    for unseen in drift.unseen:
        text = f"{unseen.home.endpoint}, project {unseen.home.project}: {unseen.why}"
        yield Remark(Level.ERROR, "Not seen", text)
    for item in drift.deviations:
        if item.counts:
            whose = f"{item.address}: " if item.address else ""
            text = f"{whose}{item.batch.id}: {item.why}" + (f"; next: {item.next}" if item.next else "")
            yield Remark(Level.WARNING, f"Drift: {item.kind.value}", text, None, item.address)
