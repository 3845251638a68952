"""The command line as people see it: each file in ``cases/`` is a session, commands and their whole output.

A line that begins with ``$ `` is run by bash in a copy of the project that the first line names; what
follows is what it has to print, standard error included, and ``[exit N]`` when that is not 0. Ids, digests
and times are numbered in the order in which they come. ``UPDATE_CASES=1 pytest tests/cli`` writes
down what is printed now; read the difference before you believe it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from session import Session, copy_example

_CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("case", sorted(_CASES.glob("*.case")), ids=lambda case: case.stem)
def test_a_session_prints_what_is_written_down(case: Path, tmp_path: Path, quick: Path) -> None:
    lines = case.read_text().splitlines()
    folder = tmp_path / "project"
    project = re.fullmatch(r"# project: (\S+)", lines[0])
    if project:
        copy_example(project[1], folder)
    else:
        folder.mkdir()
    session = Session(folder, quick)
    begin = next(number for number, line in enumerate(lines) if line.startswith("$ "))
    printed = [line for line in lines[:begin] if line]
    for command in (line for line in lines[begin:] if line.startswith("$ ")):
        printed += ["", command, *session.run(command[2:])]
    if os.environ.get("UPDATE_CASES"):
        case.write_text("\n".join(printed) + "\n")
    assert printed == lines
