"""What an apply came to: one result per action, and what a person has to be told beyond them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reconciler.model.batch import Address, Batch, Key
    from reconciler.model.plan import Action, Closed, Plan


class Outcome(StrEnum):
    """How an action ended."""

    CREATED = "created"  # a reply named the batch
    FOUND = "found"  # the reply was lost, the batch was seen
    ADOPTED = "adopted"
    KEPT = "kept"
    MOVED = "moved"
    FORGOTTEN = "forgotten"
    CANCEL_ASKED = "cancel-asked"
    REJECTED = "rejected"  # the service said no
    FAILED = "failed"  # nothing was made, after all tries
    BLOCKED = "blocked"
    UNKNOWN = "unknown"  # an intent stays open
    UNSEEN = "unseen"  # the listing was incomplete, so nothing was sent
    NOT_STARTED = "not-started"  # the run ended before its turn


class Cancelling(NamedTuple):
    """What came of asking for a cancel by hand.

    Attributes:
        batch: as the service has it; it need not be CANCELLED yet, or has ended otherwise.
        asked: whether it was asked for; a batch that had ended before is left alone.
    """

    batch: Batch
    asked: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One action and its end."""

    action: Action
    outcome: Outcome
    why: str = ""
    batch: Batch | None = None


class Finding(NamedTuple):
    """Batches that a person has to look at, because they may be one piece of work done twice (C5, C10).

    Attributes:
        ambiguous: True when a batch of another configuration appeared that no other create explains, so
            that it may be ours under another name; False when several batches of one key exist.
        stands: of several batches of one key, the one that counts; the others are surplus.
    """

    address: Address
    key: Key
    batches: tuple[str, ...]
    ambiguous: bool
    stands: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """An apply's whole outcome.

    Attributes:
        plan: what was approved.
        results: one per action that was not KEEP, in the plan's order.
        findings: duplicates and ambiguity.
        batches: the batches that the run waited for, as last seen.
        failed_files: how many files of those batches came to nothing.
        not_looked_again: addresses of creates whose reply was lost, and which the run did not stay to look
            for once more (C10).
        unresolved: addresses of creates whose outcome is still not known, of earlier runs too (C6).
        ended: why no further create was begun, or "".
        stopped: the signal that ended the run, or None.
        timed_out: whether its time was up.
        closed: windows that closed while it went on, so that it did not begin everything.
    """

    plan: Plan
    results: tuple[Result, ...] = ()
    findings: tuple[Finding, ...] = ()
    batches: tuple[Batch, ...] = ()
    failed_files: int = 0
    not_looked_again: tuple[Address, ...] = ()
    unresolved: tuple[Address, ...] = ()
    ended: str = ""
    stopped: int | None = None
    timed_out: bool = False
    closed: tuple[Closed, ...] = ()
