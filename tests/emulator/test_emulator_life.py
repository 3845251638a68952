"""The life of batches: the worker, kills, several processes, and databases that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from reconciler.emulator import DatabaseTooNewError, DatabaseUnusableError, Service
from reconciler.emulator.life.moves import FileOutcome, Moves
from reconciler.emulator.tables import STEPS

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

REPOSITORY = Path(__file__).parents[2]
FIELDS = "type: extract_v2\nfields:\n  total: {pattern: 'Total (\\S+)', type: number, required: true}\n"


def moves(service: Service) -> Moves:
    return Moves(service._database, service._pace)


class WhenIdle(threading.Event):
    """A stop that is set when no batch is left to do, so that `work` can run in the test's own thread."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.service = service

    def is_set(self) -> bool:
        return moves(self.service).idle()


class AtGlance(threading.Event):
    """A stop that does something at each look, and is set when that says so."""

    def __init__(self, look: JSON) -> None:
        super().__init__()
        self.look = look

    def is_set(self) -> bool:
        return bool(self.look())


def make(tmp_path: Path, files: dict[str, bytes] | None = None) -> Service:
    folder = tmp_path / "documents" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    (tmp_path / "saved").mkdir(exist_ok=True)
    (tmp_path / "saved" / "totals.yaml").write_text(FIELDS)
    return Service(tmp_path / "documents", tmp_path / "x.db", configurations=tmp_path / "saved")


def call(service: Service, method: str, path: str, **options: JSON) -> JSON:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            return await client.request(method, path, **options)

    reply = asyncio.run(ask())
    assert reply.status_code == 200, reply.text
    return reply.json()


def create(service: Service, kind: str = "parse_v2", configuration: str = "cfg-PARSE_AGENTIC") -> str:
    job = {"type": kind, "configuration_id": configuration}
    batch = call(
        service, "POST", "/api/v2/batches", json={"source_directory_id": "dir-a", "config": {"job": job}}
    )
    batch_id: str = batch["id"]
    return batch_id


def expanded(service: Service, batch_id: str) -> JSON:
    return call(service, "GET", f"/api/v2/batches/{batch_id}", params={"expand": "results"})


