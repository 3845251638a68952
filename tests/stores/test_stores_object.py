"""Object stores alone: conditions that must hold, replies that are lost, and leases that run out (C1)."""

from __future__ import annotations

import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import object_servers
import pytest
from neighbour_project import until
from store_shelf import object_store
from store_values import Some

from reconciler.adapters.stores.object import lease as leases
from reconciler.adapters.stores.object.session import Page
from reconciler.model.errors import LockHeldError, LockLostError, StateError
from reconciler.model.intent import Closing, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.adapters.stores.object.session import ObjectSession
    from reconciler.adapters.stores.object.store import ObjectStore


@dataclass
class World:
    """The small service, and a place in it."""

    endpoint: str
    small: object_servers.Small
    url: str = f"s3://{object_servers.BUCKET}/here"

    def store(
        self, holder: str = "ada@desk", *, lease: float = 30.0, under_way: float = 150.0
    ) -> ObjectStore:
        return object_store(self.url, self.endpoint, holder, lease=lease, under_way=under_way)

    def key(self, name: str) -> str:
        return f"/{object_servers.BUCKET}/here/papers/{name}"

    def age(self, seconds: float) -> None:
        """Have the lease be so much older, by the service's clock."""
        content, changed = self.small.objects[self.key(leases.NAME)]
        self.small.objects[self.key(leases.NAME)] = (content, changed - seconds)

    def once(self, method: str, name: str, what: str | int) -> list[str]:
        """Have the next such request go like that; gives a list that then holds it."""
        struck: list[str] = []

        def whim(verb: str, key: str) -> str | int | None:
            if struck or verb != method or key != self.key(name):
                return None
            struck.append(key)
            return what

        self.small.whim = whim
        return struck


@pytest.fixture
def world() -> Iterator[World]:
    with object_servers.small() as (service, small):
        yield World(service.endpoint, small)


@pytest.fixture(autouse=True)
def nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.adapters.stores.object.bucket._PAUSE", 0.01)
    monkeypatch.setattr("reconciler.adapters.stores.object.lease._POLL", 0.05)


@pytest.fixture
def some() -> Some:
    return Some()


@contextmanager
def _frozen(session: ObjectSession) -> Iterator[ObjectSession]:
    """A holder that does nothing, and after that does not know that time has gone by."""
    lease = session._lease
    lease._over.set()
    lease._thread.join()
    yield session


# Conditions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forgotten", "why"),
    [
        ("first", "it took no notice of If-None-Match, which keeps an object from being created twice"),
        ("others", "it took no notice of If-Match, which keeps a write from another's"),
    ],
)
def test_a_store_that_ignores_conditions_is_refused_with_the_reason(
    world: World, forgotten: str, why: str
) -> None:
    seen: list[str] = []

    def whim(method: str, key: str) -> str | None:
        if method == "PUT" and "/probe/" in key:
            seen.append(key)
            return "forget" if (len(seen) > 2) == (forgotten == "others") else None
        return None

    world.small.whim = whim
    with pytest.raises(StateError) as refused, world.store().hold(0):
        pass  # pragma: no cover - not reached
    assert (refused.value.what, refused.value.why) == (
        "this object store ignores what makes a write safe",
        why,
    )
    assert "PostgreSQL" in refused.value.next
    assert [key for key in world.small.objects if "/probe/" not in key] == []


@pytest.mark.parametrize("name", ["journal", "lockfile", leases.NAME])
def test_a_write_whose_reply_is_lost_is_found_to_be_ours(world: World, some: Some, name: str) -> None:
    struck = world.once("PUT", name, "lose")
    with world.store().hold(0) as session:
        session.note([some.intent()])
        struck = struck or world.once("PUT", name, "lose")
        session.note([Settled("int-1", Closing.CREATED, entry=some.entry())])
        written = session.commit(some.lock())
        session.close()
    assert struck
    assert world.store().read()[0] == written
    with world.store().hold(0) as session:
        assert session.journal.warm


def test_a_write_that_never_arrived_is_sent_again(world: World, some: Some) -> None:
    with world.store().hold(0) as session:
        struck = world.once("PUT", "journal", "drop")
        session.note([some.intent()])
        assert struck
    assert [intent.id for intent in world.store().read()[1].open] == ["int-1"]


