"""The strict reader, the writer and the JSON Schemas of lockfile and journal say the same (R17)."""

from __future__ import annotations

import contextlib
import copy
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.adapters.stores.journal import Belongs, Closed, Committed, Opened, read_journal, write_note
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.model.batch import Address, FileCounts, JobType, Key, Status
from reconciler.model.errors import StateError
from reconciler.model.intent import Closing, Intent, Settled
from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Pin, PinKind, Recorded, TrackedEntry
from reconciler.model.manifest import OnRemove
from reconciler.model.watched import Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = Any

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


def _schema(name: str) -> Json:
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


LOCK, NOTE = Draft202012Validator(_schema("lock")), Draft202012Validator(_schema("journal-note"))

# Every value of the model that the stores write --------------------------------------------------

words = st.text(max_size=6)
names = st.text(min_size=1, max_size=6)
times = st.datetimes(timezones=st.just(UTC))
keys = st.builds(Key, words, words, words, st.sampled_from(JobType), words)
addresses = st.builds(Address, names.map(lambda name: name.replace("/", "_")), names)
evidences = st.builds(Evidence, words, st.none() | times, st.none() | words, st.none() | words)
counts = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda pair: FileCounts(max(pair), min(pair)))
recordeds = st.builds(
    Recorded,
    words,
    st.sampled_from(Status),
    st.sampled_from(Origin),
    times,
    st.none() | times,
    st.none() | times,
    st.none() | evidences,
    st.none() | st.builds(Alias, words, words),
    st.none() | counts,
)
pins = st.builds(Pin, words, st.sampled_from(PinKind), words, words, words, words)
watcheds = st.builds(
    Watched,
    id=st.builds(WatchedId, words, words),
    status=st.sampled_from(Status),
    word=words,
    created_at=st.none() | times,
    updated_at=st.none() | times,
    counts=st.none() | counts,
)
trackeds = st.builds(TrackedEntry, address=addresses, watched=watcheds, recorded_at=times)


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    batches = draw(st.lists(recordeds, min_size=1, max_size=3, unique_by=lambda item: item.id))
    return Entry(
        key=draw(keys),
        address=draw(addresses),
        current=draw(st.sampled_from(batches)).id,
        batches=tuple(batches),
        on_remove=draw(st.sampled_from(OnRemove)),
        directory_name=draw(words),
    )


entries = _entries()
locks = st.builds(
    Lock,
    lineage=words,
    project=words,
    serial=st.integers(min_value=0),
    projects=st.dictionaries(words, words, max_size=2),
    sets=st.dictionaries(words, words, max_size=2),
    heads=st.lists(words, max_size=2).map(lambda heads: tuple(sorted(heads))),
    entries=st.lists(entries, max_size=3).map(lambda items: {item.key: item for item in items}),
    pins=st.lists(pins, max_size=2).map(lambda items: tuple(sorted(items))),
    tracked=st.lists(trackeds, max_size=2).map(lambda items: {item.watched.id: item for item in items}),
    plan=words,
)
intents = st.builds(
    Intent,
    id=words,
    key=keys,
    address=addresses,
    known=st.frozensets(words, max_size=3),
    evidence=evidences,
    at=times,
    run=words,
    directory_name=words,
)
settleds = st.builds(Settled, words, st.sampled_from(Closing), words, st.none() | entries)
notes = st.one_of(
    intents,
    settleds,
    st.builds(Opened, words, words, words),
    st.builds(Closed, words),
    st.builds(Committed, words),
    st.builds(Belongs, words),
)


@settings(deadline=None)
@given(locks)
def test_every_lock_is_read_as_it_was_written(lock: Lock) -> None:
    assert read_lock(write_lock(lock), "f") == lock


@settings(deadline=None)
@given(locks)
def test_every_lockfile_satisfies_its_schema(lock: Lock) -> None:
    LOCK.validate(json.loads(write_lock(lock)))


@settings(deadline=None)
@given(locks)
def test_a_lock_has_one_text_whatever_order_it_was_made_in(lock: Lock) -> None:
    mirrored = Lock(
        lineage=lock.lineage,
        project=lock.project,
        serial=lock.serial,
        projects=dict(reversed(list(lock.projects.items()))),
        sets=dict(reversed(list(lock.sets.items()))),
        heads=lock.heads[::-1],
        entries=dict(reversed(list(lock.entries.items()))),
        pins=lock.pins[::-1],
        tracked=dict(reversed(list(lock.tracked.items()))),
        plan=lock.plan,
    )
    assert write_lock(mirrored) == write_lock(lock)


@settings(deadline=None)
@given(st.lists(intents, max_size=3, unique_by=lambda intent: intent.id))
def test_every_intent_is_read_as_it_was_written(written: list[Intent]) -> None:
    content = b"".join(write_note(intent) for intent in written)
    assert read_journal(content, "j").open == tuple(written)


