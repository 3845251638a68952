"""What verifying the audit log came to: lines for people, whose last is an interface, and a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.render.harmless import harmless
from reconciler.render.json import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.audit import Verified


def verified_lines(verified: Verified) -> Iterator[str]:
    """Every fault, what a person does about them, each once, and what was looked at."""
    if not (verified.files or verified.faults):
        yield "There is no audit log yet."
        return
    yield from (harmless(str(fault)) for fault in verified.faults)
    yield from (f"  next: {harmless(way_out)}" for way_out in dict.fromkeys(f.next for f in verified.faults))
    faults = _count(len(verified.faults), "fault") if verified.faults else "no faults"
    yield f"Audit log: {_count(verified.files, 'file')}, {_count(verified.lines, 'line')}, {faults}."


def verified_document(verified: Verified) -> dict[str, Any]:
    """The same for programs."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "AuditVerified",
        "valid": not verified.faults,
        "files": verified.files,
        "lines": verified.lines,
        "faults": [
            {"file": fault.file, "line": fault.line, "message": fault.what, "next": fault.next}
            for fault in verified.faults
        ],
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
