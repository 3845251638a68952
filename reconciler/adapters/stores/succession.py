"""From one state to the next, for every store alike: serial, lineage, and what a crash left to record (C9).

Values only. How each store keeps them, and what makes a write conditional on its lock (C1), is its own.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.model.batch import Key
    from reconciler.model.intent import Intent, Settled
    from reconciler.model.lock import Entry, Lock


def successor(lock: Lock, before: Lock, *, lineage: str, project: str) -> Lock:
    """A lockfile as it is to be written over the one before.

    The serial rises with every change but that of a status, a time or an audit head (R10's policies and R3's
    evidence included), and the lineage is made with the first; what the argument says of the two does not
    count once there is a lockfile.

    Args:
        lock: what is to stand.
        before: what stands.
        lineage: what else remembers it, such as a journal: a lockfile that was lost comes back with its
            lineage, so that an older one of it fits still (R9). "" if nothing does.
        project: whose state it is; "" where nobody says.
    """
    lineage = before.lineage or lock.lineage or lineage or str(uuid.uuid4())
    lock = replace(lock, lineage=lineage, project=project or before.project, serial=before.serial)
    if _substance(lock) != _substance(before):
        lock = replace(lock, serial=before.serial + 1)
    return lock


def with_recovered(lock: Lock, recovered: Sequence[Entry]) -> Lock:
    """C9: what came back before a crash is recorded, whether or not the lockfile had been written."""
    if not recovered:
        return lock
    entries = dict(lock.entries)
    for entry in recovered:
        there = entries.get(entry.key)
        if there is not None:
            known = {item.id: item for item in (*entry.batches, *there.batches)}
            entry = entry._replace(batches=tuple(known[name] for name in sorted(known)))  # noqa: PLW2901 - the same entry, whole
        entries[entry.key] = entry
    return replace(lock, entries=entries)


class OpenIntents:
    """Which creates are open while a session lasts: never two of one key (R8, C1)."""

    def __init__(self, intents: Iterable[Intent]) -> None:
        # A journal that an older version left may hold two of a key; both are known by their names.
        self._keys = {intent.id: intent.key for intent in intents}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def after(self, notes: Iterable[Intent | Settled], shown: str) -> OpenIntents:
        """Which are open once these notes are written.

        Raises:
            StateError: an intent's key has an open one already.
        """
        from reconciler.model.intent import Intent

        keys = dict(self._keys)
        held = set(keys.values())
        for note in notes:
            if isinstance(note, Intent):
                if note.key in held:
                    raise second_intent(note.key, shown)
                keys[note.id] = note.key
                held.add(note.key)
            elif (key := keys.pop(note.intent, None)) is not None and key not in keys.values():
                held.discard(key)
        made = OpenIntents(())
        made._keys = keys
        return made


def second_intent(key: Key, shown: str) -> StateError:
    """Somebody is creating, or was, what was to be created: two at once would be two batches."""
    return StateError(
        "a create of the same work is open already",
        where=shown,
        why=f"of {key}; nothing was sent for the second one",
        next="Run apply again: it looks for what the first one came to",
    )


def _substance(lock: Lock) -> object:
    """What a serial counts: everything but statuses, times, counts of files and heads."""
    entries = {
        key: (
            entry.address,
            entry.current,
            entry.on_remove,
            tuple((item.id, item.origin, item.evidence, item.alias) for item in entry.batches),
        )
        for key, entry in lock.entries.items()
    }
    tracked = {name: entry.address for name, entry in lock.tracked.items()}
    named = (lock.lineage, lock.project, lock.plan, dict(lock.projects), dict(lock.sets))
    return *named, entries, lock.pins, tracked
