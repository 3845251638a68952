"""The form of an action's line as one regular expression, by which sound lines are told from others at once.

A line that fits is one that `lines.read_line` would take, byte for byte: the same names in the same order,
strings written in the one way. It is matched and hashed where it stands, which takes a tenth of the time
that reading and writing it anew does. A line that does not fit may still be one: `lines` then decides.
"""

from __future__ import annotations

import hashlib
import json
import re

# As `lines.as_text` writes a string: printable ASCII, with an escape only for what needs one, in lower case.
_CONTROL = rb"u00(?:0[0-7b]|0[ef]|1[0-9a-f]|7f|[89a-f][0-9a-f])"
_BEYOND = rb"u(?:0[1-9a-f][0-9a-f]{2}|[1-9a-f][0-9a-f]{3})"
_TEXT = rb'"((?:[ !#-\[\]-~]++|\\(?:["\\bfnrt]|' + _CONTROL + rb"|" + _BEYOND + rb'))*+)"'
_ANY = _TEXT.replace(b"((?:", b"(?:(?:")
_HASH = rb"sha256:[0-9a-f]{64}"


def _named(name: bytes) -> bytes:
    return _TEXT.replace(b'"((?:', b'"(?P<' + name + b">(?:")


#: A line of an action, whole. What stands between the ends of ``sealed`` is its own hash.
ACTION = re.compile(
    rb'\{"action":' + _named(b"action") + rb',"actor":' + _ANY + rb',"address":' + _named(b"address")
    + rb',"batch":' + _named(b"batch") + rb',"ciRun":' + _ANY + rb',"commit":' + _ANY
    + rb',"dirty":(?:true|false|null)(?P<sealed>,"hash":"(?P<hash>' + _HASH + rb')"),"key":' + _named(b"key")
    + rb',"kind":"action","outcome":' + _named(b"outcome") + rb',"plan":' + _ANY
    + rb',"prev":"(?P<prev>' + _HASH + rb')","requestId":' + _ANY + rb',"run":' + _ANY
    + rb',"time":' + _named(b"time") + rb',"why":' + _ANY + rb"\}\n"
)  # fmt: skip


def hash_fits(line: re.Match[bytes]) -> bool:
    """Whether a line is what its hash says: the digest of all of it but the hash and the newline."""
    raw = line.string
    start, end = line.span("sealed")
    content = hashlib.sha256(raw[:start])
    content.update(raw[end:-1])
    return b"sha256:" + content.hexdigest().encode() == line["hash"]


def written(text: str) -> bytes:
    """A string as it stands between its quotes."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text.encode()
    return json.dumps(text)[1:-1].encode()


def text_of(written: bytes) -> str:
    """A string, from what stands between its quotes."""
    if b"\\" not in written:
        return written.decode("ascii")
    text: str = json.loads(b'"' + written + b'"')
    return text
