"""The audit log as text, JSON and CSV, line by line, and the story that walks back from one thing.

Foreign text is harmless in all forms: in JSON because that is ASCII only, elsewhere because of `harmless`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.render.harmless import harmless
from reconciler.render.spreadsheet import csv_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.audit import FoundIn, LogRead, Story, Told

FORMAT_VERSION = "1.0"

#: What a CSV row has, in this order.
COLUMNS = (
    *("time", "actor", "action", "address", "batch", "outcome", "why", "approver", "approver_source"),
    *("commit", "dirty", "ci_run", "plan", "run", "request", "key", "file", "line"),
)


class Text:
    """A line for each line of the log, for people."""

    def begin(self) -> str:
        """Nothing."""
        return ""

    def line(self, told: Told) -> str:
        """One line: when, who, what, where, and why."""
        did = told.action if told.outcome in {"", told.action} else f"{told.action} → {told.outcome}"
        words = "  ".join(filter(None, (told.time, told.actor, did, told.address, told.batch)))
        return harmless(words + (f"  {told.why}" if told.why else "")) + "\n"

    def end(self, read: LogRead) -> str:
        """The closing line."""
        return closing_line(read) + "\n"


class Json:
    """One document, whose members are written as they come. It is whole once its ``summary`` is there."""

    def __init__(self) -> None:
        self._some = False

    def begin(self) -> str:
        """All that stands before the lines."""
        return f'{{\n  "formatVersion": {json.dumps(FORMAT_VERSION)},\n  "kind": "AuditLog",\n  "lines": ['

    def line(self, told: Told) -> str:
        """One member, on a line of its own."""
        comma, self._some = ("," if self._some else ""), True
        return f"{comma}\n    {json.dumps(line_document(told))}"

    def end(self, read: LogRead) -> str:
        """The summary, which ends the document."""
        close = "\n  ]" if self._some else "]"
        summary = {"shown": read.shown, "lines": read.lines, "unread": read.unread}
        return f'{close},\n  "summary": {json.dumps(summary)}\n}}\n'


class Csv:
    """RFC 4180, with a header; no cell begins a formula."""

    def begin(self) -> str:
        """The header."""
        return csv_rows([COLUMNS])

    def line(self, told: Told) -> str:
        """A row."""
        dirty = "" if told.dirty is None else str(told.dirty).lower()
        row = (
            *(told.time, told.actor, told.action, told.address, told.batch, told.outcome, told.why),
            *(told.approver, told.approver_source, told.commit, dirty, told.ci_run, told.plan, told.run),
            *(told.request_id, told.key, told.file, str(told.line)),
        )
        return csv_rows([row])

    def end(self, read: LogRead) -> str:  # noqa: ARG002 - rows have no end of their own
        """Nothing."""
        return ""


_SHEETS: Mapping[str, type[Text | Json | Csv]] = {"text": Text, "json": Json, "csv": Csv}


def log_sheet(form: str) -> Text | Json | Csv:
    """The sheet of a format: text, json or csv."""
    return _SHEETS[form]()


def closing_line(read: LogRead) -> str:
    """What was read, in one sentence. Frozen: programs read it, and a test holds it."""
    lines = f"{read.lines:,} {'line' if read.lines == 1 else 'lines'}"
    return f"Audit log: {read.shown:,} of {lines}{_unread(read.unread)}."


def line_document(told: Told) -> dict[str, Any]:
    """One line."""
    return {
        "time": told.time,
        "actor": told.actor,
        "actorSource": told.actor_source,
        "action": told.action,
        "address": told.address,
        "batch": told.batch,
        "outcome": told.outcome,
        "why": told.why,
        "approver": told.approver,
        "approverSource": told.approver_source,
        "commit": told.commit,
        "dirty": told.dirty,
        "ciRun": told.ci_run,
        "plan": told.plan,
        "run": told.run,
        "requestId": told.request_id,
        "key": told.key,
        "file": told.file,
        "line": told.line,
    }


def story_lines(story: Story) -> Iterator[str]:
    """The way back, for people: from the thing to its batches, and from each line to who stands behind it."""
    yield from (harmless(line) for line in _story(story))


def story_document(story: Story) -> dict[str, Any]:
    """The same for programs."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "AuditStory",
        "thing": story.thing,
        "foundIn": [_found_document(item) for item in story.found],
        "recordedAt": list(story.recorded),
        "lines": [line_document(told) for told in story.lines],
        "unread": story.unread,
    }


def _story(story: Story) -> Iterator[str]:
    for item in story.found:
        named = f" ({item.name})" if item.name else ""
        job = f", job {item.job}" if item.job else ""
        yield f"file {item.file}{named}{job}: of {item.batch} at {item.address}"
        yield "  says the service now; the audit log and the lockfile know batches only"
    for address in story.recorded:
        yield f"{story.thing}: recorded at {address}, and no line of the audit log is about it"
    for told in story.lines:
        yield f"{told.time}  {told.batch}  {told.action} → {told.outcome}  {told.address}"
        for word, text in _facts(told):
            yield f"  {word:<10}{text}"
    if story.unread:
        yield f"The story may have gaps{_unread(story.unread)}."


#: What a run only learns of: it was not this run's plan, nor approved for this run.
_WITHOUT_PLAN = {
    "resolve": "that of the run which sent the create; this one looked for its batch",
    "recover": "that of the run which recorded it; this one took it over",
}


def _facts(told: Told) -> Iterator[tuple[str, str]]:
    yield "line", f"{told.file}:{told.line}"
    if told.why:
        yield "why", told.why
    yield "plan", told.plan or _WITHOUT_PLAN.get(told.action, "none: nothing was there to approve")
    differs = {True: ", but the work tree differed from it", False: "", None: ""}[told.dirty]
    yield "commit", f"{told.commit}{differs}" if told.commit else "unknown"
    yield "actor", f"{told.actor} ({told.actor_source})" if told.actor_source else told.actor
    yield "CI run", told.ci_run or "none"
    yield "approver", f"{told.approver} ({told.approver_source})" if told.approver else "unknown"


def _found_document(item: FoundIn) -> dict[str, Any]:
    return {
        "batch": item.batch,
        "address": item.address,
        "file": item.file,
        "name": item.name,
        "job": item.job,
        "status": item.status,
    }


def _unread(number: int) -> str:
    lines = f"{number:,} {'line' if number == 1 else 'lines'}"
    return f"; {lines} could not be read, and `reconciler audit verify` names them" if number else ""
