"""How values look: text for people, JSON for programs. Pure: a value comes in, text goes out.

What came from outside (names, messages) passes through `harmless` on its way to a terminal. A room is
imported by whoever first says its name, since most runs want one format of many.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from reconciler.render import (
        drift,
        events,
        github,
        json,
        junit,
        markdown,
        remarks,
        sarif,
        status,
        text,
    )

__all__ = [
    "drift",
    "events",
    "github",
    "json",
    "junit",
    "markdown",
    "remarks",
    "sarif",
    "status",
    "text",
]


def __getattr__(name: str) -> ModuleType:
    """A room, as an attribute.

    Raises:
        AttributeError: there is none of that name.
    """
    if name not in __all__:
        raise AttributeError(f"{__name__} has no room {name!r}")
    return import_module(f"{__name__}.{name}")
