"""Who may write a project's state beside whom, what each finds, and what they leave (C1, C2)."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from store_values import Some

from reconciler.adapters.stores.postgres.address import address_of
from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.store import PostgresStore
from reconciler.model.errors import LockHeldError, LockLostError, StateError
from reconciler.model.intent import Closing, Settled
from reconciler.model.joint import Task
from reconciler.model.lock import Lock, Pin, PinKind
from reconciler.model.plan import Reason, ReasonCode
from reconciler.model.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from postgres_server import Server

    from reconciler.adapters.stores.postgres.session import PostgresSession

FIRST, SECOND = Shard(1, 2), Shard(2, 2)
#: A directory of the first of two shards and one of the second; see tests/core/test_core_shards.py.
OF_FIRST, OF_SECOND = "dir-2", "dir-1"


@pytest.fixture
def some() -> Some:
    return Some()


@pytest.fixture
def opened(postgres: Server) -> Callable[[str], PostgresStore]:
    """The store as several machines open it."""
    address = address_of(postgres.new_schema(), "papers", postgres.url(), {})
    initialise(address)
    return lambda holder: PostgresStore(address, holder)


def _hold(store: PostgresStore, what: Shard | None) -> AbstractContextManager[PostgresSession]:
    return store.hold(0) if what is None else store.hold_shard(what, 0)


BESIDE = "shards of one count, or workers that share a plan, work beside each other and beside nobody else"


@pytest.mark.parametrize(
    ("there", "comes", "who"),
    [
        (FIRST, FIRST, "ada (shard 1/2)"),
        (FIRST, Shard(1, 3), "ada (shard 1/2)"),
        (FIRST, Shard(3, 3), "ada (shard 1/2)"),
        (FIRST, None, "ada (shard 1/2)"),
        (None, FIRST, "ada"),
        (None, None, "ada"),
    ],
    ids=str,
)
def test_who_is_in_the_way_of_whom(
    opened: Callable[[str], PostgresStore], there: Shard | None, comes: Shard | None, who: str
) -> None:
    with _hold(opened("ada"), there):
        with pytest.raises(LockHeldError) as refused, _hold(opened("bob"), comes):
            pass
        assert refused.value.what.partition(" since ")[0] == f"the lock is held by {who}"
        assert refused.value.why == (BESIDE if comes else "")
    with _hold(opened("bob"), comes) as session:
        session.confirm()


def test_all_who_are_there_are_named_up_to_three(opened: Callable[[str], PostgresStore]) -> None:
    with contextlib.ExitStack() as stack:
        for index in range(1, 6):
            stack.enter_context(opened(f"worker {index}").hold_shard(Shard(index, 8), 0))
        with pytest.raises(LockHeldError, match=r"worker 1 \(shard 1/8\) since .*, 2 more"):
            opened("bob").hold(0).__enter__()


def test_of_many_who_come_at_once_with_other_counts_one_count_is_let_in(
    opened: Callable[[str], PostgresStore],
) -> None:
    """Looking and signing is one step: two who both looked before either signed would both be let in."""
    start, done = threading.Barrier(6), threading.Barrier(6)
    inside: list[list[int]] = [[] for _ in range(10)]

    def come(number: int) -> None:
        shard = Shard(1 + number // 2, 3 + number % 2)
        for there in inside:
            start.wait()
            with contextlib.suppress(LockHeldError), opened(f"worker {number}").hold_shard(shard, 0):
                there.append(shard.count)
                done.wait()
                continue
            done.wait()

    threads = [threading.Thread(target=come, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(set(there)) for there in inside] == [1] * 10, inside


def test_shards_beside_each_other_lose_nothing_of_each_others(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    pins = [Pin("invoices", PinKind.NAME, f"name-{n}", f"dir-{n}") for n in (1, 2)]
    with opened("ada").hold(0) as session:
        session.commit(Lock(heads=("head-0",), sets={"invoices": "digest"}, plan="plan-1"))
    with opened("ada").hold_shard(FIRST, 0) as first, opened("bob").hold_shard(SECOND, 0) as second:
        for session, directory, number in ((first, OF_FIRST, 1), (second, OF_SECOND, 2)):
            intent = some.intent(f"int-{number}", directory)
            entry = some.entry(directory, f"bat-{number}")
            session.note([intent])
            session.note([Settled(intent.id, Closing.CREATED, "", entry)])
            written = session.commit(
                replace(
                    session.lock,
                    heads=(f"head-{number}",),
                    entries={entry.key: entry},
                    pins=(pins[number - 1],),
                    projects={f"cloud-{number}": "prj-1"},
                )
            )
            session.close()
        assert (written.serial, written.heads) == (3, ("head-1", "head-2"))
    lock, journal = opened("carl").read()
    assert lock == Lock(
        lineage=lock.lineage,
        project="papers",
        serial=3,
        heads=("head-1", "head-2"),
        sets={"invoices": "digest"},
        plan="plan-1",
        pins=tuple(pins),
        projects={"cloud-1": "prj-1", "cloud-2": "prj-1"},
        entries={
            some.key(name): some.entry(name, batch)
            for name, batch in ((OF_FIRST, "bat-1"), (OF_SECOND, "bat-2"))
        },
    )
    assert (journal.open, journal.recovered) == ((), ())


def test_a_head_that_another_shard_goes_on_from_does_not_come_back(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    """One shard had nothing to audit, and writes what it learned of a batch all the same."""
    with opened("ada").hold(0) as session:
        session.commit(Lock(heads=("head-0",)))
    entry = some.entry(OF_SECOND, "bat-2")
    with opened("ada").hold_shard(FIRST, 0) as first, opened("bob").hold_shard(SECOND, 0) as second:
        first.commit(replace(first.lock, heads=("head-1",)))
        written = second.commit(replace(second.lock, entries={entry.key: entry}))
    assert written.heads == ("head-1",)


def test_what_a_shard_left_open_is_for_whoever_has_its_keys_next(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    """Shards may be cut otherwise by then; and of what was left, nobody finds another's."""
    opens = [some.intent("int-1", OF_FIRST)]
    entry = some.entry(OF_SECOND, "bat-2")
    with opened("ada").hold_shard(FIRST, 0) as session:
        session.note(opens[:1])
    with opened("bob").hold_shard(SECOND, 0) as session:
        session.note([some.intent("int-3", OF_SECOND)])
        session.note([Settled("int-3", Closing.CREATED, "", entry)])
    found = {}
    for shard in (*(Shard(n, 3) for n in (1, 2, 3)), None):
        with _hold(opened("carl"), shard) as session:
            found[str(shard)] = (
                [intent.id for intent in session.journal.open],
                [str(item.address) for item in session.journal.recovered],
            )
    everything = (["int-1"], [f"invoices/{OF_SECOND}"])
    assert found.pop("None") == everything
    assert sorted(found.values()) == sorted([(["int-1"], []), ([], [f"invoices/{OF_SECOND}"]), ([], [])])
    with opened("dora").hold(0) as session:
        session.note([Settled("int-1", Closing.ABSENT)])
        session.commit(session.lock)
        session.close()
    lock, journal = opened("emil").read()
    assert (dict(lock.entries), journal.open, journal.recovered) == ({entry.key: entry}, (), ())


