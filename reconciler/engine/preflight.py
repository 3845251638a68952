"""R14's look-ups: what is known about a directory and a configuration before anything is created with them.

What speaks against a create is decided in the core.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from reconciler.core.preflight import MOST_COUNTED
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL
from reconciler.model.canonical import digest
from reconciler.model.errors import ForbiddenError, NotFoundError, ServiceError
from reconciler.model.snapshot import Facts, Missing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import Configuration, Home, Key
    from reconciler.model.ports import Creator


#: Saved configurations by their ids; None for those that the service does not list.
Configurations: TypeAlias = "dict[tuple[Home, str], Configuration | None]"


async def gather_facts(
    eyes: Eyes,
    keys: Iterable[Key],
    *,
    watched: Collection[Key] = frozenset(),
    configurations: Configurations | None = None,
) -> dict[Key, Facts]:
    """Look up every key's directory, its files and its configuration, each of them once.

    Args:
        eyes: what observing needs.
        keys: whose.
        watched: those of them whose files' times are to be kept, to say how many changed (R2).
        configurations: what is known already, and is not asked for; what is found is added.

    Raises:
        ServiceError: the service does not accept the key; any other failure is a fact, and blocks.
    """
    wanted = list(keys)
    known: Configurations = {} if configurations is None else configurations

    async def ask_configuration(item: tuple[Home, str]) -> None:
        home, name = item
        try:
            known[item] = await eyes.providers[home].configuration(name)
        except FATAL:
            raise
        except ServiceError:
            # Never a reason to refuse: built-in presets are not listed either. The create itself tells.
            known[item] = None

    await each(
        {(key.home, key.configuration) for key in wanted} - known.keys(), eyes.at_once, ask_configuration
    )
    directories: dict[tuple[Home, str], Facts] = {}

    timed = {(key.home, key.directory) for key in watched}

    async def ask_directory(item: tuple[Home, str]) -> None:
        home, name = item
        directories[item] = await _directory_facts(eyes.providers[home], name, timed=item in timed)

    await each(sorted({(key.home, key.directory) for key in wanted}), eyes.at_once, ask_directory)
    return {
        key: replace(directories[key.home, key.directory], configuration=known[key.home, key.configuration])
        for key in wanted
    }


async def _directory_facts(provider: Creator, name: str, *, timed: bool) -> Facts:
    """What there is to know of a directory, but for the configuration that it is used with."""
    try:
        directory = await provider.directory(name)
        files: list[list[str]] = []
        newest: tuple[datetime, str] | None = None
        times: list[datetime] = []
        async for file in provider.files(name):
            files.append([file.id, file.updated_at.isoformat() if file.updated_at else ""])
            if file.updated_at is not None:
                newest = max(newest or (file.updated_at, file.name), (file.updated_at, file.name))
                if timed:
                    times.append(file.updated_at)
            if len(files) > MOST_COUNTED:
                break  # far more than a batch can take
    except NotFoundError:
        return Facts(directory=Missing(f"directory {name} does not exist"))
    except ForbiddenError as error:  # a directory of another project may answer so; the key itself is good
        return Facts(directory=Missing(f"directory {name} may not be used: {error}"))
    except FATAL:
        raise
    except ServiceError as error:
        return Facts(directory=Missing(f"directory {name} could not be looked up: {error}"))
    return Facts(
        directory=directory,
        files=len(files),
        newest_file_at=newest[0] if newest else None,
        newest_file=newest[1] if newest else "",
        file_times=tuple(times),
        inputs=digest(sorted(files)),
    )
