"""JSON that people write, with the place of each of its parts: policies, and samples of plans."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from reconciler.model.source import Diagnostic, Document, Source

if TYPE_CHECKING:
    from reconciler.model.source import Path

_SPACE = re.compile(r"[ \t\r\n]*")


def read_json(data: bytes, file: str) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    """One JSON object, or what is wrong with it.

    Args:
        data: the file's bytes.
        file: its name, for places.
    """
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        return None, (Diagnostic(Source(file, error.lineno, error.colno), message),)
    except UnicodeDecodeError:
        return None, (Diagnostic(Source(file), "the text is not UTF-8"),)
    except RecursionError:
        return None, (Diagnostic(Source(file), "nested too deep to be read"),)
    except ValueError as error:
        return None, (Diagnostic(Source(file), f"not valid JSON: {error}"),)
    if not isinstance(value, dict):
        return None, (Diagnostic(Source(file), "expected an object in braces"),)

    def locate(path: Path, *, key: bool = False) -> Source:
        at = _offset(text, path, key=key)
        return Source(file, text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1)

    return Document(Source(file), value, locate), ()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise ValueError(f"the key {name[:60]!r} stands twice in one object")
        names.add(name)
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _offset(text: str, path: Path, *, key: bool) -> int:
    """Where a part of a valid text begins; the nearest part around it where there is no such."""
    decode = json.JSONDecoder().raw_decode
    at = _skip(text, 0)
    for depth, step in enumerate(path):
        found = None
        inside = _skip(text, at + 1)
        index = 0
        while text[inside] not in "}]":
            name_at, name = inside, index
            if text[at] == "{":
                name, end = decode(text, inside)
                inside = _skip(text, _skip(text, end) + 1)
            if name == step:
                found = name_at if key and depth == len(path) - 1 else inside
                break
            inside = _skip(text, decode(text, inside)[1])
            inside = _skip(text, inside + 1) if text[inside] == "," else inside
            index += 1
        if found is None or (text[found] not in '{["' and depth < len(path) - 1):
            return at if found is None else found
        at = found
    return at


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
