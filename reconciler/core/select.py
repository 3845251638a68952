"""`--target`, `--changed-since` and `--shard`: what a plan is about; the rest stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.model.batch import Address
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from reconciler.model.batch import Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.lock import Lock
    from reconciler.model.manifest import BatchSet, TrackedBatch
    from reconciler.model.plan import Since
    from reconciler.model.shard import Shard


@dataclass(frozen=True, slots=True)
class Selection:
    """Sets, addresses and labels; without any of them, everything. Of that, what has changed, and a share.

    Labels are a property of manifests, so they never select what is only recorded. A manifest that is gone
    has changed, so that what it left in the lockfile is selected (R10, R11).

    Attributes:
        targets: as they were given, sorted.
        since: what has changed, if only that is selected.
        shard: the share of the keys that is selected, if not all are. What is only watched has no key, and is
            selected by no shard.
    """

    sets: frozenset[str] = frozenset()
    addresses: frozenset[Address] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    targets: tuple[str, ...] = field(default=(), compare=False)
    since: Since | None = None
    shard: Shard | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        targeted = bool(self.sets or self.addresses or self.labels)
        return not targeted and self._changed is None and self.shard is None

    @property
    def _changed(self) -> tuple[str, ...] | None:
        return None if self.since is None else self.since.sets

    def _has_changed(self, name: str) -> bool:
        return self._changed is None or name in self._changed

    def of(self, batches: Sequence[DesiredBatch]) -> Sequence[DesiredBatch]:
        """Those of some desired batches that are selected."""
        return batches if self.everything else [batch for batch in batches if self.wants(batch)]

    def wants(self, batch: DesiredBatch) -> bool:
        """Whether a desired batch is selected."""
        return self.covers_labelled(batch.address, batch.set.labels) and self.shares(batch.key)

    def covers_key(self, key: Key, address: Address) -> bool:
        """Whether what is recorded at an address is selected, desired or not."""
        return self.covers(address) and self.shares(key)

    def shares(self, key: Key) -> bool:
        """Whether a key is of the share that is selected."""
        return self.shard is None or self.shard.has(key)

    def covers(self, address: Address) -> bool:
        """Whether an address is selected by itself, desired or not, but for its share."""
        return self._takes(address.set) or (address in self.addresses and self._has_changed(address.set))

    def whole(self, name: str) -> bool:
        """Whether all of a set is selected, what is only recorded of it included."""
        return self._takes(name) and self.shard is None

    def _takes(self, name: str) -> bool:
        untargeted = not (self.sets or self.addresses or self.labels)
        return (untargeted or name in self.sets) and self._has_changed(name)

    def covers_labelled(self, address: Address, labels: Mapping[str, str]) -> bool:
        """Whether an address is selected, by itself or by a label of its manifest, but for its share."""
        labelled = not self.labels.isdisjoint(labels.items()) and self._has_changed(address.set)
        return labelled or self.covers(address)

    def touches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether anything of a manifest is selected that is only watched."""
        if self.shard is not None:
            return False
        return self.covers_labelled(Address(name, ""), labels) or any(
            address.set == name and self._has_changed(name) for address in self.addresses
        )


def within_reach(
    targets: Collection[str], sets: Iterable[BatchSet], tracked: Iterable[TrackedBatch] = ()
) -> frozenset[str] | None:
    """The manifests of which targets can select anything, and the sets that those wait for; None for all.

    It is known from the manifests alone: what is out of reach need not be understood, nor answer.
    """
    if not targets:
        return None
    by_name = {item.name: item for item in sets}
    names = {target.partition("/")[0] for target in targets}
    pairs = {tuple(target.split("=", 1)) for target in targets if "=" in target}
    labels = [(item.name, item.labels.items()) for item in by_name.values()]
    labels += [(item.name, item.labels.items()) for item in tracked]
    names |= {name for name, there in labels if not pairs.isdisjoint(there)}
    ahead = [by_name[name] for name in names if name in by_name]
    while ahead:
        for name in ahead.pop().depends_on:
            if name not in names:
                names.add(name)
                ahead += [by_name[name]] if name in by_name else []
    return frozenset(names)


def select(
    targets: Iterable[str],
    desired: Desired,
    lock: Lock,
    tracked: Iterable[TrackedBatch] = (),
    *,
    since: Since | None = None,
    shard: Shard | None = None,
    given_as: str = "--target",
) -> Selection:
    """Read targets: ``SET``, ``SET/DIRECTORY_ID`` or ``label=value``; likewise of what is only watched.

    Of what they select, ``since`` leaves what has changed, and ``shard`` its share.

    Raises:
        SettingsError: a target fits nothing that is desired or recorded.
    """
    given = tuple(sorted(targets))
    if not given:
        return Selection(since=since, shard=shard)
    addresses = {batch.address for batch in desired.batches} | {
        entry.address for entry in lock.entries.values()
    }
    watching = {item.name: item for item in tracked}
    addresses |= {entry.address for entry in lock.tracked.values()}
    addresses |= {Address(item.name, name) for item in watching.values() for name in item.ids}
    sets = set(desired.sets) | {address.set for address in addresses} | set(watching)
    labels = {item for batch in desired.batches for item in batch.set.labels.items()}
    labels |= {item for there in watching.values() for item in there.labels.items()}
    chosen_sets, chosen_addresses, chosen_labels = set(), set(), set()
    for target in given:
        name, slash, _ = target.partition("/")
        label, equals, value = target.partition("=")
        if target in sets:
            chosen_sets.add(target)
        elif slash and (address := Address(name, target[len(name) + 1 :])) in addresses:
            chosen_addresses.add(address)
        elif slash and address.directory and name in watching and not watching[name].ids:
            chosen_addresses.add(address)  # which batches a listing has is not known before it is read
        elif equals and (label, value) in labels:
            chosen_labels.add((label, value))
        else:
            raise _fits_nothing(f"{given_as} {target!r}", target, sets, {str(item) for item in addresses})
    return Selection(
        frozenset(chosen_sets), frozenset(chosen_addresses), frozenset(chosen_labels), given, since, shard
    )


def _fits_nothing(given: str, target: str, sets: set[str], addresses: set[str]) -> SettingsError:
    from difflib import get_close_matches

    near = get_close_matches(target, sorted(addresses if "/" in target else sets), n=1)
    return SettingsError(
        f"{given} fits no set, address or label",
        next=f"Did you mean {near[0]!r}?" if near else f"Sets: {', '.join(sorted(sets)) or 'none'}.",
    )
