"""Refresh: have the services look after what is only watched, and write down what they then say (R16).

The lock is held, since the lockfile is written. Nothing is created, and nothing that is desired is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.steps import audit_recovered
from reconciler.engine.tracking import record_watched, refresh_tracked

if TYPE_CHECKING:
    from reconciler.core.tracking import Tracking
    from reconciler.engine.run import Run
    from reconciler.engine.tracking import Lookout
    from reconciler.model.tracking import TrackedChange


async def refresh(run: Run, lookout: Lookout, tracking: Tracking) -> tuple[TrackedChange, ...]:
    """Ask, record, and give what happened to each watched batch since it was recorded.

    Raises:
        StateError: something could not be written down.
    """
    try:
        audit_recovered(run)
        found = await refresh_tracked(lookout, tracking)
        record_watched(run, found)
    finally:
        run.write_down()
    return found
