"""A lockfile's entries, each read when it is asked for; of those that stay as they are the lines are kept.

Nearly every entry has one batch, and nothing in it needs JSON's escapes. One pattern knows the lines that
this tool writes for such entries, to the last character, so that whatever fits it can be read; all other
lines go through the JSON reader of `text` at once, which says what is wrong with them. A lockfile of 100,000
entries is so read in a tenth of the time that reading each through `text` takes, and written in a twentieth
where one was changed. The price is this pattern, which a property test holds to `text` in both directions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, MutableMapping
from datetime import datetime
from sys import intern
from typing import TYPE_CHECKING, TypeVar, cast

from reconciler.adapters.stores.text import entry_from_json, entry_to_json, read_key, unique
from reconciler.model.batch import Address, FileCounts, JobType, Key, Status
from reconciler.model.canonical import canonical
from reconciler.model.lock import Entry, Evidence, Origin, Recorded
from reconciler.model.manifest import OnRemove

if TYPE_CHECKING:
    from collections.abc import ItemsView, ValuesView

_T = TypeVar("_T")

#: What stands between two entries.
_NEXT = ",\n"

#: The line of a lockfile behind which its entries stand, and those that close it.
OPENS = '"entries": {'
CLOSES = ["}", "}", ""]

_PART = r"[A-Za-z0-9_.~/:@+=,;!$&'()*\[\]-]+"
_TEXT = r"[ !#-\[\]-~]*"  # what JSON writes as it is
_NAME = r"[ !#-.0-\[\]-~]+"  # likewise, without a slash
_TIME = (
    r"[12][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.(?!000000)[0-9]{6})?Z"
)
_COUNT = r"0|[1-9][0-9]{0,8}"
_EVIDENCE = (
    rf'(?:"after":"{_TIME}",)?(?:"configuration":"{_TEXT}",)?(?:"inputs":"{_TEXT}",)?"reason":"{_TEXT}"'
)
_BATCH = (
    rf'(?:"createdAt":"{_TIME}",)?(?:"evidence":\{{{_EVIDENCE}\}},)?'
    rf'(?:"files":\{{"failed":(?P<failed>{_COUNT}),"total":(?P<total>{_COUNT})\}},)?'
    rf'"id":"(?P<id>{_TEXT})","origin":"(?:{"|".join(Origin)})","recordedAt":"{_TIME}",'
    rf'"status":"(?:{"|".join(Status)})"(?:,"updatedAt":"{_TIME}")?'
)
_PLAIN = re.compile(
    rf'("({_PART} {_PART}) ({_PART}) ((?:{"|".join(JobType)}) {_PART})": '
    rf'\{{"address":"{_NAME}/{_TEXT}[ !#-\[\]-~]","batches":\[\{{{_BATCH}\}}\],"current":"(?P=id)"'
    rf'(?:,"directoryName":"{_TEXT}[ !#-\[\]-~]")?(?:,"onRemove":"{OnRemove.CANCEL}")?\}})'
    rf"(?:{_NEXT}|\Z)"
)

# The fields of a line that fits. Nothing is judged any more, and to find the next quote takes less.
_ANY = r'([^"]*)'
_FIELDS = re.compile(
    r'"[^"]*": \{"address":"([^"/]*)/([^"]*)","batches":\[\{'
    rf'(?:"createdAt":"{_ANY}",)?'
    rf'(?:"evidence":\{{(?:"after":"{_ANY}",)?(?:"configuration":"{_ANY}",)?(?:"inputs":"{_ANY}",)?"reason":"{_ANY}"\}},)?'
    r'(?:"files":\{"failed":(\d+),"total":(\d+)\},)?'
    rf'"id":"{_ANY}","origin":"{_ANY}","recordedAt":"{_ANY}","status":"{_ANY}"(?:,"updatedAt":"{_ANY}")?'
    rf'\}}\],"current":"[^"]*"(?:,"directoryName":"{_ANY}")?(?:,"onRemove":"{_ANY}")?\}}'
)

_JOBS = {job.value: job for job in JobType}
_ORIGINS = {origin.value: origin for origin in Origin}
_STATUSES = {status.value: status for status in Status}


class Shelf(MutableMapping["Key", "Entry"]):
    """Entries by key. One that was read from a line and has not been asked for is that line.

    Iterating gives the keys as the lockfile has them, and then what was added.
    """

    __slots__ = ("_entries", "_kept", "_unread")

    def __init__(self) -> None:
        self._entries: dict[Key, Entry | str] = {}
        #: The lines of those that were asked for and stayed as they were.
        self._kept: dict[Key, str] = {}
        self._unread = True

    def take(self, text: str, begin: int = 0, end: int | None = None) -> None:
        """Put the entries on the shelf that stand in a text, one a line, with commas between them.

        The pattern goes through the text as a whole: to cut it into lines first takes a third as much again.

        Raises:
            ValueError: one of them is no entry, or two have one key. What is wrong where is for
                `lockfile` to find out.
        """
        heads: dict[str, tuple[str, ...]] = {}  # of endpoints, projects and configurations there are few
        tails: dict[str, tuple[JobType, str]] = {}
        entries, count, at = self._entries, 0, begin
        end = len(text) if end is None else end
        if begin >= end:
            return
        for plain in _PLAIN.finditer(text, begin, end):
            line, head, directory, tail, failed, total = plain.group(1, 2, 3, 4, 5, 6)
            if failed is not None and int(failed) > int(total):
                continue
            start, stop = plain.span()
            if start != at:
                if not text.startswith(_NEXT, start - len(_NEXT)):
                    continue  # only the end of a line fits
                count += self._take_others(text[at : start - len(_NEXT)])
            endpoint, project = heads.get(head) or heads.setdefault(head, tuple(head.split(" ")))
            job, configuration = tails.get(tail) or tails.setdefault(tail, _job(tail))
            # As `Key` does it, less the call.
            entries[tuple.__new__(Key, (endpoint, project, directory, job, configuration))] = line
            count, at = count + 1, stop
        if at != end or text.endswith(_NEXT, begin, end):  # a comma and nothing behind it is no JSON either
            count += self._take_others(text[at:end])
        if len(entries) != count:
            raise ValueError("two entries have one key")

    def _take_others(self, lines: str) -> int:
        """Put entries on the shelf that no pattern knows, read; gives how many."""
        others = lines.split(_NEXT)
        for line in others:
            ((name, written),) = json.loads("{" + line + "}", object_pairs_hook=unique).items()
            key = read_key(name)
            self._entries[key] = entry_from_json(key, written)
        return len(others)

    def rows(self) -> list[str]:
        """A line for each entry, sorted by the keys' texts (R17); those that nobody changed as they were."""
        lines = [
            entry if isinstance(entry, str) else self._kept.get(key) or row(key, entry)
            for key, entry in self._entries.items()
        ]
        lines.sort(key=lambda line: line[1 : line.index('": {')])
        return lines

    def __getitem__(self, key: Key) -> Entry:
        """Read an entry, the first time."""
        entry = self._entries[key]
        return self._open(key, entry) if isinstance(entry, str) else entry

    def get(self, key: Key, default: _T | None = None) -> Entry | _T | None:  # type: ignore[override]
        """The entry of a key, if there is one; what a mapping has for this takes three calls for each key."""
        entry = self._entries.get(key)
        if entry is None:
            return default
        return self._open(key, entry) if isinstance(entry, str) else entry

    def __setitem__(self, key: Key, entry: Entry) -> None:
        """Put an entry in the place of a line."""
        self._entries[key] = entry
        self._kept.pop(key, None)

    def __delitem__(self, key: Key) -> None:
        """Take an entry away."""
        del self._entries[key]
        self._kept.pop(key, None)

    def __contains__(self, key: object) -> bool:
        """Whether there is an entry, without reading it."""
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        """The keys, without reading any entry."""
        return iter(self._entries)

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def __copy__(self) -> Shelf:
        """Another shelf, to change; what is on both is the same."""
        other = Shelf()
        other._entries, other._kept = dict(self._entries), dict(self._kept)
        other._unread = self._unread
        return other

    def values(self) -> ValuesView[Entry]:
        """All entries, read by then, as a dictionary gives them: most that ask for one ask for all."""
        return self._all().values()

    def items(self) -> ItemsView[Key, Entry]:
        """All keys and entries, likewise."""
        return self._all().items()

    def _all(self) -> dict[Key, Entry]:
        if self._unread:
            for key, entry in self._entries.items():
                if isinstance(entry, str):
                    self._open(key, entry)
            self._unread = False
        return cast("dict[Key, Entry]", self._entries)

    def _open(self, key: Key, line: str) -> Entry:
        entry = self._entries[key] = _read(key, line)
        self._kept[key] = line
        return entry


