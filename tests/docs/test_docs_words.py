"""Each `reconciler` command line of the pages exists, with its options: in blocks, in text, in tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from docs_pages import AROUND, PAGES, blocks, named, spans
from docs_words import command_lines, commands, fault, options

if TYPE_CHECKING:
    from pathlib import Path

#: Options that pages name and that are other programs'.
_OTHERS = {"--continue": "git", "--rebase": "git", "--long": "pytest"}


@pytest.mark.parametrize("page", [*PAGES, *AROUND], ids=named)
def test_each_command_line_of_a_page_exists(page: Path) -> None:
    texts = [(block.begin, block.text) for block in blocks(page) if block.language != "python"]
    lines = [(at, line) for at, text in texts for line in command_lines(text)]
    for at, code in spans(page):
        first = code.split(" ", 1)[0]
        lines += [(at, line) for line in command_lines(code)]
        if first in commands() and re.search(r" \S", code) and not re.match(r"export [A-Z_]+=", code):
            lines.append((at, f"reconciler {code}"))
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
