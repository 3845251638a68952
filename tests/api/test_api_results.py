"""`results` as the library gives it, over real HTTP and in bad weather, against the stand-in."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from copy import copy
from typing import TYPE_CHECKING

import pytest
from emulator_process import Emulator, documents, emulator

from reconciler import Status, api, load, plan
from reconciler.adapters.stores.file import FileStore
from reconciler.api.outcomes import Wish
from reconciler.cli.exits import Exit, of_results
from reconciler.model.batch import FileCounts
from reconciler.model.errors import AuthenticationError
from reconciler.model.watched import FileStatus
from reconciler.render.results import sheet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.api.outcomes import ResultsRead
    from reconciler.model.lock import Lock
    from reconciler.model.outcomes import BatchOutcomes

NAMES = ("a", "b", "c")
#: Directories of which one test each changes something at the service.
OTHERS = ("late", "running", "cancelled")
SET = ("set",)
FILES = 4
#: With this one, files of some of the set's directories fail, and of some none.
SEED = "1"


class Place:
    """A project whose batches are COMPLETED on a stand-in, and recorded as PENDING."""

    def __init__(self, folder: Path, there: Emulator) -> None:
        self.folder = folder
        self.there = there
        self.environ = {"LLAMA_CLOUD_API_KEY": "llx-emulator", "LLAMA_CLOUD_BASE_URL": there.url}
        (folder / "reconciler.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: results}\nspec:\n"
            '  manifests: ["batches/*.yaml"]\n  providers:\n    prod: {type: llamacloud, settle: 0s}\n'
        )
        (folder / "batches").mkdir()
        for name, members in (("set", NAMES), ("other", OTHERS)):
            directories = "".join(f"    - id: dir-{member}\n" for member in members)
            (folder / "batches" / f"{name}.yaml").write_text(
                f"apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {{name: {name}}}\nspec:\n"
                "  provider: prod\n  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}\n"
                f"  directories:\n{directories}"
            )

    def apply(self) -> None:
        applied = api.apply(load(self.folder), environ=self.environ)
        assert len(applied.results) == len(NAMES + OTHERS)

    def fault(self, **entry: object) -> None:
        self.there.client.post("/__admin/faults", json=entry).raise_for_status()

    def calm(self) -> None:
        self.there.client.delete("/__admin/faults").raise_for_status()

    def read(self, wish: Wish | None = None) -> tuple[list[BatchOutcomes], ResultsRead]:
        told: list[BatchOutcomes] = []
        return told, api.results(load(self.folder), told.append, wish, environ=self.environ)

    def counts(self) -> list[FileCounts | None]:
        """What is recorded of the set's batches, in the order of their addresses."""
        entries = sorted(self.lock.entries.values(), key=lambda entry: entry.address)
        return [entry.recorded.files for entry in entries if entry.address.set == "set"]

    @property
    def lock(self) -> Lock:
        return self.store().read()[0]

    def store(self) -> FileStore:
        from reconciler.adapters.clock import SystemClock

        return FileStore(self.folder / "reconciler.lock", "reconciler.lock", "ada@desk", SystemClock().now())


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    tmp_path = tmp_path_factory.mktemp("stand")
    root = documents(tmp_path, *NAMES, *OTHERS, files=FILES)
    long_ago = time.time() - 3600
    for file in root.rglob("*.txt"):
        os.utime(file, (long_ago, long_ago))
    options = ("--root", "documents", "--no-read", "--fail-files", "0.25", "--seed", SEED)
    with emulator(tmp_path, *options) as there:
        place = Place(tmp_path, there)
        place.apply()
        there.advance("1h")
        yield place


@pytest.fixture
def place(stand: Place, tmp_path: Path) -> Iterator[Place]:
    """The project once more, as it was after its apply, at the same service."""
    mine = copy(stand)
    mine.folder, mine.environ = tmp_path / "project", dict(stand.environ)
    ignored = shutil.ignore_patterns("documents", ".reconciler")
    shutil.copytree(stand.folder, mine.folder, ignore=ignored)
    yield mine
    mine.calm()


def statuses(told: list[BatchOutcomes]) -> list[list[FileStatus]]:
    return [[item.status for item in read.files or ()] for read in told]


