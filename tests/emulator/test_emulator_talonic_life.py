"""The life of Talonic's batches, by a clock that the test steps; kills, threads and other processes."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from reconciler.emulator.database import Database
from reconciler.emulator.errors import DatabaseUnusableError, Refused
from reconciler.emulator.talonic.batches import Batch, Batches
from reconciler.emulator.talonic.documents import Documents
from reconciler.emulator.talonic.pace import Fate, Pace
from reconciler.emulator.talonic.upload import File, Mode, Upload

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

REPOSITORY = Path(__file__).parents[2]
START = 1_000_000
MINUTE = 60_000_000
HOUR = 60 * MINUTE
# Small enough to be seen whole; durations are the documented ones.
SMALL = {"threshold": 3, "minimum": 2}


def upload(*contents: object, mode: Mode = "batch", suffix: str = ".pdf") -> Upload:
    files = (
        File(name=f"{content}{suffix}", size=1, digest=hashlib.sha256(str(content).encode()).hexdigest())
        for content in contents
    )
    return Upload(files=tuple(files), mode=mode)


@dataclass
class Room:
    """The store over one database, with a clock that stands until it is stepped."""

    path: Path
    options: dict[str, Any] = field(default_factory=dict)
    now: int = START

    def __post_init__(self) -> None:
        pace = Pace(**{**SMALL, **self.options})
        self.database = Database(self.path)
        self.batches = Batches(self.database, lambda: self.now, pace)
        self.documents = Documents(self.database, lambda: self.now, pace)

    def ingest(self, *contents: object, mode: Mode = "batch", suffix: str = ".pdf") -> list[str]:
        taken = self.documents.ingest(upload(*contents, mode=mode, suffix=suffix))
        return [one.document.id for one in taken]

    def step(self, time: int) -> int | None:
        self.now += time
        return self.batches.advance(self.now)

    def all(self) -> list[Batch]:
        return self.batches.page(order="asc", after=None, limit=10_000)

    def only(self) -> Batch:
        (batch,) = self.all()
        return batch

    def statuses(self) -> list[str]:
        return [batch.status for batch in self.all()]

    def documents_now(self, ids: list[str]) -> list[tuple[str, str, str | None]]:
        found = [self.documents.get(one) for one in ids]
        return [(one.status, one.processing_mode, one.error_message) for one in found if one is not None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def rows_of(path: Path) -> JSON:
    connection = sqlite3.connect(path)
    tables = ("talonic_batches", "talonic_documents", "talonic_items")
    rows = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
    connection.close()
    return rows


def batch_as(batch: Batch, **changes: object) -> Batch:
    stands: JSON = {
        "created": START,
        "id": batch.id,
        "status": "accumulating",
        "error_message": None,
        "item_count": 2,
        "succeeded": 0,
        "errored": 0,
        "expired": 0,
        "submitted": None,
        "completed": None,
        "updated": START,
    }
    return Batch(**{**stands, **changes})


def test_a_batch_goes_from_the_timer_to_the_poll_that_finds_the_provider_done(path: Path) -> None:
    room = Room(path, {"turnaround": 90 * MINUTE})
    documents = room.ingest("a", "b")
    first = room.only()
    assert first == batch_as(first)
    assert room.batches.items(first) is None
    assert room.documents_now(documents) == [("batch_queued", "batch", None)] * 2

    assert room.step(15 * MINUTE - 1) == START + 15 * MINUTE
    assert room.only() == first
    submitted = START + 15 * MINUTE
    assert room.step(1) == submitted + 2 * HOUR
    second = room.only()
    assert second == batch_as(first, status="submitted", submitted=submitted, updated=submitted)
    assert room.batches.items(second) is None
    assert room.documents_now(documents) == [("batch_queued", "batch", None)] * 2

    # The provider is done after an hour and a half; nobody looks before the second poll.
    assert room.step(2 * HOUR - 1) == submitted + 2 * HOUR
    assert room.only() == second
    assert room.step(1) is None
    done = submitted + 2 * HOUR
    last = room.only()
    assert last == batch_as(
        first, status="completed", succeeded=2, submitted=submitted, completed=done, updated=done
    )
    items = room.batches.items(last)
    assert items is not None
    assert [
        (item.position, item.document_id, item.filename, item.status, item.error_message) for item in items
    ] == [(0, documents[0], "a.pdf", "completed", None), (1, documents[1], "b.pdf", "completed", None)]
    assert [(item.created, item.processed) for item in items] == [
        (START, submitted + 90 * MINUTE),
        (START + 1, submitted + 90 * MINUTE),
    ]
    assert room.documents_now(documents) == [("completed", "batch", None)] * 2


def test_reading_and_advancing_make_no_database(path: Path) -> None:
    room = Room(path)
    assert room.batches.advance(START) is None
    assert (room.all(), room.batches.total(), room.documents.total()) == ([], 0, 0)
    assert (room.batches.get("x"), room.batches.sync("x"), room.batches.cancel("x")) == (None, None, None)
    assert (room.documents.get("x"), room.documents.page(order="asc", after=None, limit=1)) == (None, [])
    assert not path.exists()


def test_a_full_batch_is_submitted_at_once_and_the_next_one_begins(path: Path) -> None:
    room = Room(path)
    room.ingest(*range(7))
    assert [(batch.status, batch.item_count, batch.submitted) for batch in room.all()] == [
        ("submitted", 3, START),
        ("submitted", 3, START + 1),
        ("accumulating", 1, None),
    ]


def test_a_document_that_comes_after_the_timer_goes_to_another_batch(path: Path) -> None:
    room = Room(path)
    room.ingest("a", "b")
    room.now += 15 * MINUTE
    # Nobody has advanced: the batch is submitted as of the moment when its timer fired.
    room.ingest("c")
    assert [(batch.status, batch.item_count, batch.submitted) for batch in room.all()] == [
        ("submitted", 2, START + 15 * MINUTE),
        ("accumulating", 1, None),
    ]


def test_too_few_items_are_processed_in_real_time(path: Path) -> None:
    room = Room(path)
    documents = room.ingest("a")
    assert room.step(15 * MINUTE) is None
    batch = room.only()
    assert batch == batch_as(
        batch,
        status="cancelled",
        item_count=1,
        updated=START + 15 * MINUTE,
        error_message="the batch has 1 items and at least 2 are needed:"
        " its documents were processed in real time",
    )
    assert room.batches.items(batch) is None
    assert room.documents_now(documents) == [("completed", "realtime", None)]


def test_time_that_passed_at_once_leaves_what_small_steps_leave(tmp_path: Path) -> None:
    options = {"turnaround": 90 * MINUTE, "failing_items": 0.3, "expiring_items": 0.1, "seed": 3}
    rooms = [Room(tmp_path / name, options) for name in ("jump", "steps")]
    for room in rooms:
        room.ingest(*range(20))
    rooms[0].step(60 * HOUR)
    for _ in range(60 * 4):
        rooms[1].step(15 * MINUTE)
    jump, steps = (
        [(batch.status, batch.submitted, batch.completed, batch.updated) for batch in room.all()]
        for room in rooms
    )
    assert jump == steps
    assert {status for status, *_ in jump} == {"completed"}


def test_items_fail_and_expire_by_their_content_and_the_batch_completes(path: Path) -> None:
    options = {"threshold": 40, "failing_items": 0.3, "expiring_items": 0.3, "seed": 5}
    room = Room(path, options)
    documents = room.ingest(*range(40))
    room.step(2 * HOUR)
    # What the provider never gets to holds the batch up until the window ends.
    assert room.statuses() == ["submitted"]
    room.step(46 * HOUR)
    batch = room.only()
    pace = Pace(threshold=40, failing_items=0.3, expiring_items=0.3, seed=5, minimum=2)
    fates = [pace.fate(file.digest) for file in upload(*range(40)).files]
    done, failed, expired = (fates.count(fate) for fate in (Fate.SUCCEED, Fate.FAIL, Fate.EXPIRE))
    assert min(done, failed, expired) > 0
    end = START + 48 * HOUR
    assert batch == batch_as(
        batch,
        status="completed",
        item_count=40,
        succeeded=done,
        errored=failed,
        expired=expired,
        submitted=START,
        completed=end,
        updated=end,
    )
    late = "the provider did not process the item within its window"
    item_ends = {
        Fate.SUCCEED: ("completed", None, START + HOUR),
        Fate.FAIL: (
            "failed",
            "the provider's answer could not be read (a failure on purpose)",
            START + HOUR,
        ),
        Fate.EXPIRE: ("expired", late, None),
    }
    document_ends = {
        Fate.SUCCEED: ("completed", "batch", None),
        Fate.FAIL: ("completed", "realtime", None),
        Fate.EXPIRE: ("error", "batch", late),
    }
    items = room.batches.items(batch) or []
    assert [(item.status, item.error_message, item.processed) for item in items] == [
        item_ends[fate] for fate in fates
    ]
    assert room.documents_now(documents) == [document_ends[fate] for fate in fates]


def test_a_batch_of_which_everything_expired_is_expired(path: Path) -> None:
    room = Room(path, {"turnaround": 49 * HOUR})
    documents = room.ingest("a", "b", "c")
    assert room.step(48 * HOUR) is None
    batch = room.only()
    assert batch == batch_as(
        batch,
        status="expired",
        item_count=3,
        expired=3,
        submitted=START,
        updated=START + 48 * HOUR,
        error_message="no item was processed within the window",
    )
    assert [item.status for item in room.batches.items(batch) or []] == ["expired"] * 3
    late = "the provider did not process the item within its window"
    assert room.documents_now(documents) == [("error", "batch", late)] * 3


def test_a_batch_that_the_provider_fails_fails_with_all_its_items(path: Path) -> None:
    room = Room(path, {"failing_batches": 1.0})
    documents = room.ingest("a", "b", "c")
    assert room.step(HOUR) is None
    batch = room.only()
    said = "the provider failed the batch (a failure on purpose)"
    assert batch == batch_as(
        batch,
        status="failed",
        item_count=3,
        errored=3,
        submitted=START,
        updated=START + HOUR,
        error_message=said,
    )
    assert [(item.status, item.error_message) for item in room.batches.items(batch) or []] == [
        ("failed", said)
    ] * 3
    assert room.documents_now(documents) == [("error", "batch", said)] * 3


def test_fates_repeat_by_seed_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    def ends(name: str, seed: int, contents: list[int]) -> dict[str, str]:
        options = {"threshold": 30, "failing_items": 0.4, "expiring_items": 0.2, "seed": seed}
        room = Room(tmp_path / name, options)
        for content in contents:
            room.ingest(content)
        room.step(50 * HOUR)
        return {item.filename: item.status for item in room.batches.items(room.only()) or []}

    there, back = list(range(30)), list(range(29, -1, -1))
    assert ends("a", 1, there) == ends("b", 1, back)
    assert ends("c", 1, there) != ends("d", 2, there)


def test_sync_changes_a_submitted_batch_only_once_the_provider_is_done(path: Path) -> None:
    room = Room(path, {"turnaround": 10 * MINUTE})
    room.ingest("a")
    early = room.only()
    assert room.batches.sync(early.id) == early
    room.ingest("b", "c")
    submitted = room.only()
    assert submitted.status == "submitted"
    room.now += 10 * MINUTE - 1
    assert room.batches.sync(early.id) == submitted
    room.now += 1
    done = batch_as(
        submitted,
        status="completed",
        item_count=3,
        succeeded=3,
        submitted=START,
        completed=room.now,
        updated=room.now,
    )
    assert room.batches.sync(early.id) == done
    room.now += HOUR
    assert (room.batches.sync(early.id), room.step(HOUR), room.only()) == (done, None, done)


def test_cancel_works_while_a_batch_accumulates_or_is_submitted(path: Path) -> None:
    room = Room(path)
    documents = room.ingest("a")
    room.now += 1
    first = room.batches.cancel(room.only().id)
    assert first is not None
    assert first == batch_as(first, status="cancelled", item_count=1, updated=START + 1)
    assert room.documents_now(documents) == [("error", "batch", "the batch was cancelled")]
    room.ingest("b", "c", "d")
    second = room.batches.cancel(room.all()[1].id)
    assert second is not None
    assert (second.status, second.submitted, second.completed) == ("cancelled", START + 1, None)
    assert room.batches.items(second) is None
    assert (room.batches.sync(second.id), room.step(99 * HOUR)) == (second, None)
    assert room.statuses() == ["cancelled", "cancelled"]


@pytest.mark.parametrize(
    ("options", "contents", "status"),
    [
        ({}, "a", "cancelled"),
        ({}, "abc", "completed"),
        ({"failing_batches": 1.0}, "abc", "failed"),
        ({"turnaround": 49 * HOUR}, "abc", "expired"),
    ],
)
def test_a_batch_that_ended_cannot_be_cancelled(
    path: Path, options: JSON, contents: str, status: str
) -> None:
    room = Room(path, options)
    room.ingest(*contents)
    # Not even when nobody has advanced since it was due to end.
    room.now += 50 * HOUR
    batch_id = room.only().id
    for _ in range(2):
        with pytest.raises(Refused, match=f"^400: Batch {batch_id} is {status} and cannot be cancelled$"):
            room.batches.cancel(batch_id)
        room.batches.advance(room.now)
    assert room.statuses() == [status]


def test_duplicates_lead_to_the_first_one_and_are_never_queued(path: Path) -> None:
    room = Room(path)
    taken = room.documents.ingest(upload("a", "b", "a"))
    again = room.documents.ingest(upload("a"))
    first = taken[0].document
    assert [one.document.duplicate_of for one in (*taken, *again)] == [None, None, first.id, first.id]
    assert room.only().item_count == 2
    room.step(2 * HOUR)
    found = room.documents.get(again[0].document.id)
    assert found is not None
    assert (found.status, found.processing_mode, found.duplicate_of) == ("completed", "batch", first.id)


@pytest.mark.parametrize("after", [*range(0, 40, 3), *range(40, 1000, 90)])
def test_an_ingest_that_fails_halfway_takes_in_nothing(path: Path, after: int) -> None:
    room = Room(path)
    room.ingest("a")
    before = rows_of(path)
    counter = itertools.count()
    with room.database.transaction() as connection:
        pass
    # SQLite asks this every few steps of its machine, and stops where it is when told to.
    connection.set_progress_handler(lambda: next(counter) >= after, 5)
    stopped = False
    try:
        room.ingest("b", "c", "d", "e")
    except DatabaseUnusableError:
        stopped = True
    connection.set_progress_handler(None, 0)
    if stopped:
        assert rows_of(path) == before
    else:
        assert room.statuses() == ["submitted", "accumulating"]


OPTIONS: dict[str, Any] = {"failing_items": 0.3, "seed": 4}
# Moves of every kind: more of them than one transaction makes.
DOCUMENTS = 3 * 60 + 2


def aged(path: Path) -> Room:
    room = Room(path, OPTIONS)
    room.ingest(*range(DOCUMENTS))
    room.database.close()
    return room


def test_an_advance_that_fails_halfway_is_carried_on_by_the_next(tmp_path: Path) -> None:
    aged(tmp_path / "start.db")
    shutil.copy(tmp_path / "start.db", tmp_path / "whole.db")
    whole = Room(tmp_path / "whole.db", OPTIONS)
    whole.step(20 * MINUTE)
    whole.step(5 * HOUR)
    expected = rows_of(whole.path)
    outcomes = set()
    for after in (*range(60), *range(60, 3000, 150)):
        path = tmp_path / f"{after}.db"
        shutil.copy(tmp_path / "start.db", path)
        room = Room(path, OPTIONS)
        connection = room.database.reader()
        assert connection is not None
        counter = itertools.count()
        connection.set_progress_handler(lambda c=counter, a=after: next(c) >= a, 40)  # type: ignore[misc]
        try:
            outcomes.add(room.step(20 * MINUTE + 5 * HOUR) is None)
        except (DatabaseUnusableError, sqlite3.OperationalError):
            outcomes.add(False)
        connection.set_progress_handler(None, 0)
        left = rows_of(path)
        assert not [row for row in left["talonic_batches"] if halfway(row, left)]
        assert room.batches.advance(room.now) is None
        assert rows_of(path) == expected
        room.database.close()
    assert outcomes == {True, False}


def halfway(batch: JSON, rows: JSON) -> bool:
    """Whether a batch is in one state and its items are in another."""
    created, _, status, *_ = batch
    ended = [item[4] != "pending" for item in rows["talonic_items"] if item[0] == created]
    return any(ended) if status in {"accumulating", "submitted"} else not all(ended)


KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from reconciler.emulator.database import Database
from reconciler.emulator.talonic.batches import Batches
from reconciler.emulator.talonic.pace import Pace

now, counter = int(sys.argv[2]), itertools.count()
database = Database(Path(sys.argv[1]))
pace = Pace(threshold=3, minimum=2, failing_items=0.3, seed=4)

def look(statement):
    if next(counter) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

database.reader().set_trace_callback(look)
Batches(database, lambda: now, pace).advance(now)
"""


