"""What one observation saw, per key: a complete set of live batches, or unknown (R7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.model.batch import Batch, Configuration, Directory, Key


@dataclass(frozen=True, slots=True)
class Unknown:
    """The observation is incomplete for a key, so nothing may be concluded from what it lacks."""

    why: str


class Gone(Unknown):
    """A recorded batch is not known to the service any more (O5); only a person can say what that means."""


#: All live batches of one key, or that they are not known.
Seen: TypeAlias = "tuple[Batch, ...] | Unknown"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The live side of a plan.

    Attributes:
        seen: per key. A key that is not in it was not looked for, and counts as unknown.
        clocks: per endpoint, the service's own time as its last reply gave it.
    """

    seen: Mapping[Key, Seen] = field(default_factory=dict)
    clocks: Mapping[str, datetime] = field(default_factory=dict)

    def of(self, key: Key) -> Seen:
        """What was seen of a key."""
        return self.seen.get(key, _NOT_LOOKED)


_NOT_LOOKED = Unknown("it was not looked for")


@dataclass(frozen=True, slots=True)
class Missing:
    """What was asked for by its id does not exist, or not for this key."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was looked up about a directory before creating on it (R14), and about changes (R2).

    Attributes:
        directory: the directory, or why it cannot be had.
        files: how many files it holds, counted up to a bound far above what a batch can take.
        newest_file_at: when the youngest of its files changed.
        newest_file: that file's name.
        file_times: when its files changed, where somebody wants to know how many changed since.
        inputs: a digest of its files' ids and times.
        configuration: the saved configuration; None for one that the service does not list, such as
            a built-in preset.
    """

    directory: Directory | Missing
    files: int = 0
    newest_file_at: datetime | None = None
    newest_file: str = ""
    file_times: tuple[datetime, ...] = ()
    inputs: str | None = None
    configuration: Configuration | None = None