def test_a_deep_look_tells_each_file_s_end_and_records_the_counts(place: Place) -> None:
    told, shallow = place.read(Wish(targets=SET))
    assert [read.status for read in told] == [Status.COMPLETED] * 3  # the lockfile said PENDING (O2)
    assert statuses(told) == [[FileStatus.UNKNOWN] * FILES] * 3
    assert of_results(shallow) == Exit.DONE
    assert set(place.counts()) == {None}

    before = (place.lock.serial, sorted((place.folder / "audit").iterdir()), place.store().read()[1].warm)
    told, deep = place.read(Wish(targets=SET, deep=True))

    failed = [statuses(told)[n].count(FileStatus.FAILED) for n in range(3)]
    assert 0 in failed
    assert any(failed)
    assert set(deep.tally.files) == {FileStatus.SUCCEEDED, FileStatus.FAILED}
    assert {item.name for read in told for item in read.files or ()} == {f"{n}.txt" for n in range(FILES)}
    assert {item.job_type for read in told for item in read.files or ()} == {"parse_v2"}
    assert of_results(deep) == Exit.FAILED
    assert place.counts() == [FileCounts(FILES, count) for count in failed]
    # A refresh is no change: no serial, no audit line, and the next run is as warm as it was (C2).
    assert before == (
        place.lock.serial,
        sorted((place.folder / "audit").iterdir()),
        place.store().read()[1].warm,
    )
    told, _ = place.read(Wish(targets=SET, failed=True))
    assert [len(read.files or ()) for read in told] == [count for count in failed if count]


def test_what_is_recorded_while_another_run_holds_the_lock_waits(place: Place) -> None:
    with place.store().hold(0):
        _, read = place.read(Wish(targets=SET, deep=True))
    assert read.not_recorded.startswith("the lock is held by ada@desk since ")
    assert of_results(read) == Exit.FAILED
    assert set(place.counts()) == {None}


def test_null_results_are_asked_for_again_and_lost_replies_too(place: Place) -> None:
    api.apply(load(place.folder), environ=place.environ)  # so that the lockfile knows that they have ended
    place.fault(fault="nulls", on={"method": "GET", "path": "/api/v2/batches/*"}, nth=1)
    place.fault(fault="closed", on={"method": "GET", "path": "/api/v2/batches/*"}, nth=3)
    told, read = place.read(Wish(targets=SET, deep=True))
    struck = place.there.client.get("/__admin/faults").json()["counts"]
    assert [entry["fired"] for entry in struck] == [1, 1]
    assert read.tally.files[FileStatus.FAILED] > 0
    assert not read.tally.unread
    assert len(told) == 3


def test_r7_jobs_that_are_gone_are_unknown_and_exit_1_though_files_failed(place: Place) -> None:
    place.fault(fault="status", status=404, on={"method": "GET", "path": "/api/v2/parse/*"}, nth=[1, 2])
    told, read = place.read(Wish(targets=SET, failed=True))
    gone = [item for batch in told for item in batch.files or () if item.status is FileStatus.UNKNOWN]
    assert len(gone) == 2
    assert all("404" in item.error for item in gone)
    assert of_results(read) == Exit.ERROR
    assert place.counts().count(None) in {1, 2}


def test_files_that_came_later_or_went_are_told_apart(place: Place, stand: Place) -> None:
    folder = stand.folder / "documents" / "late"
    (folder / "late.txt").write_text("x")
    tomorrow = time.time() + 86_400
    os.utime(folder / "late.txt", (tomorrow, tomorrow))
    (folder / "0.txt").unlink()
    [told], read = place.read(Wish(targets=("other/dir-late",), deep=True))
    by_name = {item.name: item.status for item in told.files or ()}
    assert by_name["late.txt"] is FileStatus.NEWER
    assert "" in by_name  # 0.txt has a result, and no name any more
    assert read.tally.files[FileStatus.NEWER] == 1
    counts = next(e.recorded.files for e in place.lock.entries.values() if e.address.directory == "dir-late")
    assert counts is not None
    assert counts.total == FILES


def test_a_batch_that_runs_still_has_nothing_to_fail_for(place: Place) -> None:
    place.there.create("dir-running").raise_for_status()
    [running] = [
        batch["id"] for batch in place.there.batches(status="PENDING", source_directory_id="dir-running")
    ]
    project = load(place.folder)
    api.import_batch(project, "other/dir-running", running, environ=place.environ)
    [told], read = place.read(Wish(targets=("other/dir-running",), deep=True))
    assert (told.batch, told.files, told.why) == (running, None, "")
    assert of_results(read) == Exit.DONE
    [first] = [
        item.id
        for entry in place.lock.entries.values()
        for item in entry.batches
        if entry.address.directory == "dir-running" and item.id != running
    ]
    told_of, _ = place.read(Wish(batches=(first,)))
    assert [item.batch for item in told_of] == [first]


