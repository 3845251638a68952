"""A project's report of any size: sets of several kinds, a year of runs, and a story for each batch.

Chosen by a seed, so that the same size gives the same report.
"""

from __future__ import annotations

import random
import shlex
from datetime import UTC, datetime, timedelta

import render_hostile

from reconciler.model.audit import Told
from reconciler.model.batch import Address, Batch, FileCounts, JobType, Key, Status
from reconciler.model.lock import Evidence, Origin, Recorded
from reconciler.model.report import Command, PlanShown, Proposed, Ran, Report, Story
from reconciler.model.status import Health, StatusReport, StatusRow, Sync
from reconciler.model.watched import FileOutcome, FileStatus

NOW = datetime(2026, 11, 22, 10, 38, 5, tzinfo=UTC)

_SETS = ("invoices", "receipts", "claims", "contracts-emea", "delivery-notes", "payroll", "tax-filings")
_ACTORS = (
    ("ada@example.org", "git"),
    ("Grace Hopper <grace@example.org>", "git"),
    ("octo-bot", "GITHUB_ACTOR"),
)
_HEALTHS = (
    (Health.HEALTHY, Status.COMPLETED, 800),
    (Health.COMPLETED, Status.COMPLETED, 60),
    (Health.PROGRESSING, Status.RUNNING, 40),
    (Health.DEGRADED, Status.COMPLETED, 50),
    (Health.DEGRADED, Status.FAILED, 8),
    (Health.MISSING, None, 30),
    (Health.UNKNOWN, None, 6),
)


def report(batches: int = 10_000, runs: int = 120, seed: int = 1) -> Report:
    """A report of that many batches."""
    chance = random.Random(seed)
    began = sorted(NOW - timedelta(hours=chance.uniform(1, 24 * 330)) for _ in range(runs))
    stories: list[Story] = []
    lines: list[Told] = []
    for number in range(batches):
        run = chance.randrange(runs)
        made = _story(chance, number, run, began[run] + timedelta(seconds=20))
        stories.append(made)
        lines += made.lines
    stories.sort(key=lambda story: story.row.address)
    did: dict[str, list[Told]] = {}
    for line in lines:
        did.setdefault(line.run, []).append(line)
    rows = tuple(story.row for story in stories)
    return Report(
        project="finance-documents",
        looked=True,
        status=StatusReport(at=NOW, rows=rows),
        stories=tuple(stories),
        runs=tuple(
            Ran(first=there[0], ended=there[-1].time, did={"created": len(there)})
            for _, there in sorted(did.items())
        ),
        plan=_plan(rows),
        lines=len(lines),
    )


def _plan(rows: tuple[StatusRow, ...]) -> PlanShown:
    actions = tuple(
        Proposed("create", str(row.address), row.directory_name, "parse_v2 cfg-PARSE_AGENTIC", 40, row.why)
        for row in rows
        if row.health is Health.MISSING
    )
    return PlanShown(digest="sha256:" + "4f53cda1" * 8, actions=actions, kept=len(rows) - len(actions))


def _story(chance: random.Random, number: int, run: int, made: datetime) -> Story:
    name = _SETS[min(int(chance.expovariate(0.6)), len(_SETS) - 1)]
    health, status, _ = chance.choices(_HEALTHS, [weight for *_, weight in _HEALTHS])[0]
    if health is Health.PROGRESSING:
        made = NOW - timedelta(minutes=chance.uniform(1, 2_000))
    directory = f"dir-{chance.getrandbits(32):08x}"
    key = Key("https://api.example.org", "prj-0d3fd6d1", directory, JobType.PARSE_V2, "cfg-PARSE_AGENTIC")
    batch = f"bat-{chance.getrandbits(32):08x}-{number:06d}" if status else ""
    total = chance.randint(1, 400)
    files = None
    if health in (Health.HEALTHY, Health.DEGRADED) and status is Status.COMPLETED:
        files = FileCounts(total, chance.randint(1, 9) if health is Health.DEGRADED else 0)
    sync, why = Sync.SYNCED, ""
    if health is Health.MISSING:
        sync, why = Sync.OUT_OF_SYNC, "no such batch exists"
    elif health is Health.UNKNOWN:
        sync, why = Sync.UNKNOWN, "the listing was incomplete: HTTP 503 after 6 tries"
    elif status is Status.FAILED:
        sync, why = Sync.OUT_OF_SYNC, f"{batch} is FAILED, attempt 1 of 3"
    row = StatusRow(
        address=Address(name, directory),
        place=str(key),
        sync=sync,
        health=health,
        why=why,
        batch=batch,
        status=status,
        created_at=made if status else None,
        age=NOW - made if status else None,
        files=files,
        surplus=(Batch(f"{batch}-again", key, Status.RUNNING, made),) if chance.random() < 0.01 else (),
        directory_name=f"{name}-{made:%Y-%m}-{number:05d}",
    )
    recorded = None
    if status:
        recorded = Recorded(batch, status, Origin.CREATED, made, made, made, Evidence("missing"))
    address = shlex.quote(str(row.address))
    return Story(
        row=row,
        recorded=recorded,
        lines=(_line(number, run, row, made),) if batch else (),
        next=(
            Command(f"reconciler explain {address}", "why each batch there counts or does not"),
            Command(f"reconciler audit why {batch}", "who made it, and what for"),
        ),
    )


