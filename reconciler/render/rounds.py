"""What a loop tells, as records of a log: one a line, as JSON for programs or as a line of text.

A record has ``level``, ``event``, ``project`` where it is about one, ``message`` for people, and what else
there is to know; whoever writes it puts ``time`` before it. docs/loop.md lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from reconciler.model.errors import ManifestError, ReconcilerError
from reconciler.model.events import Observing, Pending, Planned, Starting
from reconciler.model.plan import ActionKind
from reconciler.model.result import Outcome
from reconciler.model.rounds import (
    FAILING,
    Began,
    Called,
    Ending,
    Fetched,
    Happening,
    Looking,
    Paused,
    RoundBegan,
    RoundEnded,
    RoundResult,
    Verdict,
)
from reconciler.render.events import run_events
from reconciler.render.harmless import harmless
from reconciler.render.text import closing_line, finding_lines, summary_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from reconciler.model.events import Event
    from reconciler.model.rounds import LoopEvent, Round

#: The form of these records; `schemas/run-log.json` has it.
RUN_LOG_VERSION = "1.0"

#: One line of the log.
Record = dict[str, Any]

_MESSAGES = {
    RoundResult.UNCHANGED: "nothing to do",
    RoundResult.OBSERVED: "not applied: --auto-approve was not given",
    RoundResult.PAUSED: "not applied: the pause file is there",
    RoundResult.STANDBY: "not applied",
    RoundResult.REFUSED: "not applied: a limit, a window, a policy or a protection is in the way",
    RoundResult.INCOMPLETE: "something could not be seen",
    RoundResult.STOPPED: "stopped",
}
# What was taken the lock for, where no action has to be told.
_RECORDED = {
    "statuses": "how batches go on was recorded",
    "manifests": "what sets say by now was recorded",
    "watched batches": "how watched batches go on was recorded",
}
_LEVELS = {"warn": "warning"}
_OWN = ("type", "@level", "@message")
_GENUINE = frozenset({Verdict.ACCEPTED, Verdict.REPEATED})


def records(event: LoopEvent, in_short: Callable[[BaseException], str]) -> Iterator[Record]:
    """What one event is logged as.

    Args:
        event: what happened.
        in_short: words for an exception that nobody expected, without what must not be said.
    """
    match event:
        case Began(projects, interval, approved, listening):
            does = "applies what they lack" if approved else "only looks: --auto-approve was not given"
            at = f"; listening at {listening}" if listening else ""
            names = ", ".join(projects)
            yield _said("started", f"every {interval:g} s at {names}; {does}{at}") | {
                "formatVersion": RUN_LOG_VERSION,
                "projects": [harmless(name) for name in projects],
                "interval": interval,
                "autoApprove": approved,
                "listening": listening,
            }
        case Fetched(ref, commit, before):
            message = f"{ref} is {commit[:12]}" + (f", and was {before[:12]}" if before else "")
            yield _said("fetched", message) | {"ref": harmless(ref), "commit": commit, "before": before}
        case RoundBegan(project, why):
            yield _said("round-began", f"round: {why}", "debug", project) | {"why": why.value}
        case Happening(project, happening):
            yield from _happening(project, happening)
        case RoundEnded(done, failures, following):
            yield from _ended(done, failures, following, in_short)
        case Paused(paused, file):
            says = "is there: nothing is applied" if paused else "is gone"
            yield _said("paused" if paused else "resumed", f"the pause file {file} {says}", "warning")
        case Called(verdict, times):
            level = "debug" if verdict in _GENUINE else "warning"
            message = f"webhook: {verdict}" + (f", {times:,} times" if times > 1 else "")
            yield _said("webhook", message, level) | {"verdict": verdict.value, "times": times}
        case Looking():
            yield _said("looking", "SIGHUP: every project is looked at now")
        case Ending(number):
            yield _said("ending", f"ended by signal {number}") | {"signal": number}
        case unreachable:
            assert_never(unreachable)


def _happening(project: str, event: Event) -> Iterator[Record]:
    """A run's own events; the plan's actions in full only for who wants to know everything."""
    if isinstance(event, Observing | Pending | Starting):
        return
    for item in run_events(event):
        level = "debug" if isinstance(event, Planned) else _LEVELS.get(item["@level"], item["@level"])
        payload = {name: value for name, value in item.items() if name not in _OWN}
        yield _said(item["type"].replace("_", "-"), item["@message"], level, project) | payload


def _ended(
    done: Round, failures: int, following: float | None, in_short: Callable[[BaseException], str]
) -> Iterator[Record]:
    if done.applied is not None:
        for finding in done.applied.findings:
            message = " ".join(line.strip() for line in finding_lines(finding))
            yield _said("finding", message, "error", done.project) | {"batches": list(finding.batches)}
        for address in done.applied.unresolved:
            message = f"{address}: whether a create took effect is not known"
            yield _said("unresolved", message, "error", done.project) | {"address": str(address)}
    if isinstance(done.error, ManifestError):
        for item in done.error.diagnostics:
            yield _said("diagnostic", str(item), "error", done.project)
    error = _error(done.error, in_short)
    told = {"error": error} if error else {}
    then = "" if following is None else f"; next in {following:.0f} s"
    message = f"{done.result}: {_sentence(done, error)} ({done.seconds:.1f} s{then})"
    counts = {} if done.plan is None else {"plan": _counts(done)}
    applied = {} if done.applied is None else {"created": _created(done)}
    yield (
        _said("round-ended", message, _level(done), done.project)
        | {
            "result": done.result.value,
            "why": done.why.value,
            "because": done.because,
            "seconds": round(done.seconds, 3),
            "commit": done.commit,
            "failures": failures,
            "nextIn": None if following is None else round(following, 3),
        }
        | counts
        | applied
        | told
    )


def _level(done: Round) -> str:
    if done.result in FAILING:
        return "error"
    return "warning" if done.result in {RoundResult.REFUSED, RoundResult.PAUSED} else "info"


def _sentence(done: Round, error: Record) -> str:
    if done.result is RoundResult.STANDBY:
        return f"{_MESSAGES[done.result]}: {error.get('what', '')}"  # what to do about it is to wait
    if error:
        what = f"{error['where']}: {error['what']}" if error["where"] else error["what"]
        parts = [what, *(error[name] for name in ("why", "next") if error[name])]
        return "; ".join(parts)
    parts = [_MESSAGES[done.result]] if done.result in _MESSAGES else []
    if done.result is RoundResult.APPLIED and done.because in _RECORDED:
        parts.append(_RECORDED[done.because])
    elif done.applied is not None:
        parts.append(summary_line(done.applied))
    elif done.plan is not None:
        parts.append(closing_line(done.plan))
    return "; ".join(parts).rstrip(".")


def _error(error: Exception | None, in_short: Callable[[BaseException], str]) -> Record:
    """What, where, why and the next command, as for any command."""
    if error is None:
        return {}
    if isinstance(error, ManifestError):
        first, *others = error.diagnostics
        what = f"{first}" + (f", and {len(others):,} more" if others else "")
        named = {"what": what, "where": "", "why": "", "next": "reconciler validate"}
    elif isinstance(error, ReconcilerError):
        named = {"what": error.what, "where": error.where, "why": error.why, "next": error.next}
    else:
        named = {
            "what": f"a defect in reconciler: {in_short(error)}",
            "where": "",
            "why": "",
            "next": "please report it; --log-level debug shows where",
        }
    return {name: harmless(text) for name, text in named.items()}


def _counts(done: Round) -> dict[str, int]:
    assert done.plan is not None
    return {kind.value: count for kind in ActionKind if (count := done.plan.count(kind))}


def _created(done: Round) -> int:
    assert done.applied is not None
    made = {Outcome.CREATED, Outcome.FOUND}
    return sum(1 for result in done.applied.results if result.outcome in made)


def _said(event: str, message: str, level: str = "info", project: str = "") -> Record:
    about = {"project": harmless(project)} if project else {}
    return {"level": level, "event": event} | about | {"message": harmless(message.strip())}


def text_line(time: datetime, record: Record) -> str:
    """A record as a line of text."""
    about = f"{record['project']}: " if "project" in record else ""
    return f"{_time(time)} {record['level'].upper():7} {about}{record['message']}"


def json_record(time: datetime, record: Record) -> Record:
    """A record as the object that stands on a line."""
    return {"time": _time(time)} | record


def _time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
