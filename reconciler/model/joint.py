"""What workers that carry out one saved plan together hand to each other: creates, a directory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reconciler.model.batch import Address, Key
    from reconciler.model.lock import Entry
    from reconciler.model.plan import Reason


class Task(NamedTuple):
    """One create of the plan: what was reviewed of it. Whether it is still to be made is decided again (C2).

    Attributes:
        reason: why it was to be created.
        directory_name: for people, where it is known.
        at_any_time: whether it was confirmed while a window was closed (R15).
    """

    key: Key
    address: Address
    reason: Reason
    directory_name: str = ""
    at_any_time: bool = False


class Claim(NamedTuple):
    """What one worker has to itself: all creates over one directory, which explain each other's batches (C5).

    Attributes:
        number: names it.
        entries: what is recorded of its keys by now.
    """

    number: int
    tasks: tuple[Task, ...]
    entries: tuple[Entry, ...] = ()
