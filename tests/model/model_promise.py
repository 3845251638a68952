"""What the promise rests on. A history that breaks none of these ends with nothing twice and nothing lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_values import made_twice

from reconciler.model.batch import Status

if TYPE_CHECKING:
    from model_values import State

LATE_EFFECT = "a create takes effect later than the settle time"
LATE_LISTED = "a batch is listed later than the settle time"
TWO_STORES = "two stores: another checkout applies at the same time"
LOCK_GONE = "the lock is removed while a run is in its send"
ELSEWHERE = "somebody creates the same batch between our look and our send"
RENAMED = "the service gives a create another configuration, and the file that says so is lost"
DISK_LIES = "the disk loses what it had said was synced"

ASSUMPTIONS = (LATE_EFFECT, LATE_LISTED, TWO_STORES, LOCK_GONE, ELSEWHERE, RENAMED, DISK_LIES)


def broken(state: State) -> frozenset[str]:
    """The assumptions that a history broke on its way to this state."""
    return state.broken | ({ELSEWHERE} if _elsewhere(state) else frozenset())


def _elsewhere(state: State) -> bool:
    """Whether a person's batch came after a run's last look, and before that run's create took effect."""
    return any(
        not row.ours and row.sent == ours.sent and number >= ours.looked and row.exists <= ours.exists
        for number, row in enumerate(state.rows)
        for ours in state.rows
        if ours.ours
    )


def twice(state: State) -> tuple[str, ...]:
    """The batches that we should not have made."""
    return tuple(sorted(made_twice(state)))


def unreported(state: State) -> tuple[str, ...]:
    """Of batches that stand there twice, those that neither a finding nor the lockfile names (C10).

    Once somebody has cancelled one of the two, there is nothing left to tell.
    """
    standing = {row.batch.id: row for row in state.rows if row.batch.status is not Status.CANCELLED}
    pairs = [(ours, before.batch.id) for ours, before in made_twice(state).items()]
    names = {name for pair in pairs if standing.keys() >= set(pair) for name in pair}
    entries = state.lockfile.entries.values() if state.lockfile else ()
    recorded = {item.id for entry in entries for item in entry.batches}
    return tuple(sorted(names - state.told - recorded))
