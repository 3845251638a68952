"""R15: when creating and cancelling is allowed, by the clocks of a place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.gates import closed as closed_for
from reconciler.core.windows import HORIZON, closed, closed_at, described
from reconciler.model.batch import Address, JobType, Key
from reconciler.model.manifest import BatchSet, ById, Job
from reconciler.model.plan import Action, ActionKind, Closed, Reason, ReasonCode
from reconciler.model.project import Closure, Limits, Window
from reconciler.model.source import Source

BERLIN = "Europe/Berlin"
WEEK = frozenset(range(5))


def window(
    start: str = "08:00", end: str = "18:00", days: frozenset[int] = WEEK, zone: str = BERLIN
) -> Window:
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (start, end)]
    return Window(days, minutes[0], minutes[1], ZoneInfo(zone), zone, "reconciler.yaml:7:5")


def closure(first: str, last: str, zone: str = BERLIN) -> Closure:
    days = (date.fromisoformat(first), date.fromisoformat(last))
    return Closure(*days, "year end", ZoneInfo(zone), zone, "reconciler.yaml:9:5")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OFFICE = Limits(windows=(window(),))
NIGHT = Limits(windows=(window("22:00", "06:00", frozenset({0})),))
YEAR_END = replace(OFFICE, closures=(closure("2026-12-24", "2027-01-02"),))
# Clocks in Berlin go from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October.
SKIPPED = Limits(windows=(window("02:00", "03:00", frozenset({6})),))
INTO_SKIPPED = Limits(windows=(window("02:30", "06:00", frozenset({6})),))
TWICE = Limits(windows=(window("01:00", "02:30", frozenset({6})),))


@pytest.mark.parametrize(
    ("limits", "moment", "opens"),
    [
        (Limits(), "2026-11-22 03:00", "open"),
        (OFFICE, "2026-11-23 06:59:59", "2026-11-23 07:00"),  # Monday; Berlin is an hour ahead
        (OFFICE, "2026-11-23 07:00", "open"),
        (OFFICE, "2026-11-23 16:59:59", "open"),
        (OFFICE, "2026-11-23 17:00", "2026-11-24 07:00"),
        (OFFICE, "2026-11-27 18:00", "2026-11-30 07:00"),  # Friday evening
        (NIGHT, "2026-11-23 22:00", "open"),  # Monday, 23:00 there
        (NIGHT, "2026-11-24 04:59", "open"),  # the morning after belongs to Monday
        (NIGHT, "2026-11-24 05:00", "2026-11-30 21:00"),
        (NIGHT, "2026-11-23 03:00", "2026-11-23 21:00"),  # and Monday's morning to Sunday
        (YEAR_END, "2026-12-23 12:00", "open"),
        (YEAR_END, "2026-12-24 12:00", "2027-01-04 07:00"),  # 3 January is a Sunday
        (Limits(closures=YEAR_END.closures), "2027-01-02 22:59", "2027-01-02 23:00"),
        (Limits(closures=YEAR_END.closures), "2026-12-23 22:59", "open"),
        (Limits(closures=YEAR_END.closures), "2026-12-23 23:00", "2027-01-02 23:00"),
        # What clocks skip opens nothing; a window that begins there opens when they have gone on.
        (SKIPPED, "2026-03-29 00:30", "2026-04-05 00:00"),
        (INTO_SKIPPED, "2026-03-29 00:59", "2026-03-29 01:00"),
        # What they show twice is open twice.
        (TWICE, "2026-10-25 00:15", "open"),  # 02:15, for the first time
        (TWICE, "2026-10-25 00:45", "2026-10-25 01:00"),  # 02:45, then 02:00 again
        (TWICE, "2026-10-25 01:15", "open"),
        (Limits(windows=(window("00:00", "24:00", frozenset({6}), "UTC"),)), "2026-11-22 23:59", "open"),
        (Limits(windows=(window(), window("12:00", "13:00", frozenset({5})))), "2026-11-28 11:30", "open"),
        (Limits(closures=(closure("2000-01-01", "2999-12-31"),)), "2026-11-22 00:00", "2999-12-31 23:00"),
        # Far away: what is closed ends while no window is open, and something else ends later, in one.
        (
            Limits(
                windows=(window("00:00", "24:00", frozenset({0})),),
                closures=(closure("2026-11-20", "2026-12-11"), closure("2026-12-16", "2026-12-20")),
            ),
            "2026-11-22 00:00",
            "2026-12-13 23:00",
        ),
        # A window within what is closed for longer than anybody looks ahead.
        (
            Limits(windows=(window(),), closures=(closure("2026-01-01", "2029-01-01"),)),
            "2026-11-22 00:00",
            "",
        ),
    ],
)
def test_a_moment_is_judged_by_what_clocks_there_show(limits: Limits, moment: str, opens: str) -> None:
    found = closed(limits, at(moment))
    if opens == "open":
        assert found is None
    else:
        assert found is not None
        assert found.opens == (at(opens) if opens else None)


def test_what_is_closed_says_why_where_and_until_when() -> None:
    assert closed(OFFICE, at("2026-11-22 12:00"), "set a") == Closed(
        "set a",
        "outside Mon-Fri 08:00-18:00 Europe/Berlin",
        "reconciler.yaml:7:5",
        at("2026-11-23 07:00"),
        "Mon 2026-11-23 08:00 Europe/Berlin",
    )
    found = closed(YEAR_END, at("2026-12-30 12:00"))
    assert found is not None
    assert found.why == "closed from 2026-12-24 to 2027-01-02 (year end)"
    assert found.source == "reconciler.yaml:9:5"
    assert described(window(days=frozenset({0, 2, 3, 6}))) == "Mon,Wed-Thu,Sun 08:00-18:00 Europe/Berlin"


_minutes = st.integers(0, 23 * 60 + 59)
_zones = st.sampled_from(["UTC", BERLIN, "America/New_York", "Asia/Kolkata", "Africa/Cairo"])
_windows = st.builds(
    lambda days, start, end, zone: Window(frozenset(days), start, end, ZoneInfo(zone), zone, "f"),
    st.sets(st.integers(0, 6), min_size=1),
    _minutes,
    _minutes,
    _zones,
)
_moments = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)).map(lambda it: it.replace(tzinfo=UTC))  # noqa: DTZ001


@given(st.lists(_windows, min_size=1, max_size=2).map(tuple), _moments)
def test_it_opens_when_it_says_and_no_minute_before(windows: tuple[Window, ...], now: datetime) -> None:
    from datetime import timedelta

    limits = Limits(windows=windows)
    found = closed(limits, now)
    if found is None:
        assert not closed_at(limits, now)
        return
    assert found.opens is not None, f"a window of any day opens within {HORIZON} days"
    assert not closed_at(limits, found.opens)
    step = max((found.opens - now) / 500, timedelta(minutes=1))
    moment = found.opens - timedelta(minutes=1)
    while moment >= now:
        assert closed_at(limits, moment)
        moment -= step


def _action(address: str, kind: ActionKind) -> Action:
    where = Address.parse(address)
    key = Key("https://api.example", "prj", where.directory, JobType.PARSE_V2, "cfg")
    return Action(kind=kind, address=where, key=key, reason=Reason(ReasonCode.MISSING, ""))


def _set(name: str, limits: Limits) -> BatchSet:
    return BatchSet(
        name=name,
        provider="p",
        job=Job(JobType.PARSE_V2, ById("cfg")),
        directories=(),
        source=Source("a.yaml"),
        digest=name,
        locate=lambda path, *, key=False: Source("a.yaml"),
        limits=limits,
    )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (ActionKind.CREATE, ["", "set a"]),
        (ActionKind.CANCEL, ["", "set a"]),
        (ActionKind.ADOPT, []),
        (ActionKind.MOVE, []),
        (ActionKind.FORGET, []),
        (ActionKind.KEEP, []),
    ],
)
def test_only_what_creates_or_cancels_waits_for_a_window(kind: ActionKind, told: list[str]) -> None:
    sets = {"a": _set("a", YEAR_END), "b": _set("b", Limits())}
    actions = [_action("a/d1", kind), _action("b/d2", kind)]
    found = closed_for(actions, OFFICE, sets, at("2026-11-22 12:00"))
    assert [item.scope for item in found] == told
    assert not list(closed_for(actions, OFFICE, sets, at("2026-11-23 12:00")))


def test_of_a_set_only_its_own_actions_wait_for_its_windows() -> None:
    sets = {"a": _set("a", OFFICE), "b": _set("b", Limits())}
    now = at("2026-11-22 12:00")
    assert not list(closed_for([_action("b/d1", ActionKind.CREATE)], Limits(), sets, now))
    assert [item.scope for item in closed_for([_action("a/d1", ActionKind.CREATE)], Limits(), sets, now)] == [
        "set a"
    ]
