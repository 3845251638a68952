"""LlamaCloud's batches, whoever made them, as the port `Watcher` (R16). It has no way to create.

It speaks through a `Provider` that stands already, so that whoever watches takes turns with whoever creates.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.adapters.providers.listings import WatchedPage, whole
from reconciler.model.batch import JobType, Status
from reconciler.model.errors import (
    AuthenticationError,
    ForbiddenError,
    NotFoundError,
    PaymentError,
    ServiceError,
)
from reconciler.model.ports import Listing
from reconciler.model.watched import FileOutcome, FileStatus, Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from reconciler.model.batch import Batch, FileResult
    from reconciler.model.ports import Patience, Provider

#: How often a completed batch is asked for its results while it gives none, and the seconds in between.
RESULTS_TRIES = 3
RESULTS_PAUSE = 2.0

_JOBS = {job.value: job for job in JobType}

# As a batch goes through them, so that one which goes on meanwhile is met in one listing or the next.
_ORDER = (
    Status.PENDING,
    Status.THROTTLED,
    Status.RUNNING,
    Status.COMPLETED,
    Status.FAILED,
    Status.CANCELLED,
)


class LlamaCloudWatch:
    """The batches of one project.

    Args:
        provider: the project's service.
        patience: waits between tries, and says when there is no more waiting.
    """

    def __init__(self, provider: Provider, patience: Patience) -> None:
        self._provider = provider
        self._patience = patience

    @property
    def endpoint(self) -> str:
        """Which service this is."""
        return self._provider.endpoint

    async def watched(self, batch: str) -> Watched:
        """One batch by its id.

        Raises:
            NotFoundError: the service does not know it.
            ServiceError: it cannot be had.
        """
        return _watched(await self._provider.get(batch))

    async def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        """Every batch created at or after ``since``, or in one of these statuses.

        The service lists one status at a time. Whether its filters are exact is not documented, so what
        does not fit is left out here; a word that is no status of this service fits no batch.

        Raises:
            ServiceError: a listing cannot be read to its end.
        """
        wanted = {word.casefold() for word in statuses}
        found: dict[str, Watched] = {}
        for status in [item for item in _ORDER if item.value.casefold() in wanted] if wanted else [None]:
            for item in await self._listed(Listing(status=status, created_on_or_after=since)):
                old = since is not None and item.created_at is not None and item.created_at < since
                if not old and (not wanted or item.word.casefold() in wanted):
                    found[item.id.id] = item
        for name in sorted(found):
            yield found[name]

    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:
        """What the batch says of each file, sorted by id, or None while it does not say.

        Of a file that was given a job, what became of it is for that job to say: with ``deep`` it is asked,
        and the files have their names.

        Raises:
            NotFoundError: the service does not know the batch.
            ServiceError: it cannot be had.
        """
        for tried in range(1, RESULTS_TRIES + 1):
            results = await self._provider.results(batch)
            if results is not None:
                found = sorted(map(_outcome, results), key=lambda item: item.file)
                return tuple(await self._asked(batch, found) if deep else found)
            if tried == RESULTS_TRIES or self._patience.over:
                break
            if (await self._provider.get(batch)).status is not Status.COMPLETED:
                break
            await self._patience.pause(RESULTS_PAUSE)
        return None

    async def refresh(self, batch: str) -> Watched:
        """As `watched`: this service looks after its batches by itself."""
        return await self.watched(batch)

    async def _asked(self, batch: str, found: list[FileOutcome]) -> list[FileOutcome]:
        """The outcomes as the files' jobs tell them; a job that cannot be asked leaves its own unknown."""
        key = (await self._provider.get(batch)).key
        try:
            names = {file.id: file.name async for file in self._provider.files(key.directory)}
        except NotFoundError:
            names = {}

        async def ask(item: FileOutcome) -> FileOutcome:
            item = replace(item, name=names.get(item.file, ""), job_type=item.job_type or key.job.value)
            if item.status is not FileStatus.UNKNOWN or item.job_type not in _JOBS:
                return item
            try:
                told = await self._provider.job_outcome(_JOBS[item.job_type], item.job)
            except (AuthenticationError, PaymentError, ForbiddenError):
                raise
            except ServiceError as error:
                return replace(item, error=str(error))
            return replace(item, status=told.status, error=told.error)

        # The limiter lets as many through at once as the run may have.
        told = await asyncio.gather(*(ask(item) for item in found), return_exceptions=True)
        for error in told:
            if isinstance(error, BaseException):
                raise error
        return [item for item in told if not isinstance(item, BaseException)]

    async def _listed(self, listing: Listing) -> list[Watched]:
        async def page(token: str | None) -> WatchedPage:
            found = await self._provider.list_page(listing, token)
            return WatchedPage([_watched(batch) for batch in found.batches], found.next)

        return await whole(page, f"the batches of {self.endpoint}")


def _watched(batch: Batch) -> Watched:
    return Watched(
        id=WatchedId(batch.key.endpoint, batch.id),
        status=batch.status,
        word=batch.status.value,
        created_at=batch.created_at,
        updated_at=batch.updated_at,
    )


def _outcome(result: FileResult) -> FileOutcome:
    status = FileStatus.UNKNOWN if result.job is not None else FileStatus.PROCESSING
    if result.job is None and result.error is not None:
        status = FileStatus.FAILED
    return FileOutcome(
        file=result.file,
        status=status,
        job=result.job or "",
        job_type=result.job_type or "",
        error=result.error or "",
    )
