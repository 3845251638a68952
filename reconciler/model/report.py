"""A report: what stands, how it came about and what would follow, at one moment, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.model.audit import Told
    from reconciler.model.lock import Recorded
    from reconciler.model.status import StatusReport, StatusRow
    from reconciler.model.watched import FileOutcome


class Command(NamedTuple):
    """What somebody could do next.

    Attributes:
        text: as it is typed; ids are quoted for a shell.
        does: in a few words of ours.
    """

    text: str
    does: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One address, and everything that is known of how its batch came about.

    Attributes:
        row: as a status has it.
        recorded: the batch as the lockfile has it; None where it does not.
        earlier: other batches of the same work that the lockfile knows, oldest first.
        lines: what the audit log has about this work, in the order of time.
        failed: its files that came to nothing, where somebody asked for them.
        unread: why these could not be read, or "".
        next: commands that help here.
    """

    row: StatusRow
    recorded: Recorded | None = None
    earlier: tuple[Recorded, ...] = ()
    lines: tuple[Told, ...] = ()
    failed: tuple[FileOutcome, ...] = ()
    unread: str = ""
    next: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run, as the audit log tells of it.

    Attributes:
        first: its first line, which says who ran it and who approved it.
        ended: the time of its last line, as written.
        did: how often it did what, by the outcome's word, or the action's where an outcome says no more.
    """

    first: Told
    ended: str
    did: Mapping[str, int]


class Proposed(NamedTuple):
    """One action of a plan.

    Attributes:
        kind: the action's kind.
        address: where.
        name: the directory's name, where it is known.
        job: the job type and the configuration.
        files: how many a create would process, where that was counted.
        why: the reason; of a saved plan, its code.
    """

    kind: str
    address: str
    name: str
    job: str
    files: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanShown:
    """A plan, as far as a report shows it.

    Attributes:
        file: where it is saved; "" for one that was made for the report.
        digest: names what would be done.
        actions: those that are no KEEP, in the plan's order.
        kept: how many are.
        stale: why a saved one may not be applied any more, or "".
        held: what stands in the way of applying it (limits, protection, windows, policies), in sentences.
    """

    file: str = ""
    digest: str
    actions: tuple[Proposed, ...]
    kept: int
    stale: str = ""
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything at one moment.

    Attributes:
        project: its name.
        looked: whether the services were asked; else all of it is as it was recorded.
        status: what stands.
        stories: one for each row of it, in the same order.
        runs: what ran, oldest first.
        plan: what would follow; None where nobody looked and none was given.
        lines: how many lines the audit log has.
        unread: how many of them could not be read.
        files_asked: whether the services were asked for the names of files that failed.
    """

    project: str
    looked: bool
    status: StatusReport
    stories: tuple[Story, ...]
    runs: tuple[Ran, ...] = ()
    plan: PlanShown | None = None
    lines: int = 0
    unread: int = 0
    files_asked: bool = False

    @property
    def at(self) -> datetime:
        """When it was made, by this tool's clock."""
        return self.status.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was gathered for a report beside what stands.

    Attributes:
        told: the audit log's lines, in the order of time.
        lines: how many it has.
        unread: how many could not be read.
        failed: files that came to nothing, by the batch's id.
        unread_files: why a batch's files could not be read, by its id.
        files_asked: whether anybody asked for these.
    """

    told: tuple[Told, ...] = ()
    lines: int = 0
    unread: int = 0
    failed: Mapping[str, tuple[FileOutcome, ...]] = field(default_factory=dict)
    unread_files: Mapping[str, str] = field(default_factory=dict)
    files_asked: bool = False
