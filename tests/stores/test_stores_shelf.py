"""A lockfile's entries by pattern: what fits is read as the JSON reader reads it, and nothing else fits."""

from __future__ import annotations

import copy
import json
import string
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.adapters.stores import lockfile, shelf
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.adapters.stores.postgres.rows import _read_entries
from reconciler.adapters.stores.shelf import Shelf
from reconciler.model.batch import Address, FileCounts, JobType, Key, Status
from reconciler.model.errors import StateError
from reconciler.model.lock import Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.manifest import OnRemove

if TYPE_CHECKING:
    from collections.abc import Callable

# What ids, names and times are nearly always made of ----------------------------------------------

_IDS = string.ascii_letters + string.digits + "-_.:/!"
ids = st.text(_IDS, min_size=1, max_size=6)
texts = st.text(_IDS + ' ,{}[]#%~é"\\\u2028', max_size=5)
# 29 February, the ends of months and the ends of seconds are where a pattern for times goes wrong.
times = st.sampled_from(
    [
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 12, 31, 10, 20, 30, 1, tzinfo=UTC),
        datetime(2026, 4, 30, 10, 20, 30, 999_999, tzinfo=UTC),
        datetime(999, 1, 1, tzinfo=UTC),
    ]
) | st.datetimes(timezones=st.just(UTC))
keys = st.builds(Key, ids, ids, ids, st.sampled_from(JobType), ids)
evidences = st.builds(Evidence, texts, st.none() | times, st.none() | texts, st.none() | texts)
counts = st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)).map(
    lambda pair: FileCounts(max(pair), min(pair))
)


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    batch = Recorded(
        id=draw(texts),
        status=draw(st.sampled_from(Status)),
        origin=draw(st.sampled_from(Origin)),
        recorded_at=draw(times),
        created_at=draw(st.none() | times),
        updated_at=draw(st.none() | times),
        evidence=draw(st.none() | evidences),
        files=draw(st.none() | counts),
    )
    directory = draw(ids)
    return Entry(
        key=draw(keys),
        address=Address(draw(ids).replace("/", "_"), directory),
        current=batch.id,
        batches=(batch,),
        on_remove=draw(st.sampled_from(OnRemove)),
        directory_name=draw(texts),
    )


locks = st.lists(_entries(), min_size=1, max_size=3).map(
    lambda items: Lock(lineage="l", entries={item.key: item for item in items})
)


def _came_to(read: Callable[[str, str], Lock], text: str) -> Lock | str:
    try:
        return read(text, "f")
    except StateError as error:
        return str(error)


def _alike(text: str) -> None:
    """By pattern and through JSON alone the same comes out, a value or an error."""
    assert _came_to(read_lock, text) == _came_to(lockfile._read_lock, text)


@settings(max_examples=2 * settings().max_examples)
@given(locks)
def test_what_was_written_is_read_back_and_written_the_same(lock: Lock) -> None:
    text = write_lock(lock)
    read = read_lock(text, "f")
    assert write_lock(read) == text  # from lines
    assert read == lock
    assert write_lock(read) == text
    _alike(text)


