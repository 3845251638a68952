"""Signals and what a run leaves behind, as a terminal sees them (C8). Several runs: tests/neighbours."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from session import Session, copy_example

if TYPE_CHECKING:
    from pathlib import Path

_RECONCILER = [sys.executable, "-m", "reconciler"]


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [*_RECONCILER, "apply", "--auto-approve", "--target", "receipts"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _lines_until(process: subprocess.Popen[str], words: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            break
    return lines


def _current_status(folder: Path) -> str:
    lock = json.loads((folder / "reconciler.lock").read_text())
    (entry,) = lock["entries"].values()
    (status,) = (batch["status"] for batch in entry["batches"])
    return str(status)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_leaves_the_batch_where_it_is_and_the_next_apply_carries_on(
    tmp_path: Path, quick: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "project"
    copy_example("quickstart", folder)
    for index in range(900):  # enough to be still at it when the signal comes
        (folder / "documents" / "receipts" / f"{index:03}.txt").write_text("Paid.")
    process = _start(folder)
    assert "  created  " in _lines_until(process, "  created  ")[-1]
    process.send_signal(number)
    rest, _ = process.communicate()
    assert process.returncode == 128 + number
    assert "Stopping: what is in flight is finished and recorded." in rest
    assert "Apply: 1 created." in rest
    assert _current_status(folder) in {"PENDING", "RUNNING"}
    session = Session(folder, quick)
    assert session.run("reconciler apply --auto-approve --target receipts")[-1] == (
        "Apply: nothing to do. Batches: 1 COMPLETED."
    )
    assert _current_status(folder) == "COMPLETED"
    assert len(session.run("ls .reconciler/local.db.results/*")) == 903


def test_a_killed_apply_leaves_no_lock_and_the_next_one_completes_it(tmp_path: Path, quick: Path) -> None:
    folder = tmp_path / "project"
    copy_example("quickstart", folder)
    process = _start(folder)
    _lines_until(process, "  created  ")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    session = Session(folder, quick)
    assert session.run("reconciler apply --auto-approve --target receipts")[-1].startswith(
        "Apply: nothing to do."
    )
    assert _current_status(folder) == "COMPLETED"
    with sqlite3.connect(folder / ".reconciler" / "local.db") as database:
        assert database.execute("SELECT count(*) FROM batches").fetchall() == [(1,)]
    database.close()


def test_in_ci_apply_says_what_the_lock_of_a_file_excludes(tmp_path: Path, quick: Path) -> None:
    folder = tmp_path / "project"
    copy_example("quickstart", folder)
    session = Session(folder, quick)
    session.environment["CI"] = "true"
    note = "note: the lock of a file store excludes processes of this machine only."
    assert session.run("reconciler apply --auto-approve")[0].startswith(note)
    with (folder / "reconciler.yaml").open("a") as file:
        file.write("  state: {exclusive: external}\n")
    assert note not in " ".join(session.run("reconciler apply --auto-approve"))


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    copy_example("quickstart", folder)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = subprocess.run(
            [*_RECONCILER, "plan"], cwd=folder, stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "")
