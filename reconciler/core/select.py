"""`--target`: which desired and recorded batches a plan is about. What it leaves out stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.batch import Address
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.lock import Lock


@dataclass(frozen=True, slots=True)
class Selection:
    """Sets, addresses and labels; without any of them, everything.

    Labels are a property of manifests, so they never select what is only recorded.
    """

    sets: frozenset[str] = frozenset()
    addresses: frozenset[Address] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.sets or self.addresses or self.labels)

    def wants(self, batch: DesiredBatch) -> bool:
        """Whether a desired batch is selected."""
        return self.covers(batch.address) or not self.labels.isdisjoint(batch.set.labels.items())

    def covers(self, address: Address) -> bool:
        """Whether an address is selected by itself, desired or not."""
        return self.everything or address.set in self.sets or address in self.addresses


def select(targets: Iterable[str], desired: Desired, lock: Lock) -> Selection:
    """Read targets: ``SET``, ``SET/DIRECTORY_ID`` or ``label=value``.

    Raises:
        SettingsError: a target fits nothing that is desired or recorded.
    """
    addresses = {batch.address for batch in desired.batches} | {
        entry.address for entry in lock.entries.values()
    }
    sets = set(desired.sets) | {address.set for address in addresses}
    labels = {item for batch in desired.batches for item in batch.set.labels.items()}
    chosen_sets, chosen_addresses, chosen_labels = set(), set(), set()
    for target in targets:
        name, slash, _ = target.partition("/")
        label, equals, value = target.partition("=")
        if target in sets:
            chosen_sets.add(target)
        elif slash and (address := Address(name, target[len(name) + 1 :])) in addresses:
            chosen_addresses.add(address)
        elif equals and (label, value) in labels:
            chosen_labels.add((label, value))
        else:
            raise _fits_nothing(target, sets, {str(item) for item in addresses})
    return Selection(frozenset(chosen_sets), frozenset(chosen_addresses), frozenset(chosen_labels))


def _fits_nothing(target: str, sets: set[str], addresses: set[str]) -> SettingsError:
    from difflib import get_close_matches

    near = get_close_matches(target, sorted(addresses if "/" in target else sets), n=1)
    return SettingsError(
        f"--target {target!r} fits no set, address or label",
        next=f"Did you mean {near[0]!r}?" if near else f"Sets: {', '.join(sorted(sets)) or 'none'}.",
    )
