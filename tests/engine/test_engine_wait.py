"""Waiting on virtual time: how often it asks, what it learns, and every way in which it ends."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest
from engine_world import World

from reconciler.api.refreshing import refresh_lock
from reconciler.core.select import Selection
from reconciler.core.tracking import health_of_watched
from reconciler.engine import standing
from reconciler.engine.standing import AGAIN, MOST_BLIND, Learned, Scene
from reconciler.engine.stop import Stop
from reconciler.engine.wait import FEW, pauses
from reconciler.model.batch import Address, FileCounts, FileResult, Status
from reconciler.model.errors import AuthenticationError, GivenUpError, NotFoundError, UnavailableError
from reconciler.model.events import FileFailed, Pending, Progressed, Warned
from reconciler.model.events import Waiting as Pausing
from reconciler.model.project import Limits
from reconciler.model.status import Health, Sync, Waited
from reconciler.model.tracking import Happened, TrackedChange
from reconciler.model.watched import Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

_Kind = TypeVar("_Kind")


def applied(folder: Path, directories: int) -> World:
    """So many batches, created, recorded and running."""
    world = World(folder, directories)
    world.warm()
    world.apply()
    world.forget()
    return world


def wait(
    world: World,
    *,
    timeout: float | None = None,
    selection: Selection | None = None,
    stop: Stop | None = None,
    learned: Learned | None = None,
    watch: Callable[[Selection], Coroutine[object, object, tuple[TrackedChange, ...]]] | None = None,
) -> Waited:
    stop, learned = stop or Stop(), learned or Learned()

    @asynccontextmanager
    async def outlook() -> AsyncIterator[Scene]:
        lock, journal = world._store().read()
        chosen = selection or Selection()
        yield Scene(world._eyes(), world.desired, lock, journal.open, Limits(), chosen, stop, watch)

    async def work() -> Waited:
        stop.bind(world.time, timeout)
        return await standing.wait(outlook, stop, learned, random=lambda: 0.5)

    try:
        return world.time.run(work())  # type: ignore[no-any-return]
    finally:
        if learned.anything:
            assert refresh_lock(world._store(), learned.onto) == ""


def at(world: World, seconds: float, *names: str, status: Status = Status.COMPLETED) -> None:
    """So many seconds from now, batches have another status; whoever asks next sees it."""
    then = world.time.seconds + seconds
    before = world.service.on_request

    def request(what: str) -> None:
        before(what)
        if world.time.seconds >= then:
            for name in names:
                world.service.set(name, status)

    world.service.on_request = request


def health(waited: Waited) -> list[tuple[str, Health]]:
    return [(row.address.directory, row.health) for row in waited.report.rows]


def told(world: World, kind: type[_Kind]) -> list[_Kind]:
    return [event for event in world.events if isinstance(event, kind)]


def test_it_ends_when_all_have_ended_and_their_files_were_read(tmp_path: Path) -> None:
    world = applied(tmp_path, 2)
    at(world, 5, "bat-1")
    at(world, 20, "bat-2")

    waited = wait(world)

    assert health(waited) == [("dir-001", Health.HEALTHY), ("dir-002", Health.HEALTHY)]
    assert [row.files for row in waited.report.rows] == [FileCounts(1, 0)] * 2
    assert {row.sync for row in waited.report.rows} == {Sync.SYNCED}
    assert (waited.stopped, waited.timed_out, waited.gone) == (None, False, ())
    assert next((e.terminal, e.total) for e in told(world, Pending)) == (0, 2)
    assert [(e.terminal, e.total) for e in told(world, Pending)][-1] == (2, 2)
    assert [str(e.address) for e in told(world, Progressed)] == [
        "set/dir-001",
        "set/dir-002",
    ]


def test_what_was_learned_is_recorded_and_is_no_change(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    serial, lines = world.lock.serial, len(world.ledger.lines)
    assert world.journal.warm
    at(world, 1, "bat-1")

    wait(world)

    (entry,) = world.lock.entries.values()
    assert (entry.recorded.status, entry.recorded.files) == (Status.COMPLETED, FileCounts(1, 0))
    assert (world.lock.serial, len(world.ledger.lines)) == (serial, lines)
    assert world.journal.warm  # C2: what the last run knew for certain, still stands
    assert world.apply().results == ()


def test_a_second_wait_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    world.service.on_results = lambda _: (FileResult("fil-dir-001", None, "not a PDF"),)
    world.service.set("bat-1", Status.COMPLETED)
    first = wait(world)
    assert health(first) == [("dir-001", Health.DEGRADED)]
    assert [(e.file, e.why) for e in told(world, FileFailed)] == [("a.pdf", "not a PDF")]
    world.forget()

    second = wait(world)

    assert health(second) == health(first)
    assert second.report.failed_files == first.report.failed_files == 1
    assert world.service.requests == []


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_one_that_ends_badly_is_degraded_and_not_synced_and_its_files_are_not_read(
    tmp_path: Path, status: Status
) -> None:
    world = applied(tmp_path, 1)
    at(world, 5, "bat-1", status=status)

    (row,) = wait(world).report.rows

    assert (row.health, row.sync, row.why) == (Health.DEGRADED, Sync.OUT_OF_SYNC, f"bat-1 is {status} by now")
    assert world.service.count("results") == 0


def test_it_asks_less_and_less_often(tmp_path: Path) -> None:
    assert next(pauses(lambda: 0.0)) == 0.75
    assert next(pauses(lambda: 1.0)) == 1.25
    far = pauses(lambda: 0.5)
    assert [next(far) for _ in range(10)][-2:] == [25.62890625, 30.0]
    near = pauses(lambda: 0.5, embedded=True)
    assert [next(near) for _ in range(11)][-1] == 2.0
    world = applied(tmp_path, 1)
    at(world, 3600, "bat-1")

    wait(world)

    assert 120 <= world.service.count("get") <= 130  # an hour: one in 30 s
    assert world.service.count("list") == 0


def test_many_are_read_from_one_listing_and_few_are_asked_for_one_by_one(tmp_path: Path) -> None:
    world = applied(tmp_path, FEW + 20)
    names = [f"bat-{number}" for number in range(1, FEW + 21)]
    at(world, 100, *names[:20])
    at(world, 200, *names[20:])
    looks: dict[float, Counter[str]] = defaultdict(Counter)
    before = world.service.on_request

    def request(what: str) -> None:
        before(what)
        if what.startswith(("before list", "before get")):
            looks[world.time.seconds][what.split()[1]] += 1

    world.service.on_request = request

    waited = wait(world)

    assert {row.health for row in waited.report.rows} == {Health.HEALTHY}
    kinds = list(looks.values())
    many = next(index for index, asked in enumerate(kinds) if asked["get"])
    assert kinds[:many] == [{"list": 1}] * many
    assert kinds[many:] == [{"get": FEW}] * (len(kinds) - many)
    assert 5 < many < len(kinds)


def test_a_listing_that_is_longer_than_asking_is_not_read_again(tmp_path: Path) -> None:
    world = applied(tmp_path, FEW + 1)
    world.service.page_size = 1
    for _ in range(40):
        world.service.put("dir-other", status=Status.COMPLETED)
    names = [f"bat-{number}" for number in range(1, FEW + 2)]
    world.service.order = lambda batches: batches[::-1]
    at(world, 60, *names)

    wait(world, learned=Learned())

    looks = world.service.count("get") / (FEW + 1)
    assert looks > 5
    assert world.service.count("list") <= 3 * (FEW + 1)  # the plan's scan, given up as well, and one more


def test_a_listing_that_lags_or_fails_is_made_up_for_by_asking(tmp_path: Path) -> None:
    world = applied(tmp_path, FEW + 1)
    names = [f"bat-{number}" for number in range(1, FEW + 2)]
    lists = 0

    def broken(_: object, __: object, page: object) -> object:
        nonlocal lists
        lists += 1
        if lists > 1:  # the plan's own is whole
            raise UnavailableError("503")
        return page

    world.service.on_list = broken  # type: ignore[assignment]
    at(world, 10, *names)

    waited = wait(world)

    assert {row.health for row in waited.report.rows} == {Health.HEALTHY}


def test_nothing_desired_is_recorded(tmp_path: Path) -> None:
    world = World(tmp_path, 2)

    waited = wait(world)

    assert (waited.report.rows, waited.not_recorded) == ((), 2)


def test_only_what_is_selected_and_desired_is_waited_for(tmp_path: Path) -> None:
    world = applied(tmp_path, 3)
    gone, world.names = world.names[2], world.names[:2]
    world.service.set("bat-1", Status.COMPLETED)
    address = world.desired.batches[0].address

    waited = wait(world, selection=Selection(addresses=frozenset({address})))

    assert health(waited) == [("dir-001", Health.HEALTHY)]
    world.names.append(gone)


def test_the_time_is_up(tmp_path: Path) -> None:
    world = applied(tmp_path, 2)
    at(world, 5, "bat-1")
    began = world.time.seconds

    waited = wait(world, timeout=100.0)

    assert world.time.seconds - began == 100
    assert (waited.timed_out, waited.stopped) == (True, None)
    assert health(waited) == [("dir-001", Health.COMPLETED), ("dir-002", Health.PROGRESSING)]
    assert [entry.recorded.status for entry in world.lock.entries.values()] == [
        Status.COMPLETED,
        Status.RUNNING,
    ]


def test_the_time_is_up_in_the_middle_of_a_look(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    began = world.time.seconds

    def listen(event: object) -> None:
        if isinstance(event, Pending):  # the wait has begun
            world.service.latency = 5000.0

    world.on_events = listen

    assert health(wait(world, timeout=100.0)) == [("dir-001", Health.PROGRESSING)]
    assert world.time.seconds - began == 100


def test_the_time_is_up_before_anything_was_seen(tmp_path: Path) -> None:
    """Whether there was anything to wait for is not known then."""
    world = applied(tmp_path, 1)
    world.service.latency = 5000.0
    waited = wait(world, timeout=100.0)
    assert (waited.report.rows, waited.timed_out) == ((), True)


def test_c8_a_signal_ends_it_and_what_was_learned_is_recorded(tmp_path: Path) -> None:
    world = applied(tmp_path, 2)
    at(world, 5, "bat-1")
    stop = Stop()

    def listen(event: object) -> None:
        if isinstance(event, Progressed):
            stop.request(2)

    world.on_events = listen

    waited = wait(world, stop=stop)

    assert waited.stopped == 2
    assert health(waited) == [("dir-001", Health.COMPLETED), ("dir-002", Health.PROGRESSING)]
    assert [entry.recorded.status for entry in world.lock.entries.values()] == [
        Status.COMPLETED,
        Status.RUNNING,
    ]


def test_one_that_is_not_known_any_more_is_not_waited_for(tmp_path: Path) -> None:
    world = applied(tmp_path, 2)
    world.service.set("bat-2", Status.COMPLETED)

    def forgotten(name: str) -> None:
        if name == "bat-1":
            raise NotFoundError("there is no such batch", status=404)

    world.service.on_get = forgotten

    waited = wait(world)

    assert [str(address) for address in waited.gone] == ["set/dir-001"]
    assert [(row.sync, row.health) for row in waited.report.rows] == [
        (Sync.UNKNOWN, Health.PROGRESSING),
        (Sync.SYNCED, Health.HEALTHY),
    ]


def test_a_look_that_fails_is_warned_of_once_and_tried_again(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    at(world, 30, "bat-1")

    def failing(_: str) -> None:
        if world.time.seconds < 40:
            raise UnavailableError("503 for a while")

    world.service.on_get = failing

    assert health(wait(world)) == [("dir-001", Health.HEALTHY)]
    assert told(world, Warned) == [Warned("set/dir-001: 503 for a while")]


def test_a_service_that_is_given_up_is_tried_anew_by_another_connection(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    world.service.set("bat-1", Status.COMPLETED)
    began = world.time.seconds

    def hopeless(_: str) -> None:
        if world.time.seconds < began + 2.5 * AGAIN:
            raise GivenUpError("not tried any more")

    world.service.on_get = hopeless

    waited = wait(world)

    assert health(waited) == [("dir-001", Health.HEALTHY)]
    assert told(world, Pausing) == [Pausing("not tried any more", AGAIN)] * 3


def test_a_key_that_is_not_accepted_ends_it(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)

    def refused(_: str) -> None:
        raise AuthenticationError("401")

    world.service.on_get = refused
    with pytest.raises(AuthenticationError):
        wait(world)


def test_files_that_cannot_be_read_leave_it_completed(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    world.service.set("bat-1", Status.COMPLETED)

    def unreadable(_: str) -> tuple[FileResult, ...]:
        raise UnavailableError("503")

    world.service.on_results = unreadable

    assert health(wait(world)) == [("dir-001", Health.COMPLETED)]
    assert told(world, Warned) == [Warned("set/dir-001: what became of its files is not known: 503")]
    (entry,) = world.lock.entries.values()
    assert entry.recorded.files is None


def test_on_the_embedded_service_somebody_is_at_work_meanwhile(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    world.service.embedded = True
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            world.service.set("bat-1", Status.COMPLETED)

    world.service.check = check  # type: ignore[method-assign]

    assert health(wait(world)) == [("dir-001", Health.HEALTHY)]
    assert checks == 3


def test_what_was_learned_is_not_recorded_while_somebody_holds_the_lock(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    learned = Learned()
    learned.learn_files(world.service.rows[0].batch, FileCounts(1, 0))
    with world._store().hold(0):
        assert "the lock is held by ada@desk" in refresh_lock(world._store(), learned.onto)
    assert refresh_lock(world._store(), learned.onto) == ""


def test_what_a_crash_left_in_the_journal_is_an_applys_to_record(tmp_path: Path) -> None:
    """C9: a commit would take it over without the audit log ever hearing of it."""
    world = World(tmp_path, 1)
    world.warm()
    for instant in range(100):
        world.die_at(instant)
        if world.journal.recovered:
            break
    assert world.journal.recovered
    lockfile, journal = (tmp_path / "reconciler.lock").read_bytes(), world.journal_file.read_bytes()
    learned = Learned()
    learned.learn_files(world.service.rows[0].batch, FileCounts(1, 0))

    assert "the last run did not come to its end" in refresh_lock(world._store(), learned.onto)

    assert (tmp_path / "reconciler.lock").read_bytes() == lockfile
    assert world.journal_file.read_bytes() == journal
    assert world.journal.recovered


def test_a_cold_journal_stays_cold(tmp_path: Path) -> None:
    """C2: a wait knows nothing of what an earlier run may have sent."""
    world = applied(tmp_path, 1)
    world.journal_file.unlink()
    world.service.set("bat-1", Status.COMPLETED)

    wait(world)

    assert not world.journal.warm
    (entry,) = world.lock.entries.values()
    assert entry.recorded.files == FileCounts(1, 0)


def test_another_run_may_have_forgotten_or_replaced_it_meanwhile(tmp_path: Path) -> None:
    world = applied(tmp_path, 2)
    one, two = (row.batch for row in world.service.rows)
    learned = Learned()
    for batch in (one, two):
        learned.learn_files(batch, FileCounts(9, 9))
    lock = world.lock
    world.names = world.names[:1]
    world.apply()

    left = learned.onto(world.lock)

    assert [entry.recorded.files for entry in left.entries.values()] == [FileCounts(9, 9)]
    assert len(lock.entries) == 2


HERE = WatchedId("https://talonic.test", "btc-1")


def watched(status: Status, happened: Happened = Happened.CHANGED) -> TrackedChange:
    seen = Watched(id=HERE, status=status, word=status.lower())
    return TrackedChange(
        address=Address("others", "btc-1"),
        id=HERE,
        happened=happened,
        reason="the reason",
        now=None if happened in {Happened.GONE, Happened.UNKNOWN} else seen,
        before=seen,
        health=health_of_watched(seen),
    )


def wait_watching(world: World, *looks: TrackedChange) -> tuple[Waited, int]:
    """Wait where each look sees the next of these, and the last for ever; gives how many looks there were."""
    count = 0

    async def watch(_: Selection) -> tuple[TrackedChange, ...]:
        nonlocal count
        count += 1
        return (looks[min(count, len(looks)) - 1],)

    return wait(world, watch=watch), count


def test_r16_what_is_only_watched_is_waited_for_and_not_recorded(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    at(world, 5, "bat-1")

    waited, looks = wait_watching(
        world, *[watched(Status.RUNNING)] * 4, watched(Status.COMPLETED), watched(Status.FAILED)
    )

    assert [(str(row.address), row.health) for row in waited.report.rows] == [
        ("others/btc-1", Health.COMPLETED),
        ("set/dir-001", Health.HEALTHY),
    ]
    assert looks == 5
    assert world.lock.tracked == {}


def test_r16_what_is_gone_or_stays_unseen_is_not_waited_for_without_end(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    world.service.set("bat-1", Status.COMPLETED)

    gone, looks = wait_watching(world, watched(Status.RUNNING), watched(Status.RUNNING, Happened.GONE))
    assert ([str(address) for address in gone.gone], looks) == (["others/btc-1"], 2)

    unseen, looks = wait_watching(world, watched(Status.RUNNING), watched(Status.RUNNING, Happened.UNKNOWN))
    assert unseen.report.by_sync == {Sync.UNKNOWN: 1, Sync.SYNCED: 1}
    assert looks == 1 + MOST_BLIND
