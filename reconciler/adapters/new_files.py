"""Files that a command writes beside others, and that never replace one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_new(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write files that do not exist yet.

    Args:
        folder: where; it is made if it does not exist.
        files: per name, the text.

    Returns:
        The paths that were written, sorted.

    Raises:
        SettingsError: one of them exists already, or cannot be written. In the first case nothing was
            written at all.
    """
    there = sorted(name for name in files if os.path.lexists(folder / name))
    if there:
        raise SettingsError(
            f"{', '.join(there)} exists already",
            where=str(folder),
            next="Nothing was written; choose another folder, or move the files away",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(files):
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(files[name])
    except OSError as error:
        where = str(error.filename or folder)
        raise SettingsError(
            "the manifests cannot be written", where=where, why=error.strerror or ""
        ) from error
    return [str(folder / name) for name in sorted(files)]
