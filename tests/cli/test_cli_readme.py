"""README.md's tour, letter by letter: each ``console`` block is typed and has to print what stands there.

``UPDATE_README=1 pytest tests/cli`` writes down what is printed now, with this machine's ids and times.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from session import Session, copy_example

_README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def _commands(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that follow it."""
    commands: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    return commands


def _without_chance(lines: list[str]) -> list[str]:
    """Which states of a batch are seen on the way, and in which order creates end, is chance."""
    kept = [line for line in lines if " -> " not in line]
    return sorted(line for line in kept if "  created  " in line) + [
        line for line in kept if "  created  " not in line
    ]


def test_the_tour_prints_what_the_readme_shows(tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    copy_example("quickstart", folder)
    really, shown = Session(folder), Session(folder)
    really.run("git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm x")
    text = _README.read_text()
    for block in _BLOCK.findall(text):
        written = []
        for command, expected in _commands(block):
            printed = really.run(command, steady=False)
            written += [f"$ {command}", *printed]
            if not os.environ.get("UPDATE_README"):
                steadied = [
                    session.steady("\n".join(_without_chance(lines)))
                    for session, lines in ((really, printed), (shown, expected))
                ]
                assert steadied[0] == steadied[1]
        text = text.replace(block, "\n".join(written) + "\n")
    if os.environ.get("UPDATE_README"):
        _README.write_text(text)
