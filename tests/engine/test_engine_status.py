"""Looking once at what stands: what is asked for, what is seen beside it, and that nothing is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from engine_world import ENDPOINT, World

from reconciler.core.record import record_batch
from reconciler.core.select import Selection
from reconciler.engine.standing import Scene, status
from reconciler.engine.stop import Stop
from reconciler.model.batch import Address, FileCounts, Status
from reconciler.model.errors import AuthenticationError, NotFoundError, UnavailableError
from reconciler.model.events import Warned
from reconciler.model.lock import Lock, Origin
from reconciler.model.project import Limits
from reconciler.model.snapshot import Unknown
from reconciler.model.status import Health, StatusReport, Sync
from reconciler.model.tracking import Happened, TrackedChange
from reconciler.model.watched import WatchedId

if TYPE_CHECKING:
    from pathlib import Path


def applied(folder: Path, directories: int = 1) -> World:
    world = World(folder, directories)
    world.warm()
    world.apply()
    world.forget()
    return world


def look(
    world: World,
    lock: Lock | None = None,
    *tracked: TrackedChange,
    counts: dict[str, FileCounts] | None = None,
) -> StatusReport:
    there, journal = world._store().read()

    async def watch(_: Selection) -> tuple[TrackedChange, ...]:
        return tracked

    scene = Scene(
        world._eyes(), world.desired, lock or there, journal.open, Limits(), Selection(), Stop(), watch
    )
    return world.time.run(status(scene, counts or {}))  # type: ignore[no-any-return]


def surplus(report: StatusReport) -> list[tuple[str, list[str]]]:
    return [(row.batch, [batch.id for batch in row.surplus]) for row in report.rows]


def test_what_is_missing_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    world = World(tmp_path, 2)

    report = look(world)

    assert [(str(row.address), row.sync, row.health) for row in report.rows] == [
        ("set/dir-001", Sync.OUT_OF_SYNC, Health.MISSING),
        ("set/dir-002", Sync.OUT_OF_SYNC, Health.MISSING),
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status_of_twin", [Status.RUNNING, Status.COMPLETED])
def test_a_twin_that_somebody_made_beside_what_stands_is_surplus(
    tmp_path: Path, status_of_twin: Status
) -> None:
    """A plan that keeps what is recorded does not look for others (O1, O2)."""
    world = applied(tmp_path, 2)
    world.service.set("bat-1", Status.COMPLETED)
    twin = world.service.put("dir-001", status=status_of_twin)
    world.service.put("dir-001", configuration="cfg-other")
    world.service.put("dir-elsewhere")
    before = (tmp_path / "reconciler.lock").read_bytes(), world.journal_file.read_bytes()

    assert surplus(look(world)) == [("bat-1", [twin]), ("bat-2", [])]

    assert (world.service.count("list"), world.service.count("get")) == (1, 2)
    assert before == ((tmp_path / "reconciler.lock").read_bytes(), world.journal_file.read_bytes())


def test_one_that_is_recorded_as_running_is_asked_for(tmp_path: Path) -> None:
    world = applied(tmp_path)
    twin = world.service.put("dir-001")
    lock = world.lock
    (entry,) = lock.entries.values()
    batch = world.service.existing()[-1]
    both = record_batch(
        entry, entry.key, entry.address, batch, origin=Origin.FOUND, now=world.time.now(), stands=False
    )
    lock = replace(lock, entries={entry.key: both})
    world.time.seconds += 48 * 3600  # a day later nobody lists them

    assert surplus(look(world, lock)) == [("bat-1", [twin])]
    world.service.set(twin, Status.CANCELLED)
    assert surplus(look(world, lock)) == [("bat-1", [])]

    def unknown(name: str) -> None:
        if name == twin:
            raise NotFoundError("404", status=404)

    world.service.on_get = unknown
    assert surplus(look(world, lock)) == [("bat-1", [twin])]  # as it was recorded


def test_a_listing_that_fails_leaves_what_stands_known(tmp_path: Path) -> None:
    world = applied(tmp_path)

    def broken(_: object, __: object, ___: object) -> None:
        raise UnavailableError("503")

    world.service.on_list = broken  # type: ignore[assignment]

    (row,) = look(world).rows

    assert (row.sync, row.health) == (Sync.SYNCED, Health.PROGRESSING)
    assert world.events == [
        Warned(f"{ENDPOINT}: surplus batches may be missing here: the listing is incomplete: 503")
    ]


def test_what_cannot_be_seen_is_unknown_and_a_key_that_is_refused_ends_it(tmp_path: Path) -> None:
    world = applied(tmp_path)
    error: Exception = UnavailableError("503")

    def failing(_: str) -> None:
        raise error

    world.service.on_get = failing
    (row,) = look(world).rows
    assert (row.sync, row.health, row.why) == (Sync.UNKNOWN, Health.PROGRESSING, "503")
    error = AuthenticationError("401")
    with pytest.raises(AuthenticationError):
        look(world)


def test_files_that_an_earlier_look_had_to_read_count(tmp_path: Path) -> None:
    """What waits for a set, or for a canary, has the plan read files that no lockfile tells of yet."""
    world = applied(tmp_path)
    world.service.set("bat-1", Status.COMPLETED)

    (row,) = look(world, counts={"bat-1": FileCounts(3, 1), "bat-other": FileCounts(1, 0)}).rows

    assert (row.health, row.files) == (Health.DEGRADED, FileCounts(3, 1))


def test_what_is_only_watched_has_rows_of_its_own(tmp_path: Path) -> None:
    change = TrackedChange(
        address=Address("others", "*"),
        id=WatchedId("https://talonic.test", ""),
        happened=Happened.UNKNOWN,
        reason=Unknown("the listing is incomplete").why,
    )

    rows = look(applied(tmp_path), None, change).rows

    assert [(str(row.address), row.sync, row.tracked) for row in rows] == [
        ("others/*", Sync.UNKNOWN, True),
        ("set/dir-001", Sync.SYNCED, False),
    ]
