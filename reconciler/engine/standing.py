"""What stands, observed: once for a status, or until everything has ended.

Observing is `propose`'s work and waiting `wait`'s; here is what both come to, read as a report. Nothing is
sent but questions, and nothing is written: what was learned is given back, for whoever can write it down.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from reconciler.core.plan import aliases_of
from reconciler.core.recent import recent
from reconciler.core.record import with_counts, with_status
from reconciler.core.status import status_of
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL, read_pass, renamed
from reconciler.engine.propose import propose
from reconciler.engine.wait import Awaited, pauses, read_files, until_terminal
from reconciler.model.batch import Batch, Key
from reconciler.model.errors import GivenUpError, ServiceError
from reconciler.model.events import Waiting, Warned
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Snapshot, Unknown
from reconciler.model.status import StatusReport, Sync, Waited
from reconciler.model.tracking import Happened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    from reconciler.core.select import Selection
    from reconciler.engine.observe import Eyes
    from reconciler.engine.propose import Proposal
    from reconciler.engine.stop import Stop
    from reconciler.model.batch import FileCounts
    from reconciler.model.desired import Desired
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.plan import Action, Plan
    from reconciler.model.ports import Patience
    from reconciler.model.project import Limits
    from reconciler.model.tracking import TrackedChange

#: Looks in a row that leave something unseen of what is only watched, before that is no longer waited for.
MOST_BLIND = 10

#: Seconds before a service that was given up is tried anew, by a connection that knows nothing of that.
AGAIN = 60.0


class Scene(NamedTuple):
    """Everything that what stands is judged by."""

    eyes: Eyes
    desired: Desired
    lock: Lock
    intents: tuple[Intent, ...]
    limits: Limits
    selection: Selection
    patience: Patience
    watch: Callable[[Selection], Coroutine[object, object, tuple[TrackedChange, ...]]] | None = None

    async def proposed(self) -> Proposal:
        """One observation, and what a plan says of it, with what is only watched."""
        proposal = await propose(
            self.eyes,
            desired=self.desired,
            lock=self.lock,
            intents=self.intents,
            limits=self.limits,
            selection=self.selection,
            patience=self.patience,
        )
        return replace(proposal, plan=replace(proposal.plan, tracked=await self.watched()))

    async def watched(self) -> tuple[TrackedChange, ...]:
        """What happened to the batches that are only watched (R16)."""
        return await self.watch(self.selection) if self.watch else ()

    def report(self, proposal: Proposal, lock: Lock, latest: Mapping[Key, Batch]) -> StatusReport:
        """The plan, read as a status."""
        return status_of(
            proposal.plan,
            snapshot=proposal.snapshot,
            lock=lock,
            desired=self.desired,
            facts=proposal.facts,
            now=self.eyes.clock.now(),
            latest=latest,
        )


async def status(scene: Scene, counts: dict[str, FileCounts]) -> StatusReport:
    """What stands now.

    Args:
        scene: what it is judged by.
        counts: how files of batches fared that an earlier look read, and no lockfile holds; what this one
            had to read is added to it, so that looking again and again reads them once.

    Raises:
        ServiceError: a service does not accept the key; every other failure makes rows Unknown (R7).
    """
    report, _ = await status_and_plan(scene, counts)
    return report


async def status_and_plan(scene: Scene, counts: dict[str, FileCounts]) -> tuple[StatusReport, Plan]:
    """What stands now, and the plan that it was read from: one observation for both."""
    scene = scene._replace(lock=_counted(scene.lock, counts))
    proposal = await scene.proposed()
    counts |= proposal.counts
    others = await _others(scene, proposal)
    snapshot = proposal.snapshot
    seen = {
        key: (*there, *others.get(key, {}).values()) if isinstance(there, tuple) else there
        for key, there in snapshot.seen.items()
    }
    proposal = replace(proposal, snapshot=Snapshot(seen, snapshot.clocks))
    return scene.report(proposal, _counted(scene.lock, counts), {}), proposal.plan


def _counted(lock: Lock, counts: Mapping[str, FileCounts]) -> Lock:
    """The lockfile with how these batches' files fared."""
    if not counts:
        return lock
    entries = dict(lock.entries)
    for key, entry in lock.entries.items():
        for item in entry.batches:
            if item.id in counts:
                entries[key] = with_counts(entries[key], item.id, counts[item.id])
    return replace(lock, entries=entries)


_Others: TypeAlias = dict[Key, dict[str, Batch]]


