"""Audit files as runs write them at noon, and what is wrong with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.adapters.audit import AuditFile, AuditFolder, verify
from reconciler.adapters.audit.lines import as_text, digest, heads_of, sealed
from reconciler.model.audit import AuditLine
from reconciler.model.ports import AuditLog, Environment
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
WHO = Environment("ada", "git", "", "c0ffee", True)
LOCKFILE = Source("reconciler.lock", 6)


class StillClock:
    """Noon."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        pass


def line(batch: str = "bat-1", **changes: str) -> AuditLine:
    texts = {
        "action": "create",
        "address": "invoices/dir-1",
        "key": "e p dir-1 parse_v2 cfg-1",
        "outcome": "created",
        "why": "missing",
        "plan": "sha256:1",
        "request_id": "req-1",
    }
    return AuditLine(time=NOON + timedelta(milliseconds=250), batch=batch, **texts | changes)


def begin(folder: Path, run: str, heads: Sequence[str] = ()) -> AuditFile:
    return AuditFolder(folder).begin(run, WHO, heads, StillClock())


def write(folder: Path, run: str, heads: Sequence[str] = (), lines: int = 2) -> str:
    """A whole run; gives its head."""
    log: AuditLog = begin(folder, run, heads)
    for number in range(lines):
        log.append(line(f"bat-{number}"))
    return log.close()


def path(folder: Path, run: str) -> Path:
    return folder / f"20260901T120000Z-{run}.jsonl"


def read(file: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in file.read_text().splitlines()]


def read_head(file: Path, whole: bytes) -> str:
    return f"{file.name}#{json.loads(whole.splitlines()[-1])['hash']}"


def faults(folder: Path, heads: Sequence[str]) -> list[str]:
    return [str(fault) for fault in verify(folder, heads, LOCKFILE).faults]


def forge(folder: Path, file: Path, number: int, heads: Sequence[str]) -> list[str]:
    """Change a line, and write all anew that comes after it, so that every hash is right again.

    Gives the heads that the lockfile would have to hold then.
    """
    renamed: dict[str, str] = {}
    for there in sorted(folder.glob("*.jsonl")):
        written = []
        before = ""
        for at, fields in enumerate(read(there), 1):
            old = f"{there.name}#{fields['hash']}"
            if at == 1:
                fields["heads"] = sorted(renamed.get(str(head), str(head)) for head in heads_of(fields))
                fields["prev"] = digest(as_text(fields["heads"]))
            else:
                fields["prev"] = before
            if (there, at) == (file, number):
                fields["actor"] = "mallory"
            new = sealed(fields)
            before = new.hash
            renamed[old] = f"{there.name}#{new.hash}"
            written.append(new.text)
        there.write_bytes(b"".join(written))
    return [renamed[head] for head in heads]
