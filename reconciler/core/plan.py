"""The plan as one pure function (R1): what is desired, seen, recorded and open, to one action per key.

The decision for a single key is in `match`. Here are the rules that need to see all keys: open intents (R8),
what is no longer desired (R10), aliases (C9), selections, what is gated (R15), and the order of all (R17).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.gates import breaches, closed, guarded
from reconciler.core.match import Moment, decide
from reconciler.core.names import selected as selected_by_name
from reconciler.core.order import put_in_order
from reconciler.core.preflight import objection
from reconciler.core.spans import span
from reconciler.model.canonical import digest
from reconciler.model.lock import Origin, PinKind
from reconciler.model.manifest import OnRemove
from reconciler.model.plan import Action, ActionKind, Guarded, Plan, Reason, ReasonCode
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from reconciler.core.select import Selection
    from reconciler.model.batch import Address, FileCounts, Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.project import Limits
    from reconciler.model.snapshot import Facts, Seen, Snapshot


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
    counts: Mapping[str, FileCounts] | None = None,
) -> Plan:
    """What has to be done so that what is live is what is desired.

    Args:
        desired: what the manifests ask for.
        snapshot: what was seen of it.
        lock: what is recorded.
        intents: creates whose outcome is not known.
        facts: what was looked up about directories, for those keys that might be created.
        now: this tool's clock, in UTC.
        limits: how much a plan may do, and when.
        selection: what it is about.
        counts: how files fared, by batch, where it was read for this plan.
    """
    # Of several intents of one key the oldest speaks, whatever order they come in (R1).
    open_intents = {
        intent.key: intent for intent in sorted(intents, key=lambda item: (item.at, item.id), reverse=True)
    }
    aliases = aliases_of(lock)
    wanted = {batch.key: batch for batch in desired.batches}
    named = frozenset(pin.id for pin in desired.pins if pin.kind is not PinKind.MATCH)
    about = selection.of(desired.batches)

    clocks = {endpoint: Moment(now, time) for endpoint, time in snapshot.clocks.items()}
    usual = Moment(now, now)

    def moment(key: Key) -> Moment:
        return clocks.get(key.endpoint, usual)

    def alone(want: DesiredBatch) -> Action:
        """What one desired batch needs, whatever there is to be said about its turn."""
        intent = open_intents.get(want.key)
        if intent is not None:
            return _open(intent, now, want.address)
        owner = wanted.get(aliases.get(want.key, want.key), want)
        if owner is not want:
            return _same_work(want, owner.address)
        entry = lock.entries.get(want.key)
        action = decide(want, snapshot.of(want.key), entry, facts.get(want.key), moment(want.key))
        if action.kind is ActionKind.CREATE and want.key in aliases:
            return _same_work(want, lock.entries[aliases[want.key]].address)
        return _checked(action, facts.get(want.key), moment(want.key), named)

    order = put_in_order([alone(want) for want in about], desired, lock, counts or {}, alone)
    actions = list(order.actions)
    actions += [
        _open(intent, now)
        for key, intent in open_intents.items()
        if key not in wanted and selection.covers_key(key, intent.address)
    ]
    left = {
        key: entry for key, entry in lock.entries.items() if key not in wanted and key not in open_intents
    }
    elsewhere = _elsewhere(left, desired)
    actions += [
        _no_longer_desired(entry, desired, lock, snapshot.of(key), elsewhere.get(key))
        for key, entry in left.items()
        if selection.covers_key(key, entry.address)
    ]
    actions.sort(key=lambda action: (action.address, action.key))
    sets = {want.set.name: want.set for want in desired.batches}
    return Plan(
        actions=tuple(actions),
        not_selected=len(desired.batches) - len(about),
        lineage=lock.lineage,
        state=state_digest(lock),
        manifests=desired.digest,
        breaches=tuple(breaches(actions, limits, sets, selection.shard)),
        guarded=tuple(sorted([*guarded(actions, limits), *_abandoned(actions, elsewhere)])),
        closed=tuple(closed(actions, limits, sets, now)),
        targets=selection.targets,
        since=selection.since,
        selected=selected_by_name(desired.pins, lock.pins),
        unread=order.unread,
    )


def state_digest(lock: Lock) -> str:
    """Names what is recorded: which batch stands for which key, under which address.

    Statuses and times do not count: a refresh makes no plan stale.
    """
    return digest({str(key): [str(entry.address), entry.current] for key, entry in lock.entries.items()})


def aliases_of(lock: Lock) -> dict[Key, Key]:
    """From the key under which the service answered to the key that had been asked for (C9)."""
    renamed = [entry for entry in lock.entries.values() for item in entry.batches if item.alias is not None]
    pairs = [pair for entry in renamed for pair in aliases_in(entry).items()]
    return dict(sorted(pairs, reverse=True))  # of several keys with one alias the first (R1)


def aliases_in(entry: Entry) -> dict[Key, Key]:
    """One entry's share of `aliases_of`."""
    return {
        entry.key._replace(directory=item.alias.directory, configuration=item.alias.configuration): entry.key
        for item in entry.batches
        if item.alias is not None
    }


