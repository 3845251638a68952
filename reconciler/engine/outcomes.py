"""What became of a batch's files: COMPLETED only says that each was given a job.

A batch's results are joined with its directory's files on the file's id, never by order, which is not
documented; a file that they lack is there by name, and what could not be learned is never taken for success
(R7). What follows from outcomes is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL
from reconciler.model.batch import FileCounts, JobType, Status
from reconciler.model.errors import NotFoundError, ServiceError
from reconciler.model.outcomes import CAME_TO_NOTHING
from reconciler.model.watched import FileOutcome, FileStatus, JobOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.batch import Batch, DirectoryFile, FileResult, Key
    from reconciler.model.ports import Patience, Provider

#: Seconds before results that a COMPLETED batch does not give yet are asked for again.
PAUSES = (1.0, 2.0, 4.0)

_OPEN = frozenset({FileStatus.PROCESSING, FileStatus.UNKNOWN})
_JOB_TYPES = {job.value: job for job in JobType}


async def file_outcomes(
    provider: Provider,
    key: Key,
    batch: Batch,
    *,
    deep: bool,
    at_once: int,
    patience: Patience,
    only: str = "",
) -> tuple[FileOutcome, ...] | None:
    """What became of each file of a batch, sorted by file; None while the service does not say.

    Args:
        provider: the service.
        key: the batch's work: whose directory's files are joined with the results.
        batch: as last seen. Of one that runs still, files without a result are still to come.
        deep: ask each job; otherwise the outcome of a file that was given one is not known.
        at_once: how many jobs to ask at once.
        patience: ends pauses when the run is to end.
        only: the id of the one file that is wanted, or "" for all.

    Raises:
        ServiceError: results or files cannot be had, or the service does not accept the key.
    """
    results = await _results(provider, batch, patience)
    if results is None:
        return None
    files = await _files(provider, key.directory)
    if only:
        results = tuple(result for result in results if result.file == only)
        files = {name: file for name, file in files.items() if name == only}
    jobs: dict[tuple[JobType, str], JobOutcome] = {}
    if deep:

        async def ask(job: tuple[JobType, str]) -> None:
            jobs[job] = await _ask(provider, *job)

        await each(sorted({job for result in results if (job := _job(result, key))}), at_once, ask)
    outcomes = {_outcome(result, key, batch, files, jobs) for result in results}
    named = {result.file for result in results}
    outcomes |= {_unmentioned(file, batch) for name, file in files.items() if name not in named}
    return tuple(sorted(outcomes, key=lambda item: (item.file, item.job, item.status, item.error)))


def counts_of(outcomes: Iterable[FileOutcome] | None) -> FileCounts | None:
    """How many files there were and how many came to nothing; None while that is not known of each."""
    known = [item for item in outcomes or () if item.status is not FileStatus.NEWER]
    if not known or any(item.status in _OPEN for item in known):
        return None
    failed = {item.file for item in known if item.status in CAME_TO_NOTHING}
    return FileCounts(total=len({item.file for item in known}), failed=len(failed))


async def _results(provider: Provider, batch: Batch, patience: Patience) -> tuple[FileResult, ...] | None:
    """A COMPLETED batch has results, though they can be null for a time; others need not have any."""
    results = await provider.results(batch.id)
    for seconds in PAUSES if batch.status is Status.COMPLETED else ():
        if (results is not None and not any(map(_says_nothing, results))) or patience.over:
            break
        await patience.pause(seconds)
        results = await provider.results(batch.id)
    return results


async def _files(provider: Provider, directory: str) -> dict[str, DirectoryFile]:
    """By id. A directory that is gone has none: results then keep their ids for names."""
    try:
        return {file.id: file async for file in provider.files(directory)}
    except NotFoundError:
        return {}


async def _ask(provider: Provider, job: JobType, name: str) -> JobOutcome:
    try:
        return await provider.job_outcome(job, name)
    except FATAL:
        raise
    except ServiceError as error:
        return JobOutcome(FileStatus.UNKNOWN, str(error))


def _says_nothing(result: FileResult) -> bool:
    return result.job is None and result.error is None


def _job(result: FileResult, key: Key) -> tuple[JobType, str] | None:
    """Whom to ask about a file; None where nobody has to be asked, or can be."""
    if result.job is None or result.error is not None:
        return None
    job = _JOB_TYPES.get(result.job_type) if result.job_type else key.job
    return (job, result.job) if job else None


def _outcome(
    result: FileResult,
    key: Key,
    batch: Batch,
    files: dict[str, DirectoryFile],
    jobs: dict[tuple[JobType, str], JobOutcome],
) -> FileOutcome:
    job = _job(result, key)
    if result.error is not None:
        said = JobOutcome(FileStatus.FAILED, result.error)
    elif result.job is None:
        said = JobOutcome(FileStatus.PROCESSING)
        if batch.status.terminal:
            said = JobOutcome(FileStatus.UNKNOWN, "its result names neither a job nor an error")
    elif job is None:
        said = JobOutcome(
            FileStatus.UNKNOWN, f"this version does not know how to ask a job of type {result.job_type}"
        )
    else:
        said = jobs.get(job, JobOutcome(FileStatus.UNKNOWN))
    there = files.get(result.file)
    return FileOutcome(
        file=result.file,
        status=said.status,
        name=there.name if there else "",
        job=result.job or "",
        job_type=result.job_type or (key.job.value if result.job else ""),
        error=said.error,
    )


def _unmentioned(file: DirectoryFile, batch: Batch) -> FileOutcome:
    """A file of the directory that has no result: still to come, newer than the batch, or missing."""
    if not batch.status.terminal:
        return FileOutcome(file=file.id, status=FileStatus.PROCESSING, name=file.name)
    if batch.created_at is not None and file.updated_at is not None and file.updated_at > batch.created_at:
        error = f"changed at {file.updated_at:%Y-%m-%d %H:%M:%S} UTC, after the batch was made"
        return FileOutcome(file=file.id, status=FileStatus.NEWER, name=file.name, error=error)
    return FileOutcome(
        file=file.id, status=FileStatus.MISSING, name=file.name, error="the batch has no result for it"
    )
