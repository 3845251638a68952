"""What verifying the audit log came to, as people read it."""

from __future__ import annotations

import pytest

from reconciler.model.audit import AuditFault, Verified
from reconciler.render.audit import verified_lines


@pytest.mark.parametrize(
    ("verified", "printed"),
    [
        (Verified(0, 0, ()), ["There is no audit log yet."]),
        (Verified(1, 1, ()), ["Audit log: 1 file, 1 line, no faults."]),
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
                "Audit log: 2 files, 14 lines, 3 faults.",
            ],
        ),
        (
            Verified(0, 0, (AuditFault("audit/a.jsonl", 1, "there is no such file", "fetch it"),)),
            [
                "audit/a.jsonl:1: there is no such file",
                "  next: fetch it",
                "Audit log: 0 files, 0 lines, 1 fault.",
            ],
        ),
    ],
)
def test_faults_then_ways_out_then_the_closing_line(verified: Verified, printed: list[str]) -> None:
    assert list(verified_lines(verified)) == printed
