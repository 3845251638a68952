"""How batches move on: by a clock that is stepped, with a limit of running ones, and fates by seed."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.emulator import Service
from reconciler.emulator.chance import draw
from reconciler.emulator.clock import KeptClock
from reconciler.emulator.database import Database
from reconciler.emulator.errors import ClockSetError
from reconciler.emulator.life.pace import BATCH_FAILED, FILE_FAILED, Fate, Pace

if TYPE_CHECKING:
    from pathlib import Path

# As decoded: what it should be is what the test compares.
JSON: TypeAlias = Any

SECOND = 1_000_000


class World:
    """A service whose clock the test steps, and whose worker the test lets do what is due."""

    def __init__(self, folder: Path, *, directories: int = 3, files: int = 2, **pace: JSON) -> None:
        for number in range(directories):
            (folder / "documents" / f"{number:02}").mkdir(parents=True)
            for index in range(files):
                (folder / "documents" / f"{number:02}" / f"{index}.txt").write_text("x")
        self.now = 0
        self.service = Service(
            folder / "documents",
            folder / "x.db",
            clock=lambda: self.now,
            pace=Pace(**{"read": False, **pace}),
        )

        self.worker = self.service.worker()

    def call(self, method: str, path: str, **options: JSON) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def create(self, number: int = 0) -> str:
        job = {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}
        body = {"source_directory_id": f"dir-{number:02}", "config": {"job": job}}
        reply = self.call("POST", "/api/v2/batches", json=body)
        assert reply.status_code == 200, reply.text
        batch_id: str = reply.json()["id"]
        return batch_id

    def step(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        while self.worker.advance(threading.Event()):
            pass

    def batch(self, batch_id: str) -> JSON:
        return self.call("GET", f"/api/v2/batches/{batch_id}", params={"expand": "results"}).json()

    def statuses(self, *batch_ids: str) -> list[str]:
        return [self.batch(batch_id)["status"] for batch_id in batch_ids]


def test_a_batch_waits_runs_and_ends_by_the_clock(tmp_path: Path) -> None:
    world = World(tmp_path, pending=5 * SECOND, per_file=10 * SECOND)
    batch_id = world.create()
    seen = []
    for seconds in (0, 4, 1, 19, 1):
        world.step(seconds)
        batch = world.batch(batch_id)
        seen.append((world.now // SECOND, batch["status"], batch["results"] and len(batch["results"])))
    assert seen == [
        (0, "PENDING", None),
        (4, "PENDING", None),
        (5, "RUNNING", None),
        (24, "RUNNING", None),
        (25, "COMPLETED", 2),
    ]
    assert world.batch(batch_id)["updated_at"] == "1970-01-01T00:00:25.000000Z"
    world.service.close()


def test_above_the_limit_batches_are_throttled_and_start_as_others_end(tmp_path: Path) -> None:
    world = World(tmp_path, directories=4, files=1, per_file=10 * SECOND, max_running=2)
    batches = [world.create(number) for number in range(4)]
    world.step(0)
    assert world.statuses(*batches) == ["RUNNING", "RUNNING", "THROTTLED", "THROTTLED"]
    world.step(10)
    assert world.statuses(*batches) == ["COMPLETED", "COMPLETED", "RUNNING", "RUNNING"]
    world.step(10)
    assert world.statuses(*batches) == ["COMPLETED"] * 4
    world.service.close()


def test_a_throttled_batch_can_be_cancelled_and_takes_no_turn(tmp_path: Path) -> None:
    world = World(tmp_path, files=1, per_file=10 * SECOND, cancel_lag=SECOND, max_running=1)
    first, second, third = (world.create(number) for number in range(3))
    world.step(0)
    assert world.call("POST", f"/api/v2/batches/{second}/cancel").json()["status"] == "THROTTLED"
    world.step(1)
    assert world.statuses(first, second, third) == ["RUNNING", "CANCELLED", "THROTTLED"]
    world.step(9)
    assert world.statuses(first, second, third) == ["COMPLETED", "CANCELLED", "RUNNING"]
    world.service.close()


def test_a_cancel_takes_a_while_and_nothing_is_done_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path, per_file=SECOND, cancel_lag=10 * SECOND)
    batch_id = world.create()
    world.step(0)
    first = world.call("POST", f"/api/v2/batches/{batch_id}/cancel")
    world.step(5)
    again = world.call("POST", f"/api/v2/batches/{batch_id}/cancel")
    assert [(reply.status_code, reply.json()["status"]) for reply in (first, again)] == [(200, "RUNNING")] * 2
    world.step(5)
    batch = world.batch(batch_id)
    assert (batch["status"], batch["results"]) == ("CANCELLED", None)
    refused = world.call("POST", f"/api/v2/batches/{batch_id}/cancel")
    assert (refused.status_code, refused.json()) == (
        409,
        {"detail": f"Batch {batch_id} is CANCELLED and cannot be cancelled"},
    )
    world.service.close()


def test_a_job_may_end_after_its_batch(tmp_path: Path) -> None:
    world = World(tmp_path, files=1, job_lag=10 * SECOND, failing_files=1.0)
    batch_id = world.create()
    world.step(1)
    batch = world.batch(batch_id)
    job = f"/api/v2/parse/{batch['results'][0]['job_reference']['id']}"
    assert batch["status"] == "COMPLETED"
    running = world.call("GET", job).json()["job"]
    world.step(10)
    ended = world.call("GET", job).json()["job"]
    assert [(item["status"], item["error_message"]) for item in (running, ended)] == [
        ("RUNNING", None),
        ("FAILED", FILE_FAILED),
    ]
    world.service.close()


def test_shares_of_batches_fail_and_are_cancelled_the_same_ones_in_every_run(tmp_path: Path) -> None:
    ends = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        world = World(
            tmp_path / run, directories=30, files=1, failing_batches=0.3, cancelled_batches=0.3, seed=4
        )
        # In another order the second time: what becomes of a batch does not depend on when it came.
        order = range(30) if run == "one" else reversed(range(30))
        batches = {number: world.create(number) for number in order}
        world.step(1)
        ends.append([world.batch(batches[number])["status"] for number in range(30)])
        world.service.close()
    assert ends[0] == ends[1]
    assert {status: ends[0].count(status) for status in ("COMPLETED", "FAILED", "CANCELLED")} == {
        "COMPLETED": 9,
        "FAILED": 15,
        "CANCELLED": 6,
    }


def test_the_next_attempt_of_a_failed_batch_has_another_fate(tmp_path: Path) -> None:
    pace = Pace(failing_batches=0.5, seed=1)
    fates = [pace.fate("dir-a", "parse_v2", "cfg-a", attempt) for attempt in range(8)]
    assert {Fate.FAIL, Fate.COMPLETE} == set(fates)


def test_a_failed_batch_keeps_its_reason_to_itself(tmp_path: Path) -> None:
    world = World(tmp_path, failing_batches=1.0)
    batch_id = world.create()
    world.step(1)
    batch = world.batch(batch_id)
    assert batch["status"] == "FAILED"
    reader = world.service._database.reader()
    assert reader is not None
    assert tuple(reader.execute("SELECT failure FROM batches").fetchone()) == (BATCH_FAILED,)
    world.service.close()


@given(seed=st.integers(), what=st.lists(st.text() | st.integers(), max_size=4))
def test_a_draw_is_a_share_and_depends_on_nothing_else(seed: int, what: list[JSON]) -> None:
    drawn = draw(seed, *what)
    assert 0 <= drawn < 1
    assert drawn == draw(seed, *what)


class Machine:
    """The machine's clock, in the test's hand."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


