"""What a report is put together from: runs, stories, commands, and the lockfile where nobody looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.report import (
    as_recorded,
    next_commands,
    plan_shown,
    report_of,
    runs_of,
    saved_plan_shown,
)
from reconciler.model.audit import Told
from reconciler.model.batch import Address, Batch, FileCounts, JobType, Key, Status
from reconciler.model.intent import Intent
from reconciler.model.lock import Entry, Evidence, Lock, Origin, Recorded, TrackedEntry
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
    Violation,
)
from reconciler.model.report import Known, Proposed
from reconciler.model.saved import SavedAction, SavedPlan
from reconciler.model.status import Health, StatusRow, Sync
from reconciler.model.watched import Watched, WatchedId

_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


def _key(directory: str) -> Key:
    return Key("https://e", "prj", directory, JobType.PARSE_V2, "cfg")


def _recorded(name: str, status: Status, files: FileCounts | None = None, ago: int = 2) -> Recorded:
    made = _NOW - ago * _HOUR
    return Recorded(name, status, Origin.CREATED, made, made, made, Evidence("missing"), None, files)


def _entry(directory: str, *batches: Recorded) -> Entry:
    return Entry(
        key=_key(directory),
        address=Address("s", directory),
        current=batches[-1].id,
        batches=batches,
        directory_name=f"{directory}-name",
    )


def _told(run: str, key: Key | str, batch: str, outcome: str = "created", action: str = "create") -> Told:
    return Told(
        file=f"audit/{run}.jsonl",
        line=2,
        time=f"2026-11-22T0{run}:00:00Z",
        run=run,
        actor=f"actor-{run}",
        actor_source="git",
        approver="",
        approver_source="unknown",
        ci_run="",
        commit="",
        dirty=None,
        plan="",
        action=action,
        address="s/d",
        key=str(key),
        batch=batch,
        outcome=outcome,
        why="",
        request_id="",
    )


def _lock(*entries: Entry) -> Lock:
    return Lock(entries={entry.key: entry for entry in entries})


def test_where_nobody_looks_the_lockfile_speaks_and_sync_is_not_known() -> None:
    lock = _lock(
        _entry("d-2", _recorded("old", Status.RUNNING), _recorded("new", Status.COMPLETED, FileCounts(3, 1))),
        _entry("d-1", _recorded("bat", Status.RUNNING)),
    )
    report = as_recorded(lock, (), _NOW)
    assert report.at == _NOW
    assert [(str(row.address), row.batch, row.sync, row.health) for row in report.rows] == [
        ("s/d-1", "bat", Sync.UNKNOWN, Health.PROGRESSING),
        ("s/d-2", "new", Sync.UNKNOWN, Health.DEGRADED),
    ]
    first, second = report.rows
    assert first.age == 2 * _HOUR
    assert (second.files, second.directory_name) == (FileCounts(3, 1), "d-2-name")
    assert [batch.id for batch in second.surplus] == ["old"]


def test_an_open_create_is_ambiguous_whether_something_is_recorded_there_or_not() -> None:
    def intent(directory: str) -> Intent:
        return Intent(
            id=directory,
            key=_key(directory),
            address=Address("s", directory),
            known=frozenset(),
            evidence=Evidence("missing"),
            at=_NOW,
            run="1",
        )

    lock = _lock(_entry("d-1", _recorded("bat", Status.FAILED)))
    rows = as_recorded(lock, (intent("d-1"), intent("d-2")), _NOW).rows
    assert [(row.batch, row.sync, row.health) for row in rows] == [
        ("bat", Sync.AMBIGUOUS, Health.DEGRADED),
        ("", Sync.AMBIGUOUS, Health.UNKNOWN),
    ]


def test_what_is_only_watched_is_there_as_well() -> None:
    watched = Watched(id=WatchedId("https://t", "w-1"), status=Status.FAILED, word="expired", created_at=_NOW)
    entry = TrackedEntry(address=Address("t", "w-1"), watched=watched, recorded_at=_NOW)
    (row,) = as_recorded(Lock(tracked={watched.id: entry}), (), _NOW).rows
    assert (row.tracked, row.word, row.health, row.place) == (True, "expired", Health.DEGRADED, "https://t")


def test_each_row_has_its_own_lines_and_batches_and_a_run_what_it_did() -> None:
    entry = _entry("d-1", _recorded("old", Status.FAILED, ago=9), _recorded("new", Status.COMPLETED))
    silent = _entry("d-3", _recorded("silent", Status.COMPLETED))
    lock = _lock(entry, _entry("d-2", _recorded("other", Status.COMPLETED)), silent)
    told = (
        _told("1", entry.key, "old"),
        _told("1", _key("d-2"), "other"),
        _told("2", entry.key, "new", "found"),
        _told("2", entry.key, "", "", "resolve"),
        _told("3", "something else", "x", "moved"),
    )
    report = report_of(
        "p", as_recorded(lock, (), _NOW), lock, Known(told=told, lines=5, unread=1), looked=False, plan=None
    )
    one, two, three = report.stories
    assert [line.batch for line in one.lines] == ["old", "new", ""]
    assert one.recorded == entry.recorded
    assert [item.id for item in one.earlier] == ["old"]
    assert [line.batch for line in two.lines] == ["other"]
    assert (three.row.batch, three.lines) == ("silent", ())
    assert [(ran.first.actor, dict(ran.did)) for ran in report.runs] == [
        ("actor-1", {"created": 2}),
        ("actor-2", {"found": 1, "resolve": 1}),
        ("actor-3", {"moved": 1}),
    ]
    assert (report.lines, report.unread, report.at) == (5, 1, _NOW)
    assert runs_of(()) == ()


def _row(**changes: object) -> StatusRow:
    fields: dict[str, object] = {
        "address": Address("s", "d"),
        "place": "k",
        "sync": Sync.SYNCED,
        "health": Health.HEALTHY,
        "batch": "bat",
        "status": Status.COMPLETED,
    }
    return StatusRow(**(fields | changes))  # type: ignore[arg-type]


_ALWAYS = ["reconciler explain s/d", "reconciler audit why bat"]


@pytest.mark.parametrize(
    ("row", "commands"),
    [
        (_row(), _ALWAYS),
        (_row(health=Health.DEGRADED), ["reconciler results --failed s/d", *_ALWAYS]),
        (_row(health=Health.COMPLETED), ["reconciler results --deep s/d", *_ALWAYS]),
        (
            _row(health=Health.PROGRESSING, status=Status.RUNNING),
            ["reconciler wait --target s/d", *_ALWAYS],
        ),
        (
            _row(sync=Sync.OUT_OF_SYNC, health=Health.MISSING, batch="", status=None),
            ["reconciler plan --target s/d", "reconciler explain s/d"],
        ),
        (_row(sync=Sync.AMBIGUOUS), ["reconciler apply", *_ALWAYS]),
        (_row(tracked=True), ["reconciler audit why bat"]),
        (
            _row(
                surplus=(Batch("b-2", _key("d"), Status.RUNNING), Batch("b-3", _key("d"), Status.COMPLETED))
            ),
            ["reconciler cancel s/d b-2", *_ALWAYS],
        ),
        (
            _row(address=Address("s", "d; rm -rf ~"), batch="$(x)"),
            ["reconciler explain 's/d; rm -rf ~'", "reconciler audit why '$(x)'"],
        ),
    ],
    ids=["healthy", "degraded", "completed", "running", "missing", "open", "watched", "surplus", "hostile"],
)
def test_each_row_names_the_commands_that_help(row: StatusRow, commands: list[str]) -> None:
    assert [command.text for command in next_commands(row)] == commands


def test_a_plan_is_shown_without_what_stays_and_with_what_holds_it() -> None:
    def action(kind: ActionKind, directory: str) -> Action:
        return Action(
            kind=kind,
            address=Address("s", directory),
            key=_key(directory),
            reason=Reason(ReasonCode.MISSING, "no such batch exists"),
            directory_name="name",
            files=3,
        )

    plan = Plan(
        actions=(action(ActionKind.CREATE, "a"), action(ActionKind.KEEP, "b")),
        breaches=(Breach("maxCreates", 0, 1), Breach("maxFiles", 1, 3, "set s")),
        guarded=(Guarded(Address("s", "a"), "a", "reconciler.yaml:9"),),
        closed=(Closed("", "no window is open", "reconciler.yaml:12"),),
        violations=(
            Violation("policies/a.json", "s/a", "", "too many files"),
            Violation("policies/a.json", "s/a", "", "only so", Level.WARNING),
        ),
    )
    shown = plan_shown(plan)
    assert shown.actions == (Proposed("create", "s/a", "name", "parse_v2 cfg", 3, "no such batch exists"),)
    assert (shown.kept, shown.digest, shown.file) == (1, plan.digest, "")
    assert shown.held == (
        "maxCreates of the project is 0, and it has 1",
        "maxFiles of set s is 1, and it has 3",
        "s/a: a is protected (reconciler.yaml:9)",
        "the project: no window is open (reconciler.yaml:12)",
        "s/a: too many files (policies/a.json)",
    )


def test_of_a_saved_plan_only_its_own_words_are_shown() -> None:
    saved = SavedPlan(
        file="plan.json",
        own="own",
        digest="digest",
        lineage="",
        state="",
        manifests="",
        targets=(),
        actions=(
            SavedAction("create", "s/a", str(_key("a")), "stale-age"),
            SavedAction("keep", "s/b", str(_key("b")), "satisfied"),
        ),
    )
    shown = saved_plan_shown(saved, "why")
    assert shown.actions == (Proposed("create", "s/a", "", "parse_v2 cfg", None, "stale age"),)
    assert (shown.file, shown.kept, shown.stale) == ("plan.json", 1, "why")
