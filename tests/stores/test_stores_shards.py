"""`apply --shard N/M` as processes beside each other on one database: none twice, and none lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import neighbour_town
from neighbour_project import APPLY, ended, requests, until
from shared_project import shared_project

if TYPE_CHECKING:
    from pathlib import Path

    from emulator_process import Emulator
    from postgres_server import Server

town = neighbour_town.town


def test_shards_beside_each_other_create_everything_once(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path
) -> None:
    service, documents = town
    project = shared_project(tmp_path, service, documents, postgres, directories=30, quick=quick)
    shards = [f"{index}/3" for index in (1, 2, 3)]
    planned = [project.run("plan", "--shard", shard) for shard in shards]
    assert sum(int(plan.lines[-1].split()[1]) for plan in planned) == 30, planned
    done = [ended(item) for item in [project.fork(*APPLY, "--shard", shard) for shard in shards]]
    assert [item.code for item in done] == [0, 0, 0], done
    assert [item.lines[-1] for item in done] == [
        plan.lines[-1].replace("Plan: ", "Apply: ").split(" to create")[0] + " created." for plan in planned
    ]
    assert "not selected" in planned[0].lines[-1]
    again = project.run(*APPLY)
    assert (again.code, again.lines[-1].partition(" as ")[0]) == (0, "No changes. 30 batches"), again
    project.assert_whole()


def test_a_killed_shard_is_taken_up_by_whoever_has_its_keys_next(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path
) -> None:
    service, documents = town
    project = shared_project(tmp_path, service, documents, postgres, directories=9, quick=quick)
    killed = project.fork(*APPLY, "--shard", "1/2", "--parallelism", "1")
    until("it creates", lambda: killed.poll() is not None or any(project.live().values()))
    refused = project.run(*APPLY, "--shard", "1/3")
    killed.kill()
    assert ended(killed).code in (-9, 0)
    if refused.code:  # it may have been over by then
        assert refused.code == 3
        assert "  why: shards of one count, or workers that share a plan, work beside each other" in str(
            refused.lines
        )
    for index in (1, 2, 3):
        last = project.run(*APPLY, "--shard", f"{index}/3", "--lock-timeout", "60s")
        assert last.code == 0, last
    project.sets["more"] = (f"{project.sets['papers'][0]}-more",)
    project.write()
    assert project.run(*APPLY).code == 0
    project.assert_whole()


def test_limits_are_shared_out_so_that_all_shards_together_keep_them(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path
) -> None:
    service, documents = town
    project = shared_project(tmp_path, service, documents, postgres, directories=24, quick=quick)
    file = tmp_path / "reconciler.yaml"
    file.write_text(file.read_text().replace('"state"', '"limits": {"maxCreates": 3}, "state"', 1))
    for index, part in ((1, 2), (2, 1)):
        shard = f"{index}/2"
        result = project.run(*APPLY, "--shard", shard)
        assert result.code == 7, result
        assert any(f"maxCreates of shard {shard} is {part}" in line for line in result.lines), result
    assert not any(project.live().values())


def test_workers_beside_each_other_book_their_requests_where_their_state_is(
    town: tuple[Emulator, Path], postgres: Server, tmp_path: Path, quick: Path
) -> None:
    service, documents = town
    project = shared_project(tmp_path, service, documents, postgres, directories=1, quick=quick)
    file = tmp_path / "reconciler.yaml"
    file.write_text(file.read_text().replace('"settle"', '"requestsPerSecond": 2, "settle"', 1))
    service.client.delete("/__admin/requests").raise_for_status()
    began = time.monotonic()
    done = project.run(*APPLY, "--shard", "1/1")
    took = time.monotonic() - began
    assert done.code == 0, done
    sent = len(requests(service))
    assert sent > 3
    assert took >= (sent - 1) / 2
    ((service_, ahead),) = postgres.run(
        f"SELECT service, extract(epoch FROM free_at - clock_timestamp()) FROM {project.schema}.turns"
    )
    assert (service_, ahead < 1) == ("cloud", True)
