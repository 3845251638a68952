"""Which values of an answer may be null, read from an OpenAPI 3.1 document.

A path is a tuple of property names; `[]` stands for every item of a list and `{}` for every value of
a map that has no name of its own in the contract.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Path: TypeAlias = tuple[str, ...]
Paths: TypeAlias = frozenset[Path]
Nullable: TypeAlias = "Callable[[str, str], Paths]"
_Schema: TypeAlias = "Mapping[str, Any]"

_MAX_DEPTH = 12
# With these null, a list would end early, and no client could know.
_TOKENS = frozenset({"next_page_token", "next_cursor"})


def nothing_nullable(method: str, path: str) -> Paths:
    """Give no paths: what stands in when there is no document."""
    del method, path
    return frozenset()


def nullable_in(document: _Schema) -> Nullable:
    """Make a function that gives the paths which may be null in the good answers of a method and path.

    Args:
        document: An OpenAPI 3.1 document. References within it are followed, others ignored.
    """

    @lru_cache(maxsize=1024)
    def nullable(method: str, path: str) -> Paths:
        operation = _operation(document, method, path)
        schemas = (
            media["schema"]
            for status, answer in operation.get("responses", {}).items()
            if str(status).startswith("2")
            for kind, media in _resolved(document, answer).get("content", {}).items()
            if "json" in kind and "schema" in media
        )
        return frozenset(found for each in schemas for found in _paths(document, each, ()))

    return nullable


def _operation(document: _Schema, method: str, path: str) -> _Schema:
    """Find an operation. A path with fewer placeholders goes first, as OpenAPI wants it."""
    fitting = sorted(
        (template.count("{"), template)
        for template in document.get("paths", {})
        if re.fullmatch(_pattern(template), path)
    )
    for _, template in fitting:
        operation = document["paths"][template].get(method.lower())
        if operation is not None:
            return dict(operation)
    return {}


def _pattern(template: str) -> str:
    return "".join(
        "[^/]+" if part[:1] == "{" else re.escape(part) for part in re.split(r"(\{[^}]*\})", template)
    )


def _resolved(document: _Schema, schema: object) -> _Schema:
    """Follow references until there is none; a circle or a reference that leads nowhere allows nothing."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        if not reference.startswith("#/"):
            return {}
        found: object = document
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        schema = found
    return {}


def _allows_null(document: _Schema, schema: object, depth: int = 0) -> bool:
    resolved = _resolved(document, schema)
    if depth > _MAX_DEPTH:
        return False
    kinds = resolved.get("type", [])
    if kinds == "null" or (isinstance(kinds, list) and "null" in kinds):
        return True
    if ("const" in resolved and resolved["const"] is None) or None in resolved.get("enum", []):
        return True
    choices = [*resolved.get("anyOf", []), *resolved.get("oneOf", [])]
    if any(_allows_null(document, choice, depth + 1) for choice in choices):
        return True
    parts = resolved.get("allOf", [])
    return bool(parts) and all(_allows_null(document, part, depth + 1) for part in parts)


def _paths(document: _Schema, schema: object, here: Path) -> Iterator[Path]:
    resolved = _resolved(document, schema)
    if len(here) > _MAX_DEPTH:
        return
    for word in ("anyOf", "oneOf", "allOf"):
        for part in resolved.get(word, []):
            yield from _paths(document, part, here)
    steps = [(name, item) for name, item in resolved.get("properties", {}).items() if name not in _TOKENS]
    steps += [("[]", resolved[word]) for word in ("items",) if word in resolved]
    steps += [("{}", resolved[word]) for word in ("additionalProperties",) if word in resolved]
    for name, item in steps:
        below = (*here, name)
        if _allows_null(document, item):
            yield below
        yield from _paths(document, item, below)
