"""What the report's script sorts, filters and opens: JSON in which nothing can end the element around it.

Every string is harmless by then, and what repeats (reasons, what commands do) stands once, in ``words``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.render.harmless import harmless
from reconciler.render.report.words import long_ago, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model.audit import Told
    from reconciler.model.lock import Recorded
    from reconciler.model.report import Report, Story


def report_data(report: Report, stories: Sequence[Story]) -> str:
    """The stories in this order, the runs, and the words."""
    words = _Words()
    runs = {(ran.first.file, ran.first.run): number for number, ran in enumerate(report.runs)}
    rows = [_row(story, words, runs) for story in stories]
    document = {
        "rows": rows,
        "runs": [_run(ran.first) for ran in report.runs],
        "words": words.all,
        "asked": report.files_asked,
    }
    return in_element(document)


def in_element(document: object) -> str:
    """JSON that can stand within a script element, whatever its strings hold."""
    written = json.dumps(document, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Words:
    """Strings that repeat, each once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, word: str) -> int:
        """Where it stands."""
        if word not in self._places:
            self._places[word] = len(self.all)
            self.all.append(harmless(word))
        return self._places[word]


def _row(story: Story, words: _Words, runs: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    row, recorded = story.row, story.recorded
    fields = {
        "address": harmless(str(row.address)),
        "set": harmless(row.address.set),
        "sync": row.sync.value,
        "health": row.health.value,
        "batch": harmless(row.batch),
        "status": harmless(row.word or (row.status or "")),
        "made": stamp(row.created_at),
        "age": long_ago(row.age),
        "key": harmless(row.place),
        "next": [[harmless(command.text), words.place(command.does)] for command in story.next],
    }
    name = row.directory_name if row.directory_name != row.address.directory else ""
    seldom = {
        "name": harmless(name),
        "why": words.place(row.why) + 1 if row.why else 0,
        "files": list(row.files) if row.files else [],
        "running": int(row.running),
        "watched": int(row.tracked),
        "recorded": _recorded(recorded, words) if recorded else [],
        "earlier": [[harmless(item.id), *_recorded(item, words)] for item in story.earlier],
        "surplus": [[harmless(item.id), item.status.value, stamp(item.created_at)] for item in row.surplus],
        "lines": [_line(line, words, runs) for line in story.lines],
        "failed": [[harmless(item.name or item.file), harmless(item.error)] for item in story.failed],
        "unread": harmless(story.unread),
    }
    return fields | {key: value for key, value in seldom.items() if value}


def _recorded(item: Recorded, words: _Words) -> list[Any]:
    """Origin, when it was recorded, status, when it was made and last changed, and what for."""
    return [
        words.place(item.origin.value),
        stamp(item.recorded_at),
        words.place(item.status.value),
        stamp(item.created_at),
        stamp(item.updated_at),
        words.place(item.evidence.reason.replace("-", " ") if item.evidence else ""),
    ]


def _line(line: Told, words: _Words, runs: Mapping[tuple[str, str], int]) -> list[Any]:
    return [
        harmless(line.time),
        runs[line.file, line.run],
        words.place(line.action),
        words.place(line.outcome),
        words.place(line.why),
        harmless(line.batch),
        words.place(line.plan),
        words.place(f"{line.file}:"),
        line.line,
        harmless(line.request_id),
    ]


def _run(first: Told) -> list[Any]:
    """Who, whence that name comes; who approved, likewise; the commit, whether it was all; the CI run."""
    return [
        harmless(first.run),
        harmless(first.actor),
        harmless(first.actor_source),
        harmless(first.approver),
        harmless(first.approver_source),
        harmless(first.commit),
        first.dirty,
        harmless(first.ci_run),
    ]
