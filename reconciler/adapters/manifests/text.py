"""From a file's bytes to text that YAML may see, and places in it.

Only encoding and characters are judged here: UTF-8, no control characters. Lines are counted as YAML 1.1
and libyaml count them, so that a place found here and one found by the parser agree.
"""

from __future__ import annotations

import codecs
import re

from reconciler.model.source import Diagnostic, Source

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")

# What YAML does not call printable, and the byte order mark in the middle. Spelled out and not as the
# opposite of what is allowed: that takes 6 ms to compile, at every start.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")

_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def decode(data: bytes, file: str) -> str | Diagnostic:
    """The text of a file, without a leading byte order mark, or what is wrong with it."""
    for mark, name in _OTHER_ENCODINGS:
        if data.startswith(mark):
            return Diagnostic(Source(file), f"the file is written in {name}; save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        message = f"not UTF-8: byte 0x{data[error.start]:02x} does not belong here; save the file as UTF-8"
        return Diagnostic(place_at(before, len(before), file), message)
    found = _FORBIDDEN.search(text)
    if found is not None:
        return Diagnostic(place_at(text, found.start(), file), forbidden_message(found[0]))
    return text


def forbidden_message(character: str) -> str:
    """The sentence about a character that no manifest may hold."""
    name = "a NUL byte" if character == "\x00" else f"the control character U+{ord(character):04X}"
    return f"{name} cannot stand in a manifest"


def forbidden_in(text: str) -> str | None:
    """The first character of a value that no manifest may hold, however it was written."""
    found = _FORBIDDEN.search(text)
    return None if found is None else found[0]


def place_at(text: str, offset: int, file: str) -> Source:
    """The line and column of an offset into the text."""
    line, start = 1, 0
    for found in _BREAK.finditer(text, 0, offset):
        line += 1
        start = found.end()
    return Source(file, line, offset - start + 1)


def character_at(text: str, line: int, column: int) -> str:
    """The character at a line and column, both counted from 0, or "" where there is none."""
    start = 0
    if line:
        for number, found in enumerate(_BREAK.finditer(text), start=1):
            if number == line:
                start = found.end()
                break
        else:
            return ""
    return text[start + column : start + column + 1]
