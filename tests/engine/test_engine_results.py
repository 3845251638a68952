"""Reading many batches: in their order, a few ahead, each with what could not be had of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest
from engine_time import START, Time
from engine_world import ENDPOINT, PROJECT, World

from reconciler.core.recorded import Chosen, Watching
from reconciler.engine.observe import Eyes
from reconciler.engine.results import AHEAD, Depth, Reading, in_turn, readings_of
from reconciler.engine.stop import Stop
from reconciler.model.batch import Address, Home, Status
from reconciler.model.errors import AuthenticationError, NotFoundError, UnavailableError
from reconciler.model.lock import Alias, TrackedEntry
from reconciler.model.outcomes import BatchOutcomes
from reconciler.model.watched import FileOutcome, FileStatus, Watched, WatchedId

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.lock import Recorded
    from reconciler.model.ports import Watcher


def read(world: World, *, deep: bool = True, connected: bool = True) -> list[BatchOutcomes]:
    """Everything that is recorded, sorted by address."""
    stop = Stop()
    providers = {Home(ENDPOINT, PROJECT): world.service} if connected else {}
    eyes = Eyes(providers, world.time, world.events.append, 4)
    entries = sorted(world.lock.entries.values(), key=lambda entry: entry.address)
    chosen = [Chosen(entry, entry.recorded) for entry in entries]

    async def work() -> list[BatchOutcomes]:
        stop.bind(world.time)
        async with aclosing(in_turn(readings_of(eyes, chosen, Depth(deep=deep), stop, {}))) as batches:
            return [item async for item in batches]

    return world.time.run(work())  # type: ignore[no-any-return]


def applied(folder: Path, directories: int) -> World:
    """A world with a batch recorded for each directory, COMPLETED as far as the lockfile knows."""
    world = World(folder, directories)
    world.warm()
    world.service.embedded = True
    world.service.on_get = lambda name: world.service.set(name, Status.COMPLETED)
    world.apply()
    world.forget()
    world.service.on_get = lambda _: None
    return world


def test_batches_come_in_their_order_with_their_files(tmp_path: Path) -> None:
    world = applied(tmp_path, 3)
    assert [
        (str(item.address), item.status, [file.status for file in item.files or ()]) for item in read(world)
    ] == [(f"set/dir-00{number}", Status.COMPLETED, [FileStatus.SUCCEEDED]) for number in (1, 2, 3)]
    assert world.service.count("get") == 0  # O1: terminal, so trusted


def test_a_batch_that_was_running_is_looked_at_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.warm()
    world.apply()
    world.service.set("bat-1", Status.COMPLETED)
    assert [item.status for item in read(world)] == [Status.COMPLETED]


def test_r7_what_cannot_be_read_says_so_and_the_rest_goes_on(tmp_path: Path) -> None:
    world = applied(tmp_path, 3)

    def results(batch: str) -> object:
        if batch == "bat-2":
            raise UnavailableError("503", status=503)
        return None if batch == "bat-3" else world.service.one_result(batch)

    world.service.on_results = results  # type: ignore[assignment]
    assert [(item.files is None, item.why) for item in read(world)] == [
        (False, ""),
        (True, "503"),
        (True, "it is COMPLETED, and the service gives no results for its files yet"),
    ]


def test_a_batch_that_the_service_does_not_know_or_nothing_leads_to_is_not_read(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    [unled] = read(world, connected=False)
    assert unled.why == f"no set uses the provider that it was made on ({ENDPOINT})"
    world.service.rows.clear()
    [gone] = read(world)
    assert gone.why == "it is not known to the service any more (404)"


def test_a_key_that_is_not_accepted_ends_it_all(tmp_path: Path) -> None:
    world = applied(tmp_path, 9)

    def refuse(_: str) -> None:
        raise AuthenticationError("401", status=401)

    world.service.on_results = refuse
    with pytest.raises(AuthenticationError):
        read(world)
    assert world.service.count("results") <= AHEAD


def test_c9_the_files_of_a_renamed_batch_are_those_of_the_directory_that_the_service_named(
    tmp_path: Path,
) -> None:
    world = applied(tmp_path, 1)
    [entry] = world.lock.entries.values()
    renamed: Recorded = entry.recorded._replace(alias=Alias("dir-other", "cfg-other"))
    eyes = Eyes({Home(ENDPOINT, PROJECT): world.service}, world.time, world.events.append, 4)

    async def work() -> list[BatchOutcomes]:
        batches = in_turn(readings_of(eyes, [Chosen(entry, renamed)], Depth(), Stop(), {}))
        return [item async for item in batches]

    world.time.run(work())
    assert "files dir-other" in world.service.requests


def test_no_more_than_a_few_batches_are_held_however_many_there_are() -> None:
    """Of a thousand batches, begun and not yet taken are never more than `AHEAD`."""
    held = most = 0
    address = Address("set", "dir-1")

    async def one(number: int) -> BatchOutcomes:
        nonlocal held, most
        held += 1
        most = max(most, held)
        await asyncio.sleep(0 if number % 3 else 0.0001)  # the first need not be ready first
        return BatchOutcomes(address=address, batch=f"bat-{number}", status=Status.COMPLETED, files=())

    async def take() -> list[str]:
        nonlocal held
        names = []
        readings = (Reading(address, f"bat-{n}", lambda n=n: one(n)) for n in range(1000))  # type: ignore[misc]
        async with aclosing(in_turn(readings)) as batches:
            async for item in batches:
                names.append(item.batch)
                held -= 1
        return names

    assert asyncio.run(take()) == [f"bat-{number}" for number in range(1000)]
    assert most == AHEAD


def test_whoever_stops_listening_leaves_nothing_under_way() -> None:
    cancelled = []

    async def one(number: int) -> BatchOutcomes:
        try:
            await asyncio.sleep(0 if number == 0 else 3600)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return BatchOutcomes(
            address=Address("set", "dir"), batch=str(number), status=Status.COMPLETED, files=()
        )

    async def take_one() -> str:
        readings = (Reading(Address("set", "dir"), str(n), lambda n=n: one(n)) for n in range(9))  # type: ignore[misc]
        async with aclosing(in_turn(readings)) as batches:
            async for item in batches:
                return item.batch
        return ""

    assert asyncio.run(take_one()) == "0"
    assert cancelled == [1, 2, 3]


def test_files_that_are_newer_than_their_batch_are_told_apart(tmp_path: Path) -> None:
    world = applied(tmp_path, 1)
    world.service.changed["dir-001"] = START + timedelta(days=1)
    world.service.on_results = lambda _: ()
    [item] = read(world)
    assert [file.status for file in item.files or ()] == [FileStatus.NEWER]


class Lookout:
    """A watcher that knows one batch and its items."""

    endpoint = "https://talonic.test"

    def __init__(self, status: Status, items: tuple[FileOutcome, ...] | None) -> None:
        self.said = Watched(id=WatchedId(self.endpoint, "tb-1"), status=status, word="word")
        self.items = items
        self.error: Exception | None = None

    async def watched(self, batch: str) -> Watched:
        assert batch == "tb-1"
        if self.error is not None:
            raise self.error
        return self.said

    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:
        assert batch == "tb-1"
        return self.items


ITEMS = (
    FileOutcome(file="item-1", status=FileStatus.SUCCEEDED),
    FileOutcome(file="item-2", status=FileStatus.FAILED, error="unreadable"),
)


def read_watched(watcher: Lookout | None, file: str = "") -> BatchOutcomes:
    """What is told of a watched batch that was running when it was recorded."""
    before = Watched(id=WatchedId(Lookout.endpoint, "tb-1"), status=Status.RUNNING, word="submitted")
    entry = TrackedEntry(address=Address("scans", "tb-1"), watched=before, recorded_at=START)
    watchers = cast("dict[str, Watcher]", {"scans": watcher} if watcher else {})
    eyes = Eyes({}, Time(), lambda _: None, 4)
    [reading] = readings_of(eyes, [Watching(entry)], Depth(deep=True, file=file), Stop(), watchers)
    assert (reading.address, reading.batch) == (Address("scans", "tb-1"), "tb-1")
    return asyncio.run(reading.read())


def test_r16_a_watched_batch_tells_of_its_items() -> None:
    told = read_watched(Lookout(Status.COMPLETED, ITEMS))
    assert (told.status, told.files, told.why) == (Status.COMPLETED, ITEMS, "")
    assert read_watched(Lookout(Status.COMPLETED, ITEMS), "item-2").files == ITEMS[1:]
    running = read_watched(Lookout(Status.RUNNING, None))
    assert (running.status, running.files, running.why) == (Status.RUNNING, None, "")


def test_r7_a_watched_batch_that_cannot_be_read_says_so() -> None:
    lost = Lookout(Status.COMPLETED, ITEMS)
    for lost.error, why in (
        (UnavailableError("503", status=503), "503"),
        (NotFoundError("gone", status=404), "it is not known to the service any more (404)"),
    ):
        assert read_watched(lost).why == why
    assert read_watched(Lookout(Status.COMPLETED, None)).why.startswith("it is COMPLETED, and")
    assert read_watched(None).why == "no tracking manifest leads to its service (https://talonic.test)"
    elsewhere = Lookout(Status.COMPLETED, ITEMS)
    elsewhere.endpoint = "https://elsewhere.test"
    assert read_watched(elsewhere).why == read_watched(None).why
