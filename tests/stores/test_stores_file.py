"""The file store alone: its lock is the system's, its text is read in reviews, its files get hurt."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from store_values import NOON, Some

from reconciler.adapters.stores.file import FileStore
from reconciler.adapters.stores.journal import Belongs, Closed, Committed, Opened, read_journal, write_note
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.model.batch import Address, JobType, Key, Status
from reconciler.model.errors import LockHeldError, LockLostError, StateError
from reconciler.model.intent import Closing, JournalState, Settled
from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.manifest import OnRemove
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def some() -> Some:
    return Some()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def store(folder: Path) -> FileStore:
    return FileStore(folder / "reconciler.lock", "reconciler.lock", "ada@desk", NOON)


def _journal(store: FileStore) -> Path:
    return store.path.with_name("reconciler.lock.journal")


def _contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        item.name: (item.read_bytes(), item.stat().st_mtime_ns, item.stat().st_ino)
        for item in folder.iterdir()
    }


# The text -----------------------------------------------------------------------------------------

GOLDEN = """\
{
"lockVersion": 1,
"lineage": "5d0c5bb4-7a0c-4a53-a1c5-000000000000",
"project": "finance-documents",
"serial": 7,
"heads": ["a.jsonl#sha256:1","b.jsonl#sha256:2"],
"projects": {
"https://api.example": "prj-1"
},
"sets": {
"invoices": "sha256:aa",
"receipts": "sha256:bb"
},
"entries": {
"https://api.example prj-1 dir-1 parse_v2 cfg-1": {"address":"invoices/dir-1","batches":[{"createdAt":"2026-09-01T12:00:00Z","evidence":{"after":"2026-09-01T11:00:00Z","configuration":"3","inputs":"sha256:cc","reason":"stale-after"},"id":"bat-1","origin":"created","recordedAt":"2026-09-01T12:00:00.250000Z","status":"COMPLETED","updatedAt":"2026-09-01T12:05:00Z"}],"current":"bat-1","directoryName":"Rechnungen für März","onRemove":"cancel"},
"local:my%20documents local receipts parse_v2 cfg-1": {"address":"receipts/receipts","batches":[{"alias":{"configuration":"cfg-1","directory":"receipts-2"},"id":"bat-2","origin":"adopted","recordedAt":"2026-09-01T12:00:00Z","status":"PENDING"}],"current":"bat-2"}
}
}
"""  # noqa: E501 - one entry a line is the point


def _golden_lock() -> Lock:
    one = Key("https://api.example", "prj-1", "dir-1", JobType.PARSE_V2, "cfg-1")
    two = Key("local:my documents", "local", "receipts", JobType.PARSE_V2, "cfg-1")
    first = Recorded(
        "bat-1",
        Status.COMPLETED,
        Origin.CREATED,
        NOON + timedelta(milliseconds=250),
        NOON,
        NOON + timedelta(minutes=5),
        evidence=Evidence("stale-after", NOON - timedelta(hours=1), "sha256:cc", "3"),
    )
    second = Recorded("bat-2", Status.PENDING, Origin.ADOPTED, NOON, alias=Alias("receipts-2", "cfg-1"))
    return Lock(
        lineage="5d0c5bb4-7a0c-4a53-a1c5-000000000000",
        project="finance-documents",
        serial=7,
        projects={"https://api.example": "prj-1"},
        sets={"receipts": "sha256:bb", "invoices": "sha256:aa"},
        heads=("b.jsonl#sha256:2", "a.jsonl#sha256:1"),
        entries={
            two: Entry(key=two, address=Address("receipts", "receipts"), current="bat-2", batches=(second,)),
            one: Entry(
                key=one,
                address=Address("invoices", "dir-1"),
                current="bat-1",
                batches=(first,),
                on_remove=OnRemove.CANCEL,
                directory_name="Rechnungen für März",
            ),
        },
    )


def test_the_lockfile_is_sorted_and_has_one_entry_a_line() -> None:
    assert write_lock(_golden_lock()) == GOLDEN


def test_the_lockfile_is_read_back_with_its_heads_sorted() -> None:
    lock = _golden_lock()
    assert read_lock(GOLDEN, "f") == replace(lock, heads=tuple(sorted(lock.heads)))


@pytest.mark.parametrize(
    ("text", "where"),
    [("{", "f:1:2"), ("{\n", "f:1:2"), ("{ \n\n", "f:1:2"), ("{\n]\n", "f:2:1"), (GOLDEN[:-2], "f:17:2")],
)
def test_what_ends_too_soon_is_missing_on_the_last_line_that_says_anything(text: str, where: str) -> None:
    with pytest.raises(StateError, match="not valid JSON") as caught:
        read_lock(text, "f")
    assert caught.value.where == where


def test_the_line_with_the_heads_is_found_for_messages_about_them(store: FileStore, some: Some) -> None:
    assert store.heads_place() == Source("reconciler.lock", 1)  # no lockfile, no heads
    with store.hold(0) as session:
        session.commit(some.lock())
    lines = store.path.read_text().splitlines()
    assert lines[store.heads_place().line - 1] == '"heads": [],'
    store.path.write_text(GOLDEN)
    assert store.heads_place() == Source("reconciler.lock", 6)


def test_two_lockfiles_have_two_lineages(folder: Path, store: FileStore, some: Some) -> None:
    beside = replace(store, path=folder / "other.lock")
    with store.hold(0) as one, beside.hold(0) as two:
        assert one.commit(some.lock()).lineage != two.commit(some.lock()).lineage


@pytest.mark.parametrize(
    "odd", ["\ud800 half", "\u2028=======", "\x85<<<<<<< x", "\x1c>>>>>>>", 'a"b\\', "\x7f"]
)
def test_no_name_from_outside_can_make_the_files_unreadable(store: FileStore, some: Some, odd: str) -> None:
    entry = some.entry()._replace(directory_name=odd)
    intent = replace(some.intent(), directory_name=odd)
    with replace(store, holder=odd).hold(0) as session:
        session.note([intent])
        session.note([Settled(intent.id, Closing.CREATED, odd, entry)])
        assert store.read()[0].entries == {entry.key: entry}
        session.commit(some.lock(entry))
        session.close()
    lock, journal = store.read()
    assert (dict(lock.entries), journal) == ({entry.key: entry}, JournalState(warm=True))


# What is refused ----------------------------------------------------------------------------------


def _replaced(old: str, new: str) -> str:
    assert GOLDEN.count(old) == 1
    return GOLDEN.replace(old, new)


_SECOND = GOLDEN.splitlines()[15]

_REFUSED: list[tuple[str, str, str]] = [
    ("", "", "f:1:1: not valid JSON: Expecting value"),
    ("[]", "", "f: not a lockfile: it is not a JSON object"),
    ("[" * 100_000, "", "f: not a lockfile: "),
    ('"serial": 7', f'"serial": {"7" * 5000}', "f: not a lockfile: Exceeds the limit"),
    (
        '"serial": 7',
        '"serial": -1',
        "f: serial, lineage, project, plan or heads is missing or of another type",
    ),
    (
        '"serial": 7',
        '"serial": true',
        "f: serial, lineage, project, plan or heads is missing or of another type",
    ),
    (
        '"serial": 7',
        '"serial": 7.5',
        "f: serial, lineage, project, plan or heads is missing or of another type",
    ),
    ('"serial": 7,\n', "", "f: serial, lineage, project, plan or heads is missing or of another type"),
    ('"finance-documents"', "7", "f: serial, lineage, project, plan or heads is missing or of another type"),
    ('"a.jsonl#sha256:1"', "1", "f: serial, lineage, project, plan or heads is missing or of another type"),
    ('"lockVersion": 1', '"lockVersion": 2', "f:2: lockVersion 2 is not known: .*Upgrade: pip install"),
    (
        '"lockVersion": 1',
        '"lockVersion": 2, "more": 1',
        "f:2: lockVersion 2 is not known: .*Upgrade: pip install",
    ),
    ('"lockVersion": 1', '"lockVersion": 0', "f:2: lockVersion 0 is not known: .*Restore it from git"),
    ('"lockVersion": 1', '"lockVersion": true', "f:2: lockVersion True is not known"),
    ('"lockVersion": 1', '"lockVersion": "1"', "f:2: lockVersion '1' is not known"),
    ('"lockVersion": 1', '"more": 1, "lockVersion": 1', "f:2: not a lockfile: unknown field 'more'"),
    ('"sha256:aa"', "null", "f: sets: invoices: expected text"),
    ('"prj-1"\n', "3\n", "f: projects: https://api.example: expected text"),
    (
        '"receipts": "sha256:bb"',
        '"invoices": "sha256:bb"',
        "f: not a lockfile: 'invoices' stands in it twice",
    ),
    (_SECOND, f"{_SECOND},\n{_SECOND}", "f: not a lockfile: 'local:my%20documents .*' stands in it twice"),
    (
        _SECOND,
        f"{_SECOND},\n{_SECOND.replace('my%20documents', '%6dy%20documents')}",
        "f:17: entry local:%6dy%20documents .* is another spelling of 'local:my%20documents ",
    ),
    ('"local:my%20documents local', '"local:my%20documents', "f:16: entry .* it has 4 parts instead of 5"),
    ('"current":"bat-2"', '"current":"bat-3"', "f:16: entry .*: current: bat-3 is none of the batches"),
    ('"2026-09-01T12:05:00Z"', '"2026-13-01T12:05:00Z"', "f:15: entry .*updatedAt: .* is not a time"),
    ('"2026-09-01T12:05:00Z"', '"2026-09-01T12:05:00"', "f:15: entry .*updatedAt: .* not a time in UTC"),
    ('"2026-09-01T12:05:00Z"', '"0001-01-01T00:00:00+09:00"', "f:15: .*updatedAt: .* not a time in UTC"),
    ('"2026-09-01T12:05:00Z"', '"2026-W36-2T12:05:00Z"', "f:15: .*updatedAt: .* not a time in UTC"),
    (
        '"address":"receipts/receipts"',
        '"address":"receipts"',
        "f:16: .*address: 'receipts' is not an address",
    ),
    ('"status":"PENDING"', '"status":"DONE"', "f:16: entry .*status: 'DONE' is not known"),
    ('"status":"PENDING"', '"status":["PENDING"]', "f:16: entry .*status: "),
    ('"status":"PENDING"', '"status":"PENDING","x":1', "f:16: entry .*unknown field 'x'"),
    ('"onRemove":"cancel"', '"onRemove":"drop"', "f:15: entry .*onRemove: 'drop' is not known"),
    ('"onRemove":"cancel"', '"onRemove":null', "f:15: entry .*onRemove: None is not known"),
    ('"sets"', '<<<<<<< HEAD\n"sets"', "f:10: git's conflict marks are in it"),
    ('"sets"', '=======\r\n"sets"', "f:10: git's conflict marks are in it"),
]


@pytest.mark.parametrize(("old", "new", "message"), _REFUSED, ids=range(len(_REFUSED)))
def test_a_lockfile_that_this_tool_cannot_have_written_is_refused_with_its_line(
    old: str, new: str, message: str
) -> None:
    text = _replaced(old, new) if old and old in GOLDEN else old
    with pytest.raises(StateError, match=message) as caught:
        read_lock(text, "f")
    assert caught.value.next


def test_a_batch_that_stands_twice_in_an_entry_is_refused() -> None:
    batch = re.search(r'\[(\{"alias".*?"PENDING"\})\]', GOLDEN)
    assert batch is not None
    with pytest.raises(StateError, match=r"f:16: .*the same batch stands in it twice"):
        read_lock(_replaced(batch[1], f"{batch[1]},{batch[1]}"), "f")


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe{}", b"\x00" * 64, b"\xef\xbb\xbf{}"])
def test_a_lockfile_of_no_sense_is_an_error_that_names_it(store: FileStore, content: bytes) -> None:
    store.path.write_bytes(content)
    for use in (store.read, store.hold(0).__enter__):
        with pytest.raises(StateError, match=r"^reconciler\.lock"):
            use()


# What is hurt -------------------------------------------------------------------------------------


@pytest.fixture
def filled(store: FileStore, some: Some) -> FileStore:
    """A store after a run that crashed: every kind of note is in its journal."""
    with store.hold(0) as session:
        session.commit(some.lock(some.entry("dir-0")))
        session.close()
    with store.hold(0) as session:
        session.note([some.intent("one"), some.intent("two", "dir-2", 1)])
        session.note([Settled("one", Closing.CREATED, entry=some.entry())])
        session.commit(some.lock(some.entry("dir-0"), some.entry()))
        session.note([some.intent("three", "dir-3", 2), some.intent("four", "dir-4", 3)])
        session.note([Settled("three", Closing.FOUND, "the reply was lost", some.entry("dir-3"))])
    return store


def test_a_crashed_journal_reads_as_what_happened(filled: FileStore, some: Some) -> None:
    kinds = [line.split(b'"note":"')[1].split(b'"')[0] for line in _journal(filled).read_bytes().splitlines()]
    assert kinds == [
        *(b"belongs", b"closed", b"opened", b"intent", b"intent", b"settled", b"committed"),
        *(b"intent", b"intent", b"settled"),
    ]
    lock, journal = filled.read()
    assert set(lock.entries) == {some.key(name) for name in ("dir-0", "dir-1", "dir-3")}
    assert journal == JournalState(
        open=(some.intent("two", "dir-2", 1), some.intent("four", "dir-4", 3)),
        recovered=(some.entry("dir-3"),),
    )


def test_a_journal_cut_anywhere_is_read_up_to_its_last_whole_line(filled: FileStore) -> None:
    """A torn end was never durable, so nothing had been sent for it; whole lines are never lost."""
    content = _journal(filled).read_bytes()
    for size in range(len(content)):
        whole = content[: content.rfind(b"\n", 0, size) + 1]
        assert read_journal(content[:size], "j") == read_journal(whole, "j")
        assert read_journal(whole, "j").size == len(whole)


def test_a_torn_journal_is_carried_on_behind_its_last_whole_line(filled: FileStore, some: Some) -> None:
    content = _journal(filled).read_bytes()
    _journal(filled).write_bytes(content[:-9])
    with filled.hold(0) as session:
        assert [intent.id for intent in session.journal.open] == ["two", "three", "four"]
        session.note([Settled("two", Closing.ABSENT)])
    assert [intent.id for intent in filled.read()[1].open] == ["three", "four"]


def test_a_flipped_byte_in_any_line_is_an_error_at_that_line(filled: FileStore) -> None:
    content = _journal(filled).read_bytes()
    lines = content.split(b"\n")
    start = 0
    for number, line in enumerate(lines[:-1], 1):
        for at in range(start, start + len(line)):
            for flip in (0x01, 0x20, 0x80):
                hurt = content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
                with pytest.raises(StateError, match=rf"^j:{number}: the journal is damaged: ") as caught:
                    read_journal(hurt, "j")
                assert "restore it from a backup" in caught.value.next
        start += len(line) + 1


def test_a_flipped_line_break_is_an_error_even_at_the_end_where_a_torn_line_is_none(
    filled: FileStore,
) -> None:
    content = _journal(filled).read_bytes()
    breaks = [at for at, byte in enumerate(content) if byte == 0x0A]
    for number, at in enumerate(breaks, 1):
        with pytest.raises(StateError, match=rf"^j:{number}: "):
            read_journal(content[:at] + b"\x0b" + content[at + 1 :], "j")
    torn = read_journal(content[:-1], "j")
    assert torn == read_journal(content[: breaks[-2] + 1], "j")


def test_a_damaged_journal_stops_reading_and_holding_and_lets_the_lock_go(filled: FileStore) -> None:
    content = _journal(filled).read_bytes()
    _journal(filled).write_bytes(b"0" + content)
    for _ in range(2):
        with pytest.raises(StateError, match=r"^reconciler\.lock\.journal:1: "):
            filled.read()
        with pytest.raises(StateError, match=r"^reconciler\.lock\.journal:1: "), filled.hold(0):
            pass  # pragma: no cover - not reached
    assert _journal(filled).read_bytes() == b"0" + content


def test_a_lockfile_cut_anywhere_is_refused_or_whole(filled: FileStore) -> None:
    content = filled.path.read_bytes()
    whole = read_lock(content.decode(), "f")
    for size in range(len(content) - 1):
        filled.path.write_bytes(content[:size])
        with pytest.raises(StateError, match=r"^reconciler\.lock"):
            filled.read()
    assert read_lock(content[:-1].decode(), "f") == whole  # only the last line break is missing


_NOTES = [
    b"[]",
    b"{}",
    b'{"note":7}',
    b'{"note":"belongs"}',
    b'{"note":"belongs","lineage":7}',
    b'{"note":"opened","run":"1","holder":"x"}',
    b'{"note":"opened","run":"1","holder":"x","at":3}',
    b'{"note":"closed"}',
    b'{"note":"closed","lockfile":"x","more":""}',
    b'{"note":"committed","lockfile":null}',
    b'{"note":"intent"}',
    b'{"note":"settled","intent":"1","closing":"lost"}',
    b'{"note":"settled","intent":"1","closing":"created","key":"a b c parse_v2 d"}',
    b'{"note":"settled","intent":"1","closing":"created","entry":{}}',
    b'{"note":"settled","intent":"1","closing":"absent","more":1}',
    b"[" * 100_000,
    b"\xff",
    b"7" * 5000,
]


@pytest.mark.parametrize("text", _NOTES, ids=range(len(_NOTES)))
def test_a_note_with_a_good_checksum_and_no_sense_is_an_error_at_its_line(text: bytes) -> None:
    import zlib

    good = write_note(Opened("r", "h", "t"))
    with pytest.raises(StateError, match=r"^j:2: the journal is damaged: "):
        read_journal(good + b"%08x %s\n" % (zlib.crc32(text), text), "j")


def test_a_sound_note_of_another_kind_is_of_a_newer_version_and_not_damaged() -> None:
    import zlib

    text = b'{"note":"thought"}'
    with pytest.raises(StateError, match=r"^j:1: a note of the kind 'thought' is not known: ") as caught:
        read_journal(b"%08x %s\n" % (zlib.crc32(text), text), "j")
    assert caught.value.next == "Upgrade: pip install --upgrade batch-reconciler"


@pytest.mark.parametrize("known", [None, "bat-1", [1], [["bat-1"]], [None], {"bat-1": 1}], ids=repr)
def test_an_intent_whose_known_batches_are_no_ids_is_an_error(some: Some, known: object) -> None:
    import json
    import zlib

    fields = json.loads(write_note(some.intent())[9:]) | {"known": known}
    text = json.dumps(fields).encode()
    with pytest.raises(StateError, match=r"^j:1: .*known: expected a list of ids"):
        read_journal(b"%08x %s\n" % (zlib.crc32(text), text), "j")


def test_the_notes_that_are_the_stores_own_are_read_back() -> None:
    notes = (Opened("r", "ada", "noon"), Belongs("l"), Committed("c"), Closed("d"))
    content = b"".join(write_note(note) for note in notes)
    journal = read_journal(content, "j")
    assert (journal.holder, journal.lineage) == ("ada since noon", "l")
    assert (journal.closed, journal.size) == ("d", len(content))


# What belongs elsewhere ---------------------------------------------------------------------------


def test_a_lockfile_of_another_lineage_is_refused_and_the_journal_is_left_alone(
    folder: Path, store: FileStore, some: Some
) -> None:
    with store.hold(0) as session:
        session.commit(some.lock())
        session.note([some.intent("open", "dir-9")])
    theirs = replace(some.lock(), lineage="theirs")
    store.path.write_text(write_lock(theirs), encoding="utf-8")
    before = _contents(folder)
    for use in (store.read, store.hold(0).__enter__):
        with pytest.raises(
            StateError, match=r"^reconciler\.lock: .* not the one .*with 1 of its creates not"
        ):
            use()
    assert _journal(store).read_bytes() == before["reconciler.lock.journal"][0]
    assert store.path.read_bytes() == before["reconciler.lock"][0]
    _journal(store).unlink()
    assert store.read()[0].lineage == "theirs"  # the way out


def test_a_lockfile_that_was_lost_comes_back_with_its_lineage(store: FileStore, some: Some) -> None:
    with store.hold(0) as session:
        lineage = session.commit(some.lock()).lineage
        session.close()
    older = store.path.read_bytes()
    store.path.unlink()
    with store.hold(0) as session:
        assert session.commit(some.lock(some.entry("dir-2"))).lineage == lineage
        session.close()
    store.path.write_bytes(older)  # as git brings it back
    assert store.read()[0].entries == some.lock().entries


def test_a_lockfile_of_another_project_is_refused_and_one_of_none_is_taken_over(
    store: FileStore, some: Some
) -> None:
    with store.hold(0) as session:
        assert session.commit(some.lock()).project == ""
    ours, theirs = replace(store, project="ours"), replace(store, project="theirs")
    with ours.hold(0) as session:
        assert session.commit(session.lock).project == "ours"
    for use in (theirs.read, theirs.hold(0).__enter__):
        with pytest.raises(StateError, match=r"it says project 'ours', and .* is that of 'theirs'"):
            use()
    assert ours.read()[0].project == "ours"


@pytest.mark.parametrize("target", ["elsewhere.lock", "nowhere.lock"])
def test_a_lockfile_that_is_a_link_is_refused(store: FileStore, some: Some, target: str) -> None:
    (store.path.parent / "elsewhere.lock").write_text(write_lock(some.lock()))
    store.path.symlink_to(target)
    for use in (store.read, store.hold(0).__enter__):
        with pytest.raises(StateError, match=r"^reconciler\.lock: the lockfile is a symbolic link"):
            use()
    assert store.path.is_symlink()


# Disks --------------------------------------------------------------------------------------------


def test_reading_writes_nothing_at_all(folder: Path, store: FileStore, filled: FileStore) -> None:
    elsewhere = FileStore(folder / "no" / "such" / "reconciler.lock", "reconciler.lock", "ada", NOON)
    before = _contents(folder)
    filled.read()
    elsewhere.read()
    assert _contents(folder) == before


def test_committing_what_stands_touches_nothing(folder: Path, store: FileStore, some: Some) -> None:
    with store.hold(0) as session:
        written = session.commit(some.lock())
        before = _contents(folder)
        assert session.commit(written) == written
        assert session.commit(replace(written, entries=dict(written.entries))) == written
        assert _contents(folder) == before


def test_a_lockfile_that_is_another_than_at_the_close_means_a_cold_run(store: FileStore, some: Some) -> None:
    """C2: a checkout of another commit brings a lockfile that this journal knows nothing of."""
    with store.hold(0) as session:
        session.commit(some.lock())
        session.close()
    closed = store.path.read_text(encoding="utf-8")
    assert store.read()[1].warm
    store.path.write_text(write_lock(some.lock(some.entry("dir-2"))), encoding="utf-8")
    assert not store.read()[1].warm
    store.path.unlink()
    assert not store.read()[1].warm
    store.path.write_text(closed, encoding="utf-8")
    assert store.read()[1].warm


def test_a_commit_leaves_no_file_beside_the_two(folder: Path, store: FileStore, some: Some) -> None:
    with store.hold(0) as session:
        session.commit(some.lock())
    assert sorted(_contents(folder)) == ["reconciler.lock", "reconciler.lock.journal"]


@pytest.mark.parametrize("where", ["a-file/reconciler.lock", "/proc/nowhere/reconciler.lock"])
def test_where_nothing_can_be_written_is_an_error_that_says_so(folder: Path, where: str) -> None:
    (folder / "a-file").write_text("in the way")
    store = FileStore(folder / where, "state/reconciler.lock", "ada", NOON)
    with pytest.raises(StateError, match=r"^state/reconciler\.lock\.journal: cannot write the state: "):
        store.hold(0).__enter__()


def test_a_folder_in_the_lockfiles_place_is_an_error(store: FileStore, some: Some) -> None:
    store.path.mkdir()
    with pytest.raises(StateError, match=r"^reconciler\.lock: cannot read the state: is a directory"):
        store.read()


def test_a_folder_that_goes_away_under_a_run_leaves_an_error(folder: Path, some: Some) -> None:
    store = FileStore(folder / "state" / "reconciler.lock", "reconciler.lock", "ada", NOON)
    with store.hold(0) as session:
        (folder / "state").rename(folder / "moved")
        with pytest.raises(LockLostError):
            session.commit(some.lock())


_FULL = """
import resource, sys
from datetime import datetime, UTC
from pathlib import Path
from reconciler.adapters.stores.file import FileStore
from reconciler.adapters.stores.journal import Opened
from reconciler.model.errors import StateError
path = Path(sys.argv[1])
store = FileStore(path, path.name, "ada", datetime.now(UTC))
with store.hold(0) as session:
    journal = path.with_name(path.name + ".journal")
    room = journal.stat().st_size + 40
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        session.append([Opened("run", "x" * 100, "now")])
    except StateError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    session.append([Opened("run", "bob", "later")])
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit of file sizes")
def test_a_note_that_found_no_room_spoils_none_that_follows(store: FileStore) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(store.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "reconciler.lock.journal: cannot write the state: file too large."
        " Raise the limit of file sizes (ulimit -f) and run it again\n"
    )
    assert read_journal(_journal(store).read_bytes(), "j").holder == "bob since later"


