"""A disk that loses at a power cut what was not synced, under a `World` in virtual time.

What a file holds lasts once the file was synced; which file a name means lasts once its folder was. All
else is at the mercy of the disk, which a seeded die plays: unsynced bytes are lost, kept, or torn at some
place; a name that was made, replaced or removed since its folder was synced stands for the old or the new.
Blocks that come back out of order within one file are not played.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engine_time import Killed

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from engine_world import World

_CALLS = ("write", "fsync", "ftruncate", "replace", "unlink")


@dataclass
class _File:
    """One inode: what it held when it was last synced."""

    lasting: bytes = b""


class _Disk:
    """What lasts of a flat folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, _File] = {}
        self._open: list[int] = []  # so that no inode is given away again
        self._names: dict[str, _File] = {}
        for path in folder.iterdir():  # what is there when a run begins has been there for long
            self._file(path).lasting = path.read_bytes()
        self.synced_folder()

    def _file(self, path: Path) -> _File:
        inode = path.stat().st_ino
        if inode not in self._files:
            self._open.append(os.open(path, os.O_RDONLY))
            self._files[inode] = _File()
        return self._files[inode]

    def synced(self, path: Path) -> None:
        if path == self._folder:
            self.synced_folder()
        else:
            self._file(path).lasting = path.read_bytes()

    def synced_folder(self) -> None:
        self._names = {path.name: self._file(path) for path in self._folder.iterdir()}

    def remains(self, dice: random.Random | None) -> dict[str, bytes]:
        """What a power cut leaves now; without dice, only what certainly lasts."""
        if dice is None:
            return {name: file.lasting for name, file in self._names.items()}
        there = {path.name: path for path in self._folder.iterdir()}
        left: dict[str, bytes] = {}
        for name in sorted({*there, *self._names}):
            file = self._file(there[name]) if name in there else None
            kept = self._names.get(name)
            if file is not kept and dice.random() < 0.5:
                file = kept
            if file is None:
                continue
            left[name] = self._torn(file, there.get(name), dice)
        return left

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)

    def _torn(self, file: _File, path: Path | None, dice: random.Random) -> bytes:
        if path is None or self._file(path) is not file:
            return file.lasting
        held = path.read_bytes()
        if held == file.lasting:
            return held
        if held.startswith(file.lasting):  # more was appended
            return held[: dice.randint(len(file.lasting), len(held))]
        return dice.choice([file.lasting, held[: dice.randint(0, len(held))]])


class _Cut:
    """Counts instants, and cuts the power at the fatal one: nothing that is done after it lasts."""

    def __init__(self, folder: Path, disk: _Disk, instant: int, dice: random.Random | None) -> None:
        self._folder = folder
        self._disk = disk
        self._instant = instant
        self._dice = dice
        self.instants: list[str] = []
        self.remains: dict[str, bytes] | None = None

    def reach(self, name: str) -> None:
        if self.remains is None:
            self.instants.append(name)
            if len(self.instants) <= self._instant:
                return
            self.remains = self._disk.remains(self._dice)
        raise Killed

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(what: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 - as the system call has it
            path = Path(os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else what)  # noqa: PTH115
            if self._folder not in (path, path.parent):
                return call(what, *rest, **options)
            shown = f"{name} {path.name if path != self._folder else 'the folder'}"
            self.reach(f"before {shown}")
            result = call(what, *rest, **options)
            if name == "fsync":
                self._disk.synced(path)
            self.reach(f"after {shown}")
            return result

        return wrapped


def lose_power_at(world: World, instant: int, dice: random.Random | None) -> list[str]:
    """Apply, and lose power before or after a request or a system call on the project's files.

    Args:
        world: what is applied; its folder is then as the disk has it.
        instant: counted from 0.
        dice: for what is not certain; without them, only what certainly lasts does.

    Gives the names of the instants that came, the fatal one last, if it came at all.
    """
    disk = _Disk(world.folder)
    cut = _Cut(world.folder, disk, instant, dice)
    world.service.on_request, world.time.dying = cut.reach, True
    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            patch.setattr(os, name, cut.around(name, getattr(os, name)))
        try:
            world.apply()
        except BaseException:
            if cut.remains is None:  # else it is a dead process's, and nobody hears it
                raise
    world.service.on_request, world.time.dying = lambda _: None, False
    disk.close()
    if cut.remains is not None:
        for path in world.folder.iterdir():
            path.unlink()
        for name, content in cut.remains.items():
            (world.folder / name).write_bytes(content)
    return cut.instants
