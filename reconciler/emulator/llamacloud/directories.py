"""Source directories and their files: the folders under the root, and what the API added or changed.

What the API was told of a folder lies over it as a row: names and descriptions replace, a deletion
hides. The folders themselves are the user's, and are only read. What was uploaded are rows too, with
their contents beside the database, also where the directory is a folder.

A list is sorted by (name, id), and a page goes on after such a pair, so that what comes and goes between
two pages moves nothing. Rows are found by an index; of the folders, all names are read, and those that
are given are looked at.
"""

from __future__ import annotations

import heapq
import itertools
import os
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Refused
from reconciler.emulator.llamacloud import directory_rows, file_rows
from reconciler.emulator.llamacloud.bodies import UNSET, UpdateDirectory, UpdateFile
from reconciler.emulator.llamacloud.directory_rows import cut, mark_of
from reconciler.emulator.llamacloud.file_rows import FileFilters
from reconciler.emulator.llamacloud.folders import (
    Directory,
    DirectoryFile,
    Folders,
    file_id,
    shown,
    unique_id,
)
from reconciler.emulator.llamacloud.uploads import Kept, Upload, Uploads
from reconciler.emulator.moments import rfc3339
from reconciler.emulator.validation import short

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.emulator.database import Database
    from reconciler.emulator.llamacloud.bodies import CreateDirectory
    from reconciler.emulator.llamacloud.directory_rows import DirectoryFilters, Mark
    from reconciler.emulator.moments import Clock, Micros

# How long an ephemeral directory can be used. Nothing says how long it is at the service.
_EPHEMERAL: Micros = 48 * 3600 * 1_000_000


