"""The state of the model between two runs, as one value: what the service has, and what the disk has.

Here is only what can be compared. What may happen to it is in `model_service` (the service, people),
`model_store` (the disk) and `model_life` (processes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.model.batch import Address, Batch, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.intent import Intent, Settled
from reconciler.model.lock import Lock
from reconciler.model.manifest import BatchSet, ById, Job
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from reconciler.model.lock import Entry

START = datetime(2026, 10, 1, tzinfo=UTC)
ENDPOINT, PROJECT = "https://service.test", "prj-1"
#: Seconds; its sixths are whole, so that virtual times add up without rounding.
SETTLE = 48.0


@dataclass(frozen=True, slots=True)
class Row:
    """A batch, and what only the model knows of it.

    Attributes:
        batch: as a listing tells it.
        sent: the work that was asked for, whatever the service calls it.
        ours: whether a create of ours made it; else a person did.
        exists: when it takes effect, in seconds since the start.
        listed: when listings begin to have it.
        looked: for ours: how many batches there were when its process last looked there.
    """

    batch: Batch
    sent: Key
    ours: bool
    exists: float
    listed: float
    looked: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """The journal's line of a run that took the lock."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The journal's line after the lockfile was replaced: what is recovered above it stands there."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The journal's only line after a run that left nothing open, and the lockfile then."""

    lockfile: Lock | None


Line = Opened | Committed | Closed | Intent | Settled


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives a process.

    Attributes:
        now: seconds since the start.
        rows: the service's batches, in the order in which they were made or sent.
        lockfile: None when there is no such file.
        journal: its whole lines; None when there is no such file.
        broken: the assumptions of the promise that the history has broken so far.
        told: the ids that findings named so far.
        people: what people have done; each does a thing once.
    """

    now: float = 0.0
    rows: tuple[Row, ...] = ()
    lockfile: Lock | None = None
    journal: tuple[Line, ...] | None = None
    broken: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()

    @property
    def pending(self) -> bool:
        """Whether something will still take effect or be listed by itself."""
        return any(row.listed > self.now for row in self.rows)

    def key(self) -> Hashable:
        """Equal for states from which the same can happen; ``broken`` is left out.

        Times of the past do not count but for their order, and times to come count from now: without
        `rerun.after` and `maxAge` no decision compares a time with anything but another batch's, and a
        history stays within the hour of C10's look back. Intents are told apart by their place, since their
        names are drawn. Serial and lineage decide nothing here.
        """
        order = sorted(range(len(self.rows)), key=lambda n: self.rows[n].exists)
        rows = tuple(
            (row.batch.id, row.batch.key, row.batch.status, row.sent, row.ours, self._left(row))
            for row in self.rows
        )
        journal = None if self.journal is None else _journal(self.journal)
        return rows, tuple(order), _lock(self.lockfile), journal, self.told, self.people

    def _left(self, row: Row) -> tuple[float, float]:
        """How long it is until it takes effect, and until it is listed."""
        return max(0.0, row.exists - self.now), max(0.0, row.listed - self.now)


def _lock(lock: Lock | None) -> Hashable:
    if lock is None:
        return None
    entries = tuple(_entry(entry) for _, entry in sorted(lock.entries.items()))
    return entries, tuple(lock.sets.items()), tuple(lock.projects.items())


def _entry(entry: Entry) -> Hashable:
    batches = tuple((item.id, item.status, item.origin, item.alias, item.evidence) for item in entry.batches)
    return entry.key, entry.address, entry.current, entry.on_remove, batches


def read(lines: Iterable[Line]) -> tuple[tuple[Intent, ...], tuple[Entry, ...]]:
    """What the lines amount to: open intents, and entries that the lockfile may lack."""
    intents: dict[str, Intent] = {}
    recovered: list[Entry] = []
    for line in lines:
        match line:
            case Intent():
                intents[line.id] = line
            case Settled(intent, _, _, entry):
                intents.pop(intent, None)
                recovered += [entry] if entry else []
            case Committed():
                recovered = []
            case Closed():
                intents, recovered = {}, []
            case Opened():
                pass
    return tuple(intents.values()), tuple(recovered)


def _journal(lines: tuple[Line, ...]) -> Hashable:
    """What a run reads in it, which is all that the next run knows of it."""
    intents, recovered = read(lines)
    closed = lines[-1] if lines else None
    return (
        tuple((intent.key, intent.address, intent.known, intent.evidence) for intent in intents),
        tuple(_entry(entry) for entry in recovered),
        ("closed", _lock(closed.lockfile)) if isinstance(closed, Closed) else None,
    )


def work(directory: str, configuration: str = "cfg-1") -> Key:
    return Key(ENDPOINT, PROJECT, directory, JobType.PARSE_V2, configuration)


def batch(name: str, key: Key, at: float, status: Status = Status.RUNNING) -> Batch:
    created = START + timedelta(seconds=at)
    return Batch(name, key, status, created, created)


def desired(keys: Iterable[Key]) -> Desired:
    """A set per configuration, as R12 wants it for two keys over one directory."""
    wanted = []
    for key in keys:
        name = key.configuration.replace("cfg", "set")
        source = Source("batches/a.yaml")
        batch_set = BatchSet(
            name=name,
            provider="prod",
            job=Job(key.job, ById(key.configuration)),
            directories=(ById(key.directory),),
            source=source,
            digest=name,
            locate=lambda _, *, key=False: source,  # noqa: B023 - one place for all
        )
        wanted.append(DesiredBatch(Address(name, key.directory), key, batch_set, 0))
    wanted.sort(key=lambda item: item[:2])
    return Desired(tuple(wanted), {want.set.name: want.set.digest for want in wanted})


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where histories begin.

    Attributes:
        warm: an earlier run's create was refused, and it closed its journal; else nothing is there (C2).
    """

    name: str
    keys: tuple[Key, ...]
    warm: bool

    @property
    def start(self) -> State:
        if not self.warm:
            return State()
        lockfile = Lock(lineage="model", sets=desired(self.keys).sets)
        return State(lockfile=lockfile, journal=(Closed(lockfile),))


def made_twice(state: State) -> dict[str, Row]:
    """Our batches that exist although the same work was there before, by id; with that work.

    A person's batch that a person cancelled is none. One of ours that was cancelled still is: R6.
    """
    twice: dict[str, Row] = {}
    there = sorted(
        (row for row in state.rows if row.exists <= state.now),
        key=lambda row: (row.exists, state.rows.index(row)),
    )
    for number, row in enumerate(there):
        for before in there[:number]:
            same = before.sent == row.sent and (before.ours or before.batch.status is not Status.CANCELLED)
            if row.ours and same:
                twice.setdefault(row.batch.id, before)
    return twice


def with_status(row: Row, status: Status) -> Row:
    return replace(row, batch=row.batch._replace(status=status))
