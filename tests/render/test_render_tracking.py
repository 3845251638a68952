"""Watched batches for people: the lines, the frozen sentence, and what came from outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from reconciler.model.batch import Address, FileCounts, Status
from reconciler.model.plan import Plan
from reconciler.model.status import Health
from reconciler.model.tracking import Happened, TrackedChange
from reconciler.model.watched import Watched, WatchedId
from reconciler.render.text import closing_line, plan_lines
from reconciler.render.tracking import refreshed_lines, tracked_lines, tracked_sentence

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


def change(
    name: str,
    happened: Happened,
    reason: str = "why",
    counts: FileCounts | None = None,
    *,
    health: Health | None = Health.PROGRESSING,
    group: str = "nightly",
) -> TrackedChange:
    identity = WatchedId("https://one", "" if name == "*" else name)
    seen = Watched(id=identity, status=Status.PENDING, word="submitted", counts=counts)
    return TrackedChange(
        address=Address(group, name),
        id=identity,
        happened=happened,
        reason=reason,
        now=seen if happened in {Happened.NEW, Happened.CHANGED, Happened.UNCHANGED} else None,
        before=None if happened is Happened.NEW else seen,
        health=health,
    )


_ALL = (
    change(
        "b-1",
        Happened.CHANGED,
        "submitted -> completed",
        FileCounts(1200, 1),
        health=Health.DEGRADED,
        group="a",
    ),
    change("*", Happened.UNKNOWN, "the listing is incomplete", health=None),
    change("b-2", Happened.NEW, "seen for the first time, submitted", FileCounts(1, 0)),
    change("b-3", Happened.UNCHANGED, "submitted, as recorded"),
    change("b-4", Happened.GONE, "it is gone"),
    change("b-5", Happened.NO_LONGER_TRACKED, "no manifest tracks it any more"),
)


def test_one_line_a_batch_and_what_is_unchanged_only_on_request() -> None:
    assert list(tracked_lines(_ALL)) == [
        "a",
        "  * a/b-1        Degraded     1,200 files, 1 failed  submitted -> completed",
        "nightly",
        "  ? nightly/*                                        the listing is incomplete",
        "  * nightly/b-2  Progressing  1 file                 seen for the first time, submitted",
        "  ! nightly/b-4  Progressing                         it is gone",
        "  . nightly/b-5  Progressing                         no manifest tracks it any more",
        "",
    ]
    assert "  = nightly/b-3  Progressing  submitted, as recorded" in list(
        tracked_lines(_ALL[3:4], verbose=True)
    )
    assert list(tracked_lines(_ALL[3:4])) == []


def test_the_sentence_is_frozen() -> None:
    assert tracked_sentence(()) == ""
    assert tracked_sentence(_ALL[3:4]) == "1 batch tracked."
    assert tracked_sentence(_ALL) == (
        "4 batches tracked, 1 new, 1 changed, 1 gone, 1 unknown, 1 no longer tracked."
    )


def test_the_closing_line_keeps_its_form_and_gains_the_sentence() -> None:
    plan = Plan(actions=())
    assert closing_line(plan) == "No changes. 0 batches as desired."
    assert closing_line(replace(plan, tracked=_ALL[:1])) == (
        "No changes. 0 batches as desired. 1 batch tracked, 1 changed."
    )
    assert list(plan_lines(replace(plan, tracked=_ALL[3:4]))) == [
        "No changes. 0 batches as desired. 1 batch tracked."
    ]


def test_what_is_watched_is_no_change_of_a_plan() -> None:
    """R16: nothing to confirm, and no other digest."""
    plan = Plan(actions=())
    watching = replace(plan, tracked=_ALL)
    assert (watching.changes, watching.digest) == (plan.changes, plan.digest)


def test_a_refresh_tells_everything() -> None:
    assert list(refreshed_lines(())) == ["Refresh: Nothing is tracked."]
    lines = list(refreshed_lines(_ALL[:4]))
    assert lines[-1] == "Refresh: 3 batches tracked, 1 new, 1 changed, 1 unknown. 1 degraded."
    assert [line for line in lines if line.startswith("  = ")]


def test_marks_are_coloured_where_colour_is_wanted() -> None:
    assert list(tracked_lines(_ALL[2:3], colour=True))[1].startswith("  \x1b[36m*\x1b[0m nightly/b-2")


def test_what_came_from_outside_cannot_move_a_cursor() -> None:
    hostile = change("b\x1b[2J\u202e", Happened.CHANGED, "sub\x1b]0;x\x07mitted -> \u2028done")
    text = "".join(tracked_lines([hostile]))
    assert text.isprintable()
