"""The ports: what the engine needs of the outside, small enough to fake in a few lines each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from datetime import datetime

    from reconciler.model.audit import AuditLine
    from reconciler.model.batch import (
        Batch,
        Configuration,
        Directory,
        DirectoryFile,
        FileResult,
        JobType,
        Key,
        Status,
    )
    from reconciler.model.intent import Intent, JournalState, SendOutcome, Settled
    from reconciler.model.joint import Claim, Task
    from reconciler.model.lock import Lock
    from reconciler.model.watched import FileOutcome, JobOutcome, Watched


class Clock(Protocol):
    """Time, as an argument, so that no test waits for it."""

    def now(self) -> datetime:
        """The wall clock, in UTC. It may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow, for settle times and ages within a run (C5)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds go by."""
        ...


class Patience(Protocol):
    """How long anybody waits for anything: until the run is to end (C8)."""

    @property
    def over(self) -> bool:
        """Whether the run is to end, so that waiting for more has no point."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let so many seconds go by, or fewer when the run is to end meanwhile."""
        ...


class Rows(NamedTuple):
    """Rows of a listing, in its order: whose they are and when they were created, and no more of them."""

    ids: Sequence[str]
    times: Sequence[datetime | None]


class Page(NamedTuple):
    """One page of a listing; ``next`` is None on the last one.

    A page may be empty and still have a next one.

    Attributes:
        batches: those that matter, in the order of the listing.
        asked: by the monotonic clock, when its request's turn had come; None where nobody waits for turns.
        rows: all that the page listed, where that is more than the batches.
    """

    batches: Sequence[Batch]
    next: str | None
    asked: float | None = None
    rows: Rows | None = None

    @property
    def listed(self) -> Rows:
        """All that the page listed."""
        if self.rows is not None:
            return self.rows
        return Rows([batch.id for batch in self.batches], [batch.created_at for batch in self.batches])


class Listing(NamedTuple):
    """Which batches to list. All filters are the service's own; None leaves one out.

    Attributes:
        about: no filter: the directories whose batches matter, or None for all. A page may tell of other
            rows no more than `Rows` do.
    """

    directory: str | None = None
    status: Status | None = None
    created_on_or_after: datetime | None = None
    created_on_or_before: datetime | None = None
    about: frozenset[str] | None = None


class Provider(Protocol):
    """A service that batches can be observed on.

    Every method may raise a `ServiceError`; reads are retried before they do (O6).
    """

    @property
    def endpoint(self) -> str:
        """Which service this is, as keys name it."""
        ...

    @property
    def settle(self) -> float:
        """Settle time in seconds."""
        ...

    @property
    def clock(self) -> datetime | None:
        """The service's own time as its last reply gave it, moved on to now; None before a reply."""
        ...

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        """One page of the live batches; ``token`` is the ``next`` of the page before."""
        ...

    async def get(self, batch: str) -> Batch:
        """One batch by its id.

        Raises:
            NotFoundError: the service does not know it.
        """
        ...

    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        """What the batch did per file, or None while the service does not say."""
        ...

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        """What became of the job of one file; a status that nobody knows is no failure.

        Raises:
            NotFoundError: the service does not know the job.
        """
        ...

    async def cancel(self, batch: str) -> Batch:
        """Ask for a batch to be cancelled; the reply need not be CANCELLED yet."""
        ...

    async def directory(self, directory: str) -> Directory:
        """One directory by its id.

        Raises:
            NotFoundError: the service does not know it.
        """
        ...

    def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        """The files of a directory, page after page as they are taken."""
        ...

    async def configuration(self, configuration: str) -> Configuration | None:
        """One saved configuration by its id, or None when none is saved under it."""
        ...

    def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        """The project's directories that are not deleted; with ``name``, those called exactly so."""
        ...

    def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        """The project's saved configurations, with exactly this name and product where given."""
        ...


class Creator(Provider, Protocol):
    """A provider that can create. Those that cannot do not have the method (R16)."""

    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        """Send one create, once. Never raises a `ServiceError`: what became of it is the value (C4).

        A request may have to wait for its turn. Right before the first byte ``objection`` is asked: the
        create is sent if it gives "", and is `Withheld` if it gives a reason. It may be asked again for as
        long as what was sent cannot be carried out. What it raises is passed on, and nothing was sent.
        """
        ...

    def working(self) -> AbstractAsyncContextManager[Callable[[], None] | None]:
        """Within this context, whatever the provider itself has to do for its batches is being done.

        Gives None for a service that works by itself. For the embedded service, whose batches go on only
        while somebody is there, so that an apply stays until they are terminal, a check: it raises a
        `ReconcilerError` once the work has ended before its time.
        """
        ...


class Watcher(Protocol):
    """A service whose batches can be watched, whoever makes them (R16): it has no way to create.

    Every method may raise a `ServiceError`; reads are retried before they do (O6).
    """

    @property
    def endpoint(self) -> str:
        """Which service this is."""
        ...

    async def watched(self, batch: str) -> Watched:
        """One batch by its id.

        Raises:
            NotFoundError: the service does not know it.
        """
        ...

    def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        """Every batch created at or after ``since``, or in one of these statuses, in the service's own words.

        A listing that cannot be read to its end raises, so that what is missing is never taken for gone (R7).
        """
        ...

    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:
        """What became of each file or item, sorted by id, or None while the service does not say.

        Args:
            batch: its id.
            deep: ask also what only more requests tell, such as each file's job.
        """
        ...

    async def refresh(self, batch: str) -> Watched:
        """Ask the service to look after the batch now, where it can, and give what it then says."""
        ...


