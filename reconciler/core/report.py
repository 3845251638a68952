"""From what was gathered to a report: each row with its story, the runs, and the plan as it is shown.

Nothing is looked up here and nothing decided anew: what stands was read from a plan by `status`, or, where
nobody looked, from the lockfile by `as_recorded`.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.core.status import health_of
from reconciler.core.tracking import health_of_watched
from reconciler.model.plan import ActionKind
from reconciler.model.report import Command, PlanShown, Proposed, Ran, Report, Story
from reconciler.model.status import Health, StatusReport, StatusRow, Sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from reconciler.model.audit import Told
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry, Lock, Recorded, TrackedEntry
    from reconciler.model.plan import Plan
    from reconciler.model.report import Known
    from reconciler.model.saved import SavedPlan

_OPEN = "a create was sent, and its outcome is not known"


def report_of(
    project: str,
    status: StatusReport,
    lock: Lock,
    known: Known,
    *,
    looked: bool,
    plan: PlanShown | None,
) -> Report:
    """Put a report together.

    Args:
        project: its name.
        status: what stands.
        lock: what is recorded.
        known: what the audit log and the services told beside that.
        looked: whether the status was seen, and not only read from the lockfile.
        plan: what would follow, if that is known.
    """
    entries = {str(key): entry for key, entry in lock.entries.items()}
    lines = _by_work(known.told)
    return Report(
        project=project,
        looked=looked,
        status=status,
        stories=tuple(_story(row, entries.get(row.place), lines, known) for row in status.rows),
        runs=runs_of(known.told),
        plan=plan,
        lines=known.lines,
        unread=known.unread,
        files_asked=known.files_asked,
    )


def as_recorded(lock: Lock, intents: Iterable[Intent], now: datetime) -> StatusReport:
    """What the lockfile says, where nobody looks: whether that is what is live is not known (R7)."""
    open_keys = {intent.key: intent for intent in intents}
    rows = [_recorded_row(entry, now, is_open=key in open_keys) for key, entry in lock.entries.items()]
    rows += [
        StatusRow(
            address=intent.address,
            place=str(key),
            sync=Sync.AMBIGUOUS,
            health=Health.UNKNOWN,
            why=_OPEN,
            directory_name=intent.directory_name,
        )
        for key, intent in open_keys.items()
        if key not in lock.entries
    ]
    rows += [_watched_row(entry, now) for entry in lock.tracked.values()]
    return StatusReport(at=now, rows=tuple(sorted(rows, key=lambda row: (row.address, row.place))))


def runs_of(told: Iterable[Told]) -> tuple[Ran, ...]:
    """The runs that these lines are of, in the order in which they began."""
    lines: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for line in told:
        lines[line.file, line.run].append(line)
    return tuple(
        Ran(first=there[0], ended=there[-1].time, did=Counter(line.outcome or line.action for line in there))
        for there in lines.values()
    )


def plan_shown(plan: Plan) -> PlanShown:
    """A plan that was made just now."""
    held = [
        f"{item.limit} of {item.scope or 'the project'} is {item.allowed:,}, and it has {item.planned:,}"
        for item in plan.breaches
    ]
    held += [f"{item.address}: {item.what} is protected ({item.source})" for item in plan.guarded]
    held += [f"{item.scope or 'the project'}: {item.why} ({item.source})" for item in plan.closed]
    held += [
        f"{item.address or item.at or 'the plan'}: {item.message} ({item.policy})" for item in plan.refused
    ]
    return PlanShown(
        digest=plan.digest,
        actions=tuple(
            Proposed(
                action.kind.value,
                str(action.address),
                action.directory_name,
                f"{action.key.job} {action.key.configuration}",
                action.files,
                action.reason.text,
            )
            for action in plan.actions
            if action.kind is not ActionKind.KEEP
        ),
        kept=plan.count(ActionKind.KEEP),
        held=tuple(held),
    )


def saved_plan_shown(saved: SavedPlan, stale: str) -> PlanShown:
    """A plan from a file. What a reason says in a sentence is not read from there, only its code."""
    return PlanShown(
        file=saved.file,
        digest=saved.digest,
        actions=tuple(
            Proposed(
                action.kind,
                action.address,
                "",
                " ".join(action.key.split(" ")[-2:]),
                None,
                action.reason.replace("-", " "),
            )
            for action in saved.actions
            if action.kind != ActionKind.KEEP
        ),
        kept=sum(action.kind == ActionKind.KEEP for action in saved.actions),
        stale=stale,
    )


def next_commands(row: StatusRow) -> Iterator[Command]:
    """What helps with a row, most urgent first. They are copied into a shell, and ids come from outside."""
    address, batch = shlex.quote(str(row.address)), shlex.quote(row.batch)
    for other in row.surplus:
        if not other.status.terminal and not row.tracked:
            yield Command(f"reconciler cancel {address} {shlex.quote(other.id)}", "stops a surplus batch")
    if row.sync is Sync.AMBIGUOUS:
        yield Command("reconciler apply", "looks for the open create before anything is sent")
    elif row.sync is Sync.OUT_OF_SYNC and not row.tracked:
        yield Command(f"reconciler plan --target {address}", "shows what apply would do here")
    if row.health is Health.DEGRADED and row.batch:
        yield Command(f"reconciler results --failed {address}", "names the files that failed, and why")
    elif row.health is Health.COMPLETED:
        yield Command(f"reconciler results --deep {address}", "reads how its files fared, and records it")
    elif row.running:
        yield Command(f"reconciler wait --target {address}", "stays until it has ended")
    if not row.tracked:
        yield Command(f"reconciler explain {address}", "why each batch there counts or does not")
    if row.batch:
        yield Command(f"reconciler audit why {batch}", "who made it, and what for")


class _Lines:
    """The audit log's lines by what they are about: work is a key, and what is only watched a batch."""

    def __init__(self) -> None:
        self.by_key: dict[str, list[Told]] = defaultdict(list)
        self.by_batch: dict[str, list[Told]] = defaultdict(list)


