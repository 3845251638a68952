"""One port for several services: each has the paths with its own beginning, its own key and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.applications import Starlette
    from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Doors:
    """An application made of others.

    Attributes:
        behind: the application for each beginning of a path.
        otherwise: the one for all other paths.
    """

    behind: Mapping[str, Starlette]
    otherwise: Starlette

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer whose path it is."""
        path: str = scope.get("path", "")
        app = next((app for start, app in self.behind.items() if path.startswith(start)), self.otherwise)
        await app(scope, receive, send)
