"""How recorded batches stand now (O2): a few are asked for by id, many are read from listings first.

What a listing shows of a batch is believed, and what it lacks proves nothing: the rest is asked for by id. So
a listing need not be whole, and one that would take longer than asking by id is left where it is.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL, Reading
from reconciler.model.batch import Status
from reconciler.model.errors import NotFoundError, ServiceError
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Gone, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import Batch, Home, Key
    from reconciler.model.lock import Lock
    from reconciler.model.snapshot import Seen

#: Up to so many are asked for by id.
_FEW = 16

#: What runs is most likely RUNNING.
_RUNNING = (Status.RUNNING, Status.PENDING, Status.THROTTLED)

#: How far a listing reaches back beyond the oldest batch that is asked for: times may be rounded.
_MARGIN = timedelta(seconds=1)


async def refresh(eyes: Eyes, keys: Iterable[Key], lock: Lock) -> dict[Key, Seen]:
    """The recorded batch of each key, as it is now.

    Raises:
        ServiceError: the service does not accept the key; every other failure makes a key unknown (R7).
    """
    by_home: defaultdict[Home, dict[str, Key]] = defaultdict(dict)
    for key in keys:
        by_home[key.home][lock.entries[key].current] = key
    seen: dict[Key, Seen] = {}
    for home, names in by_home.items():
        found = await _listed(eyes, home, names, lock)
        seen |= {names[name]: (batch._replace(key=names[name]),) for name, batch in found.items()}
        seen |= await _by_id(eyes, {name: key for name, key in names.items() if name not in found})
    return seen


async def _listed(eyes: Eyes, home: Home, names: dict[str, Key], lock: Lock) -> dict[str, Batch]:
    """Those that a few pages of listings show."""
    found: dict[str, Batch] = {}
    for listing in _listings(names, found, lock):
        reading = Reading(listing, eyes.clock.monotonic(), lambda batch: batch.id in names)
        # Pages follow one another, while requests by id go side by side.
        most = max(1, (len(names) - len(found)) // eyes.at_once)
        while not reading.done and reading.pages < most and len(found) < len(names):
            fault = await reading.turn(eyes.providers[home])
            found |= reading.batches
            if fault:
                break
    return found


def _listings(names: dict[str, Key], found: dict[str, Batch], lock: Lock) -> Iterator[Listing]:
    """Listings that are worth a try, given what was found by the time that each is wanted."""
    running = [name for name in names if not lock.entries[names[name]].recorded.status.terminal]
    for status in _RUNNING:
        if sum(name not in found for name in running) > _FEW:
            yield Listing(status=status)
    if len(rest := [name for name in names if name not in found]) > _FEW:
        times = [lock.entries[names[name]].recorded.created_at for name in rest]
        known = [at for at in times if at is not None]
        yield Listing(created_on_or_after=min(known) - _MARGIN if len(known) == len(times) else None)


async def _by_id(eyes: Eyes, names: dict[str, Key]) -> dict[Key, Seen]:
    seen: dict[Key, Seen] = {}

    async def ask(name: str) -> None:
        key = names[name]
        try:
            batch = await eyes.providers[key.home].get(name)
        except NotFoundError:
            seen[key] = Gone(f"the recorded batch {name} is not known to the service any more (404)")
        except FATAL:
            raise
        except ServiceError as error:
            seen[key] = Unknown(str(error))
        else:
            seen[key] = (batch._replace(key=key),)

    await each(names, eyes.at_once, ask)
    return seen
