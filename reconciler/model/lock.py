"""What the lockfile holds: per key, the batches that were recorded, and why each was created.

The text form of these values is the stores' business; what they decide is the core's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.batch import Batch
from reconciler.model.manifest import OnRemove

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.model.batch import Address, FileCounts, Key, Status
    from reconciler.model.watched import Watched, WatchedId


class Origin(StrEnum):
    """How a batch came into the lockfile (C5)."""

    CREATED = "created"  # a reply to our own create named it
    FOUND = "found"  # seen after a create whose reply was lost: ours as far as anyone can tell
    ADOPTED = "adopted"  # it was there already


class Evidence(NamedTuple):
    """What a create was made for, so that its reason fires once (R3).

    Attributes:
        reason: the reason's code.
        after: the ``rerun.after`` that stood then.
        inputs: the digest of the directory's files then.
        configuration: the version of the configuration then.
    """

    reason: str
    after: datetime | None = None
    inputs: str | None = None
    configuration: str | None = None


class Alias(NamedTuple):
    """Under what a reply named the work, when that was not what had been sent (C9)."""

    directory: str
    configuration: str


class Recorded(NamedTuple):
    """One batch of a key, as last seen.

    Attributes:
        recorded_at: by this tool's clock, when it was written down first.
        evidence: what it was created for; None when it was adopted.
        alias: what the service calls the same work, if it renamed it.
        files: how its files fared, once somebody read that; it is kept for good.
    """

    id: str
    status: Status
    origin: Origin
    recorded_at: datetime
    created_at: datetime | None = None
    updated_at: datetime | None = None
    evidence: Evidence | None = None
    alias: Alias | None = None
    files: FileCounts | None = None

    def as_batch(self, key: Key) -> Batch:
        """The batch as it was when it was recorded (O1 trusts that of a terminal one)."""
        return Batch(self.id, key, self.status, self.created_at, self.updated_at)


class Entry(NamedTuple):
    """Everything that is recorded of one key.

    Attributes:
        address: where it was desired when it was last applied.
        current: the id of the batch that stands for the key.
        batches: every batch of the key that was ever recorded, by id (C3, R6).
        on_remove: the policy as last applied (R10).
        directory_name: for people; it decides nothing.
    """

    key: Key
    address: Address
    current: str
    batches: tuple[Recorded, ...]
    on_remove: OnRemove = OnRemove.KEEP
    directory_name: str = ""

    @property
    def recorded(self) -> Recorded:
        """The batch that stands for the key."""
        for item in self.batches:  # a generator would take three times as long
            if item.id == self.current:
                return item
        raise LookupError(self.current)


class PinKind(StrEnum):
    """What a manifest gave a name or a pattern of (R13)."""

    NAME = "name"  # of a directory
    MATCH = "match"  # a pattern of directories' names
    CONFIGURATION = "configuration"


class Pin(NamedTuple):
    """What a name or a pattern of a manifest stood for when it was last applied (R13).

    Attributes:
        set: the set that uses it.
        text: the name or pattern as the manifest has it. A pattern has one pin per directory.
        id: the directory or configuration that it stood for.
        version: a configuration's version then.
        name: a directory's name then; for people.
    """

    set: str
    kind: PinKind
    text: str
    id: str
    version: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedEntry:
    """A batch that is only watched (R16), as last recorded.

    Attributes:
        address: the tracking manifest's name, and the batch's id.
        recorded_at: by this tool's clock, when it was written down first.
    """

    address: Address
    watched: Watched
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The lockfile as a value.

    Attributes:
        lineage: made once, on the first write; "" before it.
        project: the name of the project whose lockfile it is; "" where it does not say.
        serial: raised with every change that is more than a refresh of statuses.
        projects: per provider block and endpoint, the project that its key turned out to belong to.
        sets: per set, the digest of its text as last applied (R10).
        heads: the newest lines of the audit log that this state knows of.
        entries: one per key.
        pins: what names and patterns stood for, sorted (R13).
        tracked: batches that are only watched (R16).
        plan: the digest of the saved plan that was applied last: one is for one apply.
    """

    lineage: str = ""
    project: str = ""
    serial: int = 0
    projects: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)
    heads: tuple[str, ...] = ()
    entries: Mapping[Key, Entry] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    tracked: Mapping[WatchedId, TrackedEntry] = field(default_factory=dict)
    plan: str = ""
