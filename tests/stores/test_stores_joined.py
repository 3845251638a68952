"""`apply --join`: many processes carry out one saved plan on one database, while they are killed (C1, C5)."""

from __future__ import annotations

import itertools
import random
import subprocess
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import neighbour_town
from emulator_process import emulator
from neighbour_project import RECONCILER, Ended, ended
from shared_project import shared_project

from reconciler.adapters.stores.text import read_key
from reconciler.api import read_plan
from reconciler.model.batch import Address
from reconciler.model.joint import Task
from reconciler.model.plan import Reason, ReasonCode

if TYPE_CHECKING:
    from pathlib import Path

    from emulator_process import Emulator
    from forked_reconciler import Fork
    from postgres_server import Server
    from shared_project import SharedProject

town = neighbour_town.town


def _planned(project: SharedProject) -> str:
    path = str(project.folder / "plan.json")
    made = project.run("plan", "--out", path)
    assert made.code == 0, made
    return path


def _join(project: SharedProject, plan: str, *options: str) -> Fork:
    return project.fork("apply", "--join", plan, "--parallelism", "2", *options)


def _created(done: list[Ended]) -> int:
    words = [item.lines[-1].split() for item in done]
    return sum(int(word[1]) for word in words if word[1].isdecimal())


def test_workers_share_a_plan_and_each_create_is_one_workers(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path
) -> None:
    service, documents = town
    project = shared_project(tmp_path, service, documents, postgres, directories=20, quick=quick)
    plan = _planned(project)
    done = [ended(item) for item in [_join(project, plan) for _ in range(3)]]
    assert [item.code for item in done] == [0, 0, 0], done
    assert _created(done) == 20, done
    late = ended(_join(project, plan))
    assert (late.code, late.lines[-1]) == (0, "Apply: nothing to do."), late
    project.assert_whole()
    again = project.run("apply", plan)
    assert (again.code, "it was applied already" in str(again.lines)) == (4, True), again


def test_a_plan_that_nobody_works_on_any_more_ends_when_something_is_created_without_it(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path
) -> None:
    """Who comes back to it does not know what that recorded and need not be listed yet (C9)."""
    service, documents = town
    project = shared_project(tmp_path, service, documents, postgres, directories=2, quick=quick)
    plan = _planned(project)
    own = read_plan(plan).own
    tasks = [
        [Task(read_key(item.key), Address.parse(item.address), Reason(ReasonCode.MISSING, "none exists"))]
        for item in read_plan(plan).actions
    ]
    with project.store.hold_to_open(0) as opening:
        opening.offer(own, tasks)
        opening.commit(replace(opening.lock, plan=own))
    applied = project.run("apply", "--auto-approve", "--target", f"papers/{project.directories[0]}")
    assert applied.code == 0, applied
    late = ended(_join(project, plan))
    assert (late.code, "something else was applied since" in str(late.lines)) == (4, True), late
    assert len(project.state()[0].entries) == 1


#: What strikes while they work: most of it leaves a create's outcome unknown, or a read to be made again.
CREATE = {"method": "POST", "path": "/api/v2/batches"}
FAULTS = (
    {"fault": "closed", "when": "after", "on": CREATE, "probability": 0.05},
    {"fault": "status", "status": 503, "when": "after", "on": CREATE, "probability": 0.02},
    {"fault": "status", "status": 500, "when": "before", "on": CREATE, "probability": 0.02},
    {"fault": "reset", "when": "before", "on": CREATE, "probability": 0.02},
    {"fault": "reset", "when": "before", "on": {"method": "GET"}, "probability": 0.003},
)
#: Seconds without any progress after which there will be none. The longest of it is opening a large plan.
STUCK = 1800
#: How a worker may end: well, killed, without its session or (1) without a database before it had one, with
#: something open, or with a create that failed.
ENDS = (0, -9, 1, 3, 5, 6)


class Worker(NamedTuple):
    """A process, and the file that it prints to."""

    process: subprocess.Popen[bytes]
    printed: Path

    def ended(self) -> Ended:
        code = self.process.wait()
        return Ended(code, self.printed.read_text().splitlines() or [""])


