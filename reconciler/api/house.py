"""A project with everything that it needs to be planned and applied: services, state, audit log.

Here is the order in which these are brought together. Which provider block becomes which service is in
`services`, how manifests are read in `reading`; decisions are the core's, the order of effects the engine's.
"""

from __future__ import annotations

import contextlib
import random
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from reconciler.api.running import PARALLELISM, environment_of, once_broken_silent, silent, system_clock
from reconciler.api.stores import KeptLog, store_of, turn_book_of
from reconciler.engine.stop import Stop
from reconciler.model.desired import Desired
from reconciler.model.project import FileState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence

    from reconciler.api.outcomes import ResultsRead, Wish
    from reconciler.api.outlook import Outlook
    from reconciler.api.services import Connections, Services
    from reconciler.engine.run import Run
    from reconciler.model.batch import Address
    from reconciler.model.events import Listener
    from reconciler.model.lock import Lock
    from reconciler.model.manifest import TrackedBatch
    from reconciler.model.outcomes import BatchOutcomes
    from reconciler.model.plan import Plan, Since
    from reconciler.model.ports import AuditLog, Clock, Joint, Opening, Store, Tenure, TurnBook
    from reconciler.model.project import Project
    from reconciler.model.result import Applied
    from reconciler.model.saved import SavedPlan
    from reconciler.model.shard import Shard
    from reconciler.model.tracking import TrackedChange

_Result = TypeVar("_Result")


def house_of(
    project: Project,
    environ: Mapping[str, str] | None,
    *,
    clock: Clock | None = None,
    listen: Listener | None = None,
    parallelism: int = PARALLELISM,
) -> House:
    """A project's house; what is not given is the machine's, and nobody listens."""
    return House(project, environment_of(environ), clock or system_clock(), listen or silent, parallelism)


class Names(NamedTuple):
    """How a command takes the names and patterns of manifests.

    Attributes:
        reach: the manifests that it is about; None for all. What cannot be found out about the others stops
            nothing.
        locked: only for what is pinned.
        upgrade: the sets whose pins are not to be looked at.
    """

    reach: frozenset[str] | None = None
    locked: bool = False
    upgrade: frozenset[str] = frozenset()


#: All manifests, and names as the lockfile and the services have them.
_ALL = Names()


