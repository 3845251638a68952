"""What names and patterns of manifests stand for, and which of them have to be looked up for that (R13).

A name keeps what it stood for when it was last applied: a configuration that is saved anew, or a second
directory of that name, starts no batch by itself. `reconciler lock --upgrade` moves it. A pattern is for
directories that are yet to come, so it is looked up each time. Looking up is the engine's work.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.validate.words import meant, shown
from reconciler.model.batch import Address
from reconciler.model.lock import Pin, PinKind
from reconciler.model.manifest import ById, ByName, ByPattern
from reconciler.model.plan import Selected
from reconciler.model.source import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.model.batch import Configuration, Directory, Home, JobType
    from reconciler.model.lock import Entry
    from reconciler.model.manifest import BatchSet

_NOWHERE: Mapping[str, Home] = MappingProxyType({})


class WantedConfiguration(NamedTuple):
    """A configuration that a set gives by its name; the job type belongs to the name."""

    block: str
    job: JobType
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be looked up.

    Attributes:
        names: per provider block, the names of directories.
        listings: provider blocks of which all directories have to be known, because of patterns.
        standing: per such block, the directories of batches that its sets have there, and those of sets that
            are no more: what a listing lacks of them is asked for, so that one that comes short makes nobody
            forget or cancel them (R7). Whether an id, a name or another pattern chose them does not matter.
        configurations: by name.
    """

    names: Mapping[str, frozenset[str]]
    listings: frozenset[str]
    standing: Mapping[str, frozenset[str]]
    configurations: frozenset[WantedConfiguration]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What was found, per provider block."""

    directories: Mapping[str, tuple[Directory, ...]] = field(default_factory=dict)
    configurations: Mapping[str, tuple[Configuration, ...]] = field(default_factory=dict)


def wanted_names(
    sets: Sequence[BatchSet],
    pins: Iterable[Pin],
    entries: Iterable[Entry],
    homes: Mapping[str, Home],
    *,
    only: Collection[str] | None = None,
) -> Wanted:
    """What these sets need looked up.

    Args:
        sets: all sets.
        pins: what need not be looked up.
        entries: what is recorded.
        homes: per provider block, where it leads.
        only: the names of the sets whose needs are meant; all by default.
    """
    entries = list(entries)
    known = Pinned(pins, sets, homes, entries)
    there = {item.name for item in sets}
    recorded: defaultdict[tuple[Home, str], set[str]] = defaultdict(set)
    patterns = any(isinstance(selector, ByPattern) for item in sets for selector in item.directories)
    for entry in entries if patterns else ():
        name = entry.address.set if entry.address.set in there else ""
        recorded[entry.key.home, name].add(entry.key.directory)
    names: defaultdict[str, set[str]] = defaultdict(set)
    standing: defaultdict[str, set[str]] = defaultdict(set)
    listings: set[str] = set()
    configurations: set[WantedConfiguration] = set()
    for item in sets:
        if only is not None and item.name not in only:
            continue
        configuration = item.job.configuration
        if not isinstance(configuration, ById) and not known.of(
            item, PinKind.CONFIGURATION, configuration.name
        ):
            configurations.add(WantedConfiguration(item.provider, item.job.type, configuration.name))
        for selector in item.directories:
            if isinstance(selector, ByPattern):
                listings.add(item.provider)
                for name in (item.name, ""):
                    standing[item.provider] |= recorded[homes[item.provider], name]
            elif isinstance(selector, ByName) and not known.of(item, PinKind.NAME, selector.name):
                names[item.provider].add(selector.name)
    return Wanted(
        {block: frozenset(wanted) for block, wanted in names.items()},
        frozenset(listings),
        {block: frozenset(stand) for block, stand in standing.items()},
        frozenset(configurations),
    )


class Chosen(NamedTuple):
    """A directory that a set asks for.

    Attributes:
        position: which item of the set's list of directories chose it.
        pin: what is to be remembered of the choice; None for an id.
    """

    directory: str
    position: int
    pin: Pin | None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one set's names and patterns stand for; or its faults, and then the rest is not whole."""

    directories: tuple[Chosen, ...]
    configuration: str
    pin: Pin | None
    faults: tuple[Diagnostic, ...]


