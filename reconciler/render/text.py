"""Plans and outcomes as lines for people: one line an action, grouped by set; the last is an interface."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from reconciler.model.lock import PinKind
from reconciler.model.plan import ActionKind, Level
from reconciler.model.result import Outcome
from reconciler.render.harmless import harmless
from reconciler.render.tracking import tracked_lines, tracked_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.events import Event
    from reconciler.model.plan import Action, Closed, Plan, Since, Violation
    from reconciler.model.result import Applied, Finding, Result

#: The marks of the actions, as they stand before each line.
MARKS = {
    ActionKind.CREATE: "+",
    ActionKind.ADOPT: "&",
    ActionKind.KEEP: "=",
    ActionKind.MOVE: "~",
    ActionKind.FORGET: ".",
    ActionKind.CANCEL: "x",
    ActionKind.BLOCKED: "!",
    ActionKind.UNRESOLVED: "?",
}

_COLOURS = {
    ActionKind.CREATE: "32",
    ActionKind.ADOPT: "36",
    ActionKind.KEEP: "2",
    ActionKind.MOVE: "36",
    ActionKind.FORGET: "2",
    ActionKind.CANCEL: "31",
    ActionKind.BLOCKED: "33",
    ActionKind.UNRESOLVED: "35",
}

_TO_DO = (
    (ActionKind.ADOPT, "to adopt"),
    (ActionKind.MOVE, "to move"),
    (ActionKind.FORGET, "to forget"),
    (ActionKind.CANCEL, "to cancel"),
)
_OPEN = ((ActionKind.BLOCKED, "blocked"), (ActionKind.UNRESOLVED, "unresolved"))


def plan_lines(plan: Plan, *, verbose: bool = False, colour: bool = False) -> Iterator[str]:
    """The plan, line by line.

    Args:
        plan: the plan.
        verbose: show also what stays as it is.
        colour: colour the marks with terminal sequences.
    """
    shown = [action for action in plan.actions if verbose or action.kind is not ActionKind.KEEP]
    rows = [_columns(action) for action in shown]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(len(_COLUMNS))]
    table = zip(shown, rows, strict=True)
    for name, members in groupby(table, key=lambda pair: pair[0].address.set):
        yield harmless(name)
        yield from _selected_lines(plan, name)
        for action, row in members:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width]
            text = "  ".join((*cells, harmless(action.reason.text)))
            yield f"  {painted(MARKS[action.kind], _COLOURS[action.kind], colour=colour)} {text}"
    if shown:
        yield ""
    yield from tracked_lines(plan.tracked, verbose=verbose, colour=colour)
    if plan.since is not None:
        yield harmless(since_line(plan.since))
    yield from _limit_lines(plan)
    yield closing_line(plan)


def closing_line(plan: Plan) -> str:
    """The plan in one sentence. Frozen: programs read it, and a test holds it."""
    kept = plan.count(ActionKind.KEEP)
    to_do = ", ".join(part for part in (_to_create(plan), _counts(plan, _TO_DO)) if part)
    still_open = _counts(plan, _OPEN)
    if not to_do and not still_open:
        running = sum(1 for a in plan.actions if a.batch is not None and not a.batch.status.terminal)
        text = f"No changes. {_number(kept, 'batch', 'batches')} as desired"
        text += f", {running:,} of them still running." if running else "."
    else:
        parts = [f"Plan: {to_do or 'nothing to do'}", still_open, f"{kept:,} unchanged" if kept else ""]
        text = "; ".join(part for part in parts if part) + "."
    if plan.not_selected:
        text += f" {_number(plan.not_selected, 'desired batch', 'desired batches')} not selected."
    if plan.since is not None and plan.since.sets == ():
        text += " Nothing was selected: no manifest has changed."
    if told := tracked_sentence(plan.tracked):
        text += f" {told}"
    return text


def _to_create(plan: Plan) -> str:
    """How many creates there are, and how many files they send, if that was counted."""
    creates = [action for action in plan.actions if action.kind is ActionKind.CREATE]
    if not creates:
        return ""
    files = sum(action.files or 0 for action in creates)
    return f"{len(creates):,} to create" + (f" ({_number(files, 'file', 'files')})" if files else "")


def _selected_lines(plan: Plan, name: str) -> Iterator[str]:
    """What a set's names and patterns stand for: patterns always, and a name where that is new."""
    for item in plan.selected:
        if item.set != name or not (item.kind is PinKind.MATCH or item.new or item.left):
            continue
        if item.kind is PinKind.MATCH:
            means = _number(item.total, "directory", "directories")
            means += f", {item.new:,} new" if item.new else ""
        else:
            means = item.means
        means += f", {item.left:,} no more" if item.left else ""
        what = "configuration " if item.kind is PinKind.CONFIGURATION else ""
        yield harmless(f"  {what}{item.text} → {means}")


