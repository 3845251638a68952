"""Windows of creation time: how a scan is cut so that its parts can be read side by side (O4).

Only where to cut is decided here, from the times that pages showed so far. These are guesses about what
was not read yet: a wrong one costs requests and loses nothing, because the windows that a window is cut
into always cover all of it, whatever the order or the density of what is in there. Reading them is left to
`engine/scan`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import ge, le
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What a page has at most: larger ones are not documented to be allowed.
_PAGE = 100

#: Neighbours share so much time, and edges are whole multiples of it: a service that compares seconds only,
#: or takes an inclusive bound for an exclusive one, still puts each batch into one of them. The second is for
#: windows so narrow that sharing a second would be to read most of it twice.
_GRAINS = (timedelta(seconds=1), timedelta(milliseconds=1))

#: A window is at least so many grains wide.
_NARROWEST = 8

#: How far a batch may lie outside of its window: as far as a service may round.
_TOLERANCE = timedelta(seconds=1)

#: Pages: a window that seems to have more of them ahead is not believed to, because what lies beyond a burst
#: of creates is most likely nothing. It is cut into few windows, and what they show is believed.
_FAR = 32
_FEW = 6

#: So many times of a window are kept to cut it by.
_SAMPLE = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Edges stay clear of times that a service may have no name for, or name otherwise. The windows at both ends
#: are open, so that what is out there is in one of them all the same.
_FIRST = datetime(1990, 1, 1, tzinfo=UTC)
_LAST = datetime(9990, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """Creation times from one to another, both included; None is an open end."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def whole(self) -> bool:
        """Whether it is open at both ends."""
        return self.since is None and self.until is None

    def holds(self, at: datetime) -> bool:
        """Whether a service that was asked for the window may answer with this time."""
        return (self.since is None or at >= self.since - _TOLERANCE) and (
            self.until is None or at <= self.until + _TOLERANCE
        )


class Order:
    """Whether rows of a listing came sorted by creation, one way or the other; without times, they did not.

    Attributes:
        rising: whether they came oldest first.
        falling: whether they came newest first.
    """

    def __init__(self) -> None:
        self.rising = self.falling = True
        self._last: list[datetime] = []

    @property
    def sorted(self) -> bool:
        """Whether they did."""
        return self.rising or self.falling

    def take(self, times: Sequence[datetime | None]) -> None:
        """The next ones."""
        known = [*self._last, *dated(times)]
        whole = len(known) == len(self._last) + len(times)
        self.rising = self.rising and whole and all(map(le, known, known[1:]))
        self.falling = self.falling and whole and all(map(ge, known, known[1:]))
        self._last = known[-1:]


def dated(times: Iterable[datetime | None]) -> list[datetime]:
    """Those that are known."""
    return [at for at in times if at is not None]


class Times:
    """The creation times that a reading showed so far.

    Attributes:
        order: in which they came.
        dated: whether all rows had one.
        pages: on how many pages they came.
        sample: some of them.
        ends: the oldest and the newest, if there were any.
    """

    def __init__(self) -> None:
        self.order = Order()
        self.dated = True
        self.pages = 0
        self.sample: list[datetime] = []
        self.ends: tuple[datetime, datetime] | None = None

    def take(self, times: Sequence[datetime | None]) -> None:
        """Those of the next page."""
        self.pages += 1
        self.order.take(times)
        known = dated(times)
        self.dated = self.dated and len(known) == len(times)
        self.sample += known[: _SAMPLE - len(self.sample)]
        known += self.ends or ()
        self.ends = (min(known), max(known)) if known else None


def fewest_pages(recorded: int) -> int:
    """How many pages a scan has at least where so many batches are recorded, since none is ever deleted."""
    return math.ceil(recorded / _PAGE)


def ahead(window: Window, times: Times, now: datetime) -> float | None:
    """How many pages of a window seem to be still to come; None where nothing tells.

    Args:
        window: what is read.
        times: what it showed so far.
        now: about the newest time that there can be.
    """
    span = _span(window, times, now)
    if span is None:
        return None
    begin, end = span
    return min(max((end - begin) / _width(times) - times.pages, 0.0), float(_FAR))


def cut(window: Window, times: Times, now: datetime, *, parts: int, size: float) -> tuple[Window, ...]:
    """Windows that cover a window, and overlap; none where it cannot be cut.

    Args:
        window: what is to be cut.
        times: what its reading showed so far.
        now: about the newest time that there can be.
        parts: how many windows to make at most.
        size: how many pages the one where its reading began should have. What is far from the pages that
            were seen is known least, so the others are made wider from one to the next.
    """
    if times.ends is None:
        return ()
    if not times.order.sorted:
        ordered = sorted(times.sample)
        return _between(window, [ordered[len(ordered) * part // parts] for part in range(1, parts)])
    first = max(_width(times) * size, _GRAINS[-1] * _NARROWEST)
    span = _span(window, times, now)
    if span is None:
        few = parts if window.whole else min(parts, _FEW)
        return _between(window, _edges(times.ends[1], -first, 2.0, few))
    begin, end = span
    widths = (end - begin) / first
    parts = min(parts if widths <= _FAR else min(parts, _FEW), math.ceil(widths))
    ratio = _ratio(widths, parts)
    edges = _edges(end, -first, ratio, parts) if times.order.falling else _edges(begin, first, ratio, parts)
    return _between(window, edges)


def _span(window: Window, times: Times, now: datetime) -> tuple[datetime, datetime] | None:
    """From where to where the batches of a window lie, as far as a sorted reading tells."""
    if times.ends is None or not times.order.sorted:
        return None
    oldest, newest = times.ends
    if times.order.falling:
        return None if window.since is None else (min(window.since, oldest), newest)
    return oldest, max(window.until or now, newest)


def _width(times: Times) -> timedelta:
    """The time that a page covers."""
    assert times.ends is not None
    oldest, newest = times.ends
    return max((newest - oldest) / times.pages, timedelta(microseconds=1))


def _ratio(widths: float, parts: int) -> float:
    """How much wider each part has to be than the one before for all to make up so many widths; at most 2."""
    low, high = 1.0, 2.0
    for _ in range(20):
        middle = (low + high) / 2
        if (middle**parts - 1) / (middle - 1) < widths:
            low = middle
        else:
            high = middle
    return high


def _edges(begin: datetime, width: timedelta, ratio: float, parts: int) -> list[datetime]:
    """The edges of so many parts, each so much wider than the one before; fewer at the end of time."""
    edges: list[datetime] = []
    for _ in range(parts - 1):
        try:
            begin += width
            width *= ratio
        except OverflowError:
            break
        edges.append(begin)
    return edges


def _between(window: Window, edges: list[datetime]) -> tuple[Window, ...]:
    """The windows between some edges; edges that would make one too narrow are left out."""
    kept: list[datetime] = []
    for grain in _GRAINS:
        kept = _apart(window, sorted(edges), grain)
        if 2 * len(kept) > len(edges):
            break
    if not kept:
        return ()
    sinces = (window.since, *kept)
    untils = (*(edge + grain for edge in kept), window.until)
    return tuple(Window(since, until) for since, until in zip(sinces, untils, strict=True))


def _apart(window: Window, edges: Iterable[datetime], grain: timedelta) -> list[datetime]:
    narrowest = grain * _NARROWEST
    kept: list[datetime] = []
    for edge in (_EPOCH + (at - _EPOCH) // grain * grain for at in edges if _FIRST < at < _LAST):
        before = kept[-1] if kept else window.since
        if (before is None or edge - before >= narrowest) and (
            window.until is None or window.until - edge >= narrowest
        ):
            kept.append(edge)
    return kept
