"""Where the values of a file were written, found by reading its events once more.

Nothing is refused here: only documents that ``reader.py`` has accepted are asked about. All places of a
file are found in one pass, at the first question, so that 10,000 questions cost no more than one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import yaml

from reconciler.model.source import Path, Source

if TYPE_CHECKING:
    from reconciler.model.source import Locator

# A place is one integer, a line and a column in it: 100,000 directories have 300,000 places.
_COLUMN_BITS = 32

# A scalar is its place. A list is its place and its items; a mapping, its place and for each key the
# place of the key and the node of the value.
_Node: TypeAlias = "int | tuple[int, list[_Node]] | tuple[int, dict[str, tuple[int, _Node]]]"


class Positions:
    """The places of all documents of one file."""

    def __init__(self, text: str, file: str, documents: int, loader: type[yaml.SafeLoader]) -> None:
        self._text = text
        self._file = file
        self._documents = documents
        self._loader = loader
        self._roots: list[_Node] | None = None

    def locator(self, document: int, root: Source) -> Locator:
        """A locator for one document of the file; ``root`` is where that document begins."""

        def locate(path: Path, *, key: bool = False) -> Source:
            if not path:
                return root
            if self._roots is None:
                self._roots = _read_places(self._text, self._documents, self._loader)
            return self._source(_follow(self._roots[document], path, key=key))

        return locate

    def _source(self, place: int) -> Source:
        return Source(self._file, (place >> _COLUMN_BITS) + 1, (place & ((1 << _COLUMN_BITS) - 1)) + 1)


def _follow(node: _Node, path: Path, *, key: bool) -> int:
    """The place at the end of the path, or the last one on the way that exists."""
    place = node if isinstance(node, int) else node[0]
    for index, part in enumerate(path):
        if isinstance(node, int):
            return place
        children = node[1]
        if isinstance(children, dict):
            if part not in children:
                return place
            name, node = children[str(part)]
            if key and index == len(path) - 1:
                return name
        else:
            if not isinstance(part, int) or not 0 <= part < len(children):
                return place
            node = children[part]
        place = node if isinstance(node, int) else node[0]
    return place


def _read_places(text: str, documents: int, loader: type[yaml.SafeLoader]) -> list[_Node]:
    """The roots of the first so many documents; a fault further on in the file is no concern."""
    roots: list[_Node] = []
    stack: list[_Frame] = []
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append(_Frame(_place(event), mapping=isinstance(event, yaml.MappingStartEvent)))
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                node, name = stack.pop().node, None
            elif isinstance(event, yaml.NodeEvent):
                node, name = _place(event), getattr(event, "value", None)
            else:
                continue
            if stack:
                stack[-1].add(node, name)
            elif len(roots) + 1 < documents:
                roots.append(node)
            else:
                return [*roots, node]
    except yaml.YAMLError:
        pass
    return roots


class _Frame:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("_key", "_list", "_map", "node")

    def __init__(self, place: int, *, mapping: bool) -> None:
        self._list: list[_Node] = []
        self._map: dict[str, tuple[int, _Node]] | None = {} if mapping else None
        self._key: tuple[int, str | None] | None = None
        self.node: _Node = (place, self._list) if self._map is None else (place, self._map)

    def add(self, node: _Node, name: str | None) -> None:
        """Take a child; ``name`` is its text if it is a scalar."""
        if self._map is None:
            self._list.append(node)
        elif self._key is None:
            self._key = (node if isinstance(node, int) else node[0], name)
        else:
            place, text = self._key
            self._key = None
            if text is not None:
                # Of two equal keys the reader keeps the first.
                self._map.setdefault(text, (place, node))


def _place(event: yaml.Event) -> int:
    mark = event.start_mark
    assert mark is not None, "a parser's events carry their place"
    return mark.line << _COLUMN_BITS | mark.column
