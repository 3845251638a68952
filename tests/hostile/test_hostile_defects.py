"""Even a defect of reconciler's own brings no secret out, and no traceback unless one is asked for.

A defect is made by a program that replaces an inner function and then runs the command line in a process of
its own, as `python -m reconciler` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import hostile_marks as marks
import pytest
from hostile_runs import run
from hostile_stage import Stage, set_up

from reconciler.cli.defect import in_full, in_short
from reconciler.engine import propose

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, sys
from reconciler.engine import propose
from reconciler.__main__ import main

async def observe(*arguments, **named):
    secrets = [os.environ[name] for name in ("MARKED_KEY", "MARKED_SIGNING", "MARKED_HEADER", "HTTPS_PROXY")]
    try:
        raise KeyError(*secrets)
    except KeyError as error:
        error.add_note("a note: " + secrets[0])
        raise RuntimeError("\\x1b[2J broken: " + " ".join(secrets)) from error

propose.observe = observe
sys.argv = ["reconciler", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return set_up(tmp_path, monkeypatch)


@pytest.mark.parametrize("level", ["error", "debug"])
def test_a_defect_in_a_process_says_that_it_is_one_and_nothing_else(level: str, stage: Stage) -> None:
    stage.write("http://127.0.0.1:9")
    path = stage.folder / "reconciler.yaml"
    path.write_text(path.read_text().replace("type: llamacloud", "type: llamacloud, projectId: prj-1"))
    command = [sys.executable, "-c", PROGRAM, "apply", "--auto-approve", "--log-level", level]
    done = subprocess.run(command, cwd=stage.folder, capture_output=True, check=False, timeout=60, text=True)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert done.stdout == ""
    first = next(line for line in lines if line.startswith("Error:"))
    assert first == (
        "Error: a defect in reconciler: RuntimeError: \\x1b[2J broken: [MARKED_KEY] [MARKED_SIGNING]"
        " [MARKED_HEADER] [HTTPS_PROXY]"
    )
    assert any("please report it" in line for line in lines)
    assert any("in observe" in line for line in lines) is (level == "debug")
    assert marks.found_in((done.stdout + done.stderr).encode()) == []
    assert marks.found_below((stage.folder, stage.home, stage.temporary)) == []


def test_an_error_that_holds_the_whole_environment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def observe(*_: object, **__: object) -> None:
        raise LookupError(repr(dict(os.environ)))

    stage.write("http://127.0.0.1:9")
    path = stage.folder / "reconciler.yaml"
    path.write_text(path.read_text().replace("type: llamacloud", "type: llamacloud, projectId: prj-1"))
    monkeypatch.setattr(propose, "observe", observe)
    ran = run(stage.folder, "plan", "--log-level", "debug")
    assert ran.code == 1
    assert "a defect in reconciler: LookupError" in ran.err
    assert marks.found_in(ran.said.encode()) == []


def test_values_stand_as_their_names_the_longest_first() -> None:
    environ = {"LONG": "abcdefgh-ijk", "SHORT": "abcdefgh", "TINY": "is", "PROXY": "http://u:p%40ssw0rd!@h"}
    error = ValueError("this is abcdefgh-ijk, abcdefgh and p@ssw0rd! or p%40ssw0rd!")
    assert in_short(error, environ) == "ValueError: this is [LONG], [SHORT] and [PROXY] or [PROXY]"
    assert list(in_full(error, environ)) == [in_short(error, environ)]
