"""Secrets taken out of what a service said, in the forms that JSON, URLs and reprs give a text by themselves.

A service may repeat what it was sent: the key in "Invalid API key …", a webhook's secret in the input of a
422. In either, quotes, slashes and signs may come escaped, more than once where one document holds another.
What a service writes in a form of its own making cannot be found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A shorter secret is not looked for: it would be found in innocent words.
SHORTEST = 8

_INSTEAD = b"[secret]"


class Redaction:
    """Some secrets, and texts without them.

    Args:
        secrets: those shorter than `SHORTEST` are passed over.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first, so that what holds another is taken out whole.
        looked_for = sorted({text for text in secrets if len(text) >= SHORTEST}, key=len, reverse=True)
        self._plain = [text.encode() for text in looked_for]
        self._escaped = re.compile(b"|".join(b"(?:%s)" % _any_form(text) for text in looked_for))

    def body(self, body: bytes) -> bytes:
        """The body without the secrets. A NUL, which no JSON holds and UTF-16 is full of, is left out."""
        if not self._plain:
            return body
        if b"\0" in body:
            body = body.replace(b"\0", b"")
        for text in self._plain:
            body = body.replace(text, _INSTEAD)
        # Few bodies have any of what escapes begin with, and looking for all forms takes its time.
        return self._escaped.sub(_INSTEAD, body) if b"\\" in body or b"%" in body else body

    def text(self, text: str) -> str:
        """The same for a line of words."""
        return self.body(text.encode("utf-8", "replace")).decode()


def _any_form(secret: str) -> bytes:
    return b"".join(_any_form_of(char) for char in secret)


def _any_form_of(char: str) -> bytes:
    """A pattern for one character; so many backslashes as three documents within one another would need."""
    raw = char.encode()
    units = char.encode("utf-16-be")
    escaped = b"".join(rb"\\{1,8}u%s" % units[at : at + 2].hex().encode() for at in range(0, len(units), 2))
    percent = b"".join(b"%%%02x" % byte for byte in raw)
    return rb"(?:\\{0,8}%s|(?i:%s|%s))" % (re.escape(raw), escaped, percent)