def meaning(item: BatchSet, catalogue: Catalogue, known: Pinned) -> Meaning:
    """Read one set's selectors against what was found, and against what they stood for before."""
    faults: list[Diagnostic] = []
    there = catalogue.directories.get(item.provider, ())
    chosen: list[Chosen] = []
    for index, selector in enumerate(item.directories):
        place = ("spec", "directories", index)
        match selector:
            case ById(id=name):
                chosen.append(Chosen(name, index, None))
            case ByName(name=name):
                pin, fault = _named(item.name, name, there, known.of(item, PinKind.NAME, name))
                if pin is not None:
                    chosen.append(Chosen(pin.id, index, pin))
                else:
                    faults.append(Diagnostic(item.locate(place), fault))
            case ByPattern():
                matched = list(_matched(item.name, selector, there))
                chosen += [Chosen(pin.id, index, pin) for pin in matched]
                if not matched:
                    text = f"no directory's name fits {shown(selector.pattern)}"
                    faults.append(Diagnostic(item.locate(place), text, Severity.WARNING))
    configuration = item.job.configuration
    if isinstance(configuration, ById):
        return Meaning(tuple(chosen), configuration.id, None, tuple(faults))
    found = known.of(item, PinKind.CONFIGURATION, configuration.name)
    pin = found[0] if found else _latest(item, configuration.name, catalogue)
    if pin is None:
        text = f"no saved configuration for {item.job.type} is named {shown(configuration.name)}"
        faults.append(Diagnostic(item.locate(("spec", "job", "configuration")), text))
    return Meaning(tuple(chosen), pin.id if pin else "", pin, tuple(faults))


def _named(
    set_name: str, name: str, there: Iterable[Directory], pinned: tuple[Pin, ...]
) -> tuple[Pin | None, str]:
    """The one directory of a name, or why there is none."""
    if pinned:
        return pinned[0], ""
    ids = sorted({directory.id for directory in there if directory.name == name})
    if len(ids) == 1:
        return Pin(set_name, PinKind.NAME, name, ids[0]), ""
    if ids:
        text = f"{len(ids)} directories are named {shown(name)}: {', '.join(ids)}; give the id of one of them"
        return None, text
    return None, f"there is no directory named {shown(name)}{meant(name, {item.name for item in there})}"


def _matched(set_name: str, selector: ByPattern, there: Iterable[Directory]) -> Iterator[Pin]:
    """A pattern's directories, sorted by id."""
    for directory in sorted(there, key=lambda item: item.id):
        if fnmatchcase(directory.name, selector.pattern) and not any(
            fnmatchcase(directory.name, pattern) for pattern in selector.exclude
        ):
            yield Pin(set_name, PinKind.MATCH, selector.pattern, directory.id, name=directory.name)


def _latest(item: BatchSet, name: str, catalogue: Catalogue) -> Pin | None:
    """The latest version of a name and job type: by the service's version, then by its times (R13)."""
    fitting = [
        saved
        for saved in catalogue.configurations.get(item.provider, ())
        if saved.name == name and saved.product == item.job.type
    ]
    if not fitting:
        return None
    latest = max(
        fitting,
        key=lambda saved: (
            _in_order(saved.version),
            saved.updated_at.timestamp() if saved.updated_at else 0.0,
            saved.id,
        ),
    )
    return Pin(item.name, PinKind.CONFIGURATION, name, latest.id, latest.version)


