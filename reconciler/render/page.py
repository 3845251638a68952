r"""A page of Markdown: text from outside that stays text, and a page that is no longer than its place allows.

What GitHub, GitLab and Bitbucket read out of text differs (mentions, references, commit ids, bare addresses,
short codes for pictures), so none of it is given to them: what comes from outside stands in a code span, in
which all of them read nothing, unless it is plain words. Within it, a backtick and a pipe are written as \x60
and \x7c, as line ends and control characters are elsewhere: they differ in what ends a span or a cell, too.

Counts come first and are never cut; of tables whole rows are left out, and the page says how many.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.comment import LONGEST_MARK
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Limit(NamedTuple):
    """How much a place takes.

    Attributes:
        size: so many characters, or bytes; None does not limit.
        bytes: whether bytes are counted. Characters are counted as UTF-16 does, which is never fewer.
        folds: whether ``<details>`` is understood there.
    """

    size: int | None
    bytes: bool = False
    folds: bool = True

    def measure(self, text: str) -> int:
        """The text's length as this place counts it."""
        if text.isascii():
            return len(text)
        return len(text.encode()) if self.bytes else len(text.encode("utf-16-le")) // 2


#: The longest comment that each takes, less the mark that `reconciler comment` puts in front; and a step's
#: summary on GitHub.
LIMITS: Mapping[str, Limit] = {
    "github": Limit(65_536 - LONGEST_MARK),
    "gitlab": Limit(1_000_000 - LONGEST_MARK),
    "bitbucket": Limit(32_768, folds=False),
    "none": Limit(None),
}
STEP_SUMMARY = Limit(1_048_576, bytes=True)


class Section(NamedTuple):
    """A table.

    Attributes:
        heading: in words of ours, with a count.
        columns: in words of ours.
        rows: cells, escaped already.
        folded: whether it is shown on request only, where that is possible.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is to be said, in the order of its importance.

    Attributes:
        title: escaped already.
        lead: the whole in one sentence, escaped already.
        notes: paragraphs that are never cut, escaped already.
        sections: tables.
        foot: the last paragraph, escaped already, or "".
        whole: where all of it is found, for when rows are left out.
    """

    title: str
    lead: str
    notes: Sequence[str] = ()
    sections: Sequence[Section] = ()
    foot: str = ""
    whole: str = ""


_LONGEST = 300  # of one cell; after that it is cut, visibly


def code(text: str, most: int = _LONGEST) -> str:
    """Text from outside as a code span; "" stays that."""
    shown = unmarked(text)
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    if text and not shown.strip():
        return f"`{len(text)} spaces`"
    return f"`{shown}`" if shown else ""


def unmarked(text: str) -> str:
    """Text from outside, without what could end a code span, a cell, or be a command to a runner."""
    return harmless(text).replace("`", "\\x60").replace("|", "\\x7c").replace("##[", "#\\x23[")


_WORD = re.compile(r"[A-Za-z]+[,;]?|[0-9]{1,3}")
_COMMIT = re.compile(r"[A-Fa-f]{7,}")  # letters that could be the id of a commit


def prose(text: str, most: int = _LONGEST) -> str:
    """A sentence that may quote what came from outside: as it is where it is plain words, else as code."""
    words = text.removesuffix(".").split(" ")
    if all(_WORD.fullmatch(word) and not _COMMIT.match(word) for word in words):
        return text
    return code(text, most)


def page_text(page: Page, limit: Limit) -> str:
    """The page as Markdown, no longer than the limit. What is left out is said and counted."""
    whole = _write(page, limit, [len(section.rows) for section in page.sections])
    if limit.size is None or limit.measure(whole) <= limit.size:
        return whole
    left = limit.size - limit.measure(_write(page, limit, [0] * len(page.sections)))
    if left < 0:
        return _at_least(page, limit)
    taken = []
    for section in page.sections:
        count = 0
        for row in section.rows:
            cost = limit.measure(_row(row))
            if cost > left:
                break
            left -= cost
            count += 1
        taken.append(count)
    return _write(page, limit, taken)


def _at_least(page: Page, limit: Limit) -> str:
    """Where not even the tables' heads have a place: the counts, if they have one."""
    assert limit.size is not None
    cut = f"\n… the rest has no place here; {page.whole}\n" if page.whole else ""
    head = f"### {page.title}\n\n**{page.lead}**\n"
    for text in (head + cut, head):
        if limit.measure(text) <= limit.size:
            return text
    return ""


def _write(page: Page, limit: Limit, taken: Sequence[int]) -> str:
    parts = [f"### {page.title}\n", f"**{page.lead}**\n", *(f"{note}\n" for note in page.notes)]
    parts += [
        _section(section, count, page.whole, folds=limit.folds)
        for section, count in zip(page.sections, taken, strict=True)
    ]
    if page.foot:
        parts.append(f"{page.foot}\n")
    return "\n".join(parts)


def _section(section: Section, taken: int, whole: str, *, folds: bool) -> str:
    text = _row(section.columns) + _row(["---"] * len(section.columns))
    text += "".join(_row(row) for row in section.rows[:taken])
    if left := len(section.rows) - taken:
        text += f"\n… {left:,} more" + (f"; {whole}\n" if whole else "\n")
    if section.folded and folds:
        return f"<details>\n<summary>{section.heading}</summary>\n\n{text}\n</details>\n"
    return f"**{section.heading}**\n\n{text}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
