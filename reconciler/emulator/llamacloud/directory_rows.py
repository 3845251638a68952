"""The table `directories`: rows to values and back, and one page of them.

A row with a `folder` lies over a folder of the root; the others are directories that the API created.
Each function works within the transaction, or without one, of the connection that it is given.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from reconciler.emulator.llamacloud.folders import Directory, DirectoryFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

# The name and the id of the last item of a page: what the next page goes on after.
Mark: TypeAlias = tuple[str, str]


Item = TypeVar("Item", Directory, DirectoryFile)


def mark_of(item: Directory | DirectoryFile) -> Mark:
    """Give what a page goes on after when this is the last item of the one before."""
    return item.shown, item.id


def cut(items: Iterator[Item], size: int) -> tuple[list[Item], Mark | None]:
    """Give the first `size` items; with what the next page goes on after, if there is more."""
    # One more than asked for shows whether there is a next page.
    found = list(itertools.islice(items, size + 1))
    return found[:size], mark_of(found[size - 1]) if len(found) > size else None


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryFilters:
    """Which directories to list; no `types` are all of them."""

    name: str | None = None
    types: tuple[str, ...] = ()
    include_deleted: bool = False


def find(connection: sqlite3.Connection, directory_id: str) -> sqlite3.Row | None:
    """Give the row of an id, or None."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM directories WHERE id = ?", (directory_id,)
    ).fetchone()
    return row


def over_folders(connection: sqlite3.Connection) -> dict[str, sqlite3.Row]:
    """Give the rows that lie over folders, by id."""
    rows = connection.execute("SELECT * FROM directories WHERE folder IS NOT NULL")
    return {row["id"]: row for row in rows}


def page(
    connection: sqlite3.Connection, filters: DirectoryFilters, after: Mark | None, limit: int
) -> list[Directory]:
    """Give up to `limit` directories that the API created, sorted by name and id."""
    conditions: list[tuple[str, tuple[object, ...]]] = [("folder IS NULL", ())]
    if not filters.include_deleted:
        conditions.append(("deleted_us IS NULL", ()))
    if filters.name is not None:
        conditions.append(("name = ?", (filters.name,)))
    if filters.types:
        conditions.append((f"type IN ({', '.join('?' * len(filters.types))})", filters.types))
    if after is not None:
        conditions.append(("(name, id) > (?, ?)", after))
    where = " AND ".join(condition for condition, _ in conditions)
    rows = connection.execute(
        f"SELECT * FROM directories WHERE {where} ORDER BY name, id LIMIT ?",  # noqa: S608 - constants
        (*(value for _, values in conditions for value in values), limit),
    )
    return [created(row) for row in rows]


def created(row: sqlite3.Row) -> Directory:
    """Give the directory that the API created with this row."""
    metadata = row["system_metadata"]
    return Directory(
        id=row["id"],
        name=row["name"],
        path=None,
        created=row["created_us"],
        updated=row["updated_us"],
        type=row["type"],
        description=row["description"],
        system_metadata=None if metadata is None else json.loads(metadata),
        connector_subscription_id=row["connector_subscription_id"],
        expires=row["expires_us"],
        deleted=row["deleted_us"],
    )


def laid_over(folder: Directory, row: sqlite3.Row | None) -> Directory:
    """Give a folder's directory as it is with the row that lies over it, if there is one."""
    if row is None:
        return folder
    return replace(
        folder,
        name=row["name"],
        description=row["description"],
        updated=max(folder.updated, row["updated_us"]),
        deleted=row["deleted_us"],
    )


def save(connection: sqlite3.Connection, directory: Directory) -> None:
    """Write a new directory's row, or what can change of one that is there."""
    metadata = directory.system_metadata
    connection.execute(
        "INSERT INTO directories (id, folder, name, type, description, system_metadata,"
        " connector_subscription_id, created_us, updated_us, expires_us, deleted_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description,"
        " updated_us = excluded.updated_us, deleted_us = excluded.deleted_us",
        (
            directory.id,
            None if directory.path is None else os.fsencode(directory.path.name),
            directory.shown,
            directory.type,
            directory.description,
            None if metadata is None else json.dumps(metadata),
            directory.connector_subscription_id,
            directory.created,
            directory.updated,
            directory.expires,
            directory.deleted,
        ),
    )
