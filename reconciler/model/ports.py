"""The ports: what the engine needs of the outside, small enough to fake in a few lines each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
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


class Page(NamedTuple):
    """One page of a listing; ``next`` is None on the last one.

    A page may be empty and still have a next one.

    Attributes:
        asked: by the monotonic clock, when its request's turn had come; None where nobody waits for turns.
    """

    batches: Sequence[Batch]
    next: str | None
    asked: float | None = None


class Listing(NamedTuple):
    """Which batches to list. All filters are the service's own; None leaves one out."""

    directory: str | None = None
    status: Status | None = None
    created_on_or_after: datetime | None = None
    created_on_or_before: datetime | None = None


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
        create is sent if it gives "", and is `Withheld` if it gives a reason. What it raises is passed on,
        and nothing was sent.
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
    """State while its lock is held; every write is conditional on the lock being held still (C1)."""

    @property
    def lock(self) -> Lock:
        """The lockfile as it was when the lock was taken, with what the journal recovered (C9)."""
        ...

    @property
    def journal(self) -> JournalState:
        """What earlier runs left in the journal."""
        ...

    def confirm(self) -> None:
        """Make sure that the lock is still this session's own.

        Raises:
            LockLostError: it is not.
        """
        ...

    def note(self, notes: Sequence[Intent | Settled]) -> None:
        """Write notes to the journal; they are durable when this returns. One sync for all of them."""
        ...

    def commit(self, lock: Lock) -> Lock:
        """Replace the lockfile as a whole, durably, and give it back as written.

        Serial and lineage are this method's to set; nothing is written when nothing changed.
        """
        ...

    def close(self) -> None:
        """Close the journal, unless intents are open: the next run is then warm (C2)."""
        ...


class Store(Protocol):
    """Where lock, lockfile and journal live together (C1)."""

    def read(self) -> tuple[Lock, JournalState]:
        """What stands, without taking the lock.

        Raises:
            StateError: the files cannot be used.
        """
        ...

    def hold(self, timeout: float) -> AbstractContextManager[Session]:
        """Take the lock, waiting up to so many seconds.

        Raises:
            LockHeldError: somebody else held it all that time.
            StateError: the files cannot be used.
        """
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
        dirty: whether the work tree differs from it; None when there is no git.
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