def test_the_clock_runs_as_fast_as_it_is_told_over_restarts_and_changes_of_speed(tmp_path: Path) -> None:
    machine = Machine()
    database = Database(tmp_path / "x.db")
    clock = KeptClock(database, machine)
    clock.start(speed=60, offset=None)
    shown = [clock()]
    machine.now += SECOND
    shown.append(clock())
    clock.start(speed=None, offset=None)  # a restart goes on as it was
    machine.now += SECOND
    shown.append(clock())
    clock.run_at(0)
    machine.now += 5 * SECOND
    shown.append(clock())
    clock.advance(7 * SECOND)
    shown.append(KeptClock(database, machine)())  # another process sees it too
    assert [moment // SECOND - 1_000 for moment in shown] == [0, 60, 120, 120, 127]
    assert clock.speed == 0
    database.close()


def test_the_clock_never_goes_back_with_the_machines(tmp_path: Path) -> None:
    machine = Machine()
    database = Database(tmp_path / "x.db")
    clock = KeptClock(database, machine)
    clock.start(speed=None, offset=3600 * SECOND)
    machine.now -= 500 * SECOND
    assert clock() == 4_600 * SECOND
    with pytest.raises(ClockSetError):
        clock.start(speed=None, offset=SECOND)
    database.close()
