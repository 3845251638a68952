"""What became of files: which batches are asked, in what order, and what of it is worth recording.

How a batch is read is the engine's business, how it looks that of whoever asks.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.core.record import with_counts
from reconciler.core.recorded import Watching, choose
from reconciler.engine.outcomes import counts_of
from reconciler.engine.results import Depth, in_turn
from reconciler.model.batch import Status
from reconciler.model.errors import SettingsError
from reconciler.model.outcomes import CAME_TO_NOTHING, BatchOutcomes, Failing, Tally, worth_a_look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from reconciler.core.recorded import Choice
    from reconciler.engine.results import Reading
    from reconciler.model.batch import Address, FileCounts, Home
    from reconciler.model.lock import Lock
    from reconciler.model.manifest import TrackedBatch
    from reconciler.model.outcomes import Rerun
    from reconciler.model.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to know.

    Attributes:
        targets: ``SET``, ``SET/DIRECTORY_ID``, ``label=value`` or the id of a recorded batch; none for all.
        batches: ids of recorded batches, whether they stand for their key or not.
        file: the id of the one file that is wanted, or "".
        deep: ask each job what became of its file.
        failed: tell only of what came to nothing, or could not be read; asks each job.
        manifest: where to write a manifest that has the directories of files that failed processed once
            more, or "".
    """

    targets: Sequence[str] = ()
    batches: Sequence[str] = ()
    file: str = ""
    deep: bool = False
    failed: bool = False
    manifest: str = ""

    @property
    def depth(self) -> Depth:
        """How much is asked of each batch."""
        return Depth(deep=self.deep or self.failed, file=self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsRead:
    """What was read, when all of it was told.

    Attributes:
        failing: the batches with files that came to nothing, sorted.
        not_recorded: why the counts that are known now are not in the lockfile, or "".
        clocks: the services' own times when all was read, where they told.
        rerun: what was written to have directories processed once more; None where nobody asked for it.
    """

    tally: Tally
    failing: tuple[Failing, ...] = ()
    not_recorded: str = ""
    clocks: Mapping[Home, datetime] = field(default_factory=dict)
    rerun: Rerun | None = None


@dataclass(slots=True)
class Reader:
    """Tells of batches one by one, and keeps of each no more than its numbers."""

    wish: Wish
    tell: Callable[[BatchOutcomes], None]
    tally: Tally = field(default_factory=Tally)
    failing: list[Failing] = field(default_factory=list)
    counts: dict[tuple[Address, str], FileCounts] = field(default_factory=dict)
    _found: bool = False

    async def read(self, readings: Iterable[Reading]) -> None:
        """Read and tell.

        Raises:
            SettingsError: no batch has the file that is wanted.
            ServiceError: a service does not accept the key.
        """
        async with contextlib.aclosing(in_turn(readings)) as batches:
            async for read in batches:
                self._take(read)
        if self.wish.file and not self._found and not self.tally.unread_batches:
            raise SettingsError(
                f"no batch that was asked has the file {self.wish.file!r}",
                next="`reconciler results` lists the files of each; older batches are named with --batch",
            )

    def _take(self, read: BatchOutcomes) -> None:
        if self.wish.file and not read.files and not read.why:
            return
        self._found |= bool(read.files)
        self.tally = self.tally.and_of(read)
        if any(item.status in CAME_TO_NOTHING for item in read.files or ()):
            self.failing.append(Failing(read.address, read.batch, read.status))
        # The service gives no reliable results of a batch that ended otherwise.
        if read.status is Status.COMPLETED and not self.wish.file and (counts := counts_of(read.files)):
            self.counts[read.address, read.batch] = counts
        if self.wish.failed:
            shown = tuple(filter(worth_a_look, read.files or ()))
            if not (shown or read.why or read.ended_badly):
                return
            left_out = len(read.files or ()) - len(shown)
            read = replace(read, files=None if read.files is None else shown, left_out=left_out)
        self.tell(read)


def chosen(project: Project, lock: Lock, wish: Wish) -> tuple[Choice, ...]:
    """The recorded batches that are meant.

    Raises:
        SettingsError: a target fits nothing that is recorded.
    """
    labels = {item.name: item.labels for item in project.sets}
    labels |= {item.name: item.labels for item in project.tracked}
    return choose(lock, labels, wish.targets, wish.batches)


def watched_by(project: Project, batches: Iterable[Choice]) -> tuple[TrackedBatch, ...]:
    """The tracking manifests that these batches are watched for, so that no other key is needed."""
    names = {item.entry.address.set for item in batches if isinstance(item, Watching)}
    return tuple(item for item in project.tracked if item.name in names)


def with_all(lock: Lock, counts: Mapping[tuple[Address, str], FileCounts]) -> Lock:
    """The lockfile with these counts."""
    entries = dict(lock.entries)
    for key, entry in lock.entries.items():
        for item in entry.batches:
            known = counts.get((entry.address, item.id), item.files)
            if known is not None and known != item.files:
                entries[key] = with_counts(entries[key], item.id, known)
    return replace(lock, entries=entries)
