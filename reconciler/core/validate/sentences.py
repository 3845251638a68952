"""jsonschema's errors in plain sentences.

jsonschema says ``'x' is not of type 'array'``; here stands what a person expected to write, what there is
instead, and what was probably meant. Sentences that belong to one place stand in the schema itself, as
``patternErrorMessage`` and ``errorMessage``, where editors show them too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.faults import Fault
from reconciler.core.validate.words import is_secret, kind_of, meant, one_of, schema_type, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from reconciler.model.source import Path

_BOUNDS = {
    "minLength": "expected text, got none",
    "minItems": "expected at least one, got none",
    "minProperties": "expected at least one, got none",
    "maxLength": "this text has {value} characters, {limit} are allowed",
    "minimum": "expected at least {limit}, got {value}",
    "maximum": "expected at most {limit}, got {value}",
}

#: The schema keywords that have sentences; a test holds that the schemas use no other.
TRANSLATED = frozenset(
    {"additionalProperties", "required", "type", "enum", "const", "not", "format", "pattern", *_BOUNDS}
)


def faults_of(error: ValidationError) -> Iterator[Fault]:
    """The faults that one error of jsonschema stands for: an error about keys may name several."""
    path: Path = tuple(error.absolute_path)
    # jsonschema's types allow for errors that were never raised by a schema; these all were.
    schema: Any = error.schema
    value: Any = error.instance
    if error.validator == "additionalProperties":
        yield from _unknown_keys(schema, value, path)
    elif error.validator == "required":
        yield from _missing_keys(schema, value, path)
    elif "propertyNames" in error.absolute_schema_path:
        # jsonschema reports a bad key at the mapping that holds it.
        yield Fault((*path, str(value)), _sentence(error, path), key=True)
    elif error.validator == "not":
        yield Fault(path, schema.get("errorMessage", _misfit("not")), key=True)
    else:
        yield Fault(path, _sentence(error, path))


def _unknown_keys(schema: Any, value: Any, path: Path) -> Iterator[Fault]:  # noqa: ANN401 - JSON
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for key in value:
        if key not in known and not any(re.search(pattern, key) for pattern in patterns):
            where, name = (path, "") if is_secret(path) else ((*path, key), f" {shown(key)}")
            yield Fault(where, f"unknown key{name}{meant(key, known)}", key=True)


def _missing_keys(schema: Any, value: Any, path: Path) -> Iterator[Fault]:  # noqa: ANN401 - JSON
    if "errorMessage" in schema and len(schema["required"]) == 1 and "type" not in schema:
        yield Fault(path, schema["errorMessage"])
        return
    for key in schema["required"]:
        if key not in value:
            yield Fault(path, f"the key {shown(key)} is missing")


def _sentence(error: ValidationError, path: Path) -> str:
    schema: Any = error.schema
    value: Any = error.instance
    limit: Any = error.validator_value
    match error.validator:
        case "type":
            return _wrong_type(schema, value, limit)
        case "enum":
            return _not_one_of(value, limit, path)
        case "const":
            return _not_one_of(value, [limit], path)
        case "pattern":
            there = "" if is_secret(path) else f"{shown(value)}: "
            return f"{there}{schema.get('patternErrorMessage', 'this text does not fit')}"
        case "format":
            return error.message
        case bound if bound in _BOUNDS:
            return _BOUNDS[str(bound)].format(
                limit=limit, value=value if isinstance(value, (int, float)) else len(value)
            )
        case other:  # of an installed package's schema; ours use no other, which a test holds
            bound = f": {limit}" if isinstance(limit, (bool, int, float)) else ""
            return str(schema.get("errorMessage") or f"{_misfit(str(other))}{bound}")


def _misfit(keyword: str) -> str:
    """For the words of JSON Schema that our own schemas do not use, and an installed package's may."""
    return f"this does not fit the schema's {keyword!r}"


def _wrong_type(schema: dict[str, Any], value: object, wanted: str | list[str]) -> str:
    got = kind_of(value)
    names = [wanted] if isinstance(wanted, str) else wanted
    sentence = schema.get("errorMessage") or f"expected {' or '.join(map(schema_type, names))}"
    if sentence == "expected text" and isinstance(value, (bool, int, float)):
        got += ": quote it"
    return f"{sentence}; got {got}" if ":" in sentence else f"{sentence}, got {got}"


def _not_one_of(value: object, allowed: list[Any], path: Path) -> str:
    if not isinstance(value, str) or is_secret(path):
        return f"expected {one_of(allowed)}, got {kind_of(value)}"
    near = meant(value, [word for word in allowed if isinstance(word, str)])
    if near.endswith("?"):
        return f"{shown(value)} is not known{near}"
    return f"expected {one_of(allowed)}, got {shown(value)}"