@settings(deadline=None)
@given(settleds)
def test_every_settled_entry_is_read_as_it_was_written(settled: Settled) -> None:
    recovered = read_journal(write_note(settled), "j").recovered
    assert recovered == (() if settled.entry is None else (settled.entry,))


@settings(deadline=None)
@given(notes)
def test_every_note_satisfies_its_schema_and_is_one_line(note: Intent | Settled | Opened | Closed) -> None:
    line = write_note(note)
    assert line.count(b"\n") == 1
    NOTE.validate(json.loads(line[9:]))


# What the schema refuses, the reader refuses ------------------------------------------------------

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(allow_nan=False, allow_infinity=False),
    words,
    st.sampled_from(["2026-09-01T12:00:00+00:00", "2026-09-01", "created", "a/b", "a b c parse_v2 d"]),
    st.lists(words, max_size=2),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(words, words, max_size=2),
)


def _places(value: Json) -> Iterator[Json]:
    """Every object and every list of a document that has something in it, and the document itself."""
    yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _places(item)


def _mutated(draw: st.DrawFn, document: Json) -> Json:
    """The document with one thing taken away, put in, or put in another's place."""
    document = copy.deepcopy(document)
    place = draw(st.sampled_from(list(_places(document))))
    if isinstance(place, list):
        place.insert(0, draw(junk))
    elif place and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(place)))
        if draw(st.booleans()):
            del place[name]
        else:
            place[name] = draw(junk)
    else:
        place[draw(words | st.sampled_from(["key", "entry", "alias", "createdAt", "note"]))] = draw(junk)
    return document


@st.composite
def _mutated_locks(draw: st.DrawFn) -> Json:
    return _mutated(draw, json.loads(write_lock(draw(locks))))


@st.composite
def _mutated_notes(draw: st.DrawFn) -> Json:
    return _mutated(draw, json.loads(write_note(draw(notes))[9:]))


@settings(max_examples=2 * settings().max_examples)
@given(_mutated_locks())
def test_the_reader_of_lockfiles_refuses_what_the_schema_refuses(document: Json) -> None:
    try:
        read_lock(json.dumps(document), "f")
    except StateError:
        return
    assert list(LOCK.iter_errors(document)) == []


@settings(max_examples=2 * settings().max_examples)
@given(_mutated_notes())
def test_the_reader_of_journals_refuses_what_the_schema_refuses(document: Json) -> None:
    text = json.dumps(document).encode()
    try:
        read_journal(b"%08x %s\n" % (zlib.crc32(text), text), "j")
    except StateError:
        return
    assert list(NOTE.iter_errors(document)) == []


@settings(deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_whatever_stands_in_a_journal_the_only_error_is_ours(content: bytes) -> None:
    with contextlib.suppress(StateError):
        assert read_journal(content, "j").open == ()


@settings(deadline=None)
@given(st.text(max_size=40) | junk.map(json.dumps))
def test_whatever_stands_in_a_lockfile_the_only_error_is_ours(text: str) -> None:
    with pytest.raises(StateError, match=r"^f"):
        read_lock(text, "f")


# The schemas themselves ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lock", "journal-note"])
def test_the_schemas_are_schemas_and_describe_every_field(name: str) -> None:
    schema = _schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:reconciler:schema:{name}:v1"
    assert schema["title"]
    objects = [schema, *schema["$defs"].values()]
    fields = [(part, field) for part in objects for field in part.get("properties", {}).values()]
    assert fields
    assert all(field["description"] for _, field in fields)
    closed = [part for part in objects if "properties" in part and part is not schema]
    assert all(part["additionalProperties"] is False for part in closed)


def test_both_schemas_mean_the_same_by_an_entry() -> None:
    lock, note = _schema("lock")["$defs"], _schema("journal-note")["$defs"]
    assert {name: note[name] for name in lock} == lock


def test_the_schema_has_the_words_of_the_model() -> None:
    fields = _schema("lock")["$defs"]["batch"]["properties"]
    assert fields["status"]["enum"] == [status.value for status in Status]
    assert fields["origin"]["enum"] == [origin.value for origin in Origin]
    closing = _schema("journal-note")["$defs"]["settled"]["properties"]["closing"]
    assert closing["enum"] == [word.value for word in Closing]


def test_a_time_before_the_year_1000_has_four_digits() -> None:
    early = datetime(7, 1, 1, tzinfo=UTC)
    entry = Recorded("b", Status.PENDING, Origin.ADOPTED, early)
    key = Key("e", "p", "d", JobType.PARSE_V2, "c")
    lock = Lock(entries={key: Entry(key=key, address=Address("s", "d"), current="b", batches=(entry,))})
    assert '"recordedAt":"0007-01-01T00:00:00Z"' in write_lock(lock)
    assert read_lock(write_lock(lock), "f") == lock
