"""How values, kinds of values, paths and near misses are named in a sentence."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from reconciler.model.secret import sounds_secret

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.source import Path

_LONGEST = 60
# A near miss differs in at most so many characters, and is looked for among at most so many words.
_FAR = 6
_COMPARED = 200
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCHEMA_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}

# Beneath these keys people paste secrets by mistake, so nothing from there is ever shown.
_SECRET = frozenset({"apiKey", "webhook_headers", "webhook_signing_secret", "webhook_url"})


def shown(value: object) -> str:
    """A value as it may stand in a message: quoted, cut short, with nothing for a terminal to act on."""
    text = str(value)
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def kind_of(value: object) -> str:
    """What a value is, in the words of somebody who writes YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def schema_type(name: str) -> str:
    """What a JSON Schema type is called here."""
    return _SCHEMA_TYPES.get(name, name)


def is_secret(path: Path) -> bool:
    """Whether what stands at this path may be a secret."""
    return any(part in _SECRET or sounds_secret(str(part)) for part in path)


def dotted(path: Path) -> str:
    """A path as people write it: ``spec.directories[3].id``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def one_of(words: Iterable[str]) -> str:
    """``'a', 'b' or 'c'``."""
    names = [repr(word) for word in words]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def meant(word: str, known: Iterable[str]) -> str:
    """``: did you mean 'x'?`` when a known word is near, else the known words, else nothing."""
    words = sorted(known)
    # difflib takes 20 µs a word, and its square in the word's length: only likely words are compared.
    likely = [name for name in words if abs(len(name) - len(word)) <= _FAR and len(name) <= _LONGEST][
        :_COMPARED
    ]
    near = get_close_matches(word, likely, n=1) or [name for name in words if name.lower() == word.lower()]
    if near:
        return f": did you mean {near[0]!r}?"
    if not words:
        return ""
    listed = ", ".join(repr(name) for name in words[:12])
    return f"; known here: {listed}{', …' if words[12:] else ''}"
