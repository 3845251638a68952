"""Writing the audit log: which heads a run follows, its header, its lines, and its end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.adapters.audit.lines import (
    BLOCK,
    FORMAT_VERSION,
    LONGEST_LINE,
    as_text,
    audit_files,
    compact,
    digest,
    explained,
    file_name,
    heads_of,
    last_line,
    read_line,
    sealed,
    stamp,
    whole_lines,
)
from reconciler.adapters.audit.signing import SUFFIX
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from reconciler.adapters.audit.signing import Signer
    from reconciler.model.audit import AuditLine
    from reconciler.model.ports import Clock, Environment


# Characters of one text from outside. Written with escapes it has up to twelve times as many bytes, and five
# of them are in a line.
_LONGEST_TEXT = LONGEST_LINE // 128


@dataclass(frozen=True, slots=True)
class AuditFolder:
    """All audit files of one project.

    Attributes:
        folder: made with the first line; its name is ``audit`` by custom.
    """

    folder: Path

    def begin(
        self,
        run_id: str,
        environment: Environment,
        heads: Sequence[str],
        clock: Clock,
        signer: Signer | None = None,
    ) -> AuditFile:
        """The log of a run that begins. Nothing of it is written before its first line.

        Args:
            run_id: names the run; part of the file's name.
            environment: who, where and on what; stands in every line.
            heads: those that the lockfile holds.
            clock: for the header's time, which is in the file's name too.
            signer: signs the run's head, if there is a key.

        Raises:
            StateError: the folder cannot be read or written; better known now than after a create.
        """
        with explained(self.folder, "written"):
            _try_out(self.folder)
        loose = _loose_heads(self.folder, heads)
        for name in sorted({head.partition("#")[0] for head in loose}):
            # A crash kept it from being made durable, and what this run's header names must not be lost.
            with explained(self.folder / name, "written"):
                _sync(self.folder / name)
        seen = sorted({*heads, *loose})
        return AuditFile(self.folder, run_id, environment, seen, clock.now(), signer=signer)

    def checkpoint(self, signer: Signer, time: datetime, out: Path | None = None) -> tuple[Path, int]:
        """Have the ends of all files signed; gives where, and how many heads that are.

        An end that another file follows is vouched for by that one's.

        Args:
            signer: has the key.
            time: when.
            out: where to write it; beside the audit files by default.

        Raises:
            StateError: a file cannot be read or written.
            SettingsError: there is nothing to sign, or a file of that name.
        """
        heads = _loose_heads(self.folder, ())
        if not heads:
            raise SettingsError("there is no audit log to sign", where=str(self.folder))
        path = out or self.folder / f"checkpoint-{compact(stamp(time))}{SUFFIX}"
        if os.path.lexists(path):
            raise SettingsError(
                "there is a file already", where=str(path), next="Choose another one: --out FILE"
            )
        with explained(path, "written"):
            _write_at_once(path, signer.sign(heads, time))
            _sync(path.parent)
        return path, len(heads)


class AuditFile:
    """One run's file, as the port `AuditLog`. Made by `AuditFolder.begin`."""

    def __init__(
        self,
        folder: Path,
        run_id: str,
        environment: Environment,
        heads: Sequence[str],
        begun: datetime,
        *,
        signer: Signer | None,
    ) -> None:
        time = stamp(begun)
        self._signer, self._begun = signer, begun
        self._path = folder / file_name(time, run_id)
        self._about_run = {
            "run": run_id,
            "actor": _short(environment.actor),
            "ciRun": _short(environment.run),
            "commit": _short(environment.commit),
            "dirty": environment.dirty,
        }
        self._header = {
            "kind": "run",
            "formatVersion": FORMAT_VERSION,
            "tool": f"reconciler {__version__}",
            "time": time,
            **self._about_run,
            "actorSource": environment.actor_source,
            "approver": _short(environment.approver),
            "approverSource": environment.approver_source,
            "heads": list(heads),
            "prev": digest(as_text(list(heads))),
        }
        self._file: int | None = None
        self._last = ""
        self._head = ""
        self._closed = False

    def append(self, line: AuditLine) -> None:
        """Write one line, the header before the first; it is with the operating system afterwards.

        A line that cannot be written whole is taken back, so that the next one finds a sound file.

        Raises:
            StateError: the disk is full, the folder cannot be written to, or the file exists.
            ValueError: the log is closed.
        """
        if self._closed:
            raise ValueError("the audit log is closed")
        with explained(self._path, "written"):
            if self._file is None:
                header = sealed(self._header)
                action = sealed(self._action(line, header.hash))
                self._create(header.text + action.text)
            else:
                action = sealed(self._action(line, self._last))
                _write_whole(self._file, action.text)
        self._last = action.hash

    def close(self) -> str:
        """Make the file durable, and the folder that names it, and give its head; "" without a line.

        Raises:
            StateError: the disk does not take it.
        """
        if self._file is not None and not self._closed:
            self._closed = True
            with explained(self._path, "written"):
                try:
                    os.fsync(self._file)
                finally:
                    os.close(self._file)
                head = f"{self._path.name}#{self._last}"
                if self._signer is not None:
                    _write_at_once(self._path.with_suffix(SUFFIX), self._signer.sign([head], self._begun))
                # The folder may be new itself, so the one that names it is made durable too.
                for folder in (self._path.parent, self._path.parent.parent):
                    _sync(folder)
            self._head = head
        self._closed = True
        return self._head

    def paths(self) -> list[Path]:
        """The files that the run has written: its log, and its signature if there is a key."""
        return [path for path in (self._path, self._path.with_suffix(SUFFIX)) if path.exists()]

    def _create(self, text: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o644)
        try:
            _write_whole(file, text)
        except OSError:
            # The next line begins anew, header and all.
            os.close(file)
            self._path.unlink()
            raise
        self._file = file

    def _action(self, line: AuditLine, prev: str) -> dict[str, object]:
        return {
            "kind": "action",
            "time": stamp(line.time),
            **self._about_run,
            "plan": line.plan,
            "action": line.action,
            "address": line.address,
            "key": line.key,
            "batch": line.batch,
            "outcome": line.outcome,
            "why": _short(line.why),
            "requestId": _short(line.request_id),
            "prev": prev,
        }


def _short(text: str) -> str:
    """Text from outside, cut: a line that is longer than one may be is none to who reads the log."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _loose_heads(folder: Path, accounted: Sequence[str]) -> list[str]:
    """The last lines of files that no header and no head accounts for; first and last lines are read."""
    ends: list[str] = []
    known = set(accounted)
    for path in audit_files(folder):
        with explained(path, "read"), path.open("rb") as file:
            first = read_line(next(whole_lines(file), b""))
            last = read_line(last_line(file))
        known.update(heads_of(first or {}))
        if last is not None:
            ends.append(f"{path.name}#{last['hash']}")
    return [head for head in ends if head not in known]


def _try_out(folder: Path) -> None:
    """Write a block to where the file will be, and leave nothing behind.

    Raises:
        OSError: it cannot be written.
    """
    import tempfile

    # A link to nowhere is there as well: no folder can be made in its place.
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(b"\0" * BLOCK)


def _write_whole(file: int, text: bytes) -> None:
    """Write all of it or nothing: what a full disk took is taken back."""
    before = os.fstat(file).st_size
    rest = memoryview(text)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        os.ftruncate(file, before)
        raise


def _write_at_once(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    begun = path.with_name(path.name + ".tmp")
    try:
        with begun.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        begun.replace(path)
    except OSError:
        begun.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    """Make a file or a folder durable as it is."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
