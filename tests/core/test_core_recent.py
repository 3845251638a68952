"""C10: what was created lately, since when to look for its twins, and which batches are surplus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.match import Moment
from reconciler.core.recent import EARLIER, RECENT, Recent, recent, surplus
from reconciler.model.batch import Address, Batch, Home, JobType, Key, Status
from reconciler.model.lock import Entry, Lock, Origin, Recorded

NOW = datetime(2026, 10, 2, 12, tzinfo=UTC)
THEIRS = NOW + timedelta(minutes=5)
HOME = Home("https://service.test", "prj-1")
KEY = Key(*HOME, "dir-1", JobType.PARSE_V2, "cfg-1")


def entry(
    *,
    age: timedelta = timedelta(hours=2),
    origin: Origin = Origin.CREATED,
    timed: bool = True,
    key: Key = KEY,
) -> Entry:
    made = THEIRS - age if timed else None
    item = Recorded("bat-1", Status.RUNNING, origin, NOW - age, made, made)
    return Entry(key=key, address=Address("set", key.directory), current="bat-1", batches=(item,))


def looked_for(*entries: Entry, theirs: datetime | None = THEIRS) -> dict[Home, Recent]:
    return recent(Lock(entries={item.key: item for item in entries}), NOW, {HOME: theirs})


@pytest.mark.parametrize("origin", list(Origin))
def test_what_was_made_in_the_last_day_is_looked_for_from_then_on(origin: Origin) -> None:
    since = THEIRS - timedelta(hours=2) - EARLIER
    assert looked_for(entry(origin=origin)) == {HOME: Recent(frozenset({KEY}), since)}


def test_what_is_older_than_a_day_is_not_by_their_clock_or_else_by_our_note() -> None:
    for theirs, ahead in ((THEIRS, timedelta()), (None, THEIRS - NOW)):
        assert looked_for(entry(age=RECENT + ahead), theirs=theirs) != {}
        assert looked_for(entry(age=RECENT + ahead + timedelta(seconds=1)), theirs=theirs) == {}
    old = entry(age=RECENT + timedelta(days=9))
    just_adopted = old.recorded._replace(recorded_at=NOW, origin=Origin.ADOPTED)
    assert looked_for(old._replace(batches=(just_adopted,))) == {}


def test_the_oldest_of_several_says_where_to_begin() -> None:
    other = KEY._replace(directory="dir-2")
    found = looked_for(entry(), entry(age=timedelta(hours=9), key=other))
    assert found == {HOME: Recent(frozenset({KEY, other}), THEIRS - timedelta(hours=9) - EARLIER)}


def test_without_a_creation_time_our_own_note_stands_in_by_their_clock_or_else_all_is_listed() -> None:
    assert looked_for(entry(timed=False))[HOME].since == THEIRS - timedelta(hours=2) - EARLIER
    assert looked_for(entry(timed=False), theirs=None)[HOME].since is None
    other = KEY._replace(directory="dir-2")
    assert looked_for(entry(), entry(timed=False, key=other), theirs=None)[HOME].since is None


def live(name: str, status: Status = Status.RUNNING) -> Batch:
    return Batch(name, KEY, status, THEIRS, THEIRS)


@pytest.mark.parametrize(
    ("seen", "ids"),
    [
        ([], []),
        ([live("bat-1")], []),
        ([live("bat-1"), live("bat-3"), live("bat-2")], ["bat-2", "bat-3"]),
        ([live("bat-2")], ["bat-2"]),
        ([live("bat-2", Status.COMPLETED)], ["bat-2"]),
        ([live("bat-2", Status.FAILED), live("bat-3", Status.CANCELLED)], []),
        ([live("bat-1", Status.FAILED), live("bat-2")], []),
        ([live("bat-2")._replace(created_at=THEIRS - timedelta(hours=3))], ["bat-2"]),
        ([live("bat-2")._replace(created_at=THEIRS - timedelta(hours=3, seconds=1))], []),
    ],
)
def test_surplus_is_what_stands_unrecorded_beside_what_stands(seen: list[Batch], ids: list[str]) -> None:
    assert [batch.id for batch in surplus(entry(), None, None, seen, Moment(NOW, THEIRS))] == ids


def test_beside_a_recorded_twin_nothing_is_surplus_again() -> None:
    one = entry()
    twin = one.recorded._replace(id="bat-2")
    both = one._replace(batches=(one.recorded, twin))
    assert surplus(both, None, None, [live("bat-1"), live("bat-2")], Moment(NOW, THEIRS)) == ()
