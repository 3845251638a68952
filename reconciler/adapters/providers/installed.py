"""What an installed package brought, held to what the engine relies on.

The package's code is not ours, and a batch costs money: whatever it raises that the port does not speak of
becomes an error of our tree, and for a create an outcome that is not known (C4), never a traceback between an
intent and its end. Secrets are taken out of what it says. What it does beyond that is `reconciler.testing`'s.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from reconciler.adapters.providers.wording import one_line
from reconciler.model.errors import ReconcilerError, ServiceError, SettingsError, UnexpectedReplyError
from reconciler.model.events import Warned
from reconciler.model.intent import Created, NotSent, Rejected, Throttled, Unanswered, Withheld
from reconciler.model.kind import CreatingKind, Link, WatchedKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from reconciler.model.batch import (
        Batch,
        Configuration,
        Directory,
        DirectoryFile,
        FileResult,
        JobType,
        Key,
    )
    from reconciler.model.intent import SendOutcome
    from reconciler.model.kind import Block, Kind, Means
    from reconciler.model.ports import Creator, Listing, Page, Rows, Watcher
    from reconciler.model.project import ForeignProvider
    from reconciler.model.watched import FileOutcome, JobOutcome, Watched

T = TypeVar("T")

_OUTCOMES = (Created, NotSent, Rejected, Throttled, Unanswered, Withheld)
_LONGEST_ENDPOINT = 1024


def foreign(spec: ForeignProvider) -> Kind:
    """The kind of a block whose type comes with a package; it can do what the package's can (R16)."""
    kind = spec.installed.kind
    if not isinstance(kind, CreatingKind):
        return _Watched(spec)
    return _Both(spec) if isinstance(kind, WatchedKind) else _Creating(spec)


class _Foreign:
    """What creating and watching have in common."""

    def __init__(self, spec: ForeignProvider) -> None:
        self._spec = spec

    def endpoint(self, block: Block) -> str:
        """The package's word for where the block leads, which has to begin with the type.

        So no two kinds can claim one endpoint, in this project or in what is recorded of another.

        Raises:
            SettingsError: the package has none, or one that cannot be used.
        """
        spec = self._spec
        try:
            found = spec.installed.kind.endpoint(block)
        except ReconcilerError:
            raise
        except Exception as error:  # noqa: BLE001 - of a package that is not ours
            raise self._defect(block, "failed to say where its block leads", type(error).__name__) from None
        start = f"{spec.type}:"
        if not _is(found, str) or not found.startswith(start) or not found.isprintable():
            raise self._defect(
                block,
                f"gives {found!r:.100} as its endpoint",
                f"it has to be one line that begins with {start!r}",
            )
        if len(found) > _LONGEST_ENDPOINT:
            raise self._defect(block, f"gives an endpoint of {len(found):,} characters", "1,024 are allowed")
        return found

    @asynccontextmanager
    async def _entered(
        self, connect: Callable[[], AbstractAsyncContextManager[T]], block: Block, means: Means
    ) -> AsyncIterator[T]:
        stack = AsyncExitStack()
        try:
            made = await stack.enter_async_context(connect())
        except ReconcilerError as error:
            raise _redacted(error, means.redact) from None  # what it was raised from may hold a secret
        except Exception as error:  # noqa: BLE001 - of a package that is not ours
            raise self._defect(block, "failed to connect", means.redact(_named(error))) from None
        try:
            yield made
        finally:
            try:
                await stack.aclose()
            except Exception as error:  # noqa: BLE001 - as above, and all that was done is recorded
                who = f"provider {block.name}: {self._spec.installed.package}"
                means.listen(Warned(f"{who} failed to disconnect: {means.redact(_named(error))}"))

    def _hold_to(self, block: Block, endpoint: str, its: object) -> None:
        if its != endpoint:
            raise self._defect(
                block,
                f"is connected to {its!r:.100} and not to {endpoint!r:.100}",
                "keys carry the endpoint, so it has to be the same before and after",
            )

    def _defect(self, block: Block, what: str, why: str) -> SettingsError:
        return SettingsError(
            f"provider {self._spec.name}: {self._spec.installed.package} {what}",
            where=block.where,
            why=why,
            next="Another version of the package may help; it is not reconciler's own",
        )


class _Creating(_Foreign):
    @asynccontextmanager
    async def creator(self, block: Block, means: Means) -> AsyncIterator[Link]:
        """Connect, and hold what the connection does to the port.

        Raises:
            SettingsError: the package could not connect, or gave what cannot be used.
            ServiceError: the service had to be asked, and did not answer.
        """
        kind, endpoint = self._spec.installed.kind, self.endpoint(block)
        assert isinstance(kind, CreatingKind), "validation lets no set use another"
        async with self._entered(lambda: kind.creator(block, means), block, means) as link:
            if not _is(link, Link):
                raise self._defect(block, f"connected with a {type(link).__name__}", "a Link is needed")
            if not _is(link.project, str) or not link.project.isprintable() or not link.project:
                raise self._defect(
                    block, f"gives {link.project!r:.100} as the project", "a line of text is needed"
                )
            self._hold_to(block, endpoint, getattr(link.creator, "endpoint", None))
            settle: object = getattr(link.creator, "settle", None)
            if not isinstance(settle, (int, float)) or not 0 <= settle < math.inf:
                raise self._defect(block, f"gives {settle!r:.100} as the settle time", "seconds are needed")
            yield Link(link.project, _HeldCreator(link.creator, self._spec, means.redact))


