"""The table `directory_files`: rows to values and back, and one page of them.

A row with a `file_id` is an uploaded file, the others lie over files of the user's folders.
Each function works within the transaction, or without one, of the connection that it is given.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.emulator.llamacloud.folders import DirectoryFile

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from reconciler.emulator.llamacloud.directory_rows import Mark
    from reconciler.emulator.moments import Micros


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFilters:
    """Which files of a directory to list; both bounds are inclusive."""

    name: str | None = None
    part: str | None = None
    unique_id: str | None = None
    file_id: str | None = None
    updated_from: Micros | None = None
    updated_to: Micros | None = None
    include_deleted: bool = False

    def admit(self, file: DirectoryFile) -> bool:
        """Say whether a file is one of those."""
        return (
            self.name in {None, file.shown}
            and (self.part is None or self.part in file.shown)
            and self.unique_id in {None, file.unique_id}
            and self.file_id in {None, file.file_id}
            and (self.updated_from is None or file.updated >= self.updated_from)
            and (self.updated_to is None or file.updated <= self.updated_to)
            and (self.include_deleted or file.deleted is None)
        )


def find(connection: sqlite3.Connection, file_id: str) -> sqlite3.Row | None:
    """Give the row of an id, or None."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM directory_files WHERE id = ?", (file_id,)
    ).fetchone()
    return row


def over_folder(connection: sqlite3.Connection, directory_id: str) -> dict[str, sqlite3.Row]:
    """Give the rows that lie over the files of a directory's folder, by id."""
    rows = connection.execute(
        "SELECT * FROM directory_files WHERE file_id IS NULL AND directory_id = ?", (directory_id,)
    )
    return {row["id"]: row for row in rows}


def page(
    connection: sqlite3.Connection,
    directory_id: str,
    filters: FileFilters,
    after: Mark | None,
    limit: int,
) -> list[sqlite3.Row]:
    """Give up to `limit` rows of uploaded files, sorted by name and id; -1 gives all."""
    conditions: list[tuple[str, tuple[object, ...]]] = [
        ("file_id IS NOT NULL", ()),
        ("directory_id = ?", (directory_id,)),
    ]
    if not filters.include_deleted:
        conditions.append(("deleted_us IS NULL", ()))
    for condition, value in (
        ("name = ?", filters.name),
        ("instr(name, ?) > 0", filters.part),
        ("unique_id = ?", filters.unique_id),
        ("file_id = ?", filters.file_id),
        ("updated_us >= ?", filters.updated_from),
        ("updated_us <= ?", filters.updated_to),
    ):
        if value is not None:
            conditions.append((condition, (value,)))
    if after is not None:
        conditions.append(("(name, id) > (?, ?)", after))
    where = " AND ".join(condition for condition, _ in conditions)
    return connection.execute(
        f"SELECT * FROM directory_files WHERE {where} ORDER BY name, id LIMIT ?",  # noqa: S608 - constants
        (*(value for _, values in conditions for value in values), limit),
    ).fetchall()


def count(connection: sqlite3.Connection, directory_id: str) -> int:
    """Count the uploaded files of a directory that are not deleted."""
    (number,) = connection.execute(
        "SELECT count(*) FROM directory_files"
        " WHERE directory_id = ? AND file_id IS NOT NULL AND deleted_us IS NULL",
        (directory_id,),
    ).fetchone()
    return int(number)


def sources(connection: sqlite3.Connection, directory_id: str) -> list[str]:
    """Give the names of what holds the contents of a directory's uploaded files that are not deleted."""
    rows = connection.execute(
        "SELECT source FROM directory_files"
        " WHERE directory_id = ? AND file_id IS NOT NULL AND deleted_us IS NULL",
        (directory_id,),
    )
    return [os.fsdecode(row["source"]) for row in rows]


def with_unique_id(connection: sqlite3.Connection, directory_id: str, unique_id: str) -> str | None:
    """Give the id of the uploaded file of a directory that has a unique id and is not deleted, or None."""
    row = connection.execute(
        "SELECT id FROM directory_files"
        " WHERE directory_id = ? AND unique_id = ? AND file_id IS NOT NULL AND deleted_us IS NULL",
        (directory_id, unique_id),
    ).fetchone()
    return None if row is None else str(row["id"])


def uploaded(row: sqlite3.Row, path: Path) -> DirectoryFile:
    """Give the uploaded file of this row, whose content lies at `path`."""
    metadata = row["metadata"]
    return DirectoryFile(
        id=row["id"],
        directory_id=row["directory_id"],
        name=row["name"],
        unique_id=row["unique_id"],
        path=path,
        created=row["created_us"],
        updated=row["updated_us"],
        file_id=row["file_id"],
        metadata=None if metadata is None else json.loads(metadata),
        deleted=row["deleted_us"],
    )


def laid_over(file: DirectoryFile, row: sqlite3.Row | None) -> DirectoryFile:
    """Give a folder's file as it is with the row that lies over it, if there is one."""
    if row is None:
        return file
    metadata = row["metadata"]
    return replace(
        file,
        name=row["name"],
        unique_id=row["unique_id"],
        updated=max(file.updated, row["updated_us"]),
        metadata=None if metadata is None else json.loads(metadata),
        deleted=row["deleted_us"],
    )


def save(connection: sqlite3.Connection, file: DirectoryFile) -> None:
    """Write a new file's row, or what can change of one that is there."""
    connection.execute(
        "INSERT INTO directory_files (id, directory_id, source, name, unique_id, file_id,"
        " metadata, created_us, updated_us, deleted_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        # Not OR REPLACE, which would delete another file of the same unique id.
        " ON CONFLICT (id) DO UPDATE SET directory_id = excluded.directory_id, name = excluded.name,"
        " unique_id = excluded.unique_id, metadata = excluded.metadata, updated_us = excluded.updated_us,"
        " deleted_us = excluded.deleted_us",
        (
            file.id,
            file.directory_id,
            os.fsencode(file.path.name),
            file.shown,
            file.unique_id,
            file.file_id,
            None if file.metadata is None else json.dumps(file.metadata),
            file.created,
            file.updated,
            file.deleted,
        ),
    )
