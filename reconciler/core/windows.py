"""When creating and cancelling is allowed: windows, and days that are closed (R15).

A moment is judged by what the clocks of the window's zone show then, and by nothing else. So an hour that
clocks skip opens no window, and one that they show twice is open both times. A window that ends on the day
after belongs to the day on which it begins. What is closed is closed whatever the windows.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from reconciler.model.plan import Closed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from reconciler.model.project import Closure, Limits, Window

#: So many days ahead an opening is looked for.
HORIZON = 400
_SOON = 9

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_HOUR = 60


def closed(limits: Limits, now: datetime, scope: str = "") -> Closed | None:
    """What keeps things from being done at a moment, or None.

    Args:
        limits: with windows and closures.
        now: the moment, with a zone.
        scope: whose limits they are.
    """
    closure = next((item for item in limits.closures if _within(item, now)), None)
    if closure is not None:
        told = f" ({closure.why})" if closure.why else ""
        why, source = f"closed from {closure.first} to {closure.last}{told}", closure.source
        zone, zone_name = closure.zone, closure.zone_name
    elif not limits.windows or any(_open(item, now) for item in limits.windows):
        return None
    else:
        first = limits.windows[0]
        why = f"outside {' and '.join(dict.fromkeys(map(described, limits.windows)))}"
        source, zone, zone_name = first.source, first.zone, first.zone_name
    opens = _opening(limits, now)
    return Closed(scope, why, source, opens, _shown(opens, zone, zone_name) if opens else "")


def described(window: Window) -> str:
    """A window as a person says it: ``Mon-Fri 08:00-18:00 Europe/Berlin``."""
    runs: list[list[int]] = []
    for day in sorted(window.days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    days = ",".join(_DAYS[run[0]] + (f"-{_DAYS[run[-1]]}" if run[1:] else "") for run in runs)
    return f"{days} {_clock(window.start)}-{_clock(window.end)} {window.zone_name}"


def _clock(minutes: int) -> str:
    return f"{minutes // _HOUR:02}:{minutes % _HOUR:02}"


def _shown(moment: datetime, zone: tzinfo, name: str) -> str:
    local = moment.astimezone(zone)
    return f"{_DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M} {name}"


def _open(window: Window, now: datetime) -> bool:
    local = now.astimezone(window.zone)
    minute, day = local.hour * _HOUR + local.minute, local.weekday()
    if window.start < window.end:
        return day in window.days and window.start <= minute < window.end
    begun = day in window.days and minute >= window.start
    return begun or ((day - 1) % 7 in window.days and minute < window.end)


def _within(closure: Closure, now: datetime) -> bool:
    return closure.first <= now.astimezone(closure.zone).date() <= closure.last


def _opening(limits: Limits, now: datetime) -> datetime | None:
    """The first moment after now at which nothing is closed: something begins or ends then."""
    # Nearly always it is within days; looking a year ahead at once takes 8 ms.
    for days in (_SOON, HORIZON):
        for moment in sorted(set(_turns(limits, now, days))):
            if moment > now and not closed_at(limits, moment):
                if days == _SOON and moment > now + _DAY * (_SOON - 1):
                    break
                return moment
    return None


def closed_at(limits: Limits, moment: datetime) -> bool:
    """Whether anything keeps things from being done at a moment."""
    if any(_within(item, moment) for item in limits.closures):
        return True
    return bool(limits.windows) and not any(_open(item, moment) for item in limits.windows)


def _turns(limits: Limits, now: datetime, days: int) -> Iterator[datetime]:
    """Moments at which something may open: windows begin, closures end, or clocks are changed."""
    zones: set[tzinfo] = set()
    for window in limits.windows:
        zones.add(window.zone)
        today = now.astimezone(window.zone).date()
        for day in (today + _DAY * ahead for ahead in range(-1, days)):
            if day.weekday() in window.days:
                yield _moment(day, window.start, window.zone)
    for closure in limits.closures:
        zones.add(closure.zone)
        yield from _midnight(closure.last + _DAY, closure.zone)
    for zone in zones:
        today = now.astimezone(zone).date()
        for day in (today + _DAY * ahead for ahead in range(-1, days)):
            yield from _midnight(day, zone)


def _midnight(day: date, zone: tzinfo) -> Iterator[datetime]:
    """Midnight and, where clocks are changed on that day, each of its minutes: any can be the turn."""
    begin, end = _moment(day, 0, zone), _moment(day + _DAY, 0, zone)
    yield begin
    if begin.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
        begin -= 2 * _HOUR * _MINUTE
        while begin < end:
            yield begin
            begin += _MINUTE


def _moment(day: date, minutes: int, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(minutes // _HOUR, minutes % _HOUR), zone).astimezone(UTC)
