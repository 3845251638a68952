"""A plan as the plain value that is printed, saved, and held against policies: one form for all three.

What stands in it is an interface (``schemas/plan.json``); how it is written somewhere is not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from reconciler.model.batch import Batch
    from reconciler.model.plan import Action, Closed, Plan, Since, Violation
    from reconciler.model.tracking import TrackedChange
    from reconciler.model.watched import Watched

#: A newer minor version only adds keys; a newer major one may mean anything.
FORMAT_VERSION = "1.0"


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan, and what it was made for."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Plan",
        "lineage": plan.lineage,
        "stateDigest": plan.state,
        "manifestsDigest": plan.manifests,
        "digest": plan.digest,
        "summary": summary(action.kind.value for action in plan.actions)
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
        "targets": sorted(plan.targets),
        "closed": [closed_document(item) for item in plan.closed],
        "violations": [violation_document(item) for item in plan.violations],
        "changedSince": _since(plan.since),
        "actions": [
            action_document(action) | {"inputs": action.evidence.inputs if action.evidence else None}
            for action in plan.actions
        ],
        "tracked": tracked_items(plan.tracked),
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


def closed_document(item: Closed) -> dict[str, Any]:
    """When what would be done may not be, as all documents have it."""
    return {
        "scope": item.scope,
        "why": item.why,
        "source": item.source,
        "opens": time_text(item.opens),
        "opensLocally": item.locally,
    }


def tracked_items(changes: Iterable[TrackedChange]) -> list[dict[str, Any]]:
    """Watched batches, in the order given."""
    return [
        {
            "address": str(change.address),
            "endpoint": change.id.endpoint,
            "id": change.id.id,
            "change": change.happened.value,
            "message": change.reason,
            "health": change.health.value if change.health else None,
            "now": _watched(change.now),
            "before": _watched(change.before),
        }
        for change in changes
    ]


def summary(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def time_text(moment: datetime | None) -> str | None:
    """RFC 3339."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def violation_document(item: Violation) -> dict[str, Any]:
    """A violated policy, as all documents have it."""
    return {
        "policy": item.policy,
        "level": item.level.value,
        "address": item.address,
        "at": item.at,
        "message": item.message,
        "confirmable": item.confirmable,
    }


def _since(since: Since | None) -> dict[str, Any] | None:
    if since is None:
        return None
    return {
        "ref": since.ref,
        "commit": since.commit,
        "sets": None if since.sets is None else sorted(since.sets),
    }


def _watched(watched: Watched | None) -> dict[str, Any] | None:
    if watched is None:
        return None
    counts = watched.counts
    return {
        "status": watched.status.value,
        "word": watched.word,
        "createdAt": time_text(watched.created_at),
        "updatedAt": time_text(watched.updated_at),
        "files": counts._asdict() if counts else None,
    }
