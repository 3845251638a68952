"""The last resort: what is said of an exception that nobody expected, without what must not be said.

Where it comes from, a message may hold anything. So nothing of the environment is repeated: a value stands as
the name of its variable, whatever the project calls its secrets.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Shorter values stand in innocent words too.
_SHORTEST = 8
_LONGEST = 500


def in_short(error: BaseException, environ: Mapping[str, str]) -> str:
    """An exception's kind and message, on one harmless line."""
    words = "".join(traceback.format_exception_only(error)).strip()
    return harmless(without_values(words, environ)[:_LONGEST])


def in_full(error: BaseException, environ: Mapping[str, str]) -> Iterator[str]:
    """The traceback with all its causes, in harmless lines."""
    for line in without_values("".join(traceback.format_exception(error)), environ).splitlines():
        yield harmless(line)


def without_values(text: str, environ: Mapping[str, str]) -> str:
    """A text in which each value of the environment stands as its variable's name."""
    found = {form: name for name, value in sorted(environ.items(), reverse=True) for form in _forms(value)}
    for form in sorted(found, key=len, reverse=True):  # what holds another goes first
        text = text.replace(form, f"[{found[form]}]")
    return text


def _forms(value: str) -> Iterator[str]:
    """A value and the password in it, as they are, in a repr and in a URL."""
    try:
        password = urlsplit(value).password or "" if "@" in value else ""
    except ValueError:
        password = ""
    for part in (value, password, unquote(password)):
        if len(part) >= _SHORTEST:
            yield from (part, repr(part)[1:-1], quote(part, safe="", errors="replace"))
