"""Places that cannot be written to: file systems in a mount namespace of their own, and rights given away.

Nothing of it is seen outside of the namespace, and all of it is gone with the process that holds it open.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ROOT = os.geteuid() == 0
_UNSHARE = ("unshare", "--mount") if _ROOT else ("unshare", "--mount", "--user", "--map-root-user")
_ENTER = ("nsenter", "--mount") if _ROOT else ("nsenter", "--mount", "--user", "--preserve-credentials")
# Root reads and writes everything; without these two it does not.
_PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")

READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
PAGE = 4096


class Room:
    """A mount namespace that is held open.

    Attributes:
        enter: what stands before a command that is to run in it.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.enter: Sequence[str] = (*_ENTER, f"--target={process.pid}", "--")

    def inside(self, path: Path) -> Path:
        """A path in it, as this process reaches it."""
        return Path(f"/proc/{self._process.pid}/root{path}")


@contextlib.contextmanager
def room(mount: str, folder: Path) -> Iterator[Room]:
    """A namespace in which something is mounted on a folder, which the shell text knows as ``$1``."""
    needs(_mounts(), "mount namespaces (unshare, nsenter, and the right to mount)")
    with subprocess.Popen(
        [*_UNSHARE, "sh", "-c", f"{mount} && echo mounted && exec cat", "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mounted\n"
        yield Room(process)
        process.kill()


def tmpfs(pages: int) -> str:
    """What mounts an empty file system with so much room."""
    return f'mount -t tmpfs -o size={pages * PAGE} none "$1"'


def fill(folder: Path, left: int) -> Path:
    """Fill a file system until so many pages are left; gives the file that does."""
    stuffing = folder / "stuffing"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize // PAGE
    stuffing.write_bytes(b"\0" * PAGE * (free - left))
    after = os.statvfs(folder)
    assert after.f_bavail * after.f_frsize // PAGE == left
    return stuffing


def without_rights() -> Sequence[str]:
    """What stands before a command to which permissions are to apply, whoever runs the tests."""
    if not _ROOT:
        return ()
    needs(_succeeds([*_PLAIN, "true"]), "setpriv, to give away what root may do")
    return _PLAIN


def needs(there: object, what: str) -> None:
    """Skip the test without it; in CI that would hide that nothing was tested, and fails.

    Only Linux has it: elsewhere the tests are skipped in CI as well.
    """
    if there:
        return
    if os.environ.get("CI") == "true" and sys.platform == "linux":
        pytest.fail(f"CI has to have {what}")
    pytest.skip(f"needs {what}")


@cache
def _mounts() -> bool:
    return _succeeds([*_UNSHARE, "sh", "-c", "mount -t tmpfs none /tmp && command -v nsenter"])


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
