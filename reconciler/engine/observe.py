"""From questions to a snapshot: what the service reports of the keys that a plan is about (O1-O3, R7).

Recorded terminal batches are not asked for, and recorded running ones are `current`'s business. The rest is
looked for directory by directory, or in one scan of the project, whichever takes fewer requests.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.cuts import fewest_pages
from reconciler.core.match import Moment
from reconciler.core.plan import aliases_of
from reconciler.core.questions import questions, stands
from reconciler.engine.concurrent import each
from reconciler.engine.current import refresh
from reconciler.engine.listing import Pass, TooLong, look, renamed
from reconciler.engine.scan import Scanner
from reconciler.model.events import Observing
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Snapshot, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from reconciler.model.batch import Batch, Home, Key
    from reconciler.model.desired import DesiredBatch
    from reconciler.model.events import Listener
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.ports import Clock, Creator
    from reconciler.model.snapshot import Seen

# Up to so many directories are looked at one by one, since those looks run side by side while the pages
# of a scan follow one another.
_FEW = 16


@dataclass(frozen=True, slots=True)
class Eyes:
    """What observing needs.

    Attributes:
        providers: by home; two blocks may lead to one service with keys of different projects.
        at_once: how many requests may be under way.
        trust: whether what is recorded as terminal is believed (O1).
    """

    providers: Mapping[Home, Creator]
    clock: Clock
    listen: Listener
    at_once: int
    trust: bool = True


async def observe(
    eyes: Eyes, wanted: Iterable[DesiredBatch], removed: Iterable[Entry], lock: Lock, now: datetime
) -> tuple[Snapshot, set[Key]]:
    """Ask the services what a plan has to know.

    Gives what was seen, and the keys of which all batches were looked for: of the others only the recorded
    batch is known, which is enough to keep it and not to create.

    Raises:
        ServiceError: the service does not accept the key; every other failure makes keys unknown (R7).
    """
    by_key = {want.key: want for want in wanted}
    asked = questions(by_key.values(), lock, removed, now, trust=eyes.trust)
    seen: dict[Key, Seen] = dict(asked.trusted)
    seen |= await refresh(eyes, asked.refresh, lock)
    look_for = [
        *asked.look,
        *(
            key
            for key in asked.refresh
            if key in by_key
            and isinstance(batches := seen[key], tuple)
            and not stands(by_key[key], batches, lock.entries[key], Moment(now, now))
        ),
    ]
    seen |= await look_at(eyes, look_for, lock)
    clocks = {home.endpoint: time for home, provider in eyes.providers.items() if (time := provider.clock)}
    return Snapshot(seen, clocks), set(look_for)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What looking has to know of the lockfile."""

    lock: Lock
    aliases: Mapping[Key, Key]


async def look_at(eyes: Eyes, keys: Iterable[Key], lock: Lock) -> dict[Key, Seen]:
    """All live batches of some keys (O3)."""
    aliases = aliases_of(lock)
    by_home: defaultdict[Home, list[Key]] = defaultdict(list)
    for key in keys:
        by_home[key.home].append(key)
    seen: dict[Key, Seen] = {}
    for home, there in by_home.items():
        seen |= await _look_on(eyes, home, there, _Recorded(lock, aliases))
    return seen


async def _look_on(eyes: Eyes, home: Home, keys: list[Key], known: _Recorded) -> dict[Key, Seen]:
    """One service's share of `look_at`: a scan that is given up once looking by directory is cheaper."""
    provider = eyes.providers[home]
    directories = {key.directory for key in keys}
    # By keys, each of which has a batch at least: entries are read only when they are asked for.
    recorded = sum(key[:2] == home for key in known.lock.entries)
    if len(directories) > _FEW and fewest_pages(recorded) <= len(directories):
        pages = 0

        def on_page() -> None:
            nonlocal pages
            pages += 1
            eyes.listen(Observing(len(keys), pages))

        # What the service renamed is listed under its own name (C9).
        about = frozenset(directories).union(alias.directory for alias in known.aliases)
        scanner = Scanner(
            provider,
            eyes.clock,
            eyes.at_once,
            len(directories),
            _wanted(keys, known),
            on_page,
            Listing(about=about),
        )
        scan = await scanner.scan()
        if not isinstance(scan, TooLong):
            return await _from_scan(eyes, provider, scan, keys, known)
    return await _by_directory(eyes, provider, keys, known)


def _wanted(keys: Iterable[Key], known: _Recorded) -> Callable[[Batch], bool]:
    """Which batches of a scan matter; a project may have a hundred times as many."""
    there, aliases = set(keys), known.aliases
    if not aliases:  # the usual case, of a hundred thousand batches
        return lambda batch: batch.key in there
    return lambda batch: aliases.get(batch.key, batch.key) in there


async def _from_scan(
    eyes: Eyes, provider: Creator, scan: Pass | Unknown, keys: list[Key], known: _Recorded
) -> dict[Key, Seen]:
    if isinstance(scan, Unknown):
        return dict.fromkeys(keys, scan)
    seen = _by_key(scan.batches.values(), keys, known)
    # What is recorded and not in the scan makes only its own key doubtful: a look at its directory
    # then tells a listing that lags from a batch that is gone.
    doubtful = [
        key
        for key in keys
        if (entry := known.lock.entries.get(key))
        and any(item.id not in scan.batches for item in entry.batches)
    ]
    return seen | await _by_directory(eyes, provider, doubtful, known)


async def _by_directory(
    eyes: Eyes, provider: Creator, keys: Iterable[Key], known: _Recorded
) -> dict[Key, Seen]:
    seen: dict[Key, Seen] = {}

    async def ask(key: Key) -> None:
        result = await look(provider, places(key, known.lock), recorded_ids(key, known.lock), eyes.clock)
        seen[key] = (
            result if isinstance(result, Unknown) else _by_key(result.batches.values(), [key], known)[key]
        )

    await each(keys, eyes.at_once, ask)
    return seen


def places(key: Key, lock: Lock) -> tuple[str, ...]:
    """The directories under which a key's batches are listed: more than one if the service renamed it."""
    entry = lock.entries.get(key)
    named = {item.alias.directory for item in entry.batches if item.alias} if entry else set()
    return tuple(sorted(named | {key.directory}))


def recorded_ids(key: Key, lock: Lock) -> tuple[str, ...]:
    """The ids of every batch of the key that was ever recorded."""
    entry = lock.entries.get(key)
    return tuple(item.id for item in entry.batches) if entry else ()


def _by_key(batches: Iterable[Batch], keys: Iterable[Key], known: _Recorded) -> dict[Key, tuple[Batch, ...]]:
    found: dict[Key, list[Batch]] = {key: [] for key in keys}
    for batch in renamed(batches, known.aliases):
        if batch.key in found:
            found[batch.key].append(batch)
    return {key: tuple(there) for key, there in found.items()}