class Directories:
    """The directories of one root and one database. Threads may share it.

    Args:
        root: The folder whose sub-folders are directories, if there is one.
        database: Made by the first change, never by reading.
        clock: Microseconds since 1970.
        uploads: The folder of uploaded contents, made by the first of them.

    Every method raises `Refused` (400) when a folder that it needs cannot be read.
    """

    def __init__(self, root: Path | None, database: Database, clock: Clock, *, uploads: Path) -> None:
        self._folders = Folders(root)
        self._database = database
        self._clock = clock
        self._uploads = Uploads(uploads)

    def page(
        self, filters: DirectoryFilters, after: Mark | None, size: int
    ) -> tuple[list[Directory], Mark | None]:
        """Give up to `size` directories; with what the next page goes on after, if there is more."""
        connection = self._database.reader()
        rows = [] if connection is None else directory_rows.page(connection, filters, after, size + 1)
        found = heapq.merge(rows, self._of_folders(filters, after), key=mark_of)
        return cut(found, size)

    def get(self, directory_id: str, *, scan: bool = True) -> Directory | None:
        """Give a directory that is not deleted, or None; without a scan, no folder not met before."""
        connection = self._database.reader()
        row = None if connection is None else directory_rows.find(connection, directory_id)
        if row is not None and row["folder"] is None:
            directory = directory_rows.created(row)
        else:
            folder = self._folders.directory(directory_id, scan=scan)
            if folder is None:
                return None
            directory = directory_rows.laid_over(folder, row)
        return directory if directory.deleted is None else None

    def usable(self, directory_id: str, now: Micros | None = None, *, scan: bool = True) -> Directory | None:
        """Give what `get` gives, for who wants to do something with the directory's files.

        Raises:
            Refused: 400, when the directory has expired.
        """
        directory = self.get(directory_id, scan=scan)
        expires = None if directory is None else directory.expires
        if expires is not None and expires <= (self._clock() if now is None else now):
            raise Refused(400, f"Directory {short(directory_id)} expired at {rfc3339(expires)}")
        return directory

    def release(self) -> None:
        """Close this thread's connection to the database, for a thread that may end unseen."""
        self._database.release()

    def create(self, wanted: CreateDirectory) -> Directory:
        """Add a directory."""
        now = self._clock()
        directory = Directory(
            id=f"dir-{uuid.uuid4()}",
            name=wanted.name,
            path=None,
            created=now,
            updated=now,
            type=wanted.type,
            description=wanted.description,
            system_metadata=wanted.system_metadata,
            connector_subscription_id=wanted.connector_subscription_id,
            expires=now + _EPHEMERAL if wanted.type == "ephemeral" else None,
        )
        with self._database.transaction() as connection:
            directory_rows.save(connection, directory)
        return directory

    def update(self, directory_id: str, wanted: UpdateDirectory) -> Directory | None:
        """Change a directory; None when there is none."""
        old = self.get(directory_id)
        if old is None or wanted == UpdateDirectory():
            return old
        with self._database.transaction() as connection:
            # Asked again: another process may have changed or deleted it before this one's turn.
            old = self.get(directory_id)
            if old is None:
                return None
            new = replace(
                old,
                name=old.name if wanted.name is None else wanted.name,
                description=old.description if wanted.description is UNSET else wanted.description,
                updated=max(old.updated, self._clock()),
            )
            directory_rows.save(connection, new)
        return new

    def delete(self, directory_id: str) -> Directory | None:
        """Delete a directory and its uploads; None when there is none."""
        if self.get(directory_id) is None:
            return None
        with self._database.transaction() as connection:
            old = self.get(directory_id)
            if old is None:
                return None
            now = max(old.updated, self._clock())
            new = replace(old, updated=now, deleted=now)
            directory_rows.save(connection, new)
            sources = file_rows.sources(connection, directory_id)
        for source in sources:
            self._uploads.discard(self._uploads.path(source))
        return new

    def page_files(
        self, directory: Directory, filters: FileFilters, after: Mark | None, size: int
    ) -> tuple[list[DirectoryFile], Mark | None]:
        """Give up to `size` files; with what the next page goes on after, if there is more."""
        return cut(self._files(directory, filters, after, size + 1), size)

    def files(self, directory: Directory) -> list[DirectoryFile]:
        """Give all files of a directory that are not deleted, sorted by name and id."""
        return list(self._files(directory, FileFilters(), None, -1))

    def count_files(self, directory: Directory, *, most: int) -> int:
        """Count the files of a directory that are not deleted, without looking at each.

        Of a folder no more are counted than makes `most` in all, however many there are.
        """
        connection = self._database.reader()
        uploads = 0 if connection is None else file_rows.count(connection, directory.id)
        live = (1 for _, row in self._disk(directory) if row is None or row["deleted_us"] is None)
        return uploads + sum(itertools.islice(live, max(0, most - uploads)))

    def file(self, directory: Directory, directory_file_id: str) -> DirectoryFile | None:
        """Give a file of a directory that is not deleted, or None."""
        connection = self._database.reader()
        row = None if connection is None else file_rows.find(connection, directory_file_id)
        if row is None:
            for name, _ in self._disk(directory):
                if file_id(directory.id, name) == directory_file_id:
                    return self._disk_file(directory, name, None)
            return None
        if row["directory_id"] != directory.id or row["deleted_us"] is not None:
            return None
        source = os.fsdecode(row["source"])
        if row["file_id"] is None:
            return self._disk_file(directory, source, row)
        return file_rows.uploaded(row, self._uploads.path(source))

    def document(self, directory_id: str, directory_file_id: str, name: str) -> Path | None:
        """Give where a file's content lies now, or None when it or the directory that it is in now is gone.

        Args:
            directory_id: The directory that the file was in when it was listed.
            directory_file_id: The file's id.
            name: The file's name when it was listed, as the disk had it.
        """
        connection = self._database.reader()
        row = None if connection is None else file_rows.find(connection, directory_file_id)
        # An upload may have been moved to another directory meanwhile, and is the same file.
        uploaded = row is not None and row["file_id"] is not None
        directory = self.get(row["directory_id"] if row is not None and uploaded else directory_id)
        if directory is None:
            return None
        # By its name, a file on the disk is found without reading the whole folder.
        if not uploaded and file_id(directory_id, name) == directory_file_id:
            file = self._disk_file(directory, name, row)
        else:
            file = self.file(directory, directory_file_id)
        if file is None or file.deleted is not None or not file.path.is_file():
            return None
        return file.path

    def refuse_taken(self, directory: Directory, wanted: str) -> None:
        """Refuse a unique id that a file of the directory has.

        Raises:
            Refused: 409, which names the file.
        """
        connection = self._database.reader()
        upload = None if connection is None else file_rows.with_unique_id(connection, directory.id, wanted)
        on_disk = (
            file_id(directory.id, name)
            for name, row in self._disk(directory)
            if (row is None or row["deleted_us"] is None)
            and wanted == (unique_id(directory.id, name) if row is None else row["unique_id"])
        )
        taken = upload or next(on_disk, None)
        if taken is not None:
            raise Refused(
                409,
                f"Directory {short(directory.id)} already has a file with unique_id {short(wanted)}: {taken}",
            )

    def keep(self, upload: Upload) -> Kept:
        """Write an upload's content, before `upload` makes it a file. Uses no database, so any thread may.

        Raises:
            Refused: 503, when the disk does not take it.
        """
        return self._uploads.keep(upload)

    def upload(self, directory_id: str, upload: Upload, kept: Kept) -> DirectoryFile | None:
        """Make a kept content a file of a directory; None, and no content, when there is no directory.

        Raises:
            Refused: 409, when its unique id is taken, 400, when the directory has expired; the content is
                gone then.
        """
        # Only a refusal removes the content. After any other failure it is not sure that the row is not
        # there, and a content without a row is the lesser harm.
        try:
            with self._database.transaction() as connection:
                directory = self.usable(directory_id)
                if directory is not None:
                    self.refuse_taken(directory, upload.unique_id)
                    now = self._clock()
                    file = DirectoryFile(
                        id=kept.id,
                        directory_id=directory_id,
                        name=upload.name,
                        unique_id=upload.unique_id,
                        path=kept.path,
                        created=now,
                        updated=now,
                        file_id=str(uuid.uuid4()),
                        metadata=upload.metadata,
                    )
                    file_rows.save(connection, file)
                    return file
        except Refused:
            self._uploads.discard(kept.path)
            raise
        self._uploads.discard(kept.path)
        return None

    def update_file(
        self, directory: Directory, directory_file_id: str, wanted: UpdateFile
    ) -> DirectoryFile | None:
        """Change or move a file; None when there is none.

        Raises:
            Refused: 409, when its new unique id is taken or the file is not ours to move; 404, when the
                directory to move it to is not there; 400, when that one has expired.
        """
        old = self.file(directory, directory_file_id)
        if old is None or wanted == UpdateFile():
            return old
        with self._database.transaction() as connection:
            old = self.file(directory, directory_file_id)
            if old is None:
                return None
            target = self._target(directory, wanted.target_directory_id)
            if target.id != directory.id and old.file_id is None:
                raise Refused(
                    409,
                    f"File {old.id} lies in a folder of yours, where nothing is moved through the API:"
                    " move it on the disk",
                )
            new = replace(
                old,
                directory_id=target.id,
                name=old.name if wanted.name is None else wanted.name,
                unique_id=old.unique_id if wanted.unique_id is None else wanted.unique_id,
                metadata=old.metadata if wanted.metadata is UNSET else wanted.metadata,
            )
            if (new.directory_id, new.unique_id) != (old.directory_id, old.unique_id):
                self.refuse_taken(target, new.unique_id)
            new = replace(new, updated=max(old.updated, self._clock()))
            file_rows.save(connection, new)
        return new

    def delete_file(self, directory: Directory, directory_file_id: str) -> DirectoryFile | None:
        """Delete a file and the content that was uploaded for it; None when there is none."""
        if self.file(directory, directory_file_id) is None:
            return None
        with self._database.transaction() as connection:
            old = self.file(directory, directory_file_id)
            if old is None:
                return None
            now = max(old.updated, self._clock())
            new = replace(old, updated=now, deleted=now)
            file_rows.save(connection, new)
        if new.file_id is not None:
            self._uploads.discard(new.path)
        return new

    def _target(self, directory: Directory, wanted: str | None) -> Directory:
        target_id = wanted or directory.id
        # Where it is, it can still be renamed.
        target = self.get(target_id) if target_id == directory.id else self.usable(target_id)
        if target is None:
            raise Refused(404, f"Directory {short(target_id)} not found")
        return target

    def _of_folders(self, filters: DirectoryFilters, after: Mark | None) -> Iterator[Directory]:
        """Give the folders' directories in order, looking at each one only when it is its turn."""
        if filters.types and "user" not in filters.types:
            return
        connection = self._database.reader()
        rows = {} if connection is None else directory_rows.over_folders(connection)
        waiting: list[tuple[Mark, str]] = []
        for directory_id, name in self._folders.names().items():
            row = rows.get(directory_id)
            mark = (shown(name) if row is None else row["name"], directory_id)
            live = filters.include_deleted or row is None or row["deleted_us"] is None
            if live and filters.name in {None, mark[0]} and (after is None or mark > after):
                waiting.append((mark, name))
        for (_, directory_id), name in sorted(waiting):
            folder = self._folders.named(name)
            if folder is not None:
                yield directory_rows.laid_over(folder, rows.get(directory_id))

    def _files(
        self, directory: Directory, filters: FileFilters, after: Mark | None, limit: int
    ) -> Iterator[DirectoryFile]:
        connection = self._database.reader()
        rows = [] if connection is None else file_rows.page(connection, directory.id, filters, after, limit)
        uploaded = (file_rows.uploaded(row, self._uploads.path(os.fsdecode(row["source"]))) for row in rows)
        return heapq.merge(uploaded, self._of_folder(directory, filters, after), key=mark_of)

    def _of_folder(
        self, directory: Directory, filters: FileFilters, after: Mark | None
    ) -> Iterator[DirectoryFile]:
        waiting = []
        for name, row in self._disk(directory):
            mark = (shown(name) if row is None else row["name"], file_id(directory.id, name))
            # What can be told by the name needs no look at the file.
            if filters.name in {None, mark[0]} and (after is None or mark > after):
                waiting.append((mark, name, row))
        for _, name, row in sorted(waiting, key=lambda item: item[0]):
            file = self._disk_file(directory, name, row)
            if file is not None and filters.admit(file):
                yield file

    def _disk(self, directory: Directory) -> Iterator[tuple[str, sqlite3.Row | None]]:
        """Give the names of a folder's files, each with the row that lies over it."""
        if directory.path is None:
            return
        connection = self._database.reader()
        rows = {} if connection is None else file_rows.over_folder(connection, directory.id)
        for name in self._folders.file_names(directory.path):
            yield name, rows.get(file_id(directory.id, name)) if rows else None

    def _disk_file(self, directory: Directory, name: str, row: sqlite3.Row | None) -> DirectoryFile | None:
        if directory.path is None:
            return None
        file = self._folders.file(directory.id, directory.path, name)
        return None if file is None else file_rows.laid_over(file, row)
