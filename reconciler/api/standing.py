"""Status, wait and list: what a project's commands that only look are put together from.

What is seen is the engine's business. Here is which services are connected for it.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

from reconciler.engine import standing
from reconciler.model.errors import SettingsError
from reconciler.model.project import creates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from reconciler.api.house import House
    from reconciler.engine.standing import Learned, Scene
    from reconciler.engine.stop import Stop
    from reconciler.model.batch import FileCounts
    from reconciler.model.listed import Filters, Missed, Reader
    from reconciler.model.plan import Plan
    from reconciler.model.ports import Provider
    from reconciler.model.status import StatusReport, Waited


async def status(house: House, targets: Sequence[str], stop: Stop) -> StatusReport:
    """What stands now."""
    stop.bind(house.clock)
    async with _scene(house, targets, stop) as scene:
        return await standing.status(scene, {})


async def status_and_plan(house: House, stop: Stop) -> tuple[StatusReport, Plan]:
    """What stands now, and what applying would do: one observation for both."""
    from reconciler.core.policies import judged

    stop.bind(house.clock)
    async with _scene(house, (), stop) as scene:
        report, plan = await standing.status_and_plan(scene, {})
    return report, judged(plan, house.project.file.limits.policies)


async def watch(
    house: House, targets: Sequence[str], stop: Stop, interval: float, show: Callable[[StatusReport], None]
) -> None:
    """What stands, again and again until somebody stops it; each time by a connection of its own."""
    stop.bind(house.clock)
    counts: dict[str, FileCounts] = {}
    while not stop.over:
        report = await stop.unless_over(_once(house, targets, stop, counts))
        if report is not None:
            show(report)
            await stop.pause(interval)


async def _once(
    house: House, targets: Sequence[str], stop: Stop, counts: dict[str, FileCounts]
) -> StatusReport:
    async with _scene(house, targets, stop) as scene:
        return await standing.status(scene, counts)


async def wait(
    house: House, targets: Sequence[str], stop: Stop, seconds: float | None, learned: Learned
) -> Waited:
    """Stay until the selected batches have ended. On the embedded service they go on meanwhile."""
    stop.bind(house.clock, seconds)
    house.try_out(stop)
    return await standing.wait(lambda: _scene(house, targets, stop), stop, learned, random=random.random)


async def browse(
    house: House, names: Sequence[str], filters: Filters, show: Reader, stop: Stop
) -> tuple[Missed, ...]:
    """List live batches of some provider blocks, or of all that lead to a service with batches to create."""
    from reconciler.engine.browse import browse as browse_all

    stop.bind(house.clock)
    blocks = house.project.file.providers
    for name in names:
        if name not in blocks:
            raise SettingsError(
                f"there is no provider {name!r}",
                where="reconciler.yaml",
                next=f"Providers: {', '.join(sorted(blocks)) or 'none'}",
            )
    watched = {name for name, spec in blocks.items() if not creates(spec)}
    for name in sorted(watched.intersection(names)):
        raise SettingsError(
            f"provider {name} forms batches by itself, and they are only watched",
            where="reconciler.yaml",
            next="`reconciler status` shows those that a TrackedBatch asks for",
        )
    chosen = set(names or blocks) - watched
    # Whose the batches are is said as far as it can be found out; it keeps nobody from listing them.
    async with house.outlook(stop, chosen, frozenset()) as there:
        homes = {there.homes[name]: name for name in sorted(chosen, reverse=True)}
        providers = [(name, there.eyes.providers[home]) for home, name in homes.items()]
        missed = await stop.unless_over(
            browse_all(sorted(providers, key=_block), filters, there.desired, there.lock, show)
        )
        return missed or ()


def _block(pair: tuple[str, Provider]) -> str:
    return pair[0]


@contextlib.asynccontextmanager
async def _scene(house: House, targets: Sequence[str], stop: Stop) -> AsyncIterator[Scene]:
    from reconciler.core.select import select, within_reach

    reach = within_reach(targets, house.project.sets, house.project.tracked)
    async with house.outlook(stop, reach=reach) as there:
        yield standing.Scene(
            eyes=there.eyes,
            desired=there.desired,
            lock=there.lock,
            intents=there.intents,
            limits=house.project.file.limits,
            patience=stop,
            watch=there.watch,
            selection=select(targets, there.desired, there.lock, house.project.tracked),
        )
