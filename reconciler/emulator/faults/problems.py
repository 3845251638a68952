"""What is wrong with a fault file, in words: one sentence for each rule of its schema that is broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.emulator.faults.errors import Problem
from reconciler.emulator.faults.kinds import DEFAULT_WHEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jsonschema import Draft202012Validator, ValidationError

_MAX_SHOWN = 60
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
    return {
        Problem(where=tuple(error.absolute_path), message=_message(error), rule=str(error.validator))
        for error in validator.iter_errors(document)
        # What is no mapping needs no trigger either.
        if error.validator != "oneOf" or isinstance(error.instance, dict)
    }


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems as they stand in the document."""
    # Numbers and names never stand at the same level, so the kind of the part decides nothing else.
    return sorted(problems, key=lambda problem: ([(str(type(p)), p) for p in problem.where], problem.message))


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
    subject = f"the fault {kind}" if kind in DEFAULT_WHEN else "this"
    return f"{subject} has no {', '.join(sorted(unknown))}; it has {', '.join(known)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