def _in_order(version: str) -> list[str | int]:
    """A version so that 10 comes after 9; words and numbers take turns, so any two can be compared."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", version)]


def selected(now: Iterable[Pin], before: Iterable[Pin]) -> tuple[Selected, ...]:
    """What each name and pattern stands for, sorted; of sets that are no more, nothing is said."""
    groups: defaultdict[tuple[str, PinKind, str], tuple[list[Pin], list[Pin]]] = defaultdict(lambda: ([], []))
    for pin in now:
        groups[pin[:3]][0].append(pin)
    for pin in before:
        groups[pin[:3]][1].append(pin)
    found = []
    for (name, kind, text), (pins, old) in sorted(groups.items()):
        ids, gone = {pin.id for pin in pins}, {pin.id for pin in old}
        if not pins:
            continue
        pin = pins[0]
        means = "" if kind is PinKind.MATCH else pin.id + (f" ({pin.version})" if pin.version else "")
        found.append(Selected(name, kind, text, means, len(ids), len(ids - gone), len(gone - ids)))
    return tuple(found)


def is_given(pin: Pin, sets: Iterable[BatchSet]) -> bool:
    """Whether a manifest still has the name or pattern of a pin: to take one out moves no pin."""
    for item in sets:
        if item.name == pin.set and pin.kind is PinKind.CONFIGURATION:
            return ByName(pin.text) == item.job.configuration
        if item.name == pin.set:
            return any(
                (pin.kind is PinKind.NAME and selector == ByName(pin.text))
                or (
                    pin.kind is PinKind.MATCH
                    and isinstance(selector, ByPattern)
                    and selector.pattern == pin.text
                )
                for selector in item.directories
            )
    return False


def moved(now: Iterable[Pin], before: Iterable[Pin]) -> tuple[str, ...]:
    """A sentence for each pin that is not as it was, sorted: what `--locked` refuses."""
    new, old = {pin[:4]: pin for pin in now}, {pin[:4]: pin for pin in before}
    said = [f"{_shown(old[name])} is not selected any more" for name in sorted(old.keys() - new.keys())]
    said += [f"{_shown(new[name])} is new" for name in sorted(new.keys() - old.keys())]
    return tuple(sorted(said))


def pins_after(
    now: Iterable[Pin],
    before: Iterable[Pin],
    covered: frozenset[str],
    about: Collection[Address],
) -> tuple[Pin, ...]:
    """The pins after an apply: those of the sets that it was about in full, and of what else it selected.

    Args:
        now: what names and patterns stand for.
        before: what they stood for.
        covered: the sets that the apply was about in full, those that are no more among them.
        about: the addresses that are desired and that the apply was about.
    """
    kept = {pin[:4]: pin for pin in before if pin.set not in covered}
    # Of a set that was selected in part, directories that were not selected are pinned when they are. Its
    # configuration is pinned at once: what is created now is created with it, and the rest shall be.
    begun = covered | {address.set for address in about}
    taken = {
        pin[:4]: pin
        for pin in now
        if pin.set in covered
        or (pin.set in begun if pin.kind is PinKind.CONFIGURATION else Address(pin.set, pin.id) in about)
    }
    # A name stands for one thing, a pattern for many.
    moved_on = {pin[:3] for pin in taken.values() if pin.kind is not PinKind.MATCH}
    kept = {name: pin for name, pin in kept.items() if pin[:3] not in moved_on}
    return tuple(sorted({**kept, **taken}.values()))


def _shown(pin: Pin) -> str:
    return f"{pin.set}: {pin.kind} {pin.text} → {pin.id}"


class Pinned:
    """Pins by what they are of, as far as they still speak for it.

    A pin keeps what a name stood for in one project, and for one job type: a set that is given another
    provider or job has its names looked up there. Which they were, the batches that were made say. A set
    that is called otherwise keeps its pins (R11): those of sets that are no more are taken where they agree.
    """

    def __init__(
        self,
        pins: Iterable[Pin],
        sets: Iterable[BatchSet] = (),
        homes: Mapping[str, Home] = _NOWHERE,
        entries: Iterable[Entry] = (),
    ) -> None:
        there = {item.name for item in sets}
        self._by: defaultdict[tuple[str, PinKind, str], list[Pin]] = defaultdict(list)
        self._left: defaultdict[tuple[PinKind, str], list[Pin]] = defaultdict(list)
        for pin in pins:
            self._by[pin.set, pin.kind, pin.text].append(pin)
            if pin.set not in there:
                self._left[pin.kind, pin.text].append(pin)
        self._homes = homes
        self._made: defaultdict[str, set[tuple[Home, JobType | None]]] = defaultdict(set)
        for entry in entries if self._by else ():
            self._made[entry.key.configuration].add((entry.key.home, entry.key.job))
            self._made[entry.key.directory].add((entry.key.home, None))

    def of(self, item: BatchSet, kind: PinKind, text: str) -> tuple[Pin, ...]:
        """What a name or pattern of a set stood for; nothing when it is new."""
        own = tuple(self._by.get((item.name, kind, text), ()))
        if kind is PinKind.MATCH:
            return own
        if own:
            return own if not self._made[own[0].id] or self._fits(own[0], item) else ()
        left = {pin._replace(set=item.name) for pin in self._left[kind, text] if self._fits(pin, item)}
        return tuple(left) if len(left) == 1 else ()

    def _fits(self, pin: Pin, item: BatchSet) -> bool:
        """Whether a batch of the set's project, and for a configuration of its job, was made with it."""
        job = item.job.type if pin.kind is PinKind.CONFIGURATION else None
        return (self._homes.get(item.provider), job) in self._made[pin.id]
