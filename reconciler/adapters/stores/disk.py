"""Files as a store needs them: whole writes, syncs, one file in another's place; and what can be in the way.

What the operating system says is mapped to a `StateError` here, with what helps against it. What is
written, and when, is for the stores to know.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FREE = "Free some space and run it again"
_ALLOW = "Give this user access to it and to its folder"
_HELP = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f) and run it again",
    errno.EROFS: "Run it where the folder can be written to; `reconciler plan` writes nothing there",
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EISDIR: "Move the folder away: a file belongs there",
}
_HELP_ELSE = "state.path in reconciler.yaml says where the state is kept"


@contextlib.contextmanager
def explained(verb: str, shown: str) -> Iterator[None]:
    """Map what the operating system says of a file."""
    try:
        yield
    except OSError as error:
        raise StateError(
            f"cannot {verb} the state",
            where=shown,
            why=(error.strerror or str(error)).lower(),
            next=_HELP.get(error.errno or 0, _HELP_ELSE),
        ) from error


def append(descriptor: int, content: bytes) -> None:
    """Write at the end and make it durable, or leave nothing of it."""
    size = os.fstat(descriptor).st_size
    try:
        _write_all(descriptor, content)
        os.fsync(descriptor)
    except OSError:
        # Half a line, as a full disk leaves it, would spoil the next one that does get through.
        os.ftruncate(descriptor, size)
        raise


def read_all(descriptor: int) -> bytes:
    """A file's content, wherever it is being read."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    parts = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def replace_file(path: Path, content: bytes) -> None:
    """Write beside it, sync, rename over it: a crash leaves the old or the new one whole.

    The writer holds a lock, so the name beside it is always the same: what a crash left there goes with the
    next write.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