# After so many statements: within the first transaction, before its COMMIT, and within the second.
@pytest.mark.parametrize("after", [4, 200, 397, 450])
def test_a_process_killed_while_it_advances_loses_and_doubles_nothing(tmp_path: Path, after: int) -> None:
    aged(tmp_path / "start.db")
    shutil.copy(tmp_path / "start.db", tmp_path / "whole.db")
    whole, room = (Room(tmp_path / name, OPTIONS) for name in ("whole.db", "start.db"))
    now = START + 6 * HOUR
    whole.batches.advance(now)
    command = [sys.executable, "-c", KILLED, str(room.path), str(now), str(after)]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    assert rows_of(room.path) != rows_of(whole.path)
    assert room.batches.advance(now) is None
    assert rows_of(room.path) == rows_of(whole.path)


def together(*tasks: JSON) -> None:
    """Run tasks in threads that start at the same moment; an error of one is an error of the test."""
    barrier = threading.Barrier(len(tasks))
    errors: list[BaseException] = []

    def run(task: JSON) -> None:
        barrier.wait()
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_two_who_advance_at_once_make_each_move_once(tmp_path: Path) -> None:
    aged(tmp_path / "start.db")
    shutil.copy(tmp_path / "start.db", tmp_path / "whole.db")
    whole = Room(tmp_path / "whole.db", OPTIONS)
    rooms = [Room(tmp_path / "start.db", OPTIONS) for _ in range(3)]
    whole.batches.advance(START + 6 * HOUR)
    together(*(lambda room=room: room.batches.advance(START + 6 * HOUR) for room in rooms))
    assert rows_of(rooms[0].path) == rows_of(whole.path)


