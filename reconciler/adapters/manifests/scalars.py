"""What a plain YAML scalar means: ``true``, ``false``, ``null``, decimal numbers, and text.

YAML 1.1 reads ``no`` as false, ``017`` as fifteen, ``12:30:45`` as a number and ``2026-11-01`` as a date.
Here all of these stay text, because ids and names look like that. A float needs its point and its
exponent a sign, so that a short commit such as ``12e45`` stays text too. Whatever is typed here, PyYAML's
own writer quotes when it means text, so that what it writes reads back equal.
"""

from __future__ import annotations

import math
import re

#: The most characters that a number may have. Python itself refuses integers beyond 4,300 digits.
MAX_NUMBER = 64

_WORDS: dict[str, bool | None] = {"": None, "null": None, "true": True, "false": False}
_NUMBER_STARTS = frozenset("+-0123456789")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]*(?:[eE][-+][0-9]+)?")


def plain_value(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar.

    Raises:
        ValueError: it is a number that is too long or too large; the message is a sentence.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    whole = _INTEGER.fullmatch(text) is not None
    if not whole and _FLOAT.fullmatch(text) is None:
        return text
    if len(text) > MAX_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is too long; quote it if it is text")
    if whole:
        return int(text)
    number = float(text)
    if math.isinf(number):
        raise ValueError("this number is too large; quote it if it is text")
    return number
