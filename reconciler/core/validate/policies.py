"""Whether a policy is a JSON Schema that can be held against plans: sound, and bounded in what it reaches.

A policy reads no other file and reaches no host, so that it may only refer to itself. Each of its keywords
has to be one that there is: a misspelled one would forbid nothing and say nothing. Its patterns may not
repeat what repeats: Python's matching can then take longer than anybody waits. That keeps a match from
growing by powers of two; what two or three ``.*`` in one pattern cost on a very long text, it does not.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.faults import Fault
from reconciler.core.validate.words import kind_of, meant, one_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reconciler.model.source import Path

#: How deep a policy may be nested: holding it against a plan takes some frames of Python for each level.
MAX_DEPTH = 48

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: The author's own words, beside those of JSON Schema.
MESSAGES = ("errorMessage", "x-message")
LEVEL, CONFIRM = "x-level", "x-confirm"
LEVELS, CONFIRMS = ("error", "warning"), ("digest", "never")

_OF_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMAS = frozenset(
    {
        *("items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
_KNOWN = frozenset(
    {
        *_OF_SCHEMAS,
        *_LISTS,
        *_SCHEMAS,
        *("$schema", "$id", "$ref", "$comment"),
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
        *("type", "enum", "const", "required", "dependentRequired"),
        *("minProperties", "maxProperties", "minItems", "maxItems", "uniqueItems"),
        *("minContains", "maxContains", "minLength", "maxLength", "pattern"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *MESSAGES,
        *(LEVEL, CONFIRM),
    }
)


def policy_faults(schema: Mapping[str, Any]) -> list[Fault]:
    """Everything that keeps a schema from being a policy."""
    if _deeper_than(schema, MAX_DEPTH):
        return [Fault((), f"nested more than {MAX_DEPTH} deep: define parts under $defs and refer to them")]
    from jsonschema import Draft202012Validator

    checker = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    faults = [
        Fault(tuple(error.absolute_path), f"this is no JSON Schema: {_short(error.message)}")
        for error in checker.iter_errors(schema)
    ]
    return faults or [fault for path, part in _parts(schema, ()) for fault in _in_part(part, path, schema)]


def _parts(schema: object, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every schema within a schema, itself first."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key, value in schema.items():
        if key in _OF_SCHEMAS:
            for name, part in value.items():
                yield from _parts(part, (*path, key, name))
        elif key in _LISTS:
            for index, part in enumerate(value):
                yield from _parts(part, (*path, key, index))
        elif key in _SCHEMAS:
            yield from _parts(value, (*path, key))


def _in_part(part: Mapping[str, Any], path: Path, whole: Mapping[str, Any]) -> Iterator[Fault]:
    for key in part:
        if key not in _KNOWN:
            yield Fault((*path, key), f"unknown keyword {shown(key)}{_near(key)}", key=True)
    if part.get("$schema", DIALECT) != DIALECT:
        yield Fault((*path, "$schema"), f"only {DIALECT} is read")
    if path and "$id" in part:
        yield Fault((*path, "$id"), "only the whole of a policy has an $id", key=True)
    if "$ref" in part and (why := _unreachable(part["$ref"], whole)):
        yield Fault((*path, "$ref"), why)
    yield from _own_words(part, path)
    if "pattern" in part and (why := _bad_pattern(part["pattern"])):
        yield Fault((*path, "pattern"), why)
    for pattern in part.get("patternProperties", ()):
        if why := _bad_pattern(pattern):
            yield Fault((*path, "patternProperties", pattern), why, key=True)


def _own_words(part: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    for key in MESSAGES:
        if key in part and not isinstance(part[key], str):
            yield Fault((*path, key), f"expected text, got {kind_of(part[key])}")
    for key, words in ((LEVEL, LEVELS), (CONFIRM, CONFIRMS)):
        if key in part and part[key] not in words:
            yield Fault((*path, key), f"expected {one_of(words)}, got {shown(part[key])}")


def _unreachable(reference: str, whole: Mapping[str, Any]) -> str:
    """Why a reference leads nowhere that a policy may go."""
    if not reference.startswith("#"):
        return "a policy refers to nothing but itself: expected '#/$defs/…'"
    if reference != "#" and not reference.startswith("#/"):
        return "expected '#/$defs/…': anchors are not followed"
    return "" if resolved(reference, whole) is not None else f"there is nothing at {shown(reference)}"


def resolved(reference: str, whole: Mapping[str, Any]) -> object:
    """What ``#`` or ``#/a/b`` refers to, or None."""
    from urllib.parse import unquote

    there: Any = whole
    for step in reference.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(there, dict) and name in there:
            there = there[name]
        elif isinstance(there, list) and name.isdecimal() and int(name) < len(there):
            there = there[int(name)]
        else:
            return None
    return there


def _bad_pattern(pattern: str) -> str:
    """Why a pattern is not matched here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]  # noqa: SLF001 - no other way
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"this is no pattern: {error}"
    if _repeats_repeats(parsed, inside=False):
        return "this repeats what repeats or branches, as (a+)+ does, and may take for ever: write it plainly"
    return ""


# Where each kind of a pattern's parts has the parts within it.
_WITHIN: Mapping[str, Callable[[Any], Iterable[Any]]] = {
    "MAX_REPEAT": lambda argument: [argument[2]],
    "MIN_REPEAT": lambda argument: [argument[2]],
    "POSSESSIVE_REPEAT": lambda argument: [argument[2]],
    "BRANCH": lambda argument: argument[1],
    "SUBPATTERN": lambda argument: [argument[-1]],
    "ATOMIC_GROUP": lambda argument: [argument],
    "ASSERT": lambda argument: [argument[1]],
    "ASSERT_NOT": lambda argument: [argument[1]],
}
_MANY = 1_000


def _repeats_repeats(parsed: Iterable[tuple[object, Any]], *, inside: bool) -> bool:
    """Whether something that may repeat without end can itself match in several ways."""
    for operator, argument in parsed:
        kind, deeper = str(operator), inside
        if kind.startswith("GROUPREF"):
            return True
        if kind.endswith("REPEAT"):
            if inside and argument[0] != argument[1]:
                return True
            deeper = inside or argument[1] > _MANY
        if kind == "BRANCH" and inside:
            return True
        within = _WITHIN.get(kind)
        if within and any(_repeats_repeats(part, inside=deeper) for part in within(argument)):
            return True
    return False


def _deeper_than(value: object, levels: int) -> bool:
    here: list[Any] = [value]
    for _ in range(levels):
        here = [inner for item in here for inner in (item.values() if isinstance(item, dict) else item)]
        here = [item for item in here if isinstance(item, dict | list)]
    return bool(here)


def _near(key: str) -> str:
    near = meant(key, _KNOWN)
    return near if near.endswith("?") else ": it would forbid nothing"


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"  # noqa: PLR2004 - a line or two
