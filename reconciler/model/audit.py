"""The audit log: a line, which says who did what to which batch, why, and what came of it; and its faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """What happened to one address.

    Attributes:
        action: the action's kind, ``cancel`` by hand among them; ``resolve`` for what an earlier run had left
            open, ``recover`` for what it had recorded in the journal alone, ``duplicate`` for a batch that
            stands beside another, ``import`` for one recorded by hand, and ``track`` for one that is only
            watched, whose key is the endpoint.
        outcome: how it ended.
        why: the reason for the action, and after a failure what the service said.
        plan: digest of the plan that was approved.
        request_id: the service's own name for the request, or "".
    """

    time: datetime
    action: str
    address: str
    key: str
    batch: str
    outcome: str
    why: str = ""
    plan: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, order=True)
class AuditFault:
    """One thing that is wrong with the audit log, and the file and line where it is to be put right.

    Attributes:
        file: relative to the project's folder.
        line: counted from 1; where a line is missing, the one that it would be.
        what: the fault.
        next: the command or edit that helps.
    """

    file: str
    line: int
    what: str
    next: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying the audit log came to.

    Attributes:
        files: how many there are.
        lines: how many whole lines they have; what a crash tore does not count.
        faults: sorted by file and line.
    """

    files: int
    lines: int
    faults: tuple[AuditFault, ...]