def _line(number: int, run: int, row: StatusRow, made: datetime) -> Told:
    actor, source = _ACTORS[run % len(_ACTORS)]
    return Told(
        file=f"audit/run-{run:04d}.jsonl",
        line=number + 2,
        time=made.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        run=f"{run:012d}",
        actor=actor,
        actor_source=source,
        approver="lin@example.org" if run % 2 else "",
        approver_source="GitHub review" if run % 2 else "unknown",
        ci_run=f"https://github.com/octo/documents/actions/runs/{run}" if source == "GITHUB_ACTOR" else "",
        commit="c0ffee12" * 5,
        dirty=False,
        plan="sha256:" + "7ae8e3a7" * 8,
        action="create",
        address=str(row.address),
        key=row.place,
        batch=row.batch,
        outcome="created",
        why="no such batch exists",
        request_id=f"req-{number:06d}",
    )


#: Names that would do something if any of them were taken for markup, script or style.
RUNNING = (
    "<script>globalThis.intruded=1</script>",
    "</script><script>globalThis.intruded=1</script>",
    "<!--<script>",
    '"><img src=x onerror=globalThis.intruded=1>',
    "'><svg onload=globalThis.intruded=1>",
    "</style></title></textarea><script>globalThis.intruded=1</script>",
    "javascript:globalThis.intruded=1",
    'https://evil.example/?"onmouseover=globalThis.intruded=1 x="',
    "{{constructor.constructor('globalThis.intruded=1')()}} ${globalThis.intruded=1}",
    "url(https://evil.example/x.png)",
    *render_hostile.NAMES,
)


def hostile(names: tuple[str, ...] = RUNNING) -> Report:
    """A report in which every string from outside is one of these names."""
    stories = tuple(_hostile_story(number, name) for number, name in enumerate(names))
    return Report(
        project=names[0],
        looked=True,
        status=StatusReport(at=NOW, rows=tuple(story.row for story in stories)),
        stories=stories,
        runs=tuple(
            Ran(first=story.lines[0], ended=name, did={name: 1})
            for story, name in zip(stories, names, strict=True)
        ),
        plan=PlanShown(
            file=names[0],
            digest=names[0],
            actions=tuple(Proposed(name, name, name, name, 1, name) for name in names),
            kept=0,
            stale=names[0],
            held=names,
        ),
        unread=3,
        files_asked=True,
    )


def _hostile_story(number: int, name: str) -> Story:
    key = render_hostile.key(name)
    batch = f"{name}{number}"
    row = StatusRow(
        address=Address(name, name),
        place=name,
        sync=Sync.OUT_OF_SYNC,
        health=Health.DEGRADED,
        why=f"why {name}",
        batch=batch,
        status=Status.RUNNING,
        word=name,
        created_at=NOW,
        age=timedelta(0),
        files=FileCounts(3, 1),
        surplus=(Batch(name, key, Status.RUNNING, NOW),),
        directory_name=f"{name}.",
    )
    recorded = Recorded(batch, Status.RUNNING, Origin.FOUND, NOW, NOW, NOW, Evidence(name))
    texts = dict.fromkeys(
        (
            *("time", "actor", "actor_source", "approver", "approver_source", "ci_run", "commit", "plan"),
            *("action", "address", "outcome", "why", "request_id", "file"),
        ),
        name,
    )
    return Story(
        row=row,
        recorded=recorded,
        earlier=(recorded,),
        lines=(Told(line=number, run=str(number), dirty=True, key=name, batch=batch, **texts),),
        failed=(FileOutcome(file=name, status=FileStatus.FAILED, name=name, error=name),),
        unread=name,
        next=(Command(name, name),),
    )
