"""Holding a document against the JSON Schema of its kind, fast for the long lists that sets have.

jsonschema in pure Python costs about 60 µs for each item of ``directories``: 0.6 s for 10,000. Nearly all
items are a mapping of one key, ``id``, ``name`` or ``match``, to text. A loop finds those that plainly
fit, 0.7 µs each, and jsonschema gets the others. The loop takes its patterns and lengths out of the
schema, so that it cannot say "fits" where the schema does not; a test holds the two against each other.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.faults import Fault
from reconciler.core.validate.formats import FORMATS
from reconciler.core.validate.plain import Plain, UnjudgedError, python_pattern
from reconciler.core.validate.sentences import faults_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jsonschema.protocols import Validator

    from reconciler.model.source import Value

#: How many faults of one document are told.
MAX_FAULTS = 1000

# The branch of the schema that judges an item with this one key.
_BRANCHES = {"id": "directoryById", "name": "directoryByName", "match": "directoryByPattern"}


class Checker:
    """The schema of one kind, ready to be used for many documents."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._whole = Plain(schema)
        self._plain = _plain_items(schema)

    @cached_property
    def _validator(self) -> Validator:
        return _validator(self._schema)

    def faults(self, value: Mapping[str, Value]) -> list[Fault]:
        """Everything about the document that the schema does not allow."""
        value, indexes = self._without_plain(value)
        with suppress(UnjudgedError):
            if self._whole.fits(value):
                return []
        found = (fault for error in self._validator.iter_errors(value) for fault in faults_of(error))
        faults = list(islice(found, MAX_FAULTS))
        if len(faults) == MAX_FAULTS:
            faults.append(Fault((), f"{MAX_FAULTS:,} faults in this document: the rest is not looked for"))
        if indexes is None:
            return faults
        return [fault._replace(path=_original(fault.path, indexes)) for fault in faults]

    def fits_plainly(self, item: Value) -> bool:
        """Whether the loop sees at once that the schema allows this item of ``directories``."""
        if type(item) is not dict or len(item) != 1:
            return False
        [(key, text)] = item.items()
        rule = self._plain.get(key)
        if rule is None or type(text) is not str:
            return False
        fits, shortest, longest = rule
        return shortest <= len(text) <= longest and fits(text) is not None

    def _without_plain(self, value: Mapping[str, Value]) -> tuple[Mapping[str, Value], Sequence[int] | None]:
        """The document with only those directories that must be looked at closely, and their indexes."""
        spec = value.get("spec")
        items = spec.get("directories") if isinstance(spec, dict) else None
        if not self._plain or not isinstance(spec, dict) or not isinstance(items, list) or not items:
            return value, None
        # One item is always left, so that the list is not empty where it was not.
        indexes = [index for index, item in enumerate(items) if not self.fits_plainly(item)] or [0]
        if len(indexes) == len(items):
            return value, None
        return {**value, "spec": {**spec, "directories": [items[index] for index in indexes]}}, indexes


def _original(path: tuple[str | int, ...], indexes: Sequence[int]) -> tuple[str | int, ...]:
    if path[:2] == ("spec", "directories") and len(path) > 2 and isinstance(path[2], int):  # noqa: PLR2004 - an item
        return (*path[:2], indexes[path[2]], *path[3:])
    return path


def _plain_items(schema: Mapping[str, Any]) -> dict[str, tuple[Any, int, int]]:
    """For each key of a plain item: what its text must match, and how short and long it may be."""
    definitions = schema.get("$defs", {})
    rules = {}
    for key, branch in _BRANCHES.items():
        if branch not in definitions:
            continue
        rule = definitions[branch]["properties"][key]
        if "$ref" in rule:
            rule = {**definitions[rule["$ref"].rpartition("/")[2]], **rule}
        fits = re.compile(python_pattern(rule["pattern"])).search
        rules[key] = (fits, rule.get("minLength", 0), rule["maxLength"])
    return rules


def _validator(schema: Mapping[str, Any]) -> Validator:
    # Imported late: it takes 0.1 s, and most documents fit plainly.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    plain = Plain(schema)

    def check_pattern(_: Validator, pattern: str, text: object, __: object) -> Iterator[ValidationError]:
        if isinstance(text, str) and not plain.matches(pattern, text):
            yield ValidationError("does not match")

    def check_format(
        _: Validator, name: str, text: object, schema: Mapping[str, Any]
    ) -> Iterator[ValidationError]:
        # What has not the form of its format has its fault already.
        # An installed package's schema may name a format that is not ours, and that then only describes.
        if (
            name in FORMATS
            and isinstance(text, str)
            and text
            and plain.matches(schema.get("pattern", ""), text)
        ):
            try:
                FORMATS[name](text)
            except ValueError as error:
                yield ValidationError(str(error))

    keywords = {"pattern": check_pattern, "format": check_format}
    made: Validator = extend(Draft202012Validator, keywords)(schema)  # type: ignore[no-untyped-call]
    return made
