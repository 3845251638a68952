"""Markdown as it is read: nothing from outside becomes markup, and no page is longer than its place allows.

What GitHub makes of `@name`, `#1` and commit ids it makes of text alone, never of code; so a name that stands
anywhere but in code is what these tests look for.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest
import render_hostile as hostile
from markdown_it import MarkdownIt

from reconciler.model.errors import SettingsError
from reconciler.model.plan import ActionKind, Plan
from reconciler.render import markdown
from reconciler.render.page import LIMITS, STEP_SUMMARY, Limit, Page, Section, code, page_text, prose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

_PAGES = {
    "plan": lambda names: markdown.plan_page(hostile.plan(names), names[0]),
    "apply": lambda names: markdown.applied_page(hostile.applied(names), names[0]),
    "status": lambda names: markdown.status_page(hostile.status(names), names[0]),
    "drift": lambda names: markdown.drift_page(hostile.drift(names), names[0]),
    "validate": lambda names: markdown.diagnostics_page(hostile.diagnostics(names)),
    "error": lambda names: markdown.error_page(
        SettingsError(names[0], where=names[0], why=names[0], next=names[0])
    ),
}
_OURS = re.compile(r"(<details>\n<summary>[A-Za-z0-9,: ]+</summary>|</details>)\n")
_NONE = LIMITS["none"]


def _read(text: str) -> Iterator[Token]:
    """Every token, inline ones among them, as GitHub's dialect has them: tables and struck text."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        yield token
        yield from token.children or ()


_ALLOWED = {
    *("heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text", "strong_open"),
    *("strong_close", "code_inline", "html_block", "table_open", "table_close", "thead_open", "thead_close"),
    *("tbody_open", "tbody_close", "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
}


@pytest.mark.parametrize("kind", sorted(_PAGES))
@pytest.mark.parametrize("limit", ["bitbucket", "github"])
def test_nothing_from_outside_is_markup(kind: str, limit: str) -> None:
    for name in hostile.NAMES:
        text = page_text(_PAGES[kind]((name,)), LIMITS[limit])
        tokens = list(_read(text))
        assert {token.type for token in tokens} <= _ALLOWED, name
        for token in tokens:
            if token.type == "html_block":
                assert _OURS.fullmatch(token.content), (name, token.content)
            if token.type == "text":
                # Of our own words none is a mention, a reference, an address, a short code, a commit.
                assert not re.search(r"[@#<>\[\]`|\\]|://|www\.|\b[0-9a-f]{7,}\b|:\w+:", token.content), (
                    name,
                    token.content,
                )
        assert "##[" not in text
        assert not re.search(r"^\s*(::|/)", text, re.MULTILINE), name


@pytest.mark.parametrize("kind", ["plan", "apply", "status", "drift", "validate"])
def test_every_row_has_as_many_cells_as_its_table_has_columns(kind: str) -> None:
    text = page_text(_PAGES[kind](hostile.NAMES), _NONE)
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = table.splitlines()
        # Our cells have no pipe in them, however a reader takes an escaped one.
        assert {row.count("|") for row in rows} == {rows[0].count("|")}


def test_a_name_in_a_code_span_reads_as_it_is_shown() -> None:
    for name in hostile.NAMES:
        spans = [
            token.content
            for token in _read(f"| a |\n|---|\n| {code(name)} |\n")
            if token.type == "code_inline"
        ]
        assert len(spans) == 1, name
        assert not re.search(r"[\n\r`|\x00-\x1f\u202a-\u202e]", spans[0])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such batch exists", "no such batch exists"),
        ("waits for 3 others, then goes on.", "waits for 3 others, then goes on."),
        ("bat-1 is COMPLETED", "`bat-1 is COMPLETED`"),
        ("see deadbeef", "`see deadbeef`"),
        ("see DEADBEEF, please", "`see DEADBEEF, please`"),
        ("@octo", "`@octo`"),
        ("www.evil", "`www.evil`"),
        ("1234567", "`1234567`"),
        ("a  b", "`a  b`"),
        ("", ""),
        ("   ", "`3 spaces`"),
    ],
)
def test_only_plain_words_stand_outside_of_code(text: str, shown: str) -> None:
    assert prose(text) == shown


