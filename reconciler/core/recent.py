"""Which recorded batches were made in the last day, and which stand beside them that nobody recorded (C10).

A create can take effect after every look for it is over, and somebody else can create the same batch
meanwhile. Neither can be prevented, and both show as two standing batches of one key.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.core.match import STOPPED, outdated
from reconciler.model.plan import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.core.match import Moment
    from reconciler.model.batch import Batch, Home, Key
    from reconciler.model.desired import DesiredBatch
    from reconciler.model.lock import Entry, Lock, Recorded
    from reconciler.model.snapshot import Facts

#: How long after a create its late twins are looked for.
RECENT = timedelta(hours=24)

#: A twin can be older than what was recorded: its reply was lost, and waits for a settle time, for 429s and
#: for a cold start came before the create that was recorded.
EARLIER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Recent:
    """What was made lately on one service.

    Attributes:
        keys: whose batches may have twins.
        since: by the service's clock, where a listing has to begin; None for the very beginning.
    """

    keys: frozenset[Key]
    since: datetime | None


def recent(lock: Lock, now: datetime, clocks: Mapping[Home, datetime | None]) -> dict[Home, Recent]:
    """The keys of which a recorded batch was made in the last day, per service.

    Adopted ones as well: when two lost replies both took effect after their run, the next one adopts the one
    and knows nothing of the other.

    Args:
        lock: what is recorded.
        now: this tool's clock.
        clocks: the services' own time, where it is known.
    """
    keys: defaultdict[Home, set[Key]] = defaultdict(set)
    since: dict[Home, datetime | None] = {}
    for key, entry in lock.entries.items():
        theirs = clocks.get(key.home)
        for item in entry.batches:
            at = _by_their_clock(item, now, theirs)
            age = now - item.recorded_at if at is None else (theirs or now) - at
            if age > RECENT:
                continue
            keys[key.home].add(key)
            before = since.setdefault(key.home, at)
            since[key.home] = None if at is None or before is None else min(before, at)
    return {
        home: Recent(frozenset(there), None if (at := since[home]) is None else at - EARLIER)
        for home, there in keys.items()
    }


def _by_their_clock(item: Recorded, now: datetime, theirs: datetime | None) -> datetime | None:
    """When the service made the batch, or None when nothing says it."""
    if item.created_at is not None:
        return item.created_at
    return None if theirs is None else item.recorded_at + (theirs - now)


def is_rerun_of(batch: Batch, recorded: Recorded | None, other: Batch) -> bool:
    """Whether a batch did the work of an earlier one once more because that was asked for (R3).

    It stays so when the ``rerun`` that asked is no longer in the manifest.

    Args:
        batch: the one that stands.
        recorded: what is recorded of it.
        other: the earlier one.
    """
    if recorded is None or recorded.evidence is None or recorded.evidence.reason == ReasonCode.MISSING:
        return False
    return bool(other.created_at and batch.created_at and other.created_at < batch.created_at)


def surplus(
    entry: Entry, want: DesiredBatch | None, facts: Facts | None, seen: Iterable[Batch], moment: Moment
) -> tuple[Batch, ...]:
    """The unrecorded batches that stand beside the recorded one, by id: one piece of work done twice.

    None where the recorded one does not stand any more: then another batch is what R4 adopts. And none that
    is older by more than a run could be late: an earlier rerun is no twin.
    """
    recorded = {item.id: item for item in entry.batches}
    batches = {entry.current: entry.recorded.as_batch(entry.key)} | {batch.id: batch for batch in seen}
    standing = {
        name: batch
        for name, batch in batches.items()
        if batch.status not in STOPPED
        and (want is None or outdated(batch, recorded.get(name), want.set.rerun, facts, moment) is None)
    }
    if entry.current not in standing:
        return ()
    begun = standing[entry.current].created_at
    return tuple(
        batch
        for name, batch in sorted(standing.items())
        if name not in recorded
        and (begun is None or batch.created_at is None or batch.created_at >= begun - EARLIER)
    )
