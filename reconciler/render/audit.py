"""What verifying the audit log came to: lines for people, whose last is an interface, and a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.document import FORMAT_VERSION
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.audit import HeldAgainst, Verified


def verified_lines(verified: Verified) -> Iterator[str]:
    """Every fault, what a person does about them, each once, and what was looked at."""
    if not (verified.files or verified.faults):
        yield "There is no audit log yet."
        return
    yield from (harmless(str(fault)) for fault in verified.faults)
    yield from (f"  next: {harmless(way_out)}" for way_out in dict.fromkeys(f.next for f in verified.faults))
    yield from _held_against(verified.against)
    faults = _count(len(verified.faults), "fault") if verified.faults else "no faults"
    yield f"Audit log: {_count(verified.files, 'file')}, {_count(verified.lines, 'line')}, {faults}."


def verified_document(verified: Verified) -> dict[str, Any]:
    """The same for programs."""
    against = verified.against
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "AuditVerified",
        "valid": not verified.faults,
        "files": verified.files,
        "lines": verified.lines,
        "lockfile": {"file": against.lockfile, "heads": against.heads} if against.lockfile else None,
        "signatures": {
            "keys": list(against.keys),
            "holding": against.signatures,
            "newest": against.newest or None,
        },
        "faults": [
            {"file": fault.file, "line": fault.line, "message": fault.what, "next": fault.next}
            for fault in verified.faults
        ],
    }


def _held_against(against: HeldAgainst) -> Iterator[str]:
    """What would have shown, and what would not: no faults means no more than that."""
    if against.heads:
        heads = _count(against.heads, "head")
        yield harmless(f"A cut end would show: {against.lockfile} has {heads} of the log.")
    elif against.lockfile:
        yield harmless(
            f"A cut end of the newest files would not show: {against.lockfile} has no head of the log."
        )
    else:
        yield "A cut end of the newest files would not show: there was no lockfile to hold the log against."
    if against.signatures:
        signatures = _count(against.signatures, "signature")
        verb = "holds, made" if against.signatures == 1 else "hold, the newest made"
        yield harmless(f"A rewritten log would show: {signatures} {verb} at {against.newest}.")
    elif against.keys:
        yield "A rewritten log would not show: no signature holds with the given key."
    else:
        yield (
            "A log that was rewritten together with the lockfile would not show: no public key was given to"
            " hold signatures against."
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
