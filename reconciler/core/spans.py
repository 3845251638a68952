"""Spans of time in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def span(age: timedelta) -> str:
    """A span in its largest fitting unit; what lies in the future is 0 s."""
    seconds = max(0, int(age.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
