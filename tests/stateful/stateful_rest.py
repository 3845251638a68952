"""What has to hold once faults are over and time has gone by: all satisfied, or a way out that works."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import note
from stateful_manifests import policies
from stateful_oracle import Verdict, judge, satisfying
from stateful_project import Project, names_key

from reconciler.engine.by_hand import import_batch, resolve_absent
from reconciler.model.batch import Address
from reconciler.model.plan import ActionKind

if TYPE_CHECKING:
    from reconciler.model.lock import Lock
    from reconciler.model.plan import Action, Plan

#: What a message has to name when nothing more will happen by itself.
_WAYS_OUT = re.compile(r"rerun\.after|maxAttempts|onCancelled|lock resolve|reconciler import")
_RESOLVE = re.compile(r"reconciler lock resolve (\S+) --absent")
_IMPORT = re.compile(r"reconciler import (\S+) BATCH_ID")

#: There are so many keys; whatever takes more commands than that is not resolved by them.
_MOST_WAYS = 12

_EFFECTS = frozenset({"created", "found", "adopted", "recorded", "imported"})


def take_ways_out(project: Project) -> int:
    """Do for each unresolved address what its message names, as somebody who knows the truth would.

    Gives how often. One command can be the way out of two actions: of the key that is desired at an address,
    and of one that was and whose create is open still.
    """
    taken = 0
    while unresolved := [a for a in project.plan().actions if a.kind is ActionKind.UNRESOLVED]:
        action = unresolved[0]
        way = _RESOLVE.search(action.reason.text)
        assert way, f"no way out of {action.address}: {action.reason.text}"
        _by_hand(project, action, Address.parse(way[1]))
        taken += 1
        assert taken <= _MOST_WAYS, f"{action.address} stays unresolved"
    return taken


def _by_hand(project: Project, action: Action, address: Address) -> None:
    intents = [intent for intent in project.journal.open if intent.key == action.key]
    known = frozenset().union(*(intent.known for intent in intents)) if intents else frozenset()
    ours = [batch for batch in project.service.of(action.key) if batch.id not in known]
    if intents and ours:
        way = _IMPORT.search(action.reason.text)
        assert way, f"no way to say that {ours[-1].id} is it: {action.reason.text}"
        note(f"      reconciler import {way[1]} {ours[-1].id}")
        project.by_hand(lambda run: import_batch(run, Address.parse(way[1]), ours[-1].id))
    else:
        note(f"      reconciler lock resolve {address} --absent")
        project.by_hand(lambda run: resolve_absent(run, address))


def check_rest(project: Project, plan: Plan) -> None:
    """Each desired key is satisfied and recorded, or says how to go on; nothing is open."""
    service, lock, now = project.service, project.lock, project.service.clock
    assert now is not None
    actions = {action.key: action for action in plan.actions}
    assert not project.journal.open or plan.changes, project.journal.open
    for key, want in policies(project.manifests).items():
        action = actions[key]
        verdict = judge(want, service.of(key), now)
        where = f"{names_key(key)}: {action.kind} {action.reason.text}; but {verdict.value}"
        match action.kind:
            case ActionKind.KEEP:
                good = [batch.id for batch in satisfying(want, service.of(key), now)]
                assert lock.entries[key].current in good, where
            case ActionKind.BLOCKED:
                assert verdict in (Verdict.HELD, Verdict.EXHAUSTED), where
                assert _WAYS_OUT.search(action.reason.text), where
            case ActionKind.CREATE:  # somebody has just said that what was open does not exist
                assert verdict is Verdict.WANTED, where
            case _:
                raise AssertionError(where)
    _check_audit(project, lock)


def _check_audit(project: Project, lock: Lock) -> None:
    """Every recorded batch came in by a line that says how."""
    told = {line.batch for line in project.ledger.lines if line.outcome in _EFFECTS}
    for key, entry in lock.entries.items():
        silent = {item.id for item in entry.batches} - told
        assert not silent, f"{names_key(key)}: no line of the audit log says how {silent} came in"
