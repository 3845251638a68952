"""Files that a command writes its result into, beside what it prints: whole, or not at all.

Whether such a file can be written is found out before the command does anything: a new file is begun beside
it, and takes its place in the end. A command that fails leaves what was there.
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

    def __init__(self, option: str, name: str) -> None:
        """Begin it.

        Args:
            option: the option that asks for it, for messages.
            name: the file, as it was given.

        Raises:
            SettingsError: it cannot be written.
        """
        if name in ("", "-"):
            raise click.UsageError(f"{option} takes a file; for standard output there is --format")
        self._option = option
        self._name = name
        self.path = Path(os.path.realpath(name))
        self._beside = self.path.with_name(f".{self.path.name[:200]}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            if self.path.exists() and not _replaceable(self.path):
                raise self._error("it is no file of its own")
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
        return SettingsError(f"{self._option} cannot be written", where=self._name, why=why.lower())


def _replaceable(path: Path) -> bool:
    """Whether it is a file, and not one that this process's streams write to, as /dev/stdout may be."""
    there = path.stat()
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(stream), there):
                return False
    return stat.S_ISREG(there.st_mode)


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
