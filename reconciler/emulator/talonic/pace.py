"""How fast batches go, and how they end: settings, and pure functions of a seed.

The fate of an item hangs on its document's content, that of a batch on the contents that it holds,
and neither on when or in which order they came: the same contents fare alike in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from reconciler.emulator.chance import draw

if TYPE_CHECKING:
    from collections.abc import Collection

    from reconciler.emulator.moments import Micros

_MINUTE: Micros = 60 * 1_000_000
_HOUR: Micros = 60 * _MINUTE


class Fate(Enum):
    """How an item ends at the provider."""

    SUCCEED = auto()
    FAIL = auto()
    EXPIRE = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How batches form and how long things take, by the service's clock, and what fares badly.

    The defaults of threshold (a guess), timer, minimum, poll and window are Talonic's.

    Attributes:
        threshold: how many items submit a batch at once.
        timer: from a batch's first item until it is submitted, however many it has.
        minimum: a batch of fewer items is not submitted; its documents are processed in real time.
        turnaround: how long the provider takes.
        poll: how long between two looks at the provider; 0 looks without a pause.
        window: how long after submission what is not done expires.
        failing_items: share of items that fail, from 0 to 1.
        expiring_items: share of items that the provider never gets to; they hold up their batch.
        failing_batches: share of batches that the provider fails as a whole.
        seed: which ones they are.

    Raises:
        ValueError: if a setting is out of its bounds, or the minimum is above the threshold.
    """

    threshold: int = 100
    timer: Micros = 15 * _MINUTE
    minimum: int = 100
    turnaround: Micros = _HOUR
    poll: Micros = _HOUR
    window: Micros = 48 * _HOUR
    failing_items: float = 0.0
    expiring_items: float = 0.0
    failing_batches: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 1 <= self.minimum <= self.threshold:
            raise ValueError("the minimum must be at least 1 and not above the threshold")
        if min(self.timer, self.turnaround, self.poll, self.window) < 0:
            raise ValueError("a duration must not be negative")
        shares = (self.failing_items, self.expiring_items, self.failing_batches)
        if not all(0 <= share <= 1 for share in (*shares, self.failing_items + self.expiring_items)):
            raise ValueError("a share, and that of all items which fail or expire, must be from 0 to 1")

    def fate(self, digest: str) -> Fate:
        """Say how the item of a content ends, if its batch does not fail as a whole."""
        if self.turnaround > self.window:
            return Fate.EXPIRE
        drawn = draw(self.seed, "item", digest)
        if drawn < self.failing_items:
            return Fate.FAIL
        return Fate.EXPIRE if drawn < self.failing_items + self.expiring_items else Fate.SUCCEED

    def fails(self, digests: Collection[str]) -> bool:
        """Say whether the provider fails a batch of these contents as a whole."""
        return draw(self.seed, "batch", *sorted(digests)) < self.failing_batches

    def work_time(self, digests: Collection[str]) -> Micros:
        """Give how long the provider keeps a batch of these contents."""
        held_up = any(self.fate(digest) is Fate.EXPIRE for digest in digests)
        return self.window if held_up and not self.fails(digests) else min(self.turnaround, self.window)

    def seen_at(self, submitted: Micros, ready: Micros) -> Micros:
        """Give when the first poll comes that finds the provider done; polls start at submission."""
        if not self.poll:
            return ready
        polls = max(1, -((submitted - ready) // self.poll))
        return submitted + polls * self.poll
