"""A result's page without a script: what `page` has as Markdown, as HTML of the report's make.

A `Page` is escaped already: what came from outside is plain words or stands between backticks, in which there
are none. So a backtick divides here, and everything is escaped once more, for HTML.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.render.report.html import Html, document, join, table, tag
from reconciler.render.report.html import row as row_of
from reconciler.render.report.page import foot
from reconciler.render.report.words import spoken, stamp

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.render.page import Page, Section


def plain_html(page: Page, at: datetime) -> str:
    """A page, whole: a file has no limit of length.

    Args:
        page: what is to be said.
        at: when it was made.
    """
    made = stamp(at)
    head = tag(
        "header",
        tag("h1", inline(page.title)),
        tag("p", tag("time", f"{spoken(made)} UTC", datetime=made), class_="made"),
        tag("p", inline(page.lead), class_="closing"),
        *(tag("p", inline(note), class_="note") for note in page.notes),
    )
    parts = [_section(section) for section in page.sections]
    if page.foot:
        parts.append(tag("p", inline(page.foot), class_="soft"))
    title = f"{page.title.replace('`', '')}, {spoken(made)} UTC"
    return document(title, join(head, tag("main", *parts), foot()))


def inline(marked: str) -> Html:
    """Text of a page, in which backticks stand around code."""
    parts = marked.split("`")
    return join(*(tag("code", part) if at % 2 else part for at, part in enumerate(parts)))


def _section(section: Section) -> Html:
    rows = [row_of(*(inline(cell) for cell in cells)) for cells in section.rows]
    shown = table(section.heading, tuple(section.columns), rows)
    if section.folded:
        return tag("details", tag("summary", section.heading), shown)
    return tag("section", tag("h2", section.heading), shown)
