"""Which recorded batches somebody means: by set, address, label, or the batch's own id."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.batch import Address
    from reconciler.model.lock import Entry, Lock, Recorded, TrackedEntry


class Chosen(NamedTuple):
    """One recorded batch of a key."""

    entry: Entry
    recorded: Recorded


class Watching(NamedTuple):
    """One recorded batch that is only watched (R16)."""

    entry: TrackedEntry


Choice: TypeAlias = Chosen | Watching


def choose(
    lock: Lock, labels: Mapping[str, Mapping[str, str]], targets: Iterable[str], batches: Iterable[str] = ()
) -> tuple[Choice, ...]:
    """The batches that targets mean, sorted by address and id; without any, all that stand or are watched.

    Args:
        lock: what is recorded.
        labels: those of each set and each tracking manifest, by its name.
        targets: ``SET``, ``SET/DIRECTORY_ID``, ``label=value`` or the id of a batch. All but the last mean
            the batches that stand.
        batches: ids of batches, whether they stand or not.

    Raises:
        SettingsError: one of them fits nothing that is recorded.
    """
    every = _every(lock)
    found: set[_Item] = set()
    some = False
    for text in targets:
        some = True
        fitting = [item for item in every if item.stands and _fits(item.address, text, labels)]
        fitting = fitting or [item for item in every if item.id == text]
        if not fitting:
            raise _fits_nothing(text, every, labels)
        found.update(fitting)
    for name in batches:
        some = True
        fitting = [item for item in every if item.id == name]
        if not fitting:
            raise _not_recorded(name, every)
        found.update(fitting)
    chosen = found if some else {item for item in every if item.stands}
    return tuple(item.choice for item in sorted(chosen, key=lambda item: item[:3]))


class _Item(NamedTuple):
    address: Address
    id: str
    home: str
    stands: bool
    choice: Choice

    def __hash__(self) -> int:
        return hash(self[:3])


def _every(lock: Lock) -> list[_Item]:
    return [
        _Item(entry.address, item.id, str(key), item.id == entry.current, Chosen(entry, item))
        for key, entry in lock.entries.items()
        for item in entry.batches
    ] + [
        _Item(entry.address, watched.id, watched.endpoint, stands=True, choice=Watching(entry))
        for watched, entry in lock.tracked.items()
    ]


def _fits(address: Address, text: str, labels: Mapping[str, Mapping[str, str]]) -> bool:
    label, equals, value = text.partition("=")
    labelled = equals and (label, value) in labels.get(address.set, {}).items()
    return bool(labelled) or text in {address.set, str(address)}


def _fits_nothing(text: str, every: list[_Item], labels: Mapping[str, object]) -> SettingsError:
    from difflib import get_close_matches

    if text.partition("/")[0] in labels:
        return SettingsError(
            f"nothing is recorded of {text!r} yet",
            next="`reconciler apply` creates or adopts its batches and records them",
        )
    addresses = {str(item.address) for item in every}
    sets = {item.address.set for item in every}
    near = get_close_matches(text, sorted(addresses if "/" in text else sets), n=1)
    return SettingsError(
        f"{text!r} fits no set, address, label or batch that is recorded",
        next=f"Did you mean {near[0]!r}?" if near else f"Recorded sets: {', '.join(sorted(sets)) or 'none'}.",
    )


def _not_recorded(name: str, every: list[_Item]) -> SettingsError:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted({item.id for item in every}), n=1)
    return SettingsError(
        f"no batch {name!r} is recorded",
        next=f"Did you mean {near[0]!r}?"
        if near
        else "`reconciler import ADDRESS BATCH_ID` records a live one",
    )
