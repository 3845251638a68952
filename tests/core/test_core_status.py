"""A plan read as a status: each rule of sync, health, counts, age and surplus is a row of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.plan import plan
from reconciler.core.select import Selection
from reconciler.core.status import health_of, status_of
from reconciler.model.batch import Address, Batch, FileCounts, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.intent import Intent
from reconciler.model.lock import Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job, Rerun
from reconciler.model.plan import Plan
from reconciler.model.project import Limits
from reconciler.model.snapshot import Gone, Seen, Snapshot, Unknown
from reconciler.model.source import Source
from reconciler.model.status import Health, StatusReport, StatusRow, Sync
from reconciler.model.tracking import Happened, TrackedChange
from reconciler.model.watched import Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
H = timedelta(hours=1)
KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
ADDRESS = Address("invoices", "dir-1")
RUNNING, COMPLETED = Status.RUNNING, Status.COMPLETED
FAILED, CANCELLED = Status.FAILED, Status.CANCELLED
SYNCED, OUT, UNKNOWN, AMBIGUOUS = Sync.SYNCED, Sync.OUT_OF_SYNC, Sync.UNKNOWN, Sync.AMBIGUOUS


def live(name: str, status: Status, hours: float | None = 1) -> Batch:
    return Batch(name, KEY, status, None if hours is None else NOW - hours * H)


def rec(batch: Batch, files: FileCounts | None = None, reason: str = "missing") -> Recorded:
    made = batch.created_at or NOW
    evidence = Evidence(reason) if reason else None
    return Recorded(
        batch.id, batch.status, Origin.CREATED, made, batch.created_at, evidence=evidence, files=files
    )


def entry(*recorded: Recorded, address: Address = ADDRESS) -> Entry:
    return Entry(key=KEY, address=address, current=recorded[-1].id, batches=recorded, directory_name="Sept.")


def wants(rerun: Rerun) -> DesiredBatch:
    source = Source("f")
    batch_set = BatchSet(
        name="invoices",
        provider="p",
        job=Job(KEY.job, ById(KEY.configuration)),
        directories=(ById(KEY.directory),),
        source=source,
        digest="d",
        locate=lambda path, *, key=False: source,
        rerun=rerun,
    )
    return DesiredBatch(ADDRESS, KEY, batch_set, 0)


ANY_TIME = Rerun()


@dataclass(frozen=True)
class Case:
    """What is given, and what of the row has to be: sync, health, batch, and the ids of surplus ones."""

    says: str
    seen: Seen
    then: tuple[Sync, Health, str, tuple[str, ...]]
    recorded: Entry | None = None
    rerun: Rerun = ANY_TIME
    desired: bool = True
    open: bool = False
    why: str = ""

    def __str__(self) -> str:
        return self.says


OLD, NEW = live("bat-old", COMPLETED, 9), live("bat-new", COMPLETED, 1)
RUN = live("bat-run", RUNNING)
DONE = live("bat-done", COMPLETED)
TWIN = live("bat-twin", RUNNING, 0.5)
AFTER = Rerun(after=NOW - 5 * H)

CASES = [
    Case("nothing there", (), (OUT, Health.MISSING, "", ()), why="no such batch exists"),
    Case("recorded and running", (RUN,), (SYNCED, Health.PROGRESSING, "bat-run", ()), entry(rec(RUN))),
    Case("recorded and done", (DONE,), (SYNCED, Health.COMPLETED, "bat-done", ()), entry(rec(DONE))),
    Case(
        "its files were read and are well",
        (DONE,),
        (SYNCED, Health.HEALTHY, "bat-done", ()),
        entry(rec(DONE, FileCounts(3, 0))),
    ),
    Case(
        "its files were read and one failed",
        (DONE,),
        (SYNCED, Health.DEGRADED, "bat-done", ()),
        entry(rec(DONE, FileCounts(3, 1))),
    ),
    Case(
        "there and not recorded",
        (DONE,),
        (OUT, Health.COMPLETED, "bat-done", ()),
        why="bat-done is COMPLETED and not recorded",
    ),
    Case(
        "another one counts than is recorded: its files were not read",
        (live("bat-old", FAILED, 9), NEW),
        (OUT, Health.COMPLETED, "bat-new", ()),
        entry(rec(live("bat-old", FAILED, 9), FileCounts(3, 0))),
        why="bat-new is COMPLETED and not recorded",
    ),
    Case(
        "recorded under another address",
        (DONE,),
        (OUT, Health.COMPLETED, "bat-done", ()),
        entry(rec(DONE), address=Address("bills", "dir-1")),
        why="bat-done was recorded as bills/dir-1",
    ),
    Case(
        "failed, to be created again",
        (live("bat-1", FAILED),),
        (OUT, Health.DEGRADED, "bat-1", ()),
        entry(rec(live("bat-1", FAILED))),
        why="bat-1 failed; attempt 2 of 3",
    ),
    Case(
        "cancelled, and held",
        (live("bat-1", CANCELLED),),
        (OUT, Health.DEGRADED, "bat-1", ()),
        entry(rec(live("bat-1", CANCELLED))),
        why="bat-1 was cancelled; to run again, raise rerun.after or set rerun.onCancelled: rerun",
    ),
    Case(
        "outdated: what is there keeps its health",
        (OLD,),
        (OUT, Health.HEALTHY, "bat-old", ()),
        entry(rec(OLD, FileCounts(3, 0))),
        AFTER,
        why="bat-old was created before 2026-11-22T07:00:00Z",
    ),
    Case(
        "not seen, and nothing recorded",
        Unknown("the listing is incomplete"),
        (UNKNOWN, Health.UNKNOWN, "", ()),
        why="the listing is incomplete",
    ),
    Case(
        "not seen: what is recorded is shown",
        Gone("404"),
        (UNKNOWN, Health.PROGRESSING, "bat-run", ()),
        entry(rec(RUN)),
        why="404; if it is gone for good: `reconciler lock resolve invoices/dir-1 --absent`",
    ),
    Case("a create is open", (), (AMBIGUOUS, Health.UNKNOWN, "", ()), open=True),
    Case(
        "a create is open beside what is recorded",
        (RUN,),
        (AMBIGUOUS, Health.PROGRESSING, "bat-run", ()),
        entry(rec(RUN)),
        open=True,
    ),
    Case(
        "no longer desired",
        (),
        (OUT, Health.PROGRESSING, "bat-run", ()),
        entry(rec(RUN)),
        desired=False,
        why="no longer in the manifests; bat-run (RUNNING) is left alone",
    ),
    Case(
        "a second one runs",
        (RUN, TWIN),
        (SYNCED, Health.PROGRESSING, "bat-run", ("bat-twin",)),
        entry(rec(RUN)),
    ),
    Case(
        "a second one is recorded and was not looked for",
        (RUN,),
        (SYNCED, Health.PROGRESSING, "bat-run", ("bat-twin",)),
        entry(rec(TWIN), rec(RUN)),
    ),
    Case(
        "what is recorded as running was seen to have ended",
        (RUN, TWIN._replace(status=CANCELLED)),
        (SYNCED, Health.PROGRESSING, "bat-run", ()),
        entry(rec(TWIN), rec(RUN)),
    ),
    Case(
        "two came to their end: one piece of work done twice",
        (DONE, NEW),
        (SYNCED, Health.COMPLETED, "bat-done", ("bat-new",)),
        entry(rec(DONE)),
    ),
    Case(
        "failed and cancelled ones are no surplus",
        (DONE, live("bat-f", FAILED), live("bat-c", CANCELLED)),
        (SYNCED, Health.COMPLETED, "bat-done", ()),
        entry(rec(DONE)),
    ),
    Case(
        "what a rerun outdates is no surplus",
        (OLD, NEW),
        (SYNCED, Health.COMPLETED, "bat-new", ()),
        entry(rec(NEW)),
        AFTER,
    ),
    Case(
        "what a rerun took the place of is no surplus",
        (OLD, NEW),
        (SYNCED, Health.COMPLETED, "bat-new", ()),
        entry(rec(OLD), rec(NEW, reason="input-changed")),
    ),
    Case(
        "a twin that is younger than the rerun is",
        (NEW, TWIN, TWIN._replace(id="bat-late", status=COMPLETED)),
        (SYNCED, Health.COMPLETED, "bat-new", ("bat-late", "bat-twin")),
        entry(rec(NEW, reason="input-changed")),
    ),
    Case(
        "of outdated ones, those that still run are surplus",
        (OLD._replace(status=RUNNING), NEW),
        (SYNCED, Health.COMPLETED, "bat-new", ("bat-old",)),
        entry(rec(NEW)),
        AFTER,
    ),
    Case(
        "beside a failed one, what came to its end before is no surplus",
        (OLD, live("bat-1", FAILED)),
        (OUT, Health.DEGRADED, "bat-1", ()),
        entry(rec(OLD), rec(live("bat-1", FAILED))),
        AFTER,
        why="bat-1 failed; attempt 2 of 3",
    ),
    Case(
        "of what is no longer desired, only those that run are surplus",
        (),
        (OUT, Health.COMPLETED, "bat-done", ("bat-twin",)),
        entry(rec(OLD), rec(TWIN), rec(DONE)),
        desired=False,
        why="no longer in the manifests; bat-done (COMPLETED) is left alone",
    ),
]


def status(
    case: Case, latest: Mapping[Key, Batch] | None = None, ahead: timedelta = timedelta()
) -> StatusReport:
    desired = Desired((wants(case.rerun),) if case.desired else (), {"invoices": "d"} if case.desired else {})
    snapshot = Snapshot({KEY: case.seen}, {KEY.endpoint: NOW + ahead})
    lock = Lock(entries={KEY: case.recorded} if case.recorded else {})
    intent = Intent(
        id="int",
        key=KEY,
        address=ADDRESS,
        known=frozenset(),
        evidence=Evidence("missing"),
        at=NOW - H,
        run="run",
    )
    made = plan(
        desired=desired,
        snapshot=snapshot,
        lock=lock,
        intents=(intent,) if case.open else (),
        facts={},
        now=NOW,
        limits=Limits(),
        selection=Selection(),
    )
    return status_of(
        made, snapshot=snapshot, lock=lock, desired=desired, facts={}, now=NOW, latest=latest or {}
    )


def row(case: Case) -> StatusRow:
    (only,) = status(case).rows
    return only


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_rule(case: Case) -> None:
    made = row(case)
    found = (made.sync, made.health, made.batch, tuple(batch.id for batch in made.surplus))
    assert found == case.then, case
    assert made.address == ADDRESS
    assert made.place == str(KEY)
    if not case.open:
        assert made.why == case.why
    else:
        assert made.why.startswith("a create was sent at 2026-11-22 11:00:00 UTC")


def test_a_row_tells_the_batch_with_its_age_by_the_services_clock_and_its_files() -> None:
    case = Case("done", (OLD,), CASES[0].then, entry(rec(OLD, FileCounts(7, 2))))
    assert row(case) == StatusRow(
        address=ADDRESS,
        place=str(KEY),
        sync=SYNCED,
        health=Health.DEGRADED,
        batch="bat-old",
        status=COMPLETED,
        created_at=NOW - 9 * H,
        age=9 * H,
        files=FileCounts(7, 2),
        directory_name="Sept.",
    )
    assert status(case, ahead=H).rows[0].age == 10 * H
    assert status(case, ahead=-10 * H).rows[0].age == timedelta()
    untimed = live("bat-1", RUNNING, None)
    assert row(Case("no time", (untimed,), CASES[0].then, entry(rec(untimed)))).age is None


def test_what_was_seen_after_the_plan_counts() -> None:
    case = Case("running", (RUN,), CASES[0].then, entry(rec(RUN)))
    (done,) = status(case, {KEY: RUN._replace(status=COMPLETED)}).rows
    assert (done.sync, done.health, done.status, done.why) == (SYNCED, Health.COMPLETED, COMPLETED, "")
    (failed,) = status(case, {KEY: RUN._replace(status=FAILED)}).rows
    assert (failed.sync, failed.health) == (OUT, Health.DEGRADED)
    assert failed.why == "bat-run is FAILED by now"


def test_files_that_were_read_do_not_count_for_a_batch_that_runs() -> None:
    """A service may say COMPLETED once and RUNNING later; its files are then not what was read."""
    assert row(Case("", (RUN,), CASES[0].then, entry(rec(RUN, FileCounts(3, 1))))).files is None


@pytest.mark.parametrize(
    ("status", "files", "health"),
    [
        (None, None, Health.MISSING),
        (Status.PENDING, None, Health.PROGRESSING),
        (Status.THROTTLED, None, Health.PROGRESSING),
        (Status.RUNNING, FileCounts(1, 1), Health.PROGRESSING),
        (Status.OTHER, None, Health.PROGRESSING),
        (Status.FAILED, None, Health.DEGRADED),
        (Status.FAILED, FileCounts(1, 0), Health.DEGRADED),
        (Status.CANCELLED, None, Health.DEGRADED),
        (Status.COMPLETED, None, Health.COMPLETED),
        (Status.COMPLETED, FileCounts(0, 0), Health.HEALTHY),
        (Status.COMPLETED, FileCounts(9, 1), Health.DEGRADED),
    ],
)
def test_health_is_the_status_and_once_completed_its_files(
    status: Status | None, files: FileCounts | None, health: Health
) -> None:
    assert health_of(status, files) is health


def test_the_report_counts_by_sync_by_health_and_by_status() -> None:
    rows = tuple(row(case) for case in CASES[:5])
    report = StatusReport(at=NOW, rows=rows)
    assert report.by_sync == {OUT: 1, SYNCED: 4}
    assert report.by_health == {
        Health.MISSING: 1,
        Health.PROGRESSING: 1,
        Health.COMPLETED: 1,
        Health.HEALTHY: 1,
        Health.DEGRADED: 1,
    }
    assert report.by_status == {RUNNING: 1, COMPLETED: 3}


def watched(happened: Happened, **more: Any) -> TrackedChange:  # noqa: ANN401 - the fields of TrackedChange
    return TrackedChange(
        address=Address("others", "btc-1"),
        id=WatchedId("https://talonic.test", "btc-1"),
        happened=happened,
        reason="the reason",
        **more,
    )


SEEN = Watched(
    id=WatchedId("https://talonic.test", "btc-1"),
    status=Status.FAILED,
    word="expired",
    created_at=NOW - 2 * H,
    counts=FileCounts(100, 3),
)


@pytest.mark.parametrize(
    ("happened", "sync"),
    [
        (Happened.NEW, OUT),
        (Happened.CHANGED, OUT),
        (Happened.UNCHANGED, SYNCED),
        (Happened.GONE, OUT),
        (Happened.UNKNOWN, UNKNOWN),
        (Happened.NO_LONGER_TRACKED, OUT),
    ],
)
def test_a_watched_batch_is_synced_when_it_is_what_is_recorded(happened: Happened, sync: Sync) -> None:
    change = watched(happened, now=SEEN, health=Health.DEGRADED)
    report = status_of(
        Plan(actions=(), tracked=(change,)),
        snapshot=Snapshot(),
        lock=Lock(),
        desired=Desired(),
        facts={},
        now=NOW,
    )
    assert report.rows == (
        StatusRow(
            address=Address("others", "btc-1"),
            place="https://talonic.test",
            sync=sync,
            health=Health.DEGRADED,
            why="" if sync is SYNCED else "the reason",
            batch="btc-1",
            status=FAILED,
            word="expired",
            created_at=NOW - 2 * H,
            age=2 * H,
            files=FileCounts(100, 3),
            tracked=True,
        ),
    )


def test_its_age_is_by_the_clock_of_the_service_where_that_is_known() -> None:
    change = watched(Happened.UNCHANGED, now=SEEN, health=Health.DEGRADED)
    report = status_of(
        Plan(actions=(), tracked=(change,)),
        snapshot=Snapshot({}, {"https://talonic.test": NOW + H}),
        lock=Lock(),
        desired=Desired(),
        facts={},
        now=NOW,
    )
    assert report.rows[0].age == 3 * H


def test_a_watched_batch_of_which_nothing_is_known_is_unknown() -> None:
    report = status_of(
        Plan(actions=(), tracked=(watched(Happened.UNKNOWN),)),
        snapshot=Snapshot(),
        lock=Lock(),
        desired=Desired(),
        facts={},
        now=NOW,
    )
    (made,) = report.rows
    assert (made.sync, made.health, made.status, made.running) == (UNKNOWN, Health.UNKNOWN, None, False)


def test_ours_and_watched_ones_stand_by_address() -> None:
    case = CASES[0]
    desired = Desired((wants(case.rerun),), {"invoices": "d"})
    made = plan(
        desired=desired,
        snapshot=Snapshot({KEY: ()}),
        lock=Lock(),
        intents=(),
        facts={},
        now=NOW,
        limits=Limits(),
        selection=Selection(),
    )
    both = replace(made, tracked=(replace(watched(Happened.NEW), address=Address("a", "btc-1")),))
    rows = status_of(both, snapshot=Snapshot({KEY: ()}), lock=Lock(), desired=desired, facts={}, now=NOW).rows
    assert [str(item.address) for item in rows] == ["a/btc-1", "invoices/dir-1"]
