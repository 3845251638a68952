"""Reading the log: in the order of time over files that overlap, and what fits what was asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from audit_written import NOON, WHO, StillClock, line

from reconciler.adapters.audit import AuditFolder, Reading
from reconciler.model.audit import Asked, Told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / "audit"


class At(StillClock):
    def __init__(self, time: datetime) -> None:
        self._time = time

    def now(self) -> datetime:
        return self._time


def log(folder: Path, runs: Mapping[str, tuple[float, Sequence[float]]]) -> None:
    """Per run, when it begins, and when its lines are, in seconds after noon."""
    for run, (begin, lines) in runs.items():
        who = WHO._replace(approver="grace", approver_source="approved-by")
        file = AuditFolder(folder).begin(run, who, (), At(NOON + timedelta(seconds=begin)))
        for after in lines:
            time = NOON + timedelta(seconds=after)
            file.append(replace(line(f"{run}@{after}"), time=time))
        file.close()


def test_files_that_overlap_are_told_in_the_order_of_time(folder: Path) -> None:
    log(folder, {"a": (0, [1, 4, 7]), "b": (2, [3, 4, 4.5]), "c": (5, [6, 8]), "d": (100, [100])})
    told = [item.batch for item in Reading(folder).told()]
    assert told == ["a@1", "b@3", "a@4", "b@4", "b@4.5", "c@6", "a@7", "c@8", "d@100"]


def test_a_clock_that_was_set_back_during_a_run_does_not_upset_the_order(folder: Path) -> None:
    log(folder, {"a": (0, [5, 2, 2, 9]), "b": (3, [3, 6])})
    told = [(item.batch, item.line) for item in Reading(folder).told()]
    assert told == [("a@2", 3), ("a@2", 4), ("b@3", 2), ("a@5", 2), ("b@6", 3), ("a@9", 5)]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not say what is open")
def test_few_files_are_open_at_once(folder: Path) -> None:
    log(folder, {f"r{number:03}": (number * 10, [number * 10 + 1]) for number in range(50)})
    told = Reading(folder).told()
    next(told)
    here = [item.resolve() for item in Path("/proc/self/fd").iterdir()]
    assert sum(item.parent == folder.resolve() for item in here) <= 1
    assert len(list(told)) == 49


def test_a_line_has_what_its_files_header_says(folder: Path) -> None:
    log(folder, {"a": (0, [1])})
    (told,) = Reading(folder).told()
    assert told == Told(
        file="audit/20260901T120000Z-a.jsonl",
        line=2,
        time="2026-09-01T12:00:01Z",
        run="a",
        actor="ada",
        actor_source="git",
        approver="grace",
        approver_source="approved-by",
        ci_run="",
        commit="c0ffee",
        dirty=True,
        plan="sha256:1",
        action="create",
        address="invoices/dir-1",
        key="e p dir-1 parse_v2 cfg-1",
        batch="a@1",
        outcome="created",
        why="missing",
        request_id="req-1",
    )


def test_lines_that_cannot_be_read_are_counted_and_the_others_told(folder: Path) -> None:
    log(folder, {"a": (0, [1, 2])})
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes().replace(b'"batch":"a@1"', b'"batch": "a@1"') + b"torn")
    reading = Reading(folder)
    assert [item.batch for item in reading.told()] == ["a@2"]
    assert (reading.lines, reading.unread) == (2, 1)


def test_only_lines_with_a_word_are_looked_at_closely(folder: Path) -> None:
    log(folder, {"a": (0, [1, 2, 3])})
    reading = Reading(folder)
    assert [item.batch for item in reading.told(["a@2"])] == ["a@2"]
    assert reading.lines == 3


def a_told(**changes: str) -> Told:
    texts = dict.fromkeys(
        (
            *("file", "run", "actor_source", "approver", "approver_source", "ci_run", "commit", "plan"),
            *("key", "outcome", "why", "request_id"),
        ),
        "",
    )
    there = {"time": "2026-09-01T12:00:00Z", "actor": "Ada Lovelace <ada@desk>", "action": "create"}
    there |= {"address": "invoices/dir-1", "batch": "bat-1"}
    return Told(line=2, dirty=None, **texts | there | changes)


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (Asked(), True),
        (Asked(since=NOON, until=NOON), True),
        (Asked(since=NOON + timedelta(microseconds=1)), False),
        (Asked(until=NOON - timedelta(microseconds=1)), False),
        (Asked(actors=frozenset({"ada@desk"})), True),
        (Asked(actors=frozenset({"Ada Lovelace", "x"})), True),
        (Asked(actors=frozenset({"Ada Lovelace <ada@desk>"})), True),
        (Asked(actors=frozenset({"Ada"})), False),
        (Asked(sets=frozenset({"invoices"})), True),
        (Asked(sets=frozenset({"invoice"})), False),
        (Asked(batches=frozenset({"bat-1"}), actions=frozenset({"create", "cancel"})), True),
        (Asked(batches=frozenset({"bat-1"}), actions=frozenset({"cancel"})), False),
    ],
)
def test_what_fits(asked: Asked, fits: bool) -> None:  # noqa: FBT001 - the expectation
    assert asked.fits(a_told()) is fits


@pytest.mark.parametrize("time", ["", "noon", "2026-09-01T12:00:00", "2026-09-01"])
def test_a_time_that_cannot_be_read_fits_no_bound(time: str) -> None:
    assert not Asked(since=NOON - timedelta(days=1)).fits(a_told(time=time))
    assert Asked().fits(a_told(time=time))
