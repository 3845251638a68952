"""Whether a create or a cancel may go now, asked again right before each (R15, as C2 does for its key).

A plan that was approved in a window is carried out for as long as that is open: what comes to its turn later,
after a wait for a place, for others to complete or for a service that asked for patience, is not begun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.windows import closed
from reconciler.model.project import Limits
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.model.batch import Key
    from reconciler.model.manifest import BatchSet
    from reconciler.model.plan import Action, Closed
    from reconciler.model.ports import Clock
    from reconciler.model.result import Result


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
        found = self._closed(self.limits, now, "")
        if found is None and (there := self.sets.get(name)) is not None:
            found = self._closed(there.limits, now, f"set {name}")
        return f"{found.why} by now; {opening(found)}" if found else ""

    def left(self, results: Iterable[Result]) -> tuple[Closed, ...]:
        """What turned out to be closed, if anything was left undone."""
        undone = any(result.outcome is Outcome.NOT_STARTED for result in results)
        return tuple(item for _, item in sorted(self.shut.items())) if undone else ()

    def _closed(self, limits: Limits, now: datetime, scope: str) -> Closed | None:
        known = self.shut.get(scope)
        if known is not None and (known.opens is None or now < known.opens):
            return known
        found = closed(limits, now, scope)
        if found is not None:
            self.shut[scope] = found
        return found


def opening(item: Closed) -> str:
    """When something opens next, in words."""
    return f"it opens {item.locally}" if item.opens else "it does not open within a year"