def _job(tail: str) -> tuple[JobType, str]:
    job, configuration = tail.split(" ")
    return _JOBS[job], configuration


def row(key: Key, entry: Entry) -> str:
    """The line of an entry, without a comma."""
    return f"{canonical(str(key))}: {canonical(entry_to_json(entry))}"


def _read(key: Key, line: str) -> Entry:
    fields = _FIELDS.fullmatch(line)
    assert fields is not None, "only such lines are kept"
    set_name, directory, created, after, configuration, inputs, reason, failed, total, *others = (
        fields.groups()
    )
    name, origin, recorded, status, updated, directory_name, removed = others
    batch = Recorded(
        name,
        _STATUSES[status],
        _ORIGINS[origin],
        datetime.fromisoformat(recorded),
        None if created is None else datetime.fromisoformat(created),
        None if updated is None else datetime.fromisoformat(updated),
        None if reason is None else Evidence(intern(reason), _moment(after), inputs, configuration),
        None,  # no alias: such a line is none that fits
        None if total is None else FileCounts(int(total), int(failed)),
    )
    return Entry(
        key,
        # Equal texts are kept once: that saves a tenth of the memory of a plan.
        Address(intern(set_name), key.directory if directory == key.directory else directory),
        name,
        (batch,),
        OnRemove.CANCEL if removed else OnRemove.KEEP,
        directory_name or "",
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
