"""A small service in memory, and a project over it that is applied again and again, for the engine's tests.

The store is the real file store and the run is the real run, so journals and lockfiles are real too. What
goes wrong is scripted: per create by `Service.script`, per listing by `Service.on_list`, and the end of the
process by `World.die_at`. Nothing here shares code with the emulator.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest
from engine_pages import narrowed
from engine_time import START, Killed, Stuck, Time

from reconciler.adapters.stores.file import FileStore
from reconciler.core.select import Selection
from reconciler.engine.apply import apply
from reconciler.engine.observe import Eyes
from reconciler.engine.propose import propose
from reconciler.engine.run import Run
from reconciler.engine.stop import Stop
from reconciler.model.batch import (
    Address,
    Batch,
    Directory,
    DirectoryFile,
    FileResult,
    Home,
    JobType,
    Key,
    Status,
)
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.errors import NotFoundError
from reconciler.model.intent import Created, NotSent, Rejected, Throttled, Unanswered, Withheld
from reconciler.model.manifest import BatchSet, ById, Job, OnRemove, Rerun
from reconciler.model.ports import Page
from reconciler.model.project import Limits
from reconciler.model.source import Source
from reconciler.model.watched import FileStatus, JobOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
    from pathlib import Path

    from reconciler.adapters.stores.file import FileSession
    from reconciler.model.audit import AuditLine
    from reconciler.model.batch import Configuration
    from reconciler.model.events import Event
    from reconciler.model.intent import Intent, JournalState, SendOutcome
    from reconciler.model.lock import Lock
    from reconciler.model.plan import Plan
    from reconciler.model.ports import Listing
    from reconciler.model.result import Applied
    from reconciler.model.saved import SavedPlan

ENDPOINT = "https://service.test"
PROJECT = "prj-1"
CONFIGURATION = "cfg-1"
#: Seconds; its sixths are whole, so that virtual times add up without rounding.
SETTLE = 48.0


@dataclass(frozen=True)
class Lost:
    """The reply of a create gets lost. It takes effect so many seconds after that, or never."""

    effect: float | None = 0.0


#: What becomes of one create; None is the good end.
Fault: TypeAlias = NotSent | Rejected | Throttled | Lost | None


@dataclass
class _Row:
    batch: Batch
    exists: float
    listed: float


class Service:
    """What the port `Creator` asks for. Times are virtual; every request takes `latency` seconds."""

    endpoint = ENDPOINT

    def __init__(self, time: Time, directories: Iterable[str]) -> None:
        self.time = time
        self.there = set(directories)
        self.rows: list[_Row] = []
        self.settle = SETTLE
        self.lag = 0.0
        self.latency = 0.0
        self.page_size = 100
        self.embedded = False
        self.script: deque[Fault] = deque()
        self.fault: Callable[[Key], Fault] = lambda _: self.script.popleft() if self.script else None
        self.on_create: Callable[[Key], None] = lambda _: None
        self.on_list: Callable[[Listing, str | None, Page], Page] = lambda _, __, page: page
        self.on_get: Callable[[str], None] = lambda _: None
        self.on_results: Callable[[str], tuple[FileResult, ...] | None] = self.one_result
        self.on_job: Callable[[str], JobOutcome] = lambda _: JobOutcome(FileStatus.SUCCEEDED)
        self.on_files: Callable[[str], tuple[DirectoryFile, ...]] = self.one_file
        self.on_request: Callable[[str], None] = lambda _: None
        self.filters: Callable[[Listing, Batch], bool] = self.has
        self.order: Callable[[list[Batch]], list[Batch]] = lambda batches: batches
        self.turn: Callable[[], Awaitable[None]] = self._at_once
        self.saved: list[Configuration] = []
        self.renames: dict[str, str] = {}
        self.changed: dict[str, datetime] = {}
        self.ahead = timedelta()
        self.requests: list[str] = []
        self.sent_at: list[float] = []
        self.inside = self.most_inside = 0

    @property
    def clock(self) -> datetime | None:
        return self.time.now() + self.ahead

    def put(
        self,
        directory: str,
        configuration: str = CONFIGURATION,
        status: Status = Status.RUNNING,
        late: float = 0,
    ) -> str:
        """Somebody's batch; gives its id."""
        name = f"bat-{len(self.rows) + 1}"
        at = self.time.seconds + late
        key = Key(ENDPOINT, PROJECT, directory, JobType.PARSE_V2, configuration)
        created = START + timedelta(seconds=at)
        self.rows.append(_Row(Batch(name, key, status, created, created), at, at + self.lag))
        return name

    def set(self, name: str, status: Status) -> None:
        row = self._row(name)
        row.batch = row.batch._replace(status=status)

    def existing(self) -> list[Batch]:
        return [row.batch for row in self.rows if row.exists <= self.time.seconds]

    def count(self, verb: str) -> int:
        return sum(1 for request in self.requests if request.split(" ")[0] == verb)

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        await self._request(f"list {listing.directory or '*'}")
        batches = [row.batch for row in self.rows if row.listed <= self.time.seconds]
        batches = self.order([batch for batch in batches if self.filters(listing, batch)])
        begin = int(token or 0)
        end = begin + self.page_size
        page = Page(batches[begin:end], str(end) if end < len(batches) else None)
        page = narrowed(self.on_list(listing, token, page), listing)
        self.on_request("after list")
        return page

    def has(self, listing: Listing, batch: Batch) -> bool:
        """The filters of the service, as they are documented."""
        at, since, until = batch.created_at, listing.created_on_or_after, listing.created_on_or_before
        return (
            listing.directory in {None, batch.key.directory}
            and listing.status in {None, batch.status}
            and (since is None or (at is not None and at >= since))
            and (until is None or (at is not None and at <= until))
        )

    async def get(self, batch: str) -> Batch:
        await self._request(f"get {batch}")
        self.on_get(batch)
        row = self._row(batch)
        if row.exists > self.time.seconds:
            raise NotFoundError(f"there is no batch {batch}", status=404)
        return row.batch

    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        await self._request(f"results {batch}")
        return self.on_results(batch)

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        await self._request(f"job {name}")
        return self.on_job(name)

    def one_result(self, batch: str) -> tuple[FileResult, ...] | None:
        """A job for the one file of the batch's directory."""
        directory = self._row(batch).batch.key.directory
        return (FileResult(f"fil-{directory}", f"job-{directory}", None, "parse_v2"),)

    async def cancel(self, batch: str) -> Batch:
        await self._request(f"cancel {batch}")
        self.set(batch, Status.CANCELLED)
        return self._row(batch).batch

    async def directory(self, directory: str) -> Directory:
        await self._request(f"directory {directory}")
        if directory not in self.there:
            raise NotFoundError(f"there is no directory {directory}", status=404)
        return Directory(directory, f"name of {directory}", PROJECT)

    async def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        await self._request(f"files {directory}")
        for file in self.on_files(directory):
            yield file

    def one_file(self, directory: str) -> tuple[DirectoryFile, ...]:
        """A directory with one file."""
        return (DirectoryFile(f"fil-{directory}", "a.pdf", self.changed.get(directory)),)

    async def configuration(self, configuration: str) -> Configuration | None:
        await self._request(f"configuration {configuration}")
        return None

    async def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        await self._request(f"directories {name or '*'}")
        for directory in sorted(self.there):
            if name in {None, f"name of {directory}"}:
                yield Directory(directory, f"name of {directory}", PROJECT)

    async def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        await self._request(f"configurations {name or '*'}")
        for saved in self.saved:
            if name in {None, saved.name} and product in {None, saved.product}:
                yield saved

    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        await self.turn()
        if why := objection():
            return Withheld(why)
        fault = self.fault(key)
        self.sent_at.append(self.time.seconds)
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await self._request(f"create {key.directory}")
            self.on_create(key)
            if isinstance(fault, NotSent | Rejected | Throttled):
                return fault
            if fault is None or fault.effect is not None:
                late = fault.effect or 0.0 if fault else 0.0
                directory, configuration = (self.renames.get(name, name) for name in (key[2], key[4]))
                self.put(directory, configuration, late=late)
            made = self.rows[-1].batch if self.rows else None
            self.on_request("after create")
        finally:
            self.inside -= 1
        if fault is not None or made is None:
            return Unanswered("the reply was lost")
        return Created(made, "req-1")

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Callable[[], None] | None]:
        yield self.check if self.embedded else None

    def check(self) -> None:
        """The work goes on."""

    async def _at_once(self) -> None:
        """A create's turn comes without waiting."""

    async def _request(self, what: str) -> None:
        self.on_request(f"before {what}")
        self.requests.append(what)
        await asyncio.sleep(self.latency)

    def _row(self, name: str) -> _Row:
        for row in self.rows:
            if row.batch.id == name:
                return row
        raise NotFoundError(f"there is no batch {name}", status=404)