async def _others(scene: Scene, proposal: Proposal) -> _Others:
    """Batches beside those that stand, which a plan need not look for (O1, O2), by key and id.

    Those that were made in the last day, as an apply looks for them in its end (C10); and what became of
    those that are recorded as running: who is to cancel one wants to know whether it runs still.
    """
    known: dict[Key, set[str]] = {}
    for action in proposal.plan.actions:
        there = proposal.snapshot.of(action.key)
        if isinstance(there, tuple) and action.key in scene.lock.entries:
            known[action.key] = {batch.id for batch in there}
    found: _Others = {key: {} for key in known}
    for batch in await _made_lately(scene, known):
        if batch.key in known and batch.id not in known[batch.key]:
            found[batch.key][batch.id] = batch
    asked = [
        (key, item.id)
        for key, there in known.items()
        for item in scene.lock.entries[key].batches
        if not item.status.terminal and item.id not in there and item.id not in found[key]
    ]

    async def ask(question: tuple[Key, str]) -> None:
        key, name = question
        try:
            found[key][name] = (await scene.eyes.providers[key.home].get(name))._replace(key=key)
        except FATAL:
            raise
        except ServiceError:
            return  # it is shown as it was recorded

    await each(asked, scene.eyes.at_once, ask)
    return found


async def _made_lately(scene: Scene, keys: Collection[Key]) -> list[Batch]:
    eyes, now = scene.eyes, scene.eyes.clock.now()
    clocks = {home: provider.clock for home, provider in eyes.providers.items()}
    batches: list[Batch] = []
    for home, there in sorted(recent(scene.lock, now, clocks).items()):
        if home in eyes.providers and not there.keys.isdisjoint(keys):
            listing = Listing(created_on_or_after=there.since)
            result = await read_pass(eyes.providers[home], listing, eyes.clock)
            if isinstance(result, Unknown):
                eyes.listen(Warned(f"{home.endpoint}: surplus batches may be missing here: {result.why}"))
            else:
                batches += renamed(result.batches.values(), aliases_of(scene.lock))
    return batches