class _Watched(_Foreign):
    @asynccontextmanager
    async def watcher(self, block: Block, means: Means) -> AsyncIterator[Watcher]:
        """Connect, and hold what the connection does to the port; for errors see `creator`."""
        kind, endpoint = self._spec.installed.kind, self.endpoint(block)
        assert isinstance(kind, WatchedKind), "validation lets no TrackedBatch use another"
        async with self._entered(lambda: kind.watcher(block, means), block, means) as watcher:
            self._hold_to(block, endpoint, getattr(watcher, "endpoint", None))
            yield _HeldWatcher(watcher, self._spec, means.redact)


class _Both(_Creating, _Watched):
    pass


class _Held:
    """What both ports have in common."""

    def __init__(self, spec: ForeignProvider, endpoint: str, redact: Callable[[str], str]) -> None:
        self._package = spec.installed.package
        self._endpoint = endpoint
        self._redact = redact

    @property
    def endpoint(self) -> str:
        """As it was when the connection was made."""
        return self._endpoint

    def _error(self, error: Exception) -> ReconcilerError:
        if isinstance(error, ReconcilerError):
            return _redacted(error, self._redact)
        return UnexpectedReplyError(
            f"{self._package} failed", where=self._endpoint, why=self._redact(_named(error))
        )

    async def _asked(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - of a package that is not ours
            raise self._error(error) from None

    async def _taken(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        try:
            async for item in items:
                yield item
        except Exception as error:  # noqa: BLE001 - of a package that is not ours
            raise self._error(error) from None


class _HeldCreator(_Held):
    def __init__(self, creator: Creator, spec: ForeignProvider, redact: Callable[[str], str]) -> None:
        super().__init__(spec, creator.endpoint, redact)
        self._creator = creator
        self._settle = creator.settle

    @property
    def settle(self) -> float:
        return self._settle

    @property
    def clock(self) -> datetime | None:
        return self._creator.clock

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        page = await self._asked(self._creator.list_page(listing, token))
        for batch in page.batches:
            self._hold(batch)
        if page.rows is not None:
            self._hold_rows(page, page.rows)
        return page

    async def get(self, batch: str) -> Batch:
        return self._hold(await self._asked(self._creator.get(batch)))

    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        return await self._asked(self._creator.results(batch))

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        return await self._asked(self._creator.job_outcome(job, name))

    async def cancel(self, batch: str) -> Batch:
        return self._hold(await self._asked(self._creator.cancel(batch)))

    async def directory(self, directory: str) -> Directory:
        return await self._asked(self._creator.directory(directory))

    def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        return self._taken(self._creator.files(directory))

    async def configuration(self, configuration: str) -> Configuration | None:
        return await self._asked(self._creator.configuration(configuration))

    def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        return self._taken(self._creator.directories(name))

    def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        return self._taken(self._creator.configurations(name, product))

    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        """C4: an outcome whatever happens, but for what the objection itself raises."""
        refused: list[BaseException] = []

        def heard() -> str:
            try:
                return objection()
            except BaseException as error:
                refused.append(error)
                raise

        try:
            outcome = await self._creator.create(key, webhooks, objection=heard)
        except Exception as error:  # noqa: BLE001 - bytes may have gone, and nothing may hide that
            if refused:
                raise refused[0] from None
            return Unanswered(str(self._error(error)))
        if not _is(outcome, *_OUTCOMES):
            return Unanswered(f"{self._package} gave a {type(outcome).__name__} as the outcome of a create")
        return outcome

    def working(self) -> AbstractAsyncContextManager[Callable[[], None] | None]:
        return self._creator.working()

    def _hold(self, batch: Batch) -> Batch:
        """A batch that says it is of another service would be nobody's, and its work be created again."""
        if batch.key.endpoint != self._endpoint:
            raise UnexpectedReplyError(
                f"{self._package} gave a batch of {batch.key.endpoint!r:.100}", where=self._endpoint
            )
        return batch

    def _hold_rows(self, page: Page, rows: Rows) -> None:
        """Rows tell whether a listing is whole (O5): those that lack what the page has tell nothing."""
        ids = {batch.id for batch in page.batches}
        if len(rows.ids) != len(rows.times) or not ids.issubset(rows.ids):
            raise UnexpectedReplyError(
                f"{self._package} gave a page whose rows lack some of its batches, or a time for each",
                where=self._endpoint,
            )


class _HeldWatcher(_Held):
    def __init__(self, watcher: Watcher, spec: ForeignProvider, redact: Callable[[str], str]) -> None:
        super().__init__(spec, watcher.endpoint, redact)
        self._watcher = watcher

    async def watched(self, batch: str) -> Watched:
        return await self._asked(self._watcher.watched(batch))

    def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        return self._taken(self._watcher.watch(since, statuses))

    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:
        return await self._asked(self._watcher.outcomes(batch, deep=deep))

    async def refresh(self, batch: str) -> Watched:
        return await self._asked(self._watcher.refresh(batch))


def _is(value: object, *types: type) -> bool:
    """Whether a value is of a type, where the type checker believes so and the package need not have."""
    return isinstance(value, types)


def _redacted(error: ReconcilerError, redact: Callable[[str], str]) -> ReconcilerError:
    """The same error without secrets; it keeps its class, by which the engine decides."""
    error.what, error.why = redact(error.what), redact(error.why)
    error.where, error.next = redact(error.where), redact(error.next)
    error.args = (error.what,)
    if isinstance(error, ServiceError):
        error.request_id = redact(error.request_id)
    return error


def _named(error: BaseException) -> str:
    said = one_line(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
