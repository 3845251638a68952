"""Names that would be something else in each format, and plans, outcomes and reports made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.model.batch import Address, Batch, FileCounts, Home, JobType, Key, Status
from reconciler.model.drift import Deviation, Drift, DriftKind, Unseen
from reconciler.model.lock import PinKind
from reconciler.model.plan import (
    Action,
    ActionKind,
    Breach,
    Closed,
    Guarded,
    Level,
    Plan,
    Reason,
    ReasonCode,
    Selected,
    Since,
    Violation,
)
from reconciler.model.result import Applied, Finding, Outcome, Result
from reconciler.model.source import Diagnostic, Severity, Source
from reconciler.model.status import Health, StatusReport, StatusRow, Sync
from reconciler.model.tracking import Happened, TrackedChange
from reconciler.model.watched import WatchedId

NOW = datetime(2026, 11, 22, tzinfo=UTC)

#: Each is a name that somebody could give a directory, a file or a batch, or a service could say.
NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</summary></details><b>bold</b>",
    "a | b |",
    "\\| \\\\| \\",
    "`code` ``more`` `",
    "```\nfence\n```",
    "@everyone @octo/team octo@example.org",
    "#123 octo/repo#7 GH-9 !4 ~label %1 &2 $3",
    "0123456789abcdef0123456789abcdef01234567",
    "deadbeef",
    "[text](https://evil.example/)",
    "![image](https://evil.example/x.png)",
    "https://evil.example www.evil.example",
    "<https://evil.example>",
    "[x]: https://evil.example",
    "--> <!-- hidden",
    "]]> <![CDATA[ x",
    "&lt;b&gt; &amp; &#64;octo",
    "::error::forged",
    "\n::set-output name=digest::forged",
    "%0A::error::forged %25 %",
    "##[error]forged",
    "x ##[stop-commands]y",
    "line\nend\r\nagain\u2028and\x85again",
    "\x1b[31mred\x07\x00",
    "\u202eoverride\u2066isolate\u200bzero",
    "*bold* _under_ ~~gone~~ # head",
    ":smile: :+1:",
    "{0} {{x}} {env: KEY}",
    "/close",
    "'\"<>&",
    "\ufffe\uffff",
    "\ud800 alone",
    "  ",
    "EOF\nadmin=true",
    "x" * 2_000,
)


def key(name: str) -> Key:
    """A key with nothing in it but that name."""
    return Key(name, name, name, JobType.PARSE_V2, name)


def batch(name: str, status: Status = Status.COMPLETED) -> Batch:
    """A batch of that name."""
    return Batch(name, key(name), status, NOW, NOW)


def action(kind: ActionKind, name: str, code: ReasonCode = ReasonCode.PREFLIGHT) -> Action:
    """An action about that name."""
    return Action(
        kind=kind,
        address=Address("set", name),
        key=key(name),
        reason=Reason(code, f"no: {name}"),
        batch=batch(name),
        directory_name=f"{name}.",
        files=3,
    )


def tracked(name: str, happened: Happened) -> TrackedChange:
    """A watched batch of that name."""
    return TrackedChange(
        address=Address("watched", name), id=WatchedId(name, name), happened=happened, reason=name
    )


def closed(name: str) -> Closed:
    """Windows of that name."""
    return Closed(name, name, name, NOW, name)


def plan(names: tuple[str, ...] = NAMES) -> Plan:
    """A plan with an action of each kind for each name."""
    return Plan(
        actions=tuple(action(kind, name) for name in names for kind in ActionKind),
        state="sha256:" + "0" * 64,
        manifests="sha256:" + "0" * 64,
        lineage="lineage",
        breaches=tuple(Breach("maxCreates", 1, 2, name) for name in names),
        guarded=tuple(Guarded(Address("set", name), name, name) for name in names),
        closed=tuple(closed(name) for name in names),
        violations=tuple(
            Violation(name, f"set/{name}", name, name, level, confirmable=level is Level.ERROR)
            for name in names
            for level in Level
        ),
        targets=names,
        since=Since(names[0], names[0], names) if names else None,
        selected=tuple(Selected(name, PinKind.NAME, name, name, 1, 1, 0) for name in names),
        tracked=tuple(tracked(name, happened) for name in names for happened in Happened),
    )


def applied(names: tuple[str, ...] = NAMES) -> Applied:
    """An apply with a result of each outcome for each name."""
    return Applied(
        plan=plan(names),
        results=tuple(
            Result(action(ActionKind.CREATE, name), outcome, name, batch(name))
            for name in names
            for outcome in Outcome
        ),
        findings=tuple(
            Finding(Address("set", name), key(name), (name, "b"), ambiguous, name)
            for name in names
            for ambiguous in (True, False)
        ),
        batches=tuple(batch(name) for name in names),
        unresolved=tuple(Address("set", name) for name in names),
        ended=names[0],
        timed_out=True,
        stopped=2,
        closed=tuple(closed(name) for name in names),
    )


def status(names: tuple[str, ...] = NAMES) -> StatusReport:
    """A status with a row of each kind for each name."""
    rows = [
        StatusRow(
            address=Address("set", name),
            place=name,
            sync=sync,
            health=health,
            why=name,
            batch=name,
            status=Status.RUNNING,
            word=name,
            age=timedelta(hours=1),
            files=FileCounts(3, 1),
            surplus=(batch(name),),
            directory_name=f"{name}.",
        )
        for name in names
        for sync in Sync
        for health in Health
    ]
    return StatusReport(at=NOW, rows=tuple(rows))


def drift(names: tuple[str, ...] = NAMES) -> Drift:
    """Drift of each kind for each name."""
    return Drift(
        deviations=tuple(
            Deviation(
                kind=kind, key=key(name), batch=batch(name), address=Address("set", name), why=name, next=name
            )
            for kind in DriftKind
            for name in names
        ),
        unseen=tuple(Unseen(Home(name, name), name) for name in names),
    )


def diagnostics(names: tuple[str, ...] = NAMES) -> tuple[Diagnostic, ...]:
    """A diagnostic of each severity for each name."""
    return tuple(Diagnostic(Source(name, 3, 5), name, severity) for name in names for severity in Severity)