@dataclass
class Learned:
    """What waiting has seen of recorded batches, to be written down at its end.

    Attributes:
        batches: those whose status is another than was recorded, by key.
        files: how files fared, by key and the batch's id.
    """

    batches: dict[Key, Batch] = field(default_factory=dict)
    files: dict[tuple[Key, str], FileCounts] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether there is something to write down."""
        return bool(self.batches or self.files)

    def learn(self, batch: Batch) -> None:
        """A batch has another status."""
        self.batches[batch.key] = batch

    def learn_files(self, batch: Batch, counts: FileCounts) -> None:
        """The files of a batch were read."""
        self.files[batch.key, batch.id] = counts

    def onto(self, lock: Lock) -> Lock:
        """A lockfile with it: of batches that are recorded there still, whatever else it says by now."""
        entries: dict[Key, Entry] = dict(lock.entries)
        for key, batch in self.batches.items():
            if entry := entries.get(key):
                entries[key] = with_status(entry, batch)
        for (key, name), counts in self.files.items():
            if entry := entries.get(key):
                entries[key] = with_counts(entry, name, counts)
        return replace(lock, entries=entries)


async def wait(
    outlook: Callable[[], AbstractAsyncContextManager[Scene]],
    stop: Stop,
    learned: Learned,
    *,
    random: Callable[[], float],
) -> Waited:
    """Stay until every selected batch that is desired and recorded has ended, and read how its files fared.

    Args:
        outlook: connects to the services. It is called anew after a service was given up: whoever waits for
            hours outlives an hour without a service.
        stop: ends the waiting.
        learned: told what is seen as soon as it is, so that it can be written down however this ends.
        random: uniform in [0, 1), for jitter.

    Gives a report without rows where the end came before anything was seen.

    Raises:
        ServiceError: a service does not accept the key.
    """
    while True:
        async with outlook() as scene:
            proposal = await stop.unless_over(scene.proposed())
            watch = _Watch(scene, stop, learned, proposal)
            try:
                await watch.keep(random)
            except GivenUpError as error:
                scene.eyes.listen(Waiting(str(error), AGAIN))
            else:
                return watch.waited()
        await stop.pause(AGAIN)
        if stop.over:
            return watch.waited()


class _Watch:
    """One connection's part of a wait."""

    def __init__(self, scene: Scene, stop: Stop, learned: Learned, proposal: Proposal | None) -> None:
        self._scene = scene
        self._stop = stop
        self._learned = learned
        self._proposal = proposal
        self._wanted = {want.key for want in scene.desired.batches if scene.selection.wants(want)}
        actions = proposal.plan.actions if proposal else ()
        self._awaited = {
            action.key: Awaited(action.address, self._seen(action))
            for action in actions
            if action.key in self._wanted and action.key in scene.lock.entries
        }
        for key, entry in scene.lock.entries.items():
            for item in entry.batches:
                if proposal and item.id in proposal.counts:
                    learned.files[key, item.id] = proposal.counts[item.id]
        self._gone: Mapping[Key, str] = {}
        self._tracked = proposal.plan.tracked if proposal else ()

    def _seen(self, action: Action) -> Batch:
        """The batch that stands, as the plan's observation saw it; what is new in that is learned."""
        recorded = self._scene.lock.entries[action.key].recorded
        there = self._proposal.snapshot.of(action.key) if self._proposal else ()
        seen = [item for item in there if item.id == recorded.id] if isinstance(there, tuple) else []
        batch = seen[0] if seen else self._learned.batches.get(action.key, recorded.as_batch(action.key))
        if batch.status is not recorded.status:
            self._learned.learn(batch)
        return batch

    async def keep(self, random: Callable[[], float]) -> None:
        """Stay until everything has ended, then read what became of the files."""
        tracking = asyncio.ensure_future(self._keep_tracking(random))
        try:
            await self._keep_ours(random)
            await tracking
        finally:
            tracking.cancel()
            await asyncio.gather(tracking, return_exceptions=True)

    async def _keep_tracking(self, random: Callable[[], float]) -> None:
        """Look at what is only watched, until all of it has ended, or nothing more can be learned of it.

        What is seen is not recorded here: it belongs into the audit log, and an apply or refresh writes that.
        """
        pace, blind = pauses(random), 0
        while any(map(_open, self._tracked)) and blind < MOST_BLIND and not self._stop.over:
            await self._stop.pause(next(pace))
            seen = await self._stop.unless_over(self._scene.watched())
            if seen is not None:
                self._tracked = seen
                blind = blind + 1 if any(item.happened is Happened.UNKNOWN for item in seen) else 0

    async def _keep_ours(self, random: Callable[[], float]) -> None:
        eyes, stop, learned = self._scene.eyes, self._stop, self._learned

        def learn(batch: Batch) -> None:
            learned.learn(batch)
            self._awaited[batch.key] = self._awaited[batch.key]._replace(batch=batch)

        ended = await until_terminal(eyes, stop, self._awaited.values(), random=random, learn=learn)
        self._gone = ended.gone
        unread = [item for key, item in sorted(self._awaited.items()) if not self._read(key, item.batch)]
        await read_files(eyes, stop, unread, learn=learned.learn_files)

    def _read(self, key: Key, batch: Batch) -> bool:
        """Whether it is known how its files fared."""
        recorded = self._scene.lock.entries[key].recorded
        return (key, batch.id) in self._learned.files or (
            recorded.files is not None and recorded.status is batch.status
        )

    def waited(self) -> Waited:
        """What it came to, so far."""
        stop, scene = self._stop, self._scene
        report = StatusReport(at=scene.eyes.clock.now())
        if self._proposal is not None:
            plan = self._proposal.plan
            mine = replace(
                plan,
                actions=tuple(item for item in plan.actions if item.key in self._awaited),
                tracked=self._tracked,
            )
            report = scene.report(
                replace(self._proposal, plan=mine),
                self._learned.onto(scene.lock),
                {key: item.batch for key, item in self._awaited.items()},
            )
        gone = {str(key): why for key, why in self._gone.items()}
        rows = tuple(
            replace(row, sync=Sync.UNKNOWN, why=gone[row.place]) if row.place in gone else row
            for row in report.rows
        )
        lost = [item.address for item in self._tracked if item.happened is Happened.GONE]
        return Waited(
            report=replace(report, rows=rows),
            gone=tuple(sorted((*(self._awaited[key].address for key in self._gone), *lost))),
            not_recorded=sum(1 for key in self._wanted if key not in scene.lock.entries),
            stopped=stop.signal,
            timed_out=stop.timed_out,
        )


def _open(change: TrackedChange) -> bool:
    """Whether a watched batch may still end, or may show up once it can be seen."""
    if change.happened in {Happened.GONE, Happened.NO_LONGER_TRACKED}:
        return False
    known = change.now or change.before
    return known is None or not known.status.terminal
