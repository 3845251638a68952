"""Asking the services what names and patterns of the manifests stand for (R13).

What has to be asked for, and what the answers mean, is `core.names`' business. A listing that cannot be read
to its end raises, so that what it lacks is not taken for gone (R7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.names import Catalogue
from reconciler.engine.concurrent import each
from reconciler.model.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.names import Wanted
    from reconciler.model.batch import Configuration, Directory
    from reconciler.model.ports import Provider

# So many names of one project are asked for one by one; for more, all of its directories are listed.
_FEW = 16


async def look_up(wanted: Wanted, providers: Mapping[str, Provider], at_once: int) -> Catalogue:
    """What the services have under these names.

    Args:
        wanted: what to look up.
        providers: by provider block.
        at_once: how many requests may be under way.

    Raises:
        ServiceError: something could not be looked up.
    """
    directories: dict[str, dict[str, Directory]] = {}
    configurations: dict[str, list[Configuration]] = {}

    async def ask_all(block: str) -> None:
        found = directories.setdefault(block, {})
        async for directory in providers[block].directories():
            found[directory.id] = directory

    async def ask_name(item: tuple[str, str]) -> None:
        block, name = item
        async for directory in providers[block].directories(name):
            directories.setdefault(block, {})[directory.id] = directory

    async def ask_standing(item: tuple[str, str]) -> None:
        """A directory with a batch that the listing lacks: it is gone only if it says so."""
        block, name = item
        try:
            directory = await providers[block].directory(name)
        except NotFoundError:
            return
        if directory.deleted_at is None:
            directories[block][directory.id] = directory

    async def ask_configuration(item: tuple[str, str, str]) -> None:
        block, job, name = item
        async for saved in providers[block].configurations(name, job):
            configurations.setdefault(block, []).append(saved)

    whole = sorted({*wanted.listings, *(block for block, names in wanted.names.items() if len(names) > _FEW)})
    single = [(block, name) for block, names in wanted.names.items() if block not in whole for name in names]
    await each(whole, at_once, ask_all)
    await each(sorted(single), at_once, ask_name)
    lacking = [
        (block, name)
        for block, there in wanted.standing.items()
        for name in there
        if name not in directories.get(block, {})
    ]
    await each(sorted(lacking), at_once, ask_standing)
    await each(sorted(wanted.configurations), at_once, ask_configuration)
    return Catalogue(
        {block: tuple(found.values()) for block, found in directories.items()},
        {block: tuple(found) for block, found in configurations.items()},
    )
