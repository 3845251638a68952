"""The audit log: one chained file a run, written line by line, and verified as a graph.

A file is ``audit/TIME-RUN.jsonl``. Its first line, the header, says who ran what and names the heads that
the run saw: those that the lockfile holds, and the last lines of files that nothing else accounts for,
such as a killed run's. Each further line is one action and stands by itself. Every line has the hash of
the line before in ``prev`` (the header: a digest of its heads) and its own in ``hash``, so that a line that
is edited, dropped or moved shows; a head, ``FILE#HASH``, makes a cut tail show. Merging two branches is a
union of files. What a line looks like is in ``schemas/audit-line.json``.

A line without its newline was torn by a crash and does not count. The log is no proof against somebody
who rewrites the files and the lockfile together: git is. What is worth a line is the engine's to know.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from reconciler.model.audit import AuditLine
    from reconciler.model.ports import Clock, Environment

FORMAT_VERSION = 1

#: Bytes of one line; what is longer was not written by this log.
LONGEST_LINE = 1024 * 1024

_BLOCK = 4096
_HASH = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9._-]+\.jsonl", re.ASCII)
_HEAD = re.compile(rf"(?P<file>{_FILE.pattern})#(?P<hash>{_HASH.pattern})", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class AuditFolder:
    """All audit files of one project.

    Attributes:
        folder: made with the first line; its name is ``audit`` by custom.
    """

    folder: Path

    def begin(self, run_id: str, environment: Environment, heads: Sequence[str], clock: Clock) -> AuditFile:
        """The log of a run that begins. Nothing of it is written before its first line.

        Args:
            run_id: names the run; part of the file's name.
            environment: who, where and on what; stands in every line.
            heads: those that the lockfile holds.
            clock: for the header's time, which is in the file's name too.

        Raises:
            StateError: the folder cannot be read or written; better known now than after a create.
        """
        with _explained(self.folder, "written"):
            _try_out(self.folder)
        loose = _loose_heads(self.folder, heads)
        for name in sorted({head.partition("#")[0] for head in loose}):
            # A crash kept it from being made durable, and what this run's header names must not be lost.
            with _explained(self.folder / name, "written"):
                _sync(self.folder / name)
        seen = sorted({*heads, *loose})
        return AuditFile(self.folder, run_id, environment, seen, clock.now())

    def verify(self, heads: Sequence[str]) -> tuple[str, ...]:
        """Every fault of the files, as the function `verify` says."""
        return verify(self.folder, heads)


class AuditFile:
    """One run's file, as the port `AuditLog`. Made by `AuditFolder.begin`."""

    def __init__(
        self, folder: Path, run_id: str, environment: Environment, heads: Sequence[str], begun: datetime
    ) -> None:
        time = _written(begun)
        stamp = re.sub(r"[-:]|\.\d+", "", time)
        self._path = folder / f"{stamp}-{_NOT_IN_NAMES.sub('_', run_id)}.jsonl"
        self._about_run = {
            "run": run_id,
            "actor": environment.actor,
            "ciRun": environment.run,
            "commit": environment.commit,
            "dirty": environment.dirty,
        }
        self._header = {
            "kind": "run",
            "formatVersion": FORMAT_VERSION,
            "tool": f"reconciler {__version__}",
            "time": time,
            **self._about_run,
            "actorSource": environment.actor_source,
            "heads": list(heads),
            "prev": _hash(_text(list(heads))),
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
        with _explained(self._path, "written"):
            if self._file is None:
                header = _sealed(self._header)
                action = _sealed(self._action(line, header.hash))
                self._create(header.text + action.text)
            else:
                action = _sealed(self._action(line, self._last))
                _write_whole(self._file, action.text)
        self._last = action.hash

    def close(self) -> str:
        """Make the file durable, and the folder that names it, and give its head; "" without a line.

        Raises:
            StateError: the disk does not take it.
        """
        if self._file is not None and not self._closed:
            self._closed = True
            with _explained(self._path, "written"):
                try:
                    os.fsync(self._file)
                finally:
                    os.close(self._file)
                # The folder may be new itself, so the one that names it is made durable too.
                for folder in (self._path.parent, self._path.parent.parent):
                    _sync(folder)
            self._head = f"{self._path.name}#{self._last}"
        self._closed = True
        return self._head

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
            "time": _written(line.time),
            **self._about_run,
            "plan": line.plan,
            "action": line.action,
            "address": line.address,
            "key": line.key,
            "batch": line.batch,
            "outcome": line.outcome,
            "why": line.why,
            "requestId": line.request_id,
            "prev": prev,
        }


