"""The library's face: load, plan, apply. What the command line calls, and nothing more than that.

Here is the order in which a project, its services and its state are brought together. How manifests are
read is in `reading`, which provider block becomes which service in `services`; decisions are the core's,
the order of effects is the engine's, and how anything looks is for whoever calls this.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.engine.stop import Stop
from reconciler.model.batch import Address
from reconciler.model.errors import ManifestError, PinError, SettingsError
from reconciler.model.events import Planned, Warned
from reconciler.model.source import Severity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
    from datetime import datetime

    from reconciler.adapters.stores.file import FileSession, FileStore
    from reconciler.api.outcomes import ResultsRead, Wish
    from reconciler.api.outlook import Outlook
    from reconciler.api.services import Connections, Services
    from reconciler.engine.run import Run
    from reconciler.model.audit import Verified
    from reconciler.model.batch import Batch
    from reconciler.model.desired import Desired
    from reconciler.model.drift import Drift
    from reconciler.model.events import Event, Listener
    from reconciler.model.explanation import Explanation
    from reconciler.model.export import Export, Wanted
    from reconciler.model.listed import Filters, Missed, Reader
    from reconciler.model.lock import Lock
    from reconciler.model.outcomes import BatchOutcomes
    from reconciler.model.plan import Plan
    from reconciler.model.ports import AuditLog, Clock
    from reconciler.model.project import Project, ProjectFile
    from reconciler.model.result import Applied, Cancelling
    from reconciler.model.source import Diagnostic
    from reconciler.model.status import StatusReport, Waited
    from reconciler.model.tracking import TrackedChange

__all__ = [
    "PARALLELISM",
    "Stop",
    "apply",
    "browse",
    "cancel",
    "drift",
    "explain",
    "export",
    "import_batch",
    "init",
    "load",
    "plan",
    "refresh",
    "resolve_absent",
    "results",
    "schema",
    "schema_names",
    "status",
    "upgrade",
    "validate",
    "verify_audit",
    "wait",
    "watch",
    "write_new",
]

#: How many requests are under way at once, unless said otherwise.
PARALLELISM = 8

# So many pins are named in one error.
_TOLD = 5

_Result = TypeVar("_Result")


def load(folder: str | Path = ".") -> Project:
    """Read the project file of a folder and all its manifests.

    Raises:
        ManifestError: they have faults; it carries all of them.
    """
    from reconciler.api.reading import read_project

    project, diagnostics = read_project(Path(folder))
    errors = [item for item in diagnostics if item.severity is Severity.ERROR]
    if project is None or errors:
        raise ManifestError(errors)
    return project


def validate(folder: str | Path = ".", *, environ: Mapping[str, str] | None = None) -> tuple[Diagnostic, ...]:
    """Everything there is to say about a project's files, warnings included, without asking any service.

    Args:
        folder: the project's folder.
        environ: environment variables; those of this process by default.
    """
    from reconciler.api.reading import read_project, unset

    project, diagnostics = read_project(Path(folder))
    if project is not None:
        diagnostics = (*diagnostics, *unset(project, _environ(environ)))
    return tuple(sorted(diagnostics))


def plan(
    project: Project,
    *,
    targets: Sequence[str] = (),
    locked: bool = False,
    parallelism: int = PARALLELISM,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Plan:
    """What applying would do now. Nothing is written and no lock is taken.

    Args:
        project: as `load` gives it.
        targets: sets, addresses or ``label=value`` to plan for; everything by default.
        locked: refuse a plan in which a name or a pattern stands for something else than is pinned (R13).
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        ManifestError: two desired batches are the same work, a name stands for nothing or for several
            directories, or a variable that is needed is not set.
        PinError: a pin would change although ``locked``.
        SettingsError: a target fits nothing, or a provider cannot be used as it is set up.
        StateError: the lockfile or its journal cannot be used.
        ServiceError: a service does not accept the key.
    """
    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    return _run(house.plan(targets, locked=locked))


def apply(
    project: Project,
    *,
    approve: Callable[[Plan], bool] = lambda _: True,
    targets: Sequence[str] = (),
    locked: bool = False,
    parallelism: int = PARALLELISM,
    lock_timeout: float = 0.0,
    timeout: float | None = None,
    confirm: str = "",
    max_in_flight: int | None = None,
    wait: bool = False,
    listen: Listener | None = None,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Applied:
    """Create what is missing, record what stands, and say what happened to each.

    Args:
        project: as `load` gives it.
        approve: asked once with the plan if it would change anything; False ends the run unchanged.
        targets: as for `plan`.
        locked: as for `plan`.
        parallelism: how many creates, and how many other requests, may be under way at once.
        lock_timeout: seconds to wait for the lock.
        timeout: seconds that the run may take once it has the lock; then it stops as it does at a signal.
        confirm: the digest of the one plan that may be applied, also past the project's limits.
        max_in_flight: how many recorded batches may run at once; creates are held back for that.
        wait: stay until the batches have ended, and create what had to wait for them.
        listen: told what happens meanwhile.
        stop: asked to stop by whoever holds it: what is in flight is finished and recorded.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        LockHeldError: another run holds the lock.
        LockLostError: this run lost it; nothing was sent after that was seen.
        StoppedError: it was to end before there was a plan.
        LimitError: the plan goes past a limit and was not confirmed.
        StalePlanError: the plan is not the confirmed one.
        ManifestError, PinError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    with house.store().hold(lock_timeout) as session:
        return _run(
            house.apply(
                session,
                targets,
                approve,
                locked=locked,
                confirm=confirm,
                stop=stop or Stop(),
                seconds=timeout,
                max_in_flight=max_in_flight,
                wait=wait,
            )
        )