def test_a_session_that_came_to_nothing_leaves_the_journal_as_it_was(filled: FileStore, some: Some) -> None:
    before = _journal(filled).read_bytes()
    with filled.hold(0) as session:
        assert session.journal.open
    assert _journal(filled).read_bytes() == before
    with pytest.raises(ZeroDivisionError), filled.hold(0):
        raise ZeroDivisionError
    assert _journal(filled).read_bytes() == before


# Locks --------------------------------------------------------------------------------------------

_HOLDER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from reconciler.adapters.stores.file import FileStore
path = Path(sys.argv[1])
with FileStore(path, path.name, "bob@sofa (pid 7)", datetime(2026, 9, 1, tzinfo=UTC)).hold(0):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(store: FileStore) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(store.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_kept_out_and_told_by_whom(
    store: FileStore, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockHeldError) as caught, store.hold(0):
        pass  # pragma: no cover - not reached
    assert str(caught.value) == (
        "reconciler.lock.journal: the lock is held by bob@sofa (pid 7) since 2026-09-01T00:00:00Z."
        " Wait with --lock-timeout 10m; a lock never outlives the process that holds it"
    )
    assert store.read() == (Lock(), JournalState())  # a plan takes no lock


def test_a_lock_dies_with_a_holder_that_was_killed(store: FileStore, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with store.hold(0) as session:
        session.confirm()
        assert not session.journal.warm


def test_whoever_waits_long_enough_gets_the_lock(store: FileStore, holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.write("done\n")
    holder.stdin.flush()
    with store.hold(600) as session:
        session.confirm()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_journal_that_is_removed_or_replaced_means_a_lost_lock(
    store: FileStore, some: Some, *, replaced: bool
) -> None:
    with store.hold(0) as session:
        session.confirm()
        _journal(store).unlink()
        if replaced:
            _journal(store).write_bytes(b"")
        with pytest.raises(LockLostError, match=r"^reconciler\.lock\.journal: the journal was removed"):
            session.confirm()
        with pytest.raises(LockLostError):
            session.commit(some.lock())
    assert not store.path.exists()


def test_a_lockfile_that_was_changed_under_a_run_is_not_overwritten(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "reconciler.lock", "reconciler.lock", "ada@desk", NOON)
    with store.hold(0) as session:
        session.commit(replace(Lock(), sets={"invoices": "sha256:1"}))
        (tmp_path / "reconciler.lock").write_text("pulled\n")
        with pytest.raises(StateError, match="the lockfile was changed while this run held its lock"):
            session.commit(replace(Lock(), sets={"invoices": "sha256:2"}))
    assert (tmp_path / "reconciler.lock").read_text() == "pulled\n"
