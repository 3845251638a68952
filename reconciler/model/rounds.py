"""What `run` does round after round, as values: why a project is looked at, what came of it, what is told.

A round is one project's turn: fetch, load, plan, and apply where there is something to do and nothing is
against it. When the next one is due is `core.schedule`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from reconciler.model.events import Event
    from reconciler.model.plan import Plan
    from reconciler.model.result import Applied


class Why(StrEnum):
    """What a round is held for."""

    START = "start"
    INTERVAL = "interval"
    RETRY = "retry"  # the one before failed, and the time to wait after that is over
    HANGUP = "hangup"  # SIGHUP: a person says that there is something to see
    WEBHOOK = "webhook"  # a hint of the service's


class RoundResult(StrEnum):
    """What a round came to. An interface: metrics and logs go by these words."""

    UNCHANGED = "unchanged"  # everything is as desired, or waits for what runs
    APPLIED = "applied"
    OBSERVED = "observed"  # there is something to do, and nobody said that it may be done
    PAUSED = "paused"  # there is something to do, and the pause file is there
    STANDBY = "standby"  # there is something to do, and another holds the lock (C1)
    REFUSED = "refused"  # a limit, a window, a policy or a protection is in the way (R15)
    STOPPED = "stopped"  # a signal ended it (C8)
    TIMED_OUT = "timed-out"  # --timeout ended it
    INCOMPLETE = "incomplete"  # something could not be seen (R7)
    UNRESOLVED = "unresolved"  # an outcome is not known, or several batches are one piece of work
    FAILED = "failed"  # a create was refused, or came to nothing
    ERROR = "error"  # it could not be planned or applied at all


#: After these the project is as it should be, as far as this process may see to that.
WELL = frozenset({RoundResult.UNCHANGED, RoundResult.APPLIED, RoundResult.OBSERVED, RoundResult.PAUSED})
#: After these the next round waits longer and longer.
FAILING = frozenset(
    {
        RoundResult.TIMED_OUT,
        RoundResult.INCOMPLETE,
        RoundResult.UNRESOLVED,
        RoundResult.FAILED,
        RoundResult.ERROR,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One project's turn.

    Attributes:
        project: the project's name; its folder for as long as no round could read the project file.
        result: what it came to.
        why: what it was held for.
        seconds: how long it took.
        folder: the project's, as the command line has it.
        lacks: what it could not even begin without, in words that tell nothing of the project's; or "".
        commit: what was checked out for it, or "".
        plan: what stood against what was asked for, if that was found out.
        applied: what applying it came to, if the lock was had.
        unresolved: how many creates have an outcome that is not known.
        because: why it was applied, or was not, in a few words; "" where the result says it.
        error: what ended it; an error of the tree or, where nobody expected it, any other.
    """

    project: str
    folder: str
    result: RoundResult
    why: Why
    seconds: float = 0.0
    lacks: str = ""
    commit: str = ""
    plan: Plan | None = None
    applied: Applied | None = None
    unresolved: int = 0
    because: str = ""
    error: Exception | None = None


class Verdict(StrEnum):
    """What was thought of a call of the webhook's address. An interface, as the results are."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"  # genuine, and known already
    STALE = "stale"  # genuine, and too old or too new to be a hint
    UNSIGNED = "unsigned"
    FORGED = "forged"  # signed by another secret, or changed since
    TOO_LARGE = "too-large"


class Began(NamedTuple):
    """The loop begins: which folders, how often, whether it may create, and where it listens ("" nowhere)."""

    projects: tuple[str, ...]
    interval: float
    approved: bool
    listening: str


class Fetched(NamedTuple):
    """Another commit was checked out."""

    ref: str
    commit: str
    before: str


class RoundBegan(NamedTuple):
    """A project's turn has come."""

    project: str
    why: Why


class Happening(NamedTuple):
    """Something happens within a round."""

    project: str
    event: Event


class RoundEnded(NamedTuple):
    """A round is over.

    Attributes:
        failures: how many of the project's rounds have failed in a row.
        next: its next one is due in so many seconds at the latest; None where there is none.
    """

    round: Round
    failures: int
    next: float | None


class Paused(NamedTuple):
    """The pause file has come or gone."""

    paused: bool
    file: str


class Called(NamedTuple):
    """The webhook's address was called; so many calls got this verdict since the last word of it."""

    verdict: Verdict
    times: int


class Looking(NamedTuple):
    """A signal asks to look now."""


class Ending(NamedTuple):
    """A signal asks to end."""

    signal: int


LoopEvent: TypeAlias = (
    Began | Fetched | RoundBegan | Happening | RoundEnded | Paused | Called | Looking | Ending
)

#: Whoever wants to see the loop go by. It is told from the loop's own thread, but for `Called`.
LoopListener: TypeAlias = Callable[[LoopEvent], None]


class Bell(Protocol):
    """What wakes the loop before its time."""

    def wait(self, seconds: float) -> frozenset[Why]:
        """Wait so long, or until somebody rings; gives what was rung since, nothing for none."""
        ...


class Work(Protocol):
    """One project, as the loop sees it."""

    @property
    def project(self) -> str:
        """What it is called now."""
        ...

    def round(self, why: Why) -> Round:
        """Hold one round. Whatever goes wrong is in what it gives."""
        ...

    def unfetched(self, why: Why, error: Exception) -> Round:
        """The round that could not be held since what it needs could not be had."""
        ...
