"""What was read of the files of one batch, and of many: as values, for people and for exit codes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.batch import Status
from reconciler.model.watched import FileStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.model.batch import Address
    from reconciler.model.source import Source
    from reconciler.model.watched import FileOutcome

#: A file that came to nothing; one of which its batch says nothing is among them.
CAME_TO_NOTHING = frozenset({FileStatus.FAILED, FileStatus.MISSING})

#: How a batch itself comes to nothing.
ENDED_BADLY = frozenset({Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcomes:
    """One batch, and what became of its files.

    Attributes:
        address: where it is recorded.
        batch: its id.
        status: as last seen.
        files: sorted by file; None where the service does not say, or could not be asked.
        why: why they could not be read although they are to be had, or "".
        left_out: how many more files it has, which nobody wants to see here.
    """

    address: Address
    batch: str
    status: Status
    files: tuple[FileOutcome, ...] | None
    why: str = ""
    left_out: int = 0

    @property
    def ended_badly(self) -> bool:
        """Whether the batch itself came to nothing, whatever it says of its files."""
        return self.status in ENDED_BADLY


def unread(item: FileOutcome) -> bool:
    """Whether somebody tried to learn what became of a file, and could not (R7)."""
    return item.status is FileStatus.UNKNOWN and bool(item.error)


def worth_a_look(item: FileOutcome) -> bool:
    """Whether ``--failed`` shows a file: it came to nothing, or that could not be ruled out."""
    return item.status in CAME_TO_NOTHING or unread(item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Many batches in a few numbers.

    Attributes:
        batches: how many there were.
        files: how many files fared how.
        ended_badly: how many batches are FAILED or CANCELLED.
        unread_batches: of how many nothing could be read.
        unread_files: of how many files not, in those that were read.
    """

    batches: int = 0
    files: Mapping[FileStatus, int] = field(default_factory=dict)
    ended_badly: int = 0
    unread_batches: int = 0
    unread_files: int = 0

    def and_of(self, read: BatchOutcomes) -> Tally:
        """These and one more."""
        files = read.files or ()
        return Tally(
            batches=self.batches + 1,
            files=Counter(self.files) + Counter(item.status for item in files),
            ended_badly=self.ended_badly + read.ended_badly,
            unread_batches=self.unread_batches + bool(read.why),
            unread_files=self.unread_files + sum(map(unread, files)),
        )

    @property
    def unread(self) -> bool:
        """Whether anything could not be read, so that the rest says nothing about all."""
        return bool(self.unread_batches or self.unread_files)

    @property
    def failed(self) -> bool:
        """Whether any file or batch came to nothing."""
        return bool(self.ended_badly or any(self.files.get(status) for status in CAME_TO_NOTHING))


class Failing(NamedTuple):
    """A batch with files that came to nothing, as last seen."""

    address: Address
    batch: str
    status: Status


class Edit(NamedTuple):
    """What a person has to change in a manifest, and where."""

    source: Source
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A set that has directories of another one processed once more.

    Attributes:
        of: the set that they belong to now.
        name: what the new one is called.
        configuration: the id of the one that their batches were made with. By its name the new set would look
            it up anew: with another one there would be nothing to outdate, and no two sets of one work (R12).
        directories: their ids, sorted.
        after: batches that were created before this do not count.
        edits: what takes the directories out of the set that they belong to now, sorted (R12).
    """

    of: str
    name: str
    configuration: str
    directories: tuple[str, ...]
    after: datetime
    edits: tuple[Edit, ...]


class LeftOut(NamedTuple):
    """A batch with files that failed, and why no set has it made anew."""

    address: Address
    batch: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What is to be processed once more, as it was written into a manifest.

    Attributes:
        file: the manifest, or "" where there was nothing to write.
        found: whether the project's patterns for manifests find it there.
    """

    file: str
    sets: tuple[Again, ...]
    left_out: tuple[LeftOut, ...]
    found: bool = True
