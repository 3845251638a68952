"""O4: a scan in windows of creation time, side by side: nothing is lost, and it is quick.

A failing example of the property is printed whole by hypothesis; its seed is fixed.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from engine_shelf import ALL, LATENCY, Shelf, ago
from engine_time import START
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.engine.listing import Pass, TooLong
from reconciler.model.errors import AuthenticationError, UnavailableError
from reconciler.model.ports import Listing, Page
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

YEAR = 365 * 86400.0
SECOND = timedelta(seconds=1)


def spread(count: int, seconds: float, seed: int = 3) -> list[datetime]:
    """So many times, anywhere in so long a time."""
    dice = random.Random(seed)
    return [ago(dice.uniform(0, seconds)) for _ in range(count)]


def bursts(count: int, number: int, seed: int = 3) -> list[datetime]:
    """So many times in so many minutes of a year."""
    dice = random.Random(seed)
    begun = [dice.uniform(0, YEAR) for _ in range(number)]
    return [ago(dice.choice(begun) + dice.uniform(0, 60)) for _ in range(count)]


LONG_AGO = [ago(3000 * 86400 + back) for back in range(980)] + [ago(back) for back in range(20)]


def cost(shelf: Shelf, at_once: int = 8, listing: Listing = ALL) -> tuple[int, int]:
    """How many requests a scan takes that finds everything, and how many of them one after another."""
    scan = shelf.scan(at_once=at_once, listing=listing)
    assert isinstance(scan, Pass)
    assert scan.batches.keys() == {batch.id for batch in shelf.batches}
    return shelf.requests, round(shelf.time.seconds / LATENCY)


# In pages of ten.
@pytest.mark.parametrize(
    ("times", "order", "requests", "turns"),
    [
        pytest.param(spread(30, YEAR), "newest", 3, 3, id="three pages, as before"),
        pytest.param(spread(31, YEAR), "newest", 11, 6, id="four pages"),
        pytest.param(spread(100, YEAR), "newest", 24, 8, id="ten pages"),
        pytest.param(spread(1_000, YEAR), "newest", 135, 20, id="a year, newest first"),
        pytest.param(spread(1_000, YEAR), "oldest", 124, 19, id="a year, oldest first"),
        pytest.param(spread(1_000, YEAR), "none", 160, 24, id="a year, in no order"),
        pytest.param(spread(1_000, 86400), "newest", 135, 20, id="a day"),
        pytest.param(spread(1_000, 60), "newest", 155, 23, id="a minute"),
        pytest.param(bursts(1_000, 10), "newest", 195, 33, id="ten bursts"),
        pytest.param(bursts(1_000, 10), "oldest", 180, 26, id="ten bursts, oldest first"),
        pytest.param(LONG_AGO, "newest", 135, 21, id="long ago"),
        pytest.param([ago(YEAR)] * 1_000, "newest", 110, 103, id="all at one time: it cannot be cut"),
    ],
)
def test_o4_what_a_scan_costs(times: Sequence[datetime], order: str, requests: int, turns: int) -> None:
    shelf = Shelf(times=times, order=order, page_size=10)

    assert cost(shelf) == (requests, turns)
    assert shelf.most_inside <= 8


# Where a scan stands for looks at a thousand directories, windows begin after the first page.
@pytest.mark.parametrize(
    ("times", "order", "requests", "turns"),
    [
        pytest.param(spread(10, YEAR), "newest", 1, 1, id="one page"),
        pytest.param(spread(30, YEAR), "newest", 10, 4, id="three pages"),
        pytest.param(spread(100, YEAR), "newest", 26, 4, id="ten pages"),
        pytest.param(spread(1_000, YEAR), "newest", 134, 10, id="a year, newest first"),
        pytest.param(spread(1_000, YEAR), "oldest", 137, 11, id="a year, oldest first"),
        pytest.param(spread(1_000, YEAR), "none", 182, 14, id="a year, in no order"),
    ],
)
def test_o4_what_a_scan_in_place_of_a_thousand_looks_costs(
    times: Sequence[datetime], order: str, requests: int, turns: int
) -> None:
    shelf = Shelf(times=times, order=order, page_size=10)
    directories = frozenset(f"dir-{number}" for number in range(1_000 - len(times)))
    about = directories.union(batch.key.directory for batch in shelf.batches)

    assert len(about) == 1_000
    assert cost(shelf, at_once=16, listing=Listing(about=about)) == (requests, turns)
    assert shelf.most_inside <= 16


def test_o4_no_window_has_an_edge_that_a_service_may_have_no_name_for() -> None:
    """With many at once, windows that double would lead to the beginning of time."""
    shelf = Shelf(times=spread(1_000, YEAR), page_size=10)
    asked: list[Listing] = []
    page = shelf.list_page

    async def noted(listing: Listing, token: str | None) -> Page:
        asked.append(listing)
        return await page(listing, token)

    shelf.list_page = noted  # type: ignore[method-assign]  # to hear what it is asked

    assert isinstance(shelf.scan(at_once=64), Pass)

    edges = [edge for listing in asked for edge in listing[2:4] if isinstance(edge, datetime)]
    assert min(edges).year >= 1990
    assert shelf.requests < 250


def test_o4_windows_take_a_fifth_of_the_time_of_one_page_after_another() -> None:
    """10,000 live batches at 50 ms a page."""
    times = [ago(back * 3600) for back in range(10_000)]
    plain, windows = Shelf(times=times), Shelf(times=times)

    assert isinstance(plain.scan(at_once=1), Pass)
    assert isinstance(windows.scan(), Pass)

    assert plain.requests == 100
    assert windows.time.seconds <= 0.2 * plain.time.seconds


def test_o4_a_scan_that_may_not_take_many_requests_is_read_plainly() -> None:
    shelf = Shelf(times=spread(600, YEAR), page_size=10)

    assert isinstance(shelf.scan(most=63), Pass)

    assert (shelf.requests, shelf.windows) == (60, 0)


@pytest.mark.parametrize("most", [64, 100, 129])
def test_o3_a_scan_takes_no_more_requests_than_it_may(most: int) -> None:
    shelf = Shelf(times=spread(1_000, YEAR), page_size=10)

    assert isinstance(shelf.scan(most=most), TooLong)

    assert most - 8 < shelf.requests <= most


@pytest.mark.parametrize("times", [spread(30, YEAR), spread(300, YEAR), [ago(YEAR)] * 300])
def test_a_scan_keeps_only_what_is_wanted(times: Sequence[datetime]) -> None:
    """Read plainly, in windows, and in a window that cannot be cut."""
    shelf = Shelf(times=times, page_size=10)

    scan = shelf.scan(keep=lambda batch: batch.id in {"bat-00007", "bat-00023"})

    assert isinstance(scan, Pass)
    assert sorted(scan.batches) == ["bat-00007", "bat-00023"]


@pytest.mark.parametrize(
    ("order", "since", "until"),
    [
        ("newest", 0.8 * YEAR, None),
        ("oldest", None, 0.2 * YEAR),
        ("none", 0.8 * YEAR, 0.2 * YEAR),
        ("newest", 86400.0, None),
    ],
)
@pytest.mark.parametrize("deaf", [False, True], ids=["", "filters are ignored"])
def test_o4_a_part_of_a_project_is_scanned_in_windows_of_it(
    order: str,
    since: float | None,
    until: float | None,
    deaf: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    asked = Listing(None, None, None if since is None else ago(since), None if until is None else ago(until))
    times = spread(400, YEAR)
    plain = Shelf(times=times, page_size=10, order=order, deaf=deaf)
    windows = Shelf(times=times, page_size=10, order=order, deaf=deaf)

    whole, scan = plain.scan(at_once=1, listing=asked), windows.scan(listing=asked)

    assert isinstance(whole, Pass)
    assert isinstance(scan, Pass)
    assert scan.batches == whole.batches
    if plain.requests > 10 and not deaf:
        assert windows.time.seconds < 0.6 * plain.time.seconds


@pytest.mark.parametrize("order", ["newest", "oldest", "none"])
def test_o4_times_at_the_ends_of_time_stop_nothing(order: str) -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    shelf = Shelf(times=[first, last] * 100 + spread(100, YEAR), page_size=10, order=order)

    scan = shelf.scan()

    assert isinstance(scan, Pass)
    assert scan.batches.keys() == {batch.id for batch in shelf.batches}


def late_null(count: int) -> list[datetime | None]:
    """Without a time, but for one listed on the first pages only by a service that puts it there."""
    return [*spread(count, YEAR), None]


@pytest.mark.parametrize(
    ("shelf", "plain"),
    [
        pytest.param(
            Shelf(times=late_null(300), page_size=10), 31, id="one without a time, on the first pages"
        ),
        pytest.param(
            Shelf(times=late_null(300), page_size=10, order="oldest", nulls_pass=True),
            3 + 31,
            id="one without a time, later",
        ),
        pytest.param(
            Shelf(times=spread(300, YEAR), page_size=10, deaf=True), 3 + 30, id="filters are ignored"
        ),
        pytest.param(
            Shelf(times=spread(300, YEAR), page_size=10, refuses=True), 3 + 30, id="filters are refused"
        ),
        pytest.param(
            Shelf(times=spread(300, YEAR), page_size=10, shift=timedelta(hours=-2)),
            3 + 30,
            id="filters mean other times",
        ),
    ],
)
def test_o4_what_speaks_against_windows_has_the_scan_read_whole(shelf: Shelf, plain: int) -> None:
    scan = shelf.scan()

    assert isinstance(scan, Pass)
    assert scan.batches.keys() == {batch.id for batch in shelf.batches}
    assert shelf.requests - shelf.windows == plain


@pytest.mark.parametrize("most", [1_000, 10_000])
def test_o4_a_scan_of_everything_sees_what_has_no_time_on_its_first_three_pages(most: int) -> None:
    """However many requests it may take: `drift` and `export` have nothing else to find it by."""
    for index in (5, 15, 25):
        times: list[datetime | None] = [*map(ago, range(1_000))]
        times[index] = None
        shelf = Shelf(times=times, page_size=10)

        scan = shelf.scan(at_once=16, most=most)

        assert isinstance(scan, Pass)
        assert len(scan.batches) == 1_000


def test_o4_what_was_seen_once_has_to_be_in_the_windows() -> None:
    """Filters that compare times up to half a second off leave something out without showing it."""
    shelf = Shelf(times=spread(300, YEAR), page_size=10)
    lost = max(shelf.batches, key=lambda batch: batch.created_at or START)
    has = shelf._has
    shelf._has = lambda listing, at: has(listing, at) and (listing == Listing() or at != lost.created_at)  # type: ignore[method-assign]

    scan = shelf.scan()

    assert isinstance(scan, Pass)
    assert scan.batches.keys() == {batch.id for batch in shelf.batches}


def test_o4_a_fallback_takes_no_more_requests_than_the_scan_may() -> None:
    shelf = Shelf(times=spread(1_000, YEAR), page_size=10, deaf=True)

    assert isinstance(shelf.scan(most=100), TooLong)

    assert shelf.requests == 100


@pytest.mark.parametrize("seed", range(10))
def test_o5_windows_that_are_shuffled_between_their_pages_are_not_believed(seed: int) -> None:
    shelf = Shelf(times=spread(100, YEAR, seed), page_size=10, order="restless")

    scan = shelf.scan()

    assert isinstance(scan, Unknown)
    assert scan.why == "the listing changed while it was read, twice"


def test_o5_an_id_twice_in_a_window_that_ended_long_ago_is_not_believed() -> None:
    """What is sorted by creation may show an id twice where new batches come in, and nowhere else."""
    shelf = Shelf(times=spread(100, YEAR), page_size=10)
    page = shelf.list_page

    async def shifted(listing: Listing, token: str | None) -> Page:
        begin, found = int(token or 0), await page(listing, token)
        if listing.created_on_or_before is None or begin == 0:
            return found
        return found._replace(batches=[shelf._listed(listing)[begin - 1], *found.batches])

    shelf.list_page = shifted  # type: ignore[method-assign]

    assert isinstance(shelf.scan(), Pass)

    assert shelf.requests - shelf.windows == 3 + 10


def fails_in_windows(error: Exception) -> Shelf:
    shelf = Shelf(times=spread(300, YEAR), page_size=10, uneven=True)
    page = shelf.list_page

    async def fail(listing: Listing, token: str | None) -> Page:
        found = await page(listing, token)
        if listing != Listing() and shelf.windows > 5:
            raise error
        return found

    shelf.list_page = fail  # type: ignore[method-assign]
    return shelf


def test_r7_a_window_that_cannot_be_read_leaves_the_scan_unknown() -> None:
    shelf = fails_in_windows(UnavailableError("503", status=503))

    scan = shelf.scan()

    assert isinstance(scan, Unknown)
    assert scan.why == "the listing is incomplete: 503"
    assert shelf.requests - shelf.windows == 3


def test_a_key_that_is_not_accepted_any_more_ends_the_scan() -> None:
    shelf = fails_in_windows(AuthenticationError("401", status=401))

    with pytest.raises(AuthenticationError):
        shelf.scan()


def test_o4_a_window_whose_tokens_expire_leaves_the_scan_unknown() -> None:
    shelf = Shelf(times=[ago(YEAR)] * 300, page_size=10, tokens=5)

    scan = shelf.scan()

    assert isinstance(scan, Unknown)
    assert scan.why == "the listing is incomplete: 400: the page token has expired"


def test_o4_a_batch_that_no_page_with_a_filter_shows_is_not_seen() -> None:
    """The one hole, which decision 15 is about: nothing but C2's look closes it."""
    shelf = Shelf(times=late_null(300), page_size=10, order="oldest")

    scan = shelf.scan()

    assert isinstance(scan, Pass)
    assert {batch.id for batch in shelf.batches} - scan.batches.keys() == {"bat-00300"}


