"""A service on a shelf in memory, with a provider that keeps the contract: broken ones derive from it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.provider import (
    Batch,
    Configuration,
    Created,
    Directory,
    DirectoryFile,
    FileCounts,
    FileOutcome,
    FileResult,
    FileStatus,
    InvalidRequestError,
    JobOutcome,
    JobType,
    Key,
    Listing,
    NotFoundError,
    NotSent,
    Page,
    Rejected,
    Status,
    Throttled,
    Unanswered,
    UnavailableError,
    Watched,
    WatchedId,
    Withheld,
)
from reconciler.testing import ProviderStand, Trouble, WatcherStand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from reconciler.provider import SendOutcome

SECRET = "shelf-key-never-shown"
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


@dataclass
class Shelf:
    """The service: what it has, what reached it, and what its next request meets."""

    batches: dict[str, Batch] = field(default_factory=dict)
    requests: int = 0
    creates: int = 0
    trouble: Trouble | None = None

    def arrive(self) -> Trouble | None:
        """A request is on its way; gives what it meets."""
        self.requests += 1
        trouble, self.trouble = self.trouble, None
        return trouble

    def make(self, key: Key) -> Batch:
        number = len(self.batches) + 1
        at = NOON + timedelta(minutes=number)
        made = Batch(f"bat-{number}", key, Status.RUNNING, at, at)
        self.batches[made.id] = made
        return made


class ShelfProvider:
    """Keeps the contract. It asks for one page of two batches at a time."""

    endpoint = "shelf:one"
    project = "prj-shelf"
    settle = 0.0

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def __repr__(self) -> str:
        return "ShelfProvider"

    @property
    def clock(self) -> datetime | None:
        return NOON

    def read(self) -> None:
        """One read, tried again when that may help."""
        for _ in range(3):
            match self.shelf.arrive():
                case None:
                    return
                case Trouble.REFUSED:
                    raise InvalidRequestError("the shelf refuses", why=self.words(f"the key is {SECRET}"))
                case _:
                    continue
        raise UnavailableError("the shelf does not answer")

    def words(self, text: str) -> str:
        return text.replace(SECRET, "[secret]")

    def fits(self, batch: Batch, listing: Listing) -> bool:
        at = batch.created_at
        assert at is not None
        return (
            listing.directory in {None, batch.key.directory}
            and listing.status in {None, batch.status}
            and (listing.created_on_or_after is None or at >= listing.created_on_or_after)
            and (listing.created_on_or_before is None or at <= listing.created_on_or_before)
        )

    def following(self, start: int, found: Sequence[Batch]) -> str | None:
        return str(start + 2) if start + 2 < len(found) else None

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        self.read()
        found = [batch for batch in self.shelf.batches.values() if self.fits(batch, listing)]
        start = int(token or 0)
        return Page(tuple(found[start : start + 2]), self.following(start, found))

    async def get(self, batch: str) -> Batch:
        self.read()
        return self.known(batch)

    def known(self, batch: str) -> Batch:
        if batch not in self.shelf.batches:
            raise NotFoundError(f"{batch} is not on the shelf")
        return self.shelf.batches[batch]

    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        found = await self.get(batch)
        if not found.status.terminal:
            return None
        return tuple(FileResult(name, f"job-{name}", None) for name in _names(found.key.directory))

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        self.read()
        return JobOutcome(FileStatus.SUCCEEDED)

    async def cancel(self, batch: str) -> Batch:
        self.read()
        found = self.known(batch)
        if not found.status.terminal:
            found = self.shelf.batches[batch] = found._replace(status=Status.CANCELLED)
        return found

    async def directory(self, directory: str) -> Directory:
        self.read()
        if directory not in _DIRECTORIES:
            raise NotFoundError(f"{directory} is not on the shelf")
        return Directory(directory, directory.removeprefix("dir-"), self.project)

    async def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        await self.directory(directory)
        for name in _names(directory):
            yield DirectoryFile(name, name, NOON)

    async def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        for directory in _DIRECTORIES:
            found = await self.directory(directory)
            if name in {None, found.name}:
                yield found

    async def configuration(self, configuration: str) -> Configuration | None:
        self.read()
        return _SAVED.get(configuration)

    async def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        self.read()
        for saved in _SAVED.values():
            if name in {None, saved.name} and product in {None, saved.product}:
                yield saved

    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        if why := objection():
            return Withheld(why)
        self.shelf.creates += 1
        return self.outcome(self.shelf.arrive(), key)

    def outcome(self, trouble: Trouble | None, key: Key) -> SendOutcome:
        match trouble:
            case None:
                return Created(self.shelf.make(key))
            case Trouble.REFUSED:
                return Rejected(422, self.words(f"the key is {SECRET}"), final=False)
            case Trouble.THROTTLED:
                return Throttled(1.0, "too many")
            case Trouble.UNREACHABLE:
                return NotSent("there is no way")
            case Trouble.UNANSWERED:
                self.shelf.make(key)
                return Unanswered("no reply")
            case Trouble.BROKEN:
                return Unanswered("the shelf broke")

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Callable[[], None] | None]:
        yield None


class ShelfWatcher:
    """Keeps the contract of those who only look."""

    endpoint = "shelf:one"

    def __init__(self, shelf: Shelf) -> None:
        self.provider = ShelfProvider(shelf)
        self.shelf = shelf

    def __repr__(self) -> str:
        return "ShelfWatcher"

    def seen(self, batch: Batch) -> Watched:
        return Watched(
            id=WatchedId(self.endpoint, batch.id),
            status=batch.status,
            word=batch.status.value.lower(),
            created_at=batch.created_at,
            updated_at=batch.updated_at,
            counts=FileCounts(2, 1),
        )

    async def watched(self, batch: str) -> Watched:
        return self.seen(await self.provider.get(batch))

    async def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        self.provider.read()
        for batch in self.shelf.batches.values():
            item = self.seen(batch)
            assert item.created_at is not None
            if (since is None or item.created_at >= since) and (not statuses or item.word in statuses):
                yield item

    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:
        await self.watched(batch)
        return tuple(FileOutcome(file=name, status=FileStatus.FAILED) for name in _names("dir-one"))

    async def refresh(self, batch: str) -> Watched:
        return await self.watched(batch)


class ShelfStand(ProviderStand):
    """A shelf with a provider of some class."""

    secrets = (SECRET,)

    def __init__(self, provider: type[ShelfProvider]) -> None:
        self.shelf = Shelf()
        self.provider = provider

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[ShelfProvider]:
        yield self.provider(self.shelf)

    def works(self) -> list[Key]:
        place = (ShelfProvider.endpoint, ShelfProvider.project)
        return [Key(*place, name, JobType.PARSE_V2, "cfg-1") for name in _DIRECTORIES]

    async def files(self, directory: str) -> tuple[str, ...]:
        return _names(directory)

    def creates(self) -> int:
        return self.shelf.creates

    def requests(self) -> int:
        return self.shelf.requests

    def disturb(self, trouble: Trouble) -> bool:
        self.shelf.trouble = trouble
        return True

    async def finish(self, batch: str) -> bool:
        self.shelf.batches[batch] = self.shelf.batches[batch]._replace(status=Status.COMPLETED)
        return True


class ShelfWatcherStand(WatcherStand):
    """A shelf with three batches, of which one has ended, and a watcher of some class."""

    secrets = (SECRET,)

    def __init__(self, watcher: type[ShelfWatcher]) -> None:
        self.shelf = Shelf()
        self.watcher = watcher
        for key in ShelfStand(ShelfProvider).works():
            self.shelf.make(key)
        self.shelf.batches["bat-1"] = self.shelf.batches["bat-1"]._replace(status=Status.FAILED)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[ShelfWatcher]:
        yield self.watcher(self.shelf)

    def batches(self) -> list[str]:
        return list(self.shelf.batches)

    def disturb(self, trouble: Trouble) -> bool:
        self.shelf.trouble = trouble
        return True


_DIRECTORIES = ("dir-one", "dir-two", "dir-three")
_SAVED = {
    f"cfg-{number}": Configuration(f"cfg-{number}", name, product, "1", NOON)
    for number, (name, product) in enumerate(
        [("fields", "parse_v2"), ("fields", "extract_v2"), ("other", "parse_v2")], 1
    )
}


def _names(directory: str) -> tuple[str, ...]:
    return (f"{directory}/a", f"{directory}/b")