def mapped(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM files WHERE mapped").fetchone()
    return int(count)


def results(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "x.db.results"
    return {file.name: file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_parse_maps_every_file_and_is_honest_about_each(tmp_path: Path) -> None:
    service = make(
        tmp_path, {"1.txt": b"one", "2.pdf": b"%PDF-1.4 broken", "3.html": b"<p>three", "4.xyz": b"?"}
    )
    batch_id = create(service)
    assert expanded(service, batch_id)["results"] is None
    service.work(stop=WhenIdle(service))
    batch = expanded(service, batch_id)
    assert batch["status"] == "COMPLETED"
    assert call(service, "GET", f"/api/v2/batches/{batch_id}")["results"] is None
    files = call(service, "GET", "/api/v1/beta/directories/dir-a/files")["items"]
    assert [row["source_directory_file_id"] for row in batch["results"]] == [file["id"] for file in files]
    assert {(row["job_reference"]["type"], row["error_message"]) for row in batch["results"]} == {
        ("parse_v2", None)
    }
    jobs = [
        call(service, "GET", f"/api/v2/parse/{row['job_reference']['id']}")["job"] for row in batch["results"]
    ]
    assert [(job["name"], job["status"], job["error_message"]) for job in jobs] == [
        ("1.txt", "COMPLETED", None),
        ("2.pdf", "FAILED", "not a readable PDF: PDF error: invalid PDF format"),
        ("3.html", "COMPLETED", None),
        ("4.xyz", "FAILED", "unsupported file type '.xyz': only .pdf, .txt, .md, .html, .htm are read"),
    ]
    assert results(tmp_path) == {"1.txt.txt": "one", "3.html.txt": "three\n"}
    service.close()


def test_extract_writes_a_record_or_fails_the_job(tmp_path: Path) -> None:
    service = make(tmp_path, {"1.txt": b"Total 1,240.50", "2.txt": b"nothing"})
    batch_id = create(service, "extract_v2", "cfg-totals")
    # The configuration is that of the create, whatever is saved later.
    (tmp_path / "saved" / "totals.yaml").unlink()
    service.work(stop=WhenIdle(service))
    batch = expanded(service, batch_id)
    jobs = [call(service, "GET", f"/api/v2/extract/{row['job_reference']['id']}") for row in batch["results"]]
    assert (batch["status"], [(job["status"], job["error_message"]) for job in jobs]) == (
        "COMPLETED",
        [("COMPLETED", None), ("FAILED", "required field 'total' was not found")],
    )
    assert {name: json.loads(text) for name, text in results(tmp_path).items()} == {
        "1.txt.json": {"total": 1240.5}
    }
    service.close()


def test_a_cancel_stops_before_the_next_file(tmp_path: Path) -> None:
    service = make(tmp_path, {f"{index}.txt": b"x" for index in range(4)})
    batch_id = create(service)

    def cancel_after_two() -> bool:
        status = service._batches.get(batch_id, "prj-local")
        if mapped(tmp_path / "x.db") == 2 and status is not None and status.status == "RUNNING":
            service._batches.cancel(batch_id, "prj-local")
        return WhenIdle(service).is_set()

    service.work(stop=AtGlance(cancel_after_two))
    batch = expanded(service, batch_id)
    assert (batch["status"], len(batch["results"])) == ("CANCELLED", 2)
    service.close()


def test_a_directory_that_vanished_fails_the_batch_and_a_file_only_its_row(tmp_path: Path) -> None:
    service = make(tmp_path, {"1.txt": b"x", "2.txt": b"x"})
    one, two = create(service), create(service)
    folder = tmp_path / "documents" / "a"

    def take_away() -> bool:
        if mapped(tmp_path / "x.db") == 1:
            (folder / "2.txt").unlink(missing_ok=True)
        if expanded_status(one) == "COMPLETED" and folder.exists():
            folder.rename(tmp_path / "elsewhere")
        return WhenIdle(service).is_set()

    def expanded_status(batch_id: str) -> str:
        batch = service._batches.get(batch_id, "prj-local")
        assert batch is not None
        return batch.status

    service.work(stop=AtGlance(take_away))
    first, second = expanded(service, one), expanded(service, two)
    assert (first["status"], first["results"][1]["job_reference"], first["results"][1]["error_message"]) == (
        "COMPLETED",
        None,
        "the file is gone, so no job was created for it",
    )
    assert (second["status"], second["results"]) == ("FAILED", None)
    service.close()


def test_a_stopped_worker_leaves_the_batch_running_and_the_next_one_carries_on(tmp_path: Path) -> None:
    service = make(tmp_path, {f"{index}.txt": b"x" for index in range(4)})
    batch_id = create(service)
    service.work(stop=AtGlance(lambda: mapped(tmp_path / "x.db") >= 2))
    half = expanded(service, batch_id)
    assert (half["status"], len(half["results"])) == ("RUNNING", 2)
    service.work(stop=WhenIdle(service))
    whole = expanded(service, batch_id)
    assert (whole["status"], whole["results"][:2], len(whole["results"])) == ("COMPLETED", half["results"], 4)
    service.close()


def program(tmp_path: Path, source: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that has `service` over the same database."""
    head = (
        "import asyncio, os, signal, sqlite3, sys, threading\nfrom pathlib import Path\n"
        "from reconciler.emulator import Service\n"
        "top = Path(sys.argv[1]); service = Service(top / 'documents', top / 'x.db')\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + source, str(tmp_path), *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


KILLED_AFTER_TWO = """
class Killer(threading.Event):
    def is_set(self):
        database = sqlite3.connect(top / 'x.db')
        if database.execute('SELECT count(*) FROM files WHERE mapped').fetchone() == (2,):
            os.kill(os.getpid(), signal.SIGKILL)
        return False
service.work(stop=Killer())
"""


def test_a_killed_worker_loses_nothing_and_no_file_is_read_twice(tmp_path: Path) -> None:
    service = make(tmp_path, {f"{index}.txt": b"x" for index in range(5)})
    batch_id = create(service)
    with program(tmp_path, KILLED_AFTER_TWO) as process:
        assert (process.wait(), process.communicate()) == (-9, ("", ""))
    half = expanded(service, batch_id)
    assert (half["status"], len(half["results"])) == ("RUNNING", 2)
    written = {file: file.stat().st_ino for file in (tmp_path / "x.db.results").rglob("*.txt.txt")}
    service.work(stop=WhenIdle(service))
    whole = expanded(service, batch_id)
    assert (whole["status"], whole["results"][:2], len(whole["results"])) == ("COMPLETED", half["results"], 5)
    # A file that was read again would have been replaced by a new one.
    kept = {file.name for file, inode in written.items() if file.stat().st_ino == inode}
    assert kept >= {"0.txt.txt", "1.txt.txt"}
    service.close()


CREATES_200 = """
import httpx
async def main():
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url='http://local') as client:
        job = {'type': 'parse_v2', 'configuration_id': 'cfg-PARSE_AGENTIC'}
        body = {'source_directory_id': 'dir-a', 'config': {'job': job}}
        for _ in range(200):
            reply = await client.post('/api/v2/batches', json=body)
            assert reply.status_code == 200, reply.text
            print(reply.json()['id'])
asyncio.run(main())
service.close()
"""


def test_two_processes_create_200_batches_each_and_none_is_lost(tmp_path: Path) -> None:
    service = make(tmp_path, {"1.txt": b"x"})
    with program(tmp_path, CREATES_200) as one, program(tmp_path, CREATES_200) as two:
        outputs = [process.communicate() for process in (one, two)]
    assert [(process.returncode, output[1]) for process, output in zip((one, two), outputs, strict=True)] == [
        (0, ""),
        (0, ""),
    ]
    made = [line for output in outputs for line in output[0].splitlines()]
    listed: list[str] = []
    token: str | None = None
    times: list[str] = []
    while True:
        query = {"page_size": "100"} | ({"page_token": token} if token else {})
        page = call(service, "GET", "/api/v2/batches", params=query)
        listed += [item["id"] for item in page["items"]]
        times += [item["created_at"] for item in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert len(made) == len(set(made)) == 400
    assert sorted(listed) == sorted(made)
    assert times == sorted(set(times), reverse=True)
    service.close()


def test_a_job_that_ends_after_the_cancel_is_not_mapped(tmp_path: Path) -> None:
    service = make(tmp_path, {"1.txt": b"x"})
    batch_id = create(service)
    batch = service._batches.get(batch_id, "prj-local")
    directory = service._directories.get("dir-a")
    assert batch is not None
    assert directory is not None
    there = moves(service)
    there.start(batch, service._directories.files(directory), 0, due=0)
    waiting = there.next_waiting(batch)
    assert waiting is not None
    call(service, "POST", f"/api/v2/batches/{batch_id}/cancel")
    there.map(batch, FileOutcome(position=waiting.position, started=0, finished=0, error=None))
    there.complete(batch, 0)
    after = expanded(service, batch_id)
    assert (after["status"], after["results"]) == ("CANCELLED", None)
    service.close()


def test_while_one_worker_works_another_one_waits(tmp_path: Path) -> None:
    one, two = make(tmp_path, {f"{index}.txt": b"x" for index in range(3)}), make(tmp_path)
    create(one)
    counts: list[int] = []

    def try_a_second() -> bool:
        if mapped(tmp_path / "x.db") == 1 and not counts:
            # Without the lock, these many looks would do for all files.
            looks = iter([False] * 8 + [True])
            two.work(stop=AtGlance(lambda: next(looks)))
            counts.append(mapped(tmp_path / "x.db"))
        return WhenIdle(one).is_set()

    one.work(stop=AtGlance(try_a_second))
    assert (counts, mapped(tmp_path / "x.db")) == ([1], 3)
    one.close()
    two.close()


def test_of_two_workers_each_file_is_read_by_one(tmp_path: Path) -> None:
    one = make(tmp_path, {f"{index}.txt": b"x" for index in range(3)})
    two = make(tmp_path)
    ids = [create(one) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda service=service: service.work(stop=WhenIdle(service)))
        for service in (one, two)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batches = [expanded(one, batch_id) for batch_id in ids]
    jobs = {row["job_reference"]["id"] for batch in batches for row in batch["results"]}
    assert ([batch["status"] for batch in batches], len(jobs)) == (["COMPLETED"] * 4, 12)
    one.close()
    two.close()


def test_an_idle_worker_makes_the_database_notices_a_create_and_ends(tmp_path: Path) -> None:
    service = make(tmp_path, {"1.txt": b"x"})
    done = threading.Event()
    stop = threading.Event()
    batch_ids: list[str] = []

    def look() -> bool:
        if batch_ids and WhenIdle(service).is_set():
            done.set()
        return stop.is_set()

    thread = threading.Thread(target=service.work, kwargs={"stop": AtGlance(look)})
    thread.start()
    batch_ids.append(create(service))
    done.wait()
    stop.set()
    thread.join()
    assert expanded(service, batch_ids[0])["status"] == "COMPLETED"
    service.close()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    service = make(tmp_path, {"1.txt": b"x"})
    create(service)
    service.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    before = (tmp_path / "x.db").read_bytes()
    with pytest.raises(DatabaseTooNewError) as caught:
        make(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'x.db'} was written by a newer version (format 99; this one reads up to 2): "
        "upgrade, or name another database"
    )
    assert (tmp_path / "x.db").read_bytes() == before


def test_a_database_of_the_first_format_is_carried_on_with_its_batches(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.executescript(STEPS[0])
        connection.executescript(
            "PRAGMA journal_mode=WAL;"
            "INSERT INTO batches VALUES (7, 'bat-old', 'prj-local', 'dir-a', 'parse_v2',"
            " 'cfg-PARSE_AGENTIC', NULL, 'PENDING', NULL, 7);"
            "PRAGMA application_id=0x62726563; PRAGMA user_version=1;"
        )
    service = make(tmp_path, {"1.txt": b"x"})
    assert expanded(service, "bat-old")["status"] == "PENDING"
    service.work(stop=WhenIdle(service))
    assert expanded(service, "bat-old")["status"] == "COMPLETED"
    service.close()


def test_what_is_no_database_of_ours_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseUnusableError, match="file is not a database"):
        make(tmp_path)
    (tmp_path / "x.db").unlink()
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = (tmp_path / "x.db").read_bytes()
    with pytest.raises(DatabaseUnusableError, match="another program's database"):
        make(tmp_path)
    assert (tmp_path / "x.db").read_bytes() == before


def test_an_empty_file_is_a_database_not_made_yet(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    service = make(tmp_path, {"1.txt": b"x"})
    assert call(service, "GET", "/api/v2/batches")["items"] == []
    assert (tmp_path / "x.db").read_bytes() == b""
    create(service)
    assert len(call(service, "GET", "/api/v2/batches")["items"]) == 1
    service.close()


def test_links_out_of_the_root_are_not_followed_and_odd_names_are_served(tmp_path: Path) -> None:
    service = make(tmp_path, {"in.txt": b"x"})
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "documents"
    (root / "a" / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "a" / "same.txt").symlink_to(root / "a" / "in.txt")
    (root / "a" / "loop.txt").symlink_to(root / "a" / "loop.txt")
    (root / "away").symlink_to(tmp_path)
    (root / "new\nline").mkdir()
    (root / "\u202ertl").mkdir()
    names = [item["name"] for item in call(service, "GET", "/api/v1/beta/directories")["items"]]
    files = [
        item["display_name"] for item in call(service, "GET", "/api/v1/beta/directories/dir-a/files")["items"]
    ]
    assert (names, files) == (["a", "new\nline", "\u202ertl"], ["in.txt", "same.txt"])


def test_a_name_that_is_no_unicode_is_served_and_parsed(tmp_path: Path) -> None:
    service = make(tmp_path)
    try:
        (tmp_path / "documents" / "a" / "caf\udce9.txt").write_text("x")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    batch_id = create(service)
    service.work(stop=WhenIdle(service))
    job = expanded(service, batch_id)["results"][0]["job_reference"]["id"]
    found = call(service, "GET", f"/api/v2/parse/{job}")["job"]
    assert (found["name"], found["status"]) == ("caf\ufffd.txt", "COMPLETED")
    service.close()


def test_importing_the_package_imports_nothing_heavy() -> None:
    source = (
        "import sys, reconciler.emulator; print(sorted({'starlette', 'sqlite3', 'yaml'} & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", source], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert finished.stdout == "[]\n"