@settings(max_examples=3 * settings().max_examples)
@given(locks, st.data())
def test_a_line_that_somebody_touched_is_read_as_json_is_or_refused_likewise(
    lock: Lock, data: st.DataObject
) -> None:
    text = write_lock(lock)
    begin = text.index(shelf.OPENS)
    at = data.draw(st.integers(begin, len(text) - 1), "at")
    gone = data.draw(st.integers(0, 2), "gone")
    put = data.draw(
        st.sampled_from(["", "0", "9", "-", ".", " ", '"', "\\", "/", ",", "}", "\n", "x", "é"]), "put"
    )
    _alike(text[:at] + put + text[at + gone :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2026-11-01T", "2026-02-29T"),
        ("2026-11-01T", "2026-11-31T"),
        ("2026-11-01T", "2026-13-01T"),
        ("00:00:00Z", "24:00:00Z"),
        ("00:00:00Z", "00:00:60Z"),
        ("00:00:00Z", "00:00:00.000000Z"),
        ("00:00:00Z", "00:00:00.5Z"),
        ("00:00:00Z", "00:00:00+00:00"),
        ('"failed":1,"total":2', '"failed":3,"total":2'),
        ('"failed":1,"total":2', '"failed":01,"total":2'),
        ('"failed":1,"total":2', '"failed":1,"total":2.0'),
        ('"current":"b"', '"current":"c"'),
        ('"COMPLETED"', '"DONE"'),
        ('"created"', '"made"'),
        ("parse_v2", "parse_v9"),
        ("e p d", "e p%20 d"),
        ("e p d", "e  p d"),
        ('"s/d"', '"sd"'),
        ('"s/d"', '"s/"'),
        ('"s/d"', '"/d"'),
        ('"onRemove":"cancel"', '"onRemove":"keep"'),
        ('"onRemove":"cancel"', '"onRemove":"drop"'),
        ('"batches":[', '"batches": ['),
        ('"origin":"created"', '"origin":"created","origin":"created"'),
        ('{"address"', '{"adress":"s/d","address"'),
    ],
)
def test_what_only_looks_like_an_entry(old: str, new: str) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    made, files = Evidence("missing"), FileCounts(2, 1)
    batch = Recorded("b", Status.COMPLETED, Origin.CREATED, at, at, at, made, files=files)
    entry = Entry(
        key=Key("e", "p", "d", JobType.PARSE_V2, "c"),
        address=Address("s", "d"),
        current="b",
        batches=(batch,),
        on_remove=OnRemove.CANCEL,
    )
    text = write_lock(Lock(lineage="l", entries={entry.key: entry}))
    assert text.count(old)
    _alike(text.replace(old, new))


def test_two_lines_of_one_key_are_refused() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    entry = Entry(
        key=Key("e", "p", "d", JobType.PARSE_V2, "c"),
        address=Address("s", "d"),
        current="b",
        batches=(Recorded("b", Status.COMPLETED, Origin.CREATED, at),),
    )
    text = write_lock(Lock(lineage="l", entries={entry.key: entry}))
    line = next(line for line in text.split("\n") if line.startswith('"e p d'))
    text = text.replace(line, f"{line},\n{line}")
    with pytest.raises(StateError, match="stands in it twice"):
        read_lock(text, "f")
    _alike(text)


# What it is for -----------------------------------------------------------------------------------


def _entry(number: int) -> Entry:
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    batch = Recorded(
        f"bat-{number}",
        Status.COMPLETED,
        Origin.CREATED,
        at,
        at,
        at,
        Evidence("missing"),
        files=FileCounts(3, 1),
    )
    return Entry(
        key=Key("https://api.test", "prj-1", f"dir-{number}", JobType.PARSE_V2, "cfg-1"),
        address=Address("invoices", f"dir-{number}"),
        current=batch.id,
        batches=(batch,),
        directory_name=f"invoices 2026/{number}",
    )


MANY = {entry.key: entry for entry in map(_entry, range(20))}


# JSON that stays JSON, another line break's worth of it, and what is none any more.
_BESIDE = ["", " ", "  ", "\n", "\t\n", ",\n", "x", "xx", "{", "}", "},", '"', '"k": 1,\n', '"k": {}, ', "é"]


@pytest.mark.parametrize("number", [0, 7, 9])  # the first, one between, the last
@pytest.mark.parametrize("before", _BESIDE)
def test_what_stands_beside_an_entry_is_read_as_json_is_or_refused_likewise(number: int, before: str) -> None:
    text = write_lock(Lock(lineage="l", entries=MANY))
    line = next(line for line in text.split("\n") if f"dir-{number} " in line).removesuffix(",")
    odd = line.replace('"batches"', ' "batches"')
    for after in _BESIDE:
        _alike(text.replace(line, before + line + after))
        _alike(text.replace(line, before + odd + after))
        for one in (line, odd):
            _alike(text.replace(line, f"{one}{after}{line.replace('dir-', 'dir-1000')}"))


