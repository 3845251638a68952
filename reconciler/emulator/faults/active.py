"""The faults in force, and whether one strikes a request.

`fires` is pure. The state here is one pair of counts for each entry: how many requests it
has matched, and how many of them it struck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

from reconciler.emulator.chance import draw
from reconciler.emulator.faults.globs import glob_matches

if TYPE_CHECKING:
    from reconciler.emulator.faults.document import FaultFile
    from reconciler.emulator.faults.kinds import Fault, When

ADMIN = "/__admin"
OPENAPI = "/openapi.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Strikes each matching request with this probability, 0 to 1."""

    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Nth:
    """Strikes the matching requests with these numbers, counted from 1."""

    numbers: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Every:
    """Strikes each matching request whose number is a multiple of `step`."""

    step: int


Trigger: TypeAlias = Share | Nth | Every


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of a fault file.

    Attributes:
        fault: What is done.
        when: Before or after the request took effect; None where the fault has no such choice.
        methods: The methods that it matches; empty for all.
        path: The glob that it matches; None for every path but `/openapi.json`.
        trigger: Which of the matching requests it strikes.
        times: How many it strikes at most.
        name: The owner's name for it.
    """

    fault: Fault
    when: When | None
    methods: frozenset[str]
    path: str | None
    trigger: Trigger
    times: int | None
    name: str | None

    def matches(self, method: str, path: str) -> bool:
        """Say whether a request is one of those that this entry counts."""
        if self.methods and method not in self.methods:
            return False
        return path != OPENAPI if self.path is None else glob_matches(self.path, path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Struck:
    """An entry that strikes a request.

    Attributes:
        entry: The entry.
        seed: The seed of its file.
        index: Its place there, from 0.
        number: Which of the requests that it matched this one is, from 1.
    """

    entry: Entry
    seed: int
    index: int
    number: int


@dataclass(slots=True)
class Count:
    """How many requests an entry matched, and how many it struck."""

    matched: int = 0
    fired: int = 0


class ActiveFaults:
    """The faults in force. One event loop uses it; it has no lock."""

    def __init__(self, file: FaultFile) -> None:
        self.file = file
        self.counts = [Count() for _ in file.entries]

    def replace(self, file: FaultFile) -> None:
        """Put other faults in force; all counts begin again."""
        self.file = file
        self.counts = [Count() for _ in file.entries]

    def extend(self, file: FaultFile) -> None:
        """Put a file in force that has the present one's entries and more; the counts of those go on."""
        more = len(file.entries) - len(self.counts)
        self.file = file
        self.counts = [*self.counts, *(Count() for _ in range(more))]

    def strike(self, method: str, path: str) -> Struck | None:
        """Count a request, and give the first entry that strikes it.

        Every entry that matches counts the request, also when an earlier one strikes it: so what one
        entry does never depends on another.
        """
        struck = None
        for index, (entry, count) in enumerate(zip(self.file.entries, self.counts, strict=True)):
            if not entry.matches(method, path):
                continue
            count.matched += 1
            spent = entry.times is not None and count.fired >= entry.times
            if struck is None and not spent and fires(entry.trigger, self.file.seed, index, count.matched):
                count.fired += 1
                struck = Struck(entry=entry, seed=self.file.seed, index=index, number=count.matched)
        return struck


def fires(trigger: Trigger, seed: int, index: int, number: int) -> bool:
    """Decide for the request with this number, counted from 1, of the entry with this index."""
    match trigger:
        case Share():
            return draw(seed, index, number, "fires") < trigger.probability
        case Nth():
            return number in trigger.numbers
        case Every():
            return number % trigger.step == 0
        case _:
            assert_never(trigger)
