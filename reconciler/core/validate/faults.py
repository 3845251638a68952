"""A fault on its way to becoming a diagnostic: a path into a document, and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.validate.words import dotted
from reconciler.model.source import Diagnostic, Path, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.source import Document


class Fault(NamedTuple):
    """What is wrong at a path. ``key`` places it at the mapping key instead of its value."""

    path: Path
    message: str
    key: bool = False
    severity: Severity = Severity.ERROR


def placed(document: Document, faults: Iterable[Fault]) -> list[Diagnostic]:
    """The faults of a document as diagnostics, each once."""
    return [_place(document, fault) for fault in dict.fromkeys(faults)]


def _place(document: Document, fault: Fault) -> Diagnostic:
    where = f"{dotted(fault.path)}: " if fault.path else ""
    return Diagnostic(document.locate(fault.path, key=fault.key), f"{where}{fault.message}", fault.severity)
