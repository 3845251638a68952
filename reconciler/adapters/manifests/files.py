"""Which files are manifests, and their bytes.

Patterns are those of a shell: ``*``, ``?`` and ``[…]`` within a name, ``**`` for any number of folders.
Names that begin with a dot (``.git``, ``.venv``, ``.reconciler``) are only matched when the pattern spells
the dot. No pattern and no symbolic link leads out of the project's folder, and each file is found once.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from reconciler.adapters.manifests.json_reader import read_json
from reconciler.adapters.manifests.reader import read_documents
from reconciler.model.source import Diagnostic, Document, Severity, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: The most bytes that a manifest may have; a larger file is never read as a whole.
MAX_BYTES = 16 * 1024 * 1024

_MAGIC = re.compile(r"[*?\[]")
_CHUNK = 1024 * 1024


def find_manifests(
    folder: Path,
    patterns: Sequence[str],
    *,
    place: Callable[[int], Source],
    skip: frozenset[str] = frozenset(),
) -> tuple[list[str], tuple[Diagnostic, ...]]:
    """The manifest files of a project.

    Args:
        folder: the project's folder.
        patterns: which files, relative to the folder, with ``/`` between names.
        place: where the pattern with this index was written, for diagnostics.
        skip: relative names that are no manifests whatever a pattern says, such as the project file.

    Returns:
        Relative names with ``/``, sorted, each file once; and diagnostics about patterns and files.
    """
    root = os.path.realpath(folder)
    found: dict[tuple[int, int], str] = {}
    diagnostics: set[Diagnostic] = set()
    for index, pattern in enumerate(patterns):
        fault = _pattern_fault(pattern)
        if fault:
            diagnostics.add(Diagnostic(place(index), f"the pattern {pattern!r} {fault}"))
            continue
        search = _Search(root, _parts(pattern))
        search.run()
        diagnostics.update(search.diagnostics)
        files = [file for file in search.files if file.name not in skip]
        if not files and not search.diagnostics:
            message = f"the pattern {pattern!r} matches no file"
            diagnostics.add(Diagnostic(place(index), message, Severity.WARNING))
        for file in files:
            known = found.setdefault(file.identity, file.name)
            found[file.identity] = min(known, file.name)
    return sorted(found.values()), tuple(sorted(diagnostics))


def fits(patterns: Sequence[str], name: str) -> bool:
    """Whether a relative name is one that these patterns would find, were there such a file."""
    names = name.split("/")
    return any(_leads(_parts(pattern), names) for pattern in patterns if not _pattern_fault(pattern))


def _leads(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not parts or not names:
        return not parts and not names
    part, name = parts[0], names[0]
    hidden = name.startswith(".") and not part.startswith(".")
    if part == "**":
        return _leads(parts[1:], names) or (not hidden and _leads(parts, names[1:]))
    return not hidden and re.fullmatch(translate(part), name) is not None and _leads(parts[1:], names[1:])


def read_manifest(folder: Path, file: str) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """Read one file, at most ``MAX_BYTES`` of it.

    Args:
        folder: the project's folder.
        file: the file's name relative to it; it stands in diagnostics.

    Returns:
        The file's documents, and one diagnostic if it cannot be read, else what is wrong with its text.
    """
    data = _data(folder, file)
    return ((), (data,)) if isinstance(data, Diagnostic) else read_documents(data, shown_name(file))


def read_json_file(folder: Path, file: str) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    """Read one file with a JSON object, such as a policy; likewise."""
    data = _data(folder, file)
    return (None, (data,)) if isinstance(data, Diagnostic) else read_json(data, shown_name(file))


def _data(folder: Path, file: str) -> bytes | Diagnostic:
    """A file's bytes, or why they cannot be had."""
    try:
        data = _read(folder / file)
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        return Diagnostic(Source(shown_name(file)), f"the file cannot be read: {reason}")
    if data is None:
        message = f"the file is larger than {MAX_BYTES // 1024**2} MiB: divide it"
        return Diagnostic(Source(shown_name(file)), message)
    return data


def shown_name(name: str) -> str:
    """A file's name as it may be printed: what a terminal could act on is escaped."""
    return name if name.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def _read(path: Path) -> bytes | None:
    """The bytes of a regular file, or None if there are too many."""
    # Without O_NONBLOCK, opening a FIFO waits for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, f"it is {_kind(status.st_mode)}")
        if status.st_size > MAX_BYTES:
            return None
        chunks: list[bytes] = []
        rest = MAX_BYTES + 1
        # A file may grow while it is read, so its size is not trusted twice.
        while rest and (chunk := os.read(descriptor, min(rest, _CHUNK))):
            chunks.append(chunk)
            rest -= len(chunk)
        return b"".join(chunks) if rest else None
    finally:
        os.close(descriptor)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder, not a file"
    if stat.S_ISFIFO(mode):
        return "a FIFO, not a file"
    return "a device or socket, not a file"


