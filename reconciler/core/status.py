"""From a plan to what people ask of it day by day: what stands, does it match, how is it doing?

The plan has decided already; here its actions are read as two columns. Nothing is observed and nothing is
written: whoever calls this has done the one and may do the other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, assert_never

from reconciler.core.match import STOPPED, Moment, outdated
from reconciler.core.recent import is_rerun_of
from reconciler.model.batch import Status
from reconciler.model.plan import ActionKind, ReasonCode
from reconciler.model.status import Health, StatusReport, StatusRow, Sync
from reconciler.model.tracking import Happened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.model.batch import Batch, FileCounts, Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.plan import Action, Plan
    from reconciler.model.snapshot import Facts, Snapshot
    from reconciler.model.tracking import TrackedChange

_NONE: Mapping[Key, Batch] = MappingProxyType({})


def status_of(
    plan: Plan,
    *,
    snapshot: Snapshot,
    lock: Lock,
    desired: Desired,
    facts: Mapping[Key, Facts],
    now: datetime,
    latest: Mapping[Key, Batch] = _NONE,
) -> StatusReport:
    """Read a plan as a status.

    Args:
        plan: what was decided; it says what each row is about.
        snapshot: what it was decided on.
        lock: what is recorded, with the counts of files that were read.
        desired: what the manifests ask for.
        facts: what was looked up about directories, as for the plan.
        now: this tool's clock, in UTC.
        latest: batches that were seen again after the plan was made.
    """
    wanted = {want.key: want for want in desired.batches}
    rows = []
    for action in plan.actions:
        key = action.key
        entry = lock.entries.get(key)
        moment = Moment(now, snapshot.clocks.get(key.endpoint, now))
        batch = latest.get(key) or action.batch or (entry.recorded.as_batch(key) if entry else None)
        others = _others(batch, snapshot, key, entry)
        rows.append(
            replace(
                _row(action, batch, entry, moment),
                surplus=surplus_beside(
                    batch, others, want=wanted.get(key), entry=entry, facts=facts.get(key), moment=moment
                ),
            )
        )
    clocks = snapshot.clocks
    rows += [_watched_row(change, clocks.get(change.id.endpoint, now)) for change in plan.tracked]
    rows.sort(key=lambda row: (row.address, row.place))
    return StatusReport(at=now, rows=tuple(rows), not_selected=plan.not_selected)


def sync_of(action: Action) -> Sync:
    """Whether what is live is what is desired and recorded."""
    if action.kind is ActionKind.KEEP:
        return Sync.SYNCED
    if action.kind is not ActionKind.UNRESOLVED:
        return Sync.OUT_OF_SYNC
    return Sync.AMBIGUOUS if action.reason.code is ReasonCode.OPEN_INTENT else Sync.UNKNOWN


def sync_of_watched(change: TrackedChange) -> Sync:
    """Whether a watched batch is what is recorded of it."""
    match change.happened:
        case Happened.UNCHANGED:
            return Sync.SYNCED
        case Happened.UNKNOWN:
            return Sync.UNKNOWN
        case Happened.NEW | Happened.CHANGED | Happened.GONE | Happened.NO_LONGER_TRACKED:
            return Sync.OUT_OF_SYNC
        case unreachable:
            assert_never(unreachable)


def _health(action: Action, batch: Batch | None, files: FileCounts | None) -> Health:
    if batch is None and action.kind is ActionKind.UNRESOLVED:
        return Health.UNKNOWN  # R7, R8: there may be one
    return health_of(batch.status if batch else None, files)


def health_of(status: Status | None, files: FileCounts | None) -> Health:
    """How a batch is doing; ``files`` counts only once it is COMPLETED."""
    if status is None:
        return Health.MISSING
    if status in STOPPED:
        return Health.DEGRADED
    if status is not Status.COMPLETED:
        return Health.PROGRESSING
    if files is None:
        return Health.COMPLETED
    return Health.DEGRADED if files.failed else Health.HEALTHY


def surplus_beside(
    batch: Batch | None,
    others: tuple[Batch, ...],
    *,
    want: DesiredBatch | None,
    entry: Entry | None,
    facts: Facts | None,
    moment: Moment,
) -> tuple[Batch, ...]:
    """Which other batches of a key are work that nobody asked for, by id.

    All that still run; and of those that came to their end, what would stand as well as ``batch`` does: one
    piece of work done twice. What an earlier batch did before its rerun was asked for is no surplus.
    """
    recorded = {item.id: item for item in entry.batches} if entry else {}
    current = recorded.get(batch.id) if batch else None

    def replaced(other: Batch) -> bool:
        if batch is None or want is None or batch.status in STOPPED:
            return True
        if outdated(other, recorded.get(other.id), want.set.rerun, facts, moment) is not None:
            return True
        return is_rerun_of(batch, current, other)

    return tuple(
        other
        for other in sorted(others, key=lambda item: item.id)
        if other.status not in STOPPED and (not other.status.terminal or not replaced(other))
    )


def _row(action: Action, batch: Batch | None, entry: Entry | None, moment: Moment) -> StatusRow:
    sync, why = sync_of(action), action.reason.text
    if sync is Sync.SYNCED:
        why = ""
        if batch is not None and batch.status in STOPPED:  # since the plan was made
            sync, why = Sync.OUT_OF_SYNC, f"{batch.id} is {batch.status} by now"
    files = None
    if batch is not None and entry is not None and batch.status is Status.COMPLETED:
        files = next((item.files for item in entry.batches if item.id == batch.id), None)
    created = batch.created_at if batch else None
    return StatusRow(
        address=action.address,
        place=str(action.key),
        sync=sync,
        health=_health(action, batch, files),
        why=why,
        batch=batch.id if batch else "",
        status=batch.status if batch else None,
        created_at=created,
        age=None if created is None else max(timedelta(), moment.service - created),
        files=files,
        directory_name=action.directory_name or (entry.directory_name if entry else ""),
    )


def _watched_row(change: TrackedChange, now: datetime) -> StatusRow:
    """R16: a batch that is only watched, as last known.

    Args:
        change: what is known of it.
        now: by the service's clock, where something was created on it as well; else this tool's.
    """
    known = change.now or change.before
    created = known.created_at if known else None
    sync = sync_of_watched(change)
    return StatusRow(
        address=change.address,
        place=change.id.endpoint,
        sync=sync,
        health=change.health or (Health.UNKNOWN if sync is Sync.UNKNOWN else Health.MISSING),
        why="" if sync is Sync.SYNCED else change.reason,
        batch=change.id.id,
        status=known.status if known else None,
        word=known.word if known and known.word != known.status else "",
        created_at=created,
        age=None if created is None else max(timedelta(), now - created),
        files=known.counts if known else None,
        tracked=True,
    )


def _others(batch: Batch | None, snapshot: Snapshot, key: Key, entry: Entry | None) -> tuple[Batch, ...]:
    """The key's other batches, as seen, and else as recorded."""
    seen = snapshot.of(key)
    known = {item.id: item.as_batch(key) for item in entry.batches} if entry else {}
    if isinstance(seen, tuple):
        known |= {item.id: item for item in seen}
    return tuple(item for name, item in known.items() if batch is None or name != batch.id)
