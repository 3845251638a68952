"""README.md and docs/, letter by letter: what they have people type is typed, and prints what stands there.

``docs_pages`` says how a page tells where a block starts from. ``UPDATE_DOCS=1 pytest tests/docs`` writes
down what is printed now, with this machine's ids and times; read the difference before you believe it.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from docs_pages import PAGES, ROOT, RUN, blocks, comments, named
from docs_shell import Shell, Steady
from docs_stands import STANDS, Beside

if TYPE_CHECKING:
    from pathlib import Path

    from docs_pages import Block

_UPDATE = bool(os.environ.get("UPDATE_DOCS"))


def _sessions(page: Path) -> list[list[Block]]:
    """The blocks of a page that are run or written, each session's by themselves."""
    sessions: list[list[Block]] = []
    for block in blocks(page):
        if block.note("session") is not None:
            sessions.append([])
        if block.is_run or block.note("file") is not None:
            assert sessions, f"{block.place}: no comment says where the session starts, see docs_pages"
            sessions[-1].append(block)
    return sessions


def _typed(block: Block, shell: Shell) -> str:
    """The text that the block would have, were it written now."""
    for first in block.hidden("first"):
        _succeeds(block, shell, first)
    text = block.text
    if block.note("file") is not None:
        file = shell.folder / text.split("\n", 1)[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    elif block.language == "console":
        printed = [line for command, _ in block.commands() for line in (f"$ {command}", *shell.run(command))]
        text = "\n".join(printed) + "\n"
    elif block.language == "python":
        shell.python(text)
    else:
        for command in _commands(text):
            _succeeds(block, shell, command)
    for then in block.hidden("then"):
        _succeeds(block, shell, then)
    return text


def _commands(script: str) -> list[str]:
    """The lines of a script, where each is a command of its own; else the script in one piece."""
    lines = [line.partition("  # ")[0].strip() for line in script.splitlines()]
    whole = any(re.search(r"; |&$|\\$|<<|^(?:for|do|done|until|if|fi)\b", line) for line in lines)
    return [f"set -e\n{script}"] if whole else lines


def _succeeds(block: Block, shell: Shell, command: str) -> None:
    said = shell.run(command)
    if said and said[-1].startswith("[exit"):
        pytest.fail("\n".join([f"{block.place}: {command}", *said]), pytrace=False)


def _run(session: list[Block], folder: Path, quick: Path) -> dict[Block, str]:
    """What the session's blocks would say now, of those that say something else."""
    really, shown = Steady(), Steady()
    written: dict[Block, str] = {}
    differ = False
    with Beside(quick) as stack:
        shell = STANDS[session[0].note("session") or ""](folder, stack)
        for block in session:
            needs = block.note("needs")
            if needs is not None and shutil.which(needs) is None:
                assert not os.environ.get("CI"), f"{block.place}: {needs} is missing"
                continue
            written[block] = text = _typed(block, shell)
            printed, expected = really(text.splitlines()), shown(block.text.splitlines())
            if printed != expected:
                differ = True
                if not _UPDATE:
                    pytest.fail(
                        f"{block.place} is not what is printed. What is, writes down"
                        f" `UPDATE_DOCS=1 pytest tests/docs -k {block.page.stem}`.\n"
                        + "\n".join(_differences(expected, printed)),
                        pytrace=False,
                    )
    return written if differ else {}


def _differences(expected: list[str], printed: list[str]) -> list[str]:
    import difflib

    return list(difflib.unified_diff(expected, printed, "the page", "printed", lineterm="", n=2))


def _write(page: Path, written: dict[Block, str]) -> None:
    lines = page.read_text().splitlines()
    for block, text in sorted(written.items(), key=lambda item: -item[0].begin):
        lines[block.begin : block.end] = [f"{block.indent}{line}".rstrip() for line in text.splitlines()]
    page.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_shows_is_what_is_printed(page: Path, tmp_path: Path, quick: Path) -> None:
    written: dict[Block, str] = {}
    for number, session in enumerate(_sessions(page)):
        (tmp_path / str(number)).mkdir()
        written |= _run(session, tmp_path / str(number) / "project", quick)
    if written:
        _write(page, written)


#: Blocks that nothing runs, by the command that they begin with; the page has the reason.
NOT_RUN = {
    "README.md": ["python3 -m venv .venv", "sh .ci/check"],
    "docs/auditors.md": ["pipx install 'batch-reconciler[sign]'"],
    "docs/auditing.md": ["pip install 'batch-reconciler[sign]'"],
    "docs/ci.md": ["kubectl create secret generic reconciler-keys --from-env-file=keys.env"],
    "docs/first-pull-request.md": ["pipx install 'batch-reconciler[local]'"],
    "docs/emulator.md": ["reconciler emulator --root documents"],
    "docs/loop.md": [
        (
            "reconciler run --git-remote https://git.example.com/acme/documents.git --git-ref main"
            " --project finance"
        ),
        "kubectl create configmap reconciler-pause --from-literal=paused=yes",
        "kubectl create secret generic reconciler-keys --from-env-file=keys.env",
    ],
    "docs/state.md": ["reconciler state init --plan-role planner --apply-role applier"],
    "docs/workers.md": ["reconciler apply --auto-approve --shard 1/4 &", "reconciler plan --out plan.json"],
}


def test_what_nothing_runs_is_listed_here() -> None:
    left_out = {
        named(page): [
            block.text.split(" && ")[0].splitlines()[0].split("  #")[0].rstrip()
            for block in blocks(page)
            if block.note("not run")
        ]
        for page in PAGES
    }
    assert {page: begins for page, begins in left_out.items() if begins} == NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_another_test_runs_is_read_by_it(page: Path) -> None:
    for block in blocks(page):
        if test := block.run_by:
            assert f'"{page.name}"' in (ROOT / test).read_text(), block.place


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_command_hides_in_a_block_that_is_not_run(page: Path) -> None:
    for block in blocks(page):
        if block.language not in RUN:
            assert [
                line for line in block.text.splitlines() if re.match(r"(?:\$ |reconciler )", line)
            ] == [], block.place


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_note_stands_before_its_block(page: Path) -> None:
    assert sum(len(block.notes) for block in blocks(page)) == len(comments(page))
