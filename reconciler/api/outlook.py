"""What a command that only looks has before it: services, what is desired and what is recorded.

No lock is taken for it and nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from reconciler.core.select import Selection
    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import Home
    from reconciler.model.desired import Desired
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Lock
    from reconciler.model.project import Project
    from reconciler.model.tracking import TrackedChange


class Outlook(NamedTuple):
    """A project at one moment.

    Attributes:
        homes: per provider block that is connected, where it leads.
        intents: open ones, the oldest first.
        watch: looks at the watched batches that are selected; None where nothing is or was watched.
    """

    project: Project
    eyes: Eyes
    homes: Mapping[str, Home]
    desired: Desired
    lock: Lock
    intents: tuple[Intent, ...]
    watch: Callable[[Selection], Coroutine[object, object, tuple[TrackedChange, ...]]] | None = None
