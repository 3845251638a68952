"""Read an upload as it streams in: which files, and in which mode. Contents are hashed and let go.

Everything is read before anything is done, and every fault is said at once, so that a refused request
changes nothing. A body that ends before its last boundary is refused too: a part may be missing.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from reconciler.emulator.errors import Refused
from reconciler.emulator.validation import short

if TYPE_CHECKING:
    from starlette.requests import Request

Mode: TypeAlias = Literal["realtime", "batch"]

MAX_FILES = 50
MAX_FILE_BYTES = 100 * 1024 * 1024
_MAX_NAME = 512
# More parts than this are not looked at; what is wrong with so many would fill no useful message.
_MAX_PARTS = 100
_MAX_VALUE_BYTES = 1024
# They let a name look like another one.
_BIDIRECTIONAL = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NOT_MULTIPART = "the body should be complete multipart/form-data with a file in the field 'file'"


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of an upload: its name, its size in bytes, and the SHA-256 of its content in hex."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What a valid upload asks for."""

    files: tuple[File, ...]
    mode: Mode


async def read_upload(request: Request) -> Upload:
    """Read a request's body.

    Raises:
        Refused: 413 when a file is too large; 400 with everything else that is wrong.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise Refused(400, _NOT_MULTIPART)
    parts = _Parts()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_end,
                "on_part_data": parts.content,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
        )
        async for chunk in request.stream():
            if chunk:
                parser.write(chunk)
    except FormParserError as error:
        raise Refused(400, _NOT_MULTIPART) from error
    return parts.upload()


@dataclass(slots=True)
class _Part:
    """The part that is being read; `digest` and `size` run along with a file's content."""

    header: bytes = b""
    value: bytes = b""
    disposition: bytes = b""
    name: str = ""
    filename: str | None = None
    text: bytes = b""
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)


class _Parts:
    """Gathers files, fields and faults while the parser calls."""

    def __init__(self) -> None:
        self._count = 0
        self._part = _Part()
        self._files: list[File] = []
        self._modes: list[str] = []
        self._faults: list[str] = []
        self._finished = False

    def begin(self) -> None:
        self._count += 1
        if self._count > _MAX_PARTS:
            raise Refused(400, f"the form has more than {_MAX_PARTS} parts")
        self._part = _Part()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def header_end(self) -> None:
        if self._part.header.lower() == b"content-disposition":
            self._part.disposition = self._part.value
        self._part.header = self._part.value = b""

    def headers_end(self) -> None:
        part = self._part
        _, options = parse_options_header(part.disposition)
        part.name = options.get(b"name", b"").decode("utf-8", "backslashreplace")
        filename = options.get(b"filename")
        if filename is not None:
            try:
                part.filename = filename.decode("utf-8")
            except UnicodeDecodeError:
                part.filename = filename.decode("utf-8", "replace")
                self._faults.append(f"file {len(self._files) + 1}: the name is not UTF-8")

    def content(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.filename is not None:
            if part.size > MAX_FILE_BYTES:
                raise Refused(413, f"a file is larger than {MAX_FILE_BYTES} bytes")
            part.digest.update(memoryview(data)[start:end])
        elif part.size <= _MAX_VALUE_BYTES:
            part.text += data[start:end]

    def end(self) -> None:
        part = self._part
        if part.name == "processing_mode" and part.filename is None:
            self._modes.append(part.text.decode("utf-8", "backslashreplace"))
        elif part.name != "file":
            self._faults.append(f"{short(part.name)}: unknown field")
        elif part.filename is None:
            self._faults.append("file: should be a file, not a text")
        else:
            self._faults += [
                f"file {len(self._files) + 1}: {fault}" for fault in _faults_of(part.filename, part.size)
            ]
            self._files.append(File(name=part.filename, size=part.size, digest=part.digest.hexdigest()))

    def finish(self) -> None:
        self._finished = True

    def upload(self) -> Upload:
        """Give what was read, or raise all faults at once."""
        if not self._finished:
            raise Refused(400, _NOT_MULTIPART)
        faults = self._faults
        if not self._files:
            faults.append("file: no file was given")
        if len(self._files) > MAX_FILES:
            faults.append(f"file: {len(self._files)} files are more than the {MAX_FILES} of one request")
        mode: Mode = "realtime"
        match self._modes:
            case [] | ["realtime"]:
                pass
            case ["batch"]:
                mode = "batch"
            case [value]:
                faults.append(f"processing_mode: should be 'realtime' or 'batch', not {short(value)}")
            case _:
                faults.append("processing_mode: given more than once")
        if faults:
            raise Refused(400, "; ".join(faults))
        return Upload(files=tuple(self._files), mode=mode)


def _faults_of(name: str, size: int) -> list[str]:
    faults = []
    if not 1 <= len(name) <= _MAX_NAME:
        faults.append(f"the name should have from 1 to {_MAX_NAME} characters")
    if any(unicodedata.category(char) == "Cc" or char in _BIDIRECTIONAL or char in "/\\" for char in name):
        faults.append("the name has a slash, a backslash, or a control or bidirectional character")
    if not size:
        faults.append("the file is empty")
    return faults
