"""What merging two lockfiles of one past comes to: one lockfile, and what the two do not agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.batch import Key
    from reconciler.model.lock import Entry, Lock, Recorded


@dataclass(frozen=True, slots=True)
class Conflict:
    """One piece of work for which two branches recorded a batch of their own.

    Both entries hold all batches that either side knows of. They differ in which of them stands, so that
    whoever takes one of the two loses no batch.

    Attributes:
        ours: the entry as it is if our batch stands.
        theirs: the entry as it is if theirs stands.
    """

    ours: Entry
    theirs: Entry

    def __str__(self) -> str:
        sides = f"ours has {_told(self.ours.recorded)}, theirs {_told(self.theirs.recorded)}"
        return f"{self.ours.address}: {sides}"


@dataclass(frozen=True, slots=True)
class Merged:
    """Two lockfiles as one.

    Attributes:
        lock: the merge. Where there is a conflict, our batch stands in it.
        conflicts: what only a person can decide, by key.
    """

    lock: Lock
    conflicts: Mapping[Key, Conflict]


def _told(batch: Recorded) -> str:
    at = batch.created_at or batch.recorded_at
    return f"{batch.id} ({batch.status}, {batch.origin} by that branch, dated {at:%Y-%m-%dT%H:%M:%SZ})"
