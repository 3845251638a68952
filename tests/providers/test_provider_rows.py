"""A page that is read at one go says what reading it row by row says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.providers import rows, wire
from reconciler.model.ports import Listing, Page


def row(number: int, **changes: object) -> dict[str, Any]:
    return {
        "id": f"bat-{number}",
        "config": {"job": {"type": "extract_v2", "configuration_id": "cfg-1"}},
        "project_id": "prj-1",
        "source_directory_id": f"dir-{number}",
        "status": "COMPLETED",
        "created_at": f"2025-01-01T00:00:{number:02}.{number}Z",
        "updated_at": None,
        **changes,
    }


def body(*items: object, token: object = None) -> dict[str, object]:
    return {"items": [*items], "next_page_token": token}


def read(value: object, *about: str) -> Page:
    return rows.page(value, "e", Listing(about=frozenset(about)))


def whole(value: object) -> Page:
    return rows.page(value, "e", Listing())


def test_rows_of_no_matter_are_their_ids_and_times_alone() -> None:
    value = body(row(1), row(2), row(3), token="next")
    every = whole(value)
    found = read(value, "dir-2", "dir-9")
    assert found == Page((every.batches[1],), "next", rows=every.listed)
    assert every.rows is None
    assert found.listed.ids == ["bat-1", "bat-2", "bat-3"]
    assert read(value) == Page((), "next", rows=every.listed)


def test_a_page_with_nothing_has_no_rows() -> None:
    found = read(body(token="next"), "dir-1")
    assert (found.batches, found.next, found.listed) == ((), "next", ([], []))


def test_a_row_that_matters_is_read_as_strictly_as_ever() -> None:
    value = body(row(1), row(2, project_id=7))
    assert [batch.id for batch in read(value, "dir-1").batches] == ["bat-1"]
    with pytest.raises(wire.MisfitError, match=r"^items\[1\]\.project_id: expected text, got 7$"):
        read(value, "dir-2")


def test_a_job_type_of_the_future_is_a_row_and_no_batch() -> None:
    value = body(row(1, config={"job": {"type": "split_v9", "configuration_id": "c"}}), row(2))
    found = read(value, "dir-1", "dir-2")
    assert [batch.id for batch in found.batches] == ["bat-2"]
    assert found.listed.ids == ["bat-1", "bat-2"]


_ODD: tuple[object, ...] = (
    *("", "x" * 513, "a\nb", "\ud800", "\u202e", "é", "bat 1"),
    *("2024-02-29T23:59:59.9Z", "2025-02-29T00:00:00Z", "2025-W01-1T00:00:00.000000Z", "20250101T000000Z"),
    *("2025-01-01T24:00:00Z", "2025-01-01T00:00:60Z", "2025-01-01T00:00:00.1234567Z", "2025-01-01T00:00Z"),
    *("2025-01-01 00:00:00Z", "2025-01-01T00:00:00+00:00", "٢٠٢٥-01-01T00:00:00Z"),
    *("2025-01-01T00:00:00Z\n", "2025-01-01T00:00:00Z\n2025-01-01T00:00:00Z", "2025-01-01T00:00:00z"),
    *(None, True, 5, 1.5, [], ["a"], {}, {"job": None}),
)


def outcome(value: object, *about: str) -> str | tuple[object, ...]:
    """What reading came to: every batch that matters, all rows, or how a misfit is named."""
    try:
        found = read(value, *about) if about else whole(value)
    except wire.MisfitError as error:
        return str(error)
    return found.batches, found.listed, found.next


@pytest.mark.parametrize("field", sorted(row(1)))
def test_whatever_a_field_holds_both_ways_say_the_same_of_it(field: str) -> None:
    """All directories matter here, so that no row may be passed over."""
    for odd in _ODD:
        value = body(row(1), row(2, **{field: odd}), row(3))
        places = [place for place in ("dir-1", "dir-2", "dir-3", odd) if isinstance(place, str)]
        assert outcome(value, *places) == outcome(value), odd


@pytest.mark.parametrize("field", ["id", "source_directory_id", "created_at"])
def test_what_a_scan_has_to_know_of_every_row_is_judged_in_every_row(field: str) -> None:
    for odd in _ODD:
        value = body(row(1), row(2, **{field: odd}), row(3))
        theirs, ours = outcome(value), outcome(value, "dir-1")
        if isinstance(theirs, str):
            assert ours == theirs
        else:
            assert not isinstance(ours, str)
            assert ours[1:] == theirs[1:]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"items": None},
        {"items": {}},
        {"items": ""},
        {"items": [3]},
        {"items": [[]]},
        body(row(1), token=7),
    ],
)
def test_what_is_no_page_is_named_as_ever(value: object) -> None:
    assert isinstance(outcome(value, "dir-1"), str)
    assert outcome(value, "dir-1") == outcome(value)


@given(st.lists(st.integers(0, 59), max_size=8), st.sets(st.integers(0, 59)))
def test_what_matters_comes_in_the_order_of_the_listing(listed: list[int], about: set[int]) -> None:
    found = read(body(*map(row, listed)), *(f"dir-{number}" for number in about))
    assert [batch.id for batch in found.batches] == [f"bat-{number}" for number in listed if number in about]
    assert found.listed.ids == [f"bat-{number}" for number in listed]