def _many(count: int) -> Plan:
    names = [f"dir-{number:06}-ü" for number in range(count)]
    return Plan(
        actions=tuple(
            hostile.action(kind, name) for kind, name in zip(itertools.cycle(ActionKind), names, strict=False)
        ),
        tracked=hostile.plan(()).tracked,
    )


@pytest.mark.parametrize("limit", [*LIMITS.values(), STEP_SUMMARY], ids=[*LIMITS, "summary"])
def test_a_long_page_is_cut_between_rows_and_says_how_many_are_left_out(limit: Limit) -> None:
    plan = _many(2_400)
    text = page_text(markdown.plan_page(plan, "project"), limit)
    assert limit.size is None or limit.measure(text) <= limit.size
    # Counts come first and are whole.
    assert text.splitlines()[2] == (
        "**Plan: 300 to create (900 files), 300 to adopt, 300 to move, 300 to forget, 300 to"
        " cancel; 300 blocked, 300 unresolved; 300 unchanged.**"
    )
    rows = re.findall(r"^\| `set/.*$", text, re.MULTILINE)
    assert all(row.endswith(" |") and row.count("`") % 2 == 0 and row.count(" | ") == 4 for row in rows)
    left = [
        int(number.replace(",", ""))
        for number in re.findall(r"^… ([\d,]+) more; the whole plan: ", text, re.MULTILINE)
    ]
    assert len(rows) + sum(left) == 2_400 - plan.count(ActionKind.KEEP)
    assert bool(left) is (limit.size is not None and limit.size < 900_000)
    assert text.count("<details>") == text.count("</details>")
    assert text.endswith(f"Digest: `{plan.digest}`\n")


@pytest.mark.parametrize("limit", [Limit(0), Limit(0, bytes=True), Limit(0, folds=False)])
def test_no_page_is_ever_longer_than_its_limit(limit: Limit) -> None:
    page = markdown.plan_page(_many(24), "project")
    for size in (*range(0, 1_200, 17), 2_000, 3_000, 4_000):
        text = page_text(page, limit._replace(size=size))
        assert limit.measure(text) <= size
        assert text.count("<details>") == text.count("</details>")
        assert text == "" or text.startswith("### Plan for `project`\n\n**Plan: ")


def test_as_many_rows_are_taken_as_have_a_place() -> None:
    plan = Plan(actions=tuple(hostile.action(ActionKind.BLOCKED, f"dir-{number:02}") for number in range(30)))
    page = markdown.plan_page(plan, "project")
    whole = page_text(page, _NONE)
    row = len(re.findall(r"^\| `set/.*\n", whole, re.MULTILINE)[0])
    for size in range(600, len(whole), 7):
        text = page_text(page, Limit(size))
        # The line that says how many are left out may need a character less than was kept for it.
        assert size - row - 1 <= len(text) <= size


def test_a_page_that_fits_exactly_is_not_cut() -> None:
    page = markdown.plan_page(_many(64), "project")
    whole = page_text(page, _NONE)
    assert page_text(page, Limit(len(whole))) == whole
    assert "more; the whole plan" in page_text(page, Limit(len(whole) - 1))


def test_characters_beyond_the_first_plane_count_twice_and_bytes_as_they_are() -> None:
    assert Limit(1).measure("🙂") == 2
    assert Limit(1, bytes=True).measure("🙂") == 4


def test_a_page_reads_like_this() -> None:
    rows = [("`set/a`", "why")]
    page = Page(
        title="T", lead="Lead.", notes=["Note."], sections=[Section("1 thing", ("a", "b"), rows)], foot="Foot"
    )
    table = "| a | b |\n| --- | --- |\n| `set/a` | why |\n"
    assert page_text(page, _NONE) == (
        "### T\n\n**Lead.**\n\nNote.\n\n<details>\n<summary>1 thing</summary>\n\n"
        f"{table}\n</details>\n\nFoot\n"
    )
    unfolded = page_text(page, LIMITS["bitbucket"])
    assert unfolded == f"### T\n\n**Lead.**\n\nNote.\n\n**1 thing**\n\n{table}\nFoot\n"
