"""State in a bucket, from end to end: runners that share nothing else, each with a folder of its own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import neighbour_town
from bucket_project import BucketProject
from neighbour_project import APPLY

from reconciler.adapters.stores.lockfile import read_lock

if TYPE_CHECKING:
    from pathlib import Path

    from emulator_process import Emulator
    from object_servers import Buckets

town = neighbour_town.town


def test_what_one_runner_did_the_next_one_knows(
    town: tuple[Emulator, Path], buckets: Buckets, tmp_path: Path, quick: Path
) -> None:
    service, documents = town
    names = tuple(f"o{buckets.new_url().rpartition('-')[2]}-{index}" for index in range(3))
    project = BucketProject(
        tmp_path / "one",
        service,
        {"papers": names},
        "0s",
        quick=quick,
        documents=documents,
        endpoint=buckets.endpoint,
        url=buckets.new_url(),
    )
    project.write()
    assert project.run("plan").lines[-1] == "Plan: 3 to create (3 files)."
    first = project.run(*APPLY)
    assert (first.code, first.lines[-1]) == (0, "Apply: 3 created."), first
    project.assert_whole()
    assert sorted(path.name for path in project.folder.iterdir()) == ["audit", "batches", "reconciler.yaml"]

    shutil.rmtree(project.folder / "audit")  # as on another runner, which has but the repository
    again = project.run(*APPLY)
    assert (again.code, again.lines[-1]) == (0, "No changes. 3 batches as desired, 3 of them still running.")
    assert project.run("report", "--offline").code == 0
    assert len(list((project.folder / "audit").iterdir())) == 1  # it tells of what is kept in the bucket
    shutil.rmtree(project.folder / "audit")
    verified = project.run("audit", "verify")
    assert (verified.code, verified.lines[-1]) == (0, "Audit log: 1 file, 4 lines, no faults."), verified
    (kept,) = (project.folder / "audit").iterdir()
    true = kept.read_bytes()
    kept.write_bytes(true.replace(b"created", b"adopted"))
    mended = project.run("audit", "verify")
    assert mended.code == 1
    assert (
        f"  next: {project.store.shown} keeps another version of this file: remove it here, and verify again"
    ) in mended.lines, mended
    assert not any("git" in line for line in mended.lines)
    kept.unlink()
    assert project.run("audit", "verify") == verified
    pulled = project.run("state", "pull")
    assert read_lock("\n".join(pulled.lines) + "\n", "pulled") == project.state()[0]
    moved = project.run("state", "migrate", "--to", "file")
    assert moved.lines[0].startswith("Moved 3 entries (serial ")
    assert read_lock((project.folder / "reconciler.lock").read_text(), "lock") == project.state()[0]
