"""What became of a batch's files, whatever the service says of them and leaves out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from engine_time import START
from engine_world import CONFIGURATION, ENDPOINT, PROJECT, World

from reconciler.engine.outcomes import PAUSES, counts_of, file_outcomes
from reconciler.engine.stop import Stop
from reconciler.model.batch import DirectoryFile, FileCounts, FileResult, JobType, Key, Status
from reconciler.model.errors import AuthenticationError, NotFoundError, UnavailableError
from reconciler.model.events import FileFailed, Warned
from reconciler.model.watched import FileOutcome, FileStatus, JobOutcome

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(ENDPOINT, PROJECT, "dir-001", JobType.PARSE_V2, CONFIGURATION)
SUCCEEDED, FAILED, PROCESSING = FileStatus.SUCCEEDED, FileStatus.FAILED, FileStatus.PROCESSING
UNKNOWN, MISSING, NEWER = FileStatus.UNKNOWN, FileStatus.MISSING, FileStatus.NEWER


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def asked(
    world: World, status: Status = Status.COMPLETED, *, deep: bool = True, stop: Stop | None = None
) -> tuple[FileOutcome, ...] | None:
    """The outcomes of one batch over ``dir-001``."""
    name = world.service.put("dir-001", status=status)
    stop = stop or Stop()

    async def ask() -> tuple[FileOutcome, ...] | None:
        stop.bind(world.time)
        batch = await world.service.get(name)
        return await file_outcomes(world.service, KEY, batch, deep=deep, at_once=3, patience=stop)

    return world.time.run(ask())  # type: ignore[no-any-return]


def short(outcomes: tuple[FileOutcome, ...] | None) -> list[tuple[str, FileStatus]]:
    return [(item.file, item.status) for item in outcomes or ()]


def test_results_and_files_are_joined_on_the_file_s_id_whatever_their_order(world: World) -> None:
    world.service.on_results = lambda _: (
        FileResult("fil-3", "job-3", None, "extract_v2"),
        FileResult("fil-9", "job-9", None, "parse_v2"),
        FileResult("fil-1", None, "too large"),
        FileResult("fil-2", "job-2", None),
    )
    world.service.on_files = lambda _: (
        DirectoryFile("fil-2", "b.pdf", START - timedelta(1)),
        DirectoryFile("fil-4", "d.pdf", None),
        DirectoryFile("fil-1", "a.pdf", START - timedelta(1)),
        DirectoryFile("fil-3", "c.pdf", START - timedelta(1)),
        DirectoryFile("fil-5", "e.pdf", START + timedelta(hours=1)),
    )
    jobs = {
        "job-2": JobOutcome(SUCCEEDED),
        "job-3": JobOutcome(FAILED, "no total"),
        "job-9": JobOutcome(PROCESSING),
    }
    world.service.on_job = jobs.__getitem__

    assert asked(world) == (
        FileOutcome(file="fil-1", status=FAILED, name="a.pdf", error="too large"),
        FileOutcome(file="fil-2", status=SUCCEEDED, name="b.pdf", job="job-2", job_type="parse_v2"),
        FileOutcome(
            file="fil-3", status=FAILED, name="c.pdf", job="job-3", job_type="extract_v2", error="no total"
        ),
        FileOutcome(file="fil-4", status=MISSING, name="d.pdf", error="the batch has no result for it"),
        FileOutcome(
            file="fil-5",
            status=NEWER,
            name="e.pdf",
            error=f"changed at {START + timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC, after the batch was made",
        ),
        FileOutcome(file="fil-9", status=PROCESSING, job="job-9", job_type="parse_v2"),
    )


def test_without_deep_no_job_is_asked_and_nothing_is_taken_for_success(world: World) -> None:
    outcomes = asked(world, deep=False)
    assert short(outcomes) == [("fil-dir-001", UNKNOWN)]
    assert outcomes is not None
    assert outcomes[0].error == ""
    assert world.service.count("job") == 0
    assert counts_of(outcomes) is None


def test_jobs_are_asked_once_each_and_a_bounded_number_of_them_at_once(world: World) -> None:
    world.service.latency = 1.0
    world.service.on_results = lambda _: tuple(
        FileResult(f"fil-{number}", f"job-{number % 6}", None, "parse_v2") for number in range(12)
    )
    outcomes = asked(world)
    assert counts_of(outcomes) == FileCounts(13, 1)  # the directory's own file has no result
    assert world.service.count("job") == 6
    assert world.time.seconds == 1 + 1 + 1 + 6 / 3  # the batch, its results, its files; three jobs at once


@pytest.mark.parametrize("nulls", [1, len(PAUSES), len(PAUSES) + 1])
def test_null_results_of_a_completed_batch_are_asked_for_again_but_not_for_ever(
    world: World, nulls: int
) -> None:
    given = [None] * nulls
    world.service.on_results = lambda batch: given.pop() if given else world.service.one_result(batch)
    outcomes = asked(world)
    assert (outcomes is None) is (nulls > len(PAUSES))
    assert world.service.count("results") == min(nulls, len(PAUSES)) + 1
    assert world.time.seconds == sum(PAUSES[:nulls])


def test_results_that_say_neither_job_nor_error_are_asked_for_again_and_then_unknown(world: World) -> None:
    world.service.on_results = lambda _: (FileResult("fil-dir-001", None, None),)
    outcomes = asked(world)
    assert short(outcomes) == [("fil-dir-001", UNKNOWN)]
    assert outcomes is not None
    assert outcomes[0].error == "its result names neither a job nor an error"
    assert world.service.count("results") == len(PAUSES) + 1


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.RUNNING, Status.OTHER])
def test_null_results_of_any_other_batch_are_an_answer(world: World, status: Status) -> None:
    world.service.on_results = lambda _: None
    assert asked(world, status) is None
    assert world.service.count("results") == 1


def test_no_pause_outlasts_the_run(world: World) -> None:
    stop = Stop()
    stop.request(2)
    world.service.on_results = lambda _: None
    assert asked(world, stop=stop) is None
    assert (world.service.count("results"), world.time.seconds) == (1, 0)


def test_while_a_batch_runs_its_other_files_are_still_to_come(world: World) -> None:
    world.service.on_results = lambda _: (FileResult("fil-7", None, None),)
    outcomes = asked(world, Status.RUNNING)
    assert short(outcomes) == [("fil-7", PROCESSING), ("fil-dir-001", PROCESSING)]


def test_results_of_a_directory_that_is_gone_keep_their_ids(world: World) -> None:
    def gone(_: str) -> tuple[DirectoryFile, ...]:
        raise NotFoundError("gone", status=404)

    world.service.on_files = gone
    outcomes = asked(world)
    assert outcomes is not None
    assert [(item.file, item.name, item.status) for item in outcomes] == [("fil-dir-001", "", SUCCEEDED)]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NotFoundError("there is no such job", status=404), "there is no such job"),
        (UnavailableError("503", status=503), "503"),
    ],
)
def test_r7_a_job_that_cannot_be_read_is_unknown_and_says_why(
    world: World, error: Exception, why: str
) -> None:
    def fail(_: str) -> JobOutcome:
        raise error

    world.service.on_job = fail
    outcomes = asked(world)
    assert outcomes is not None
    assert [(item.status, item.error) for item in outcomes] == [(UNKNOWN, why)]
    assert counts_of(outcomes) is None


def test_a_job_of_a_type_that_this_version_does_not_know_is_not_asked(world: World) -> None:
    world.service.on_results = lambda _: (FileResult("fil-dir-001", "job-1", None, "split_v9"),)
    outcomes = asked(world)
    assert outcomes is not None
    assert [(item.status, item.job_type) for item in outcomes] == [(UNKNOWN, "split_v9")]
    assert "split_v9" in outcomes[0].error
    assert world.service.count("job") == 0


def test_a_key_that_is_not_accepted_ends_the_asking(world: World) -> None:
    def refuse(_: str) -> JobOutcome:
        raise AuthenticationError("401", status=401)

    world.service.on_job = refuse
    with pytest.raises(AuthenticationError):
        asked(world)


@pytest.mark.parametrize(
    ("statuses", "counts"),
    [
        ([], None),
        ([SUCCEEDED, FAILED, MISSING], FileCounts(3, 2)),
        ([SUCCEEDED, NEWER], FileCounts(1, 0)),
        ([NEWER], None),
        ([SUCCEEDED, PROCESSING], None),
        ([SUCCEEDED, UNKNOWN], None),
    ],
)
def test_counts_are_known_when_every_file_s_outcome_is(
    statuses: list[FileStatus], counts: FileCounts | None
) -> None:
    outcomes = [FileOutcome(file=f"fil-{n}", status=status) for n, status in enumerate(statuses)]
    assert counts_of(outcomes) == counts
    assert counts_of(None) is None


def test_an_apply_that_waits_records_how_the_files_fared(world: World) -> None:
    world.warm()
    world.service.embedded = True
    world.service.on_get = lambda name: world.service.set(name, Status.COMPLETED)
    world.service.on_job = lambda _: JobOutcome(FAILED, "not a PDF")

    applied = world.apply()

    (entry,) = world.lock.entries.values()
    assert entry.recorded.files == FileCounts(1, 1)
    assert applied.failed_files == 1
    assert [(e.file, e.why) for e in world.events if isinstance(e, FileFailed)] == [("a.pdf", "not a PDF")]


def test_an_apply_that_cannot_read_the_files_says_so_and_records_nothing(world: World) -> None:
    def fail(_: str) -> None:
        raise UnavailableError("503", status=503)

    world.warm()
    world.service.embedded = True
    world.service.on_get = lambda name: world.service.set(name, Status.COMPLETED)
    world.service.on_results = fail

    applied = world.apply()

    (entry,) = world.lock.entries.values()
    assert (entry.recorded.status, entry.recorded.files) == (Status.COMPLETED, None)
    assert applied.failed_files == 0
    assert [str(e.message) for e in world.events if isinstance(e, Warned)] == [
        "set/dir-001: what became of its files is not known: 503"
    ]
