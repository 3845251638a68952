"""Judging what was explored: is anything twice, lost, open or unreported, and which assumption was broken?

From every state that any history comes to, up to two more applies in calm weather have to complete all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_promise import twice, unreported
from model_values import read

from reconciler.model.plan import ActionKind
from reconciler.model.result import Applied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_explorer import Explorer, Node
    from model_life import Lived
    from model_values import Scenario, State

    from reconciler.model.plan import Action

#: Ways out that a message may name: design's "every BLOCKED has a way out".
WAYS_OUT = ("reconciler import", "reconciler lock resolve", "rerun.after", "desire only one of the two")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong at the end of a history.

    Attributes:
        kind: "twice", "lost", "open" or "unreported".
        node: where the history's faults end.
        what: in words.
    """

    kind: str
    node: Node
    what: str


def judge(explorer: Explorer) -> Iterator[Verdict]:
    """Everything that is wrong anywhere; within the promise and outside of it."""
    for node in explorer.nodes:
        if made := twice(node.state):
            yield Verdict("twice", node, f"{', '.join(made)} should not have been made")
        last = _last(node)
        applied = last[0].ends[0]
        if isinstance(applied, Applied):
            for what in _lost(explorer.scenario, last[1].state, applied):
                yield Verdict("lost", node, what)
            for what in _open(last[1].state, applied):
                yield Verdict("open", node, what)
        else:
            yield Verdict("lost", node, f"a calm run ended with {applied!r}")
        if names := unreported(last[1].state):
            yield Verdict("unreported", node, f"no run told of {', '.join(names)}")


def _last(node: Node) -> tuple[Lived, Node]:
    """The second of two calm runs; whatever is still under way shows up before each."""
    first = node.rest or node.calm
    assert first is not None
    last = first[1].rest or first[1].calm
    assert last is not None
    return last


def _lost(scenario: Scenario, state: State, applied: Applied) -> Iterator[str]:
    """Wanted, and neither recorded nor explained with a way out."""
    there = {row.batch.id for row in state.rows if row.exists <= state.now}
    entries = state.lockfile.entries if state.lockfile else {}
    actions = {action.key: action for action in applied.plan.actions}
    for key in scenario.keys:
        if key in entries and entries[key].current in there:
            continue
        if not _explained(actions[key]):
            yield f"{key.directory} {key.configuration}: {actions[key].kind}, {actions[key].reason.text}"


def _explained(action: Action) -> bool:
    stopped = action.kind in (ActionKind.BLOCKED, ActionKind.UNRESOLVED)
    return stopped and any(way in action.reason.text for way in WAYS_OUT)


def _open(state: State, applied: Applied) -> Iterator[str]:
    """An intent that stays open and that the run does not tell."""
    for intent in read(state.journal or ())[0]:
        if intent.address not in applied.unresolved:
            yield f"the intent of {intent.address} is open, and nobody says so"


def found_by(node: Node) -> str:
    """Who told of the duplicate, or recorded it beside the one that stands (C10)."""
    if not unreported(node.state):
        return "the same run tells of it"
    if not unreported(_last(node)[1].state):
        return "a later run tells of it"
    return "no run tells of it"


def renamed(node: Node) -> bool:
    """Whether the service called a batch something else than was sent: C10 looks for the key alone."""
    return any(row.sent != row.batch.key for row in _last(node)[1].state.rows)


def shortest(
    explorers: list[Explorer], *, most: int
) -> dict[tuple[str, frozenset[str]], list[tuple[Explorer, Verdict]]]:
    """Per kind and assumptions, those of the fewest faults; what broke more than another is left out."""
    groups: dict[tuple[str, frozenset[str]], list[tuple[Explorer, Verdict]]] = {}
    for explorer in explorers:
        for verdict in judge(explorer):
            if verdict.kind in ("twice", "lost") and verdict.node.spent <= most:
                group = groups.setdefault((verdict.kind, verdict.node.broken), [])
                group.append((explorer, verdict))
    least = {
        (kind, broken): group
        for (kind, broken), group in groups.items()
        if not any(other < broken for other_kind, other in groups if other_kind == kind)
    }
    for name, group in least.items():
        fewest = min(verdict.node.spent for _, verdict in group)
        least[name] = [item for item in group if item[1].node.spent == fewest]
    return least