_GRAINS = (timedelta(microseconds=1), timedelta(milliseconds=1), SECOND)

#: Seconds before the scan: a few that are equal, a few that share an edge of a grain, and any others.
_BACK = st.one_of(
    st.sampled_from([0.0, 1.0, 60.0, 60.5, 3600.0, YEAR]),
    st.integers(0, 100).map(float),
    st.integers(0, 10_000).map(lambda number: number / 1000),
    st.integers(0, 10**8).map(float),
)


@settings(suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(
    # Each time so often: what is made at once has one time.
    times=st.lists(st.tuples(_BACK, st.sampled_from([1, 1, 1, 9])), min_size=10, max_size=60),
    order=st.sampled_from(["newest", "oldest", "none"]),
    grain=st.sampled_from(_GRAINS),
    strict=st.booleans(),
    nulls_pass=st.booleans(),
    uneven=st.booleans(),
    nulls=st.integers(0, 1),
    at_once=st.integers(2, 8),
    page_size=st.integers(1, 4),
    written=st.lists(st.integers(0, 3), max_size=12),
    about=st.none() | st.integers(1, 5),
)
def test_o4_what_was_there_when_a_scan_began_is_in_it_or_the_scan_is_not_believed(
    *,
    times: list[tuple[float, int]],
    order: str,
    grain: timedelta,
    strict: bool,
    nulls_pass: bool,
    uneven: bool,
    nulls: int,
    at_once: int,
    page_size: int,
    written: list[int],
    about: int | None,
) -> None:
    at: list[datetime | None] = [ago(back) for back, often in times for _ in range(often)]
    dates = len(at)
    still_to_write = iter(written)

    def write(shelf: Shelf) -> None:
        for _ in range(next(still_to_write, 0)):
            shelf.put(shelf.clock)

    shelf = Shelf(
        times=at + [None] * nulls,
        page_size=page_size,
        order=order,
        grain=grain,
        strict=strict and grain < SECOND,
        nulls_pass=nulls_pass,
        uneven=uneven,
        writer=write,
    )

    matter = frozenset(batch.key.directory for batch in shelf.batches[::about]) if about else None

    scan = shelf.scan(at_once=at_once, most=10_000, listing=Listing(about=matter))

    if isinstance(scan, Pass):
        there = shelf.batches[: dates + nulls * nulls_pass]
        names = {batch.id for batch in there if matter is None or batch.key.directory in matter}
        assert names <= scan.batches.keys()
        assert matter is None or {batch.key.directory for batch in scan.batches.values()} <= matter
    else:
        # Nothing was taken for whole that need not be; and without a writer and a shuffle, all is seen.
        assert any(written)
