"""Histories as text, for a failing test and for the list of those that no client survives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_judge import found_by
from model_life import World

if TYPE_CHECKING:
    from model_explorer import Explorer, Node

#: What a reader does not need in order to follow.
_UNTOLD = ("looks up", "closes the audit", "makes sure", "notes that it is", "takes the lock")


def history(explorer: Explorer, node: Node) -> list[str]:
    """The runs that led to a node, step by step; a step that begins with ``!`` is a fault."""
    lines = []
    for number, (state, deviations) in enumerate(explorer.path(node), 1):
        steps: list[tuple[float, str, str]] = []

        def listen(at: float, who: str, text: str, steps: list[tuple[float, str, str]] = steps) -> None:
            if not text.startswith(_UNTOLD):
                steps.append((at, who, text))

        World(explorer.scenario, state, deviations, listen=listen).live()
        lines.append(f"  run {number}")
        lines += _steps(steps)
    return lines


def _steps(steps: list[tuple[float, str, str]]) -> list[str]:
    lines: list[str] = []
    several = len({who for _, who, _ in steps if who}) > 1
    times = 0
    for number, (at, who, text) in enumerate(steps):
        after = steps[number + 1] if number + 1 < len(steps) else None
        times += 1
        if after is not None and after[1:] == (who, text):
            continue
        said = f"{who}: {text}" if several and who else text
        said += f" ({times} times)" if times > 1 else ""
        lines.append(f"    {at:6.0f} s  {said}")
        times = 0
    return lines


def unsurvivable(explorer: Explorer, node: Node, kind: str, what: str) -> list[str]:
    """One entry of the list."""
    found = f"; {found_by(node)}" if kind == "twice" else ""
    return [
        "No client can survive: " + ", and ".join(sorted(node.broken)),
        f"  begins {explorer.scenario.name}; {node.spent} fault{'s' * (node.spent != 1)}",
        *history(explorer, node),
        f"  {kind}: {what}{found}",
        "",
    ]