def test_two_who_ingest_at_once_fill_batches_to_the_threshold_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    rooms = [Room(path, {"threshold": 10, "minimum": 10}) for _ in range(2)]
    taken: list[list[str]] = [[], []]

    def ingest(number: int) -> None:
        for turn in range(26):
            # One in three is sent by both, so that one of them finds a duplicate.
            contents = [f"{number}-{turn}", f"{number}+{turn}", f"both {turn}"]
            taken[number] += rooms[number].ingest(*contents)

    together(lambda: ingest(0), lambda: ingest(1))
    batches = rooms[0].all()
    assert [(batch.status, batch.item_count) for batch in batches] == [("submitted", 10)] * 13
    rooms[0].step(2 * HOUR)
    items = [item for batch in rooms[0].all() for item in rooms[0].batches.items(batch) or []]
    positions = [[item.position for item in rooms[0].batches.items(batch) or []] for batch in rooms[0].all()]
    assert positions == [list(range(10))] * 13
    names = sorted(item.filename for item in items)
    assert names == sorted(
        {f"{n}{mark}{turn}.pdf" for n in (0, 1) for mark in "-+" for turn in range(26)}
        | {f"both {turn}.pdf" for turn in range(26)}
    )
    documents = [rooms[0].documents.get(one) for one in taken[0] + taken[1]]
    firsts = {one.id for one in documents if one is not None and one.duplicate_of is None}
    assert (len(documents), len(firsts)) == (156, 130)
    assert {item.document_id for item in items} == firsts
    assert {one.duplicate_of for one in documents if one is not None} <= firsts | {None}
