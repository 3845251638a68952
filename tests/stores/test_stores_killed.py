"""An apply with its state in a database, while it is killed and its connection is cut: none twice, none lost.

``pytest --long -s tests/stores/test_stores_killed.py`` makes 200 creates in each of ten histories. What
strikes and when is drawn from a seed that a failing case names; it is counted in batches that exist, and not
in seconds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import neighbour_town
import pytest
from neighbour_project import APPLY, Ended, ended, until
from shared_project import shared_project

if TYPE_CHECKING:
    from pathlib import Path

    from emulator_process import Emulator
    from postgres_server import Server
    from shared_project import SharedProject

town = neighbour_town.town

LOST = "the connection to the database was lost while this run held its lock"
SIGKILL = -9


def _batches(project: SharedProject) -> int:
    return sum(len(ids) for ids in project.live().values())


def _strike(project: SharedProject, how: str, at: int) -> Ended:
    """Apply, and have it happen once so many batches exist."""
    process = project.start(*APPLY, "--parallelism", "4", "--lock-timeout", "60s")
    until("it has come so far", lambda: process.poll() is not None or _batches(project) >= at)
    assert project.server is not None
    if how == "kill":
        process.kill()
    elif how == "cut":
        project.server.terminate(project.schema)
    else:
        project.server.stop(at_once=True)
        project.server.start()
    return ended(process)


def _history(project: SharedProject, seed: int, strikes: int, total: int) -> list[str]:
    draw = random.Random(seed)
    told = [f"seed {seed}"]
    hows = ["kill", "cut", "restart", *draw.choices(["kill", "cut"], k=strikes)][:strikes]
    for how in hows:
        at = min(_batches(project) + draw.randint(1, max(1, total // (strikes + 1))), total - 2)
        last = _strike(project, how, at)
        told += [f"{how} at {at} batches: exit {last.code}", *last.lines[-3:]]
        story = "\n".join(told)
        if last.code != 0:  # it may have been over by then
            assert last.code == (SIGKILL if how == "kill" else 3), story
        if last.code == 3:
            assert any(LOST in line for line in last.lines), story
            assert "  next: Run apply again; it looks before it creates" in last.lines, story
    # One more is asked for, since a cold run that has nothing to create leaves the next one cold (C2).
    project.sets["more"] = (f"{project.sets['papers'][0]}-more",)
    project.write()
    last = project.run(*APPLY, "--parallelism", "4", "--lock-timeout", "60s")
    told += [f"in the end: exit {last.code}", *last.lines[-3:]]
    assert last.code == 0, "\n".join(told)
    return told


def test_killed_cut_off_and_restarted_none_is_made_twice_and_none_is_lost(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path, *, long: bool
) -> None:
    service, documents = town
    seeds, total, strikes = (range(10), 200, 8) if long else (range(1), 12, 3)
    for seed in seeds:
        folder = tmp_path / str(seed)
        project = shared_project(folder, service, documents, postgres, directories=total, quick=quick)
        told = _history(project, seed, strikes, total)
        counts = [len(ids) for ids in project.live().values()]
        twice = sum(number > 1 for number in counts)
        told.append(f"{len(counts)} creates: {counts.count(1)} once, {twice} twice, {counts.count(0)} lost")
        print(*told, sep="\n")  # noqa: T201 - the figures of a campaign
        assert counts == [1] * (total + 1), "\n".join(told)
        project.assert_whole()


@pytest.mark.parametrize("count", [2])
def test_of_several_machines_at_once_one_works_and_the_others_name_it_or_wait(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path, count: int
) -> None:
    """Folders of their own, as machines have: what they share is the database."""
    service, documents = town
    project = shared_project(tmp_path / "one", service, documents, postgres, directories=3, quick=quick)
    project.run("plan")
    with project.store.hold(0):
        refused = project.run(*APPLY)
        assert (refused.code, refused.lines[0].partition(" since ")[0]) == (
            3,
            f"Error: {project.store.shown}: the lock is held by the test",
        )
        waiting = [project.start(*APPLY, "--lock-timeout", "60s") for _ in range(count)]
        assert postgres.run("SELECT 1") == [(1,)]
    done = sorted((ended(item) for item in waiting), key=lambda item: len(item.lines), reverse=True)
    assert [item.code for item in done] == [0] * count, done
    assert done[0].lines[-1] == "Apply: 3 created."
    project.assert_whole()
