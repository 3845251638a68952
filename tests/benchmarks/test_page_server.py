"""The benchmarks' page server lists what a listing has to: every batch once, by the filters, in order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from page_server import Batches, directory_id

_LIVE = 250


def _listed(batches: Batches, **query: str) -> list[Any]:
    """All pages, one after the other."""
    found: list[Any] = []
    while True:
        page = json.loads(batches.page(query))
        found += page["items"]
        if page["next_page_token"] is None:
            return found
        query["token"] = page["next_page_token"]


@pytest.mark.parametrize("times", ["even", "bursts"])
def test_pages_list_every_batch_once_and_newest_first(times: str) -> None:
    batches = Batches(_LIVE, times)
    listed = _listed(batches, page_size="100")
    assert [batch["source_directory_id"] for batch in listed] == [
        directory_id(number) for number in reversed(range(_LIVE))
    ]
    made = [batch["created_at"] for batch in listed]
    assert made == sorted(made, reverse=True)


def test_a_full_last_page_has_no_next_one() -> None:
    assert json.loads(Batches(100, "even").page({"page_size": "100"}))["next_page_token"] is None


def test_windows_hold_their_edges_and_meet_without_a_gap() -> None:
    batches = Batches(_LIVE, "even")
    everything = _listed(batches, page_size="100")
    edge = everything[100]["created_at"]
    newer, older = (_listed(batches, page_size="7", **{side: edge}) for side in ("after", "before"))
    assert newer == everything[:101]
    assert older == everything[100:]


def test_a_window_s_edge_may_be_written_in_another_zone() -> None:
    batches = Batches(_LIVE, "even")
    everything = _listed(batches, page_size="100")
    edge = datetime.fromisoformat(everything[100]["created_at"]).astimezone(timezone(timedelta(hours=2)))
    assert _listed(batches, page_size="100", after=edge.isoformat()) == everything[:101]


def test_a_batch_that_is_created_meanwhile_moves_no_token() -> None:
    batches = Batches(_LIVE, "even")
    first = json.loads(batches.page({"page_size": "100"}))
    batches.add("dir-new", "PENDING", datetime.now(UTC), "cfg")
    rest = _listed(batches, page_size="100", token=first["next_page_token"])
    assert len(first["items"] + rest) == _LIVE
    assert json.loads(batches.page({"page_size": "1"}))["items"][0]["source_directory_id"] == "dir-new"


def test_a_directory_and_a_status_are_told_apart() -> None:
    batches = Batches(_LIVE, "even")
    batches.add(directory_id(3), "PENDING", datetime.now(UTC), "cfg")
    assert [batch["status"] for batch in _listed(batches, page_size="100", directory=directory_id(3))] == [
        "PENDING",
        "COMPLETED",
    ]
    assert len(_listed(batches, page_size="100", status="PENDING")) == 1
    assert len(_listed(batches, page_size="100", directory=directory_id(3), status="COMPLETED")) == 1
    assert _listed(batches, page_size="100", directory="dir-none") == []


def test_what_was_created_is_forgotten_and_nothing_else() -> None:
    batches = Batches(_LIVE, "even")
    before = _listed(batches, page_size="100")
    batches.add(directory_id(3), "PENDING", datetime.now(UTC), "cfg")
    batches.add("dir-new", "PENDING", datetime.now(UTC), "cfg")
    batches.forget_created()
    assert _listed(batches, page_size="100") == before
    assert _listed(batches, page_size="100", directory="dir-new") == []
    assert len(_listed(batches, page_size="100", directory=directory_id(3))) == 1
