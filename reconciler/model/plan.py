"""The plan: an immutable value, one action per key, each with one reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from reconciler.model.batch import Address, Batch, Key
    from reconciler.model.lock import Evidence, PinKind
    from reconciler.model.tracking import TrackedChange


class ActionKind(StrEnum):
    """What is to be done about one key. The rules in ``docs/rules.md`` say when."""

    CREATE = "create"
    ADOPT = "adopt"
    KEEP = "keep"
    MOVE = "move"
    FORGET = "forget"
    CANCEL = "cancel"
    BLOCKED = "blocked"
    UNRESOLVED = "unresolved"


class ReasonCode(StrEnum):
    """Why. The first seven are R3's reasons for a create; a code is an interface, its text is not."""

    MISSING = "missing"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STALE_AFTER = "stale-after"
    STALE_AGE = "stale-age"
    INPUT_CHANGED = "input-changed"
    CONFIGURATION_CHANGED = "configuration-changed"

    SATISFIED = "satisfied"
    NOT_RECORDED = "not-recorded"
    NEW_ADDRESS = "new-address"
    NOT_DESIRED = "not-desired"

    ATTEMPTS_EXHAUSTED = "attempts-exhausted"
    HELD = "held"
    SAME_WORK = "same-work"
    DEPENDS_ON = "depends-on"
    CANARY = "canary"
    PREFLIGHT = "preflight"
    OPEN_INTENT = "open-intent"
    UNKNOWN = "unknown"


class Reason(NamedTuple):
    """A code for programs, and a sentence for people."""

    code: ReasonCode
    text: str


class Action(NamedTuple):
    """What is to be done about one key.

    Attributes:
        batch: the live batch that the reason speaks of, if there is one.
        previous: the address that a MOVE leaves.
        directory_name: for people, where it is known.
        files: how many files a create would process, where that was counted.
        evidence: what a create is made for (R3).
    """

    kind: ActionKind
    address: Address
    key: Key
    reason: Reason
    batch: Batch | None = None
    previous: Address | None = None
    directory_name: str = ""
    files: int | None = None
    evidence: Evidence | None = None

    @property
    def changes(self) -> bool:
        """Whether applying it would do anything."""
        return self.kind in CHANGING


#: The kinds of actions that do something.
CHANGING = frozenset(
    {ActionKind.CREATE, ActionKind.ADOPT, ActionKind.MOVE, ActionKind.FORGET, ActionKind.CANCEL}
)


class Breach(NamedTuple):
    """A limit that the plan goes past (R15).

    Attributes:
        scope: whose limit it is: "" for the project's, else ``set NAME`` or ``label NAME=VALUE``.
    """

    limit: str
    allowed: int
    planned: int
    scope: str = ""


class Guarded(NamedTuple):
    """Something that the plan would create on or cancel, and that is protected.

    Attributes:
        what: the directory or configuration.
        source: where it is protected.
    """

    address: Address
    what: str
    source: str


class Closed(NamedTuple):
    """Creates or cancels that the plan has at a time when they may not be.

    Attributes:
        scope: whose windows they are: "" for the project's, else ``set NAME``.
        why: that no window is open, or why it is closed.
        source: where that is written.
        opens: when they next may be; None where that is not within a year.
        locally: the same as clocks there show it, or "".
    """

    scope: str
    why: str
    source: str
    opens: datetime | None = None
    locally: str = ""


class Level(StrEnum):
    """What a violated policy comes to."""

    ERROR = "error"
    WARNING = "warning"


class Violation(NamedTuple):
    """A policy that the plan's document does not satisfy.

    Attributes:
        policy: the policy's file.
        address: of the action that it is about, or "".
        at: where in the document, as ``actions[3].files``; "" for the whole.
        message: the author's, else what the schema says.
        level: whether it stands in the way of an apply.
        confirmable: whether confirming the plan's digest lifts it.
    """

    policy: str
    address: str
    at: str
    message: str
    level: Level = Level.ERROR
    confirmable: bool = True


class Since(NamedTuple):
    """What ``--changed-since`` selected.

    Attributes:
        ref: what was named.
        commit: the merge base that the manifests were compared with.
        sets: names of the manifests that have changed, sorted; None when the project file has, and so all.
    """

    ref: str
    commit: str
    sets: tuple[str, ...] | None


class Unread(NamedTuple):
    """A completed batch that a create waits for, and whose files nobody has read yet."""

    key: Key
    batch: str


class Selected(NamedTuple):
    """What a name or a pattern of a set stands for, against what it stood for when last applied (R13).

    Attributes:
        text: the name or pattern.
        means: the id of what a name stands for, with a configuration's version; "" for a pattern.
        total: how many directories or configurations it stands for.
        new: how many of them it did not stand for before.
        left: how many it stood for before and does not any more.
    """

    set: str
    kind: PinKind
    text: str
    means: str
    total: int
    new: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What stands against what is asked for, at one moment.

    Attributes:
        actions: sorted by address, then by key.
        not_selected: how many desired batches the selection left out.
        lineage: of the lockfile that it was made from.
        state: digest of that lockfile's entries.
        manifests: digest of the manifests.
        breaches: limits that it goes past.
        guarded: what it would touch and what is protected.
        closed: windows that are closed for what it would create or cancel.
        violations: policies that it does not satisfy, sorted.
        targets: what it was made for, sorted; everything if empty.
        since: what it was narrowed to by what has changed, or None.
        selected: what names and patterns stand for, sorted.
        unread: batches whose files have to be read before it is known whether others may follow, sorted.
        tracked: what happened to batches that are only watched; it is no change to confirm (R16).
    """

    actions: tuple[Action, ...]
    not_selected: int = 0
    lineage: str = ""
    state: str = ""
    manifests: str = ""
    breaches: tuple[Breach, ...] = ()
    guarded: tuple[Guarded, ...] = ()
    closed: tuple[Closed, ...] = ()
    violations: tuple[Violation, ...] = ()
    targets: tuple[str, ...] = ()
    since: Since | None = None
    selected: tuple[Selected, ...] = ()
    unread: tuple[Unread, ...] = ()
    tracked: tuple[TrackedChange, ...] = ()

    def count(self, kind: ActionKind) -> int:
        """How many actions are of a kind."""
        return sum(1 for action in self.actions if action.kind is kind)

    @property
    def changes(self) -> bool:
        """Whether applying the plan would do anything."""
        return any(action.changes for action in self.actions)

    @property
    def refused(self) -> tuple[Violation, ...]:
        """The violated policies that stand in the way of an apply."""
        return tuple(item for item in self.violations if item.level is Level.ERROR)

    @property
    def digest(self) -> str:
        """Names exactly what would be done; reasons' texts and what is kept do not count (R15)."""
        return digest_of((a.kind, str(a.address), str(a.key)) for a in self.actions if a.changes)


def digest_of(actions: Iterable[tuple[str, str, str]]) -> str:
    """A plan's digest from the kinds, addresses and keys of its actions, in their order."""
    return digest([[kind, address, key] for kind, address, key in actions if kind in CHANGING])
