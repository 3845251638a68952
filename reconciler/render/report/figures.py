"""The report's drawings: bars of what each set has, and when its batches were made and what ran.

Each says in words beside it what it shows: a drawing is for the eye, and nothing hangs on its colours.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.model.status import Health, Sync
from reconciler.render.report.html import Html, join, mark, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

#: In this order: what needs a person first.
HEALTHS = (
    Health.DEGRADED,
    Health.UNKNOWN,
    Health.MISSING,
    Health.PROGRESSING,
    Health.COMPLETED,
    Health.HEALTHY,
)
SYNCS = (Sync.AMBIGUOUS, Sync.UNKNOWN, Sync.OUT_OF_SYNC, Sync.SYNCED)

_WIDE = 1000  # units of a drawing's width; it is stretched to whatever place there is
_COLUMNS = 72
_TALL = 60
_LEAST = timedelta(hours=1)


def bar(counts: Mapping[str, int], order: Sequence[str], total: int) -> Html:
    """A stacked bar: each part as long as its share of the total."""
    parts, at = [], 0.0
    for word in order:
        if count := counts.get(word, 0):
            wide = max(count / total * _WIDE, 4)  # what is there is seen
            parts.append(
                tag("rect", x=f"{at:.1f}", y=0, width=f"{wide:.1f}", height=10, class_=f"is-{word.lower()}")
            )
            at += wide
    wide_all = max(at, _WIDE)
    return tag(
        "svg",
        *parts,
        class_="bar",
        viewBox=f"0 0 {wide_all:.1f} 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def counted(counts: Mapping[str, int], order: Sequence[str], kind: str, name: str = "") -> Html:
    """The same in words; each leads to the batches that it counts."""
    items = [
        tag(
            "li",
            tag(
                "a",
                mark(word),
                tag("b", count),
                " ",
                word,
                href="#batches",
                class_="chip",
                data_set=name or None,
                **{f"data_{kind}": word},
            ),
        )
        for word in order
        if (count := counts.get(word, 0))
    ]
    return tag("ul", *items, class_="chips")


def first_time(made: Sequence[tuple[datetime, Health]], ran: Sequence[datetime], until: datetime) -> datetime:
    """Where the drawing begins: with what came first, and an hour ago at the latest."""
    return min([*(time for time, _ in made), *ran, until - _LEAST])


def history(made: Sequence[tuple[datetime, Health]], ran: Sequence[datetime], until: datetime) -> Html:
    """When batches were made, by how they are doing now, and below it each run."""
    begin = first_time(made, ran, until)
    span = (until - begin).total_seconds()

    def place(time: datetime) -> float:
        return min(max((time - begin).total_seconds() / span, 0.0), 1.0)

    columns: list[dict[Health, int]] = [{} for _ in range(_COLUMNS)]
    for time, health in made:
        column = columns[min(int(place(time) * _COLUMNS), _COLUMNS - 1)]
        column[health] = column.get(health, 0) + 1
    most = max([*(sum(column.values()) for column in columns), 1])
    width, shapes = _WIDE / _COLUMNS, []
    for number, column in enumerate(columns):
        height = 0.0
        for health in reversed(HEALTHS):
            if count := column.get(health, 0):
                tall = max(count / most * _TALL, 1.5)
                height += tall
                shapes.append(
                    tag(
                        "rect",
                        x=f"{number * width + 1:.1f}",
                        y=f"{_TALL - height:.1f}",
                        width=f"{width - 2:.1f}",
                        height=f"{tall:.1f}",
                        class_=f"is-{health.value.lower()}",
                    )
                )
    ticks = {round(place(time) * (_WIDE - 3)) for time in ran}
    shapes += [tag("rect", x=at, y=_TALL + 6, width=3, height=12, class_="run") for at in sorted(ticks)]
    shapes.append(tag("rect", x=0, y=_TALL + 2, width=_WIDE, height=1, class_="axis"))
    return tag(
        "svg",
        *shapes,
        class_="history",
        viewBox=f"0 -14 {_WIDE} {_TALL + 34}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def legend(words: Sequence[str]) -> Html:
    """What the marks mean, where a drawing uses them."""
    return join(*(tag("li", mark(word), word) for word in words))