# Beyond so many a directory's files are not counted.
_MOST_COUNTED = 10_000

_COLUMNS = ("address", "name", "job", "files")


def _columns(action: Action) -> tuple[str, str, str, str]:
    files = "" if action.files is None else _number(action.files, "file", "files")
    if action.files is not None and action.files > _MOST_COUNTED:
        files = f"over {_MOST_COUNTED:,} files"
    name = "" if action.directory_name == action.address.directory else action.directory_name
    return (
        harmless(str(action.address)),
        harmless(name),
        harmless(f"{action.key.job} {action.key.configuration}"),
        files,
    )


def _limit_lines(plan: Plan) -> Iterator[str]:
    for breach in plan.breaches:
        whose = f" of {breach.scope}" if breach.scope else ""
        yield harmless(
            f"Over the limit: {breach.limit}{whose} is {breach.allowed:,}, the plan has {breach.planned:,}."
        )
    for item in plan.guarded:
        yield harmless(f"To be confirmed: {item.address}, {item.what} ({item.source}).")
    for violation in plan.violations:
        yield harmless(f"{_POLICY[violation.level]}: {violation_text(violation)}.")
    for closed in plan.closed:
        yield harmless(f"Not now: {closed_text(closed)} ({closed.source}).")
    if (why := lifting(plan)) is not None:
        yield harmless(why)


_POLICY = {Level.ERROR: "Against a policy", Level.WARNING: "Warning of a policy"}


def violation_text(item: Violation) -> str:
    """Which policy is violated, where, and what its author says."""
    where = item.address or item.at
    return f"{item.policy}: {f'{where}: ' if where else ''}{item.message.removesuffix('.')}"


def closed_text(item: Closed) -> str:
    """What is closed for whom, and when it opens."""
    opens = f"opens {item.locally}" if item.opens else "does not open within a year"
    return f"{f'{item.scope}: ' if item.scope else ''}{item.why}; {opens}"


def lifting(plan: Plan) -> str | None:
    """How what stands against a plan is lifted; None where nothing does."""
    for_good = next((item for item in plan.refused if not item.confirmable), None)
    if for_good is not None:
        return f"No --confirm lifts {for_good.policy}: change the manifests, or select less with --target"
    if plan.breaches or plan.guarded or plan.refused or plan.closed:
        return f"To apply it all the same: reconciler apply --confirm {plan.digest}"
    return None


def since_line(since: Since) -> str:
    """What ``--changed-since`` selected."""
    against = f"since {since.ref} ({since.commit[:12]})"
    if since.sets is None:
        return f"Changed {against}: the project file, and so all sets."
    return f"Changed {against}: {', '.join(since.sets) or 'no manifest'}."


