"""Reading an upload out of a multipart request: bounded, whole, and with every fault of its fields.

A field that is there and empty counts as absent: that is how clients send a null in a form.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from reconciler.emulator.errors import Fault, Invalid, Refused
from reconciler.emulator.llamacloud.uploads import Upload
from reconciler.emulator.llamacloud.values import SEPARATORS, metadata_fault, name_fault
from reconciler.emulator.validation import clipped, read_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.datastructures import FormData
    from starlette.types import Message as Event

MAX_UPLOAD_BYTES = 100 * 1024 * 1024
# Boundaries, headers and the other fields stand around the file.
_MAX_AROUND_BYTES = 1024 * 1024
_MAX_FIELDS = 16
_FILE = "upload_file"
_TEXTS = ("display_name", "unique_id", "external_file_id", "metadata")
_ENDING = re.compile(r"\.[a-z0-9]{1,10}", re.ASCII)


@asynccontextmanager
async def read_upload(request: Request) -> AsyncIterator[Upload]:
    """Read a multipart body; a large file goes to a temporary one on the disk until the block ends.

    Raises:
        Refused: 413, when it is too large; 400, when it is broken or the file is empty.
        Invalid: with every fault of its fields.
    """
    bounded = Request(request.scope, _Body(request).receive)
    try:
        form = await bounded.form(max_files=1, max_fields=_MAX_FIELDS)
    except ClientDisconnect as error:
        raise Refused(400, "The body ended before it was whole") from error
    # Of the parser, and of the codec that the content type asks for.
    except (ValueError, LookupError) as error:
        raise Refused(400, "The body is no valid multipart/form-data") from error
    try:
        yield _Form(form).upload()
    finally:
        await form.close()


class _Body:
    """The body of a request as it comes in: bounded, and whole."""

    def __init__(self, request: Request) -> None:
        message = Message()
        message["Content-Type"] = request.headers.get("content-type", "")
        self._multipart = message.get_content_type() == "multipart/form-data"
        # Within a file it would follow no line break: a boundary is chosen so.
        self._end = f"\r\n--{message.get_boundary('')}--".encode("latin-1", "replace")
        self._ended = False
        self._receive = request.receive
        self._size = 0
        # A form without fields begins with it.
        self._tail = b"\r\n"
        # A body that says how long it is need not be read to be refused.
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and len(length) < 20:  # noqa: PLR2004 - digits
            self._bound(int(length))

    async def receive(self) -> Event:
        """Hand on the next piece.

        Raises:
            Refused: 413, when it is too much; 400, when it is the last one and lacks the last boundary,
                because fields may be missing then.
        """
        event = await self._receive()
        chunk: bytes = event.get("body", b"")
        self._size += len(chunk)
        self._bound(self._size)
        # What follows the last boundary means nothing, and may be of any length.
        if self._multipart and not self._ended:
            window = self._tail + chunk
            self._ended = self._end in window
            self._tail = window[-len(self._end) :]
        # Said from within the parser, which closes its temporary files then, and otherwise would not.
        if self._multipart and not event.get("more_body", False) and not self._ended:
            raise Refused(400, "The body ended before it was whole")
        return event

    def _bound(self, size: int) -> None:
        if size > MAX_UPLOAD_BYTES + _MAX_AROUND_BYTES:
            raise Refused(413, f"The body is larger than {MAX_UPLOAD_BYTES + _MAX_AROUND_BYTES} bytes")


class _Form:
    """The fields of a form, and what is wrong with them."""

    def __init__(self, form: FormData) -> None:
        self._faults: list[Fault] = []
        self._texts: dict[str, str] = {}
        self._file: UploadFile | None = None
        seen = set()
        for key, value in form.multi_items():
            if key not in {_FILE, *_TEXTS}:
                self._note(key, ("Extra inputs are not permitted", "extra_forbidden"))
            elif key in seen:
                self._note(key, ("Input should be given once", "repeated"))
            elif isinstance(value, UploadFile) != (key == _FILE):
                kind = "a file" if key == _FILE else "a string"
                self._note(key, (f"Input should be {kind}", "form_value"))
            elif isinstance(value, UploadFile):
                self._file = value
            elif value:
                self._texts[key] = value
            seen.add(key)
        if _FILE not in seen:
            self._note(_FILE, ("Field required", "missing"))

    def upload(self) -> Upload:
        """Give what the form says.

        Raises:
            Refused: 413, when the file is too large; 400, when it is empty.
            Invalid: with every fault of the fields.
        """
        metadata = self._metadata()
        filename = "" if self._file is None else self._file.filename or ""
        name = self._text("display_name", default=filename, without=SEPARATORS)
        external = self._text("external_file_id", default=filename or name)
        unique_id = self._text("unique_id", default=external)
        if self._faults or self._file is None:
            raise Invalid(self._faults)
        size = self._file.size or 0
        if not size:
            raise Refused(400, "The file is empty")
        if size > MAX_UPLOAD_BYTES:
            raise Refused(413, f"The file is larger than {MAX_UPLOAD_BYTES} bytes")
        return Upload(
            content=self._file.file,
            name=name,
            unique_id=unique_id,
            metadata=metadata,
            ending=_ending(filename) or _ending(name),
        )

    def _text(self, key: str, *, default: str, without: str = "") -> str:
        """Give a text, or what stands for it; a fault of the file's name is the file's."""
        text = self._texts.get(key)
        fault = name_fault(default if text is None else text, without=without)
        if text is not None:
            self._note(key, fault)
        elif not self._faults:
            self._note(_FILE, fault and (f"{fault[0]} in its name, which stands for {key}", fault[1]))
        return default if text is None else text

    def _metadata(self) -> Mapping[str, object] | None:
        text = self._texts.get("metadata")
        if text is None:
            return None
        try:
            document = read_json(text)
        except ValueError:
            self._note("metadata", ("Input should be a JSON object", "json_invalid"))
            return None
        fault = metadata_fault(document)
        self._note("metadata", fault)
        return document if isinstance(document, dict) and fault is None else None

    def _note(self, key: str, fault: tuple[str, str] | None) -> None:
        if fault is not None:
            message, kind = fault
            # A key is bytes that somebody sent, read by a codec that somebody chose.
            self._faults.append(Fault(loc=["body", clipped(key)], msg=message, type=kind))


def _ending(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower()
    return ending if _ENDING.fullmatch(ending) else ""
