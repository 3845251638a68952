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
from reconciler.emulator.life.moves import Moves
from reconciler.emulator.life.pace import BATCH_FAILED, FILE_FAILED, Fate, Pace
from reconciler.emulator.life.worker import Worker

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

    def job(self, row: JSON) -> str:
        found: str = self.call("GET", f"/api/v2/parse/{row['job_reference']['id']}").json()["job"]["status"]
        return found

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
        "COMPLETED": 12,
        "FAILED": 9,
        "CANCELLED": 9,
    }


def test_the_next_attempt_of_a_failed_batch_has_another_fate(tmp_path: Path) -> None:
    pace = Pace(failing_batches=0.5, seed=1)
    fates = [pace.fate("a", attempt) for attempt in range(8)]
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


def test_one_big_step_of_the_clock_leaves_what_small_ones_leave(tmp_path: Path) -> None:
    ends = []
    for run, steps in (("one", [3_600]), ("many", [1] * 60 + [60] * 59)):
        (tmp_path / run).mkdir()
        world = World(
            tmp_path / run,
            directories=12,
            files=1,
            pending=5 * SECOND,
            per_file=7 * SECOND,
            max_running=2,
            failing_batches=0.3,
            cancelled_batches=0.2,
        )
        batches = [world.create(number) for number in range(12)]
        for step in steps:
            world.step(step)
        ends.append([(world.batch(each)["status"], world.batch(each)["updated_at"]) for each in batches])
        world.service.close()
    assert ends[0] == ends[1]
    assert {status for status, _ in ends[0]} == {"COMPLETED", "FAILED", "CANCELLED"}


def test_who_was_throttled_first_starts_first_whatever_comes_later(tmp_path: Path) -> None:
    world = World(tmp_path, directories=6, files=1, pending=15 * SECOND, per_file=10 * SECOND, max_running=1)
    batches = []
    started: list[int] = []
    for number in range(6):
        batches.append(world.create(number))
        world.step(8)
    for _ in range(12):
        world.step(5)
        statuses = world.statuses(*batches)
        started += [
            number
            for number in range(6)
            if statuses[number] in {"RUNNING", "COMPLETED"} and number not in started
        ]
    assert started == [0, 1, 2, 3, 4, 5]
    assert world.statuses(*batches) == ["COMPLETED"] * 6
    world.service.close()


@pytest.mark.parametrize("move", ["start", "throttle", "fail", "complete", "hand_over"])
def test_a_cancel_between_the_look_and_the_move_holds(tmp_path: Path, move: str) -> None:
    world = World(tmp_path, per_file=10 * SECOND, cancel_lag=10 * SECOND)
    batch_id = world.create()
    if move in {"complete", "hand_over"}:
        world.step(0)
    moves = Moves(world.service._database, world.service._pace)
    seen = world.service._batches.get(batch_id, "prj-local")
    assert seen is not None
    assert world.call("POST", f"/api/v2/batches/{batch_id}/cancel").status_code == 200
    match move:
        case "start":
            moves.start(seen, [], 0, due=0)
        case "throttle":
            moves.throttle(seen, 0)
        case "fail":
            moves.fail(seen, 0, "a reason")
        case "complete":
            moves.complete(seen, 0)
        case _:
            moves.hand_over(seen)
    assert world.batch(batch_id)["status"] == seen.status
    world.step(10)
    assert world.batch(batch_id)["status"] == "CANCELLED"
    world.service.close()


def test_while_a_long_document_is_read_other_batches_move_on(tmp_path: Path) -> None:
    world = World(tmp_path, directories=2, files=1, read=True)
    long, short = world.create(0), world.create(1)

    class Long:
        """A reader that is never done with its first document."""

        begun = 0

        def begin(self, *_: JSON, **__: JSON) -> None:
            self.begun += 1

        def outcome(self, _: float) -> None:
            assert self.begun == 1

        def close(self) -> None:
            pass

    world.worker._reader = Long()  # type: ignore[assignment]
    turns = iter(range(20))

    class Stop(threading.Event):
        def is_set(self) -> bool:
            turn = next(turns)
            if turn == 10:
                world.call("POST", f"/api/v2/batches/{short}/cancel")
            return turn == 19

    world.worker.run(Stop(), threading.Event())
    assert world.statuses(long, short) == ["RUNNING", "CANCELLED"]
    world.service.close()


def test_what_an_earlier_worker_left_waiting_for_no_moment_is_taken_up(tmp_path: Path) -> None:
    world = World(tmp_path, directories=3, files=1, read=True, max_running=1)
    batches = [world.create(number) for number in range(3)]
    world.step(1)
    assert world.statuses(*batches) == ["RUNNING", "THROTTLED", "THROTTLED"]
    # Another process with other settings: it takes documents for read, and has no limit.
    other = Worker(
        tmp_path / "x.db",
        world.service._directories,
        Moves(world.service._database, Pace(read=False)),
        Pace(read=False),
        lambda: world.now,
    )

    class Stop(threading.Event):
        def is_set(self) -> bool:
            return Moves(world.service._database, Pace()).idle()

    other.run(Stop(), threading.Event())
    assert world.statuses(*batches) == ["COMPLETED"] * 3
    world.service.close()


def test_batches_over_things_of_the_same_names_fare_alike_also_when_ids_differ(tmp_path: Path) -> None:
    ends = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        world = World(tmp_path / run, directories=0, failing_batches=0.5, failing_files=0.5)
        batches = []
        for number in range(12):
            made = world.call("POST", "/api/v1/beta/directories", json={"name": f"claims {number}"}).json()
            path = f"/api/v1/beta/directories/{made['id']}/files/upload"
            for index in range(3):
                file = (f"{index}.txt", b"x")
                assert world.call("POST", path, files={"upload_file": file}).status_code == 200
            job = {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}
            body = {"source_directory_id": made["id"], "config": {"job": job}}
            batches.append(world.call("POST", "/api/v2/batches", json=body).json()["id"])
        world.step(1)
        ends.append(
            [
                (world.batch(each)["status"], [world.job(row) for row in world.batch(each)["results"] or ()])
                for each in batches
            ]
        )
        world.service.close()
    assert ends[0] == ends[1]
    assert {status for status, _ in ends[0]} == {"COMPLETED", "FAILED"}
    assert {job for _, jobs in ends[0] for job in jobs} == {"COMPLETED", "FAILED"}


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
