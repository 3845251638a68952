"""The webhook configurations of a create, read strictly, each to what there is to tell of a batch.

A configuration without a URL, or with events of other products only, is taken and asks for nothing.
No message here repeats a secret or the value of a header: messages are sent back and shown.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from reconciler.emulator.errors import Fault
from reconciler.emulator.llamacloud.values import text_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.emulator.validation import BodyReader

Format: TypeAlias = Literal["string", "json"]

# By the status that a batch has come to; nobody is told of THROTTLED.
EVENT_OF: Mapping[str, str] = {
    "PENDING": "batch.pending",
    "RUNNING": "batch.running",
    "COMPLETED": "batch.success",
    "FAILED": "batch.error",
    "CANCELLED": "batch.cancelled",
}
# The names that the reference lists, by product.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "batch": ("cancelled", "error", "pending", "running", "success"),
    "classify": ("cancelled", "error", "partial_success", "pending", "running", "success"),
    "extract": ("cancelled", "error", "partial_success", "pending", "success"),
    "parse": ("cancelled", "error", "partial_success", "pending", "running", "success"),
    "sheets": ("cancelled", "error", "partial_success", "pending", "success"),
    "split": ("cancelled", "error", "pending", "processing", "success"),
    "verify": ("cancelled", "error", "pending", "running", "success"),
}
EVENTS = (
    *(f"{product}.{name}" for product, names in _NAMES.items() for name in names),
    "unmapped_event",
)

_FIELDS = (
    "webhook_url",
    "webhook_events",
    "webhook_headers",
    "webhook_output_format",
    "webhook_signing_secret",
)
_MOST = 10
_MOST_EVENTS = 100
_MOST_HEADERS = 50
_LONGEST_URL = 2_048
_LONGEST_NAME = 256
_LONGEST_VALUE = 4_096
_LONGEST_SECRET = 1_024

# No user and password: they would be shown with the URL, and a header can hold them.
_URL = re.compile(r"(?i:https?)://([^/?#@:][^/?#@]*)([/?#].*)?")
_BARRED = re.compile(r"[\x00-\x20\x7f-\x9f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# They say where a request goes and where it ends.
_NOT_ONES_OWN = frozenset({"host", "content-length", "transfer-encoding"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """Whom to tell of a batch.

    Attributes:
        url: where to POST to.
        events: of which events, all of them about batches.
        headers: what to send along, by name.
        format: whether the body is the event, or a JSON text that holds the event as JSON.
        secret: what to sign with, if anything.
    """

    url: str
    events: tuple[str, ...] = tuple(EVENT_OF.values())
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    format: Format = "string"
    secret: str | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """The host and port of the URL as they stand there, in small letters."""
        found = _URL.fullmatch(self.url)
        assert found is not None
        return found[1].lower()


def read_webhooks(document: BodyReader) -> tuple[Webhook, ...]:
    """Read `webhook_configurations`; what is wrong with them is noted as faults of the body."""
    key = "webhook_configurations"
    sent = document.fields.get(key)
    if isinstance(sent, list) and len(sent) > _MOST:
        _note(document, [key], f"Input should have at most {_MOST} items", "too_long")
        return ()
    read = [_read(reader) for reader in document.objects(key) if reader.known]
    return tuple(webhook for webhook in read if webhook is not None and webhook.events)


def _read(reader: BodyReader) -> Webhook | None:
    reader.allow(*_FIELDS)
    url = _text(reader, "webhook_url")
    if url is not None:
        _note_url(reader, url)
    wanted = _events(reader)
    headers = _headers(reader)
    chosen = _format(reader)
    secret = _text(reader, "webhook_signing_secret")
    if secret is not None and not 1 <= len(secret) <= _LONGEST_SECRET:
        message = f"Input should have from 1 to {_LONGEST_SECRET} characters"
        _note(reader, ["webhook_signing_secret"], message, "string_length")
    if url is None or reader.faults:
        return None
    return Webhook(url=url, events=wanted, headers=headers, format=chosen, secret=secret)


def _note_url(reader: BodyReader, url: str) -> None:
    found = _URL.fullmatch(url)
    if len(url) > _LONGEST_URL:
        message, kind = f"Input should have at most {_LONGEST_URL} characters", "string_too_long"
    elif _BARRED.search(url):
        message, kind = "Input should have no spaces and no control characters", "string_characters"
    elif found is None:
        message = "Input should be a URL with http or https and a host, without user and password"
        kind = "url_parsing"
    else:
        return
    _note(reader, ["webhook_url"], message, kind)


def _events(reader: BodyReader) -> tuple[str, ...]:
    key = "webhook_events"
    value = reader.fields.get(key)
    if value is None:
        return tuple(EVENT_OF.values())
    if not isinstance(value, list):
        _note(reader, [key], "Input should be a list", "list_type")
        return ()
    if len(value) > _MOST_EVENTS:
        _note(reader, [key], f"Input should have at most {_MOST_EVENTS} items", "too_long")
        return ()
    for index, event in enumerate(value):
        if not isinstance(event, str):
            _note(reader, [key, index], "Input should be a string", "string_type")
        elif event not in EVENTS:
            message = "Input should be an event of the reference, such as 'batch.success'"
            _note(reader, [key, index], message, "literal_error")
    return tuple(event for event in EVENT_OF.values() if event in value)


def _headers(reader: BodyReader) -> tuple[tuple[str, str], ...]:
    key = "webhook_headers"
    value = reader.fields.get(key)
    if value is None:
        return ()
    if not isinstance(value, dict):
        _note(reader, [key], "Input should be an object", "object_type")
        return ()
    if len(value) > _MOST_HEADERS:
        _note(reader, [key], f"Input should have at most {_MOST_HEADERS} properties", "too_long")
        return ()
    for name, text in value.items():
        fault = _header_fault(name, text)
        if fault is not None:
            # Half a surrogate pair, which JSON can spell, fits into no reply.
            shown = name[:_LONGEST_NAME].encode("utf-8", "replace").decode("utf-8")
            _note(reader, [key, shown], *fault)
    return tuple((name, text) for name, text in value.items() if isinstance(text, str))


def _header_fault(name: str, text: object) -> tuple[str, str] | None:
    if len(name) > _LONGEST_NAME or not _TOKEN.fullmatch(name):
        return f"The name of a header is a token of at most {_LONGEST_NAME} characters", "header_name"
    if name.lower() in _NOT_ONES_OWN:
        return "This header is the sender's own", "header_name"
    if not isinstance(text, str):
        return "Input should be a string", "string_type"
    fault = text_fault(text, longest=_LONGEST_VALUE)
    if fault is None and any(unicodedata.category(character) == "Cc" for character in text):
        return "Input should have no control characters", "string_characters"
    return fault


def _format(reader: BodyReader) -> Format:
    key = "webhook_output_format"
    value = _text(reader, key)
    if value is None:
        return "string"
    known: Mapping[str, Format] = {name: name for name in get_args(Format)}
    if value not in known:
        _note(reader, [key], "Input should be 'string' or 'json'", "literal_error")
    return known.get(value, "string")


def _text(reader: BodyReader, key: str) -> str | None:
    """Give a text that may be absent or null."""
    value = reader.fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        _note(reader, [key], "Input should be a string", "string_type")
        return None
    fault = text_fault(value, longest=len(value))
    if fault is not None:
        _note(reader, [key], *fault)
        return None
    return value


def _note(reader: BodyReader, inner: list[str | int], message: str, kind: str) -> None:
    reader.faults.append(Fault(loc=[*reader.path, *inner], msg=message, type=kind))
