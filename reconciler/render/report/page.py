"""The report as a page: its head, its sections in their order, and the script's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.render.report.data import report_data
from reconciler.render.report.html import Html, document, join, tag
from reconciler.render.report.parts import (
    batches,
    contents,
    figures,
    files,
    in_order,
    plan,
    running,
    sets,
)
from reconciler.render.report.runs import ran
from reconciler.render.report.words import spoken, stamp
from reconciler.render.status import closing_line

if TYPE_CHECKING:
    from reconciler.model.report import Report


def report_html(report: Report) -> str:
    """The report, as one file."""
    stories = in_order(report)
    sections: dict[str, tuple[str, Html | None]] = {
        "sets": ("Sets", sets(report) if report.stories else None),
        "running": ("Running", running(report)),
        "files": ("Files", files(report)),
        "plan": ("Plan", plan(report.plan) if report.plan else None),
        "ran": ("What ran", ran(report)),
        "batches": ("All batches", batches(report, stories)),
    }
    there = {name: (words, part) for name, (words, part) in sections.items() if part is not None}
    body = join(
        tag("a", "To the table of all batches", href="#batches", class_="skip"),
        head(report),
        contents((name, words) for name, (words, _) in there.items()),
        tag("main", *(part for _, part in there.values())),
        foot(),
    )
    title = f"{report.project}: batches on {spoken(stamp(report.at))} UTC"
    return document(title, body, data=report_data(report, stories), script="report.js")


def head(report: Report) -> Html:
    """What it is a report of, when it was made, and the closing figures."""
    at = stamp(report.at)
    how = "as the services answered" if report.looked else "as the lockfile and the audit log have it"
    note = None
    if not report.looked:
        note = tag(
            "p",
            "No service was asked: what is live may differ, and whether anything is in sync is not known.",
            class_="note",
        )
    return tag(
        "header",
        tag("p", "Batches of", class_="kicker"),
        tag("h1", tag("bdi", report.project)),
        tag("p", tag("time", f"{spoken(at)} UTC", datetime=at), f", {how}", class_="made"),
        figures(report),
        tag("p", closing_line(report.status), class_="closing"),
        note,
    )


def foot() -> Html:
    """Who made it."""
    return tag("footer", tag("p", f"Made by reconciler {__version__}. Times are in UTC."))
