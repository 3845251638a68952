"""Which creates have to wait for others: sets that depend on sets, and canaries.

A create that has to wait is BLOCKED, with what it waits for. How the batches of a set fared is known from
their files, which no listing tells: where nobody has read them, the plan says so, and the engine reads them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.batch import Status
from reconciler.model.plan import ActionKind, Reason, ReasonCode, Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.core.select import Selection
    from reconciler.model.batch import Batch, FileCounts, Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.lock import Lock
    from reconciler.model.manifest import BatchSet
    from reconciler.model.plan import Action

_STANDS = frozenset({ActionKind.KEEP, ActionKind.ADOPT, ActionKind.MOVE})
_STUCK = frozenset({ActionKind.BLOCKED, ActionKind.UNRESOLVED})

#: Why a create is BLOCKED that only has to wait for others.
WAITING = frozenset({ReasonCode.DEPENDS_ON, ReasonCode.CANARY})

_BEGUN = frozenset(
    {
        ReasonCode.FAILED,
        ReasonCode.CANCELLED,
        ReasonCode.ATTEMPTS_EXHAUSTED,
        ReasonCode.HELD,
        ReasonCode.OPEN_INTENT,
    }
)


@dataclass(frozen=True, slots=True)
class Order:
    """What the order between batches came to.

    Attributes:
        actions: the actions; creates that have to wait are BLOCKED.
        unread: batches whose files have to be read before more can be said, sorted.
    """

    actions: tuple[Action, ...]
    unread: tuple[Unread, ...]


def also_observed(desired: Desired, selection: Selection) -> list[DesiredBatch]:
    """Desired batches that were not selected and that something selected waits for: they are looked at."""
    if selection.everything:
        return []
    chosen = {batch.set.name: batch.set for batch in desired.batches if selection.wants(batch)}
    waited_for = {name for item in chosen.values() for name in item.depends_on}
    waited_for |= {name for name, item in chosen.items() if item.canary}
    return [batch for batch in desired.batches if batch.set.name in waited_for and not selection.wants(batch)]


def put_in_order(
    actions: Sequence[Action],
    desired: Desired,
    lock: Lock,
    counts: Mapping[str, FileCounts],
    decide: Callable[[DesiredBatch], Action],
) -> Order:
    """Hold back the creates that have to wait.

    Args:
        actions: what each desired batch alone would have done.
        desired: what is asked for.
        lock: what is recorded, how files fared among it.
        counts: how files fared, by batch, as far as it was read since.
        decide: the action of a desired batch that is not among ``actions``.
    """
    sets = {batch.set.name: batch.set for batch in desired.batches}
    creating = {a.address.set for a in actions if a.kind is ActionKind.CREATE}
    concerned = [sets[name] for name in sorted(creating) if sets[name].depends_on or sets[name].canary]
    if not concerned:
        return Order(tuple(actions), ())
    known = {action.key: action for action in actions}
    members: defaultdict[str, list[Action]] = defaultdict(list)
    needed = {name for item in concerned for name in (*item.depends_on, item.name)}
    for batch in sorted(desired.batches, key=lambda item: item[:2]):  # R1: canaries are the first of these
        if batch.set.name in needed:
            members[batch.set.name].append(known.get(batch.key) or decide(batch))
    recorded = _recorded_counts(lock, counts, members)
    waits: dict[str, Reason] = {}
    canaries: dict[str, frozenset[Key]] = {}
    unread: set[Unread] = set()
    for item in concerned:
        reason = _depends(item, sets, members, recorded, unread)
        if reason is None and item.canary:
            reason, canaries[item.name] = _canary(item, members[item.name], recorded, unread)
        if reason is not None:
            waits[item.name] = reason
    held = tuple(
        _held(action, waits[action.address.set])
        if action.kind is ActionKind.CREATE
        and action.address.set in waits
        and action.key not in canaries.get(action.address.set, ())
        else action
        for action in actions
    )
    return Order(held, tuple(sorted(unread)))


def _recorded_counts(
    lock: Lock, counts: Mapping[str, FileCounts], members: Mapping[str, Iterable[Action]]
) -> dict[str, FileCounts]:
    """How files fared, by batch: as read now, else as recorded."""
    known: dict[str, FileCounts] = {}
    for actions in members.values():
        for action in actions:
            entry = lock.entries.get(action.key)
            for item in entry.batches if entry else ():
                if item.files is not None:
                    known[item.id] = item.files
    return known | dict(counts)


def _depends(
    item: BatchSet,
    sets: Mapping[str, BatchSet],
    members: Mapping[str, Sequence[Action]],
    counts: Mapping[str, FileCounts],
    unread: set[Unread],
) -> Reason | None:
    """Why a set has to wait for those that it depends on; None when all of them ended well."""
    for name in item.depends_on:
        before = members.get(name, ())
        if not before:  # R7: a pattern that fits nothing yet, or a listing that came short
            text = f"waits for {name}: it has no directories; give it some, or take it out of dependsOn"
            return Reason(ReasonCode.DEPENDS_ON, text)
        if why := _not_ended(before):
            text = f"waits for {name}: {why}"
            return Reason(ReasonCode.DEPENDS_ON, text)
        if why := _fared_badly(before, sets[name].max_failed_files if name in sets else 0.0, counts, unread):
            return Reason(ReasonCode.DEPENDS_ON, f"waits for {name}: {why}")
    return None


def _canary(
    item: BatchSet, members: Sequence[Action], counts: Mapping[str, FileCounts], unread: set[Unread]
) -> tuple[Reason | None, frozenset[Key]]:
    """Why the rest of a set has to wait for its canaries, and which creates need not: they are canaries.

    Canaries are the set's first batches: those that were begun earlier, the oldest first; as long as these
    are too few, the first of those to create.
    """
    begun = sorted((a for a in members if a.kind in _STANDS or a.reason.code in _BEGUN), key=_oldest_first)
    fresh = [a for a in members if a.kind is ActionKind.CREATE and a.reason.code not in _BEGUN]
    canaries = [*begun, *fresh][: item.canary]
    free = frozenset(action.key for action in canaries)
    if len(fresh) + len(begun) <= item.canary:
        return None, free
    if why := _not_ended(canaries):
        text = f"waits for {_canaries(canaries)}: {why}"
        return Reason(ReasonCode.CANARY, text), free
    if why := _fared_badly(canaries, item.max_failed_files, counts, unread):
        return Reason(ReasonCode.CANARY, f"waits for {_canaries(canaries)}: {why}"), free
    return None, free


def _canaries(canaries: Sequence[Action]) -> str:
    return "the canary" if len(canaries) == 1 else f"{len(canaries)} canaries"


def _oldest_first(action: Action) -> tuple[float, str]:
    made = action.batch.created_at if action.batch is not None else None
    return (made.timestamp() if made is not None else float("inf"), str(action.address))


def _not_ended(actions: Sequence[Action]) -> str:
    """What has not ended well and may yet do so; "" when all have ended."""
    waiting = [action for action in actions if not _ended(action)]
    if not waiting:
        return ""
    # What nothing will move by itself comes first: that is what a person has to look at.
    first = min(waiting, key=lambda action: action.kind not in _STUCK)
    match first.kind:
        case ActionKind.CREATE:
            state = "is to be created"
        case ActionKind.BLOCKED:
            state = f"is blocked: {first.reason.text}"
        case ActionKind.UNRESOLVED:
            state = f"is not known: {first.reason.text}"
        case _:
            state = f"({first.batch.id}) is {first.batch.status}" if first.batch is not None else "is open"
    stuck = [a for a in waiting if a.kind in _STUCK and a.reason.code not in WAITING]
    hint = "" if stuck else "; `reconciler apply --wait` goes on by itself"
    return f"{len(waiting):,} of {len(actions):,} have not completed; {first.address} {state}{hint}"


def _ended(action: Action) -> bool:
    """Whether a batch stands for it that has completed; how its files fared is another question."""
    return action.kind in _STANDS and action.batch is not None and action.batch.status is Status.COMPLETED


def _fared_badly(
    actions: Sequence[Action], most_failed: float, counts: Mapping[str, FileCounts], unread: set[Unread]
) -> str:
    """Why the files of batches that have ended speak against going on; "" when they do not."""
    total = failed = 0
    missing: list[tuple[Action, Batch]] = []
    for action in actions:
        assert action.batch is not None
        if (known := counts.get(action.batch.id)) is None:
            missing.append((action, action.batch))
        else:
            total, failed = total + known.total, failed + known.failed
    if missing:
        unread.update(Unread(action.key, batch.id) for action, batch in missing)
        action, batch = missing[0]
        return f"how the files of {batch.id} at {action.address} fared could not be read; plan again"
    if failed * 100 > most_failed * total:
        share = f"{failed:,} of {total:,} files failed ({failed * 100 / total:.1f}%)"
        return (
            f"{share}, and maxFailedFiles is {most_failed:g}%; run them again with rerun.after, or raise"
            " maxFailedFiles"
        )
    return ""


def _held(action: Action, reason: Reason) -> Action:
    return action._replace(kind=ActionKind.BLOCKED, reason=reason, evidence=None)
