"""How a report writes times, ages, files and counts."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from reconciler.render.report.html import Html, tag

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from reconciler.model.batch import FileCounts

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")


def stamp(moment: datetime | None) -> str:
    """A time in UTC, to the second, or ""; as text it sorts like time."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def spoken(written: str) -> str:
    """A time as people read it in a column; what is no time of that form stays as it is."""
    match = _STAMP.fullmatch(written)
    return f"{match[1]} {match[2]}" if match else written


def when(written: str) -> Html:
    """A time as an element."""
    if not _STAMP.fullmatch(written):
        return tag("span", written)
    return tag("time", spoken(written), datetime=written)


def long_ago(age: timedelta | None) -> str:
    """An age in its two largest units, or ""."""
    if age is None:
        return ""
    minutes, seconds = divmod(int(age.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{size:,} {unit}" for size, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if size]
    return " ".join(parts[:2]) or f"{seconds} s"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def fared(files: FileCounts | None) -> str:
    """How a batch's files fared, or ""."""
    if files is None:
        return ""
    return f"{files.total:,}" + (f", {files.failed:,} failed" if files.failed else "")
