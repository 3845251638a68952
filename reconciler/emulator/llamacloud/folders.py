"""Source directories and their files, read from the folders under the root at each request.

A direct sub-folder is a directory, each regular file in it a directory file. Hidden ones (a leading
dot) are left out, and so are symbolic links that lead out of the root. Ids are functions of names,
so that they stay the same over restarts, copies and machines. Nothing here writes, and nothing reads
what is in a file.
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
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.emulator.moments import Micros

MAX_FILES = 1_000

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NAMESPACE = uuid.UUID("6f0d3c52-5d0b-5b3e-9d61-0f4b1c7a8e21")


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """A folder under the root. `name` is as the disk has it; `shown` can be encoded."""

    id: str
    name: str
    path: Path
    created: Micros
    updated: Micros

    @property
    def shown(self) -> str:
        """Its name for replies, with what is no Unicode replaced."""
        return _shown(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryFile:
    """A regular file in a directory. `name` is as the disk has it; `shown` can be encoded."""

    id: str
    directory_id: str
    name: str
    path: Path
    created: Micros
    updated: Micros

    @property
    def shown(self) -> str:
        """Its name for replies, with what is no Unicode replaced."""
        return _shown(self.name)


class Folders:
    """The directories under one root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, str] = {}

    def directories(self) -> list[Directory]:
        """Give all directories, sorted by name.

        Raises:
            Refused: 400, when the root cannot be read.
        """
        found = [directory for name in self._scan() if (directory := self._directory(name))]
        return sorted(found, key=lambda directory: directory.name)

    def directory(self, directory_id: str) -> Directory | None:
        """Give one directory by id, or None.

        Raises:
            Refused: 400, when the root cannot be read.
        """
        # The names of the last scan save a scan for each look-up. A name found there is asked of the
        # disk again; one that is not there may be new.
        if directory_id not in self._names:
            self._scan()
        name = self._names.get(directory_id)
        return None if name is None else self._directory(name)

    def files(self, directory: Directory) -> list[DirectoryFile]:
        """Give a directory's files, sorted by name.

        Raises:
            Refused: 400, when the folder cannot be read.
        """
        found = []
        for entry in self._entries(directory.path):
            path = directory.path / entry.name
            status = self._status(path, is_link=entry.is_symlink())
            if status is not None and stat.S_ISREG(status.st_mode):
                name = entry.name
                file_id = "dfl-" + str(_uuid5(f"{directory.id}/{name}"))
                created, updated = _times(status)
                found.append(
                    DirectoryFile(
                        id=file_id,
                        directory_id=directory.id,
                        name=name,
                        path=path,
                        created=created,
                        updated=updated,
                    )
                )
        return sorted(found, key=lambda file: file.name)

    def has(self, directory: Directory, name: str) -> bool:
        """Say whether a file of this name is there now."""
        path = directory.path / name
        status = self._status(path, is_link=path.is_symlink())
        return status is not None and stat.S_ISREG(status.st_mode)

    def _directory(self, name: str) -> Directory | None:
        path = self._root / name
        status = self._status(path, is_link=path.is_symlink())
        if status is None or not stat.S_ISDIR(status.st_mode):
            return None
        created, updated = _times(status)
        return Directory(id=_directory_id(name), name=name, path=path, created=created, updated=updated)

    def _scan(self) -> list[str]:
        names = [
            entry.name
            for entry in self._entries(self._root)
            if entry.is_symlink() or entry.is_dir(follow_symlinks=False)
        ]
        self._names = {_directory_id(name): name for name in names}
        return names

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                yield from (entry for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            place = ascii(_shown(str(folder)))
            raise Refused(400, f"The folder {place} cannot be read: {error.strerror}") from error

    def _status(self, path: Path, *, is_link: bool) -> os.stat_result | None:
        # What vanished meanwhile, or leads nowhere, or leads out, is not there.
        try:
            if is_link and not path.resolve(strict=True).is_relative_to(self._root.resolve()):
                return None
            return path.stat()
        except (OSError, RuntimeError):
            return None


def _directory_id(name: str) -> str:
    return f"dir-{name}" if _PLAIN_NAME.fullmatch(name) else f"dir-{_uuid5(name)}"


def _uuid5(name: str) -> uuid.UUID:
    # uuid.uuid5 of Python 3.11 takes no bytes, and a file name need not be Unicode.
    data = _NAMESPACE.bytes + name.encode("utf-8", "surrogateescape")
    return uuid.UUID(bytes=hashlib.sha1(data, usedforsecurity=False).digest()[:16], version=5)


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _times(status: os.stat_result) -> tuple[Micros, Micros]:
    # Linux tells no birth time here: the inode's change is the earliest sign of a file copied with its
    # times, and never later than `updated` in what is reported.
    updated = status.st_mtime_ns // 1000
    return min(updated, status.st_ctime_ns // 1000), updated