def verify(folder: Path, heads: Sequence[str]) -> tuple[str, ...]:
    """Every fault of the audit files, as ``FILE:LINE: message``, in order; none when all is sound.

    Args:
        folder: the audit files.
        heads: those that the lockfile holds; each must be a line of its file.

    Raises:
        StateError: the folder or a file cannot be read.
    """
    faults: list[str] = []
    lines: dict[str, set[str]] = {}
    named = [("the lockfile", head) for head in heads]
    for path in _files(folder):
        with _explained(path, "read"):
            checked = _checked(path)
        faults += [f"{path}:{number}: {message}" for number, message in checked.faults]
        lines[path.name] = checked.hashes
        named += [(f"{path}:1", head) for head in checked.heads]
    for where, head in sorted(named):
        match = _HEAD.fullmatch(head)
        if match is None:
            faults.append(f"{where}: {_shown(head)} is not a head of the form FILE#HASH")
        elif match["file"] not in lines:
            faults.append(f"{where}: names {match['file']}, and there is no such file in {folder}")
        elif match["hash"] not in lines[match["file"]]:
            lost = "its end was cut off, or a line changed"
            faults.append(f"{where}: names a line of {folder / match['file']} that is not there: {lost}")
    return tuple(faults)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What verifying one file came to."""

    faults: tuple[tuple[int, str], ...]
    hashes: set[str]
    heads: tuple[str, ...]


def _checked(path: Path) -> _Checked:
    faults: list[tuple[int, str]] = []
    hashes: set[str] = set()
    heads: tuple[str, ...] = ()
    before: str | None = None
    with path.open("rb") as file:
        for number, raw in enumerate(_whole_lines(file), 1):
            line = _read(raw)
            if line is None:
                faults.append((number, "is not a line of an audit log"))
                before = None
                continue
            if number == 1:
                heads = _heads(line)
            faults += [(number, message) for message in _faults(line, number, before)]
            before = str(line["hash"])
            hashes.add(before)
    return _Checked(tuple(faults), hashes, heads)


def _faults(line: Mapping[str, object], number: int, before: str | None) -> Iterator[str]:
    if _sealed(line).hash != line["hash"]:
        yield "was changed after it was written: its hash does not fit"
    if number == 1:
        if line.get("kind") != "run":
            yield "is not a header, so the lines before it were dropped"
        elif line.get("formatVersion") != FORMAT_VERSION:
            yield f"has format version {_shown(line.get('formatVersion'))}; this tool knows {FORMAT_VERSION}"
        elif line.get("prev") != _hash(_text(list(_heads(line)))):
            yield "names other heads than it was written with"
        return
    if line.get("kind") != "action":
        yield "is a header, and only the first line can be one"
    if before is not None and line.get("prev") != before:
        yield "does not follow the line before it: lines were dropped, moved or put in between"


def _loose_heads(folder: Path, accounted: Sequence[str]) -> list[str]:
    """The last lines of files that no header and no head accounts for; first and last lines are read."""
    ends: list[str] = []
    known = set(accounted)
    for path in _files(folder):
        with _explained(path, "read"), path.open("rb") as file:
            first = _read(next(_whole_lines(file), b""))
            last = _read(_last_line(file))
        known.update(_heads(first or {}))
        if last is not None:
            ends.append(f"{path.name}#{last['hash']}")
    return [head for head in ends if head not in known]


def _files(folder: Path) -> list[Path]:
    with _explained(folder, "read"):
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name) and path.is_file())


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their newline; what a crash tore off at the end is none. An endless line is cut.

    A line that is whole but for its newline, with something else in its place, was not torn: it is given.
    """
    while line := file.readline(LONGEST_LINE):
        if line.endswith(b"\n") or len(line) == LONGEST_LINE or _read(line[:-1] + b"\n") is not None:
            yield line


def _last_line(file: BinaryIO) -> bytes:
    """The last line that has its newline, found from the end."""
    tail = b""
    position = file.seek(0, os.SEEK_END)
    while position > 0 and len(tail) < LONGEST_LINE:
        step = min(_BLOCK, position)
        position = file.seek(position - step)
        tail = file.read(step) + tail
        # What stands before the first of two newlines is another line.
        whole, newline, _torn = tail.rpartition(b"\n")
        if newline and b"\n" in whole:
            return whole.rpartition(b"\n")[2] + newline
    whole, newline, _torn = tail.rpartition(b"\n")
    return whole + newline


def _read(raw: bytes) -> dict[str, object] | None:
    """A line as written by this log, byte for byte; None for anything else."""
    try:
        value = json.loads(raw)
        written = isinstance(value, dict) and _text(value) + b"\n" == raw
    except (ValueError, RecursionError):
        return None
    return value if written and _HASH.fullmatch(str(value.get("hash"))) else None


def _heads(line: Mapping[str, object]) -> tuple[str, ...]:
    heads = line.get("heads")
    return tuple(head for head in heads if isinstance(head, str)) if isinstance(heads, list) else ()


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A line with its hash, as bytes."""

    text: bytes
    hash: str


def _sealed(line: Mapping[str, object]) -> _Sealed:
    content = {name: value for name, value in line.items() if name != "hash"}
    digest = _hash(_text(content))
    return _Sealed(_text({**content, "hash": digest}) + b"\n", digest)


def _text(value: object) -> bytes:
    """The one way to write a value: sorted, without spaces, and in ASCII's printable characters.

    All else is escaped, so that looking at the file with any tool does no harm.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _hash(text: bytes) -> str:
    return "sha256:" + hashlib.sha256(text).hexdigest()


def _written(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _shown(value: object) -> str:
    return json.dumps(value)[:80]


def _try_out(folder: Path) -> None:
    """Write a block to where the file will be, and leave nothing behind.

    Raises:
        OSError: it cannot be written.
    """
    import tempfile

    # A link to nowhere is there as well: no folder can be made in its place.
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(b"\0" * _BLOCK)


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


def _sync(path: Path) -> None:
    """Make a file or a folder durable as it is."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    """What the operating system says about a file, as a `StateError` with the way out."""
    try:
        yield
    except OSError as error:
        raise StateError(
            f"the audit log cannot be {verb}",
            where=str(path),
            why=error.strerror or str(error),
            next="Free space or give access to the folder, then run the command again",
        ) from error
