"""Text from outside, so that it cannot move a cursor, break a line or turn the reading direction."""

from __future__ import annotations

import re

# C0 and C1 controls (escape among them), line and paragraph separators, invisible marks and the
# overrides and isolates of the bidirectional algorithm, lone surrogates, and tag characters.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    """The text with every such character written as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return _HARMFUL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)