def _open(intent: Intent, now: datetime, address: Address | None = None) -> Action:
    """R8: never created, nor forgotten when it is no longer desired; and the way out is named.

    Args:
        intent: the open one.
        now: this tool's clock.
        address: where its key is desired now; None when it is not any more, and so cannot be imported.
    """
    absent = f"`reconciler lock resolve {address or intent.address} --absent`"
    says = f"`reconciler import {address} BATCH_ID` or {absent} say" if address else f"{absent} says"
    text = (
        f"a create was sent at {intent.at:%Y-%m-%d %H:%M:%S} UTC, {span(now - intent.at)} ago,"
        f" and its outcome is not known; `reconciler apply` looks for it first, {says} what you know"
    )
    return Action(
        kind=ActionKind.UNRESOLVED,
        address=address or intent.address,
        key=intent.key,
        reason=Reason(ReasonCode.OPEN_INTENT, text),
        directory_name=intent.directory_name,
    )


def _same_work(want: DesiredBatch, owner: Address) -> Action:
    """The service treats two keys as one (C9): creating the second would run the work twice.

    When only the second is still desired, the first is forgotten, and the next plan sees its batch here.
    """
    text = f"the service calls this the same work as {owner}; desire only one of the two, and apply again"
    return Action(
        kind=ActionKind.BLOCKED, address=want.address, key=want.key, reason=Reason(ReasonCode.SAME_WORK, text)
    )


def _checked(action: Action, facts: Facts | None, moment: Moment, named: frozenset[str]) -> Action:
    """R14 turns a create that would be refused into BLOCKED, with the reason."""
    if action.kind is not ActionKind.CREATE or facts is None:
        return action
    against = objection(action.key, facts, moment.service, named)
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


def _elsewhere(left: Mapping[Key, Entry], desired: Desired) -> dict[Key, DesiredBatch]:
    """Entries whose work is asked for at the same address, but on another service or in another project.

    A region that somebody forgot to set does that to all of them at once.
    """
    if not left:
        return {}
    work = {(want.address, want.key[2:]): want for want in desired.batches}
    return {
        key: work[entry.address, key[2:]] for key, entry in left.items() if (entry.address, key[2:]) in work
    }


def _abandoned(actions: Iterable[Action], elsewhere: Mapping[Key, DesiredBatch]) -> Iterator[Guarded]:
    """R15: to forget what stands on one service because its address means another now has to be confirmed."""
    for action in actions:
        if action.changes and (want := elsewhere.get(action.key)):
            what = f"it was recorded on {_home(action.key)}, and its provider leads to {_home(want.key)} now"
            yield Guarded(action.address, what, str(want.locate()))


def _home(key: Key) -> str:
    return f"{key.endpoint}, project {key.project}"


def _no_longer_desired(
    entry: Entry, desired: Desired, lock: Lock, seen: Seen, elsewhere: DesiredBatch | None
) -> Action:
    """R10. The batch itself is left alone, unless everything speaks for cancelling it."""
    recorded = entry.recorded
    batch = recorded.as_batch(entry.key)
    if not desired.whole:
        text = "not asked for here any more, and whether another set asks for it is not known"
        return Action(
            kind=ActionKind.UNRESOLVED,
            address=entry.address,
            key=entry.key,
            reason=Reason(ReasonCode.UNKNOWN, text),
            batch=batch,
            directory_name=entry.directory_name,
        )
    told = desired.removed.get(str(entry.address)) or desired.removed.get(entry.address.set)
    wanted_gone = (
        entry.on_remove is OnRemove.CANCEL
        and told is None
        and not batch.status.terminal
        and recorded.origin is Origin.CREATED  # C5: only where a reply named it
        and lock.sets.get(entry.address.set) != desired.sets.get(entry.address.set)
    )
    kind, code, end = ActionKind.FORGET, ReasonCode.NOT_DESIRED, "is left alone"
    if isinstance(seen, tuple) and (live := next((item for item in seen if item.id == batch.id), None)):
        batch = live
        if wanted_gone and not batch.status.terminal:
            kind, end = ActionKind.CANCEL, "is cancelled"
    elif wanted_gone:  # R7: whether it has ended is not known, and forgetting it would let it run on
        why = seen.why if isinstance(seen, Unknown) else "the listing lacks it"
        kind, code, end = ActionKind.UNRESOLVED, ReasonCode.UNKNOWN, f"is to be cancelled, but {why}"
    where = f"removed at {told}" if told else "no longer in the manifests"
    if elsewhere is not None:
        where = f"recorded on {_home(entry.key)}, and its provider leads to {_home(elsewhere.key)} now"
    return Action(
        kind=kind,
        address=entry.address,
        key=entry.key,
        reason=Reason(code, f"{where}; {batch.id} ({batch.status}) {end}"),
        batch=batch,
        directory_name=entry.directory_name,
    )