@dataclass(frozen=True, slots=True)
class House:
    """A project with everything that it needs to be planned and applied.

    Attributes:
        approved_by: for the audit log: who approved what is to be done, "" to find out, and None where
            nothing is there to approve.
        trust: whether batches that are recorded as terminal are believed to be so (O1).
    """

    project: Project
    environ: Mapping[str, str]
    clock: Clock
    listen: Listener
    parallelism: int
    approved_by: str | None = None
    trust: bool = True

    async def plan(
        self, targets: Sequence[str], since: Since | None, *, locked: bool, shard: Shard | None = None
    ) -> Plan:
        """What applying would do now, and what is to be said of batches that are only watched."""
        from reconciler.api.watching import observe_tracked, watching
        from reconciler.core.policies import judged
        from reconciler.core.select import select, within_reach
        from reconciler.engine.propose import propose

        lock, journal = self.store().read()
        stop = Stop()
        stop.bind(self.clock)
        reach = within_reach(targets, self.project.sets, self.project.tracked)
        services = self.services(stop, reach)
        async with services.connected(lock, journal.open) as there:
            desired = await self.desired(there, lock, Names(reach, locked=locked))
            selection = select(targets, desired, lock, self.project.tracked, since=since, shard=shard)
            proposal = await propose(
                there.eyes,
                desired=desired,
                lock=lock,
                intents=journal.open,
                limits=self.project.file.limits,
                selection=selection,
                patience=stop,
            )
            async with watching(services, self.watched(reach), lock, there) as watchers:
                tracked = await observe_tracked(
                    self.project, watchers, lock, selection, at_once=self.parallelism
                )
        return judged(replace(proposal.plan, tracked=tracked), self.project.file.limits.policies)

    @contextlib.asynccontextmanager
    async def outlook(
        self, stop: Stop, blocks: Collection[str] = (), reach: frozenset[str] | None = None
    ) -> AsyncIterator[Outlook]:
        """What a command that only looks has before it.

        Args:
            stop: bound already.
            blocks: names of provider blocks that it needs beside those of the sets.
            reach: the manifests that it is about; None for all.
        """
        from reconciler.api.outlook import Outlook
        from reconciler.api.watching import watch, watching

        lock, journal = self.store().read()
        services = self.services(stop, reach)
        async with (
            services.connected(lock, journal.open, blocks) as there,
            watching(services, self.watched(reach), lock, there) as watchers,
        ):
            yield Outlook(
                self.project,
                there.eyes,
                there.homes,
                await self.desired(there, lock, Names(reach)),
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
        reach: frozenset[str] | None = None,
    ) -> _Result:
        """Do what only looks.

        Args:
            work: what is to be done.
            blocks: names of provider blocks that it needs beside those of the sets.
            endpoints: services that it needs as well, as the lockfile says.
            reach: the manifests that it is about; None for all.
        """
        stop = Stop()
        stop.bind(self.clock)
        lock, _ = self.store().read()
        asked = {*blocks, *self.services(stop).leading_to(endpoints(lock))}
        async with self.outlook(stop, asked, reach) as outlook:
            return await work(outlook, stop)

    def try_out(self, stop: Stop) -> None:
        """Find out whether the embedded service, if one is used, can keep what it is given."""
        self.services(stop).try_out()

    async def apply(
        self,
        session: Tenure,
        targets: Sequence[str],
        since: Since | None,
        approve: Callable[[Plan], bool],
        *,
        locked: bool,
        confirm: str,
        saved: SavedPlan | None,
        stop: Stop,
        seconds: float | None,
        max_in_flight: int | None,
        wait: bool,
        shard: Shard | None = None,
    ) -> Applied:
        """Make what is live what is desired."""
        from reconciler.core.select import select, within_reach
        from reconciler.engine.apply import apply as apply_plan

        reach = within_reach(targets, self.project.sets, self.project.tracked)
        async with self.run_on(session, stop, seconds, names=Names(reach, locked=locked), shard=shard) as run:
            selection = select(
                targets, run.desired, session.lock, self.project.tracked, since=since, shard=shard
            )
            return await apply_plan(
                run,
                limits=self.project.file.limits,
                selection=selection,
                approve=approve,
                confirmed=confirm,
                saved=saved,
                max_in_flight=max_in_flight,
                wait=wait,
            )

    async def open_plan(
        self, session: Opening, saved: SavedPlan, *, confirm: str, stop: Stop, seconds: float | None
    ) -> Applied:
        """Do what a saved plan does beside its creates, and offer those to whoever works on it."""
        from reconciler.core.select import select, within_reach
        from reconciler.engine.joined import open_plan

        tracked = self.project.tracked
        reach = within_reach(saved.targets, self.project.sets, tracked)
        async with self.run_on(session, stop, seconds, names=Names(reach)) as run:
            return await open_plan(
                run,
                session,
                limits=self.project.file.limits,
                selection=select(saved.targets, run.desired, session.lock, tracked, since=saved.since),
                saved=saved,
                confirmed=confirm,
            )

    async def work(self, session: Joint, saved: SavedPlan, *, stop: Stop, seconds: float | None) -> Applied:
        """Carry out what others leave of a saved plan that was opened."""
        from reconciler.core.select import within_reach
        from reconciler.engine.joined import work

        reach = within_reach(saved.targets, self.project.sets, self.project.tracked)
        async with self.run_on(session, stop, seconds, names=Names(reach)) as run:
            return await work(run, session, limits=self.project.file.limits, saved=saved)

    async def refresh(self, session: Tenure, targets: Sequence[str]) -> tuple[TrackedChange, ...]:
        """Have the services look after watched batches, and record what they then say."""
        from reconciler.api.watching import lookout, select_tracked, tracking_of, watching
        from reconciler.core.select import within_reach
        from reconciler.engine.observe import Eyes
        from reconciler.engine.refresh import refresh
        from reconciler.engine.run import Run

        lock, stop = session.lock, Stop()
        stop.bind(self.clock)
        selection = select_tracked(targets, self.project, lock)
        run_id, audit = self.begin(session)
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
        reach = within_reach(targets, self.project.sets, self.project.tracked)
        async with watching(self.services(stop, reach), self.watched(reach), lock) as watchers:
            tracking = tracking_of(self.project.tracked, watchers, lock, selection)
            return await refresh(run, lookout(watchers, self.parallelism), tracking)

    async def results(self, wish: Wish, tell: Callable[[BatchOutcomes], None]) -> ResultsRead:
        """Read what became of files, and record the counts of what has ended."""
        from reconciler.api.again import refuse_existing, write_rerun
        from reconciler.api.outcomes import Reader, ResultsRead, chosen, watched_by, with_all
        from reconciler.api.refreshing import refresh_lock
        from reconciler.api.watching import watching
        from reconciler.engine.results import readings_of

        if wish.manifest:
            refuse_existing(wish.manifest)
        lock, journal = self.store().read()
        batches = chosen(self.project, lock, wish)
        manifests = watched_by(self.project, batches)
        stop, reader = Stop(), Reader(wish, tell)
        stop.bind(self.clock)
        services = self.services(stop, frozenset(choice.entry.address.set for choice in batches))
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
            not_recorded=refresh_lock(self.store(), lambda lock: with_all(lock, reader.counts)),
            clocks=clocks,
        )
        if not wish.manifest:
            return read
        return replace(read, rerun=write_rerun(self.project, lock, read, wish.manifest, self.clock.now()))

    async def by_hand(
        self,
        session: Tenure,
        about: Address,
        work: Callable[[Run], Coroutine[Any, Any, _Result]],
        *,
        recorded: bool = False,
    ) -> _Result:
        """Do what a person asked for by name, on state whose lock is held.

        Args:
            session: the state.
            about: the address that it is about.
            work: what is to be done.
            recorded: what is recorded is enough for it: a name that stands for nothing, of whatever set,
                keeps nobody from stopping a batch.
        """
        names = Names(frozenset() if recorded else frozenset({about.set}))
        entries = session.lock.entries.items()
        asked = {key.endpoint for key, entry in entries if entry.address == about}
        async with self.run_on(session, Stop(), names=names, endpoints=asked) as run:
            return await work(run)

    async def upgrade(self, session: Tenure, sets: frozenset[str]) -> tuple[str, ...]:
        """Look up anew what these sets' names and patterns stand for, and pin that (R13)."""
        from reconciler.engine.by_hand import move_pins

        async with self.run_on(session, Stop(), names=Names(sets, upgrade=sets)) as run:
            return move_pins(run, sets)

    async def desired(self, there: Connections, lock: Lock, names: Names) -> Desired:
        """What the manifests ask for, once it is known what their names and patterns stand for (R13)."""
        from reconciler.api.asking import ask_for

        return await ask_for(self.project, there, lock, names, listen=self.listen, at_once=self.parallelism)

    def watched(self, reach: frozenset[str] | None) -> tuple[TrackedBatch, ...]:
        """The tracking manifests that a command is about."""
        return tuple(item for item in self.project.tracked if reach is None or item.name in reach)

    @contextlib.asynccontextmanager
    async def run_on(
        self,
        session: Tenure,
        stop: Stop,
        seconds: float | None = None,
        *,
        names: Names = _ALL,
        endpoints: Collection[str] = (),
        shard: Shard | None = None,
    ) -> AsyncIterator[Run]:
        """A run with everything that it needs, on state whose lock is held.

        Args:
            session: the state.
            stop: ends it.
            seconds: how long it may take.
            names: how names and patterns are taken, and which sets it is about.
            endpoints: services that it needs whether a set uses them or not.
            shard: the share of the keys that it is about; None for all, and for what is only watched.
        """
        from reconciler.api.watching import watch, watching
        from reconciler.engine.run import Run

        stop.bind(self.clock, seconds)
        services = self.services(stop, names.reach, turn_book_of(session))
        # Before any request, since it has to be known by then that it can be written.
        run_id, audit = self.begin(session)
        services.try_out()
        async with (
            services.connected(session.lock, session.journal.open, services.leading_to(endpoints)) as there,
            watching(services, self.watched(names.reach), session.lock, there) as watchers,
        ):
            desired = await self.desired(there, session.lock, names)
            yield Run(
                id=run_id,
                eyes=there.eyes,
                session=session,
                desired=desired,
                audit=audit,
                stop=stop,
                random=random.random,
                lock=session.lock,
                pins=there.pins,
                webhooks=services.webhooks(),
                shard=shard,
                watch=None if shard else watch(self.project, watchers, session.lock, self.parallelism),
            )

    def begin(self, session: Tenure) -> tuple[str, AuditLog]:
        """A name for a run, and its audit log."""
        from reconciler.adapters.audit import AuditFolder, signer_of
        from reconciler.adapters.ci import environment
        from reconciler.api.reading import PROJECT_FILE

        folder, run_id = Path(self.project.folder), uuid.uuid4().hex[:12]
        signer = signer_of(self.environ)
        file = self.project.file
        here = isinstance(file.state, FileState)
        lockfile = file.state.path if isinstance(file.state, FileState) else "reconciler.lock"
        who = environment(
            self.environ,
            folder,
            self.approved_by,
            own=(lockfile, f"{lockfile}.journal", "audit", ".reconciler"),
            decides=(PROJECT_FILE, *file.manifests, *file.policies),
        )
        audit = AuditFolder(folder / "audit").begin(run_id, who, session.lock.heads, self.clock, signer)
        return run_id, audit if here else KeptLog(audit, session)

    def store(self) -> Store:
        """Where the project's state lives."""
        return store_of(Path(self.project.folder), self.project.file, self.clock, self.environ)

    def services(
        self, stop: Stop, reach: frozenset[str] | None = None, book: TurnBook | None = None
    ) -> Services:
        """The services of the project's provider blocks, yet to be connected.

        Args:
            stop: ends the waiting for them.
            reach: the manifests that a command is about; None for all.
            book: where turns are booked, if others work beside this.
        """
        from reconciler.api.services import Services

        listen = once_broken_silent(self.listen)
        return Services(
            self.project, self.environ, self.clock, listen, self.parallelism, stop, reach, self.trust, book
        )
