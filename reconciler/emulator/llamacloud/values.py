"""What a value from outside must be to be kept and shown again: names, JSON.

A name is shown in terminals and reports, so nothing in it may move the cursor or turn the reading
direction; what is kept must fit into a reply, so half a surrogate pair, NaN and endless nesting do not.
"""

from __future__ import annotations

import json
import math
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NAME = 512
MAX_JSON_BYTES = 64 * 1024
MAX_JSON_DEPTH = 20

# What separates folders on one system or another: in names of directories and files it would mislead.
SEPARATORS = "/\\"
# Characters that turn the direction of what is shown after them.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def name_fault(name: str, *, without: str = "") -> tuple[str, str] | None:
    """Say what is wrong with a name, as a message and a kind; None when nothing is.

    Args:
        name: What is given as a name.
        without: Characters that this kind of name cannot have, besides those that none can.
    """
    if not name:
        return "Input should have at least 1 character", "string_too_short"
    if len(name) > MAX_NAME:
        return f"Input should have at most {MAX_NAME} characters", "string_too_long"
    for character in name:
        if (
            character in without
            or character in _DIRECTIONS
            or unicodedata.category(character) in {"Cc", "Cs"}
        ):
            return f"Input should not have the character U+{ord(character):04X}", "string_characters"
    return None


def text_fault(text: str, *, longest: int) -> tuple[str, str] | None:
    """Say what is wrong with a free text, as a message and a kind; None when nothing is."""
    if len(text) > longest:
        return f"Input should have at most {longest} characters", "string_too_long"
    if _has_half(text):
        return "Input should hold whole characters only", "string_characters"
    return None


def json_fault(value: object) -> tuple[str, str] | None:
    """Say why decoded JSON cannot be kept, as a message and a kind; None when it can."""
    for depth, inner in _walk(value):
        if depth > MAX_JSON_DEPTH:
            return f"Input should not nest deeper than {MAX_JSON_DEPTH} levels", "json_depth"
        if isinstance(inner, str) and _has_half(inner):
            return "Input should hold whole characters only", "string_characters"
        if isinstance(inner, float) and not math.isfinite(inner):
            return "Input should hold finite numbers only", "finite_number"
    if len(json.dumps(value).encode()) > MAX_JSON_BYTES:
        return f"Input should be at most {MAX_JSON_BYTES} bytes of JSON", "json_too_long"
    return None


def metadata_fault(value: object) -> tuple[str, str] | None:
    """Say why decoded JSON is no metadata (scalars and lists of strings by name); None when it is."""
    if not isinstance(value, dict):
        return "Input should be an object", "object_type"
    for key, inner in value.items():
        if isinstance(inner, dict) or (
            isinstance(inner, list) and not all(isinstance(item, str) for item in inner)
        ):
            shown = ascii(key[:40])
            return f"The value of {shown} should be a scalar or a list of strings", "metadata_value"
    return json_fault(value)


def _walk(value: object) -> Iterator[tuple[int, object]]:
    # Without recursion: how deep it may nest is what is to be found out.
    waiting = [(1, value)]
    while waiting:
        depth, current = waiting.pop()
        yield depth, current
        if isinstance(current, dict):
            waiting += [(depth + 1, inner) for pair in current.items() for inner in pair]
        elif isinstance(current, list):
            waiting += [(depth + 1, inner) for inner in current]


def _has_half(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
