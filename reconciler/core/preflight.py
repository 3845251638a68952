"""R14: what a directory must be before anything is created on it. Looking it up is the engine's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.snapshot import Facts, Missing

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from reconciler.model.batch import Key

#: A batch takes at most so many files (LlamaCloud's documented limit).
MOST_FILES = 1000

#: Files of a directory are counted so far, to say how many there are too many.
MOST_COUNTED = 10_000

_LOOK_UP = "; `reconciler lock --upgrade` looks up anew what its name stands for"


def objection(key: Key, facts: Facts, service_time: datetime, named: Collection[str] = ()) -> str | None:
    """What speaks against creating on this directory, as a sentence; None when nothing does.

    Args:
        key: what is to be created.
        facts: what was looked up.
        service_time: now, by the service's clock.
        named: ids that stand for a name: another one may have the name by now, and the way there is told.
    """
    if (why := _unusable(key, facts, service_time)) is not None:
        return why + (_LOOK_UP if key.directory in named else "")
    if facts.files == 0:
        return f"directory {key.directory} holds no files"
    if facts.files > MOST_FILES:
        counted = f"{facts.files:,}" if facts.files <= MOST_COUNTED else f"more than {MOST_COUNTED:,}"
        return f"directory {key.directory} holds {counted} files, and a batch takes {MOST_FILES:,} at most"
    saved = facts.configuration
    if saved is not None and saved.product != key.job:
        why = f"configuration {saved.id} is for {saved.product}, not for {key.job}"
        return why + (_LOOK_UP if key.configuration in named else "")
    return None


def _unusable(key: Key, facts: Facts, service_time: datetime) -> str | None:
    """Why no batch can be made on a directory, whatever it holds."""
    directory = facts.directory
    if isinstance(directory, Missing):
        return directory.why
    if directory.project != key.project:
        return f"directory {key.directory} belongs to project {directory.project}, not to {key.project}"
    if directory.deleted_at is not None:
        return f"directory {key.directory} was deleted on {directory.deleted_at:%Y-%m-%d %H:%M} UTC"
    if directory.expires_at is not None and directory.expires_at <= service_time:
        return f"directory {key.directory} expired on {directory.expires_at:%Y-%m-%d %H:%M} UTC"
    return None
