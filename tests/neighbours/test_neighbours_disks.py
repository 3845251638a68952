"""Disks that cannot be written to, or no more: it is said, and nothing that came back is lost (C3, C9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import neighbour_town
import pytest
from neighbour_disks import READ_ONLY, fill, room, tmpfs
from neighbour_project import APPLY, Ended, forget_requests, requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emulator_process import Emulator
    from neighbour_project import Project

town = neighbour_town.town
new_project = neighbour_town.new_project
service = neighbour_town.service
settled = neighbour_town.settled


_FULL = ("  why: no space left on device", "  why: No space left on device")


def test_on_a_read_only_file_system_plan_works_and_apply_says_why_it_does_not(
    settled: Callable[[Path], Project], service: Emulator, tmp_path: Path
) -> None:
    project = settled(tmp_path / "project")
    before = project.bytes()
    with room(READ_ONLY, project.folder) as there:
        project.wrap = there.enter
        assert project.run("plan").lines[-1] == "Plan: 1 to create (1 file); 2 unchanged."
        forget_requests(service)
        assert project.run(*APPLY) == Ended(
            1,
            [
                "Error: reconciler.lock.journal: cannot write the state",
                "  why: read-only file system",
                "  next: Run it where the folder can be written to; `reconciler plan` writes nothing there",
            ],
        )
        assert requests(service) == []
        assert project.bytes() == before


_NO_ROOM_FOR = {
    0: [
        "Error: reconciler.lock.journal: cannot write the state",
        "  why: no space left on device",
        "  next: Free some space and run it again",
    ],
    1: [  # the journal takes this page
        "Error: FOLDER/audit: the audit log cannot be written",
        "  why: No space left on device",
        "  next: Free space or give access to the folder, then run the command again",
    ],
}


@pytest.mark.parametrize("left", _NO_ROOM_FOR)
def test_a_disk_that_is_full_before_apply_is_found_out_before_any_request(
    new_project: Callable[..., Project], service: Emulator, tmp_path: Path, left: int
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with room(tmpfs(64), folder) as there:
        project = new_project(there.inside(folder), settle="0s")
        project.inner, project.wrap = folder, there.enter
        fill(project.folder, left)
        before = project.bytes()
        forget_requests(service)
        assert project.run(*APPLY) == Ended(
            1, [line.replace("FOLDER", str(folder)) for line in _NO_ROOM_FOR[left]]
        )
        assert requests(service) == []
        # An empty file, as the lock needs one: a journal is never removed.
        assert project.bytes() == before | {"reconciler.lock.journal": b""}


def _assert_all_that_came_back_is_known(project: Project, printed: Ended) -> int:
    """Each batch is recorded, or an intent over its directory is open still; gives how many there are."""
    lock, journal = project.state()
    recorded = {item.id for entry in lock.entries.values() for item in entry.batches}
    open_over = {intent.key.directory for intent in journal.open}
    made = [(directory, name) for directory, ids in project.live().items() for name in ids]
    assert [item for item in made if item[1] not in recorded and item[0] not in open_over] == [], printed
    return len(made)


def _assert_another_apply_completes(project: Project) -> None:
    """With exactly one batch a directory, and each of them in the audit log."""
    again = project.run(*APPLY)
    assert again.code == 0, again
    project.assert_whole()
    assert {name for ids in project.live().values() for name in ids} <= {
        line["batch"] for line in project.audited()
    }


# The pages left at which it gets full: at the first line of the audit log, which is a reply that came back;
# at a note of the journal. The long form goes through all, the last lockfile too, until there is room.
_SHORT = (2, 3)


def test_a_disk_that_gets_full_in_the_midst_of_an_apply_loses_nothing(
    new_project: Callable[..., Project], tmp_path: Path, *, long: bool
) -> None:
    made = []
    for left in range(1, 40) if long else _SHORT:
        folder = tmp_path / f"left-{left}"
        folder.mkdir()
        with room(tmpfs(64), folder) as there:
            project = new_project(there.inside(folder), directories=8, settle="0s")
            project.inner, project.wrap = folder, there.enter
            stuffing = fill(project.folder, left)
            printed = project.run(*APPLY, "--parallelism", "1")
            made.append(_assert_all_that_came_back_is_known(project, printed))
            if printed.code == 0:
                break
            assert printed.code == 1
            assert [line for line in printed.lines if line.startswith("Error: ")] == [printed.lines[-3]]
            assert printed.lines[-2] in _FULL, f"{left} pages left: {printed}"
            stuffing.unlink()
            _assert_another_apply_completes(project)
    print(f"full in the midst of an apply: {len(made)} sizes of disk, batches made at each: {made}")  # noqa: T201 - counts
    assert not long or printed.code == 0  # it went through every place at which a disk can get full
    assert 0 < made[1] < 8


def test_a_limit_of_file_sizes_that_is_met_in_the_midst_of_an_apply_loses_nothing(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = new_project(tmp_path / "project", directories=8, settle="0s")
    limited = ("bash", "-c", 'ulimit -f 5; exec "$@"', "bash")
    printed = project.run(*APPLY, "--parallelism", "1", wrap=limited)
    assert printed.code == 1
    assert printed.lines[-3:] == [
        "Error: reconciler.lock.journal: cannot write the state",
        "  why: file too large",
        "  next: Raise the limit of file sizes (ulimit -f) and run it again",
    ]
    assert 0 < _assert_all_that_came_back_is_known(project, printed) < 8
    _assert_another_apply_completes(project)
