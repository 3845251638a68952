"""Reading what an export is made from: whole listings, and the directories that they name.

Half a listing gives no manifest: what is not in one is not known not to exist (R7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.export import Found, export, undesired
from reconciler.engine.concurrent import each
from reconciler.engine.listing import MOST_PAGES, everything, read_pass
from reconciler.engine.scan import Scanner
from reconciler.model.errors import ForbiddenError, NotFoundError, ServiceError
from reconciler.model.events import Observing
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Missing, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import Batch, Directory, Home
    from reconciler.model.desired import Desired
    from reconciler.model.export import Export, Wanted
    from reconciler.model.lock import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be exported, and into which project.

    Attributes:
        blocks: the provider blocks, and where each leads.
        taken: names that sets of the project have already.
        writable: whether an id can stand in a manifest.
    """

    blocks: Mapping[str, Home]
    wanted: Wanted
    desired: Desired
    lock: Lock
    taken: frozenset[str]
    writable: Callable[[str], bool]


async def export_live(eyes: Eyes, asked: Asked) -> Export:
    """List, look up, and write down as values.

    Raises:
        ServiceError: a listing is incomplete, or a directory cannot be looked up.
    """
    live: dict[str, tuple[Batch, ...]] = {}
    seen: set[Home] = set()
    for block, home in sorted(asked.blocks.items()):
        if home not in seen:
            seen.add(home)
            live[block] = await _listed(eyes, home, asked.wanted)
    keys = {
        (key.home, key.directory)
        for batches in live.values()
        for key in undesired(batches, asked.desired, asked.lock)
    }
    directories: dict[tuple[Home, str], Directory | Missing] = {}

    async def look_up(item: tuple[Home, str]) -> None:
        home, name = item
        try:
            directories[item] = await eyes.providers[home].directory(name)
        except NotFoundError:
            directories[item] = Missing("its directory does not exist any more")
        except ForbiddenError as error:
            directories[item] = Missing(f"its directory may not be used: {error}")

    await each(sorted(keys), eyes.at_once, look_up)
    return export(
        Found(
            live=live,
            directories=directories,
            desired=asked.desired,
            lock=asked.lock,
            taken=asked.taken,
            writable=asked.writable,
        )
    )


async def _listed(eyes: Eyes, home: Home, wanted: Wanted) -> tuple[Batch, ...]:
    """What the service filters it filters; whether its filters are exact is not documented."""
    batches: dict[str, Batch] = {}
    pages = 0

    def on_page() -> None:
        nonlocal pages
        pages += 1
        eyes.listen(Observing(len(batches), pages))

    async def read(directory: str | None) -> None:
        listing = Listing(directory, wanted.status, wanted.since, wanted.until)
        provider = eyes.providers[home]
        if directory is None:
            scanner = Scanner(provider, eyes.clock, eyes.at_once, MOST_PAGES, everything, on_page, listing)
            result = await scanner.scan()
        else:
            result = await read_pass(provider, listing, eyes.clock, on_page=on_page)
        if isinstance(result, Unknown):
            raise ServiceError(
                "nothing was exported, since what is live is not fully known",
                where=home.endpoint,
                why=result.why,
                next="Run it again; --directory, --since and --until make listings shorter",
            )
        batches.update(result.batches)

    await each(sorted(set(wanted.directories)) or [None], eyes.at_once, read)
    return tuple(batch for _, batch in sorted(batches.items()) if _fits(batch, wanted))


def _fits(batch: Batch, wanted: Wanted) -> bool:
    created = batch.created_at
    return (
        (wanted.status is None or batch.status is wanted.status)
        and (wanted.job is None or batch.key.job is wanted.job)
        and (wanted.configuration is None or batch.key.configuration == wanted.configuration)
        and (wanted.since is None or created is None or created >= wanted.since)
        and (wanted.until is None or created is None or created <= wanted.until)
    )
