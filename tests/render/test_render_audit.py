"""What verifying the audit log came to, as people read it."""

from __future__ import annotations

import pytest

from reconciler.model.audit import AuditFault, HeldAgainst, Verified
from reconciler.render.audit import verified_lines

NOTHING = (
    "A cut end of the newest files would not show: there was no lockfile to hold the log against.",
    (
        "A log that was rewritten together with the lockfile would not show: no public key was given to hold"
        " signatures against."
    ),
)


@pytest.mark.parametrize(
    ("verified", "printed"),
    [
        (Verified(0, 0, ()), ["There is no audit log yet."]),
        (Verified(1, 1, ()), [*NOTHING, "Audit log: 1 file, 1 line, no faults."]),
        (
            Verified(
                2,
                14,
                (
                    AuditFault("audit/a.jsonl", 2, "was changed", "restore a"),
                    AuditFault("audit/a.jsonl", 10, "was changed", "restore a"),
                    AuditFault("state\x1b[2J/lock", 1, "no\nhead", "restore\u202eit"),
                ),
            ),
            [
                "audit/a.jsonl:2: was changed",
                "audit/a.jsonl:10: was changed",
                "state\\x1b[2J/lock:1: no\\nhead",
                "  next: restore a",
                "  next: restore\\u202eit",
                *NOTHING,
                "Audit log: 2 files, 14 lines, 3 faults.",
            ],
        ),
        (
            Verified(0, 0, (AuditFault("audit/a.jsonl", 1, "there is no such file", "fetch it"),)),
            [
                "audit/a.jsonl:1: there is no such file",
                "  next: fetch it",
                *NOTHING,
                "Audit log: 0 files, 0 lines, 1 fault.",
            ],
        ),
    ],
)
def test_faults_then_ways_out_then_the_closing_line(verified: Verified, printed: list[str]) -> None:
    assert list(verified_lines(verified)) == printed


@pytest.mark.parametrize(
    ("against", "first", "second"),
    [
        (
            HeldAgainst("lo\nck", 2, ("sha256:1",), 1, "noon"),
            "A cut end would show: lo\\nck has 2 heads of the log.",
            "A rewritten log would show: 1 signature holds, made at noon.",
        ),
        (
            HeldAgainst("lock", 0, ("sha256:1",), 3, "noon"),
            "A cut end of the newest files would not show: lock has no head of the log.",
            "A rewritten log would show: 3 signatures hold, the newest made at noon.",
        ),
        (
            HeldAgainst("lock", 1, ("sha256:1",), 0, ""),
            "A cut end would show: lock has 1 head of the log.",
            "A rewritten log would not show: no signature holds with the given key.",
        ),
    ],
)
def test_what_would_have_shown_is_said(against: HeldAgainst, first: str, second: str) -> None:
    assert list(verified_lines(Verified(1, 1, (), against)))[:2] == [first, second]
