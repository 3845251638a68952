"""A kind of provider that keeps its batches in a JSON file: the smallest that the whole port fits around.

A source directory is a folder, and archiving it writes down which files it had. Nothing is slow here and
nothing is lost on the way; where a service over a network would do more, a comment says what.
"""

from __future__ import annotations

import json
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.provider import (
    Batch,
    Configuration,
    Created,
    Directory,
    DirectoryFile,
    FileResult,
    FileStatus,
    JobOutcome,
    JobType,
    Key,
    Link,
    NotFoundError,
    NotSent,
    Page,
    Status,
    Unanswered,
    UnavailableError,
    Withheld,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from reconciler.provider import Block, Listing, Means, SendOutcome

_PROJECT = "archive"
_PAGE = 100


class Archive:
    """The kind: what the entry point names."""

    schema = {  # noqa: RUF012 - a schema is written as JSON Schema is
        "properties": {
            "root": {"type": "string", "minLength": 1, "description": "The folder of source directories."},
            "path": {"type": "string", "minLength": 1, "description": "The file that batches are kept in."},
        },
        "required": ["root", "path"],
    }

    def endpoint(self, block: Block) -> str:
        """Which archive: every key carries it, so it says no more than it has to."""
        return f"archive:{block.options['path']}"

    @asynccontextmanager
    async def creator(self, block: Block, means: Means) -> AsyncIterator[Link]:
        """Open it. A service would be connected to here, with `block.secret("apiKey")`."""
        folder = Path(block.folder)
        root, path = folder / block.options["root"], folder / block.options["path"]
        yield Link(_PROJECT, Shelf(self.endpoint(block), root, path, means))


class Shelf:
    """One archive, as the port that reconciler speaks to."""

    settle = 0.0  # what was written is listed at once

    def __init__(self, endpoint: str, root: Path, path: Path, means: Means) -> None:
        self.endpoint = endpoint
        self._root = root
        self._path = path
        self._means = means

    @property
    def clock(self) -> datetime | None:
        """The service's own time: of a file, this machine's."""
        return self._means.clock.now()

    # --- batches ---

    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        """Archive a folder, once: what became of it is the value, and nothing is raised."""
        now = self._means.clock.now()
        batch = Batch(f"bat-{uuid.uuid4()}", key, Status.COMPLETED, now, now)
        try:
            files = [file.id async for file in self.files(key.directory)]
            # Nothing is awaited from here on, so that creates side by side do not forget each other.
            new = self._path.with_name(f"{self._path.name}.new")
            new.write_text(json.dumps([*self._rows(), _row(batch, files)], indent=1))
        except (OSError, UnavailableError, NotFoundError) as error:
            return NotSent(str(error))  # nothing took effect, certainly
        # Over a network: `async with self._means.turns.turn(urgent=True)`, and this within it.
        if why := objection():
            return Withheld(why)
        try:
            new.replace(self._path)
        except OSError as error:
            return Unanswered(str(error))  # it may have taken effect: reconciler looks, and never guesses
        return Created(batch)

    async def list_page(self, listing: Listing, token: str | None) -> Page:
        """A page of the batches that fit exactly."""
        found = [batch for batch, _ in self._batches() if _fits(batch, listing)]
        start = int(token or 0)
        following = str(start + _PAGE) if start + _PAGE < len(found) else None
        return Page(tuple(found[start : start + _PAGE]), following)

    async def get(self, batch: str) -> Batch:
        """One batch."""
        return self._known(batch)[0]

    async def cancel(self, batch: str) -> Batch:
        """A batch here has ended once it was made: it stays as it is."""
        return self._known(batch)[0]

    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        """Each file that was archived."""
        return tuple(FileResult(name, f"job-{name}", None) for name in self._known(batch)[1])

    async def job_outcome(self, job: JobType, name: str) -> JobOutcome:
        """What was archived went well."""
        return JobOutcome(FileStatus.SUCCEEDED)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Callable[[], None] | None]:
        """Nothing has to be done for a batch to go on."""
        yield None

    # --- what they are made of ---

    async def directory(self, directory: str) -> Directory:
        """A folder below the root, as the directory ``dir-NAME``."""
        return Directory(directory, self._folder(directory).name, _PROJECT)

    async def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        """All folders below the root, or the one of a name."""
        for folder in sorted(path for path in self._root.iterdir() if path.is_dir()):
            if name in {None, folder.name}:
                yield Directory(f"dir-{folder.name}", folder.name, _PROJECT)

    async def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        """The files of a folder."""
        for path in sorted(self._folder(directory).iterdir()):
            if path.is_file():
                changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                yield DirectoryFile(f"{directory}/{path.name}", path.name, changed)

    async def configuration(self, configuration: str) -> Configuration | None:
        """None is saved here, which speaks against nothing."""
        return None

    async def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        """None are saved here."""
        for saved in tuple[Configuration, ...]():
            yield saved

    def _folder(self, directory: str) -> Path:
        name = directory.removeprefix("dir-")
        if name == directory or name in {"", ".", ".."} or "/" in name or not (self._root / name).is_dir():
            raise NotFoundError(f"there is no directory {directory}", where=self.endpoint)
        return self._root / name

    # --- the file ---

    def _known(self, name: str) -> tuple[Batch, list[str]]:
        for batch, files in self._batches():
            if batch.id == name:
                return batch, files
        raise NotFoundError(f"there is no batch {name}", where=self.endpoint)

    def _batches(self) -> Iterator[tuple[Batch, list[str]]]:
        for row in self._rows():
            at = datetime.fromisoformat(row["at"])
            key = Key(self.endpoint, _PROJECT, row["directory"], JobType(row["job"]), row["configuration"])
            yield Batch(row["id"], key, Status.COMPLETED, at, at), row["files"]

    def _rows(self) -> list[dict[str, Any]]:
        # A file that cannot be read is an error and never an empty archive: unknown is not missing.
        try:
            rows: list[dict[str, Any]] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise UnavailableError(
                "the archive cannot be read", where=self.endpoint, why=str(error)
            ) from error
        return rows


def _row(batch: Batch, files: list[str]) -> dict[str, Any]:
    assert batch.created_at is not None
    return {
        "id": batch.id,
        "directory": batch.key.directory,
        "job": batch.key.job.value,
        "configuration": batch.key.configuration,
        "at": batch.created_at.isoformat(),
        "files": files,
    }


def _fits(batch: Batch, listing: Listing) -> bool:
    at, first, last = batch.created_at, listing.created_on_or_after, listing.created_on_or_before
    return (
        listing.directory in {None, batch.key.directory}
        and listing.status in {None, batch.status}
        and (first is None or (at is not None and at >= first))
        and (last is None or (at is not None and at <= last))
    )
