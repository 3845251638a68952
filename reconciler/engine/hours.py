"""Whether a create or a cancel may go now, asked again right before each (R15, as C2 does for its key).

A plan that was approved in a window is carried out for as long as that is open: what comes to its turn later,
after a wait for a place, for others to complete or for a service that asked for patience, is not begun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.windows import closed
from reconciler.model.project import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.batch import Key
    from reconciler.model.manifest import BatchSet
    from reconciler.model.plan import Action, Closed
    from reconciler.model.ports import Clock


@dataclass
class Hours:
    """A run's windows.

    Attributes:
        limits: the project's.
        sets: by name, with windows of their own.
        lifted: what was confirmed while a window was closed, and so goes all the same.
        shut: what turned out to be closed, by whose windows they are.
    """

    clock: Clock
    limits: Limits = field(default_factory=Limits)
    sets: Mapping[str, BatchSet] = field(default_factory=dict)
    lifted: frozenset[Key] = frozenset()
    shut: dict[str, Closed] = field(default_factory=dict)

    def against(self, action: Action) -> str:
        """Why an action may not be begun now; "" when it may."""
        if action.key in self.lifted:
            return ""
        now, name = self.clock.now(), action.address.set
        found = closed(self.limits, now)
        if found is None and (there := self.sets.get(name)) is not None:
            found = closed(there.limits, now, f"set {name}")
        if found is None:
            return ""
        self.shut.setdefault(found.scope, found)
        return f"{found.why} by now; {opening(found)}"


def opening(item: Closed) -> str:
    """When something opens next, in words."""
    return f"it opens {item.locally}" if item.opens else "it does not open within a year"
