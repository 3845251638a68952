"""A run as a stream of events, one JSON object a line: what happens while it happens, then what it came to.

Each has ``type``, ``@level`` (error, warn, info, debug), ``@message`` for people and, put there by whoever
writes it, ``@timestamp``. The first is ``version``, the last ``end`` or ``error``. A newer minor version adds
types and keys; a newer major one may mean anything. `schemas/events.json` has them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from reconciler.model import events
from reconciler.model.document import action_document, batch_document, plan_document, time_text, tracked_items
from reconciler.model.plan import ActionKind
from reconciler.model.result import Outcome, Result
from reconciler.model.source import Severity
from reconciler.model.status import Health, Sync
from reconciler.model.tracking import Happened
from reconciler.render import drift as drift_text
from reconciler.render import status as status_text
from reconciler.render.harmless import harmless
from reconciler.render.json import applied_document, diagnostics_document
from reconciler.render.text import closing_line, finding_lines, result_line, summary_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.drift import Drift
    from reconciler.model.errors import ReconcilerError
    from reconciler.model.events import Event
    from reconciler.model.plan import Plan
    from reconciler.model.result import Applied
    from reconciler.model.source import Diagnostic
    from reconciler.model.status import StatusReport
    from reconciler.model.tracking import TrackedChange

EVENTS_VERSION = "1.0"


def _said(kind: str, message: str, level: str = "info", **payload: object) -> dict[str, Any]:
    return {"type": kind, "@level": level, "@message": harmless(message.strip())} | payload


def version_event(version: str, command: str) -> dict[str, Any]:
    """The first line: who speaks, and in which version of this form."""
    return _said(
        "version", f"reconciler {version}", formatVersion=EVENTS_VERSION, reconciler=version, command=command
    )


def end_event(exit_code: int) -> dict[str, Any]:
    """The last line of a command that came to its end."""
    return _said("end", f"exit {exit_code}", exitCode=exit_code)


def error_event(error: ReconcilerError, exit_code: int) -> dict[str, Any]:
    """The last line of a command that an error ended."""
    return _said(
        "error",
        str(error),
        "error",
        exitCode=exit_code,
        what=error.what,
        where=error.where,
        why=error.why,
        next=error.next,
    )


def run_events(event: Event) -> Iterator[dict[str, Any]]:
    """What one happening of a run is told as."""
    match event:
        case events.Observing(keys, pages):
            yield _said("observing", f"looking for {keys:,} keys", "debug", keys=keys, pages=pages)
        case events.Waiting(why, seconds):
            yield _said("waiting", f"waiting {seconds:.0f} s: {why}", why=why, seconds=round(seconds, 3))
        case events.Resolving(intent):
            message = f"{intent.address}: looking for the batch of a create"
            yield _said("resolving", message, address=str(intent.address), sentAt=time_text(intent.at))
        case events.Planned(plan):
            yield from plan_events(plan)
        case events.Starting(actions):
            yield _said("starting", f"applying; actions: {actions:,}", actions=actions)
        case events.Done() | events.Failed():
            yield _of_action(event)
        case events.Progressed() | events.Pending() | events.FileFailed() | events.Stored():
            yield _of_batch(event)
        case events.Warned(message):
            yield _said("warning", message, "warn")
        case unreachable:
            assert_never(unreachable)


def _of_action(event: events.Done | events.Failed) -> dict[str, Any]:
    match event:
        case events.Done(action, outcome, batch):
            message = result_line(Result(action, outcome, "", batch))
            document = action_document(action)
            return _said("done", message, action=document, outcome=outcome.value, batch=batch_document(batch))
        case events.Failed(action, outcome, why):
            message = result_line(Result(action, outcome, why))
            level = "warn" if outcome is Outcome.BLOCKED else "error"
            return _said(
                "failed", message, level, action=action_document(action), outcome=outcome.value, why=why
            )
        case unreachable:
            assert_never(unreachable)


def _of_batch(
    event: events.Progressed | events.Pending | events.FileFailed | events.Stored,
) -> dict[str, Any]:
    match event:
        case events.Progressed(address, batch, before):
            message = f"{address}  {batch.id}  {before} -> {batch.status}"
            return _said(
                "progressed", message, address=str(address), batch=batch_document(batch), before=before.value
            )
        case events.Pending(terminal, total):
            message = f"{terminal:,} of {total:,} batches have ended"
            return _said("pending", message, "debug", terminal=terminal, total=total)
        case events.FileFailed(address, file, why):
            message = f"{address}  {file}  failed: {why}"
            return _said("file_failed", message, "warn", address=str(address), file=file, why=why)
        case events.Stored(folder):
            return _said("stored", f"what was made of the documents: {folder}", folder=folder)
        case unreachable:
            assert_never(unreachable)


_PLAN_PARTS = (
    *("digest", "lineage", "stateDigest", "manifestsDigest"),
    *("summary", "breaches", "guarded", "closed", "violations", "changedSince", "selected"),
)
_PLAN_LEVELS = {ActionKind.BLOCKED: "warn", ActionKind.UNRESOLVED: "error"}


def plan_events(plan: Plan) -> Iterator[dict[str, Any]]:
    """A plan: what is not as desired, action by action, and the sum."""
    document = plan_document(plan)
    for action, item in zip(plan.actions, document["actions"], strict=True):
        if action.kind is not ActionKind.KEEP:
            message = f"{action.address}: {action.kind}: {action.reason.text}"
            level = _PLAN_LEVELS.get(action.kind, "info")
            yield _said("planned", message, level, action=item)
    yield from _watched(plan.tracked)
    payload = {part: document[part] for part in _PLAN_PARTS}
    level = "error" if plan.breaches or plan.guarded or plan.refused else "info"
    yield _said("plan", closing_line(plan), level, **payload)


_TRACKED_LEVELS = {Happened.UNKNOWN: "error", Happened.GONE: "warn"}


def _watched(changes: Iterable[TrackedChange]) -> Iterator[dict[str, Any]]:
    shown = [change for change in changes if change.happened is not Happened.UNCHANGED]
    for change, item in zip(shown, tracked_items(shown), strict=True):
        level = _TRACKED_LEVELS.get(change.happened, "info")
        yield _said("watched", f"{change.address}: {change.reason}", level, tracked=item)


def applied_events(applied: Applied) -> Iterator[dict[str, Any]]:
    """What an apply came to, beyond what was told while it went by."""
    document = applied_document(applied)
    for finding, item in zip(applied.findings, document["findings"], strict=True):
        yield _said("finding", " ".join(finding_lines(finding)), "error", finding=item)
    for address in applied.unresolved:
        message = f"{address}: whether a create took effect is not known"
        yield _said("unresolved", message, "error", address=str(address))
    parts = (
        "planDigest",
        "summary",
        "ended",
        "interrupted",
        "timedOut",
        "notLookedAgain",
        "failedFiles",
        "closed",
    )
    payload = {part: document[part] for part in parts}
    yield _said("applied", summary_line(applied), **payload)


def status_events(report: StatusReport) -> Iterator[dict[str, Any]]:
    """What stands, address by address, and the sum."""
    document = status_text.status_document(report)
    for row, item in zip(report.rows, document["rows"], strict=True):
        level = "info"
        if row.sync in (Sync.UNKNOWN, Sync.AMBIGUOUS):
            level = "error"
        elif row.health is Health.DEGRADED or row.sync is Sync.OUT_OF_SYNC:
            level = "warn"
        message = f"{row.address}: {row.sync}, {row.health}" + (f": {row.why}" if row.why else "")
        yield _said("stands", message, level, row=item)
    payload = {part: document[part] for part in ("at", "summary", "notSelected")}
    yield _said("status", status_text.closing_line(report), **payload)


def drift_events(drift: Drift, *, verbose: bool = False) -> Iterator[dict[str, Any]]:
    """What drifted, one by one, and the sum."""
    document = drift_text.drift_document(drift, verbose=verbose)
    shown = [item for item in drift.deviations if verbose or item.counts]
    for item, told in zip(shown, document["deviations"], strict=True):
        level = "warn" if item.counts else "info"
        yield _said("deviation", f"{item.batch.id}: {item.why}", level, deviation=told)
    parts = ("complete", "drift", "summary", "ignored", "since", "notSeen")
    payload = {part: document[part] for part in parts}
    level = "info" if document["complete"] else "error"
    yield _said("drift", drift_text.closing_line(drift), level, **payload)


def diagnostics_events(diagnostics: Iterable[Diagnostic]) -> Iterator[dict[str, Any]]:
    """What is to be said about the files."""
    said = list(diagnostics)
    for item, told in zip(said, diagnostics_document(said)["diagnostics"], strict=True):
        level = "error" if item.severity is Severity.ERROR else "warn"
        yield _said("diagnostic", str(item), level, diagnostic=told)


def validated_event(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """What `validate` came to."""
    said = list(diagnostics)
    errors = sum(1 for item in said if item.severity is Severity.ERROR)
    message = f"{errors:,} error{'' if errors == 1 else 's'}." if errors else "Valid."
    return _said(
        "validated", message, "error" if errors else "info", errors=errors, warnings=len(said) - errors
    )