def _counts(plan: Plan, kinds: Iterable[tuple[ActionKind, str]]) -> str:
    counted = ((plan.count(kind), words) for kind, words in kinds)
    return ", ".join(f"{count:,} {words}" for count, words in counted if count)


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def painted(text: str, code: str, *, colour: bool) -> str:
    """The text in a terminal's colour, where colour is wanted."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


# What became of an action, as the words after its address.
_OUTCOMES = {
    Outcome.CREATED: "created",
    Outcome.FOUND: "created, found after its reply was lost",
    Outcome.ADOPTED: "adopted",
    Outcome.KEPT: "kept",
    Outcome.MOVED: "moved",
    Outcome.FORGOTTEN: "forgotten",
    Outcome.CANCEL_ASKED: "cancel asked for",
    Outcome.REJECTED: "refused by the service",
    Outcome.FAILED: "failed",
    Outcome.BLOCKED: "blocked",
    Outcome.UNKNOWN: "outcome not known",
    Outcome.UNSEEN: "not sent, since what is live is not known",
    Outcome.NOT_STARTED: "not started",
}

_SUMMARY = (
    (Outcome.CREATED, "created"),
    (Outcome.FOUND, "found"),
    (Outcome.ADOPTED, "adopted"),
    (Outcome.KEPT, "kept"),
    (Outcome.MOVED, "moved"),
    (Outcome.FORGOTTEN, "forgotten"),
    (Outcome.CANCEL_ASKED, "cancelled"),
    (Outcome.REJECTED, "refused"),
    (Outcome.FAILED, "failed"),
    (Outcome.BLOCKED, "blocked"),
    (Outcome.UNKNOWN, "unresolved"),
    (Outcome.UNSEEN, "not observed"),
    (Outcome.NOT_STARTED, "not started"),
)


def result_line(result: Result) -> str:
    """What became of one action."""
    action, batch = result.action, result.batch
    words = _OUTCOMES[result.outcome]
    text = f"  {MARKS[action.kind]} {action.address}  {words}"
    if batch is not None:
        text += f"  {batch.id}"
    why = result.why or (action.reason.text if result.outcome is Outcome.BLOCKED else "")
    return harmless(text + (f"  ({why})" if why else ""))


def applied_lines(applied: Applied) -> Iterator[str]:
    """What an apply came to: findings first, since they cost money, then the summary."""
    for finding in applied.findings:
        yield from finding_lines(finding)
    for address in applied.unresolved:
        yield harmless(
            f"UNRESOLVED {address}: whether a create took effect is not known; run apply again, or say it"
            f" with `reconciler import {address} BATCH_ID` or `reconciler lock resolve {address} --absent`."
        )
    for address in applied.not_looked_again:
        yield harmless(
            f"NOT SURE {address}: a reply was lost, and the run ended before its last look for late batches;"
            " the next apply looks."
        )
    if applied.timed_out:
        yield "Stopped: the time of --timeout was up. Run apply again; it goes on from here."
    for closed in applied.closed:
        yield harmless(f"Closed meanwhile: {closed_text(closed)} ({closed.source}). Run apply again then.")
    if applied.ended:
        yield f"Ended early: {harmless(applied.ended)}"
    yield summary_line(applied)


def summary_line(applied: Applied) -> str:
    """An apply in one sentence. Frozen like the plan's closing line."""
    counts = [
        f"{count:,} {words}"
        for outcome, words in _SUMMARY
        if (count := sum(1 for result in applied.results if result.outcome is outcome))
    ]
    text = f"Apply: {', '.join(counts) or 'nothing to do'}."
    ended: dict[str, int] = {}
    for batch in applied.batches:
        ended[batch.status] = ended.get(batch.status, 0) + 1
    if ended:
        text += " Batches: " + ", ".join(f"{ended[status]:,} {status}" for status in sorted(ended)) + "."
    if applied.failed_files:
        text += f" {_number(applied.failed_files, 'file', 'files')} failed."
    return text


def finding_lines(finding: Finding) -> Iterator[str]:
    """What was found and costs money, with the command that helps."""
    ids = ", ".join(finding.batches)
    if finding.ambiguous:
        yield harmless(
            f"AMBIGUOUS {finding.address}: {ids} appeared over its directory and no other create explains it."
        )
        yield harmless(f"  If it is this work: reconciler import {finding.address} {finding.batches[0]}")
    else:
        yield harmless(f"DUPLICATE {finding.address}: {ids} are one piece of work; {finding.stands} stands.")
        for surplus in finding.batches:
            if surplus != finding.stands:
                yield harmless(f"  To cancel the surplus one: reconciler cancel {finding.address} {surplus}")


def event_line(event: Event) -> str | None:
    """One line of a log of the run, or None for what only moves a progress bar."""
    from reconciler.model import events

    match event:
        case events.Progressed(address, batch, before):
            return harmless(f"    {address}  {batch.id}  {before} -> {batch.status}")
        case events.Waiting(why, seconds):
            return harmless(f"    waiting {seconds:.0f} s: {why}") if seconds >= 1 else None
        case events.Resolving(intent):
            return harmless(
                f"  ? {intent.address}  looking for the batch of a create from {intent.at:%H:%M:%S} UTC"
            )
        case events.FileFailed(address, file, why):
            return harmless(f"    {address}  {file}  failed: {why}")
        case events.Stored(folder):
            return harmless(f"    what was made of the documents: {folder}")
        case events.Warned(message):
            return harmless(f"warning: {message}")
        case _:
            return None
