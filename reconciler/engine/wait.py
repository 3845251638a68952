"""Waiting until batches are terminal, gently.

The embedded service works only while somebody is there, so an apply on it stays until its batches have
ended; a service that works by itself is not waited for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.record import with_counts, with_status
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL
from reconciler.engine.outcomes import FAILED, counts_of, file_outcomes
from reconciler.model.batch import Status
from reconciler.model.errors import NotFoundError, ServiceError
from reconciler.model.events import FileFailed, Pending, Progressed, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from reconciler.engine.run import Run
    from reconciler.model.batch import Batch, Key
    from reconciler.model.ports import Creator

# Seconds between two looks at what runs: short at first, since small batches end soon.
_FIRST, _LONGEST, _GROWTH = 0.05, 2.0, 1.5


async def wait_for(run: Run, keys: Collection[Key]) -> tuple[tuple[Batch, ...], int]:
    """Stay until the run's batches on embedded services are terminal, or until the run is to stop.

    Gives every batch that was waited for, as last seen, and how many of their files came to nothing.
    """
    ended: list[Batch] = []
    failed = 0
    for home, provider in run.eyes.providers.items():
        running = [
            key
            for key, entry in run.lock.entries.items()
            if key.home == home and key in keys and not entry.recorded.status.terminal
        ]
        if running and not run.stop.over:
            async with provider.working() as check:
                if check is not None:
                    batches = await _until_terminal(run, provider, running, check)
                    failed += await _tell_failed_files(run, provider, batches)
                    ended += batches
    return tuple(ended), failed


async def _tell_failed_files(run: Run, provider: Creator, batches: list[Batch]) -> int:
    count = 0
    for batch in batches:
        if batch.status is Status.COMPLETED:
            entry = run.lock.entries[batch.key]
            try:
                outcomes = await file_outcomes(
                    provider, batch.key, batch, deep=True, at_once=run.eyes.at_once, patience=run.stop
                )
            except ServiceError as error:
                run.eyes.listen(Warned(f"{entry.address}: what became of its files is not known: {error}"))
                continue
            if counts := counts_of(outcomes):
                run.put(with_counts(entry, batch.id, counts))
            for item in outcomes or ():
                if item.status in FAILED:
                    run.eyes.listen(FileFailed(entry.address, item.name or item.file, item.error))
                    count += 1
    return count


async def _until_terminal(
    run: Run, provider: Creator, keys: list[Key], check: Callable[[], None]
) -> list[Batch]:
    seen: dict[Key, Batch] = {}
    waiting = set(keys)
    seconds = _FIRST

    async def ask(key: Key) -> None:
        entry = run.lock.entries[key]
        try:
            batch = await provider.get(entry.current)
        except NotFoundError:
            run.eyes.listen(Warned(f"{entry.address}: {entry.current} is not known to the service any more"))
            waiting.discard(key)
            return
        except FATAL:
            raise
        except ServiceError as error:
            run.eyes.listen(Warned(f"{entry.address}: {error}"))
            return
        before = seen[key].status if key in seen else entry.recorded.status
        seen[key] = batch
        if batch.status is not before:
            run.put(with_status(entry, batch))
            run.eyes.listen(Progressed(entry.address, batch, before))
        if batch.status.terminal:
            waiting.discard(key)

    while waiting and not run.stop.over:
        check()
        await each(sorted(waiting), run.eyes.at_once, ask)
        run.eyes.listen(Pending(len(keys) - len(waiting), len(keys)))
        if waiting:
            await run.stop.pause(seconds)
            seconds = min(_LONGEST, seconds * _GROWTH)
    return [replace(seen[key], key=key) for key in sorted(seen)]
