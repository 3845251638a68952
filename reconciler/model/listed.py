"""Live batches as somebody lists them: which ones, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.batch import Address, Batch, JobType, Status


class Filters(NamedTuple):
    """Which batches to list; None leaves one out. Times are inclusive, and by the services' clocks."""

    directory: str | None = None
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None
    job: JobType | None = None
    configuration: str | None = None


class Role(StrEnum):
    """What a live batch is to the address that its key belongs to."""

    STANDS = "stands"  # the recorded one
    RECORDED = "recorded"  # an earlier or a surplus one
    UNRECORDED = "unrecorded"  # not in the lockfile, and of a key that is
    NONE = "none"  # nobody's


@dataclass(frozen=True, slots=True)
class Listed:
    """A live batch.

    Attributes:
        provider: the provider block that it was found through.
        owner: the address that desires or records its key; None where none does.
    """

    batch: Batch
    provider: str
    owner: Address | None
    role: Role


@dataclass(frozen=True, slots=True)
class Missed:
    """A provider whose batches could not all be listed, and why."""

    provider: str
    why: str


#: Whoever wants to see a listing page by page.
Reader: TypeAlias = Callable[[Sequence[Listed]], None]
