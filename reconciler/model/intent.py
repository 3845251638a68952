"""The durable notes around a create, and every way in which one can end (C3 to C7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.batch import Address, Batch, Key
    from reconciler.model.lock import Entry, Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be sent, written down before the first byte of it is (C3).

    Attributes:
        id: this intent's own name.
        known: the ids of all batches of the directory, live or ever recorded, just before the send:
            whatever else appears there afterwards may be what this intent made.
        evidence: why the batch is wanted.
        at: by this tool's clock.
        run: the run that wrote it.
    """

    id: str
    key: Key
    address: Address
    known: frozenset[str]
    evidence: Evidence
    at: datetime
    run: str
    directory_name: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """The reply named the batch that this create made."""

    batch: Batch
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Not a byte reached the service; it may be sent again."""

    why: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """Its turn to be sent came when it was not to be sent any more: not a byte of it left."""

    why: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The service said no, so nothing was made.

    Attributes:
        final: True for 401, 402 and 403, which every other create of the run would meet too (C4).
    """

    status: int
    why: str
    final: bool
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: nothing was made; to be sent again after a wait of so many seconds, if the service said."""

    retry_after: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Whether a batch was made is not known: time-out, reset, 408, 409, 5xx, a reply without sense."""

    why: str


#: What one send came to. Closed: whoever handles it handles all six.
SendOutcome: TypeAlias = Created | NotSent | Withheld | Rejected | Throttled | Unanswered


class Closing(StrEnum):
    """How an intent was settled for good."""

    CREATED = "created"
    FOUND = "found"
    ABSENT = "absent"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"  # it was certainly never sent


@dataclass(frozen=True, slots=True)
class Settled:
    """An intent's end, and the entry that it left when there is a batch (C9)."""

    intent: str
    closing: Closing
    why: str = ""
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class JournalState:
    """What the journal says to a run that begins.

    Attributes:
        open: intents without an end, oldest first.
        recovered: entries whose outcome reached the journal but not the lockfile, newest last (C9).
        warm: True when this journal is the one that the last run closed, with this very lockfile (C2).
    """

    open: tuple[Intent, ...] = ()
    recovered: tuple[Entry, ...] = ()
    warm: bool = False
