"""Whose a live batch is, and whether it is one of those that were asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.ownership import Owners, fits
from reconciler.model.batch import Address, Batch, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.listed import Filters, Role
from reconciler.model.lock import Alias, Entry, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job
from reconciler.model.source import Source

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
H = timedelta(hours=1)
KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
OTHER = KEY._replace(configuration="cfg-renamed")
HERE, THERE = Address("invoices", "dir-1"), Address("bills", "dir-1")


def batch(name: str, key: Key = KEY) -> Batch:
    return Batch(name, key, Status.RUNNING, NOW - H)


def wanted() -> Desired:
    source = Source("f")
    batch_set = BatchSet(
        name="invoices",
        provider="p",
        job=Job(KEY.job, ById(KEY.configuration)),
        directories=(ById(KEY.directory),),
        source=source,
        digest="d",
        locate=lambda path, *, key=False: source,
    )
    return Desired((DesiredBatch(HERE, KEY, batch_set, 0),), {"invoices": "d"})


def recorded(*names: str, alias: Alias | None = None) -> Lock:
    items = tuple(Recorded(name, Status.RUNNING, Origin.CREATED, NOW, alias=alias) for name in names)
    return Lock(entries={KEY: Entry(key=KEY, address=THERE, current=names[-1], batches=items)})


RENAMED = Alias("dir-1", "cfg-renamed")


@pytest.mark.parametrize(
    ("desired", "lock", "live", "owner", "role"),
    [
        (Desired(), Lock(), batch("bat-1"), None, Role.NONE),
        (wanted(), Lock(), batch("bat-1"), HERE, Role.UNRECORDED),
        (wanted(), Lock(), batch("bat-1", OTHER), None, Role.NONE),
        (wanted(), recorded("bat-1"), batch("bat-1"), HERE, Role.STANDS),
        (Desired(), recorded("bat-1"), batch("bat-1"), THERE, Role.STANDS),
        (Desired(), recorded("bat-1", "bat-2"), batch("bat-1"), THERE, Role.RECORDED),
        (Desired(), recorded("bat-1", "bat-2"), batch("bat-3"), THERE, Role.UNRECORDED),
        (wanted(), recorded("bat-1", alias=RENAMED), batch("bat-1", OTHER), HERE, Role.STANDS),
        (wanted(), recorded("bat-1"), batch("bat-1", OTHER), HERE, Role.STANDS),
        (wanted(), recorded("bat-1", alias=RENAMED), batch("bat-2", OTHER), HERE, Role.UNRECORDED),
    ],
)
def test_a_batch_belongs_where_it_is_desired_or_else_recorded(
    desired: Desired, lock: Lock, live: Batch, owner: Address | None, role: Role
) -> None:
    assert Owners(desired, lock).of(live) == (owner, role)


@pytest.mark.parametrize(
    ("filters", "fitting"),
    [
        (Filters(), True),
        (Filters(directory="dir-1"), True),
        (Filters(directory="dir-2"), False),
        (Filters(status=Status.RUNNING), True),
        (Filters(status=Status.PENDING), False),
        (Filters(job=JobType.PARSE_V2), True),
        (Filters(job=JobType.EXTRACT_V2), False),
        (Filters(configuration="cfg"), True),
        (Filters(configuration="cfg-2"), False),
        (Filters(since=NOW - H, until=NOW - H), True),
        (Filters(since=NOW - H + timedelta(microseconds=1)), False),
        (Filters(until=NOW - H - timedelta(microseconds=1)), False),
    ],
)
def test_each_filter_is_held_against_the_batch(filters: Filters, *, fitting: bool) -> None:
    assert fits(batch("bat-1"), filters) is fitting


def test_a_batch_without_a_time_is_not_left_out_for_it() -> None:
    assert fits(batch("bat-1")._replace(created_at=None), Filters(since=NOW, until=NOW - H))
