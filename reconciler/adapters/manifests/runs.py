"""Long lists of ids, taken out of a text before YAML is parsed, and put back into its values.

A set with 100,000 directories is 100,000 lines that differ in an id. For each of them libyaml makes four
events of two places each, which is most of what reading a manifest takes. One pattern finds lines that follow
one another and can mean nothing but one more item of the list that the line before them stands in; they are
replaced by one item with a mark. This bought nine tenths of the time that reading such a manifest took.

Where a mark does not come back as an item of a list, since the lines stood in a block of text, nothing of
this holds, and the text is to be read as it is. So it is where the shortened text has any fault.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.source import Value

#: Shorter runs are left alone: they take no time.
SHORTEST = 100

_MARK = "reconciler-run-of-ids-"

# An id with a hyphen in it is text to any YAML: no word, number or time begins with a letter and has one. The
# first line of a run stays, since it shows the list; so does the last, since it may go on in the next line.
_ID = r"[A-Za-z][A-Za-z0-9_]*-[A-Za-z0-9_-]*"
_RUN = re.compile(rf"^( *- id: ){_ID}\n((?>(?:\1{_ID}\n)+))", re.MULTILINE)


class Run(NamedTuple):
    """Ids that were taken out.

    Attributes:
        line: of the mark in the shortened text, from 1.
    """

    line: int
    ids: tuple[str, ...]


def shorten(text: str) -> tuple[str, tuple[Run, ...]]:
    """The text without its long runs, and these."""
    if _MARK in text:
        return text, ()
    pieces: list[str] = []
    runs: list[Run] = []
    at, line = 0, 1
    for found in _RUN.finditer(text):
        item, (begin, end) = found[1], found.span(2)
        end = text.rfind("\n", begin, end - 1) + 1
        if end <= begin or text.count("\n", begin, end) < SHORTEST:
            continue
        line += text.count("\n", at, begin)
        pieces += (text[at:begin], f"{item}{_MARK}{len(runs)}\n")
        runs.append(Run(line, tuple(text[begin + len(item) : end - 1].split(f"\n{item}"))))
        at, line = end, line + 1
    return "".join([*pieces, text[at:]]), tuple(runs)


def lengthen(values: Iterable[Value], runs: Iterable[Run]) -> bool:
    """Put the ids back into values that were read from the shortened text; gives whether all had a place."""
    left = {f"{_MARK}{index}": run for index, run in enumerate(runs)}
    ahead = [*values]
    while ahead and left:
        value = ahead.pop()
        if isinstance(value, dict):
            ahead += value.values()
        elif isinstance(value, list):
            for index in reversed(range(len(value))):
                item = value[index]
                name = item.get("id") if isinstance(item, dict) and len(item) == 1 else None
                if isinstance(name, str) and (run := left.pop(name, None)):
                    value[index : index + 1] = [{"id": name} for name in run.ids]
                elif isinstance(item, dict | list):
                    ahead.append(item)
    return not left


def line_before(line: int, runs: Iterable[Run]) -> int:
    """Where a line of the shortened text stood before."""
    return line + sum(len(run.ids) - 1 for run in runs if run.line < line)
