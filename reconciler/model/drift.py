"""Drift: where what is live is not what is desired and recorded, as far as somebody can act on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.model.batch import Address, Batch, Home, Key


class DriftKind(StrEnum):
    """What kind of drift. Closed; a kind is an interface, the sentence beside it is not."""

    NOT_DESIRED = "not-desired"  # over a directory that no manifest names
    OTHER_WORK = "other-work"  # over a desired directory, with a job or configuration that nobody asked for
    GONE = "gone"  # recorded, and not known to the service any more
    DIFFERENT = "different"  # recorded, and not what was recorded
    SURPLUS = "surplus"  # beside the batch that stands for the same work


@dataclass(frozen=True, slots=True)
class Census:
    """Everything that was seen of one project of one service.

    Attributes:
        batches: what is live, sorted by id.
        gone: ids that are recorded and that the service answers 404 for.
        closed: directories that nobody asks for and that do not exist any more.
        unknown: why the listing need not be whole, or "": then it says nothing about what is not there (R7).
    """

    batches: tuple[Batch, ...] = ()
    gone: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing that drifted.

    Attributes:
        key: the work that it is about, as desired or recorded where it is.
        batch: as seen, or as recorded when it is gone.
        address: which desired or recorded batch it is about; None where it is nobody's.
        why: in a sentence.
        next: the command that helps, or "" where none does.
        counts: whether anybody can act on it; what does not count is shown on request only.
        recorded: what was recorded, field by field, where that is what differs.
        live: what is live, likewise.
    """

    kind: DriftKind
    key: Key
    batch: Batch
    address: Address | None
    why: str
    next: str
    counts: bool = True
    recorded: Mapping[str, str] = field(default_factory=dict)
    live: Mapping[str, str] = field(default_factory=dict)


class Unseen(NamedTuple):
    """A project of a service of which it is not known what is live, and why."""

    home: Home
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What drifted, at one moment.

    Attributes:
        deviations: sorted by kind, address and batch; those that do not count among them.
        ignored: how many deviations the project file says to ignore.
        unseen: what could not be looked at: never read as nothing (R7).
        since: batches created earlier were not looked at; None when all were.
    """

    deviations: tuple[Deviation, ...]
    ignored: int = 0
    unseen: tuple[Unseen, ...] = ()
    since: datetime | None = None

    def count(self, kind: DriftKind) -> int:
        """How many deviations of a kind somebody can act on."""
        return sum(1 for item in self.deviations if item.counts and item.kind is kind)

    @property
    def found(self) -> bool:
        """Whether there is anything to act on."""
        return any(item.counts for item in self.deviations)
