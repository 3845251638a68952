"""What a fault may do to the connection by which a request came: the port, and how it is found.

Two keep it: `connections` with the sockets of uvicorn, `inprocess` with the exceptions of httpx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

# Where a transport without sockets puts its line in the scope's `extensions`.
EXTENSION: Final = "reconciler.line"


class Line(Protocol):
    """The connection of one request."""

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to be answered."""

    def reset(self) -> None:
        """Break the connection off (TCP RST)."""

    def close(self) -> None:
        """Close the connection after what was already sent."""

    def refuse(self, seconds: float) -> None:
        """Accept no connections for so long, and close the others when they have nothing to do."""

    async def hold(self, receive: Receive, seconds: float | None) -> None:
        """Answer nothing until the client leaves; after so many seconds, close the connection."""

    async def wait(self, seconds: float) -> None:
        """Let time pass while a client waits; shorter when the service ends."""

    async def wait_afterwards(self, seconds: float) -> None:
        """Let time pass after the client has left; shorter when the service ends."""


class Lines(Protocol):
    """Gives the connection of a request."""

    def line(self, scope: Scope) -> Line:
        """Give the connection that a request came by."""


def line_of(scope: Scope, lines: Lines | None) -> Line:
    """Find the connection of a request.

    Raises:
        RuntimeError: if the request came by a server that is neither of the two.
    """
    line: Line | None = (scope.get("extensions") or {}).get(EXTENSION)
    if line is not None:
        return line
    if lines is None:
        raise RuntimeError("a fault needs the connection: serve with emulator.server or InProcessTransport")
    return lines.line(scope)


async def until_gone(receive: Receive) -> None:
    """Wait until the server says that the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
