"""Having in the lockfile what a command that only looks has learned: statuses, and how files fared.

It is but a refresh (no serial rises, nothing is audited): the next apply finds the same, at the cost of
asking again. So whoever holds the lock is left alone, and so is a journal from which the next apply has to
record something first (C9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.lock import Lock
    from reconciler.model.ports import Store


def refresh_lock(store: Store, learned: Callable[[Lock], Lock]) -> str:
    """Bring the lockfile up to date; gives why it is not, or "".

    Args:
        store: where the state lives.
        learned: the lockfile with what was learned.
    """
    try:
        lock, _ = store.read()
        if learned(lock) == lock:
            return ""
        with store.hold(0.0) as session:
            if session.journal.recovered:
                return "the last run did not come to its end: the next apply brings the lockfile up to date"
            session.commit(learned(session.lock))
            if session.journal.warm and not session.idle:
                session.close()  # what the last run knew for certain, still stands (C2)
    except StateError as error:
        return error.what
    return ""