def test_what_a_shard_has_recorded_is_not_lost_by_one_of_that_number_and_another_count(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    """C9: `2/2` left it, `2/3` has other keys, and the batch need not be listed yet."""
    entry = some.entry(OF_SECOND, "bat-2")
    assert not Shard(2, 3).has(entry.key)
    with opened("ada").hold_shard(SECOND, 0) as session:
        session.note([some.intent("int-1", OF_SECOND)])
        session.note([Settled("int-1", Closing.CREATED, "", entry)])
    with opened("bob").hold_shard(Shard(2, 3), 0) as session:
        session.commit(replace(session.lock, sets={"invoices": "digest"}))
        session.close()
    with opened("carl").hold(0) as session:
        assert session.journal.recovered == (entry,)


def test_no_two_shards_have_a_create_of_one_key_open(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    with opened("ada").hold_shard(FIRST, 0) as first, opened("bob").hold_shard(SECOND, 0) as second:
        first.note([some.intent("int-1")])
        with pytest.raises(StateError, match="a create of the same work is open already"):
            second.note([some.intent("int-2")])


def test_a_shard_whose_session_is_gone_writes_no_more_and_the_others_go_on(
    opened: Callable[[str], PostgresStore], some: Some, postgres: Server
) -> None:
    with (
        contextlib.suppress(LockLostError),
        opened("ada").hold_shard(FIRST, 0) as first,
        opened("bob").hold_shard(SECOND, 0) as second,
    ):
        schema = opened("ada").address.schema
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM {schema}.locks WHERE shard = 1")
        for _ in range(2):
            with pytest.raises(LockLostError, match="the connection to the database was lost"):
                first.note([some.intent("int-1", OF_FIRST)])
        second.confirm()
        second.note([some.intent("int-2", OF_SECOND)])
        with opened("carl").hold_shard(FIRST, 5) as again:
            again.note([some.intent("int-1", OF_FIRST)])


def _leave(store: PostgresStore, what: Shard | None, some: Some, *, well: bool) -> bool:
    """Write something as that seat and leave it in order, or not; gives whether it was warm."""
    directory = {FIRST: OF_FIRST, SECOND: OF_SECOND}.get(what, OF_FIRST) if what else OF_FIRST
    with _hold(store, what) as session:
        warm = session.journal.warm
        session.note([some.intent("int-1", directory)])
        session.note([Settled("int-1", Closing.ABSENT)])
        if well:
            session.close()
        return warm


ALONE = None


@pytest.mark.parametrize(
    ("story", "warm"),
    [
        ([], False),
        ([(ALONE, True)], True),
        ([(ALONE, False)], False),
        ([(FIRST, True)], True),
        ([(SECOND, True)], False),
        ([(ALONE, True), (SECOND, False)], True),
        ([(ALONE, True), (FIRST, False)], False),
        ([(ALONE, True), (FIRST, True), (ALONE, False)], False),
        ([(ALONE, False), (ALONE, True)], True),
        ([(ALONE, True), (Shard(1, 3), False)], False),
        ([(ALONE, True), (Shard(1, 3), False), (ALONE, True)], True),
        ([(FIRST, True), (Shard(3, 3), False)], False),
        ([(FIRST, True), (Shard(3, 3), True)], True),
        ([(FIRST, False), (Shard(1, 3), False), (ALONE, True)], True),
        ([(FIRST, True), (Shard(3, 4), False), (Shard(3, 3), True)], False),
        ([(FIRST, True), (Shard(3, 4), False), (Shard(3, 3), True), (ALONE, True)], True),
    ],
    ids=str,
)
def test_the_first_shard_is_warm_if_all_who_had_its_keys_left_in_order(
    opened: Callable[[str], PostgresStore], some: Some, story: list[tuple[Shard | None, bool]], *, warm: bool
) -> None:
    for what, well in story:
        _leave(opened("ada"), what, some, well=well)
    with opened("bob").hold_shard(FIRST, 0) as session:
        assert session.journal.warm is warm


@pytest.mark.parametrize(
    ("story", "warm"),
    [
        ([(FIRST, True)], False),
        ([(FIRST, True), (SECOND, True)], True),
        ([(FIRST, True), (SECOND, False)], False),
        ([(FIRST, True), (Shard(2, 3), True)], False),
        ([(FIRST, True), (SECOND, True), (ALONE, False)], False),
        ([(ALONE, False), (FIRST, True), (SECOND, True)], True),
        ([(ALONE, True), (FIRST, True), (SECOND, True)], True),
        ([(ALONE, True), (FIRST, True), (SECOND, False)], False),
        ([(ALONE, True), (SECOND, False), (ALONE, True)], True),
    ],
    ids=str,
)
def test_who_is_alone_is_warm_if_everybody_left_in_order(
    opened: Callable[[str], PostgresStore], some: Some, story: list[tuple[Shard | None, bool]], *, warm: bool
) -> None:
    for what, well in story:
        _leave(opened("ada"), what, some, well=well)
    with opened("bob").hold(0) as session:
        assert session.journal.warm is warm


def test_a_cold_seat_that_was_left_at_once_is_cold_still(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    """Signing anew makes the row younger than what it has to be wary of."""
    _leave(opened("ada"), ALONE, some, well=True)
    _leave(opened("ada"), Shard(1, 3), some, well=False)
    for _ in range(2):
        with opened("bob").hold_shard(FIRST, 0) as session:
            assert not session.journal.warm


# Workers that share a plan ----------------------------------------------------------------------------


def _tasks(some: Some, *directories: str) -> list[list[Task]]:
    """A row a directory."""
    return [
        [Task(some.key(name), some.entry(name, "").address, Reason(ReasonCode.MISSING, "none exists"))]
        for name in directories
    ]


def test_what_is_claimed_beside_an_open_create_is_for_who_takes_that_over(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    """C5: who does not know of it would look before it is listed, and send after it was found and closed."""
    with opened("ada").hold_to_open(0) as opening:
        opening.offer("plan-1", _tasks(some, OF_FIRST, OF_SECOND))
    with opened("bob").hold_joint(0) as bob:
        with opened("ada").hold_joint(0) as ada:
            (claim,) = ada.claim(1, [])
            ada.note([some.intent("int-1", OF_FIRST)])
            ada.leave([])
        assert [item.tasks[0].key.directory for item in bob.claim(9, [])] == [OF_SECOND]
        left, claims = bob.take_over_abandoned()
        assert ([intent.id for intent in left.open], claims) == (["int-1"], [claim])
        bob.note([Settled("int-1", Closing.ABSENT)])
        bob.leave([])
    with opened("carl").hold_joint(0) as carl:
        assert len(carl.claim(9, [])) == 2


def test_what_is_claimed_beside_what_was_not_committed_is_for_who_takes_that_over(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    """C9: a run whose audit log could not be written commits nothing, and leaves its journal to the next."""
    entry = some.entry(OF_FIRST, "bat-1")
    with opened("ada").hold_to_open(0) as opening:
        opening.offer("plan-1", _tasks(some, OF_FIRST))
    with opened("bob").hold_joint(0) as bob:
        with opened("ada").hold_joint(0) as ada:
            (claim,) = ada.claim(1, [])
            ada.note([some.intent("int-1", OF_FIRST)])
            ada.note([Settled("int-1", Closing.CREATED, "", entry)])
            ada.leave([])
        assert bob.claim(9, []) == []
        left, claims = bob.take_over_abandoned()
        assert (left.recovered, claims) == ((entry,), [claim])


def test_what_was_taken_over_is_forgotten_when_it_is_in_the_lockfile_and_not_before(
    opened: Callable[[str], PostgresStore], some: Some
) -> None:
    """C9: who is stopped at once may have it on its seat and never have heard of it."""
    entry = some.entry(OF_FIRST, "bat-1")
    with opened("bob").hold_joint(0) as bob:
        with opened("ada").hold_joint(0) as ada:
            ada.note([some.intent("int-1", OF_FIRST)])
            ada.note([Settled("int-1", Closing.CREATED, "", entry)])
        left, _ = bob.take_over_abandoned()
        assert left.recovered == (entry,)
        bob.commit(replace(bob.lock, sets={"invoices": "digest"}))
        bob.close()
        assert opened("carl").read()[1].recovered == (entry,)
        bob.commit(replace(bob.lock, entries={entry.key: entry}))
    lock, journal = opened("carl").read()
    assert (dict(lock.entries), journal.recovered) == ({entry.key: entry}, ())


# Turns ----------------------------------------------------------------------------------------------


def test_turns_that_workers_book_are_nobody_elses(opened: Callable[[str], PostgresStore]) -> None:
    with opened("ada").hold_shard(FIRST, 0) as first, opened("bob").hold_shard(SECOND, 0) as second:
        books = [session.turn_book() for session in (first, second)]
        assert all(books)
        starts = [book.book("cloud", 5, 0.5)[0] for book in books * 3 if book]
        assert [round(later - earlier) for earlier, later in pairwise(starts)] == [10] * 5
        assert books[0] is not None
        assert books[0].book("other", 1, 1.0)[0] < 1
        assert books[0].book("cloud", 1, None)[1] == 0.0


def test_a_pause_is_everybodys_and_the_longest_counts(opened: Callable[[str], PostgresStore]) -> None:
    with opened("ada").hold_shard(FIRST, 0) as first, opened("bob").hold_shard(SECOND, 0) as second:
        one, other = first.turn_book(), second.turn_book()
        assert one is not None
        assert other is not None
        one.close("cloud", 100)
        one.close("cloud", 10)
        assert 90 < other.book("cloud", 1, None)[1] <= 100
        assert other.book("elsewhere", 1, None)[1] == 0.0


def test_who_is_alone_books_nothing(opened: Callable[[str], PostgresStore]) -> None:
    with opened("ada").hold(0) as session:
        assert session.turn_book() is None
