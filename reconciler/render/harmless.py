"""Text from outside, so that it cannot move a cursor, break a line, turn the reading direction or hide."""

from __future__ import annotations

import re

# C0 and C1 controls (escape among them), line and paragraph separators, every format character of Unicode
# (invisible marks, overrides and isolates of the bidirectional algorithm, tags), lone surrogates.
_HARMFUL = (
    "[\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff0-\ufffb\ud800-\udfff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# Marks that stack upon a letter and, in a flood, over the lines around it. No script needs five in a row.
_MARK = (
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    "\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f]"
)

_SHOWN_OTHERWISE = re.compile(f"{_HARMFUL}|(?<={_MARK * 4}){_MARK}")


def harmless(text: str) -> str:
    """The text with every such character written as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return _SHOWN_OTHERWISE.sub(
        lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text
    )