def test_a_cancelled_batch_ended_badly_whatever_its_files_say(place: Place) -> None:
    place.there.create("dir-cancelled").raise_for_status()
    [running] = [
        batch["id"] for batch in place.there.batches(status="PENDING", source_directory_id="dir-cancelled")
    ]
    api.import_batch(load(place.folder), "other/dir-cancelled", running, environ=place.environ)
    place.there.client.post(f"/api/v2/batches/{running}/cancel").raise_for_status()
    place.there.advance("1m")
    [told], read = place.read(Wish(targets=("other/dir-cancelled",), deep=True))
    assert told.status is Status.CANCELLED
    assert of_results(read) == Exit.FAILED
    [there] = [e for e in place.lock.entries.values() if e.address.directory == "dir-cancelled"]
    assert there.recorded.files is None  # what the service says of its files is not reliable


def test_a_batch_that_is_only_watched_is_read_too_and_never_run_again(place: Place) -> None:
    watched = next(b["id"] for b in place.there.batches(source_directory_id="dir-a"))
    (place.folder / "batches" / "watch.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: TrackedBatch\nmetadata: {name: eye}\n"
        f"spec: {{provider: prod, ids: [{watched}]}}\n"
    )
    api.apply(load(place.folder), environ=place.environ)
    [told], read = place.read(Wish(targets=("eye",)))
    assert (str(told.address), told.status, len(told.files or ())) == (
        f"eye/{watched}",
        Status.COMPLETED,
        FILES,
    )
    assert of_results(read) == Exit.DONE
    everything, _ = place.read()
    assert len(everything) == len(NAMES + OTHERS) + 1


def test_a_wrong_key_is_an_error_and_no_empty_answer(place: Place) -> None:
    place.environ["LLAMA_CLOUD_API_KEY"] = "llx-wrong"
    with pytest.raises(AuthenticationError):
        place.read()


def test_exactly_the_directories_of_files_that_failed_are_created_again(place: Place) -> None:
    manifest = place.folder / "batches" / "again.yaml"
    before = len(place.there.batches())
    told, read = place.read(Wish(targets=SET, failed=True, manifest=str(manifest)))
    failed = {str(item.address.directory) for item in told}
    assert 0 < len(failed) < 3
    assert read.rerun is not None
    assert (read.rerun.found, read.rerun.left_out) == (True, ())
    lines = (place.folder / "batches" / "set.yaml").read_text().splitlines()
    for edit in sorted(read.rerun.sets[0].edits, reverse=True):
        del lines[edit.source.line - 1]
    (place.folder / "batches" / "set.yaml").write_text("\n".join(lines))
    place.there.advance("1s")  # R2: rerun.after counts once the service's own clock has passed it

    assert api.validate(place.folder, environ=place.environ) == ()
    planned = plan(load(place.folder), environ=place.environ)

    creates = {str(action.address) for action in planned.actions if action.kind.value == "create"}
    assert creates == {f"set-again/{name}" for name in failed}
    assert {action.kind.value for action in planned.actions} == {"create", "keep"}
    applied = api.apply(load(place.folder), environ=place.environ)
    assert len(applied.results) == len(failed)
    assert not plan(load(place.folder), environ=place.environ).changes
    assert len(place.there.batches()) == before + len(failed)


def test_every_form_tells_of_the_same_files(place: Place) -> None:
    told, read = place.read(Wish(targets=SET, deep=True))
    written = {}
    for form in ("json", "ndjson", "csv"):
        page = sheet(form)
        written[form] = page.begin() + "".join(map(page.batch, told)) + page.end(read.tally)
    document = json.loads(written["json"])
    of_json = [file["file"] for batch in document["batches"] for file in batch["files"]]
    assert of_json == [json.loads(line)["file"] for line in written["ndjson"].splitlines()]
    assert of_json == [row["file"] for row in csv.DictReader(io.StringIO(written["csv"], newline=""))]
    assert len(of_json) == 3 * FILES
