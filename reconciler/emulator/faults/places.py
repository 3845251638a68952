"""Where the values of a fault file were written. Asked only about documents that have been read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.emulator.faults.errors import Problem

# A line and a column, from 1.
Place: TypeAlias = tuple[int, int]

_START: Place = (1, 1)


def placed(
    problems: Iterable[Problem], content: bytes, loader: type[yaml.SafeLoader], root: tuple[str | int, ...]
) -> list[Problem]:
    """Give problems their lines and columns.

    Args:
        problems: What is wrong in a document.
        content: The text that it, or a part of it, was read from: YAML or JSON, of bounded depth.
        loader: What it was read by.
        root: Where in the document that text stands; all of it at `()`.
    """
    node = _composed(content, loader)
    found = []
    for problem in problems:
        below = problem.where[: len(root)] == root
        line, column = _place(node, problem.where[len(root) :], problem.key) if node and below else _START
        found.append(replace(problem, line=line, column=column))
    return found


def _composed(content: bytes, loader: type[yaml.SafeLoader]) -> yaml.Node | None:
    try:
        # JSON may have tabs where YAML must not. A blank is as wide.
        text = content.decode("utf-8-sig").replace("\t", " ")
        node: yaml.Node | None = yaml.compose(text, loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        # JSON that is no YAML, by a character or the like.
        return None
    return node


def _place(node: yaml.Node, path: tuple[str | int, ...], key: str | None) -> Place:
    """Find the value at the end of a path, or the last one on the way that exists; or a key in it."""
    for part in path:
        inner = _child(node, part)
        if inner is None:
            break
        node = inner[1]
    named = None if key is None else _child(node, key)
    mark = (node if named is None else named[0]).start_mark
    return mark.line + 1, mark.column + 1


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    match node:
        case yaml.MappingNode():
            # Of two equal keys JSON has the last.
            pairs = reversed(node.value)
            return next(((name, value) for name, value in pairs if name.value == str(part)), None)
        case yaml.SequenceNode() if isinstance(part, int) and part < len(node.value):
            return node.value[part], node.value[part]
        case _:
            return None