def _by_work(told: Iterable[Told]) -> _Lines:
    lines = _Lines()
    for line in told:
        lines.by_key[line.key].append(line)
        lines.by_batch[line.batch].append(line)
    return lines


def _story(row: StatusRow, entry: Entry | None, lines: _Lines, known: Known) -> Story:
    if row.tracked:
        of_row = [line for line in lines.by_batch.get(row.batch, ()) if line.key == row.place]
    else:
        of_row = lines.by_key.get(row.place, [])
    batches: dict[str, Recorded] = {item.id: item for item in entry.batches} if entry else {}
    return Story(
        row=row,
        recorded=batches.pop(row.batch, None),
        earlier=tuple(sorted(batches.values(), key=lambda item: (item.recorded_at, item.id))),
        lines=tuple(of_row),
        failed=known.failed.get(row.batch, ()),
        unread=known.unread_files.get(row.batch, ""),
        next=tuple(next_commands(row)),
    )


def _recorded_row(entry: Entry, now: datetime, *, is_open: bool) -> StatusRow:
    batch = entry.recorded
    return StatusRow(
        address=entry.address,
        place=str(entry.key),
        sync=Sync.AMBIGUOUS if is_open else Sync.UNKNOWN,
        health=health_of(batch.status, batch.files),
        why=_OPEN if is_open else "",
        batch=batch.id,
        status=batch.status,
        created_at=batch.created_at,
        age=_age(batch.created_at, now),
        files=batch.files,
        surplus=tuple(
            item.as_batch(entry.key)
            for item in sorted(entry.batches, key=lambda item: item.id)
            if item.id != entry.current and not item.status.terminal
        ),
        directory_name=entry.directory_name,
    )


def _watched_row(entry: TrackedEntry, now: datetime) -> StatusRow:
    watched = entry.watched
    return StatusRow(
        address=entry.address,
        place=watched.id.endpoint,
        sync=Sync.UNKNOWN,
        health=health_of_watched(watched),
        batch=watched.id.id,
        status=watched.status,
        word=watched.word if watched.word != watched.status else "",
        created_at=watched.created_at,
        age=_age(watched.created_at, now),
        files=watched.counts,
        tracked=True,
    )


def _age(created: datetime | None, now: datetime) -> timedelta | None:
    return None if created is None else max(timedelta(), now - created)
