"""Manifests made from live batches: what is asked for there, and what is only remarked on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.batch import Batch, JobType, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which live batches to export. All that is None or empty leaves nothing out.

    Attributes:
        directories: ids.
        since: created then or later.
        until: created then or earlier.
        configuration: an id.
    """

    directories: tuple[str, ...] = ()
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None
    job: JobType | None = None
    configuration: str | None = None


class Omitted(StrEnum):
    """Why a batch is not asked for. Closed."""

    FAILED = "failed"
    CANCELLED = "cancelled"
    SURPLUS = "surplus"  # another batch of the same work stands
    NO_DIRECTORY = "no-directory"
    SAME_WORK = "same-work"  # R12: another exported set asks for the same directory, job and configuration
    UNWRITABLE = "unwritable"  # an id that no manifest can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A batch that is not asked for, and why.

    Attributes:
        why: in a sentence.
        name: its directory's name, or "".
    """

    batch: Batch
    directory: str
    reason: Omitted
    why: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ExportedDirectory:
    """A directory that is asked for: its name is for people, and the batch is what a plan will adopt."""

    id: str
    name: str
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSet:
    """One manifest: one job of one provider over some directories.

    Attributes:
        name: unique among the sets of the project and of the export.
        directories: sorted by id; none where there are only remarks.
        remarks: sorted by directory and batch.
    """

    name: str
    provider: str
    job: JobType
    configuration: str
    directories: tuple[ExportedDirectory, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Everything that was exported.

    Attributes:
        sets: sorted by name.
        desired: how many live batches are of work that a manifest of the project asks for already.
    """

    sets: tuple[ExportedSet, ...]
    desired: int

    @property
    def asked_for(self) -> int:
        """How many directories the manifests ask for."""
        return sum(len(item.directories) for item in self.sets)

    @property
    def remarked(self) -> int:
        """How many batches are only remarked on."""
        return sum(len(item.remarks) for item in self.sets)
