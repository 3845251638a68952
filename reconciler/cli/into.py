"""Files that a command writes its result into, beside what it prints: whole, or not at all.

Whether such a file can be written is found out before the command does anything: a new file is begun beside
it, and takes its place in the end. Only what is empty or was such a file is replaced, so that no slip of the
hand writes over a manifest, a lockfile or anybody's notes.
"""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from pathlib import Path

import click

from reconciler.model.errors import SettingsError


class Into:
    """One such file."""

    def __init__(self, option: str, name: str, sign: bytes) -> None:
        """Begin it.

        Args:
            option: the option that asks for it, for messages.
            name: the file, as it was given.
            sign: what all files of this kind begin with.

        Raises:
            SettingsError: it cannot be written.
        """
        if name in ("", "-"):
            raise click.UsageError(f"{option} takes a file; for standard output there is --format")
        self._option = option
        self._name = name
        try:
            self.path = Path(os.path.realpath(name))
            self._beside = self.path.with_name(f".{self.path.name[:200]}.{uuid.uuid4().hex[:8]}.tmp")
            if self.path.exists() and (why := _in_the_way(self.path, sign)):
                raise self._error(why)
            self._descriptor = os.open(
                self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
        except (OSError, ValueError) as error:
            raise self._error(getattr(error, "strerror", None) or str(error)) from error

    def write(self, text: str) -> None:
        """Put the text in the file's place.

        Raises:
            SettingsError: it cannot be written after all; what was there is there still.
        """
        try:
            with os.fdopen(self._descriptor, "wb") as file:
                self._descriptor = -1
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            self._beside.replace(self.path)
        except OSError as error:
            raise self._error(error.strerror or str(error)) from error

    def close(self) -> None:
        """Take away what was begun and did not come to its end."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._beside.unlink(missing_ok=True)

    def _error(self, why: str) -> SettingsError:
        return SettingsError(
            f"{self._option} cannot be written", where=self._name, why=why.lower(), next="Name another file"
        )


def _in_the_way(path: Path, sign: bytes) -> str:
    """Why what is there is not replaced, or "". /dev/stdout may be a file, and is not one of ours."""
    there = path.stat()
    streams = []
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            streams.append(os.fstat(stream))
    if not stat.S_ISREG(there.st_mode) or any(os.path.samestat(stream, there) for stream in streams):
        return "it is no file of its own"
    with path.open("rb") as file:
        begin = file.read(len(sign))
    return "" if not begin or begin == sign else "something else stands in it, which is not written over"


class Appended:
    """A file that a runner reads after the step, and that others have written to before: only added to."""

    def __init__(self, variable: str, name: str) -> None:
        """Find out whether it can be written.

        Raises:
            SettingsError: it cannot.
        """
        self._variable = variable
        self._name = name
        self.add("")

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return Path(self._name).stat().st_size

    def add(self, text: str) -> None:
        """Write at its end.

        Raises:
            SettingsError: it cannot be written.
        """
        try:
            with Path(self._name).open("ab") as file:
                file.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise SettingsError(
                f"the file of {self._variable} cannot be written", where=self._name, why=error.strerror or ""
            ) from error
