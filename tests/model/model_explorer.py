"""Every history with at most so many faults, each tried once, and what they come to.

A history is a row of runs. Runs are lived again from the state that they begin with, one deviation further
each time, so what is kept between two runs is only a `State`. States from which the same can happen are one
node; a history that comes to a node a second time, with as many faults or more, has no future of its own:

- a process that begins knows nothing but the disk and the service, and both are in the state's key;
- with more faults spent, what can still happen is a part of what could happen before;
- who broke no assumption, or fewer, is judged more strictly, and nothing that happens depends on it.

The end of a process leaves its state at once, so those histories need not be lived to be known.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_life import World
from model_promise import broken

if TYPE_CHECKING:
    from collections.abc import Hashable

    from model_life import Deviations, Lived, Offer
    from model_values import Scenario, State


@dataclass(eq=False, repr=False)
class Node:
    """A state between two runs.

    Attributes:
        spent: how many faults the first history to it had.
        before: the node and the deviations of the run that led here, or None at the start.
        edges: for each run that begins here: its faults and what it led to.
        calm: what a run without a fault comes to.
        rest: likewise after ten minutes, where something is still to show up.
    """

    state: State
    broken: frozenset[str]
    spent: int
    before: tuple[Node, Deviations] | None
    edges: list[tuple[int, Node]] = field(default_factory=list)
    calm: tuple[Lived, Node] | None = None
    rest: tuple[Lived, Node] | None = None


@dataclass
class Counts:
    lived: int = 0
    steps: int = 0
    merged: int = 0
    skipped: int = 0


class Explorer:
    """All histories of a scenario with up to so many faults.

    Args:
        sample: of the runs that spend the last fault, live only so many, drawn with this seed.
        only: try only the alternatives whose text has one of these in it; all, if it is empty.
    """

    def __init__(
        self,
        scenario: Scenario,
        faults: int,
        *,
        sample: int | None = None,
        seed: int = 0,
        only: tuple[str, ...] = (),
    ) -> None:
        self.scenario = scenario
        self.faults = faults
        self.nodes: list[Node] = []
        self.counts = Counts()
        self._seen: dict[Hashable, list[Node]] = {}
        self._new: list[list[Node]] = [[] for _ in range(faults + 1)]
        self._runs: list[list[tuple[Node, Deviations]]] = [[] for _ in range(faults + 1)]
        self._sample = sample
        self._only = only
        self.drawn = 0
        self._dice = random.Random(seed)

    def explore(self) -> None:
        """Fewest faults first, so that the first history to a node is one of the shortest."""
        self.root = self._arrive(self.scenario.start, 0, None)
        for spent in range(self.faults + 1):
            while self._new[spent] or self._runs[spent]:
                if self._new[spent]:
                    node = self._new[spent].pop()
                    if node.spent == spent:  # else it was come to with fewer faults meanwhile
                        self._live(node, (), spent)
                else:
                    node, deviations = self._runs[spent].pop()
                    self._live(node, deviations, spent)

    def _live(self, node: Node, deviations: Deviations, spent: int) -> None:
        """One run, and what else could have happened at each of its steps after the last deviation."""
        left = self.faults - spent

        def watch(number: int, offers: list[Offer]) -> None:
            self.counts.steps += 1
            for choice, offer in enumerate(offers):
                if offer.faults <= left and self._tries(offer):
                    self._offer(node, (*deviations, (number, choice)), offer, spent)

        wants = left > 0 or (not deviations and node.state.pending)
        world = World(self.scenario, node.state, deviations, watch=watch if wants else None)
        try:
            lived = world.live()
        except Exception as error:
            runs = [*self.path(node), (node.state, deviations)]
            error.add_note(f"the runs' deviations: {[deviations for _, deviations in runs]}")
            raise
        self.counts.lived += 1
        after = self._arrive(lived.state, spent, (node, deviations))
        node.edges.append((spent - node.spent, after))
        if not deviations:
            node.calm = lived, after
        elif spent == node.spent and node.rest is None:
            node.rest = lived, after

    def _tries(self, offer: Offer) -> bool:
        return not self._only or not offer.faults or any(part in offer.text for part in self._only)

    def _offer(self, node: Node, deviations: Deviations, offer: Offer, spent: int) -> None:
        spent += offer.faults
        drawn = self._sample is not None and spent == self.faults and offer.faults
        if offer.ends is not None and not drawn:
            node.edges.append((spent - node.spent, self._arrive(offer.ends(), spent, (node, deviations))))
        elif drawn:
            self._draw(node, deviations)
        else:
            self._runs[spent].append((node, deviations))

    def _draw(self, node: Node, deviations: Deviations) -> None:
        """Keep each of those that come with the same chance, without keeping all."""
        assert self._sample is not None
        runs = self._runs[self.faults]
        self.drawn += 1
        if len(runs) < self._sample:
            runs.append((node, deviations))
        else:
            self.counts.skipped += 1
            if (place := self._dice.randrange(self.drawn)) < self._sample:
                runs[place] = node, deviations

    def _arrive(self, state: State, spent: int, before: tuple[Node, Deviations] | None) -> Node:
        lost = broken(state)
        there = self._seen.setdefault(state.key(), [])
        for node in there:
            if node.broken <= lost:
                self.counts.merged += 1
                if spent < node.spent:  # it came from the end of a process, ahead of its turn
                    node.spent, node.before = spent, before
                    self._new[spent].append(node)
                return node
        node = Node(state, lost, spent, before)
        there.append(node)
        self.nodes.append(node)
        self._new[spent].append(node)
        return node

    def histories(self, faults: int) -> int:
        """How many histories with up to so many faults were tried: two calm runs in a row end one."""
        known: dict[tuple[int, int, int], int] = {}

        def count(node: Node, left: int, calm: int) -> int:
            name = id(node), left, calm
            if name not in known:
                known[name] = sum(
                    count(after, left - cost, 0) if cost else (1 if calm else count(after, left, 1))
                    for cost, after in node.edges
                    if cost <= left
                )
            return known[name]

        return count(self.root, faults, 0)

    def path(self, node: Node) -> list[tuple[State, Deviations]]:
        """The first history that led to a node."""
        runs: list[tuple[State, Deviations]] = []
        while node.before is not None:
            node, deviations = node.before
            runs.append((node.state, deviations))
        return runs[::-1]