def test_a_service_that_fails_for_good_is_an_error_and_what_was_noted_is_not_claimed(
    world: World, some: Some
) -> None:
    with world.store().hold(0) as session:
        world.small.whim = lambda method, key: (
            "drop" if key == world.key("journal") and method == "PUT" else None
        )
        with pytest.raises(StateError, match="the object store cannot be reached"):
            session.note([some.intent()])
        world.small.whim = lambda method, key: None
        session.note([some.intent()])  # it was not open
    assert len(world.store().read()[1].open) == 1


def _confirm(session: ObjectSession, some: Some) -> None:
    session.confirm()


def _note(session: ObjectSession, some: Some) -> None:
    session.note([some.intent("late", "dir-7")])


def _commit(session: ObjectSession, some: Some) -> None:
    session.commit(some.lock(some.entry("dir-8")))


def _close(session: ObjectSession, some: Some) -> None:
    session.close()


def _take_over(session: ObjectSession, some: Some) -> None:
    session.take_over(replace(some.lock(), lineage="x", serial=9), session.journal)


WRITES = [_note, _commit, _close, _take_over]


@pytest.mark.parametrize("act", WRITES, ids=lambda act: act.__name__)
def test_late_writes_of_a_holder_that_slept_are_refused(
    world: World, some: Some, act: Callable[[ObjectSession, Some], None]
) -> None:
    """Frozen between its look at the lease and its write: the tags of both objects are others by then."""
    with world.store().hold(0) as first, _frozen(first) as old:
        world.age(30 + 150 + leases.MARGIN)
        with world.store("bob@sofa").hold(0) as new:
            new.note([some.intent()])
            before = world.store().read()
            old._lease._until = float("inf")
            with pytest.raises(LockLostError, match="another session has taken the lock since"):
                act(old, some)
            assert world.store().read() == before
            new.confirm()
            new.commit(some.lock())


@pytest.mark.parametrize("act", [_confirm, *WRITES], ids=lambda act: act.__name__)
def test_who_has_slept_past_its_lease_finds_that_by_itself_and_asks_no_one(
    world: World, some: Some, act: Callable[[ObjectSession, Some], None]
) -> None:
    with world.store().hold(0) as first, _frozen(first) as old:
        old._lease._until = leases.ticks()
        asked = len(world.small.asked)
        with pytest.raises(LockLostError, match="the lease ran out, or another has taken it"):
            act(old, some)
        assert len(world.small.asked) == asked


def test_a_write_that_comes_between_a_takeover_and_its_fence_is_read(world: World, some: Some) -> None:
    """The one before may have noted an intent in the last moment: nobody may begin without knowing it."""
    with world.store().hold(0) as first, _frozen(first) as old:
        world.age(30 + 150 + leases.MARGIN)
        old._lease._until = float("inf")
        struck: list[str] = []

        def whim(method: str, key: str) -> None:
            if method == "PUT" and key == world.key("journal") and not struck:
                struck.append(key)
                # As if it had arrived right before this request.
                whole = old._journal._whole(_noted(some))
                world.small.objects[key] = (whole, time.time())

        world.small.whim = whim
        with world.store("bob@sofa").hold(0) as new:
            assert struck
            assert [intent.id for intent in new.journal.open] == ["int-1"]


def test_who_slept_while_it_took_the_lock_takes_nothing_from_the_one_that_came_after(
    world: World, some: Some
) -> None:
    """Frozen between its lease and the fence: to fence then would refuse the writes of the one that holds."""
    with world.store().hold(0) as first, _frozen(first) as old:
        world.age(30 + 150 + leases.MARGIN)
        with world.store("bob@sofa").hold(0) as new:
            for name in ("journal", "lockfile"):
                with pytest.raises(LockLostError, match="another session has taken the lock since"):
                    Page(old._bucket, name, old._lease.epoch)
            new.note([some.intent()])
            new.commit(some.lock())


def _noted(some: Some) -> bytes:
    from reconciler.adapters.stores.journal import write_note

    return write_note(some.intent())


