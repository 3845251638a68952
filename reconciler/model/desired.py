"""What the manifests ask for, one value per batch, after expansion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.batch import Address, Key
    from reconciler.model.lock import Pin
    from reconciler.model.manifest import BatchSet
    from reconciler.model.source import Diagnostic, Source


class DesiredBatch(NamedTuple):
    """One batch that a manifest asks for.

    Attributes:
        set: the set that asks, with the job's policies.
        position: which item of the set's list of directories.
        name: the directory's name, where a name or a pattern chose it; for people.
    """

    address: Address
    key: Key
    set: BatchSet
    position: int
    name: str = ""

    def locate(self) -> Source:
        """Where the manifest asks for it."""
        return self.set.locate(("spec", "directories", self.position))


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that the manifests ask for.

    Attributes:
        batches: sorted by address; no two share a key (R12).
        sets: per set, the digest of its text (R10).
        digest: of all manifests.
        pins: what names and patterns stand for now, sorted (R13).
        removed: sets and addresses that are forgotten whatever ``onRemove`` says, and where that is written.
        warnings: what did not stop the expansion but should be seen.
        whole: whether ``batches`` has those of all sets. Else what is missing may be asked for by a set that
            nobody could read, and so is neither forgotten nor cancelled (R7).
    """

    batches: tuple[DesiredBatch, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    pins: tuple[Pin, ...] = ()
    removed: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    whole: bool = True
