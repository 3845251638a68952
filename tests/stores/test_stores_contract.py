"""What every store promises (C1, C2, C3, C9), whatever it keeps its state in.

A further store is one more row of ``STORES`` in `store_shelf`.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from store_shelf import STORES
from store_values import Some

from reconciler.adapters.stores.lockfile import read_lock
from reconciler.model.batch import Status
from reconciler.model.errors import LockHeldError, StateError
from reconciler.model.intent import Closing, JournalState, Settled
from reconciler.model.lock import Lock
from reconciler.model.manifest import OnRemove

if TYPE_CHECKING:
    from collections.abc import Callable

    from store_shelf import Reopen

    from reconciler.model.batch import Key
    from reconciler.model.lock import Entry
    from reconciler.model.ports import Store


@pytest.fixture(params=sorted(STORES))
def reopen(request: pytest.FixtureRequest) -> Reopen:
    return STORES[request.param](request)


@pytest.fixture
def some() -> Some:
    return Some()


def test_at_first_nothing_stands_and_the_journal_is_cold(reopen: Reopen) -> None:
    assert reopen().read() == (Lock(), JournalState())


def test_what_was_committed_is_read_by_others(reopen: Reopen, some: Some) -> None:
    with reopen().hold(0) as session:
        written = session.commit(
            replace(some.lock(), sets={"invoices": "sha256:1"}, projects={"https://api.example": "prj-1"})
        )
        assert session.lock == written
        assert reopen().read()[0] == written  # reading takes no lock
    with reopen().hold(0) as session:
        assert session.lock == written


def test_an_empty_lock_is_not_written_where_there_is_none(reopen: Reopen) -> None:
    with reopen().hold(0) as session:
        assert session.commit(Lock()) == Lock()
        session.close()
    assert reopen().read() == (Lock(), JournalState(warm=True))


def test_the_lineage_is_made_once_and_the_serial_counts_from_one(reopen: Reopen, some: Some) -> None:
    with reopen().hold(0) as session:
        first = session.commit(some.lock())
        second = session.commit(replace(first, entries={}))
        third = session.commit(replace(some.lock(), serial=77, lineage="another"))
    assert first.lineage
    assert [lock.serial for lock in (first, second, third)] == [1, 2, 3]
    assert {lock.lineage for lock in (first, second, third)} == {first.lineage}


def test_a_mere_refresh_raises_no_serial_and_is_kept(reopen: Reopen, some: Some) -> None:
    with reopen().hold(0) as session:
        before = session.commit(some.lock())
        after = session.commit(
            replace(some.with_status(before, Status.COMPLETED), heads=("run.jsonl#sha256:1",))
        )
    assert (after.serial, after.lineage) == (before.serial, before.lineage)
    assert after != before
    assert reopen().read()[0] == after


def test_what_was_committed_is_a_value_though_the_callers_entries_go_on_changing(
    reopen: Reopen, some: Some
) -> None:
    """The engine commits its own mapping of entries early, and again with what it has recorded by then."""
    entries: dict[Key, Entry] = {}
    with reopen().hold(0) as session:
        session.commit(Lock(sets={"invoices": "sha256:1"}, entries=entries))
        entries[some.key()] = some.entry()
        session.commit(Lock(sets={"invoices": "sha256:1"}, entries=entries))
        entries[some.key("dir-2")] = some.entry("dir-2", "bat-2")
        session.commit(replace(session.lock, entries=entries))
    assert reopen().read()[0].entries == entries


_CHANGES: list[tuple[str, Callable[[Some, Lock], Lock]]] = [
    ("an entry more", lambda some, lock: some.lock(some.entry(), some.entry("dir-2"))),
    ("an entry fewer", lambda some, lock: replace(lock, entries={})),
    ("another batch stands", lambda some, lock: some.lock(some.entry("dir-1", "bat-1", "bat-2"))),
    (
        "another policy",
        lambda some, lock: some.lock(some.entry()._replace(on_remove=OnRemove.CANCEL)),
    ),
    ("a set's text", lambda some, lock: replace(lock, sets={"invoices": "sha256:2"})),
    ("a project", lambda some, lock: replace(lock, projects={"https://api.example": "prj-2"})),
]


@pytest.mark.parametrize(("what", "change"), _CHANGES, ids=[what for what, _ in _CHANGES])
def test_every_change_but_a_refresh_raises_the_serial(
    reopen: Reopen, some: Some, what: str, change: Callable[[Some, Lock], Lock]
) -> None:
    with reopen().hold(0) as session:
        before = session.commit(some.lock())
        assert session.commit(change(some, before)).serial == before.serial + 1


def test_a_store_that_was_closed_is_warm_with_that_very_lock_only(reopen: Reopen, some: Some) -> None:
    with reopen().hold(0) as session:
        session.commit(some.lock())
        session.close()
    assert reopen().read()[1].warm
    with reopen().hold(0) as session:
        assert session.journal.warm
        session.commit(replace(session.lock, sets={"invoices": "sha256:3"}))
        # and goes without closing, as a crash would
    assert not reopen().read()[1].warm


def test_a_run_that_came_to_nothing_leaves_the_next_one_as_warm_as_it_was(reopen: Reopen, some: Some) -> None:
    with reopen().hold(0) as session:
        session.commit(some.lock())
        session.close()
    with reopen().hold(0):
        pass
    with reopen().hold(0) as session:
        assert session.journal.warm
        session.note([some.intent("one"), Settled("one", Closing.WITHDRAWN)])
    with reopen().hold(0) as session:
        assert not session.journal.warm
    with reopen().hold(0) as session:
        assert not session.journal.warm


def test_open_intents_survive_a_close_and_come_oldest_first(reopen: Reopen, some: Some) -> None:
    one, two, three = some.intent("one"), some.intent("two", "dir-2", 1), some.intent("three", "dir-3", 2)
    with reopen().hold(0) as session:
        session.note([one, two])
        session.note([three, Settled("two", Closing.ABSENT)])
        session.close()
    for _ in range(2):
        with reopen().hold(0) as session:
            assert session.journal == JournalState(open=(one, three))
            session.close()
    assert reopen().read()[1] == JournalState(open=(one, three))


def test_once_the_last_intent_is_settled_the_journal_can_be_closed(reopen: Reopen, some: Some) -> None:
    with reopen().hold(0) as session:
        session.note([some.intent()])
    with reopen().hold(0) as session:
        session.note([Settled("int-1", Closing.WITHDRAWN, "never sent")])
        session.close()
    assert reopen().read()[1] == JournalState(warm=True)


def test_what_came_back_before_a_crash_is_recorded(reopen: Reopen, some: Some) -> None:
    """C9: the journal had the outcome, the lockfile did not."""
    entry = some.entry()
    with reopen().hold(0) as session:
        session.note([some.intent()])
        session.note([Settled("int-1", Closing.CREATED, entry=entry)])
    lock, journal = reopen().read()
    assert lock.entries == {entry.key: entry}
    assert journal == JournalState(recovered=(entry,))
    with reopen().hold(0) as session:
        assert session.lock.entries == {entry.key: entry}


def test_recovery_keeps_the_batches_that_the_lockfile_knew_and_their_statuses(
    reopen: Reopen, some: Some
) -> None:
    before = some.entry("dir-1", "bat-1", status=Status.FAILED)
    after = some.entry("dir-1", "bat-2", status=Status.PENDING)
    with reopen().hold(0) as session:
        session.commit(some.lock(before))
        session.note([some.intent()])
        session.note([Settled("int-1", Closing.FOUND, entry=after)])
    assert reopen().read()[0].entries == {
        after.key: after._replace(batches=(*before.batches, *after.batches))
    }


def test_of_two_recovered_entries_of_a_key_the_newer_stands(reopen: Reopen, some: Some) -> None:
    first, second = some.entry("dir-1", "bat-1"), some.entry("dir-1", "bat-1", "bat-2")
    with reopen().hold(0) as session:
        session.note([some.intent("one"), Settled("one", Closing.FOUND, entry=first)])
        session.note([some.intent("two", minutes=1), Settled("two", Closing.FOUND, entry=second)])
    assert reopen().read()[0].entries == {second.key: second}


def test_what_reached_the_lockfile_is_not_brought_back_over_what_followed(reopen: Reopen, some: Some) -> None:
    """An intent that stays open keeps the journal: what is forgotten or moved meanwhile stays so."""
    other = some.intent("open", "dir-9")
    with reopen().hold(0) as session:
        session.note([some.intent(), other])
        session.note([Settled("int-1", Closing.CREATED, entry=some.entry())])
        session.commit(some.lock())
        session.close()
    with reopen().hold(0) as session:
        assert session.journal == JournalState(open=(other,))
        session.commit(replace(session.lock, entries={}))
        session.close()
    lock, journal = reopen().read()
    assert (dict(lock.entries), journal) == ({}, JournalState(open=(other,)))


def test_what_was_recovered_is_in_the_lockfile_after_the_next_commit(reopen: Reopen, some: Some) -> None:
    other = some.intent("open", "dir-9")
    with reopen().hold(0) as session:
        session.note([some.intent(), other])
        session.note([Settled("int-1", Closing.CREATED, entry=some.entry())])
    with reopen().hold(0) as session:
        assert session.journal.recovered == (some.entry(),)
        session.commit(session.lock)
    lock, journal = reopen().read()
    assert lock.entries == some.lock().entries
    assert journal == JournalState(open=(other,))


_HELD = r"held by ada@desk since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


def test_what_was_recovered_and_is_dropped_at_once_does_not_come_back(reopen: Reopen, some: Some) -> None:
    """Not even where nothing was ever committed, so that nothing seems to be left to write."""
    with reopen().hold(0) as session:
        session.note([some.intent()])
        session.note([Settled("int-1", Closing.FOUND, entry=some.entry())])
    with reopen().hold(0) as session:
        assert session.journal.recovered == (some.entry(),)
        assert session.commit(Lock()).entries == {}
    assert (dict(reopen().read()[0].entries), reopen().read()[1].recovered) == ({}, ())


def test_only_one_session_holds_the_lock_and_the_message_names_it(reopen: Reopen) -> None:
    with reopen("ada@desk").hold(0):
        other: Store = reopen("bob@sofa")
        with pytest.raises(LockHeldError, match=_HELD), other.hold(0):
            pass  # pragma: no cover - not reached
    with reopen("bob@sofa").hold(0) as session:
        session.confirm()


def test_the_lock_is_free_again_after_an_error(reopen: Reopen) -> None:
    with pytest.raises(ZeroDivisionError), reopen().hold(0):
        raise ZeroDivisionError
    with reopen().hold(0) as session:
        session.confirm()


def test_a_second_open_intent_of_a_key_is_refused_and_nothing_beside_it_is_written(
    reopen: Reopen, some: Some
) -> None:
    """C1, R8: whoever writes it, one create of a key is open at a time."""
    with reopen().hold(0) as session:
        session.note([some.intent("one")])
        with pytest.raises(StateError, match="a create of the same work is open already"):
            session.note([some.intent("other", "dir-2"), some.intent("two")])
    with reopen().hold(0) as session:
        assert [intent.id for intent in session.journal.open] == ["one"]
        with pytest.raises(StateError, match="a create of the same work is open already"):
            session.note([some.intent("two")])
        session.note([Settled("one", Closing.ABSENT), some.intent("two")])
    assert [intent.id for intent in reopen().read()[1].open] == ["two"]


def test_the_text_is_what_was_committed_without_what_is_to_be_recovered(reopen: Reopen, some: Some) -> None:
    assert reopen().read_lockfile() == b""
    with reopen().hold(0) as session:
        written = session.commit(some.lock())
        session.note([some.intent("one", "dir-2")])
        session.note([Settled("one", Closing.CREATED, entry=some.entry("dir-2", "bat-2"))])
    store = reopen()
    assert read_lock(store.read_lockfile().decode(), store.shown) == written
    assert len(store.read()[0].entries) == 2


def test_a_store_that_takes_over_is_what_the_other_was(reopen: Reopen, some: Some) -> None:
    lock = replace(some.lock(), lineage="another", serial=41, project="here", heads=("run.jsonl#sha256:1",))
    journal = JournalState((some.intent("one", "dir-2"),), (some.entry("dir-3", "bat-3"),), warm=False)
    with reopen().hold(0) as session:
        session.take_over(lock, journal)
    store = reopen()
    assert read_lock(store.read_lockfile().decode(), store.shown) == lock
    assert store.read() == (
        replace(lock, entries={**lock.entries, **some.lock(some.entry("dir-3", "bat-3")).entries}),
        journal,
    )
    with reopen().hold(0) as session:
        assert session.commit(replace(session.lock, entries={})).serial == 42


def test_a_store_that_takes_over_is_as_warm_as_the_other_was(reopen: Reopen, some: Some) -> None:
    for warm in (True, False):
        with reopen().hold(0) as session:
            before = session.lock
            session.take_over(
                replace(some.lock(), lineage="one", serial=before.serial + 1), JournalState(warm=warm)
            )
        assert reopen().read()[1] == JournalState(warm=warm)


def test_the_lock_is_taken_as_soon_as_it_is_free(reopen: Reopen) -> None:
    freed = threading.Event()

    def wait() -> None:
        with reopen("bob@sofa").hold(60) as session:
            assert freed.is_set()
            session.confirm()

    with ThreadPoolExecutor(1) as pool:
        with reopen().hold(0):
            waiting = pool.submit(wait)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            freed.set()
        waiting.result()
