"""Which provider block becomes which watcher, and what the tracking manifests ask of them (R16).

For every command that looks at watched batches::

    async with watching(services, project.tracked, lock) as watchers:   # by provider block
        found = await observe_tracked(project, watchers, lock, selection)

What to ask and what it means is `core.tracking`'s, in which order `engine.tracking`'s business.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reconciler.api.kinds import kind_of
from reconciler.core.select import Selection
from reconciler.core.tracking import Tracking
from reconciler.engine.tracking import Lookout
from reconciler.model.errors import SettingsError
from reconciler.model.kind import CreatingKind, WatchedKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence

    from reconciler.api.services import Connections, Services
    from reconciler.model.lock import Lock
    from reconciler.model.manifest import TrackedBatch
    from reconciler.model.ports import Creator, Watcher
    from reconciler.model.project import Project
    from reconciler.model.tracking import TrackedChange

#: How many requests are under way at once to watch.
AT_ONCE = 8

_EVERYTHING = Selection()


@contextlib.asynccontextmanager
async def watching(
    services: Services,
    manifests: Iterable[TrackedBatch],
    lock: Lock,
    connections: Connections | None = None,
) -> AsyncIterator[Mapping[str, Watcher]]:
    """The watchers of the provider blocks that these manifests name, by block. Nothing is asked yet.

    Args:
        services: what connecting takes.
        manifests: whose batches are to be watched.
        lock: knows the projects that keys turned out to belong to.
        connections: what the run is connected to already: a block that is there is spoken to through
            that, so that all take turns together (O6), and the embedded service is there once.

    Raises:
        ManifestError: an environment variable that is needed is not set.
        SettingsError: a provider cannot be used as it is set up.
    """
    if connections is None:
        services.refuse_unset()
    watchers: dict[str, Watcher] = {}
    async with contextlib.AsyncExitStack() as stack:
        for name in sorted({item.provider for item in manifests}):
            connecting = _watcher(services, name, lock, connections)
            watchers[name] = await stack.enter_async_context(connecting)
        yield watchers


async def observe_tracked(
    project: Project,
    watchers: Mapping[str, Watcher],
    lock: Lock,
    selection: Selection = _EVERYTHING,
    *,
    at_once: int = AT_ONCE,
) -> tuple[TrackedChange, ...]:
    """What happened to every watched batch that is selected, since it was recorded; sorted by address.

    Never raises a `ServiceError`: what could not be seen is `Happened.UNKNOWN` (R7).
    """
    from reconciler.engine.tracking import observe_tracked as observe

    return await observe(lookout(watchers, at_once), tracking_of(project.tracked, watchers, lock, selection))


def watch(
    project: Project, watchers: Mapping[str, Watcher], lock: Lock, at_once: int
) -> Callable[[Selection], Coroutine[object, object, tuple[TrackedChange, ...]]] | None:
    """`observe_tracked` for a run, which knows what is selected; None where nothing is or was watched."""
    if not (project.tracked or lock.tracked):
        return None
    return lambda selection: observe_tracked(project, watchers, lock, selection, at_once=at_once)


def lookout(watchers: Mapping[str, Watcher], at_once: int) -> Lookout:
    """The watchers, as the engine takes them."""
    return Lookout(watchers, at_once)


def select_tracked(targets: Iterable[str], project: Project, lock: Lock) -> Selection:
    """Read targets that can only mean what is watched.

    Raises:
        SettingsError: a target fits nothing that is watched.
    """
    from reconciler.core.select import select
    from reconciler.model.desired import Desired
    from reconciler.model.lock import Lock as Recorded

    sets = {item.name for item in project.sets}
    targets = tuple(targets)
    for target in targets:
        if target.partition("/")[0] in sets:
            raise SettingsError(
                f"{target!r} is a BatchSet's, and only what a TrackedBatch watches is refreshed",
                next="`reconciler plan` looks at the batches of sets",
            )
    return select(targets, Desired(), Recorded(tracked=lock.tracked), project.tracked, given_as="TARGET")


def tracking_of(
    manifests: Sequence[TrackedBatch], watchers: Mapping[str, Watcher], lock: Lock, selection: Selection
) -> Tracking:
    """What is to be watched, as the core takes it."""
    endpoints = {name: watcher.endpoint for name, watcher in watchers.items()}
    return Tracking(manifests, endpoints, lock.tracked, selection)


@contextlib.asynccontextmanager
async def _watcher(
    services: Services, name: str, lock: Lock, connections: Connections | None
) -> AsyncIterator[Watcher]:
    """What watches one block: the kind's own, else whatever creates on it, which can be looked through."""
    from reconciler.adapters.providers.llamacloud_watch import LlamaCloudWatch

    block = services.block(name)

    async def as_recorded(speaker: Creator) -> str:
        # Without a project, the service takes the key's own.
        return lock.projects.get(f"{name} {speaker.endpoint}", "")

    kind = kind_of(services.project.file.providers[name], as_recorded)
    if isinstance(kind, WatchedKind):
        async with kind.watcher(block, services.means(block)) as watcher:
            yield watcher
    elif connections is not None and name in connections.homes:
        yield LlamaCloudWatch(connections.eyes.providers[connections.homes[name]], services.stop)
    else:
        assert isinstance(kind, CreatingKind), "a kind that cannot be watched creates"
        async with kind.creator(block, services.means(block)) as link:
            yield LlamaCloudWatch(link.creator, services.stop)