def import_batch(
    project: Project,
    address: str,
    batch: str,
    *,
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Batch:
    """Record a live batch as the one that stands for an address.

    Raises:
        SettingsError: the address is not desired, the batch does not exist, or it is other work.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    from reconciler.engine.by_hand import import_batch as by_hand

    house = _House(project, _environ(environ), _system_clock(), _silent, PARALLELISM)
    with house.store().hold(lock_timeout) as session:
        return _run(house.by_hand(session, lambda run: by_hand(run, _address(address), batch)))


def cancel(
    project: Project,
    address: str,
    batch: str = "",
    *,
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Cancelling:
    """Ask the service to cancel a recorded batch: the one that stands at an address, or the named one there.

    Gives the batch as the service then has it, which need not be CANCELLED yet, and whether it was asked for:
    a batch that has ended is left alone.

    Raises:
        SettingsError: no such batch is recorded there.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    from reconciler.engine.by_hand import cancel_batch

    house = _House(project, _environ(environ), _system_clock(), _silent, PARALLELISM)
    with house.store().hold(lock_timeout) as session:
        return _run(house.by_hand(session, lambda run: cancel_batch(run, _address(address), batch)))


def resolve_absent(
    project: Project, address: str, *, lock_timeout: float = 0.0, environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Take the caller's word that what is open or gone at an address does not exist.

    Gives a sentence for each thing that was closed or forgotten.

    Raises:
        SettingsError: nothing is open or gone there.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    from reconciler.engine.by_hand import resolve_absent as by_hand

    house = _House(project, _environ(environ), _system_clock(), _silent, PARALLELISM)
    with house.store().hold(lock_timeout) as session:
        return _run(house.by_hand(session, lambda run: by_hand(run, _address(address))))


def upgrade(
    project: Project,
    sets: Sequence[str] = (),
    *,
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Look up anew what names and patterns stand for, and pin that (R13). Nothing is created.

    Args:
        project: as `load` gives it.
        sets: names of sets; all by default.
        lock_timeout: seconds to wait for the lock.
        environ: environment variables; those of this process by default.

    Gives a sentence for each pin that moved, went or came.

    Raises:
        SettingsError: there is no such set.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    known = {item.name for item in project.sets}
    for name in sets:
        if name not in known:
            raise SettingsError(f"there is no set {name!r}", next=f"Sets: {', '.join(sorted(known))}")
    house = _House(project, _environ(environ), _system_clock(), _silent, PARALLELISM)
    with house.store().hold(lock_timeout) as session:
        return _run(house.upgrade(session, frozenset(sets) or frozenset(known)))


def refresh(
    project: Project,
    *,
    targets: Sequence[str] = (),
    parallelism: int = PARALLELISM,
    lock_timeout: float = 0.0,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> tuple[TrackedChange, ...]:
    """Have the services look after the watched batches that have not ended, and record what they then say.

    Args:
        project: as `load` gives it.
        targets: tracking manifests, addresses or ``label=value``; everything that is watched by default.
        parallelism: how many requests may be under way at once.
        lock_timeout: seconds to wait for the lock.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        SettingsError: a target fits nothing that is watched, or a provider cannot be used as it is set up.
        LockHeldError, ManifestError, StateError: as for `apply`.
    """
    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    with house.store().hold(lock_timeout) as session:
        return _run(house.refresh(session, targets))


def verify_audit(folder: str | Path = ".") -> Verified:
    """Hold a project's audit log against itself and against what the lockfile names of it.

    Reads the project file, the lockfile and ``audit/``; no lock is taken and no service is asked.

    Raises:
        ManifestError: the project file has faults.
        StateError: the lockfile, its journal or an audit file cannot be read.
    """
    from reconciler.adapters.audit import verify
    from reconciler.api.reading import read_project_file

    file, diagnostics = read_project_file(Path(folder))
    if file is None:
        raise ManifestError(diagnostics)
    store = _store(Path(folder), file, _system_clock())
    lock, _ = store.read()  # first of all: what it names by then is there
    return verify(Path(folder) / "audit", lock.heads, store.heads_place())


def status(
    project: Project,
    *,
    targets: Sequence[str] = (),
    parallelism: int = PARALLELISM,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> StatusReport:
    """What stands: does it match what is desired, and how is it doing? Nothing is written, no lock is taken.

    Raises:
        ManifestError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    from reconciler.api import standing

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    return _run(standing.status(house, targets, Stop()))


def watch(
    project: Project,
    show: Callable[[StatusReport], None],
    *,
    interval: float,
    stop: Stop,
    targets: Sequence[str] = (),
    parallelism: int = PARALLELISM,
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

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    _run(standing.watch(house, targets, stop, interval, show))


def wait(
    project: Project,
    *,
    targets: Sequence[str] = (),
    timeout: float | None = None,
    stop: Stop | None = None,
    parallelism: int = PARALLELISM,
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
    from reconciler.engine.standing import Learned

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    learned, why = Learned(), ""
    try:
        waited = _run(standing.wait(house, targets, stop or Stop(), timeout, learned))
    finally:
        if learned.anything:
            why = standing.write_down(house.store(), learned)
    return replace(waited, unrecorded=why)


def browse(
    project: Project,
    show: Reader,
    filters: Filters,
    *,
    providers: Sequence[str] = (),
    stop: Stop | None = None,
    parallelism: int = PARALLELISM,
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

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    return _run(standing.browse(house, providers, filters, show, stop or Stop()))


def results(
    project: Project,
    tell: Callable[[BatchOutcomes], None],
    wish: Wish | None = None,
    *,
    parallelism: int = PARALLELISM,
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

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    return _run(house.results(wish or Wish(), tell))


def explain(
    project: Project,
    address: str,
    *,
    parallelism: int = PARALLELISM,
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

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    wanted = _address(address)

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

    return _run(house.looking(work, endpoints=recorded_there))


def drift(
    project: Project,
    *,
    since: datetime | None = None,
    closely: bool = False,
    parallelism: int = PARALLELISM,
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

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)

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
    return _run(
        house.looking(work, blocks=blocks, endpoints=lambda lock: {key.endpoint for key in lock.entries})
    )


def export(
    project: Project,
    wanted: Wanted,
    *,
    providers: Sequence[str] = (),
    parallelism: int = PARALLELISM,
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

    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    blocks = exporting.blocks_of(project, providers)
    return _run(house.looking(lambda outlook, _: exporting.export(outlook, blocks, wanted), blocks=blocks))


def write_new(folder: str | Path, files: Mapping[str, str]) -> list[str]:
    """Write files that do not exist yet, and give their paths.

    Raises:
        SettingsError: one exists already, so that nothing was written; or one cannot be written.
    """
    from reconciler.adapters.new_files import write_new as write

    return write(Path(folder), files)


def init(folder: str | Path = ".") -> list[str]:
    """Write a small commented project that validates and plans; gives the names of the files.

    Raises:
        SettingsError: a file that it would write exists already.
    """
    from reconciler.adapters.scaffold import write_project

    return write_project(Path(folder))


def schema_names() -> list[str]:
    """The kinds that `schema` knows."""
    from reconciler.adapters import schemas

    return sorted({*schemas.SCHEMA_KINDS, *schemas.schema_names()} - set(schemas.SCHEMA_KINDS.values()))


def schema(kind: str) -> str:
    """The JSON Schema of a kind of document, as text.

    Raises:
        SettingsError: there is no such kind.
    """
    from reconciler.adapters.schemas import schema_text

    return schema_text(kind)


@dataclass(frozen=True, slots=True)
class _House:
    """A project with everything that it needs to be planned and applied."""

    project: Project
    environ: Mapping[str, str]
    clock: Clock
    listen: Listener
    parallelism: int

    async def plan(self, targets: Sequence[str], *, locked: bool) -> Plan:
        from reconciler.api.watching import observe_tracked, watching
        from reconciler.core.select import select
        from reconciler.engine.propose import propose

        lock, journal = self.store().read()
        stop = Stop()
        stop.bind(self.clock)
        services = self._services(stop)
        async with services.connected(lock, journal.open) as there:
            desired = await self._desired(there, lock, locked=locked)
            selection = select(targets, desired, lock, self.project.tracked)
            proposal = await propose(
                there.eyes,
                desired=desired,
                lock=lock,
                intents=journal.open,
                limits=self.project.file.limits,
                selection=selection,
                patience=stop,
            )
            async with watching(services, self.project.tracked, lock, there) as watchers:
                tracked = await observe_tracked(
                    self.project, watchers, lock, selection, at_once=self.parallelism
                )
        return replace(proposal.plan, tracked=tracked)

    @contextlib.asynccontextmanager
    async def outlook(self, stop: Stop, blocks: Collection[str] = ()) -> AsyncIterator[Outlook]:
        """What a command that only looks has before it.

        Args:
            stop: bound already.
            blocks: names of provider blocks that it needs beside those of the sets.
        """
        from reconciler.api.outlook import Outlook
        from reconciler.api.watching import watch, watching

        lock, journal = self.store().read()
        services = self._services(stop)
        async with (
            services.connected(lock, journal.open, blocks) as there,
            watching(services, self.project.tracked, lock, there) as watchers,
        ):
            yield Outlook(
                self.project,
                there.eyes,
                there.homes,
                await self._desired(there, lock),
                lock,
                tuple(journal.open),
                watch(self.project, watchers, lock, self.parallelism),
            )

    async def looking(
        self,
        work: Callable[[Outlook, Stop], Coroutine[Any, Any, _Result]],
        *,
        blocks: Collection[str] = (),
        endpoints: Callable[[Lock], Collection[str]] = lambda _: (),
    ) -> _Result:
        """Do what only looks.

        Args:
            work: what is to be done.
            blocks: names of provider blocks that it needs beside those of the sets.
            endpoints: services that it needs as well, as the lockfile says.
        """
        stop = Stop()
        stop.bind(self.clock)
        lock, _ = self.store().read()
        asked = {*blocks, *self._services(stop).leading_to(endpoints(lock))}
        async with self.outlook(stop, asked) as outlook:
            return await work(outlook, stop)

    def try_out(self, stop: Stop) -> None:
        """Find out whether the embedded service, if one is used, can keep what it is given."""
        self._services(stop).try_out()

    async def apply(
        self,
        session: FileSession,
        targets: Sequence[str],
        approve: Callable[[Plan], bool],
        *,
        locked: bool,
        confirm: str,
        stop: Stop,
        seconds: float | None,
        max_in_flight: int | None,
        wait: bool,
    ) -> Applied:
        from reconciler.core.select import select
        from reconciler.engine.apply import apply as apply_plan

        async with self._run_on(session, stop, seconds, locked=locked) as run:
            return await apply_plan(
                run,
                limits=self.project.file.limits,
                selection=select(targets, run.desired, session.lock, self.project.tracked),
                approve=approve,
                confirmed=confirm,
                max_in_flight=max_in_flight,
                wait=wait,
            )

    async def refresh(self, session: FileSession, targets: Sequence[str]) -> tuple[TrackedChange, ...]:
        from reconciler.api.watching import lookout, select_tracked, tracking_of, watching
        from reconciler.engine.observe import Eyes
        from reconciler.engine.refresh import refresh
        from reconciler.engine.run import Run
        from reconciler.model.desired import Desired

        lock, stop = session.lock, Stop()
        stop.bind(self.clock)
        selection = select_tracked(targets, self.project, lock)
        run_id, audit = self._begin(session)
        run = Run(
            id=run_id,
            eyes=Eyes({}, self.clock, self.listen, self.parallelism),
            session=session,
            desired=Desired(),
            audit=audit,
            stop=stop,
            random=random.random,
            lock=lock,
        )
        async with watching(self._services(stop), self.project.tracked, lock) as watchers:
            tracking = tracking_of(self.project.tracked, watchers, lock, selection)
            return await refresh(run, lookout(watchers, self.parallelism), tracking)

    async def results(self, wish: Wish, tell: Callable[[BatchOutcomes], None]) -> ResultsRead:
        from reconciler.api.again import refuse_existing, write_rerun
        from reconciler.api.outcomes import Reader, ResultsRead, chosen, record_counts, watched_by
        from reconciler.api.watching import watching
        from reconciler.engine.results import readings_of

        if wish.manifest:
            refuse_existing(wish.manifest)
        lock, journal = self.store().read()
        batches = chosen(self.project, lock, wish)
        manifests = watched_by(self.project, batches)
        stop, reader = Stop(), Reader(wish, tell)
        stop.bind(self.clock)
        services = self._services(stop)
        async with (
            services.connected(lock, journal.open) as there,
            watching(services, manifests, lock, there) as watchers,
        ):
            by_name = {item.name: watchers[item.provider] for item in manifests}
            await reader.read(readings_of(there.eyes, batches, wish.depth, stop, by_name))
            homes = there.eyes.providers.items()
            clocks = {home: time for home, provider in homes if (time := provider.clock)}
        read = ResultsRead(
            tally=reader.tally,
            failing=tuple(reader.failing),
            not_recorded=record_counts(self.store(), reader.counts),
            clocks=clocks,
        )
        if not wish.manifest:
            return read
        return replace(read, rerun=write_rerun(self.project, lock, read, wish.manifest, self.clock.now()))

    async def by_hand(
        self, session: FileSession, work: Callable[[Run], Coroutine[Any, Any, _Result]]
    ) -> _Result:
        async with self._run_on(session, Stop()) as run:
            return await work(run)

    async def upgrade(self, session: FileSession, sets: frozenset[str]) -> tuple[str, ...]:
        from reconciler.engine.by_hand import move_pins

        async with self._run_on(session, Stop(), upgrade=sets) as run:
            return move_pins(run)

    async def _desired(
        self, there: Connections, lock: Lock, *, locked: bool = False, upgrade: frozenset[str] = frozenset()
    ) -> Desired:
        """What the manifests ask for, once it is known what their names and patterns stand for (R13)."""
        from reconciler.core.expand import expand
        from reconciler.core.names import moved, wanted_names
        from reconciler.engine.names import look_up

        pins = [pin for pin in lock.pins if pin.set not in upgrade]
        blocks = {block: there.eyes.providers[home] for block, home in there.homes.items()}
        catalogue = await look_up(wanted_names(self.project.sets, pins), blocks, self.parallelism)
        desired = expand(self.project, there.homes, catalogue, pins)
        for warning in desired.warnings:
            self.listen(Warned(f"{warning.source}: {warning.message}"))
        if locked and (changes := moved(desired.pins, lock.pins)):
            told = "; ".join(changes[:_TOLD]) + ("; …" if changes[_TOLD:] else "")
            raise PinError(
                f"what names and patterns stand for would change: {told}",
                why="--locked takes names and patterns only for what the lockfile says that they stand for",
                next="Run without --locked and review what is new",
            )
        return desired

    @contextlib.asynccontextmanager
    async def _run_on(
        self,
        session: FileSession,
        stop: Stop,
        seconds: float | None = None,
        *,
        locked: bool = False,
        upgrade: frozenset[str] = frozenset(),
    ) -> AsyncIterator[Run]:
        """A run with everything that it needs, on state whose lock is held."""
        from reconciler.api.watching import watch, watching
        from reconciler.engine.run import Run

        stop.bind(self.clock, seconds)
        services = self._services(stop)
        # Before any request, since it has to be known by then that it can be written.
        run_id, audit = self._begin(session)
        services.try_out()
        async with (
            services.connected(session.lock, session.journal.open) as there,
            watching(services, self.project.tracked, session.lock, there) as watchers,
        ):
            yield Run(
                id=run_id,
                eyes=there.eyes,
                session=session,
                desired=await self._desired(there, session.lock, locked=locked, upgrade=upgrade),
                audit=audit,
                stop=stop,
                random=random.random,
                lock=session.lock,
                pins=there.pins,
                webhooks=services.webhooks(),
                watch=watch(self.project, watchers, session.lock, self.parallelism),
            )

    def _begin(self, session: FileSession) -> tuple[str, AuditLog]:
        """A name for a run, and its audit log."""
        from reconciler.adapters.audit import AuditFolder
        from reconciler.adapters.ci import environment

        folder, run_id = Path(self.project.folder), uuid.uuid4().hex[:12]
        who = environment(self.environ, folder)
        return run_id, AuditFolder(folder / "audit").begin(run_id, who, session.lock.heads, self.clock)

    def store(self) -> FileStore:
        return _store(Path(self.project.folder), self.project.file, self.clock)

    def _services(self, stop: Stop) -> Services:
        from reconciler.api.services import Services

        listen = _once_broken_silent(self.listen)
        return Services(self.project, self.environ, self.clock, listen, self.parallelism, stop)


def _store(folder: Path, file: ProjectFile, clock: Clock) -> FileStore:
    from reconciler.adapters.stores.file import FileStore

    path = file.state.path
    return FileStore(folder / path, path, _holder(), clock.now(), file.name)


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise SettingsError(str(error), next="`reconciler plan --verbose` lists the addresses") from error


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _system_clock() -> Clock:
    from reconciler.adapters.clock import SystemClock

    return SystemClock()


def _holder() -> str:
    """Who this process is, for those who find the lock held."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"


def _once_broken_silent(listen: Listener) -> Listener:
    """A listener that is not called again after it failed: what is in flight must not suffer for it.

    A closed pipe, as of `reconciler apply | head`, is no news to anybody; all else is logged.
    """
    works = True

    def guarded(event: Event) -> None:
        nonlocal works
        if works:
            try:
                listen(event)
            except Exception as error:
                if isinstance(event, Planned):
                    raise  # nothing is in flight, and a plan that nobody saw shall not be carried out
                works = False
                if isinstance(error, OSError):
                    return
                logging.getLogger(__name__).exception("a listener failed and is not called again")

    return guarded


def _silent(event: Event) -> None:
    """Nobody listens."""


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end, also where an event loop runs already, as in a notebook.

    The result does not go through asyncio's task: on its way out, asyncio.run has Python's signal module
    make the repr of a handler that holds the task, and with it that of the whole plan.
    """
    results: list[_Result] = []

    async def main() -> None:
        results.append(await work)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(main())
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, main()).result()
    return results[0]
