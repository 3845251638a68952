"""Which recorded batches somebody means: by set, address, label, or the batch's own id."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.model.lock import Entry, Lock, Recorded


class Chosen(NamedTuple):
    """One recorded batch."""

    entry: Entry
    recorded: Recorded


def choose(
    lock: Lock, labels: Mapping[str, Mapping[str, str]], targets: Iterable[str], batches: Iterable[str] = ()
) -> tuple[Chosen, ...]:
    """The batches that targets mean, sorted by address and id; without any, all that stand for their key.

    Args:
        lock: what is recorded.
        labels: those of each set in the manifests, by its name.
        targets: ``SET``, ``SET/DIRECTORY_ID``, ``label=value`` or the id of a batch. All but the last mean
            the batches that stand.
        batches: ids of batches, whether they stand or not.

    Raises:
        SettingsError: one of them fits nothing that is recorded.
    """
    standing = [Chosen(entry, entry.recorded) for entry in lock.entries.values()]
    every = [Chosen(entry, item) for entry in lock.entries.values() for item in entry.batches]
    tests = [(text, _of_target(text, labels)) for text in targets]
    found: dict[tuple[object, str], Chosen] = {}
    for text, fits in tests:
        fitting = [item for item in standing if fits(item)] or [item for item in every if _is(item, text)]
        if not fitting:
            raise _fits_nothing(text, every, labels)
        found |= {(item.entry.key, item.recorded.id): item for item in fitting}
    for name in batches:
        fitting = [item for item in every if _is(item, name)]
        if not fitting:
            raise _not_recorded(name, every)
        found |= {(item.entry.key, item.recorded.id): item for item in fitting}
    if not tests and not batches:
        found = {(item.entry.key, item.recorded.id): item for item in standing}
    return tuple(
        sorted(found.values(), key=lambda item: (item.entry.address, item.recorded.id, item.entry.key))
    )


def _of_target(text: str, labels: Mapping[str, Mapping[str, str]]) -> Callable[[Chosen], bool]:
    label, equals, value = text.partition("=")
    labelled = {name for name, its in labels.items() if equals and (label, value) in its.items()}

    def fits(item: Chosen) -> bool:
        address = item.entry.address
        return text in {address.set, str(address)} or address.set in labelled

    return fits


def _is(item: Chosen, name: str) -> bool:
    return item.recorded.id == name


def _fits_nothing(text: str, every: list[Chosen], labels: Mapping[str, object]) -> SettingsError:
    from difflib import get_close_matches

    if text.partition("/")[0] in labels:
        return SettingsError(
            f"nothing is recorded of {text!r} yet",
            next="`reconciler apply` creates or adopts its batches and records them",
        )
    addresses = {str(item.entry.address) for item in every}
    sets = {item.entry.address.set for item in every}
    near = get_close_matches(text, sorted(addresses if "/" in text else sets), n=1)
    return SettingsError(
        f"{text!r} fits no set, address, label or batch that is recorded",
        next=f"Did you mean {near[0]!r}?" if near else f"Recorded sets: {', '.join(sorted(sets)) or 'none'}.",
    )


def _not_recorded(name: str, every: list[Chosen]) -> SettingsError:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted({item.recorded.id for item in every}), n=1)
    return SettingsError(
        f"no batch {name!r} is recorded",
        next=f"Did you mean {near[0]!r}?"
        if near
        else "`reconciler import ADDRESS BATCH_ID` records a live one",
    )
