"""Each `reconciler` command line of the pages exists, with its options: in blocks, in text, in tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from docs_pages import AROUND, PAGES, blocks, named, spans
from docs_stands import STANDS, Beside
from docs_words import command_lines, commands, fault, options, with_places_filled

if TYPE_CHECKING:
    from pathlib import Path

#: What stands for something in running text, and what to type there.
_PLACES = {
    "SET/DIRECTORY_ID": "receipts/dir-receipts",
    "ADDRESS": "receipts/dir-receipts",
    "SET": "receipts",
    "DIR": ".",
    "FOLDER": "elsewhere",
    "FILE": "a-file",
    "DIGEST": "sha256:" + "0" * 64,
    "FILE_ID": "dfl-nowhere",
    "JOB_ID": "pjb-nowhere",
    "SHELL": "bash",
    "KIND": "BatchSet",
    "N": "3",
}
#: Options that pages name and that are other programs'.
_OTHERS = {"--continue": "git", "--rebase": "git", "--long": "pytest"}


def _in_text(page: Path) -> list[tuple[int, str]]:
    """The command lines of running text and tables, which may leave out `reconciler` itself."""
    lines = []
    for at, code in spans(page):
        first = code.split(" ", 1)[0]
        lines += [(at, line) for line in command_lines(code)]
        if first in commands() and re.search(r" \S", code) and not re.match(r"export [A-Z_]+=", code):
            lines.append((at, f"reconciler {code}"))
    return lines


@pytest.mark.parametrize("page", [*PAGES, *AROUND], ids=named)
def test_each_command_line_of_a_page_exists(page: Path) -> None:
    texts = [(block.begin, block.text) for block in blocks(page) if block.language != "python"]
    lines = [(at, line) for at, text in texts for line in command_lines(text)] + _in_text(page)
    faults = [f"{named(page)}:{at}: {line}: {fault(line)}" for at, line in lines if fault(line) is not None]
    assert faults == []


@pytest.mark.parametrize("page", [*PAGES, *AROUND], ids=named)
def test_each_option_of_a_page_exists(page: Path) -> None:
    unknown = {
        f"{named(page)}:{at}: {option}"
        for at, code in spans(page)
        if not re.match(r"(?:git|pytest|pip|curl|sh) ", code)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)
        if option not in options() | _OTHERS.keys()
    }
    assert unknown == set()


def test_each_command_line_of_running_text_runs(tmp_path: Path, quick: Path) -> None:
    """In a project that was applied: whatever it answers, it is no wrong usage and no defect."""
    lines = sorted({line for page in PAGES for _, line in _in_text(page)})
    assert len(lines) > 50
    wrong = []
    with Beside(quick) as stack:
        shell = STANDS["applied"](tmp_path / "project", stack)
        [batch, *_] = shell.run("grep -o 'bat-[0-9a-f-]*' reconciler.lock")
        places = _PLACES | {"BATCH_ID": batch, "BATCH": batch, "ID": batch}
        for line in lines:
            typed = with_places_filled(line, places)
            if "emulator" in typed:  # which serves until it is ended: tests/emulator has its options
                continue
            if typed.startswith("reconciler run"):  # which goes on until it is ended
                typed += " --once"
            said = shell.run(typed)
            if any("without a terminal to ask on" in part for part in said):
                said = shell.run(f"{typed} --auto-approve")
            # A command alone may be its name, and no line to type.
            is_usage = said[-1:] == ["[exit 64]"] and not re.fullmatch(r"reconciler [a-z ]+", typed)
            if is_usage or any("a defect in reconciler" in part for part in said):
                wrong.append("\n".join([line, typed, *said]))
    assert wrong == [], "\n\n".join(wrong)