# Leases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -3600.0], ids=["", "an hour ahead", "an hour behind"])
def test_a_lease_is_left_alone_until_no_create_of_its_holder_can_be_under_way(
    world: World, some: Some, ahead: float
) -> None:
    """Whatever the service's clock says compared with ours."""
    world.small.ahead = ahead
    with world.store().hold(0) as first, _frozen(first):
        world.age(30 + 150 - 5)
        with pytest.raises(LockHeldError) as refused, world.store("bob@sofa").hold(0):
            pass  # pragma: no cover - not reached
        assert refused.value.what.startswith("the lock is held by ada@desk since ")
        assert refused.value.why.startswith("unless that renews its lease, it can be taken in ")
        world.age(5 + leases.MARGIN)
        with world.store("bob@sofa").hold(0) as session:
            assert session._lease.epoch == 2


def test_the_terms_of_a_lease_are_its_holders_and_not_those_of_who_waits(world: World) -> None:
    with world.store(lease=60, under_way=300).hold(0) as first, _frozen(first):
        world.age(60 + 300 - 5)
        with pytest.raises(LockHeldError), world.store(lease=1, under_way=0).hold(0):
            pass  # pragma: no cover - not reached


def test_a_lease_is_renewed_for_as_long_as_it_is_held(world: World, some: Some) -> None:
    with world.store(lease=0.6).hold(0) as session:
        first = session._lease._until
        until("it was renewed twice", lambda: b'"beat": 2' in world.small.objects[world.key(leases.NAME)][0])
        assert session._lease._until > first


def test_a_holder_whose_renewals_do_not_arrive_stops_when_its_lease_is_over(world: World, some: Some) -> None:
    with world.store(lease=0.6).hold(0) as session:
        world.small.whim = lambda method, key: "drop" if key == world.key(leases.NAME) else None
        until("its time is over", lambda: leases.ticks() >= session._lease._until)
        with pytest.raises(LockLostError, match="it was not renewed in time; nothing was sent after that"):
            session.confirm()
        with pytest.raises(LockLostError):
            session.note([some.intent()])
        world.small.whim = lambda method, key: None
    assert world.store().read()[1].open == ()


def test_a_lease_is_free_at_once_when_its_holder_ends(world: World) -> None:
    for epoch in (1, 2, 3):
        with world.store().hold(0) as session:
            assert session._lease.epoch == epoch


def test_a_holder_whose_lease_was_taken_learns_it_by_its_next_renewal(world: World) -> None:
    with world.store(lease=0.6).hold(0) as session:
        content, changed = world.small.objects[world.key(leases.NAME)]
        world.small.objects[world.key(leases.NAME)] = (content.replace(b'"epoch": 1', b'"epoch": 2'), changed)
        session._lease._until = float("inf")
        session._lease._thread.join(30)
        with pytest.raises(LockLostError, match="another session has taken it since"):
            session.confirm()


# What is said -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whim", "what"),
    [
        (404, "there is no such bucket"),
        (403, "the object store does not let these credentials do that"),
        ("skewed", "the clock of this machine is off"),
        (503, "the object store cannot be reached"),
        ("drop", "the object store cannot be reached"),
    ],
)
def test_what_the_service_refuses_with_is_told_without_what_it_repeats(
    world: World, whim: str | int, what: str
) -> None:
    world.small.whim = lambda method, key: whim
    for use in (world.store().read, lambda: world.store().hold(0).__enter__()):
        with pytest.raises(StateError) as refused:
            use()
        assert refused.value.what == what
        assert refused.value.next
        told = "".join(traceback.format_exception(refused.value)) + str(refused.value)
        assert "hunter2" not in told
        if isinstance(whim, int) and whim != 404:
            assert "said the store" in refused.value.why


def test_nobody_is_there(some: Some) -> None:
    store = object_store("s3://states/here", "http://127.0.0.1:1", "ada")
    with pytest.raises(StateError, match="the object store cannot be reached"):
        store.read()


def test_what_another_program_wrote_there_is_refused_and_left(world: World) -> None:
    world.small.objects[world.key("journal")] = (b"hello", time.time())
    with pytest.raises(StateError, match="this object is none that reconciler wrote"):
        world.store().read()
    with pytest.raises(StateError, match="none that reconciler wrote"), world.store().hold(0):
        pass  # pragma: no cover - not reached
    assert world.small.objects[world.key("journal")][0] == b"hello"
    world.small.objects[world.key("journal")] = (b'{"formatVersion": 2}\n', time.time())
    with pytest.raises(StateError, match="of a newer version"):
        world.store().read()
