"""Whether a document fits its schema, for the few keywords that our schemas use; nothing is explained here.

Importing jsonschema and making its validators takes a twentieth of a second to a fifth, which is much of a
small plan. Nearly every document fits, and then nobody has to say why not. So this asks first, and whatever
does not fit, or has a keyword that is not known here, is for jsonschema to judge. A test holds the two
against each other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What only describes, or is read with the keyword that it belongs to.
_SILENT = frozenset(
    {
        *("title", "description", "examples", "default", "$defs", "errorMessage", "patternErrorMessage"),
        *("then", "else"),
    }
)

_REFERENCE = "#/$defs/"


class UnjudgedError(Exception):
    """The schema has something that is not known here."""


class Plain:
    """The schema of one kind.

    Args:
        schema: JSON Schema, draft 2020-12.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = {name: rule for name, rule in schema.items() if name not in {"$schema", "$id"}}
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._compiled: dict[str, re.Pattern[str]] = {}

    def fits(self, value: object) -> bool:
        """Whether the schema allows a value.

        Raises:
            UnjudgedError: that is not known.
        """
        return self.allows(self._root, value)

    def allows(self, schema: Mapping[str, Any] | bool, value: object) -> bool:  # noqa: FBT001 - JSON
        """Whether a part of the schema allows a value."""
        if isinstance(schema, bool):
            return schema
        for keyword, rule in schema.items():
            if keyword in _SILENT:
                continue
            judge = _KEYWORDS.get(keyword)
            if judge is None:
                raise UnjudgedError(keyword)
            if not judge(self, rule, value, schema):
                return False
        return True

    def definition(self, reference: str) -> Mapping[str, Any]:
        """What a reference leads to."""
        name = reference.removeprefix(_REFERENCE)
        if not reference.startswith(_REFERENCE) or name not in self._definitions:
            raise UnjudgedError(reference)
        found: Mapping[str, Any] = self._definitions[name]
        return found

    def matches(self, pattern: str, text: str) -> bool:
        """Whether a schema's pattern is found in a text."""
        known = self._compiled.get(pattern)
        if known is None:
            known = self._compiled[pattern] = re.compile(python_pattern(pattern))
        return known.search(text) is not None


def python_pattern(pattern: str) -> str:
    r"""A schema's pattern for Python, where ``$`` would also match before a line end: ``\Z`` does not."""
    return f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern


_Schema = dict[str, Any]


def _properties(plain: Plain, rule: _Schema, value: object, _: _Schema) -> bool:
    if not isinstance(value, dict):
        return True
    return all(plain.allows(inner, value[name]) for name, inner in rule.items() if name in value)


def _additional(plain: Plain, rule: _Schema, value: object, schema: _Schema) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    return all(name in known or plain.allows(rule, inner) for name, inner in value.items())


def _if(plain: Plain, rule: _Schema, value: object, schema: _Schema) -> bool:
    branch = "then" if plain.allows(rule, value) else "else"
    return plain.allows(schema.get(branch, True), value)


def _format(plain: Plain, rule: str, value: object, schema: _Schema) -> bool:
    # What has not the form of its format has its fault already; a format that is not ours describes.
    pattern = schema.get("pattern", "")
    if rule in FORMATS and isinstance(value, str) and value and plain.matches(pattern, value):
        try:
            FORMATS[rule](value)
        except ValueError:
            return False
    return True


def _equals(_: Plain, rule: object, value: object, __: _Schema) -> bool:
    if not isinstance(rule, str):  # JSON's 1 is 1.0, and Python's 1 is True
        raise UnjudgedError(rule)
    return isinstance(value, str) and value == rule


def _is_one_of(plain: Plain, rule: list[object], value: object, schema: _Schema) -> bool:
    judged = [_equals(plain, item, value, schema) for item in rule]  # all of them: each has to be known
    return any(judged)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return _is_number(value) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


_TYPES: dict[object, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": _is_integer,
}


def _is_type(_: Plain, rule: object, value: object, __: _Schema) -> bool:
    return any(_TYPES[name](value) for name in (rule if isinstance(rule, list) else [rule]))


_KEYWORDS: dict[str, Callable[[Plain, Any, Any, Any], bool]] = {
    "$ref": lambda plain, rule, value, _: plain.allows(plain.definition(rule), value),
    "additionalProperties": _additional,
    "allOf": lambda plain, rule, value, _: all(plain.allows(inner, value) for inner in rule),
    "const": _equals,
    "enum": _is_one_of,
    "format": _format,
    "if": _if,
    "items": lambda plain, rule, value, _: (
        not isinstance(value, list) or all(plain.allows(rule, item) for item in value)
    ),
    "maxLength": lambda _, rule, value, __: not isinstance(value, str) or len(value) <= rule,
    "maximum": lambda _, rule, value, __: not _is_number(value) or value <= rule,
    "minItems": lambda _, rule, value, __: not isinstance(value, list) or len(value) >= rule,
    "minLength": lambda _, rule, value, __: not isinstance(value, str) or len(value) >= rule,
    "minProperties": lambda _, rule, value, __: not isinstance(value, dict) or len(value) >= rule,
    "minimum": lambda _, rule, value, __: not _is_number(value) or value >= rule,
    "not": lambda plain, rule, value, _: not plain.allows(rule, value),
    "pattern": lambda plain, rule, value, _: not isinstance(value, str) or plain.matches(rule, value),
    "properties": _properties,
    "propertyNames": lambda plain, rule, value, _: (
        not isinstance(value, dict) or all(plain.allows(rule, name) for name in value)
    ),
    "required": lambda _, rule, value, __: not isinstance(value, dict) or all(name in value for name in rule),
    "type": _is_type,
}
