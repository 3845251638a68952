"""The audit log: a line, which says who did what to which batch, why, and what came of it; and its faults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """What happened to one address.

    Attributes:
        action: the action's kind, ``cancel`` by hand among them; ``resolve`` for what an earlier run had left
            open, ``recover`` for what it had recorded in the journal alone, ``duplicate`` for a batch that
            stands beside another, ``import`` for one recorded by hand, and ``track`` for one that is only
            watched, whose key is the endpoint.
        outcome: how it ended.
        why: the reason for the action, and after a failure what the service said.
        plan: digest of the plan that was approved.
        request_id: the service's own name for the request, or "".
    """

    time: datetime
    action: str
    address: str
    key: str
    batch: str
    outcome: str
    why: str = ""
    plan: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, order=True)
class AuditFault:
    """One thing that is wrong with the audit log, and the file and line where it is to be put right.

    Attributes:
        file: relative to the project's folder.
        line: counted from 1; where a line is missing, the one that it would be.
        what: the fault.
        next: the command or edit that helps.
    """

    file: str
    line: int
    what: str
    next: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class SignedHeads:
    """Lines that somebody with the key vouched for, and with them all that comes before.

    Attributes:
        heads: each ``FILE#HASH``.
        time: when they were signed, as it was written then.
        key: the digest of the public key that the signature holds with.
        source: where it stands.
    """

    heads: tuple[str, ...]
    time: str
    key: str
    source: Source


@dataclass(frozen=True, slots=True)
class HeldAgainst:
    """What the audit log was held against beside itself, which says what would have shown.

    Attributes:
        lockfile: its name, or "" where there was none.
        heads: how many it holds.
        keys: the digests of the public keys that were given; without one no signature was looked at.
        signatures: how many hold.
        newest: when the newest of these was made, or "".
    """

    lockfile: str = ""
    heads: int = 0
    keys: tuple[str, ...] = ()
    signatures: int = 0
    newest: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying the audit log came to.

    Attributes:
        files: how many there are.
        lines: how many whole lines they have; what a crash tore does not count.
        faults: sorted by file and line.
        against: what it was held against.
    """

    files: int
    lines: int
    faults: tuple[AuditFault, ...]
    against: HeldAgainst = HeldAgainst()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line of the audit log as it is read, with what its file's header says of the run.

    Attributes:
        file: as messages name it.
        line: counted from 1.
        time: as written: RFC 3339, in UTC.
        run: names the run.
        actor: who ran it, and where that name comes from.
        approver: who approved it, or "", and where that name comes from; ``unknown`` without one.
        ci_run: the CI run's address, or "".
        commit: the git commit, or "".
        dirty: whether the work tree differed from it; None where that is not known.
    """

    file: str
    line: int
    time: str
    run: str
    actor: str
    actor_source: str
    approver: str
    approver_source: str
    ci_run: str
    commit: str
    dirty: bool | None
    plan: str
    action: str
    address: str
    key: str
    batch: str
    outcome: str
    why: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which lines of the audit log somebody wants; of each kind any, and nothing asks for all.

    Attributes:
        since: what happened then or later.
        until: what happened then or earlier.
        actors: a whole name as it stands there, or the name or the address of ``NAME <ADDRESS>``.
        sets: names of sets.
        batches: ids of batches.
        actions: kinds of actions.
    """

    since: datetime | None = None
    until: datetime | None = None
    actors: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    batches: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()

    def fits(self, line: Told) -> bool:
        """Whether a line is one of them. One whose time cannot be read has none, and fits no bound."""
        return (
            (not self.actions or line.action in self.actions)
            and (not self.batches or line.batch in self.batches)
            and (not self.sets or line.address.partition("/")[0] in self.sets)
            and (not self.actors or not self.actors.isdisjoint(_names(line.actor)))
            and self._in_time(line.time)
        )

    def _in_time(self, text: str) -> bool:
        if self.since is None and self.until is None:
            return True
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return False
        if time.tzinfo is None:
            return False
        return (self.since is None or self.since <= time) and (self.until is None or time <= self.until)


def _names(actor: str) -> tuple[str, ...]:
    """What somebody may call an actor."""
    name, bracket, address = actor.partition(" <")
    return (actor, name, address.removesuffix(">")) if bracket else (actor,)


@dataclass(frozen=True, slots=True)
class LogRead:
    """What reading the audit log came to.

    Attributes:
        shown: how many lines fitted.
        lines: how many lines of actions there are.
        unread: how many lines could not be read.
    """

    shown: int
    lines: int
    unread: int


@dataclass(frozen=True, slots=True)
class FoundIn:
    """How the thing that somebody asked about led to a batch: through its files.

    Attributes:
        batch: the batch's id.
        address: where it is recorded.
        file: the file's id.
        name: the file's name.
        job: the id of its job, or "".
        status: what became of it, as the service said.
    """

    batch: str
    address: str
    file: str
    name: str
    job: str
    status: str


@dataclass(frozen=True, slots=True)
class Story:
    """Why something is there, walked back as far as the audit log goes.

    Attributes:
        thing: what was asked about.
        found: the batches that it was found in, where it is no batch itself.
        lines: of the batch or batches, in the order of time.
        recorded: the addresses at which a batch without lines is recorded.
        unread: how many lines of the log could not be read.
    """

    thing: str
    found: tuple[FoundIn, ...]
    lines: tuple[Told, ...]
    recorded: tuple[str, ...] = ()
    unread: int = 0