class Session(Protocol):
    """State while its lock is held, as a run sees it; every write is conditional on the lock's epoch (C1).

    Whoever takes the lock next begins a new epoch, and from then on nothing of this session's is written.
    How long it takes until somebody can is the store's to say; each method may raise a `LockLostError`.
    """

    @property
    def lock(self) -> Lock:
        """The lockfile as it was when the lock was taken, with what the journal recovered (C9)."""
        ...

    @property
    def journal(self) -> JournalState:
        """What earlier runs left in the journal."""
        ...

    def confirm(self) -> None:
        """Make sure that the lock is still this session's own: the last act before a send.

        Raises:
            LockLostError: it is not.
        """
        ...

    def note(self, notes: Sequence[Intent | Settled]) -> None:
        """Write notes to the journal; they are durable when this returns. One sync for all of them.

        All of them are written or none. It may be called in a thread of its own.

        Raises:
            StateError: a key has an open intent already; nothing of these is written.
        """
        ...

    def commit(self, lock: Lock) -> Lock:
        """Replace the lockfile as a whole, durably, and give it back as written.

        Serial and lineage are this method's to set; nothing is written when nothing changed. What the journal
        had recovered is in the lockfile from then on, and comes back no more.
        """
        ...

    def close(self) -> None:
        """Close the journal, unless intents are open: the next run is then warm (C2)."""
        ...


class Tenure(Session, Protocol):
    """A session as its store's keeper sees it: whatever needs the lock and is no run's business."""

    @property
    def idle(self) -> bool:
        """Whether nothing was written yet. The next run is then as warm as this one was (C2)."""
        ...

    def take_over(self, lock: Lock, journal: JournalState) -> None:
        """Stand in for another store: from then on this state is exactly that one, serial and lineage too.

        What stood here is kept as a backup. It must not have open intents that the other does not have, nor
        anything recovered.
        """
        ...

    def keep(self, name: str, content: bytes) -> None:
        """Keep a run's audit file, where the store keeps those. It is durable with the next commit."""
        ...


@runtime_checkable
class Beside(Protocol):
    """What a session also is where its store lets others work beside it."""

    def turn_book(self) -> TurnBook | None:
        """Where they all book their requests' turns; None while nobody can be beside this one."""
        ...


class Opening(Tenure, Protocol):
    """A session of who is alone with the state, and opens a plan for others to carry out with it."""

    def offer(self, plan: str, work: Iterable[Sequence[Task]]) -> None:
        """Write down what is to be created, per directory, in place of what was offered before."""
        ...


class Joint(Tenure, Protocol):
    """A session of one of the workers that carry out one plan together; each has its own open creates (C1).

    What one has claimed nobody else has, until its session is over.
    """

    def inherited(self) -> Sequence[Claim]:
        """What whoever sat here before had claimed, and left. What it had open is in the journal."""
        ...

    def claim(self, most: int, done: Sequence[int]) -> Sequence[Claim]:
        """Have at most so many more claims to itself, and be rid of those that are done."""
        ...

    def take_over_abandoned(self) -> tuple[JournalState, Sequence[Claim]]:
        """Have what workers that are gone had open, what they had recorded, and what they had claimed."""
        ...

    def left(self) -> int:
        """How many claims are not done, whoever has them."""
        ...

    def leave(self, done: Sequence[int]) -> None:
        """Give back what was claimed and is not done."""
        ...


class Store(Protocol):
    """Where lock, lockfile and journal live together (C1)."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        ...

    def read(self) -> tuple[Lock, JournalState]:
        """What stands, without taking the lock, as of one instant. Nothing is written, wherever that is.

        Raises:
            StateError: it cannot be used.
        """
        ...

    def read_lockfile(self) -> bytes:
        """The lockfile's text as it was committed, without what the journal recovered; empty before that.

        Raises:
            StateError: it cannot be used.
        """
        ...

    def audit(self) -> Mapping[str, bytes]:
        """The audit files that are kept here, by name; none where they are in the project's folder.

        Raises:
            StateError: it cannot be used.
        """
        ...

    def hold(self, timeout: float) -> AbstractContextManager[Tenure]:
        """Take the lock, waiting up to so many seconds.

        Raises:
            LockHeldError: somebody else held it all that time; the message says who and since when.
            StateError: it cannot be used.
        """
        ...


class TurnBook(Protocol):
    """Where workers beside each other book when their requests may go. It may be called in any thread."""

    def book(self, service: str, turns: int, rate: float | None) -> tuple[float, float]:
        """Have so many turns, at so many a second, that nobody else has.

        Gives in how many seconds the first of them is, and for how many seconds the service is to be left
        alone. Without a rate there are no turns to be had, and only the latter counts.

        Raises:
            StateError: it cannot be used.
        """
        ...

    def close(self, service: str, seconds: float) -> None:
        """Have everybody leave a service alone for so long."""
        ...


class AuditLog(Protocol):
    """One run's audit file, chained to what was there before it."""

    def append(self, line: AuditLine) -> None:
        """Write one line."""
        ...

    def close(self) -> str:
        """Make the file durable and give its head; "" when the run wrote nothing."""
        ...


class Environment(NamedTuple):
    """Who runs this, where and on what, for the audit log.

    Attributes:
        actor: a person or a machine, and where that name comes from.
        run: the CI run's address, or "".
        commit: the git commit, or "".
        dirty: whether what runs differs from it, by the files of the project's folder that decide or that git
            tracks, but for those that this tool writes; None when there is no git.
        approver: who approved what this run is to do, or "".
        approver_source: where that name comes from; ``unknown`` without one.
    """

    actor: str
    actor_source: str
    run: str
    commit: str
    dirty: bool | None
    approver: str = ""
    approver_source: str = "unknown"
