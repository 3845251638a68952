"""Plans, their outcomes and diagnostics as JSON documents, each with a ``formatVersion`` of its own.

A newer minor version only adds keys; a newer major one may mean anything. The schemas stand in ``schemas/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.source import Severity
from reconciler.render.tracking import tracked_items

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from reconciler.model.batch import Batch
    from reconciler.model.plan import Action, Plan
    from reconciler.model.result import Applied
    from reconciler.model.source import Diagnostic

FORMAT_VERSION = "1.0"


def plan_document(plan: Plan, targets: Iterable[str] = ()) -> dict[str, Any]:
    """A plan, and what it was made for."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Plan",
        "lineage": plan.lineage,
        "stateDigest": plan.state,
        "manifestsDigest": plan.manifests,
        "digest": plan.digest,
        "summary": _summary(action.kind.value for action in plan.actions)
        | {"not-selected": plan.not_selected},
        "breaches": [breach._asdict() for breach in plan.breaches],
        "guarded": [item._asdict() | {"address": str(item.address)} for item in plan.guarded],
        "selected": [
            {
                "set": item.set,
                "kind": item.kind.value,
                "text": item.text,
                "means": item.means,
                "total": item.total,
                "new": item.new,
                "left": item.left,
            }
            for item in plan.selected
        ],
        "targets": sorted(targets),
        "actions": [
            action_document(action) | {"inputs": action.evidence.inputs if action.evidence else None}
            for action in plan.actions
        ],
        "tracked": tracked_items(plan.tracked),
    }


def applied_document(applied: Applied) -> dict[str, Any]:
    """An apply's outcome. The results stand in the order of the plan."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Applied",
        "planDigest": applied.plan.digest,
        "summary": _summary(result.outcome.value for result in applied.results),
        "ended": applied.ended,
        "interrupted": applied.stopped is not None,
        "timedOut": applied.timed_out,
        "findings": [
            {
                "address": str(finding.address),
                "key": str(finding.key),
                "finding": "ambiguous" if finding.ambiguous else "duplicate",
                "batches": list(finding.batches),
                "stands": finding.stands,
            }
            for finding in applied.findings
        ],
        "results": [
            action_document(result.action)
            | {"outcome": result.outcome.value, "why": result.why, "batch": batch_document(result.batch)}
            for result in applied.results
        ],
        "notLookedAgain": [str(address) for address in applied.not_looked_again],
        "unresolved": [str(address) for address in applied.unresolved],
        "batches": [batch_document(batch) for batch in applied.batches],
        "failedFiles": applied.failed_files,
        "tracked": tracked_items(applied.plan.tracked),
    }


def diagnostics_document(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """What `validate` has to say."""
    items = list(diagnostics)
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Diagnostics",
        "valid": all(item.severity is not Severity.ERROR for item in items),
        "diagnostics": [
            {
                "file": item.source.file,
                "line": item.source.line,
                "column": item.source.column,
                "severity": item.severity.value,
                "message": item.message,
            }
            for item in items
        ],
    }


def action_document(action: Action) -> dict[str, Any]:
    """What a plan says of one key, as all documents have it."""
    return {
        "address": str(action.address),
        "key": str(action.key),
        "action": action.kind.value,
        "reason": action.reason.code.value,
        "message": action.reason.text,
        "endpoint": action.key.endpoint,
        "project": action.key.project,
        "directory": action.key.directory,
        "directoryName": action.directory_name,
        "job": action.key.job.value,
        "configuration": action.key.configuration,
        "files": action.files,
        "batch": batch_document(action.batch),
        "previousAddress": str(action.previous) if action.previous else None,
    }


def batch_document(batch: Batch | None) -> dict[str, Any] | None:
    """A batch, as all documents have it."""
    if batch is None:
        return None
    return {
        "id": batch.id,
        "status": batch.status.value,
        "createdAt": time_text(batch.created_at),
        "updatedAt": time_text(batch.updated_at),
    }


def _summary(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def time_text(moment: datetime | None) -> str | None:
    """RFC 3339."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None
