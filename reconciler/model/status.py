"""Two columns about one address: does live match desired, and how is the batch doing?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from reconciler.model.batch import Address, Batch, FileCounts, Status


class Sync(StrEnum):
    """Whether what is live is what is desired and recorded."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"  # what is live could not be seen (R7)
    AMBIGUOUS = "Ambiguous"  # a create's outcome is not known (R8)


class Health(StrEnum):
    """How the batch that stands is doing. Healthy and Degraded are told apart by its files, by no listing."""

    UNKNOWN = "Unknown"  # nothing could be seen, which is not the same as nothing being there (R7)
    MISSING = "Missing"
    PROGRESSING = "Progressing"
    COMPLETED = "Completed"  # its files were not read yet
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"  # FAILED, CANCELLED, or files that failed


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRow:
    """One address.

    Attributes:
        place: the key, or the service of a batch that is only watched.
        why: why it is not Synced; "" where it is.
        batch: the id of the batch that is spoken of, or "" where there is none.
        status: that batch's status.
        word: the service's own word for it, where it has one of its own; else "".
        age: since the service made the batch, by the service's own clock.
        files: how the batch's files fared, once somebody read that.
        surplus: other batches of the same key that run, or that stand beside this one.
        directory_name: for people, where it is known.
        tracked: whether the batch is only watched (R16).
    """

    address: Address
    place: str
    sync: Sync
    health: Health
    why: str = ""
    batch: str = ""
    status: Status | None = None
    word: str = ""
    created_at: datetime | None = None
    age: timedelta | None = None
    files: FileCounts | None = None
    surplus: tuple[Batch, ...] = ()
    directory_name: str = ""
    tracked: bool = False

    @property
    def running(self) -> bool:
        """Whether its batch has not ended; one that is only watched can be Degraded by then."""
        return self.status is not None and not self.status.terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """What stands, at one moment.

    Attributes:
        at: by this tool's clock.
        rows: sorted by address.
        not_selected: how many desired batches ``--target`` left out.
    """

    at: datetime
    rows: tuple[StatusRow, ...] = ()
    not_selected: int = 0

    @property
    def by_sync(self) -> Mapping[Sync, int]:
        """How many rows there are of each."""
        return Counter(row.sync for row in self.rows)

    @property
    def by_health(self) -> Mapping[Health, int]:
        """How many rows there are of each."""
        return Counter(row.health for row in self.rows)

    @property
    def failed_files(self) -> int:
        """How many files came to nothing, of the batches whose files were read."""
        return sum(row.files.failed for row in self.rows if row.files is not None)

    @property
    def by_status(self) -> Mapping[Status, int]:
        """How many batches there are of each status, surplus ones left out."""
        return Counter(row.status for row in self.rows if row.status is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What waiting came to.

    Attributes:
        report: the batches that were waited for, as last seen.
        gone: addresses of batches that the service does not know any more.
        not_recorded: how many selected batches are desired and not recorded, so that none was waited for.
        unrecorded: why what was learned is not in the lockfile, or "".
        stopped: the signal that ended the waiting, or None.
        timed_out: whether its time was up.
    """

    report: StatusReport
    gone: tuple[Address, ...] = ()
    not_recorded: int = 0
    unrecorded: str = ""
    stopped: int | None = None
    timed_out: bool = False