def _pattern_fault(pattern: str) -> str:
    if not pattern or "\x00" in pattern:
        return "names no file"
    if pattern.startswith("/"):
        return "is absolute: it must stay inside the project's folder"
    if ".." in pattern.split("/"):
        return "contains '..': it must stay inside the project's folder"
    if "\\" in pattern:
        return "contains a backslash: folders are divided by '/'"
    return ""


def _parts(pattern: str) -> tuple[str, ...]:
    parts: list[str] = []
    for part in pattern.split("/"):
        # Two '**' in a row mean what one means, and cost its square.
        if part in {"", "."} or (part == "**" and parts[-1:] == ["**"]):
            continue
        parts.append(part)
    if parts[-1:] == ["**"]:
        parts.append("*")
    return tuple(parts)


class _File(NamedTuple):
    name: str
    identity: tuple[int, int]


class _Search:
    """The walk of one pattern: a list of folders to look into, each with the parts still to match."""

    def __init__(self, root: str, parts: tuple[str, ...]) -> None:
        self.files: list[_File] = []
        self.diagnostics: list[Diagnostic] = []
        self._root = root
        self._parts = parts
        self._tests = [re.compile(translate(part)) for part in parts]
        self._open: list[tuple[str, int]] = [("", 0)]
        self._seen: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Fill ``files`` and ``diagnostics``."""
        while self._open:
            step = self._open.pop()
            if step not in self._seen and step[1] < len(self._parts):
                self._seen.add(step)
                self._look(*step)

    def _look(self, folder: str, index: int) -> None:
        part = self._parts[index]
        if part == "**":
            self._open.append((folder, index + 1))
        elif not _MAGIC.search(part):
            self._take(f"{folder}{part}", index)
            return
        for name in self._names(folder):
            hidden = name.startswith(".") and not part.startswith(".")
            if hidden or (part != "**" and not self._tests[index].fullmatch(name)):
                continue
            self._take(f"{folder}{name}", index)

    def _names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self._root, folder)))  # noqa: PTH118, PTH208 - Path costs 10x here
        except OSError as error:
            self._fault(folder.rstrip("/"), f"the folder cannot be read: {error.strerror}")
            return []

    def _take(self, name: str, index: int) -> None:
        """Follow one name: into it if it is a folder, and among the files if it is the pattern's end."""
        path = os.path.join(self._root, name)  # noqa: PTH118 - see _names
        try:
            linked = stat.S_ISLNK(os.lstat(path).st_mode)
            if linked and not self._inside(path):
                self._fault(name, "this symbolic link leads out of the project's folder")
                return
            status = os.stat(path)  # noqa: PTH116 - see _names
        except (FileNotFoundError, NotADirectoryError):
            self._missing(path, name)
            return
        except OSError as error:
            self._fault(name, f"the file cannot be read: {error.strerror}")
            return
        if self._parts[index] == "**":
            self._descend(name, index, linked=linked, folder=stat.S_ISDIR(status.st_mode))
        elif index + 1 < len(self._parts):
            if stat.S_ISDIR(status.st_mode):
                self._open.append((f"{name}/", index + 1))
        elif stat.S_ISREG(status.st_mode):
            self.files.append(_File(name, (status.st_dev, status.st_ino)))
        else:
            self._fault(name, f"the file cannot be read: it is {_kind(status.st_mode)}")

    def _descend(self, name: str, index: int, *, linked: bool, folder: bool) -> None:
        if folder and linked:
            message = "'**' does not follow this symbolic link to a folder: name the folder in a pattern"
            self.diagnostics.append(Diagnostic(Source(shown_name(name)), message, Severity.WARNING))
        elif folder:
            self._open.append((f"{name}/", index))

    def _missing(self, path: str, name: str) -> None:
        if os.path.islink(path):  # noqa: PTH114 - see _names
            self._fault(name, "this symbolic link leads to nothing")

    def _inside(self, path: str) -> bool:
        target = os.path.realpath(path)
        return target == self._root or target.startswith(self._root.rstrip("/") + "/")

    def _fault(self, name: str, message: str) -> None:
        self.diagnostics.append(Diagnostic(Source(shown_name(name) or "."), message))
