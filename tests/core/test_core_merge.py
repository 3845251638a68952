"""Merging lockfiles of two branches: its laws over small ones of any kind, and the cases that people meet."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.core.merge import merge
from reconciler.model.batch import Address, FileCounts, JobType, Key, Status
from reconciler.model.errors import StateError
from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Pin, PinKind, Recorded, TrackedEntry
from reconciler.model.manifest import OnRemove
from reconciler.model.watched import Watched, WatchedId

if TYPE_CHECKING:
    from reconciler.model.merge import Merged

#: Three lockfiles take long to draw; hypothesis keeps what once failed.
LAW = settings(max_examples=30)
START = datetime(2026, 9, 1, tzinfo=UTC)


def key(name: str) -> Key:
    return Key("https://api.example", "prj", name, JobType.PARSE_V2, "cfg")


# Few words each, so that the three sides meet ----------------------------------------------------------

few = st.sampled_from(["a", "b", "c"])
times = st.integers(0, 3).map(lambda hours: START + timedelta(hours=hours))
counts = st.sampled_from([FileCounts(2, 0), FileCounts(2, 1)])
batches = st.builds(
    Recorded,
    few.map(lambda name: f"bat-{name}"),
    st.sampled_from(Status),
    st.sampled_from(Origin),
    times,
    st.none() | times,
    st.none() | times,
    st.none() | st.builds(Evidence, few),
    st.none() | st.just(Alias("dir-x", "cfg-x")),
    st.none() | counts,
)


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    there = draw(st.lists(batches, min_size=1, max_size=3, unique_by=lambda item: item.id))
    return Entry(
        key=key(draw(few)),
        address=Address(draw(few), draw(few)),
        current=draw(st.sampled_from(there)).id,
        batches=tuple(sorted(there, key=lambda item: item.id)),
        on_remove=draw(st.sampled_from(OnRemove)),
        directory_name=draw(st.just("") | few),
    )


trackeds = st.builds(
    TrackedEntry,
    address=st.builds(Address, few, few),
    watched=st.builds(
        Watched,
        id=st.builds(WatchedId, st.just("https://t"), few),
        status=st.sampled_from(Status),
        word=few,
        created_at=st.none() | times,
        updated_at=st.none() | times,
        counts=st.none() | counts,
    ),
    recorded_at=times,
)
locks = st.builds(
    Lock,
    lineage=st.just("line"),
    project=st.just("project"),
    serial=st.integers(1, 3),
    projects=st.dictionaries(few, few, max_size=2),
    sets=st.dictionaries(few, few, max_size=2),
    heads=st.frozensets(few, max_size=2).map(lambda heads: tuple(sorted(heads))),
    entries=st.lists(_entries(), max_size=3).map(lambda items: {item.key: item for item in items}),
    pins=st.lists(
        st.builds(Pin, few, st.sampled_from(PinKind), few, few, few, few),
        max_size=3,
        unique_by=lambda pin: (pin.set, pin.kind, pin.text, pin.id if pin.kind is PinKind.MATCH else ""),
    ).map(lambda items: tuple(sorted(items))),
    tracked=st.lists(trackeds, max_size=3).map(lambda items: {item.watched.id: item for item in items}),
)
bases = locks | st.just(Lock())


@st.composite
def _branches(draw: st.DrawFn) -> tuple[Lock, Lock, Lock]:
    """A base and two branches, whose parts are often still those of the base."""
    base = draw(bases)
    return base, *(_grown(draw, base) for _ in range(2))  # type: ignore[return-value]


def _grown(draw: st.DrawFn, base: Lock) -> Lock:
    branch = draw(locks)
    if not base.lineage or draw(st.booleans()):
        return branch
    kept = draw(st.sets(st.sampled_from(sorted(base.entries)))) if base.entries else set()
    return replace(branch, entries={**branch.entries, **{name: base.entries[name] for name in kept}})


branches = _branches()


def both_ways(merged: Merged) -> tuple[Lock, dict[Key, set[Entry]]]:
    """A merge without the names of its sides."""
    entries = {
        name: entry._replace(current="?") if name in merged.conflicts else entry
        for name, entry in merged.lock.entries.items()
    }
    conflicts = {name: {item.ours, item.theirs} for name, item in merged.conflicts.items()}
    return replace(merged.lock, entries=entries), conflicts


# Laws --------------------------------------------------------------------------------------------------


@LAW
@given(branches)
def test_swapping_the_sides_changes_only_which_of_them_is_ours(sides: tuple[Lock, Lock, Lock]) -> None:
    base, ours, theirs = sides
    assert both_ways(merge(base, ours, theirs)) == both_ways(merge(base, theirs, ours))


@LAW
@given(bases, locks)
def test_two_equal_sides_are_merged_already(base: Lock, lock: Lock) -> None:
    assert merge(base, lock, lock).lock == lock


@LAW
@given(locks, locks)
def test_a_side_that_changed_nothing_gives_way(base: Lock, lock: Lock) -> None:
    for merged in (merge(base, base, lock), merge(base, lock, base)):
        assert merged.lock == lock
        assert not merged.conflicts


@LAW
@given(branches)
def test_merging_the_merge_with_a_side_again_adds_nothing(sides: tuple[Lock, Lock, Lock]) -> None:
    base, ours, theirs = sides
    merged = merge(base, ours, theirs)
    if not merged.conflicts:
        for side in (ours, theirs):
            again = merge(side, merged.lock, side)
            assert (again.lock, dict(again.conflicts)) == (merged.lock, {})


@LAW
@given(branches)
def test_no_batch_is_lost_that_was_not_dropped_by_one_side_and_left_alone_by_the_other(
    sides: tuple[Lock, Lock, Lock],
) -> None:
    base, ours, theirs = sides
    merged = merge(base, ours, theirs)
    for name in {*ours.entries, *theirs.entries}:
        known = [entries.get(name) for entries in (base.entries, ours.entries, theirs.entries)]
        if known[0] is not None and known[0] in known[1:]:
            changed = known[2] if known[0] == known[1] else known[1]
            assert merged.lock.entries.get(name) == changed
            continue
        wanted = {item.id for entry in known[1:] if entry for item in entry.batches}
        conflict = merged.conflicts.get(name)
        for entry in (conflict.ours, conflict.theirs) if conflict else (merged.lock.entries[name],):
            assert {item.id for item in entry.batches} == wanted
    watched = {
        name
        for side in (ours, theirs)
        for name, item in side.tracked.items()
        if base.tracked.get(name) != item
    }
    assert watched <= merged.lock.tracked.keys()
    assert {*ours.heads, *theirs.heads} == {*merged.lock.heads} or base in (ours, theirs)


@LAW
@given(branches)
def test_a_merge_is_a_lockfile_that_the_strict_reader_takes(sides: tuple[Lock, Lock, Lock]) -> None:
    merged = merge(*sides).lock
    text = write_lock(merged)
    assert write_lock(read_lock(text, "f")) == text


@LAW
@given(branches)
def test_only_two_batches_for_one_key_are_a_conflict(sides: tuple[Lock, Lock, Lock]) -> None:
    base, ours, theirs = sides
    for name, conflict in merge(base, ours, theirs).conflicts.items():
        standing = [lock.entries[name].current for lock in (ours, theirs)]
        assert [conflict.ours.current, conflict.theirs.current] == standing
        assert standing[0] != standing[1]
        assert name not in base.entries or base.entries[name].current not in standing
        assert conflict.ours._replace(current="") == conflict.theirs._replace(current="")


@LAW
@given(branches)
def test_what_has_ended_does_not_run_again(sides: tuple[Lock, Lock, Lock]) -> None:
    base, ours, theirs = sides
    merged = merge(base, ours, theirs).lock
    for name in merged.entries.keys() & ours.entries.keys() & theirs.entries.keys():
        if base.entries.get(name) in (ours.entries[name], theirs.entries[name]):
            continue
        ended = {
            item.id for lock in (ours, theirs) for item in lock.entries[name].batches if item.status.terminal
        }
        assert all(item.status.terminal for item in merged.entries[name].batches if item.id in ended)


# Cases -------------------------------------------------------------------------------------------------


#: Every part of a lockfile, as one of two branches may have changed it.
CHANGED: dict[str, object] = {
    "lineage": "line",
    "project": "renamed",
    "plan": "sha256:1",
    "serial": 9,
    "projects": {"prod u": "prj-1"},
    "sets": {"set": "sha256:2"},
    "heads": ("h1",),
    "entries": {
        key("dir-b"): Entry(
            key=key("dir-b"),
            address=Address("a", "b"),
            current="bat-2",
            batches=(Recorded("bat-2", Status.RUNNING, Origin.FOUND, START),),
        )
    },
    "pins": (Pin("set", PinKind.NAME, "name", "dir-1"),),
    "tracked": {
        WatchedId("u", "t-1"): TrackedEntry(
            address=Address("a", "t-1"),
            recorded_at=START,
            watched=Watched(id=WatchedId("u", "t-1"), status=Status.RUNNING, word="running"),
        )
    },
}


@pytest.mark.parametrize("part", [field.name for field in fields(Lock)])
def test_what_only_one_branch_changed_is_as_it_has_it(part: str) -> None:
    base = lock(lineage="line", serial=1)
    mine = replace(base, **{part: CHANGED[part]})  # type: ignore[arg-type]
    other = replace(base, entries={**base.entries, **lock(entry(batch("bat-1"))).entries}, serial=2)
    for merged in (merge(base, mine, other).lock, merge(base, other, mine).lock):
        if part == "serial":
            assert merged.serial == 10
        elif part == "entries":
            assert merged.entries == {**other.entries, **mine.entries}
        else:
            assert getattr(merged, part) == CHANGED[part]


def batch(name: str, status: Status = Status.RUNNING, hours: int = 0, **more: object) -> Recorded:
    return Recorded(name, status, Origin.CREATED, START + timedelta(hours=hours))._replace(**more)  # type: ignore[arg-type]  # fields of a table


def entry(*there: Recorded, current: str = "", **more: object) -> Entry:
    made = Entry(
        key=key("dir-a"), address=Address("set", "dir-a"), current=current or there[-1].id, batches=there
    )
    return made._replace(**more)  # type: ignore[arg-type]  # fields of a table


def lock(*entries: Entry, **more: object) -> Lock:
    made = Lock(lineage="line", project="p", serial=4, entries={item.key: item for item in entries})
    return replace(made, **more)  # type: ignore[arg-type]


def test_each_branch_has_created_a_batch_for_another_key() -> None:
    mine, other = entry(batch("bat-1")), entry(batch("bat-2"), key=key("dir-b"))
    merged = merge(lock(), lock(mine, serial=5, heads=("h1",)), lock(other, serial=7, heads=("h2",)))
    assert merged.lock == lock(mine, other, serial=8, heads=("h1", "h2"))


def test_each_branch_has_created_a_batch_for_one_key_and_says_so_in_words() -> None:
    old, mine, other = batch("bat-0", Status.FAILED), batch("bat-1"), batch("bat-2", hours=1)
    merged = merge(
        lock(entry(old)), lock(entry(old, mine)), lock(entry(old, other, on_remove=OnRemove.CANCEL))
    )
    both = entry(old, mine, other, current="bat-1", on_remove=OnRemove.CANCEL)
    (conflict,) = merged.conflicts.values()
    assert (conflict.ours, conflict.theirs) == (both, both._replace(current="bat-2"))
    assert str(conflict) == (
        "set/dir-a: ours has bat-1 (RUNNING, created by that branch, dated 2026-09-01T00:00:00Z), "
        "theirs bat-2 (RUNNING, created by that branch, dated 2026-09-01T01:00:00Z)"
    )


def test_one_branch_reran_what_the_other_only_saw_end() -> None:
    old = batch("bat-0")
    ended = old._replace(status=Status.COMPLETED, files=FileCounts(3, 1))
    merged = merge(lock(entry(old)), lock(entry(old, batch("bat-1"))), lock(entry(ended)))
    assert merged.lock.entries == {key("dir-a"): entry(ended, batch("bat-1"))}
    assert not merged.conflicts


def test_counts_that_one_side_has_read_stay_though_the_other_looked_later() -> None:
    read = batch("bat-1", Status.COMPLETED, files=FileCounts(3, 1), updated_at=START)
    later = read._replace(files=None, updated_at=START + timedelta(hours=1))
    merged = merge(lock(), lock(entry(read)), lock(entry(later)))
    assert merged.lock.entries[key("dir-a")].batches == (later._replace(files=FileCounts(3, 1)),)


def test_what_was_there_in_another_past_does_not_count_as_dropped() -> None:
    there = entry(batch("bat-1"))
    merged = merge(lock(there, lineage="another"), lock(), lock(there, serial=5))
    assert merged.lock.entries == {there.key: there}


def test_who_created_a_batch_knows_better_than_who_found_it() -> None:
    made = batch("bat-1", hours=1, evidence=Evidence("missing"))
    seen = batch("bat-1", Status.COMPLETED, hours=2, origin=Origin.ADOPTED)
    merged = merge(lock(), lock(entry(seen)), lock(entry(made)))
    assert merged.lock.entries[key("dir-a")].batches == (made._replace(status=Status.COMPLETED),)


@pytest.mark.parametrize("refreshed", [False, True])
def test_forgotten_on_one_side_it_stays_only_if_the_other_changed_it(*, refreshed: bool) -> None:
    before = entry(batch("bat-1"))
    other = entry(batch("bat-1", Status.COMPLETED)) if refreshed else before
    merged = merge(lock(before), lock(serial=5), lock(other, serial=6))
    assert merged.lock.entries == ({other.key: other} if refreshed else {})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_configuration_of_which_the_branches_pinned_two_versions_is_looked_up_anew(version: str) -> None:
    mine = Pin("set", PinKind.CONFIGURATION, "fields", "cfg-1", "v1")
    merged = merge(lock(), lock(pins=(mine,)), lock(pins=(mine._replace(version=version),), serial=6))
    assert merged.lock.pins == ((mine,) if version == "v1" else ())


def test_a_project_that_two_keys_belong_to_is_asked_for_again() -> None:
    merged = merge(
        lock(), lock(projects={"prod u": "prj-1"}), lock(projects={"prod u": "prj-2", "test u": "prj-3"})
    )
    assert merged.lock.projects == {"test u": "prj-3"}


def test_what_two_branches_say_of_removal_leaves_the_batch_alone() -> None:
    there = entry(batch("bat-1"))
    merged = merge(lock(), lock(there), lock(there._replace(on_remove=OnRemove.CANCEL)))
    assert merged.lock.entries[there.key].on_remove is OnRemove.KEEP


def test_a_project_that_was_renamed_on_one_branch_has_its_new_name() -> None:
    merged = merge(lock(), lock(project="new"), lock(serial=9))
    assert (merged.lock.project, merged.lock.serial) == ("new", 10)


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ({"lineage": "one"}, {"lineage": "two"}, "the branches have lockfiles that do not have one past"),
        ({"project": "one"}, {"project": "two"}, "the branches have lockfiles of different projects"),
    ],
)
def test_lockfiles_of_two_pasts_or_projects_are_not_merged(
    ours: dict[str, str], theirs: dict[str, str], told: str
) -> None:
    with pytest.raises(StateError) as caught:
        merge(Lock(), lock(**ours), lock(**theirs))
    assert caught.value.what == told
