"""Whether a saved plan is still what would happen: the reviewed actions, no fewer and no others.

Only what a new plan decides is ever carried out, so that a saved one can allow and forbid, and nothing more.
What it wanted to create and what exists by now is adopted (C2); nothing else may differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.plan import CHANGING, ActionKind

if TYPE_CHECKING:
    from reconciler.model.lock import Lock
    from reconciler.model.plan import Action, Plan
    from reconciler.model.saved import SavedAction, SavedPlan

_STANDS = frozenset({ActionKind.ADOPT, ActionKind.KEEP})


def changes(saved: SavedPlan) -> bool:
    """Whether a saved plan does anything."""
    return any(_does(action) for action in saved.actions)


def staleness(saved: SavedPlan, plan: Plan, lock: Lock) -> str:
    """Why a saved plan may not be applied any more; "" when it still may.

    Args:
        saved: what was reviewed.
        plan: what would happen now, for the same targets.
        lock: what is recorded, once open creates were looked for (C7).
    """
    if lock.plan and lock.plan == saved.own:
        return "it was applied already, and a plan is for one apply"
    if saved.lineage != plan.lineage:
        return "it was made from another lockfile" if saved.lineage else "a lockfile has come since"
    if saved.state != plan.state:
        return "what the lockfile records has changed since"
    if saved.manifests != plan.manifests:
        return "the manifests have changed since"
    before = {action.key: action for action in saved.actions}
    for action in plan.actions:
        if why := _departs(action, before.pop(str(action.key), None)):
            return why
    for left in before.values():
        if _does(left):
            return f"{left.address} was {left.kind}, and is not in question any more"
    return ""


def _departs(now: Action, before: SavedAction | None) -> str:
    """What has changed about one key, if that matters."""
    if before is None:
        return f"{now.address} is new: {now.kind}, {now.reason.text}" if now.changes else ""
    was, address = before.kind, now.address
    if was == ActionKind.CREATE and now.kind in _STANDS:
        return ""  # C2: somebody was quicker
    if was != now.kind:
        if not (now.changes or _does(before)):
            return ""
        return f"{address} was {was} and is {now.kind} now: {now.reason.text}"
    if before.address != str(address):
        return f"{before.address} is {address} now"
    if now.kind is ActionKind.CREATE:
        if before.reason != now.reason.code:
            return f"{address} was to be created because of {before.reason}, and now: {now.reason.text}"
        inputs = now.evidence.inputs if now.evidence else None
        if before.inputs and inputs and before.inputs != inputs:
            return f"the files of {address} have changed since"
    return ""


def _does(action: SavedAction) -> bool:
    return action.kind in CHANGING
