"""What the rules say about one key, written a second time, small and plain, from the service's own truth.

Nothing here comes from `core`: R2 and R6 as docs/rules.md has them, so that both cannot be wrong together.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from engine_time import START

from reconciler.model.batch import Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from stateful_manifests import Set

    from reconciler.model.batch import Batch


class Verdict(Enum):
    """What is to become of a desired key."""

    SATISFIED = "a live batch satisfies it"
    HELD = "somebody cancelled the last one"
    EXHAUSTED = "its attempts are spent"
    WANTED = "it is to be created"


def satisfying(want: Set, batches: Iterable[Batch], now: datetime) -> list[Batch]:
    """R2: not FAILED, not CANCELLED, and not older than an ``after`` that the service's clock has passed."""
    after = effective_after(want, now)
    return [
        batch
        for batch in batches
        if batch.status not in (Status.FAILED, Status.CANCELLED)
        and (after is None or _created(batch) >= after)
    ]


def judge(want: Set, batches: Iterable[Batch], now: datetime) -> Verdict:
    """R2, R3 and R6 for one key.

    Args:
        want: the set that asks for the key.
        batches: all batches of the key that there are.
        now: by the service's clock.
    """
    batches = list(batches)
    if satisfying(want, batches, now):
        return Verdict.SATISFIED
    after = effective_after(want, now)
    attempts: list[Batch] = []
    for batch in sorted(batches, key=lambda item: (_created(item), item.id)):
        if batch.status is Status.COMPLETED:
            attempts = []
        elif batch.status in (Status.FAILED, Status.CANCELLED) and (
            after is None or _created(batch) >= after
        ):
            attempts.append(batch)
    if attempts and attempts[-1].status is Status.CANCELLED and want.on_cancelled == "hold":
        return Verdict.HELD
    return Verdict.EXHAUSTED if len(attempts) >= want.attempts else Verdict.WANTED


def effective_after(want: Set, now: datetime) -> datetime | None:
    """An ``after`` that is still to come outdates nothing."""
    after = None if want.after is None else START + timedelta(seconds=want.after)
    return after if after is not None and after <= now else None


def _created(batch: Batch) -> datetime:
    assert batch.created_at is not None  # this service always tells
    return batch.created_at