class Crew:
    """Workers on one plan; who has gone is replaced until the plan is through."""

    def __init__(self, project: SharedProject, size: int, seed: int) -> None:
        assert project.server is not None
        self.project, self.server, self.size = project, project.server, size
        self.draw = random.Random(seed)
        self.plan = _planned(project)
        self._numbers = itertools.count(1)
        self.alive = [self._start() for _ in range(size)]
        self.ended: list[Ended] = []
        self.struck: Counter[str] = Counter()

    def _start(self) -> Worker:
        """What it prints is more than a pipe holds that nobody reads."""
        printed = self.project.folder / f"worker-{next(self._numbers)}"
        where = ("--chdir", str(self.project.folder))
        with printed.open("w") as file:
            process = subprocess.Popen(
                [*RECONCILER, *where, "apply", "--join", self.plan, "--parallelism", "4"],
                env=self.project.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        return Worker(process, printed)

    def left(self) -> int:
        """How many creates are not done; as many as there are before the plan is opened."""
        schema = self.project.schema
        opened = self.server.run(f"SELECT count(*) FROM {schema}.states WHERE lockfile LIKE '%\"plan\"%'")
        if opened == [(0,)]:
            return len(self.project.directories)
        return int(self.server.run(f"SELECT count(*) FROM {schema}.work")[0][0])

    def strike(self) -> None:
        """Kill one, and have another come."""
        self.draw.choice(self.alive).process.kill()
        self.struck["killed"] += 1
        self.replace()

    def restart_database(self) -> None:
        """Every session is gone, and so is every worker, before it sends anything more."""
        self.server.stop(at_once=True)
        self.server.start()
        self.struck["database restarted"] += 1

    def replace(self) -> None:
        """Have as many as there were, while anything is left to do."""
        for worker in [item for item in self.alive if item.process.poll() is not None]:
            self.alive.remove(worker)
            self.ended.append(worker.ended())
            if self.ended[-1].code:
                self.alive.append(self._start())

    def come_to(self, left: int) -> bool:
        """Wait until no more than so many are left, while there is progress; False when nobody is there."""
        before, since = self.left(), time.monotonic()
        while self.alive and before > left:
            self.replace()
            time.sleep(0.05)
            if (now := self.left()) != before:
                before, since = now, time.monotonic()
            assert time.monotonic() - since < STUCK, [item.ended().lines[-5:] for item in self._killed()]
        return bool(self.alive)

    def _killed(self) -> list[Worker]:
        for worker in self.alive:
            worker.process.kill()
        return self.alive


def _campaign(project: SharedProject, seed: int, *, size: int, strikes: int) -> str:
    total = len(project.directories)
    crew = Crew(project, size, seed)
    at = sorted(crew.draw.sample(range(1, total), strikes))
    for number, done in enumerate(at):
        if not crew.come_to(total - done):
            break
        crew.restart_database() if number == strikes // 2 else crew.strike()
    assert not crew.come_to(-1)
    codes = Counter(item.code for item in crew.ended)
    told = f"seed {seed}: {total} creates, {dict(crew.struck)}, exits {dict(sorted(codes.items()))}"
    assert set(codes) <= set(ENDS), (told, [item for item in crew.ended if item.code not in ENDS])
    return told


def test_killed_at_random_with_faults_and_a_restart_none_is_twice_and_none_is_lost(
    postgres: Server, tmp_path: Path, *, long: bool
) -> None:
    """``pytest --long -s`` has eight workers create 5,000."""
    size, total, strikes = (8, 5_000, 25) if long else (2, 16, 2)
    seed = 20261122
    documents = tmp_path / "documents"
    documents.mkdir()
    with emulator(tmp_path, "--root", "documents", "--no-read", "--seed", str(seed)) as service:
        project = shared_project(tmp_path / "p", service, documents, postgres, directories=total)
        faults = {"apiVersion": "reconciler/v1", "kind": "Faults", "seed": seed, "faults": list(FAULTS)}
        service.client.put("/__admin/faults", json=faults).raise_for_status()
        told = _campaign(project, seed, size=size, strikes=strikes)
        service.client.delete("/__admin/faults").raise_for_status()
        # One more is asked for, since a cold run that has nothing to create leaves the next one cold (C2).
        project.sets["more"] = (f"{project.sets['papers'][0]}-more",)
        project.write()
        last = project.run("apply", "--auto-approve")
        counts = Counter(len(ids) for ids in project.live().values())
        twice = total + 1 - counts[0] - counts[1]
        told += f"; then {last.lines[-1]} {counts[1]} once, {twice} twice, {counts[0]} lost"
        print(told)  # noqa: T201 - the figures of a campaign
        assert last.code == 0, (told, last)
        assert counts == {1: total + 1}, told
        project.assert_whole()