@dataclass
class Ledger:
    """The audit log, kept in memory."""

    lines: list[AuditLine] = field(default_factory=list)

    def append(self, line: AuditLine) -> None:
        self.lines.append(line)

    def close(self) -> str:
        return ""


def wanted(name: str, directory: str, rerun: Rerun, configuration: str) -> DesiredBatch:
    source = Source("batches/a.yaml")
    batch_set = BatchSet(
        name=name,
        provider="prod",
        job=Job(JobType.PARSE_V2, ById(configuration)),
        directories=(ById(directory),),
        source=source,
        digest=f"sha256:{name}",
        locate=lambda path, *, key=False: source,
        rerun=rerun,
        on_remove=OnRemove.KEEP,
    )
    key = Key(ENDPOINT, PROJECT, directory, JobType.PARSE_V2, configuration)
    return DesiredBatch(Address(name, directory), key, batch_set, 0)


class World:
    """A project over one service, with its state in a folder, applied again and again."""

    def __init__(self, folder: Path, directories: int = 1) -> None:
        self.folder = folder
        self.time = Time()
        self.names = [f"dir-{number:03}" for number in range(1, directories + 1)]
        self.service = Service(self.time, self.names)
        self.rerun = Rerun()
        self.also: list[DesiredBatch] = []
        self.events: list[Event] = []
        self.ledger = Ledger()
        self.stop: Stop | None = None
        self.timeout: float | None = None
        self.at_once = 8
        self.trust = True
        self.selection = Selection()
        self.max_in_flight: int | None = None
        self.wait = False
        self.saved: SavedPlan | None = None
        self.confirmed = ""
        self.runs = 0
        self.on_events: Callable[[Event], None] = self.events.append
        self.sets: dict[str, str] = {"set": "sha256:set"}

    @property
    def desired(self) -> Desired:
        batches = [wanted("set", name, self.rerun, CONFIGURATION) for name in self.names] + self.also
        return Desired(tuple(sorted(batches, key=lambda item: item[:2])), self.sets)

    @property
    def lock(self) -> Lock:
        return self._store().read()[0]

    @property
    def journal(self) -> JournalState:
        return self._store().read()[1]

    @property
    def journal_file(self) -> Path:
        return self.folder / "reconciler.lock.journal"

    def plan(self) -> Plan:
        lock, journal = self._store().read()
        return self.time.run(self._plan(lock, journal.open))  # type: ignore[no-any-return]

    def apply(self, *, approve: bool = True, limits: Limits | None = None) -> Applied:
        return self.under_lock(lambda run, _: self._apply(run, limits or Limits(), approve=approve))

    def under_lock(self, work: Callable[[Run, FileSession], Coroutine[object, object, Applied]]) -> Applied:
        """A run that does something else than to apply."""
        self.runs += 1
        self.stop = stop = Stop()
        with self._store().hold(0) as session:
            run = Run(
                id=f"run-{self.runs}",
                eyes=self._eyes(),
                session=session,
                desired=self.desired,
                audit=self.ledger,
                stop=stop,
                random=lambda: 0.5,
                lock=session.lock,
                shard=self.selection.shard,
            )

            async def bound() -> Applied:
                stop.bind(self.time, self.timeout)
                return await work(run, session)

            return self.time.run(bound())  # type: ignore[no-any-return]

    def warm(self) -> None:
        """Let a first run have closed the journal over a lockfile of its own, with nothing desired."""
        names, self.names, also, self.also = self.names, [], self.also, []
        settle, self.service.settle = self.service.settle, 0.0  # so that it is not cold for long
        self.apply()
        self.names, self.also, self.service.settle = names, also, settle
        assert self.journal.warm
        self.forget()

    def forget(self) -> None:
        """Begin to count from here."""
        self.service.requests.clear()
        self.service.sent_at.clear()
        self.events.clear()
        self.ledger.lines.clear()

    def batches_per_directory(self) -> dict[str, int]:
        counts = dict.fromkeys(self.names, 0)
        for batch in self.service.existing():
            counts[batch.key.directory] += 1
        return counts

    def die_at(self, instant: int) -> list[str]:
        """Apply, and be killed at an instant: before and after each request and each sync, counted from 0.

        Gives the names of the instants that came, the fatal one last, if it came at all.
        """
        instants: list[str] = []
        remains: dict[str, bytes] = {}
        sync = os.fsync
        dead = False

        def reach(name: str) -> None:
            nonlocal dead
            if not dead:
                instants.append(name)
                if len(instants) <= instant:
                    return
                dead = True
                remains.update((path.name, path.read_bytes()) for path in self.folder.iterdir())
            raise Killed

        def synced(descriptor: int) -> None:
            reach("before sync")
            sync(descriptor)
            reach("after sync")

        self.service.on_request, self.time.dying = reach, True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", synced)
            try:
                self.apply()
            except (Killed, Stuck):
                assert dead
        self.service.on_request, self.time.dying = lambda _: None, False
        if dead:
            for path in self.folder.iterdir():
                path.write_bytes(remains[path.name]) if path.name in remains else path.unlink()
        return instants

    def _store(self) -> FileStore:
        return FileStore(self.folder / "reconciler.lock", "reconciler.lock", "ada@desk", self.time.now())

    def _eyes(self) -> Eyes:
        providers = {Home(ENDPOINT, PROJECT): self.service}
        return Eyes(providers, self.time, self.on_events, self.at_once, self.trust)

    async def _plan(self, lock: Lock, intents: tuple[Intent, ...]) -> Plan:
        proposal = await propose(
            self._eyes(),
            desired=self.desired,
            lock=lock,
            intents=intents,
            limits=Limits(),
            selection=Selection(),
            patience=Stop(),
        )
        return proposal.plan

    async def _apply(self, run: Run, limits: Limits, *, approve: bool) -> Applied:
        return await apply(
            run,
            limits=limits,
            selection=self.selection,
            approve=lambda _: approve,
            confirmed=self.confirmed,
            saved=self.saved,
            max_in_flight=self.max_in_flight,
            wait=self.wait,
        )
