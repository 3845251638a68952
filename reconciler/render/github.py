"""GitHub Actions: annotations at a manifest's line, a step's outputs, and a log that cannot give commands.

A runner reads commands out of whatever a step prints: a line that begins with ``::``, and ``##[`` anywhere in
a line (its first form, which it still takes). So text from outside is kept from being either of them, in
every format. The step's summary is the page of `markdown`. Pure: who writes to which file is not here.

Forms and limits are from GitHub's reference of workflow commands: of one step, ten annotations of each level
are shown.
"""

from __future__ import annotations

import hashlib
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.model.plan import ActionKind
from reconciler.model.source import Severity
from reconciler.render.harmless import harmless
from reconciler.render.remarks import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reconciler.model.batch import Address
    from reconciler.model.drift import Drift
    from reconciler.model.plan import Plan
    from reconciler.model.result import Applied
    from reconciler.model.source import Diagnostic, Source
    from reconciler.model.status import StatusReport
    from reconciler.render.remarks import Remark

#: So many annotations of a level are shown of one step; what is beyond them is counted in the last one.
MOST_SHOWN = 10

#: A message's length; GitHub takes 64 KB, and shows less.
_LONGEST = 1_000

_ORDER = (Level.ERROR, Level.WARNING, Level.NOTICE)


def annotation_lines(
    remarks: Iterable[Remark],
    place: Callable[[Address, str], Source | None],
    prefix: str = "",
) -> Iterator[str]:
    """One workflow command a remark, errors first, and one for all that would not be shown.

    Args:
        remarks: what there is to say.
        place: finds where a manifest asks for an address.
        prefix: the project's folder within the repository, with a slash at its end, or "".
    """
    ordered = sorted(remarks, key=lambda remark: _ORDER.index(remark.level))
    for level, members in groupby(ordered, key=lambda remark: remark.level):
        said = list(members)
        shown = said if len(said) <= MOST_SHOWN else said[: MOST_SHOWN - 1]
        for remark in shown:
            source = remark.source
            if source is None and remark.address is not None:
                source = place(remark.address, remark.name)
            yield _command(level, remark.title, remark.text, source, prefix)
        if left := len(said) - len(shown):
            yield _command(level, "More", f"{left:,} more; the step's summary counts them all", None, "")


def _command(level: Level, title: str, text: str, source: Source | None, prefix: str) -> str:
    properties = {"title": title}
    if source is not None:
        properties = {
            "file": prefix + source.file,
            "line": str(source.line),
            "col": str(source.column),
        } | properties
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = harmless(text)
    if len(message) > _LONGEST:
        message = message[: _LONGEST - 1] + "…"
    return unforgeable_inside(f"::{level.value} {told}::{_data(message)}")


def _data(text: str) -> str:
    """A command's text. After `harmless` there is no line's end left, so only % has a meaning of its own."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(harmless(text)).replace(":", "%3A").replace(",", "%2C")


def unforgeable_inside(text: str) -> str:
    """The text without the first form of a command, which counts anywhere in a line."""
    return text.replace("##[", "#\\x23[")


_BEGINS = re.compile(r"^(\s*):(?=:)")


def unforgeable(line: str) -> str:
    """A line of a log that a runner takes for nothing but that."""
    return _BEGINS.sub(r"\1\\x3a", unforgeable_inside(line))


def outputs_text(outputs: Mapping[str, str]) -> str:
    """What is appended to the file of a step's outputs. No value can end early and set another output."""
    return "".join(_output(name, harmless(value)) for name, value in sorted(outputs.items()))


def _output(name: str, value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9.:_-]*", value):
        return f"{name}={value}\n"
    # A value cannot have its own digest in it, and so not the line that ends it.
    end = f"end-{hashlib.sha256(value.encode()).hexdigest()}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def plan_outputs(plan: Plan) -> dict[str, str]:
    """What the steps after a plan decide by."""
    counts = {f"{_MANY[kind]}": str(plan.count(kind)) for kind in ActionKind}
    files = sum(action.files or 0 for action in plan.actions if action.kind is ActionKind.CREATE)
    return counts | {
        "changes": _truth(plan.changes),
        "digest": plan.digest,
        "files": str(files),
        "over-limit": _truth(plan.breaches),
        "protected": _truth(plan.guarded),
        "closed": _truth(plan.closed),
        "policies-violated": _truth(plan.refused),
    }


_MANY = {
    ActionKind.CREATE: "creates",
    ActionKind.ADOPT: "adopts",
    ActionKind.KEEP: "keeps",
    ActionKind.MOVE: "moves",
    ActionKind.FORGET: "forgets",
    ActionKind.CANCEL: "cancels",
    ActionKind.BLOCKED: "blocked",
    ActionKind.UNRESOLVED: "unresolved",
}


def applied_outputs(applied: Applied) -> dict[str, str]:
    """What the steps after an apply decide by: the plan's, and what became of it."""
    counts: dict[str, int] = {}
    for result in applied.results:
        counts[result.outcome.value] = counts.get(result.outcome.value, 0) + 1
    return plan_outputs(applied.plan) | {
        "created": str(counts.get("created", 0) + counts.get("found", 0)),
        "duplicates": str(len(applied.findings)),
        "failed": str(counts.get("failed", 0) + counts.get("rejected", 0)),
        "failed-files": str(applied.failed_files),
    }


def status_outputs(report: StatusReport) -> dict[str, str]:
    """How many addresses there are of each kind."""
    counts: dict[str, Any] = {f"sync-{word.value.lower()}": count for word, count in report.by_sync.items()}
    counts |= {f"health-{word.value.lower()}": count for word, count in report.by_health.items()}
    return {name: str(count) for name, count in counts.items()} | {"addresses": str(len(report.rows))}


def drift_outputs(drift: Drift) -> dict[str, str]:
    """Whether there is drift, how much, and whether everything was seen."""
    found = sum(1 for item in drift.deviations if item.counts)
    return {"drift": _truth(drift.found), "deviations": str(found), "complete": _truth(not drift.unseen)}


def diagnostics_outputs(diagnostics: Iterable[Diagnostic]) -> dict[str, str]:
    """Whether the files are valid."""
    said = list(diagnostics)
    errors = sum(1 for item in said if item.severity is Severity.ERROR)
    return {"valid": _truth(not errors), "errors": str(errors), "warnings": str(len(said) - errors)}


def _truth(value: object) -> str:
    return "true" if value else "false"
