"""docs/providers.md, letter by letter: the example package is installed, used, and tested, as the page shows.

``UPDATE_PROVIDERS=1 pytest tests/cli/test_cli_providers.py`` writes down what is printed now.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from session import Session, copy_example

_PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_SECONDS = re.compile(r" in \d+\.\d+s$", re.MULTILINE)


def _commands(block: str) -> list[tuple[str, list[str]]]:
    commands: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    return commands


def _without_chance(lines: list[str]) -> list[str]:
    """In which order creates end is chance."""
    created = sorted(line for line in lines if "  created  " in line)
    return created + [line for line in lines if line not in created]


def _session(folder: Path) -> Session:
    """A shell in which pip installs into the test's folder, with nothing but what is on this machine."""
    session = Session(folder)
    site = str(folder / "site")
    session.environment |= {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip spells that there is none
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_TARGET": site,
        "PYTHONPATH": site,
    }
    return session


def test_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    copy_example("provider", tmp_path / "provider")
    really, shown = _session(tmp_path), _session(tmp_path)
    text = _PAGE.read_text()
    blocks = _BLOCK.findall(text)
    assert len(blocks) >= 5
    for block in blocks:
        written = []
        for command, expected in _commands(block):
            # What pip and pytest warn of is not ours to refuse.
            really.environment["PYTHONWARNINGS"] = "error" if command.startswith("reconciler") else "ignore"
            printed = [_SECONDS.sub(" in 1.00s", line) for line in really.run(command, steady=False)]
            written += [f"$ {command}", *printed]
            if not os.environ.get("UPDATE_PROVIDERS"):
                steadied = [
                    session.steady("\n".join(_without_chance(lines)))
                    for session, lines in ((really, printed), (shown, expected))
                ]
                assert steadied[0] == steadied[1], command
        text = text.replace(block, "\n".join(written) + "\n", 1)
    if os.environ.get("UPDATE_PROVIDERS"):
        _PAGE.write_text(text)
    # Two batches, whatever was run and however often.
    assert (tmp_path / "provider" / "project" / "archive.json").read_text().count('"id"') == 2


def test_the_snippets_of_the_page_are_the_packages_own() -> None:
    """What the page quotes, the example has."""
    folder = _PAGE.parents[1] / "examples" / "provider"
    there = "\n".join(
        path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in {".py", ".toml", ".yaml"}
    )
    squeezed = [line.strip() for line in there.splitlines()]
    for kind in ("yaml", "toml", "python"):
        for snippet in re.findall(rf"```{kind}\n(.*?)```", _PAGE.read_text(), re.DOTALL):
            for line in snippet.splitlines():
                assert line.strip() in squeezed, line
