"""The stand-in as its users start it: a process of its own, on a free port, with its own state."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = "Listening on "
# Seconds until a process that was asked to stop is killed.
PATIENCE = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Emulator:
    """A stand-in that runs. Its keys are those that it has unless others are set."""

    url: str
    project_id: str = "prj-emulator"
    llamacloud_key: str = "llx-emulator"
    talonic_key: str = "tlnc_emulator"


def fill(root: Path) -> None:
    """Lay out source directories: one of two files, one of one, one of none."""
    for name, count in {"invoices": 2, "receipts": 1, "empty": 0}.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            (root / name / f"{index}.txt").write_text(f"Total {index}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Start a stand-in for the tests of a module, and stop it at their end."""
    with running(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@contextlib.contextmanager
def running(home: Path, *options: str) -> Iterator[Emulator]:
    """Start a stand-in with options of its own, and stop it at the end of the block."""
    fill(home / "documents")
    python = os.environ.get("RECONCILER_PYTHON", sys.executable)
    command = [python, "-m", "reconciler", "emulator", "--port", "0"]
    command += ["--root", str(home / "documents"), "--db", str(home / "emulator.db"), "--speed", "60"]
    command += options
    # Webhooks of made-up hosts go to a proxy that is not there, and not into the world.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "NO_PROXY": "", "no_proxy": ""}
    # What it logs goes to a file: a pipe that nobody reads would fill up and stop it.
    with (
        (home / "log").open("wb") as log,
        # In its own folder, where no settings of whoever runs the tests are found.
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=home, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(READY), f"{line!r}\n{(home / 'log').read_text()}"
            yield Emulator(url=line.removeprefix(READY).strip())
            ended = process.poll()
            assert ended is None, f"it ended by itself with {ended}\n{(home / 'log').read_text()}"
        finally:
            process.terminate()
            try:
                # Reads what is left, so that a last word does not keep it from ending.
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
