"""Reading how the files of many batches fared: in order, a few batches ahead, and in bounded memory.

Whatever can be read this way is a `Reading`: a recorded batch of ours, or one that is only watched.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, assert_never

from reconciler.core.recorded import Chosen, Watching
from reconciler.engine.listing import FATAL
from reconciler.engine.outcomes import file_outcomes
from reconciler.model.batch import Status
from reconciler.model.errors import NotFoundError, ServiceError
from reconciler.model.outcomes import BatchOutcomes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping

    from reconciler.core.recorded import Choice
    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import Address
    from reconciler.model.lock import TrackedEntry
    from reconciler.model.ports import Patience, Watcher

#: How many batches are read ahead of the one whose turn it is, that one included.
AHEAD = 4

_UNSAID = "it is COMPLETED, and the service gives no results for its files yet"


class Reading(NamedTuple):
    """One batch that is to be read.

    Attributes:
        address: where it is recorded.
        batch: its id; address and id say whose turn it is.
        read: reads it. What cannot be had is in what it gives; it raises only what every further one would.
    """

    address: Address
    batch: str
    read: Callable[[], Coroutine[object, object, BatchOutcomes]]


class Depth(NamedTuple):
    """How much is asked of each batch.

    Attributes:
        deep: ask each job what became of its file.
        file: the one file that is wanted, or "" for all.
    """

    deep: bool = False
    file: str = ""


async def in_turn(readings: Iterable[Reading], ahead: int = AHEAD) -> AsyncGenerator[BatchOutcomes, None]:
    """What was read, in the order of the readings. No more than ``ahead`` of them are begun or held.

    Raises:
        ServiceError: a service does not accept the key.
    """
    under_way: deque[asyncio.Task[BatchOutcomes]] = deque()
    try:
        for reading in readings:
            under_way.append(asyncio.create_task(reading.read()))
            if len(under_way) == ahead:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def readings_of(
    eyes: Eyes,
    chosen: Iterable[Choice],
    depth: Depth,
    patience: Patience,
    watchers: Mapping[str, Watcher],
) -> Iterable[Reading]:
    """Recorded batches, to be read when their turn comes.

    Args:
        eyes: the services.
        chosen: which batches.
        depth: how much is asked of each.
        patience: ends pauses when the run is to end.
        watchers: by the name of the tracking manifest.
    """
    for item in chosen:
        match item:
            case Chosen(entry, recorded):
                read = partial(_read, eyes, item, depth, patience)
                yield Reading(entry.address, recorded.id, read)
            case Watching(tracked):
                name = tracked.watched.id
                watcher = watchers.get(tracked.address.set)
                leads = watcher is not None and watcher.endpoint == name.endpoint
                watched = partial(_read_watched, watcher if leads else None, tracked, depth)
                yield Reading(tracked.address, name.id, watched)
            case _:
                assert_never(item)


async def _read(eyes: Eyes, chosen: Chosen, depth: Depth, patience: Patience) -> BatchOutcomes:
    entry, recorded = chosen
    key = entry.key
    if recorded.alias is not None:  # C9: under this the service keeps the directory
        key = key._replace(directory=recorded.alias.directory)
    batch = recorded.as_batch(key)
    files, why = None, ""
    provider = eyes.providers.get(key.home)
    if provider is None:
        why = f"no set uses the provider that it was made on ({key.endpoint})"
    else:
        try:
            if not batch.status.terminal:  # O1, O2
                batch = (await provider.get(batch.id))._replace(key=key)
            files = await file_outcomes(
                provider,
                key,
                batch,
                deep=depth.deep,
                at_once=eyes.at_once,
                patience=patience,
                only=depth.file,
            )
        except FATAL:
            raise
        except NotFoundError:
            why = "it is not known to the service any more (404)"
        except ServiceError as error:
            why = str(error)
    if files is None and not why and batch.status is Status.COMPLETED:
        why = _UNSAID
    return BatchOutcomes(address=entry.address, batch=batch.id, status=batch.status, files=files, why=why)


async def _read_watched(watcher: Watcher | None, entry: TrackedEntry, depth: Depth) -> BatchOutcomes:
    """What its service says of each file or item."""
    watched, files, why = entry.watched, None, ""
    name = watched.id.id
    if watcher is None:
        why = f"no tracking manifest leads to its service ({watched.id.endpoint})"
    else:
        try:
            if not watched.status.terminal:
                watched = await watcher.watched(name)
            files = await watcher.outcomes(name, deep=depth.deep)
        except FATAL:
            raise
        except NotFoundError:
            why = "it is not known to the service any more (404)"
        except ServiceError as error:
            why = str(error)
    if files is not None and depth.file:
        files = tuple(item for item in files if item.file == depth.file)
    if files is None and not why and watched.status is Status.COMPLETED:
        why = _UNSAID
    return BatchOutcomes(address=entry.address, batch=name, status=watched.status, files=files, why=why)
