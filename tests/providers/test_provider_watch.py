"""LlamaCloud's batches as a watcher sees them, over a provider of a few lines."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest
from provider_limiter import PassingClock, Patient

from reconciler.adapters.providers.llamacloud_watch import RESULTS_TRIES, LlamaCloudWatch
from reconciler.model.batch import Batch, DirectoryFile, FileResult, JobType, Key, Status
from reconciler.model.errors import NotFoundError, UnexpectedReplyError
from reconciler.model.ports import Listing, Page
from reconciler.model.watched import FileOutcome, FileStatus, JobOutcome, Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from reconciler.model.ports import Provider, Watcher

T = TypeVar("T")

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDPOINT = "https://api.cloud.example"
KEY = Key(ENDPOINT, "prj", "dir", JobType.PARSE_V2, "cfg")


@dataclass
class Fake:
    """Batches in pages of two; filters by status only, as a service that takes its filters lightly."""

    batches: list[Batch] = field(default_factory=list)
    given: list[tuple[FileResult, ...] | None] = field(default_factory=list)
    asked: list[tuple[Listing, str | None]] = field(default_factory=list)
    stuck: bool = False
    jobs: dict[str, JobOutcome] = field(default_factory=dict)

    endpoint = ENDPOINT

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        self.asked.append((listing, token))
        start = int(token or 0)
        fitting = [item for item in self.batches if listing.status in {None, item.status}]
        more = start + 2 < len(fitting)
        following = str(0 if self.stuck else start + 2)
        return Page(fitting[start : start + 2], following if more or self.stuck else None)

    async def get(self, batch: str) -> Batch:
        return next(item for item in self.batches if item.id == batch)

    async def results(self, _: str) -> tuple[FileResult, ...] | None:
        return self.given.pop(0) if self.given else None

    async def files(self, _: str) -> AsyncIterator[DirectoryFile]:
        yield DirectoryFile("f-1", "one.pdf")

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        assert job is JobType.PARSE_V2
        if name not in self.jobs:
            raise NotFoundError(f"there is no job {name}", status=404)
        return self.jobs[name]


def watcher(fake: Fake, clock: PassingClock | None = None) -> LlamaCloudWatch:
    return LlamaCloudWatch(cast("Provider", fake), Patient(clock or PassingClock()))


def live(name: str, status: Status = Status.RUNNING, created: datetime | None = NOON) -> Batch:
    return Batch(name, KEY, status, created, created)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def watched(fake: Fake, since: datetime | None, statuses: Sequence[str]) -> list[str]:
    async def gather(items: AsyncIterator[Watched]) -> list[str]:
        return [item.id.id async for item in items]

    return run(gather(watcher(fake).watch(since, statuses)))


def test_it_is_a_watcher_and_cannot_create() -> None:
    there: Watcher = watcher(Fake())
    assert there.endpoint == ENDPOINT
    assert not hasattr(there, "create")  # R16


@pytest.mark.parametrize("status", list(Status))
def test_a_batch_is_watched_in_the_words_of_its_service(status: Status) -> None:
    expected = Watched(
        id=WatchedId(ENDPOINT, "b"), status=status, word=status.value, created_at=NOON, updated_at=NOON
    )
    there = watcher(Fake([live("b", status)]))
    assert run(there.watched("b")) == expected
    assert run(there.refresh("b")) == expected


def test_since_is_asked_of_the_service_and_checked_here() -> None:
    fake = Fake([live("old", created=NOON - HOUR), live("at", created=NOON), live("untimed", created=None)])
    assert watched(fake, NOON, ()) == ["at", "untimed"]
    assert [token for _, token in fake.asked] == [None, "2"]
    assert {listing.created_on_or_after for listing, _ in fake.asked} == {NOON}


def test_statuses_are_asked_for_one_by_one_in_the_order_of_a_batchs_life() -> None:
    fake = Fake([live("r"), live("p", Status.PENDING), live("d", Status.COMPLETED)])
    assert watched(fake, None, ["running", "PENDING", "in_progress"]) == ["p", "r"]
    assert [listing.status for listing, _ in fake.asked] == [Status.PENDING, Status.RUNNING]
    nothing = Fake([live("r")])
    assert watched(nothing, None, ["in_progress"]) == []
    assert nothing.asked == []


def test_a_token_that_repeats_is_an_error() -> None:
    with pytest.raises(UnexpectedReplyError, match="repeats a page token"):
        watched(Fake([live("a"), live("b"), live("c")], stuck=True), NOON, ())


def test_deep_asks_each_files_job_and_has_the_files_names() -> None:
    results = (
        FileResult("f-1", "pjb-1", None, "parse_v2"),
        FileResult("f-2", "pjb-2", None, "parse_v2"),
        FileResult("f-3", "pjb-3", None, "split_v9"),
        FileResult("f-4", "pjb-404", None, ""),
        FileResult("f-5", None, "too large", ""),
    )
    fake = Fake([live("b", Status.COMPLETED)], [results])
    fake.jobs = {
        "pjb-1": JobOutcome(FileStatus.SUCCEEDED, ""),
        "pjb-2": JobOutcome(FileStatus.FAILED, "it is torn"),
    }
    told = run(watcher(fake).outcomes("b", deep=True))
    assert [(item.name, item.status, item.error) for item in told or ()] == [
        ("one.pdf", FileStatus.SUCCEEDED, ""),
        ("", FileStatus.FAILED, "it is torn"),
        ("", FileStatus.UNKNOWN, ""),
        ("", FileStatus.UNKNOWN, "there is no job pjb-404"),
        ("", FileStatus.FAILED, "too large"),
    ]


def test_results_that_lack_are_asked_for_a_few_times() -> None:
    results = (
        FileResult("f-2", "pjb-1", None),
        FileResult("f-1", None, "too large"),
        FileResult("f-3", None, None),
    )
    outcomes = (
        FileOutcome(file="f-1", status=FileStatus.FAILED, error="too large"),
        FileOutcome(file="f-2", status=FileStatus.UNKNOWN, job="pjb-1"),
        FileOutcome(file="f-3", status=FileStatus.PROCESSING),
    )
    done = [live("b", Status.COMPLETED)]
    clock = PassingClock()
    assert run(watcher(Fake(done, [None, results]), clock).outcomes("b")) == outcomes
    assert len(clock.slept) == 1
    assert run(watcher(Fake(done), clock).outcomes("b")) is None
    assert len(clock.slept) == 1 + RESULTS_TRIES - 1
    assert run(watcher(Fake([live("b")]), clock).outcomes("b")) is None
    assert len(clock.slept) == RESULTS_TRIES  # one that runs is not waited for
