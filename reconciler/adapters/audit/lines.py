"""One line of the audit log and one file of it, as bytes: how they are written, sealed and read.

Nothing is decided here: who follows whom is in `log`, what is wrong in `chains`.
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

from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

FORMAT_VERSION = 1

#: Bytes of one line; what is longer was not written by this log.
LONGEST_LINE = 1024 * 1024

#: Bytes that are read or tried out at once.
BLOCK = 4096

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)

_HASH = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9._-]+\.jsonl", re.ASCII)

#: A head: a file's name, and the hash of its line.
HEAD = re.compile(rf"(?P<file>{_FILE.pattern})#(?P<hash>{_HASH.pattern})", re.ASCII)


def file_name(time: str, run: str) -> str:
    """The name of a run's file, given the time and the run that its header has."""
    return f"{compact(time)}-{_NOT_IN_NAMES.sub('_', run)}.jsonl"


def compact(time: str) -> str:
    """A time as it stands in a file's name."""
    return re.sub(r"[-:]|\.\d+", "", time)


def audit_files(folder: Path) -> list[Path]:
    """The files of the log in the order of their names, which is that of time.

    Raises:
        StateError: the folder cannot be read.
    """
    with explained(folder, "read"):
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name) and path.is_file())


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their newline; what a crash tore off at the end is none. An endless line is cut.

    A line that is whole but for its newline, with something else in its place, was not torn: it is given.
    """
    while line := file.readline(LONGEST_LINE):
        if line.endswith(b"\n") or len(line) == LONGEST_LINE or read_line(line[:-1] + b"\n") is not None:
            yield line


def last_line(file: BinaryIO) -> bytes:
    """The last line that has its newline, found from the end."""
    tail = b""
    position = file.seek(0, os.SEEK_END)
    while position > 0 and len(tail) < LONGEST_LINE:
        step = min(BLOCK, position)
        position = file.seek(position - step)
        tail = file.read(step) + tail
        # What stands before the first of two newlines is another line.
        whole, newline, _torn = tail.rpartition(b"\n")
        if newline and b"\n" in whole:
            return whole.rpartition(b"\n")[2] + newline
    whole, newline, _torn = tail.rpartition(b"\n")
    return whole + newline


def read_line(raw: bytes) -> dict[str, object] | None:
    """A line as written by this log, byte for byte; None for anything else."""
    value = read_text(raw)
    return value if value is not None and _HASH.fullmatch(str(value.get("hash"))) else None


def read_text(raw: bytes) -> dict[str, object] | None:
    """A JSON object on a line, as `as_text` writes it, byte for byte; None for anything else."""
    try:
        value = json.loads(raw)
        written = isinstance(value, dict) and as_text(value) + b"\n" == raw
    except (ValueError, RecursionError):
        return None
    return value if written else None


def heads_of(line: Mapping[str, object]) -> tuple[str, ...]:
    """The heads that a header names."""
    heads = line.get("heads")
    return tuple(head for head in heads if isinstance(head, str)) if isinstance(heads, list) else ()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A line with its hash, as bytes."""

    text: bytes
    hash: str


def sealed(line: Mapping[str, object]) -> Sealed:
    """A line as it is written, whatever hash it came with."""
    content = {name: value for name, value in line.items() if name != "hash"}
    its_hash = digest(as_text(content))
    return Sealed(as_text({**content, "hash": its_hash}) + b"\n", its_hash)


def as_text(value: object) -> bytes:
    """The one way to write a value: sorted, without spaces, and in ASCII's printable characters.

    All else is escaped, so that looking at the file with any tool does no harm.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(text: bytes) -> str:
    """What lines and lists of heads are known by."""
    return "sha256:" + hashlib.sha256(text).hexdigest()


def stamp(time: datetime) -> str:
    """A time as RFC 3339 in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def quoted(value: object) -> str:
    """A value for a message: short, and harmless wherever it is shown."""
    return json.dumps(value)[:80]


@contextmanager
def explained(path: Path, verb: str) -> Iterator[None]:
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
