"""Seeing everything of every project that is desired or recorded, so that what drifted can be told.

A listing that lacks what the service knows is read once more, and believed not at all after that (O5, R7).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.drift import Given, drift, recorded_on, strange_directories
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL, MOST_PAGES, everything, read_pass
from reconciler.engine.preflight import gather_facts
from reconciler.engine.scan import Scanner
from reconciler.model.drift import Census
from reconciler.model.errors import ForbiddenError, NotFoundError, ServiceError
from reconciler.model.events import Observing
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from reconciler.engine.listing import Pass
    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import Batch, Home, Key
    from reconciler.model.desired import Desired
    from reconciler.model.drift import Drift
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Lock
    from reconciler.model.snapshot import Facts


async def find_drift(
    eyes: Eyes,
    *,
    desired: Desired,
    lock: Lock,
    intents: tuple[Intent, ...],
    blocks: Mapping[Home, str],
    ignore: Sequence[str],
    since: datetime | None,
    closely: bool,
) -> Drift:
    """Look at everything, and say what drifted.

    Args:
        eyes: the services.
        desired: what the manifests ask for.
        lock: what is recorded.
        intents: creates whose outcome is not known: what they made is theirs.
        blocks: per home, the name of the provider block that leads there.
        ignore: patterns of ids.
        since: look at batches that were created at or after this time; None for all.
        closely: look up directories and configurations as well, for changes that sets ignore.

    Raises:
        ServiceError: a service does not accept the key.
    """
    seen = {}
    for home in sorted(eyes.providers):
        census = await _census(eyes, home, lock, since)
        strange = strange_directories(desired, lock, home, census.batches)
        seen[home] = replace(census, closed=await _closed(eyes, home, strange))
    facts: Mapping[Key, Facts] = {}
    if closely:
        keys = [item.key for item in desired.batches if item.key in lock.entries]
        facts = await gather_facts(eyes, [key for key in keys if key.home in eyes.providers])
    clocks = {home.endpoint: time for home, provider in eyes.providers.items() if (time := provider.clock)}
    given = Given(
        desired=desired,
        lock=lock,
        intents=intents,
        blocks=blocks,
        facts=facts,
        now=eyes.clock.now(),
        clocks=clocks,
        ignore=ignore,
        since=since,
    )
    return drift(given, seen)


async def _census(eyes: Eyes, home: Home, lock: Lock, since: datetime | None) -> Census:
    expected = recorded_on(home, lock, since)
    batches: dict[str, Batch] = {}
    lacking: list[str] = []
    for again in (False, True):
        scan = await _scan(eyes, home, since, len(expected), plainly=again)
        if isinstance(scan, Unknown):
            return Census(unknown=scan.why)
        batches = dict(scan.batches)
        gone, lacking, unknown = await _absent(eyes, home, sorted(expected - batches.keys()))
        if unknown or not lacking:
            return Census(tuple(batches[name] for name in sorted(batches)), gone, unknown=unknown)
    why = f"the listing lacks {lacking[0]}, though the service knows it"
    return Census(tuple(batches[name] for name in sorted(batches)), gone, unknown=why)


async def _scan(
    eyes: Eyes, home: Home, since: datetime | None, keys: int, *, plainly: bool
) -> Pass | Unknown:
    """What a scan in windows lacks (O4), a plain one may have."""
    pages = 0

    def on_page() -> None:
        nonlocal pages
        pages += 1
        eyes.listen(Observing(keys, pages))

    listing = Listing(created_on_or_after=since)
    if plainly:
        return await read_pass(eyes.providers[home], listing, eyes.clock, on_page=on_page)
    return await Scanner(
        eyes.providers[home], eyes.clock, eyes.at_once, MOST_PAGES, everything, on_page, listing
    ).scan()


async def _absent(eyes: Eyes, home: Home, names: Sequence[str]) -> tuple[frozenset[str], list[str], str]:
    """Of ids that a listing lacks: which are gone, which the service knows, and why that is not known."""
    gone: set[str] = set()
    known: list[str] = []
    unknown: list[str] = []

    async def ask(name: str) -> None:
        try:
            await eyes.providers[home].get(name)
        except NotFoundError:
            gone.add(name)
        except FATAL:
            raise
        except ServiceError as error:
            unknown.append(f"{name} is recorded and not listed: {error}")
        else:
            known.append(name)

    await each(names, eyes.at_once, ask)
    return frozenset(gone), sorted(known), min(unknown, default="")


async def _closed(eyes: Eyes, home: Home, names: frozenset[str]) -> frozenset[str]:
    """Which of these directories do not exist; one that cannot be looked up is taken to exist."""
    closed: set[str] = set()

    async def ask(name: str) -> None:
        try:
            directory = await eyes.providers[home].directory(name)
        except (NotFoundError, ForbiddenError):
            closed.add(name)
        except FATAL:
            raise
        except ServiceError:
            return
        else:
            if directory.deleted_at is not None:
                closed.add(name)

    await each(sorted(names), eyes.at_once, ask)
    return frozenset(closed)
