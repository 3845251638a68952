"""Times: whole microseconds since 1970 inside, RFC 3339 in UTC outside.

Integers compare and sort exactly, in SQLite too. Where the time comes from (the clock) is the
owner's choice; nothing here reads one but `system_clock`.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

# Microseconds since the epoch, in UTC.
Micros: TypeAlias = int
Clock: TypeAlias = "Callable[[], Micros]"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# RFC 3339 wants an offset. A `+` that was not percent-encoded arrives as a space and is refused here.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def system_clock() -> Micros:
    """Give the machine's time."""
    return time.time_ns() // 1000


def rfc3339(moment: Micros) -> str:
    """Write a moment as the service does, always with microseconds."""
    # Four times as fast as strftime, and a page has two hundred of them.
    return (_EPOCH + moment * _MICROSECOND).isoformat(timespec="microseconds")[:-6] + "Z"


def http_date(moment: Micros) -> str:
    """Write a moment as the `Date` header wants it; whole seconds, rounded down."""
    return formatdate(moment // 1_000_000, usegmt=True)


def parse_rfc3339(text: str) -> Micros | None:
    """Read a moment; None when the text is no RFC 3339 date and time."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return (moment - _EPOCH) // _MICROSECOND
