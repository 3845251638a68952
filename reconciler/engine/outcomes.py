"""What became of a batch's files: COMPLETED only says that each was given a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.concurrent import each
from reconciler.model.errors import ServiceError

if TYPE_CHECKING:
    from reconciler.model.batch import Batch, FileResult, Key
    from reconciler.model.ports import Creator


async def failed_files(
    provider: Creator, key: Key, batch: Batch, at_once: int
) -> tuple[tuple[str, str], ...]:
    """The files of a batch that came to nothing, by name, each with the reason; sorted.

    A file whose outcome cannot be had is left out: this is for people to see, and decides nothing.
    """
    try:
        results = await provider.results(batch.id) or ()
        names = {file.id: file.name async for file in provider.files(key.directory)}
    except ServiceError:
        return ()
    failed: list[tuple[str, str]] = []

    async def ask(result: FileResult) -> None:
        why = result.error
        if why is None and result.job is not None:
            try:
                why = await provider.job_error(key.job, result.job)
            except ServiceError:
                return
        if why is not None:
            failed.append((names.get(result.file, result.file), why))

    await each(results, at_once, ask)
    return tuple(sorted(failed))
