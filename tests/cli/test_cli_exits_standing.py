"""Which end of `status` and `wait` gives which exit code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.cli.exits import of_status, of_wait
from reconciler.model.batch import Address, Status
from reconciler.model.status import Health, StatusReport, StatusRow, Sync, Waited

HERE = Address("set", "dir-1")


def row(health: Health, status: Status, sync: Sync = Sync.SYNCED, *, tracked: bool = False) -> StatusRow:
    return StatusRow(address=HERE, place="p", sync=sync, health=health, status=status, tracked=tracked)


def report(*rows: StatusRow) -> StatusReport:
    return StatusReport(at=datetime(2026, 11, 22, tzinfo=UTC), rows=rows)


WELL = row(Health.HEALTHY, Status.COMPLETED)
UNREAD = row(Health.COMPLETED, Status.COMPLETED)
BAD = row(Health.DEGRADED, Status.FAILED)
RUNNING = row(Health.PROGRESSING, Status.RUNNING)
WATCHED = row(Health.COMPLETED, Status.COMPLETED, tracked=True)
WATCHED_RUNNING = row(Health.DEGRADED, Status.RUNNING, tracked=True)
UNSEEN = row(Health.PROGRESSING, Status.RUNNING, Sync.UNKNOWN, tracked=True)


@pytest.mark.parametrize(
    ("syncs", "code"),
    [
        ([], 0),
        ([Sync.SYNCED, Sync.OUT_OF_SYNC], 0),
        ([Sync.SYNCED, Sync.AMBIGUOUS], 5),
        ([Sync.AMBIGUOUS, Sync.UNKNOWN], 1),
    ],
)
def test_status_ends_by_what_it_does_not_know(syncs: list[Sync], code: int) -> None:
    rows = [row(Health.DEGRADED, Status.FAILED, sync) for sync in syncs]
    assert of_status(report(*rows)) == code


@pytest.mark.parametrize(
    ("rows", "more", "code"),
    [
        ([], {}, 0),
        ([WELL, WATCHED], {}, 0),
        ([WELL, BAD], {}, 6),
        ([WELL, UNREAD], {}, 1),
        ([BAD, UNREAD], {}, 1),
        ([BAD, RUNNING], {"gone": (HERE,)}, 1),
        ([WELL, UNSEEN], {}, 1),
        ([WELL, RUNNING], {"timed_out": True}, 8),
        ([BAD, WATCHED_RUNNING], {"timed_out": True}, 8),
        ([BAD, UNREAD], {"timed_out": True}, 8),
        ([WELL], {"timed_out": True}, 0),
        ([BAD], {"timed_out": True}, 6),
        ([BAD, RUNNING], {"timed_out": True, "stopped": 15}, 143),
        ([], {"not_recorded": 3}, 0),
        ([], {"timed_out": True}, 8),
    ],
)
def test_wait_ends_by_the_worst(rows: list[StatusRow], more: dict[str, Any], code: int) -> None:
    assert of_wait(Waited(report=report(*rows), **more)) == code
