"""Which directories a new set has processed once more, and how they leave the one that has them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.again import again
from reconciler.model.batch import Address, JobType, Key, Status
from reconciler.model.lock import Entry, Lock, Origin, Pin, PinKind, Recorded
from reconciler.model.manifest import BatchSet, ById, ByName, ByPattern, Job
from reconciler.model.outcomes import Again, Edit, Failing, LeftOut
from reconciler.model.source import Path, Source

NOW = datetime(2026, 11, 1, 12, 0, 0, 500_000, tzinfo=UTC)
CREATED = NOW - timedelta(days=1)


def place(path: Path, *, key: bool = False) -> Source:
    return Source("batches/a.yaml", 10 + int(path[-1]))


def batch_set(name: str = "invoices", configuration: str = "cfg-1") -> BatchSet:
    return BatchSet(
        name=name,
        provider="prod",
        job=Job(JobType.PARSE_V2, ById(configuration)),
        directories=(ById("dir-1"), ById("dir-2"), ByName("scans"), ByPattern("in-*")),
        source=Source("batches/a.yaml"),
        digest="sha256:0",
        locate=place,
    )


def entry(directory: str, name: str, status: Status = Status.COMPLETED, of: str = "invoices") -> Entry:
    key = Key("https://service.test", "prj-1", directory, JobType.PARSE_V2, "cfg-1")
    item = Recorded(name, status, Origin.CREATED, CREATED, CREATED)
    return Entry(key=key, address=Address(of, directory), current=name, batches=(item,))


ENTRIES = [
    entry("dir-1", "bat-1"),
    entry("dir-2", "bat-2", Status.RUNNING),  # as the lockfile knows it; it has ended since
    entry("dir-3", "bat-3"),
    entry("dir-4", "bat-4"),
    entry("dir-5", "bat-5"),
]
PINS = (
    Pin("invoices", PinKind.NAME, "scans", "dir-3", name="scans"),
    Pin("invoices", PinKind.MATCH, "in-*", "dir-4", name="in-2026"),
)
LOCK = Lock(entries={item.key: item for item in ENTRIES}, pins=PINS)


def failing(*numbers: int, status: Status = Status.COMPLETED) -> list[Failing]:
    return [Failing(Address("invoices", f"dir-{n}"), f"bat-{n}", status) for n in numbers]


def test_a_new_set_has_the_directories_and_edits_take_them_out_of_the_old_one() -> None:
    made, left_out = again(failing(1, 3, 4), LOCK, [batch_set()], {"invoices"}, lambda _: NOW)
    assert left_out == ()
    assert made == (
        Again(
            of="invoices",
            name="invoices-again",
            configuration="cfg-1",
            directories=("dir-1", "dir-3", "dir-4"),
            after=NOW.replace(microsecond=0),
            edits=(
                Edit(Source("batches/a.yaml", 10), "delete this directory (dir-1)"),
                Edit(Source("batches/a.yaml", 12), "delete this directory (scans, dir-3)"),
                Edit(Source("batches/a.yaml", 13), "add 'in-2026' to the pattern's exclude (dir-4)"),
            ),
        ),
    )


def test_a_configuration_that_was_given_by_name_is_the_one_of_the_batch_and_no_later_one() -> None:
    """Looked up anew for the new set, it might be another: then both sets would be valid, and one created."""
    item = replace(batch_set(), job=Job(JobType.PARSE_V2, ByName("fields")))
    pinned = {
        name: replace(LOCK, pins=(*PINS, Pin("invoices", PinKind.CONFIGURATION, "fields", name)))
        for name in ("cfg-1", "cfg-2")
    }
    [made], _ = again(failing(1), pinned["cfg-1"], [item], (), lambda _: NOW)
    assert made.configuration == "cfg-1"
    made_none, [left] = again(failing(1), pinned["cfg-2"], [item], (), lambda _: NOW)
    assert (made_none, left.why) == ((), "its set asks for another job now")


def test_where_no_directory_is_left_the_old_set_goes() -> None:
    item = replace(batch_set(), directories=(ById("dir-2"), ById("dir-1")))
    [made], _ = again(failing(1, 2), LOCK, [item], (), lambda _: NOW)
    assert [edit.text.split(",")[0] for edit in made.edits] == ["delete the set invoices"]


def test_the_batch_is_outdated_and_the_service_s_clock_has_passed_that() -> None:
    """R2: strictly later than the batch, in whole seconds unless they are too coarse."""
    for now in (CREATED + timedelta(microseconds=1), CREATED + timedelta(seconds=9), CREATED):
        [made], _ = again(failing(1), LOCK, [batch_set()], (), lambda _, now=now: now)  # type: ignore[misc]
        assert made.after > CREATED
        assert made.after <= max(now, CREATED + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("name", "taken", "new"),
    [
        ("invoices", {"invoices"}, "invoices-again"),
        ("invoices", {"invoices-again"}, "invoices-again-2"),
        ("invoices-again", {"invoices-again"}, "invoices-again-2"),
        ("invoices-again-2", {"invoices-again", "invoices-again-2"}, "invoices-again-3"),
        ("a" * 63, set(), "a" * 57 + "-again"),
    ],
)
def test_a_new_set_has_a_name_of_its_own(name: str, taken: set[str], new: str) -> None:
    item = entry("dir-1", "bat-1", of=name)
    lock = Lock(entries={item.key: item})
    [made], _ = again(
        [Failing(item.address, "bat-1", Status.COMPLETED)], lock, [batch_set(name)], taken, lambda _: NOW
    )
    assert made.name == new


def one(**change: object) -> Lock:
    item = ENTRIES[0]
    return Lock(entries={item.key: item._replace(**change)})  # type: ignore[arg-type]  # fields of a table


UNDATED = ENTRIES[0].batches[0]._replace(created_at=None)
NEWER = ENTRIES[0].batches[0]._replace(id="bat-9")


@pytest.mark.parametrize(
    ("lock", "sets", "asked", "why"),
    [
        (LOCK, [batch_set()], failing(1, status=Status.RUNNING), "it is RUNNING still"),
        (LOCK, [], failing(1), "no manifest has its set any more"),
        (
            LOCK,
            [batch_set()],
            [Failing(Address("eye", "tb-1"), "tb-1", Status.COMPLETED)],
            "it is only watched",
        ),
        (LOCK, [batch_set(configuration="cfg-2")], failing(1), "its set asks for another job now"),
        (LOCK, [batch_set()], failing(5), "its set does not ask for its directory any more"),
        (
            one(batches=(UNDATED,)),
            [batch_set()],
            failing(1),
            "the service does not say when it was created, so no rerun.after can outdate it",
        ),
        (
            one(batches=(ENTRIES[0].batches[0], NEWER), current="bat-9"),
            [batch_set()],
            failing(1),
            "bat-9 stands for this work now",
        ),
    ],
)
def test_what_no_new_set_can_have_made_anew_is_left_out_and_says_why(
    lock: Lock, sets: list[BatchSet], asked: list[Failing], why: str
) -> None:
    made, left_out = again(asked, lock, sets, (), lambda _: NOW)
    assert made == ()
    assert left_out == tuple(LeftOut(item.address, item.batch, why) for item in asked)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_what_follows_a_failed_or_cancelled_batch_is_its_set_s_to_say(status: Status) -> None:
    assert again(failing(1, status=status), LOCK, [batch_set()], (), lambda _: NOW) == ((), ())
