"""What the pages for people hold: their fenced blocks, what a page says of each, code in running text, links.

Nothing is run here. A page says where a block starts from in comments right before it, which no reader sees:

- ``<!-- session: NAME -->``: in a new folder, as ``docs_stands`` sets it up. Blocks without it go on where
  the last one of the page stopped, with its files, its folder and its environment.
- ``<!-- first: COMMAND -->``: after this, which readers are not shown; ``<!-- then: COMMAND -->``: before
  this, which has to succeed.
- ``<!-- needs: PROGRAM -->``: where a machine has this; elsewhere the block is left out, unless CI is set.
- ``<!-- file -->``: the block is written into the session's folder, under the name in its first line.
- ``<!-- run by: PATH -->``: by that test, which is not here; ``<!-- page run by: PATH -->``, once in a page:
  all blocks of which nothing else is said.
- ``<!-- not run: REASON -->``: nowhere.

``console`` blocks have commands behind ``$ `` and all that they print, ``[exit N]`` included where that is
not 0; ``sh`` and ``python`` blocks have commands alone and have to succeed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
#: Pages whose blocks are run.
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
#: Pages whose links and command lines are held as well.
AROUND = (
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    *sorted((ROOT / "examples").rglob("README.md")),
)
RUN = frozenset({"console", "sh", "python"})
_COMMENT = re.compile(r"<!--\s*(session|first|then|needs|file|run by|not run)(?::\s*(.*?))?\s*-->", re.DOTALL)
_PAGE = re.compile(r"<!-- page run by: (\S+) -->")
_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One fenced block. ``begin`` and ``end`` are the lines of its content in the file, counted from 0."""

    page: Path
    begin: int
    end: int
    indent: str
    language: str
    text: str
    notes: tuple[tuple[str, str], ...]
    page_run_by: str | None = None

    @property
    def place(self) -> str:
        """For messages: where the block stands."""
        return f"{self.page.relative_to(ROOT)}:{self.begin}"

    def note(self, name: str) -> str | None:
        """What the page says of the block under this name; "" where it says nothing but the name."""
        return next((text for said, text in self.notes if said == name), None)

    def hidden(self, name: str) -> list[str]:
        """The commands that are run ``first`` or ``then``, in order."""
        return [text for said, text in self.notes if said == name]

    @property
    def run_by(self) -> str | None:
        """The test elsewhere that runs it."""
        return self.note("run by") if self.notes else self.page_run_by

    @property
    def is_run(self) -> bool:
        """Whether it is run here."""
        return self.language in RUN and self.run_by is None and self.note("not run") is None

    def commands(self) -> list[tuple[str, list[str]]]:
        """Of a console block: each command with the lines that it prints."""
        commands: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            else:
                assert commands, f"{self.place}: a console block begins with a command"
                commands[-1][1].append(line)
        return commands


def named(page: Path) -> str:
    """How tests call a page."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.read_text().splitlines()
    tokens = _PARSER.parse(page.read_text())
    found = []
    whole = _PAGE.search(page.read_text())
    said = ""
    for token in tokens:
        if token.type == "html_block":
            said += token.content
            continue
        if token.type == "fence" and token.map:
            begin, end = token.map
            notes = tuple((match[1], match[2] or "") for match in _COMMENT.finditer(said))
            assert len(notes) == said.count("<!--"), (
                f"{named(page)}:{begin + 1}: {said.strip()} is not understood"
            )
            found.append(
                Block(
                    page=page,
                    begin=begin + 1,
                    end=end - 1,
                    indent=lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())],
                    language=token.info.split()[0] if token.info.strip() else "",
                    text=token.content,
                    notes=notes,
                    page_run_by=whole[1] if whole else None,
                )
            )
        said = ""
    return found


def comments(page: Path) -> list[str]:
    """All comments of a page that this module could mean."""
    return [match[0] for match in _COMMENT.finditer(page.read_text())]


def _inlines(page: Path) -> Iterator[tuple[int, Token]]:
    for token in _PARSER.parse(page.read_text()):
        if token.type == "inline":
            for child in token.children or []:
                yield (token.map[0] + 1 if token.map else 0), child


def spans(page: Path) -> list[tuple[int, str]]:
    """Code in running text and in tables: the line that it stands on or a little below, and the code."""
    return [(line, token.content) for line, token in _inlines(page) if token.type == "code_inline"]


def links(page: Path) -> list[tuple[int, str]]:
    """Where the links and pictures of a page lead, and from which line."""
    found = []
    for line, token in _inlines(page):
        target = (
            token.attrGet("href")
            if token.type == "link_open"
            else token.attrGet("src")
            if token.type == "image"
            else None
        )
        if target is not None:
            found.append((line, str(target)))
    return found


def anchors(page: Path) -> set[str]:
    """What a link may name behind ``#`` in a page: its headings, as GitHub makes anchors of them."""
    tokens = _PARSER.parse(page.read_text())
    made: list[str] = []
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            text = "".join(
                child.content for child in token.children or [] if child.type in {"text", "code_inline"}
            )
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            same = sum(1 for other in made if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other))
            made.append(f"{anchor}-{same}" if same else anchor)
    return set(made)
