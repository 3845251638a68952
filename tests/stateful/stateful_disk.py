"""A folder that knows what of it would survive a loss of power: what was synced, and nothing else.

While it watches, no sync reaches the real disk, which is what makes thousands of runs cheap.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Disk:
    """What is on the disk of a folder, by name, apart from what is only in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.durable: dict[str, bytes] = {}
        self._files: dict[int, int] = {}  # by inode, a descriptor that keeps the inode from being used again
        self._synced: dict[int, bytes] = {}
        self._names: dict[str, int] = {}

    @contextmanager
    def watching(self, on_sync: Callable[[str], None]) -> Iterator[None]:
        """Watch every sync, and tell of the moment before and after each."""
        self._begin()

        def synced(descriptor: int) -> None:
            on_sync("before sync")
            self._sync(descriptor)
            on_sync("after sync")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", synced)
            try:
                yield
            finally:
                for kept in self._files.values():
                    os.close(kept)
                self._files.clear()

    def in_memory(self) -> dict[str, bytes]:
        """What the next process sees if only this one dies."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def on_disk(self) -> dict[str, bytes]:
        """What the next process sees if the power goes."""
        return {name: self._synced.get(inode, b"") for name, inode in self._names.items()}

    def restore(self, files: dict[str, bytes]) -> None:
        """Have the folder hold these files and no others."""
        for path in self.folder.iterdir():
            if path.name not in files:
                path.unlink()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)

    def _begin(self) -> None:
        """What is there at first has been there for long."""
        self._synced, self._names = {}, {}
        for path in self.folder.iterdir():
            inode = self._keep(path)
            self._names[path.name], self._synced[inode] = inode, path.read_bytes()

    def _sync(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if status.st_ino == self.folder.stat().st_ino:
            self._names = {path.name: self._keep(path) for path in self.folder.iterdir()}
            return
        for path in self.folder.iterdir():
            if path.stat().st_ino == status.st_ino:
                self._synced[self._keep(path)] = path.read_bytes()

    def _keep(self, path: Path) -> int:
        inode = path.stat().st_ino
        if inode not in self._files:
            self._files[inode] = os.open(path, os.O_RDONLY)
        return inode
