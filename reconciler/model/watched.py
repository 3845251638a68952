"""Batches that are only looked at: those that a service forms by itself, and those of other people (R16)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.batch import FileCounts, Status


class WatchedId(NamedTuple):
    """Which batch of which service. What work it does need not be known."""

    endpoint: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A batch as its service reported it, in words that all services share.

    Attributes:
        status: the nearest status of ours: an expired batch has FAILED.
        word: the service's own word for the status, for people.
        counts: how its files or items fared, where the service says so.
    """

    id: WatchedId
    status: Status
    word: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    counts: FileCounts | None = None


class FileStatus(StrEnum):
    """What became of one file of a batch."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PROCESSING = "processing"  # its job has not ended
    UNKNOWN = "unknown"  # it was given a job; what became of that was not asked, or not answered
    MISSING = "missing"  # a file of the directory that the batch says nothing of
    NEWER = "newer"  # likewise, but it changed after the batch was made, so it need not be the batch's


class JobOutcome(NamedTuple):
    """What became of one file's job.

    Attributes:
        error: why it failed, or why that is not known; or "".
    """

    status: FileStatus
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutcome:
    """One file of a batch, and what became of it.

    Attributes:
        file: the directory file's id, or the item's on a service without directories.
        name: the file's name, or "" where it is not known.
        job: the id of the job made for it, or "".
        job_type: the product that the job runs, in the service's own word, or "".
        error: why it failed, or why that is not known; or "".
    """

    file: str
    status: FileStatus
    name: str = ""
    job: str = ""
    job_type: str = ""
    error: str = ""
