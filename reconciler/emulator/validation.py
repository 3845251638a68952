"""Read a request's query and body strictly; say every fault at once as a 422 reply.

Here is the shape of what may be asked. Whether the things asked about exist is not decided here.
Unknown query parameters are let pass, as web services do; unknown body fields are faults, because
a misspelt field in a request that costs money must not be ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.emulator.errors import Fault, Invalid
from reconciler.emulator.moments import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.emulator.moments import Micros

_MAX_STRING = 512
# As much of what was sent as fits a message: our own ids do as a whole.
_MAX_SHOWN = 40
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(slots=True)
class QueryReader:
    """Reads query parameters one by one and gathers what is wrong with them; `finish` raises it."""

    pairs: Sequence[tuple[str, str]]
    faults: list[Fault] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        """Give the last value of a parameter."""
        return next((value for key, value in reversed(self.pairs) if key == name), None)

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        """Give a whole number within bounds, both inclusive."""
        text = self.text(name)
        if text is None:
            return default
        # The length bound keeps a number of many digits from costing anything.
        if not (text.isascii() and text.removeprefix("-").isdigit()) or len(text) > 12:  # noqa: PLR2004 - digits
            self._add(name, f"Input should be a whole number, not {short(text)}", "int_parsing")
        elif not low <= (number := int(text)) <= high:
            self._add(name, f"Input should be between {low} and {high}, not {number}", "out_of_range")
        else:
            return number
        return default

    def moment(self, name: str) -> Micros | None:
        """Give a point in time."""
        text = self.text(name)
        if text is None:
            return None
        moment = parse_rfc3339(text)
        if moment is None:
            self._add(
                name,
                f"Input should be an RFC 3339 date and time with an offset, not {short(text)}",
                "datetime_parsing",
            )
        return moment

    def flag(self, name: str) -> bool:
        """Give a truth value, false when absent."""
        text = (self.text(name) or "false").lower()
        if text not in _TRUE | _FALSE:
            self._add(name, f"Input should be true or false, not {short(text)}", "bool_parsing")
        return text in _TRUE

    def choices(self, name: str, options: Sequence[str]) -> tuple[str, ...]:
        """Give all values of a repeatable parameter, each one of `options`."""
        values = tuple(value for key, value in self.pairs if key == name)
        for value in values:
            if value not in options:
                self._add(name, f"Input should be {_any_of(options)}, not {short(value)}", "literal_error")
        return values

    def choice(self, name: str, options: Sequence[str]) -> str | None:
        """Give the one value of a parameter that is one of `options`."""
        values = self.choices(name, options)
        return values[-1] if values else None

    def refuse_token(self) -> None:
        """Note that the page token is not one of ours, or belongs to another list or filter."""
        self._add("page_token", "Page token is not valid for this request", "page_token")

    def finish(self) -> None:
        """Raise all faults at once.

        Raises:
            Invalid: if there are any.
        """
        if self.faults:
            raise Invalid(self.faults)

    def _add(self, name: str, message: str, kind: str) -> None:
        self.faults.append(Fault(loc=["query", name], msg=message, type=kind))


def read_body(body: bytes) -> BodyReader:
    """Read a body that should be one JSON object; what is wrong with it shows at `finish`.

    Raises:
        Invalid: if it is no JSON.
    """
    return BodyReader(["body"], _decode(body), [])


def read_json(text: bytes | str) -> object:
    """Decode JSON as its standard says it: in UTF-8 without a mark, no key twice, no NaN.

    Raises:
        ValueError: with the reason.
    """
    try:
        # Given bytes, the decoder would guess among UTF-8, UTF-16 and UTF-32.
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        document: object = json.loads(decoded, object_pairs_hook=_object, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    # Many nested brackets.
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        # `add` gives None: the first key that was there already is the one.
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {short(twice)} is there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _decode(body: bytes) -> object:
    try:
        return read_json(body)
    except ValueError as error:
        message = f"Body is not JSON: {error}"
        raise Invalid([Fault(loc=["body"], msg=message, type="json_invalid")]) from error


class BodyReader:
    """One object of a body, the path to it, and the list of faults shared by all of them.

    Attributes:
        known: whether there is such an object; of one that is not there, nothing is missing.
    """

    def __init__(self, path: list[str | int], value: object, faults: list[Fault]) -> None:
        self.path = path
        self.faults = faults
        self.known = isinstance(value, dict)
        self.fields: dict[str, object] = value if isinstance(value, dict) else {}
        if not self.known:
            self._add([], "Input should be an object", "object_type")

    def finish(self) -> None:
        """Raise all faults at once.

        Raises:
            Invalid: if there are any.
        """
        if self.faults:
            raise Invalid(self.faults)

    def allow(self, *names: str) -> None:
        """Note every field with another name as a fault."""
        for name in self.fields:
            if name not in names:
                self._add([clipped(name)], "Extra inputs are not permitted", "extra_forbidden")

    def child(self, name: str) -> BodyReader:
        """Give the object in a field; an absent one reads as empty, and its absence is a fault."""
        if name in self.fields:
            return BodyReader([*self.path, name], self.fields[name], self.faults)
        if self.known:
            self._add([name], "Field required", "missing")
        absent = BodyReader([*self.path, name], {}, self.faults)
        absent.known = False
        return absent

    def string(self, name: str, options: Sequence[str] = ()) -> str:
        """Give a required text of some characters, one of `options` if there are any; "" when it is not."""
        if name not in self.fields:
            if self.known:
                self._add([name], "Field required", "missing")
            return ""
        value = self.fields[name]
        if not isinstance(value, str):
            self._add([name], "Input should be a string", "string_type")
        elif options and value not in options:
            self._add([name], f"Input should be {_any_of(options)}, not {short(value)}", "literal_error")
        elif len(value) > _MAX_STRING:
            self._add([name], f"Input should have at most {_MAX_STRING} characters", "string_too_long")
        elif not value or _encodable(value) != value:
            self._add([name], "Input should be a string of at least one valid character", "string_value")
        else:
            return value
        return ""

    def text(self, name: str) -> None:
        """Check a required text of any length, empty too."""
        if name not in self.fields:
            if self.known:
                self._add([name], "Field required", "missing")
        elif not isinstance(self.fields[name], str):
            self._add([name], "Input should be a string", "string_type")

    def strings(self, name: str) -> None:
        """Check a list of texts, which may be absent or null."""
        for index, item in self._items(name):
            if not isinstance(item, str):
                self._add([name, index], "Input should be a string", "string_type")

    def objects(self, name: str) -> Iterator[BodyReader]:
        """Give the objects of a list, which may be absent or null, one by one; what is no object is noted."""
        for index, item in self._items(name):
            yield BodyReader([*self.path, name, index], item, self.faults)

    def _items(self, name: str) -> Sequence[tuple[int, object]]:
        value = self.fields.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self._add([name], "Input should be a list", "list_type")
            return ()
        return tuple(enumerate(value))

    def _add(self, inner: list[str | int], message: str, kind: str) -> None:
        self.faults.append(Fault(loc=[*self.path, *inner], msg=message, type=kind))


def _any_of(options: Sequence[str]) -> str:
    quoted = [repr(option) for option in options]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def clipped(text: str) -> str:
    """Give what was sent so that a reply never repeats a megabyte, or half a surrogate pair."""
    return _encodable(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def short(text: str) -> str:
    """Give what was sent for a message: cut, and escaped, so that it never repeats a control code."""
    return ascii(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def _encodable(text: str) -> str:
    # A JSON body may spell half of a surrogate pair, which no reply and no database row can hold.
    return text.encode("utf-8", "replace").decode("utf-8")
