"""One line of the audit log: who did what to which batch, why, and what came of it."""

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
            stands beside another, and ``import`` for one recorded by hand.
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
