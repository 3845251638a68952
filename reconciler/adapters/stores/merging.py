"""Lockfiles as git hands them to a merge driver, and what the driver leaves: a lockfile, or conflict marks.

What is merged how is the core's business. Here is what is read, and that a file in which something is left to
be decided cannot be taken for a lockfile by anybody: it has the marks that git would leave, at which the
reader stops with a clear error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.adapters.stores.disk import explained
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.adapters.stores.text import as_bytes
from reconciler.model.errors import StateError
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.merge import Merged

_OURS, _BETWEEN, _THEIRS = b"<<<<<<< ours", b"=======", b">>>>>>> theirs"


def read_base(content: bytes, shown: str) -> Lock:
    """What both branches began with, which is nothing where both added the file.

    Raises:
        StateError: it is no lockfile.
    """
    return read_side(content, shown) if content.strip() else Lock()


def read_side(content: bytes, shown: str) -> Lock:
    """A branch's lockfile.

    Raises:
        StateError: it is none.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise StateError(f"not UTF-8 at byte {error.start}", where=shown) from error
    if not text.strip():
        raise StateError("the lockfile is empty", where=shown)
    return read_lock(text, shown)


def write_side(path: Path, shown: str, content: bytes) -> None:
    """Leave a result where git looks for it.

    Raises:
        StateError: it cannot be written.
    """
    with explained("write", shown):
        path.write_bytes(content)


def merged_text(merged: Merged) -> bytes:
    """The lockfile; a key whose batch is to be chosen stands in it twice, between marks, a line for each."""
    entries = {key: conflict.theirs for key, conflict in merged.conflicts.items()}
    other = replace(merged.lock, entries={**merged.lock.entries, **entries})
    lines = []
    for ours, theirs in zip(_lines(merged.lock), _lines(other), strict=True):
        lines += [ours] if ours == theirs else [_OURS, ours, _BETWEEN, theirs, _THEIRS]
    return b"\n".join(lines)


def undecided(ours: bytes, theirs: bytes) -> bytes:
    """Both files whole, between marks."""
    parts = [_OURS, ours.rstrip(b"\n"), _BETWEEN, theirs.rstrip(b"\n"), _THEIRS, b""]
    return b"\n".join(parts)


def _lines(lock: Lock) -> list[bytes]:
    return as_bytes(write_lock(lock)).split(b"\n")