def test_entries_that_the_pattern_does_not_know_stand_anywhere_between_those_that_it_does() -> None:
    lines = write_lock(Lock(lineage="l", entries=MANY)).split("\n")
    first = lines.index(shelf.OPENS) + 1
    for others in ([0], [1, 2], [0, 1, 9, 18, 19], range(20)):
        text = "\n".join(
            line.replace('"batches"', ' "batches"') if index - first in others else line
            for index, line in enumerate(lines)
        )
        assert read_lock(text, "f").entries == MANY
        assert list(read_lock(text, "f").entries) == sorted(MANY, key=str)
        _alike(text)


def test_entries_that_stand_in_two_places_are_refused() -> None:
    text = write_lock(Lock(lineage="l", entries=MANY))
    for between in (f"{shelf.OPENS}\n}},\n", f'{shelf.OPENS}\n"k": {{\n}}\n}},\n'):
        twice = text.replace(shelf.OPENS, between + shelf.OPENS)
        assert isinstance(_came_to(read_lock, twice), str)
        _alike(twice)


def test_a_row_of_a_table_that_is_two_entries_is_refused() -> None:
    first, second = (shelf.row(entry.key, entry) for entry in (_entry(1), _entry(2)))
    name, one = first.split(": ", 1)
    rows = [(json.loads(name), f"{one},\n{second}")]
    connection: Any = SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchall=lambda: rows))
    with pytest.raises(StateError, match="table entries, key https"):
        _read_entries(connection, "p", "database")
    rows[:] = [(json.loads(name), one)]
    assert _read_entries(connection, "p", "database") == {_entry(1).key: _entry(1)}


def test_an_entry_within_an_entry_is_none() -> None:
    text = write_lock(Lock(lineage="l", entries=MANY))
    line = next(line for line in text.split("\n") if "dir-7 " in line).removesuffix(",")
    two = f"{{{line}}},\n{{{line}}}"
    for inside in (f'"k": {{{line}}}', f'"k": {{"a": 1,\n{line},\n"b": 2}}', f'"k": [{two}]'):
        _alike(text.replace(line, inside))
        _alike(text.replace(line, f"{inside},\n{line}"))


def test_an_ordinary_lockfile_is_read_without_json_and_only_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = write_lock(Lock(lineage="l", entries=MANY))
    read: list[Key] = []

    def count(key: Key, line: str) -> Entry:
        read.append(key)
        return actual(key, line)

    actual = shelf._read
    monkeypatch.setattr(shelf, "_read", count)
    monkeypatch.delattr(shelf, "entry_from_json")
    entries = read_lock(text, "f").entries
    assert (len(entries), list(entries), read) == (20, sorted(MANY, key=str), [])
    key = _entry(7).key
    assert (entries[key], entries[key], read) == (_entry(7), _entry(7), [key])
    assert dict(entries.items()) == MANY
    assert len(read) == 20


def test_what_was_not_changed_is_written_as_it_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_lock(Lock(lineage="l", entries=MANY))
    lock = read_lock(text, "f")
    entries = copy.copy(lock.entries)
    assert isinstance(entries, Shelf)
    changed = _entry(3)._replace(directory_name="another")
    new = _entry(99)
    entries[changed.key] = changed
    entries[new.key] = new
    del entries[_entry(5).key]
    expected = {**MANY, changed.key: changed, new.key: new}
    del expected[_entry(5).key]
    wanted = write_lock(Lock(lineage="l", entries=expected))
    written: list[Key] = []

    def count(key: Key, entry: Entry) -> str:
        written.append(key)
        return actual(key, entry)

    actual = shelf.row
    monkeypatch.setattr(shelf, "row", count)
    assert write_lock(replace(lock, entries=entries)) == wanted
    assert sorted(written) == sorted([changed.key, new.key])
    assert write_lock(lock) == text
    assert (entries == expected, lock.entries == MANY) == (True, True)
    with pytest.raises(KeyError):
        entries[_entry(5).key]
