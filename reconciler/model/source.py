"""Where things were written: documents, positions in them, and what is to be said about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a manifest can hold once it is read: no dates, no bytes, no references.
Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"

#: The way from a document's root to a value in it: ``("spec", "directories", 3, "id")``.
Path: TypeAlias = "tuple[str | int, ...]"


class Source(NamedTuple):
    """A place in a file. Lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(StrEnum):
    """Whether a diagnostic stops what was asked for."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One thing to say about one place; diagnostics are gathered, sorted and shown together."""

    source: Source
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        kind = "" if self.severity is Severity.ERROR else "warning: "
        return f"{self.source}: {kind}{self.message}"


class Locator(Protocol):
    """Finds where a value of a document was written, by reading the document's text once more.

    Positions are wanted only for what is wrong or shown, so none are kept while reading. The second
    of two results is asked for with ``key=True``: the place of the mapping key instead of its value.
    """

    def __call__(self, path: Path, *, key: bool = False) -> Source:
        """The place of the value at ``path``, or of the nearest value above it that exists."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One YAML document of a manifest file, as read and not yet validated."""

    source: Source
    value: Mapping[str, Value]
    locate: Locator
