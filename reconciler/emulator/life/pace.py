"""How fast batches go, and how they end: settings, and pure functions of a seed.

A fate depends on what is processed and not on when it was asked for: directories, configurations and files
of the same names, and the same attempts, fare alike in every run with the same seed, in whatever order and
however many at once. Names, because ids that the API gave are others in each run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from reconciler.emulator.chance import draw

if TYPE_CHECKING:
    from reconciler.emulator.moments import Micros

# What a file that is to fail says, and what one says for which no job could be made.
FILE_FAILED = "the document could not be processed (a failure on purpose: --fail-files)"
BATCH_FAILED = "a failure on purpose: --fail-batches"


class Fate(Enum):
    """How a batch is going to end, unless somebody cancels it."""

    COMPLETE = auto()
    FAIL = auto()
    CANCEL = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long things take, by the service's clock, and which shares of them fare badly.

    Attributes:
        pending: from create to the start.
        per_file: from the start to the end, for each file.
        job_lag: how much later than its batch a file's job ends.
        cancel_lag: from the request to cancel until the batch is CANCELLED.
        max_running: how many batches run at once; others wait as THROTTLED. None for any number.
        failing_files: share of files whose job fails, from 0 to 1.
        failing_batches: share of batches that end as FAILED.
        cancelled_batches: share of batches that are CANCELLED while they run.
        seed: which ones they are.
        read: whether documents are really read; else each is taken to have been.
    """

    pending: Micros = 0
    per_file: Micros = 0
    job_lag: Micros = 0
    cancel_lag: Micros = 0
    max_running: int | None = None
    failing_files: float = 0.0
    failing_batches: float = 0.0
    cancelled_batches: float = 0.0
    seed: int = 0
    read: bool = True

    def fate(self, likeness: str, attempt: int) -> Fate:
        """Say how a batch over things of these names ends that is its key's `attempt`-th, counted from 0."""
        drawn = draw(self.seed, "batch", likeness, attempt)
        if drawn < self.failing_batches:
            return Fate.FAIL
        if drawn < self.failing_batches + self.cancelled_batches:
            return Fate.CANCEL
        return Fate.COMPLETE

    def fails(self, likeness: str, name: str, attempt: int) -> bool:
        """Say whether the job of a file of such a batch fails."""
        return draw(self.seed, "file", likeness, name, attempt) < self.failing_files
