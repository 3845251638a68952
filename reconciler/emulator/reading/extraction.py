"""From text to a record: the fields of an `extract_v2` configuration, applied.

A field is a regular expression whose first group is the value, multi-line (`^` and `$` are a line's).
A value that cannot be read as its type is a failure, never a guess: `03/04/2026` has two readings, so
such a field needs a `format`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from reconciler.emulator.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["text", "number", "date"]
Value: TypeAlias = "str | int | float | None"

_KINDS: tuple[Kind, ...] = get_args(Kind)
_OPTIONS = frozenset({"pattern", "required", "type", "format"})
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\s+([A-Za-z]{3,9})\.?,?\s+(\d{4})", re.ASCII)
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})", re.ASCII)
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_NUMBERS = tuple(
    re.compile(habit, re.ASCII)
    for habit in (
        r"(?P<whole>[+-]?[1-9]\d{0,2}(?:,\d{3})+)(?:\.(?P<decimals>\d+))?",
        r"(?P<whole>[+-]?[1-9]\d{0,2}(?:\.\d{3})+),(?P<decimals>\d+)",
        r"(?P<whole>[+-]?[1-9]\d{0,2}(?:\.\d{3}){2,})",
        r"(?P<whole>[+-]?\d+)(?:[.,](?P<decimals>\d+))?",
    )
)
_MAX_DIGITS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One value to look for. `format` is that of `datetime.strptime`, for dates only."""

    pattern: re.Pattern[str]
    required: bool
    kind: Kind
    format: str | None


def read_fields(document: object) -> dict[str, Field]:
    """Read the `fields` of a configuration.

    Raises:
        Unreadable: with the first thing that is wrong, and where.
    """
    if not isinstance(document, dict) or not document:
        raise Unreadable("its fields should be a mapping of at least one field")
    return {_name(name): _field(name, options) for name, options in document.items()}


def extract(fields: Mapping[str, Field], text: str) -> dict[str, Value]:
    """Give the record of a text: the value of each field, None for what was not found.

    Raises:
        Unreadable: when required fields are missing or values cannot be read as their type.
    """
    record: dict[str, Value] = {}
    failures = []
    for name, field in fields.items():
        match = field.pattern.search(text)
        found = match.group(1) if match else None
        try:
            record[name] = None if found is None else _value(field, found.strip())
        except Unreadable as error:
            failures.append(f"field {name!r}: {error}")
        if found is None and field.required:
            failures.append(f"required field {name!r} was not found")
    if failures:
        raise Unreadable("; ".join(failures))
    return record


def parse_number(text: str) -> int | float:
    """Read a number with thousands separators of any habit: `1,240.50`, `1.240,50`, `1 240,5`, `1'240`.

    A single mark begins the decimals, except a comma before exactly three digits: `1.240` is a little
    over one, `1,240` over a thousand. A mark at the end belongs to the sentence.

    Raises:
        Unreadable: when it is no number.
    """
    plain = re.sub(r"(?<=\d)['\u2019\s](?=\d)", "", text).rstrip(".,")
    for habit in _NUMBERS:
        match = habit.fullmatch(plain)
        if match and len(plain) <= _MAX_DIGITS:
            whole = re.sub("[.,]", "", match["whole"])
            decimals = match.groupdict().get("decimals")
            return int(whole) if decimals is None else float(f"{whole}.{decimals}")
    raise Unreadable(f"{_short(text)} is not a number")


def parse_date(text: str, layout: str | None) -> str:
    """Read a date, by its layout if one is given, and give it as `YYYY-MM-DD`.

    Raises:
        Unreadable: when it is no date, or can be read in two ways.
    """
    try:
        if layout is not None:
            # Only the calendar date is wanted, so a time zone would mean nothing.
            return datetime.strptime(text, layout).date().isoformat()  # noqa: DTZ007 - a date has no zone
        if match := _ISO.fullmatch(text):
            return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
        if match := _DOTTED.fullmatch(text):
            return date(int(match[3]), int(match[2]), int(match[1])).isoformat()
        if match := _DAY_FIRST.fullmatch(text):
            return date(int(match[3]), _month(match[2]), int(match[1])).isoformat()
        if match := _MONTH_FIRST.fullmatch(text):
            return date(int(match[3]), _month(match[1]), int(match[2])).isoformat()
    except ValueError as error:
        raise Unreadable(f"{_short(text)} is not a date") from error
    raise Unreadable(f"{_short(text)} is not a date, or can be read in two ways: give the field a format")


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise Unreadable(f"field {name!a} should have a text as its name")
    return name


def _field(name: str, options: object) -> Field:
    if not isinstance(options, dict):
        raise Unreadable(f"field {name!a} should be a mapping")
    if unknown := sorted(str(key) for key in options if key not in _OPTIONS):
        raise Unreadable(f"field {name!a} has an unknown option {unknown[0]!a}")
    kind = options.get("type", "text")
    required = options.get("required", False)
    layout = options.get("format")
    if kind not in _KINDS:
        raise Unreadable(f"field {name!a}: type should be one of {', '.join(_KINDS)}, not {kind!a}")
    if not isinstance(required, bool):
        raise Unreadable(f"field {name!a}: required should be true or false")
    if layout is not None and not (isinstance(layout, str) and kind == "date"):
        raise Unreadable(f"field {name!a}: format should be a text, and is for dates only")
    return Field(pattern=_pattern(name, options.get("pattern")), required=required, kind=kind, format=layout)


def _pattern(name: str, text: object) -> re.Pattern[str]:
    if not isinstance(text, str):
        raise Unreadable(f"field {name!a} should have a pattern")
    try:
        pattern = re.compile(text, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unreadable(f"field {name!a}: the pattern is not a regular expression: {error}") from error
    if not pattern.groups:
        raise Unreadable(f"field {name!a}: the pattern has no group for the value")
    return pattern


def _value(field: Field, text: str) -> Value:
    match field.kind:
        case "text":
            return text
        case "number":
            return parse_number(text)
        case "date":
            return parse_date(text, field.format)


def _month(name: str) -> int:
    # The names are English; strptime's would be those of the process's locale.
    return _MONTHS.index(name[:3].lower()) + 1


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:40]}…")  # noqa: PLR2004 - as long as fits a message
