"""Faces for what only looks: status, wait, list, results, explain, drift and export.

None of them holds the lock while it looks; what `wait` and `results` learn is recorded in the end, if nobody
else holds it then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.api.house import house_of
from reconciler.api.running import READING, address_of, run_to_end
from reconciler.engine.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from reconciler.api.outcomes import ResultsRead, Wish
    from reconciler.api.outlook import Outlook
    from reconciler.model.drift import Drift
    from reconciler.model.events import Listener
    from reconciler.model.explanation import Explanation
    from reconciler.model.export import Export, Wanted
    from reconciler.model.listed import Filters, Missed, Reader
    from reconciler.model.lock import Lock
    from reconciler.model.outcomes import BatchOutcomes
    from reconciler.model.ports import Clock
    from reconciler.model.project import Project
    from reconciler.model.status import StatusReport, Waited


def status(
    project: Project,
    *,
    targets: Sequence[str] = (),
    refresh_all: bool = False,
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> StatusReport:
    """What stands: does it match what is desired, and how is it doing? Nothing is written, no lock is taken.

    With ``refresh_all``, batches that are recorded as terminal are asked for as well.

    Raises:
        ManifestError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    from reconciler.api import standing

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    return run_to_end(standing.status(replace(house, trust=not refresh_all), targets, Stop()))


def watch(
    project: Project,
    show: Callable[[StatusReport], None],
    *,
    interval: float,
    stop: Stop,
    targets: Sequence[str] = (),
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> None:
    """`status` again and again, until somebody asks to stop.

    Args:
        project: as `load` gives it; its files are not read again.
        show: given each status.
        interval: seconds between the end of one observation and the begin of the next.
        stop: ends it.
        targets: as for `plan`.
        parallelism: likewise.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        ManifestError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    from reconciler.api import standing

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    run_to_end(standing.watch(house, targets, stop, interval, show))


def wait(
    project: Project,
    *,
    targets: Sequence[str] = (),
    timeout: float | None = None,
    stop: Stop | None = None,
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Waited:
    """Stay until every batch that is desired and recorded has ended, and read how its files fared.

    What is learned is recorded in the end, however that comes; nothing else is written.

    Args:
        project: as `load` gives it.
        targets: as for `plan`.
        timeout: seconds to wait at most; None does not bound it.
        stop: ends the waiting.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        ManifestError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    from dataclasses import replace

    from reconciler.api import standing
    from reconciler.api.refreshing import refresh_lock
    from reconciler.engine.standing import Learned

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    learned, why = Learned(), ""
    try:
        waited = run_to_end(standing.wait(house, targets, stop or Stop(), timeout, learned))
    finally:
        if learned.anything:
            why = refresh_lock(house.store(), learned.onto)
    return replace(waited, unrecorded=why)


def browse(
    project: Project,
    show: Reader,
    filters: Filters,
    *,
    providers: Sequence[str] = (),
    stop: Stop | None = None,
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> tuple[Missed, ...]:
    """List live batches, whoever made them, and whose they are.

    Args:
        project: as `load` gives it.
        show: given page after page, as they come.
        filters: which batches.
        providers: names of provider blocks; by default all whose services batches can be created on.
        stop: ends it.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Gives the providers whose batches could not all be listed, and why.

    Raises:
        ManifestError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    from reconciler.api import standing

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    return run_to_end(standing.browse(house, providers, filters, show, stop or Stop()))


def results(
    project: Project,
    tell: Callable[[BatchOutcomes], None],
    wish: Wish | None = None,
    *,
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> ResultsRead:
    """Tell what became of the files of recorded batches, batch by batch as they are read.

    When jobs were asked, the counts of COMPLETED batches whose files have all ended are recorded.

    Args:
        project: as `load` gives it.
        tell: called with each batch, sorted by address and id.
        wish: which batches, and how much of them; all that stand, without their jobs, by default.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        SettingsError: a target fits nothing that is recorded, or no batch has the file.
        ManifestError, StateError, ServiceError: as for `plan`.
    """
    from reconciler.api.outcomes import Wish

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    return run_to_end(house.results(wish or Wish(), tell))


def explain(
    project: Project,
    address: str,
    *,
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Explanation:
    """Every live batch over an address's directory, and why each does or does not count for it.

    Raises:
        SettingsError: the address is neither desired nor recorded nor open.
        ManifestError, StateError, ServiceError: as for `plan`.
    """
    from reconciler.engine.explain import explain_address

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    wanted = address_of(address)

    def recorded_there(lock: Lock) -> set[str]:
        return {key.endpoint for key, entry in lock.entries.items() if entry.address == wanted}

    async def work(outlook: Outlook, stop: Stop) -> Explanation:
        return await explain_address(
            outlook.eyes,
            wanted,
            desired=outlook.desired,
            lock=outlook.lock,
            intents=outlook.intents,
            limits=project.file.limits,
            patience=stop,
        )

    return run_to_end(house.looking(work, endpoints=recorded_there, reach=frozenset({wanted.set})))


def drift(
    project: Project,
    *,
    since: datetime | None = None,
    closely: bool = False,
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Drift:
    """What is live and not desired, and what is recorded and gone, different or there twice.

    Args:
        project: as `load` gives it.
        since: look at batches created at or after this time; at all by default.
        closely: look for changes that the sets ignore as well.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        ManifestError, StateError, ServiceError: as for `plan`.
    """
    from reconciler.api.exporting import blocks_of
    from reconciler.engine.drift import find_drift

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)

    async def work(outlook: Outlook, _: Stop) -> Drift:
        return await find_drift(
            outlook.eyes,
            desired=outlook.desired,
            lock=outlook.lock,
            intents=outlook.intents,
            blocks={home: block for block, home in sorted(outlook.homes.items(), reverse=True)},
            ignore=project.file.drift_ignore,
            since=since,
            closely=closely,
        )

    # Before there are manifests, everything that is live is what nobody asks for yet.
    blocks = () if project.sets else blocks_of(project, ())
    return run_to_end(
        house.looking(work, blocks=blocks, endpoints=lambda lock: {key.endpoint for key in lock.entries})
    )


def export(
    project: Project,
    wanted: Wanted,
    *,
    providers: Sequence[str] = (),
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Export:
    """Manifests that ask for live batches, so that a plan adopts them and creates nothing.

    Args:
        project: as `load` gives it; what its manifests ask for already is left out.
        wanted: which batches.
        providers: names of provider blocks; by default all that batches can be created on.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        SettingsError: there is no such provider, or its batches are only watched.
        ServiceError: a listing is incomplete: half of one gives no manifest.
        ManifestError, StateError: as for `plan`.
    """
    from reconciler.api import exporting

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    blocks = exporting.blocks_of(project, providers)
    return run_to_end(
        house.looking(lambda outlook, _: exporting.export(outlook, blocks, wanted), blocks=blocks)
    )
