"""The plan as one pure function (R1): what is desired, seen, recorded and open, to one action per key.

The decision for a single key is in `match`. Here are the rules that need to see all keys: open intents (R8),
what is no longer desired (R10), aliases (C9), selections, limits (R15), and the order of it all (R17).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.match import Moment, decide
from reconciler.core.preflight import objection
from reconciler.model.canonical import digest
from reconciler.model.lock import Origin
from reconciler.model.manifest import OnRemove
from reconciler.model.plan import Action, ActionKind, Breach, Plan, Reason, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from reconciler.core.select import Selection
    from reconciler.model.batch import Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.project import Limits
    from reconciler.model.snapshot import Facts, Snapshot


def plan(
    *,
    desired: Desired,
    snapshot: Snapshot,
    lock: Lock,
    intents: Iterable[Intent],
    facts: Mapping[Key, Facts],
    now: datetime,
    limits: Limits,
    selection: Selection,
) -> Plan:
    """What has to be done so that what is live is what is desired.

    Args:
        desired: what the manifests ask for.
        snapshot: what was seen of it.
        lock: what is recorded.
        intents: creates whose outcome is not known.
        facts: what was looked up about directories, for those keys that might be created.
        now: this tool's clock, in UTC.
        limits: how much a plan may do.
        selection: what it is about.
    """
    open_intents = {intent.key: intent for intent in intents}
    aliases = aliases_of(lock)
    wanted = {batch.key: batch for batch in desired.batches}
    selected = [batch for batch in desired.batches if selection.wants(batch)]
    actions: list[Action] = []
    for want in selected:
        intent = open_intents.get(want.key)
        owner = wanted.get(aliases.get(want.key, want.key), want)
        if intent is not None:
            actions.append(_open(want, intent))
        elif owner is not want:
            actions.append(_same_work(want, owner))
        else:
            endpoint = want.key.endpoint
            moment = Moment(now, snapshot.clocks.get(endpoint, now))
            action = decide(
                want, snapshot.of(want.key), lock.entries.get(want.key), facts.get(want.key), moment
            )
            actions.append(_checked(action, facts.get(want.key), moment))
    actions += _no_longer_desired(desired, wanted, lock, snapshot, selection)
    actions.sort(key=lambda action: (action.address, action.key))
    return Plan(
        actions=tuple(actions),
        not_selected=len(desired.batches) - len(selected),
        lineage=lock.lineage,
        state=state_digest(lock),
        manifests=desired.digest,
        breaches=tuple(_breaches(actions, limits)),
    )


def state_digest(lock: Lock) -> str:
    """Names what is recorded: which batch stands for which key, under which address.

    Statuses and times do not count: a refresh makes no plan stale.
    """
    return digest({str(key): [str(entry.address), entry.current] for key, entry in lock.entries.items()})


def aliases_of(lock: Lock) -> dict[Key, Key]:
    """From the key under which the service answered to the key that had been asked for (C9)."""
    return {alias: key for entry in lock.entries.values() for alias, key in aliases_in(entry).items()}


def aliases_in(entry: Entry) -> dict[Key, Key]:
    """One entry's share of `aliases_of`."""
    return {
        entry.key._replace(directory=item.alias.directory, configuration=item.alias.configuration): entry.key
        for item in entry.batches
        if item.alias is not None
    }


def _open(want: DesiredBatch, intent: Intent) -> Action:
    """R8: never created, and the way out is named."""
    text = (
        f"a create was sent at {intent.at:%Y-%m-%d %H:%M:%S} UTC and its outcome is not known"
        "; `reconciler apply` looks for it first"
    )
    return Action(
        kind=ActionKind.UNRESOLVED,
        address=want.address,
        key=want.key,
        reason=Reason(ReasonCode.OPEN_INTENT, text),
        directory_name=intent.directory_name,
    )


def _same_work(want: DesiredBatch, owner: DesiredBatch) -> Action:
    """The service treats two desired keys as one: creating the second would run the work twice."""
    text = f"the service calls this the same work as {owner.address}; desire only one of the two"
    return Action(
        kind=ActionKind.BLOCKED, address=want.address, key=want.key, reason=Reason(ReasonCode.SAME_WORK, text)
    )


def _checked(action: Action, facts: Facts | None, moment: Moment) -> Action:
    """R14 turns a create that would be refused into BLOCKED, with the reason."""
    if action.kind is not ActionKind.CREATE or facts is None:
        return action
    against = objection(action.key, facts, moment.service)
    if against is None:
        return action
    return Action(
        kind=ActionKind.BLOCKED,
        address=action.address,
        key=action.key,
        reason=Reason(ReasonCode.PREFLIGHT, against),
        batch=action.batch,
        directory_name=action.directory_name,
        files=action.files,
    )


def _no_longer_desired(
    desired: Desired, wanted: Mapping[Key, DesiredBatch], lock: Lock, snapshot: Snapshot, selection: Selection
) -> Iterator[Action]:
    """R10. The batch itself is left alone, unless everything speaks for cancelling it."""
    for key, entry in lock.entries.items():
        if key in wanted or not selection.covers(entry.address):
            continue
        batch = entry.recorded.as_batch(key)
        seen = snapshot.of(key)
        if isinstance(seen, tuple):
            batch = next((item for item in seen if item.id == batch.id), batch)
        cancel = (
            entry.on_remove is OnRemove.CANCEL
            and not batch.status.terminal
            and entry.recorded.origin is not Origin.ADOPTED
            and lock.sets.get(entry.address.set) != desired.sets.get(entry.address.set)
        )
        yield Action(
            kind=ActionKind.CANCEL if cancel else ActionKind.FORGET,
            address=entry.address,
            key=key,
            reason=Reason(
                ReasonCode.NOT_DESIRED,
                f"no longer in the manifests; {batch.id} ({batch.status}) "
                + ("is cancelled" if cancel else "is left alone"),
            ),
            batch=batch,
            directory_name=entry.directory_name,
        )


def _breaches(actions: Iterable[Action], limits: Limits) -> Iterator[Breach]:
    """R15."""
    creates = cancels = files = 0
    for action in actions:
        if action.kind is ActionKind.CREATE:
            creates += 1
            files += action.files or 0
        elif action.kind is ActionKind.CANCEL:
            cancels += 1
    for name, allowed, planned in (
        ("maxCreates", limits.max_creates, creates),
        ("maxFiles", limits.max_files, files),
        ("maxCancels", limits.max_cancels, cancels),
    ):
        if allowed is not None and planned > allowed:
            yield Breach(name, allowed, planned)
