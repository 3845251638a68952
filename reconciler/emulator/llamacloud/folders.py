"""Directories and files as values, and those that are on the disk: the folders under the root.

A direct sub-folder is a directory, each regular file in it a directory file. Hidden ones (a leading
dot) are left out, and so are symbolic links that lead out of the root. Ids are functions of names,
so that they stay the same over restarts, copies and machines. Nothing here writes, and nothing reads
what is in a file.

Not here: what the API added to the folders or laid over them (`directories`).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reconciler.emulator.moments import Micros

MAX_FILES = 1_000

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NAMESPACE = uuid.UUID("6f0d3c52-5d0b-5b3e-9d61-0f4b1c7a8e21")


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """A directory. `path` is its folder, None when it was created through the API.

    `name` is as the disk has it, which need not be Unicode; `shown` can be encoded.
    """

    id: str
    name: str
    path: Path | None
    created: Micros
    updated: Micros
    type: str = "user"
    description: str | None = None
    system_metadata: Mapping[str, object] | None = None
    connector_subscription_id: str | None = None
    expires: Micros | None = None
    deleted: Micros | None = None

    @property
    def shown(self) -> str:
        """Its name for replies, with what is no Unicode replaced."""
        return shown(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryFile:
    """A file in a directory. `path` is where its content lies; `name` and `shown` as a directory's.

    An uploaded file has a `file_id`, a file of a folder has none.
    """

    id: str
    directory_id: str
    name: str
    unique_id: str
    path: Path
    created: Micros
    updated: Micros
    file_id: str | None = None
    metadata: Mapping[str, object] | None = None
    deleted: Micros | None = None

    @property
    def shown(self) -> str:
        """Its name for replies, with what is no Unicode replaced."""
        return shown(self.name)


class Folders:
    """The directories under one root, or none. Threads may share it."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        # Replaced as a whole, never changed: another thread may be looking.
        self._names: dict[str, str] = {}

    def names(self) -> dict[str, str]:
        """Give the names of what may be directories, by id, in no order; `named` says which are.

        Raises:
            Refused: 400, when the root cannot be read.
        """
        if self._root is None:
            return {}
        names = {
            _directory_id(entry.name): entry.name
            for entry in self._entries(self._root)
            if entry.is_symlink() or entry.is_dir(follow_symlinks=False)
        }
        self._names = names
        return names

    def named(self, name: str) -> Directory | None:
        """Give the directory of this name on the disk, or None."""
        if self._root is None:
            return None
        path = self._root / name
        status = self._status(path, is_link=path.is_symlink())
        if status is None or not stat.S_ISDIR(status.st_mode):
            return None
        created, updated = _times(status)
        return Directory(id=_directory_id(name), name=name, path=path, created=created, updated=updated)

    def directory(self, directory_id: str, *, scan: bool = True) -> Directory | None:
        """Give one directory by id, or None; without a scan, only one that the last scan met.

        Raises:
            Refused: 400, when the root cannot be read.
        """
        # The names of the last scan save a scan for each look-up. A name found there is asked of the
        # disk again; one that is not there may be new.
        name = self._names.get(directory_id) or (self.names().get(directory_id) if scan else None)
        return None if name is None else self.named(name)

    def file_names(self, folder: Path) -> Iterator[str]:
        """Give the names of the files in a directory's folder, in no order; only links are looked at.

        Raises:
            Refused: 400, when the folder cannot be read.
        """
        for entry in self._entries(folder):
            if entry.is_file(follow_symlinks=False) or (
                entry.is_symlink() and self._regular(folder / entry.name) is not None
            ):
                yield entry.name

    def file(self, directory_id: str, folder: Path, name: str) -> DirectoryFile | None:
        """Give the file of this name in a directory's folder, or None."""
        status = self._regular(folder / name)
        if status is None:
            return None
        created, updated = _times(status)
        return DirectoryFile(
            id=file_id(directory_id, name),
            directory_id=directory_id,
            name=name,
            unique_id=unique_id(directory_id, name),
            path=folder / name,
            created=created,
            updated=updated,
        )

    def _regular(self, path: Path) -> os.stat_result | None:
        status = self._status(path, is_link=path.is_symlink())
        return status if status is not None and stat.S_ISREG(status.st_mode) else None

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                yield from (entry for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            place = ascii(shown(str(folder)))
            raise Refused(400, f"The folder {place} cannot be read: {error.strerror}") from error

    def _status(self, path: Path, *, is_link: bool) -> os.stat_result | None:
        # What vanished meanwhile, or leads nowhere, or leads out, is not there.
        try:
            assert self._root is not None
            if is_link and not path.resolve(strict=True).is_relative_to(self._root.resolve()):
                return None
            return path.stat()
        except (OSError, RuntimeError):
            return None


def shown(name: str) -> str:
    """Give a name off the disk for replies, with what is no Unicode replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def file_id(directory_id: str, name: str) -> str:
    """Give the id of the file of this name in a directory's folder."""
    return f"dfl-{_uuid5(f'{directory_id}/{name}')}"


def unique_id(directory_id: str, name: str) -> str:
    """Give the unique id of the file of this name in a directory's folder: its name, if that is Unicode.

    Shown, two names that are not Unicode may look alike; such a file has its id for one.
    """
    plain = shown(name)
    return plain if plain == name else file_id(directory_id, name)


def _directory_id(name: str) -> str:
    return f"dir-{name}" if _PLAIN_NAME.fullmatch(name) else f"dir-{_uuid5(name)}"


def _uuid5(name: str) -> uuid.UUID:
    # uuid.uuid5 of Python 3.11 takes no bytes, and a file name need not be Unicode.
    data = _NAMESPACE.bytes + name.encode("utf-8", "surrogateescape")
    return uuid.UUID(bytes=hashlib.sha1(data, usedforsecurity=False).digest()[:16], version=5)


def _times(status: os.stat_result) -> tuple[Micros, Micros]:
    # Linux tells no birth time here: the inode's change is the earliest sign of a file copied with its
    # times, and never later than `updated` in what is reported.
    updated = status.st_mtime_ns // 1000
    return min(updated, status.st_ctime_ns // 1000), updated
