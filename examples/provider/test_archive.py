"""The archive keeps the contract of a provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler_archive import Archive

from reconciler.provider import JobType, Key
from reconciler.testing import ProviderContract, ProviderStand, connected

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from reconciler.provider import Creator

_NAMES = ("a", "b", "c")


class ArchiveStand(ProviderStand):
    """An archive of three folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _NAMES:
            (folder / "documents" / name).mkdir(parents=True)
            (folder / "documents" / name / "one.txt").write_text("one")

    def connected(self) -> AbstractAsyncContextManager[Creator]:
        """As a run connects it."""
        options = {"root": "documents", "path": "archive.json"}
        return connected(Archive(), "archive", options, folder=self.folder)

    def works(self) -> list[Key]:
        """Each over a folder of its own."""
        place = ("archive:archive.json", "archive")
        return [Key(*place, f"dir-{name}", JobType.PARSE_V2, "cfg-1") for name in _NAMES]

    async def files(self, directory: str) -> set[str]:
        """The one file of each folder."""
        return {f"{directory}/one.txt"}

    def creates(self) -> int:
        """Each that took effect is in the file."""
        archive = self.folder / "archive.json"
        return len(json.loads(archive.read_text())) if archive.exists() else 0


class TestArchive(ProviderContract):
    """Every clause, by name."""

    def stand(self, folder: Path) -> ProviderStand:
        """A new one for each clause."""
        return ArchiveStand(folder)
