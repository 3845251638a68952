"""Which keys the service has to be asked about, and which are known without asking (O1-O3).

Deciding is left to `match`: a key needs no look when what is recorded of it satisfies already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.match import Moment, standing
from reconciler.model.manifest import OnChange, OnRemove
from reconciler.model.plan import ActionKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.model.batch import Batch, Key
    from reconciler.model.desired import DesiredBatch
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.plan import Plan
    from reconciler.model.snapshot import Seen


@dataclass(frozen=True, slots=True)
class Questions:
    """What there is to ask.

    Attributes:
        trusted: keys whose recorded batch is terminal and satisfies: nothing to ask (O1).
        refresh: keys whose recorded batch was not terminal, or is not trusted: it alone is asked for (O2).
        look: keys that are not recorded, or recorded and to be created: all of their batches (O3).
    """

    trusted: Mapping[Key, Seen]
    refresh: tuple[Key, ...]
    look: tuple[Key, ...]


def questions(
    wanted: Iterable[DesiredBatch], lock: Lock, removed: Iterable[Entry], now: datetime, *, trust: bool = True
) -> Questions:
    """Sort the keys by what has to be asked about them.

    Args:
        wanted: the desired batches that the plan is about.
        lock: what is recorded.
        removed: entries that are no longer desired: those that might be cancelled are refreshed (R10).
        now: this tool's clock.
        trust: whether what is recorded as terminal is believed (O1); else it is refreshed like the rest.
    """
    trusted: dict[Key, Seen] = {}
    moment = Moment(now, now)
    refresh: list[Key] = []
    look: list[Key] = []
    for want in wanted:
        entry = lock.entries.get(want.key)
        if entry is None:
            look.append(want.key)
        elif not ((recorded := entry.recorded).status.terminal and trust):
            refresh.append(want.key)
        elif stands(want, seen := (recorded.as_batch(want.key),), entry, moment):
            trusted[want.key] = seen
        else:
            look.append(want.key)
    refresh += [
        entry.key
        for entry in removed
        if entry.on_remove is OnRemove.CANCEL and not entry.recorded.status.terminal
    ]
    return Questions(trusted, tuple(refresh), tuple(look))


def stands(want: DesiredBatch, seen: tuple[Batch, ...], entry: Entry, moment: Moment) -> bool:
    """Whether of what was seen so far the recorded batch satisfies, so that no complete look is needed."""
    batch = standing(want, seen, entry, None, moment)
    return batch is not None and batch.id == entry.current


def facts_wanted(plan: Plan, wanted: Mapping[Key, DesiredBatch]) -> tuple[Key, ...]:
    """Keys whose directory has to be looked up.

    Those to create on (R14), and those whose set reruns on changes of files or configuration and whose
    batch is terminal (R2).
    """
    keys = []
    for action in plan.actions:
        match action.kind:
            case ActionKind.CREATE:
                keys.append(action.key)
            case ActionKind.KEEP | ActionKind.MOVE | ActionKind.ADOPT:
                rerun = wanted[action.key].set.rerun
                watches = OnChange.RERUN in (rerun.on_input_change, rerun.on_configuration_change)
                if watches and action.batch is not None and action.batch.status.terminal:
                    keys.append(action.key)
            case ActionKind.FORGET | ActionKind.CANCEL | ActionKind.BLOCKED | ActionKind.UNRESOLVED:
                pass
    return tuple(keys)
