"""From the bytes of one file to its YAML documents, by PyYAML's events and a builder of our own.

``load`` and ``compose`` are never called: with libyaml they crash the process on 30,000 nested brackets,
and both lose duplicate keys. Nothing is resolved either: anchors, aliases, tags and merge keys are
refused, so that a small file cannot mean a large value. Positions are not kept (``positions.py`` finds
them again). A document in which something had to be guessed is left out; its diagnostic says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import yaml

from reconciler.adapters.manifests.positions import Positions
from reconciler.adapters.manifests.runs import lengthen, line_before, shorten
from reconciler.adapters.manifests.scalars import plain_value
from reconciler.adapters.manifests.syntax import syntax_fault
from reconciler.adapters.manifests.text import decode, forbidden_in, forbidden_message
from reconciler.model.source import Diagnostic, Document, Source, Value

if TYPE_CHECKING:
    from collections.abc import Callable
#: How deep lists and mappings may stand in each other.
MAX_DEPTH = 50
#: How many values one file may hold: bounds memory, where a byte of YAML can become 70 bytes of list.
MAX_VALUES = 1_000_000
#: How many documents one file may hold, empty ones included.
MAX_DOCUMENTS = 10_000
#: How many faults of one file are told before reading it stops.
MAX_FAULTS = 100

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stop(Exception):  # noqa: N818 - no error: ends the reading of a file
    """The file is not worth reading further; the reason is among the faults."""


# States of the builder inside a mapping: the next node is a key, or the next value belongs nowhere.
_KEY_WANTED: Final = object()
_DROPPED: Final = object()


def read_documents(data: bytes, file: str) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """All documents of a file, in order, and everything that is wrong with its text.

    Args:
        data: the file's bytes; the caller bounds their number.
        file: the file's name in diagnostics.

    Returns:
        Documents whose root is a mapping, without empty ones; and diagnostics in the order of lines.
    """
    text = decode(data, file)
    if isinstance(text, Diagnostic):
        return (), (text,)
    shortened, runs = shorten(text)
    builder = _built(shortened, file)
    documents = builder.documents
    if runs:
        values = builder.values + 2 * sum(len(run.ids) for run in runs)
        whole = not builder.faults and values <= MAX_VALUES
        if whole and lengthen([value for _, _, value in documents], runs):
            documents = [
                (number, root._replace(line=line_before(root.line, runs)), value)
                for number, root, value in documents
            ]
        else:
            builder = _built(text, file)
            documents = builder.documents
    accepted = documents[-1][0] + 1 if documents else 0
    positions = Positions(text, file, accepted, _LOADER)
    return (
        tuple(Document(root, value, positions.locator(number, root)) for number, root, value in documents),
        tuple(sorted(builder.faults)),
    )


def _built(text: str, file: str) -> _Builder:
    builder = _Builder(file)
    handlers = builder.handlers()
    loader = _LOADER(text)
    try:
        # As `yaml.parse` does it, in half the time: that asks for each event whether there is one.
        while type(event := loader.get_event()) is not yaml.StreamEndEvent:
            if (handler := handlers.get(type(event))) is not None:
                handler(event)
    except yaml.YAMLError as error:
        builder.faults.append(syntax_fault(error, text, file))
    except _Stop:
        pass
    finally:
        loader.dispose()
    return builder


class _Builder:
    """Takes the events of one file and builds its values without recursion.

    Attributes:
        values: how many there were.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Diagnostic] = []
        self.documents: list[tuple[int, Source, dict[str, Value]]] = []
        self._started = 0
        self.values = 0
        self._broken = False
        self._told: set[str] = set()
        self._stack: list[tuple[list[Value] | dict[str, Value], object]] = []
        self._container: list[Value] | dict[str, Value] = []
        self._key: object = _KEY_WANTED
        self._names: dict[str, str] = {}
        self._plain_names: set[str] = set()
        self._root = Source(file)

    def handlers(self) -> dict[type[yaml.Event], Callable[..., None]]:
        """What takes an event of a type; it raises `_Stop` when a bound was passed."""
        # Not kept here: in a cycle, what was read would stay until the collector comes.
        return {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._mapping,
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._document,
            yaml.DocumentEndEvent: self._document_end,
        }

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self._started += 1
        if self._started > MAX_DOCUMENTS:
            self._fault(event, f"more than {MAX_DOCUMENTS:,} documents in one file")
            raise _Stop
        self._broken = False
        self._container = []

    def _document_end(self, event: yaml.DocumentEndEvent) -> None:  # noqa: ARG002 - a handler's signature
        [root] = self._container
        if isinstance(root, dict):
            if not self._broken:
                self.documents.append((self._started - 1, self._root, root))
        elif root is not None and not self._broken:
            kind = "a list" if isinstance(root, list) else "a single value"
            message = f"a document is a mapping with apiVersion, kind, metadata and spec, not {kind}"
            self._add_fault(Diagnostic(self._root, message))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.anchor is not None or event.tag is not None:
            self._reference(event)
        plain = event.implicit[0] and event.tag is None
        container = self._container
        if type(container) is dict:
            if self._key is _KEY_WANTED:
                self._name(event, plain=plain)
                return
            if self._key is not _DROPPED:
                container[cast("str", self._key)] = self._read(event, plain=plain)
            self._key = _KEY_WANTED
        else:
            if not self._stack:
                self._root = self._place(event)
            cast("list[Value]", container).append(self._read(event, plain=plain))
        self._count(event)

    def _read(self, event: yaml.ScalarEvent, *, plain: bool) -> Value:
        if plain:
            try:
                return plain_value(event.value)
            except ValueError as error:
                self._break(event, str(error))
                return None
        if event.style == '"':
            self._check_escapes(event)
        return event.value

    def _name(self, event: yaml.ScalarEvent, *, plain: bool) -> None:
        name = self._names.setdefault(event.value, event.value)
        self._key = name
        if plain:
            if name not in self._plain_names:
                self._check_plain_key(event)
        elif event.style == '"':
            self._check_escapes(event)
        if name in cast("dict[str, Value]", self._container):
            self._key = _DROPPED
            self._fault(event, f"the key {_shown(name)} stands here for the second time")

    def _check_plain_key(self, event: yaml.ScalarEvent) -> None:
        text = event.value
        try:
            typed = not isinstance(plain_value(text), str)
        except ValueError:
            typed = True
        if text == "":
            self._break(event, "a key is missing before ':'")
        elif text == "<<":
            self._break(event, "merge keys ('<<') are not read: write the keys out")
        elif typed:
            self._break(event, f"a key is text: quote it, as in '{_cut(text)}':")
        else:
            self._plain_names.add(text)

    def _check_escapes(self, event: yaml.ScalarEvent) -> None:
        character = forbidden_in(event.value)
        if character is not None:
            self._break(event, forbidden_message(character))

    def _mapping(self, event: yaml.MappingStartEvent) -> None:
        self._start(event, {})

    def _sequence(self, event: yaml.SequenceStartEvent) -> None:
        self._start(event, [])

    def _start(self, event: yaml.CollectionStartEvent, new: list[Value] | dict[str, Value]) -> None:
        if event.anchor is not None or event.tag is not None:
            self._reference(event)
        container, after = self._container, _KEY_WANTED
        if isinstance(container, list):
            if not self._stack:
                self._root = self._place(event)
            container.append(new)
        elif self._key is _KEY_WANTED:
            self._break(event, "a key is text: a list or mapping cannot be one; quote it")
            after = _DROPPED
        elif self._key is not _DROPPED:
            container[cast("str", self._key)] = new
        self._stack.append((container, after))
        if len(self._stack) > MAX_DEPTH:
            self._fault(event, f"lists and mappings are nested more than {MAX_DEPTH} deep")
            raise _Stop
        self._container, self._key = new, _KEY_WANTED
        self._count(event)

    def _end(self, event: yaml.CollectionEndEvent) -> None:  # noqa: ARG002 - a handler's signature
        self._container, self._key = self._stack.pop()

    def _alias(self, event: yaml.AliasEvent) -> None:
        self._broken = True
        self._once(event, "anchors (&) and aliases (*) are not read: write the value out")
        container = self._container
        if isinstance(container, list):
            if not self._stack:
                self._root = self._place(event)
            container.append(None)
        else:
            self._key = _DROPPED if self._key is _KEY_WANTED else _KEY_WANTED

    def _reference(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._once(event, "anchors (&) and aliases (*) are not read: write the value out")
        if event.tag is not None:
            self._once(event, "tags (!) are not read: write the value without one")

    def _count(self, event: yaml.Event) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            self._fault(event, f"more than {MAX_VALUES:,} values in one file: divide it")
            raise _Stop

    def _once(self, event: yaml.Event, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._fault(event, message)

    def _break(self, event: yaml.Event, message: str) -> None:
        self._broken = True
        self._fault(event, message)

    def _fault(self, event: yaml.Event, message: str) -> None:
        self._add_fault(Diagnostic(self._place(event), message))

    def _add_fault(self, fault: Diagnostic) -> None:
        self.faults.append(fault)
        if len(self.faults) == MAX_FAULTS:
            place = Source(self.file, fault.source.line, fault.source.column + 1)
            self.faults.append(Diagnostic(place, f"{MAX_FAULTS} faults so far: the rest is not read"))
            raise _Stop

    def _place(self, event: yaml.Event) -> Source:
        mark = event.start_mark
        assert mark is not None, "a parser's events carry their place"
        return Source(self.file, mark.line + 1, mark.column + 1)


def _cut(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _shown(text: str) -> str:
    return repr(_cut(text))
