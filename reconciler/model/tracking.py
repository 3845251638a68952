"""What watching came to: each watched batch now, beside what the lockfile has of it (R16)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.batch import Address
    from reconciler.model.snapshot import Unknown
    from reconciler.model.status import Health
    from reconciler.model.watched import Watched, WatchedId


class Happened(StrEnum):
    """What happened to a watched batch since it was recorded."""

    NEW = "new"
    CHANGED = "changed"  # its status, its counts, its times, or the manifest that tracks it
    UNCHANGED = "unchanged"
    GONE = "gone"  # recorded, asked for by its id, and the service does not know it any more
    UNKNOWN = "unknown"  # it could not be seen, which says nothing of it (R7)
    NO_LONGER_TRACKED = "no-longer-tracked"  # recorded, and no manifest asks for it


#: Instead of a batch's id, in the address of a listing that could not be read.
LISTING = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedChange:
    """One watched batch, and what happened to it.

    Attributes:
        address: the tracking manifest's name and the batch's id, or `LISTING` where a whole listing
            could not be read.
        id: which batch of which service; its id is "" for a listing.
        happened: in one word.
        reason: in one sentence.
        now: as it was seen, completed by what was known of it; None where it was not seen.
        before: as it was recorded; None where it was not.
        health: how it is doing, as last known; None where nothing is known.
    """

    address: Address
    id: WatchedId
    happened: Happened
    reason: str
    now: Watched | None = None
    before: Watched | None = None
    health: Health | None = None

    @property
    def recordable(self) -> bool:
        """Whether the lockfile is to say something new of it."""
        return self.happened in _RECORDED


_RECORDED = frozenset({Happened.NEW, Happened.CHANGED, Happened.NO_LONGER_TRACKED})


class Question(NamedTuple):
    """A batch to ask for by its id.

    Attributes:
        provider: the provider block to ask through: two of them may lead to one service with the keys of
            two accounts, and each knows its own batches only.
    """

    provider: str
    id: WatchedId


@dataclass(frozen=True, slots=True)
class Sightings:
    """What one look at all watched services saw.

    Attributes:
        listed: per tracking manifest that is read by a listing, everything that it has, or why that
            is not known. A manifest that is not in it was not looked at.
        asked: what was asked for by its id; this is newer than any listing.
    """

    listed: Mapping[str, tuple[Watched, ...] | Unknown] = field(default_factory=dict)
    asked: Mapping[Question, Watched | Unknown] = field(default_factory=dict)
