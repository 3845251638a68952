"""Plans, outcomes, status, drift and diagnostics as pages of Markdown, for comments and summaries.

What each says, and in which order; how text from outside is escaped and how a page is kept short is in
`page`. What needs a person stands open, the rest is folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.plan import ActionKind, Level
from reconciler.model.result import Outcome
from reconciler.model.source import Severity
from reconciler.model.status import Health, Sync
from reconciler.model.tracking import Happened
from reconciler.render import drift as drift_text
from reconciler.render import status as status_text
from reconciler.render.page import Page, Section, code, prose
from reconciler.render.text import closed_text, closing_line, lifting, since_line, summary_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reconciler.model.drift import Drift
    from reconciler.model.errors import ReconcilerError
    from reconciler.model.plan import Action, Plan
    from reconciler.model.result import Applied, Result
    from reconciler.model.source import Diagnostic
    from reconciler.model.status import StatusReport, StatusRow
    from reconciler.model.tracking import TrackedChange

_NOTE = 2_000  # characters of a sentence in a paragraph of its own

#: In this order: what needs a person, what costs money, the rest.
_KINDS = (
    (ActionKind.UNRESOLVED, "unresolved", False),
    (ActionKind.BLOCKED, "blocked", False),
    (ActionKind.CREATE, "to create", True),
    (ActionKind.CANCEL, "to cancel", True),
    (ActionKind.ADOPT, "to adopt", True),
    (ActionKind.MOVE, "to move", True),
    (ActionKind.FORGET, "to forget", True),
)

_ACTION = ("address", "directory", "job", "files", "why")


def plan_page(plan: Plan, name: str) -> Page:
    """What apply would do, and why.

    Args:
        plan: the plan.
        name: the project's name.
    """
    notes = []
    if plan.since is not None:
        notes.append(prose(since_line(plan.since), _NOTE))
    if (why := lifting(plan)) is not None:
        what, colon, command = why.partition(": reconciler ")
        notes.append(f"{what}: `reconciler {command}`" if colon else prose(why, _NOTE))
    sections = [
        Section(f"{len(rows):,} {words}", _ACTION, rows, folded)
        for kind, words, folded in _KINDS
        if (rows := [_action(action) for action in plan.actions if action.kind is kind])
    ]
    return Page(
        title=f"Plan for {code(name)}",
        lead=closing_line(plan),
        notes=notes,
        sections=[*_gates(plan), *sections, *_selected(plan), *_tracked(plan.tracked)],
        foot=f"Digest: `{plan.digest}`",
        whole="the whole plan: `reconciler plan`",
    )


def _action(action: Action) -> tuple[str, ...]:
    return (
        code(str(action.address)),
        code("" if action.directory_name == action.address.directory else action.directory_name),
        code(f"{action.key.job} {action.key.configuration}"),
        "" if action.files is None else f"{action.files:,}",
        prose(action.reason.text),
    )


def _gates(plan: Plan) -> Iterable[Section]:
    """What somebody has to confirm."""
    over = [
        (breach.limit, code(breach.scope), f"{breach.allowed:,}", f"{breach.planned:,}")
        for breach in plan.breaches
    ]
    if over:
        columns = ("limit", "of", "allowed", "planned")
        yield Section(f"{len(over):,} over the limit", columns, over, folded=False)
    held = [(code(str(item.address)), code(item.what), code(item.source)) for item in plan.guarded]
    if held:
        yield Section(f"{len(held):,} protected", ("address", "what", "where"), held, folded=False)
    for level, words in ((Level.ERROR, "against a policy"), (Level.WARNING, "warnings of policies")):
        rows = [
            (code(item.policy), code(item.address), code(item.at), prose(item.message))
            for item in plan.violations
            if item.level is level
        ]
        if rows:
            columns = ("policy", "address", "at", "why")
            yield Section(f"{len(rows):,} {words}", columns, rows, folded=False)
    shut = [
        (code(item.scope), prose(item.why), prose(item.locally or "not within a year"), code(item.source))
        for item in plan.closed
    ]
    if shut:
        yield Section("Not now", ("of", "why", "opens", "where"), shut, folded=False)


def _selected(plan: Plan) -> Iterable[Section]:
    rows = [
        (
            code(item.set),
            code(item.text),
            code(item.means),
            f"{item.total:,}",
            f"{item.new:,}",
            f"{item.left:,}",
        )
        for item in plan.selected
        if item.new or item.left
    ]
    if rows:
        columns = ("set", "name or pattern", "means", "stands for", "new", "no more")
        what = "name or pattern that means" if len(rows) == 1 else "names and patterns that mean"
        yield Section(f"{len(rows):,} {what} something new", columns, rows)


def _tracked(changes: Sequence[TrackedChange]) -> Iterable[Section]:
    shown = [change for change in changes if change.happened is not Happened.UNCHANGED]
    needs = [change for change in shown if change.happened in (Happened.UNKNOWN, Happened.GONE)]
    rest = [change for change in shown if change not in needs]
    for part, words, folded in ((needs, "watched: not seen or gone", False), (rest, "watched: news", True)):
        rows = [
            (
                code(str(change.address)),
                change.happened.value,
                change.health.value if change.health else "",
                prose(change.reason),
            )
            for change in part
        ]
        if rows:
            yield Section(f"{len(rows):,} {words}", ("address", "change", "health", "why"), rows, folded)


#: Of each outcome, its words, and whether it needs nobody.
_OUTCOMES = (
    (Outcome.UNKNOWN, "with an outcome that is not known", False),
    (Outcome.UNSEEN, "not sent, since what is live is not known", False),
    (Outcome.REJECTED, "refused by the service", False),
    (Outcome.FAILED, "failed", False),
    (Outcome.BLOCKED, "blocked", False),
    (Outcome.NOT_STARTED, "not started", False),
    (Outcome.CREATED, "created", True),
    (Outcome.FOUND, "created, and found after the reply was lost", True),
    (Outcome.CANCEL_ASKED, "asked to cancel", True),
    (Outcome.ADOPTED, "adopted", True),
    (Outcome.MOVED, "moved", True),
    (Outcome.FORGOTTEN, "forgotten", True),
)


def applied_page(applied: Applied, name: str) -> Page:
    """What an apply came to; duplicates first, since they cost money."""
    notes = []
    notes += [f"Closed meanwhile: {prose(closed_text(item), _NOTE)}" for item in applied.closed]
    if applied.ended:
        notes.append(f"Ended early: {prose(applied.ended, _NOTE)}")
    if applied.timed_out:
        notes.append("Stopped: the time of `--timeout` was up. Run apply again; it goes on from here.")
    if applied.stopped is not None:
        notes.append("Stopped by a signal. Run apply again; it goes on from here.")
    sections = [*_findings(applied)]
    if applied.unresolved:
        addresses = [(code(str(address)),) for address in applied.unresolved]
        sections.append(Section(f"{len(addresses):,} unresolved", ("address",), addresses, folded=False))
    sections += [
        Section(f"{len(rows):,} {words}", ("address", "batch", "files", "why"), rows, folded)
        for outcome, words, folded in _OUTCOMES
        if (rows := [_result(result) for result in applied.results if result.outcome is outcome])
    ]
    return Page(
        title=f"Apply for {code(name)}",
        lead=summary_line(applied),
        notes=notes,
        sections=[*sections, *_tracked(applied.plan.tracked)],
        foot=f"Plan: `{applied.plan.digest}`",
        whole="the audit log has every one of them",
    )


def _findings(applied: Applied) -> Iterable[Section]:
    for ambiguous, words in ((False, "duplicates"), (True, "ambiguous")):
        rows = [
            (code(str(finding.address)), code(finding.stands), code(", ".join(finding.batches)))
            for finding in applied.findings
            if finding.ambiguous is ambiguous
        ]
        if rows:
            columns = ("address", "stands", "batches")
            yield Section(f"{len(rows):,} {words}", columns, rows, folded=False)


def _result(result: Result) -> tuple[str, ...]:
    action = result.action
    return (
        code(str(action.address)),
        code(result.batch.id) if result.batch else "",
        "" if action.files is None else f"{action.files:,}",
        prose(result.why or action.reason.text),
    )


def status_page(report: StatusReport, name: str) -> Page:
    """What stands."""
    groups: Sequence[tuple[str, Callable[[StatusRow], bool], bool]] = (
        ("not known", lambda row: row.sync in (Sync.UNKNOWN, Sync.AMBIGUOUS), False),
        ("degraded", lambda row: row.health is Health.DEGRADED, False),
        ("out of sync", lambda row: row.sync is Sync.OUT_OF_SYNC, False),
        ("progressing", lambda row: row.health is Health.PROGRESSING, True),
        ("as desired", lambda _: True, True),
    )
    left, sections = list(report.rows), []
    for words, belongs, folded in groups:
        rows = [_status(row) for row in left if belongs(row)]
        left = [row for row in left if not belongs(row)]
        if rows:
            columns = ("address", "directory", "sync", "health", "batch", "status", "files", "why")
            sections.append(Section(f"{len(rows):,} {words}", columns, rows, folded))
    return Page(
        title=f"Status of {code(name)}",
        lead=status_text.closing_line(report),
        sections=sections,
        whole="the whole status: `reconciler status`",
    )


def _status(row: StatusRow) -> tuple[str, ...]:
    files = ""
    if row.files is not None:
        files = f"{row.files.total:,}" + (f", {row.files.failed:,} failed" if row.files.failed else "")
    surplus = "".join(f" surplus {code(batch.id)}" for batch in row.surplus[:3])
    return (
        code(str(row.address)),
        code("" if row.directory_name == row.address.directory else row.directory_name),
        row.sync.value,
        row.health.value,
        code(row.batch),
        code(row.word or row.status or ""),
        files,
        (prose(row.why) if row.why else "") + surplus,
    )


def drift_page(drift: Drift, name: str, *, verbose: bool = False) -> Page:
    """What drifted."""
    shown = [item for item in drift.deviations if verbose or item.counts]
    sections = []
    for kind, words in drift_text.HEADS.items():
        rows = [
            (
                code(str(item.address) if item.address else ""),
                code(item.batch.id),
                code(item.key.directory),
                prose(item.why),
                code(item.next),
            )
            for item in shown
            if item.kind is kind
        ]
        if rows:
            columns = ("address", "batch", "directory", "why", "next")
            sections.append(Section(f"{words}: {len(rows):,}", columns, rows, folded=False))
    if drift.unseen:
        rows_unseen = [
            (code(item.home.endpoint), code(item.home.project), prose(item.why)) for item in drift.unseen
        ]
        heading = f"Not seen: {len(rows_unseen):,}"
        sections.insert(0, Section(heading, ("service", "project", "why"), rows_unseen, folded=False))
    return Page(
        title=f"Drift of {code(name)}",
        lead=drift_text.closing_line(drift),
        sections=sections,
        whole="all of it: `reconciler drift`",
    )


def error_page(error: ReconcilerError) -> Page:
    """What ended a command: all faults of the files, or what, where, why and what next."""
    from reconciler.model.errors import ManifestError

    if isinstance(error, ManifestError):
        return diagnostics_page(error.diagnostics)
    told = (("where", error.where), ("why", error.why), ("next", error.next))
    return Page(
        title="Error",
        lead="The command did not come to its end.",
        notes=[prose(error.what, _NOTE), *(f"{word}: {code(text, _NOTE)}" for word, text in told if text)],
    )


def diagnostics_page(diagnostics: Iterable[Diagnostic]) -> Page:
    """What is wrong with the files."""
    said = list(diagnostics)
    errors = [item for item in said if item.severity is Severity.ERROR]
    warnings = [item for item in said if item.severity is not Severity.ERROR]
    sections = [
        Section(
            f"{words}: {len(part):,}",
            ("place", "what"),
            [(code(str(item.source)), prose(item.message)) for item in part],
            folded=False,
        )
        for part, words in ((errors, "Errors"), (warnings, "Warnings"))
        if part
    ]
    return Page(
        title="Validation",
        lead="Valid." if not errors else f"{len(errors):,} error{'' if len(errors) == 1 else 's'}.",
        sections=sections,
        whole="all of it: `reconciler validate`",
    )
