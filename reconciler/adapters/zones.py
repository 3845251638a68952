"""The zones that clocks of places go by, as the machine or the package ``tzdata`` knows them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

# Files beside the zones that are whatever each machine makes of them.
_OF_THE_MACHINE = ("localtime", "posixrules", "Factory", "posix/", "right/")


@cache
def zone(name: str) -> tzinfo | None:
    """The zone of a name such as ``Europe/Berlin``, or None where there is none."""
    from zoneinfo import ZoneInfo  # imported late: few projects have windows

    if name.startswith(_OF_THE_MACHINE):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # no such file, a folder, a path that leads elsewhere
        return None


def zone_names() -> list[str]:
    """All names that `zone` knows, sorted."""
    from zoneinfo import available_timezones

    return sorted(name for name in available_timezones() if not name.startswith(_OF_THE_MACHINE))
