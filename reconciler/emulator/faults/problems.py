"""What is wrong with a fault file, in words: one sentence for each rule of its schema that is broken."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from reconciler.emulator.faults.errors import Problem
from reconciler.emulator.faults.kinds import DEFAULT_WHEN, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jsonschema import Draft202012Validator, ValidationError

_MAX_SHOWN = 60
# How alike two names are, from 0 to 1, for one to be a slip of the other.
_NEAR = 0.7
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "a text",
}


def problems_of(validator: Draft202012Validator, document: object) -> set[Problem]:
    """Give every problem once."""
    kinds = _unknown_kinds(document)
    found = {
        Problem(
            where=tuple(error.absolute_path),
            message=_message(error),
            rule=str(error.validator),
            key=_key(error),
        )
        for error in validator.iter_errors(document)
        # What is no mapping needs no trigger either.
        if (error.validator != "oneOf" or isinstance(error.instance, dict))
        # Of an entry whose kind is not known, nothing else can be judged.
        and tuple(error.absolute_path)[:2] not in kinds
    }
    return found | set(kinds.values())


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems as they stand in the document."""
    # Numbers and names never stand at the same level, so the kind of the part decides nothing else.
    return sorted(
        problems,
        key=lambda each: (
            (each.line, each.column),
            [(str(type(part)), part) for part in each.where],
            each.message,
        ),
    )


def _unknown_kinds(document: object) -> Mapping[tuple[str | int, ...], Problem]:
    """Find entries whose kind is none, by where they stand. The first is told which kinds there are."""
    entries = document.get("faults") if isinstance(document, dict) else None
    found: dict[tuple[str | int, ...], Problem] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        kind = entry.get("fault", "closed") if isinstance(entry, dict) else "closed"
        if isinstance(kind, str) and kind in KINDS:
            continue
        message = f"there is no fault {_short(kind)}{_guess(kind)}"
        if not found:
            message += f" (there are {', '.join(KINDS)})"
        found["faults", index] = Problem(where=("faults", index, "fault"), message=message, rule="enum")
    return found


def _guess(kind: object) -> str:
    names = {name.lower(): name for name in KINDS}
    if not isinstance(kind, str):
        return ""
    near = difflib.get_close_matches(kind.lower()[:_MAX_SHOWN], names, n=1, cutoff=_NEAR)
    return f"; did you mean {names[near[0]]}?" if near else ""


def _key(error: ValidationError) -> str | None:
    """Give the first key that should not be there, for that is where to look."""
    if error.validator != "additionalProperties" or not isinstance(error.schema, dict):
        return None
    known, instance = error.schema.get("properties", {}), error.instance
    assert isinstance(instance, dict), "only of a mapping is a key too much"
    return next((str(name) for name in instance if name not in known), None)


def _message(error: ValidationError) -> str:
    expected: Any = error.validator_value
    instance: Any = error.instance
    schema = error.schema if isinstance(error.schema, dict) else {}
    match error.validator:
        case "type":
            names = [expected] if isinstance(expected, str) else expected
            return f"should be {' or '.join(_TYPES[name] for name in names)}, not {_short(instance)}"
        case "required":
            return f"needs {' and '.join(name for name in expected if name not in instance)}"
        case "additionalProperties":
            return _unknown(instance, schema)
        case "enum":
            return f"should be one of {', '.join(map(str, expected))}, not {_short(instance)}"
        case "const":
            return f"should be {expected}, not {_short(instance)}"
        case "oneOf":
            return "needs exactly one of probability, nth and every"
        case "pattern":
            return f"{schema['patternErrorMessage']}, not {_short(instance)}"
        case _:
            return f"{_bound(str(error.validator), expected)}, not {_short(instance)}"


def _bound(rule: str, limit: object) -> str:
    match rule:
        case "minimum":
            return f"should be {limit} or more"
        case "maximum":
            return f"should be {limit} or less"
        case "minItems" | "minLength":
            return "should not be empty"
        case "maxItems":
            return f"should have {limit} values or fewer"
        case "maxLength":
            return f"should have {limit} characters or fewer"
        case "uniqueItems":
            return "should have no value twice"
        case _:
            return f"breaks the rule {rule}"


def _unknown(instance: dict[str, object], schema: dict[str, Any]) -> str:
    known = schema["properties"]
    unknown = [str(name) for name in instance if name not in known]
    kind = instance.get("fault")
    if unknown == ["when"] and kind in DEFAULT_WHEN:
        return f"{kind} has no choice of when"
    if kind in DEFAULT_WHEN and "faults" in known:
        return "this is one entry of a fault file, not a file: POST adds one, PUT takes a whole file"
    subject = f"the fault {kind}" if kind in DEFAULT_WHEN else "this"
    return f"{subject} has no {', '.join(sorted(unknown))}; it has {', '.join(known)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
