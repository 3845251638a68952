"""What ran, when, and by whom: a drawing over time, and the runs of the audit log, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.render.report.figures import HEALTHS, first_time, history, legend
from reconciler.render.report.html import Html, code, folded, join, row, tag
from reconciler.render.report.parts import section
from reconciler.render.report.words import counted, spoken, stamp, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.report import Ran, Report
    from reconciler.model.status import Health

_FIRST = 10  # runs that stand open; the others are folded
_MOST = 500  # runs that stand here at all

_COLUMNS = ("when", "who", "did", "approved by", "commit", "plan")


def ran(report: Report) -> Html:
    """The timeline."""
    made = [(row.created_at, row.health) for row in report.status.rows if row.created_at is not None]
    begun = [time for item in report.runs if (time := _time(item.first.time)) is not None]
    newest = list(enumerate(report.runs))[::-1]
    lead = f"{counted(len(report.runs), 'run')} in the audit log"
    if report.runs:
        lead += f", by {counted(len({item.first.actor for item in report.runs}), 'actor')}"
    lead += "."
    if report.unread:
        lead += (
            f" {counted(report.unread, 'line')} of it could not be read: reconciler audit verify names them."
        )
    return section(
        "ran",
        "What ran",
        _drawn(report, made, begun) if made or begun else None,
        folded(
            "Runs, newest first", _COLUMNS, [_run(*item) for item in newest[:_MOST]], first=_FIRST, most=_MOST
        ),
        tag("p", f"… {len(newest) - _MOST:,} more; reconciler audit log has them all.", class_="soft")
        if len(newest) > _MOST
        else None,
        lead=lead,
    )


def _drawn(report: Report, made: Sequence[tuple[datetime, Health]], begun: Sequence[datetime]) -> Html:
    begin = stamp(first_time(made, begun, report.at))
    there = {health for _, health in made}
    said = (
        f"From {spoken(begin)} to {spoken(stamp(report.at))} UTC: {counted(len(made), 'batch', 'batches')} "
        f"by when the service made them, and {counted(len(begun), 'run')} below."
    )
    return tag(
        "figure",
        history(made, begun, report.at),
        tag("div", when(begin), when(stamp(report.at)), class_="ends"),
        tag(
            "figcaption",
            tag("span", said),
            tag(
                "ul",
                join(legend([health.value for health in HEALTHS if health in there])),
                tag("li", tag("span", "", class_="tick"), "a run"),
                class_="legend",
            ),
        ),
    )


def _run(number: int, item: Ran) -> Html:
    first = item.first
    did = ", ".join(f"{count:,} {word}" for word, count in sorted(item.did.items()))
    commit = join(code(first.commit[:12]), " and changes beside it" if first.dirty else None)
    return row(
        when(first.time),
        join(tag("bdi", first.actor), _beside(first.actor_source), _link(first.ci_run)),
        tag("a", did, href="#batches", data_run=number, class_="kept"),
        join(tag("bdi", first.approver), _beside(first.approver_source)) if first.approver else "unknown",
        commit if first.commit else "",
        tag("code", _short(first.plan), class_="kept"),
    )


def _beside(words: str) -> Html | None:
    return tag("span", words, class_="below") if words else None


def _link(address: str) -> Html | None:
    """A CI run's page, for who wants to go there; the report itself never does."""
    if not address.startswith("https://"):
        return _beside(address)
    return tag("a", "CI run", href=address, rel="noopener noreferrer", class_="below")


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _time(written: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        return None
    return time if time.tzinfo else None
