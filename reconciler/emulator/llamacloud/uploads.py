"""The contents of uploaded files, side by side in one folder.

Each lies under its file's id and the ending of its name, by which readers know what it is. A content is
written under a passing name and renamed, and its row is committed after that: a kill in between leaves
at most a content that nothing refers to.

Not here: how an upload comes in (`upload_form`), and the rows (`file_rows`).
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from reconciler.emulator.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A valid upload. `content` can be read as long as the request is; `ending` is like `.pdf`, or empty."""

    content: BinaryIO
    name: str
    unique_id: str
    metadata: Mapping[str, object] | None
    ending: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A content on the disk, and the id of the file that it is to be."""

    id: str
    path: Path


class Uploads:
    """The folder of contents, made by the first upload."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, upload: Upload) -> Kept:
        """Write a content.

        Raises:
            Refused: 503, when the disk does not take it.
        """
        file_id = f"dfl-{uuid.uuid4()}"
        path = self.path(file_id + upload.ending)
        passing = path.with_name(f".{path.name}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with passing.open("xb") as target:
                    shutil.copyfileobj(upload.content, target)
                passing.rename(path)
            except BaseException:
                passing.unlink(missing_ok=True)
                raise
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Refused(503, f"The upload cannot be kept: {reason}") from error
        return Kept(id=file_id, path=path)

    def path(self, source: str) -> Path:
        """Give where the content of this name lies."""
        return self._folder / source

    def discard(self, path: Path) -> None:
        """Remove a content that nothing refers to any more."""
        # One that cannot be removed is space lost, and no reason to fail.
        with suppress(OSError):
            path.unlink(missing_ok=True)
