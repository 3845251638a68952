"""What a suite stands on: a service that a test can look into and make misbehave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractAsyncContextManager

    from reconciler.model.batch import Key
    from reconciler.model.ports import Creator, Watcher


class Trouble(StrEnum):
    """What one request to the service meets. A stand brings about those that its service can have."""

    REFUSED = "refused"  # the service says no, and nothing was made; it may repeat what it was sent
    THROTTLED = "throttled"  # the service says "later", and nothing was made
    UNREACHABLE = "unreachable"  # not a byte arrives
    UNANSWERED = "unanswered"  # it arrives and takes effect, and the reply is lost
    BROKEN = "broken"  # the service fails, or what it answers makes no sense


class _Stand:
    """What both suites need.

    Attributes:
        secrets: what the provider is given and may show nowhere.
    """

    secrets: Sequence[str] = ()

    def disturb(self, trouble: Trouble) -> bool:  # noqa: ARG002 - for those who can
        """Let the next request, and only that one, meet a trouble; False if this service knows no such."""
        return False

    def requests(self) -> int:
        """How many requests have reached the service, or would have but for a trouble."""
        return 0


class ProviderStand(_Stand, ABC):
    """A service that batches can be created on."""

    @abstractmethod
    def connected(self) -> AbstractAsyncContextManager[Creator]:
        """A connection to the stand's one service, in its event loop; every call makes another one."""

    @abstractmethod
    def works(self) -> Sequence[Key]:
        """At least three works, each over a directory of its own that no batch was ever made of."""

    @abstractmethod
    async def files(self, directory: str) -> Collection[str]:
        """The ids of the files in the directory of a work."""

    @abstractmethod
    def creates(self) -> int:
        """How many creates have reached the service, or would have but for a trouble."""

    async def finish(self, batch: str) -> bool:  # noqa: ARG002 - for those who can
        """Bring a batch to its end, if it has not ended; False if the stand has no hand in that."""
        return False


class WatcherStand(_Stand, ABC):
    """A service whose batches can be watched."""

    @abstractmethod
    def connected(self) -> AbstractAsyncContextManager[Watcher]:
        """A connection to the stand's one service, in its event loop; every call makes another one."""

    @abstractmethod
    def batches(self) -> Sequence[str]:
        """The ids of all its batches: at least two, made at different times, of more than one status."""
