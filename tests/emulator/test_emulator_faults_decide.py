"""Which requests a fault strikes: a pure function of the seed, the entry and the request's number."""

from __future__ import annotations

import itertools
import re
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.emulator.chance import draw
from reconciler.emulator.faults.active import ActiveFaults, Every, Nth, Share, fires
from reconciler.emulator.faults.document import NO_FAULTS, faults_of
from reconciler.emulator.faults.globs import glob_matches

JSON: TypeAlias = Any

REQUESTS = st.lists(
    st.tuples(st.sampled_from(["GET", "POST"]), st.sampled_from(["/a", "/a/b", "/openapi.json"])), max_size=60
)
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"fault": st.just("reset")},
        optional={"times": st.integers(1, 3), "on": st.sampled_from([{}, {"method": "GET"}, {"path": "/a"}])},
    ).flatmap(
        lambda entry: st.one_of(
            st.floats(0, 1).map(lambda share: {**entry, "probability": share}),
            st.integers(1, 5).map(lambda number: {**entry, "nth": number}),
            st.integers(1, 5).map(lambda step: {**entry, "every": step}),
        )
    ),
    max_size=4,
)


def active(*entries: JSON, seed: int = 0) -> ActiveFaults:
    return ActiveFaults(faults_of({**NO_FAULTS.source, "seed": seed, "faults": list(entries)}, source="test"))


def struck(faults: ActiveFaults, requests: list[tuple[str, str]]) -> list[tuple[int, int] | None]:
    found = [faults.strike(method, path) for method, path in requests]
    return [None if each is None else (each.index, each.number) for each in found]


def test_a_draw_is_the_same_for_ever() -> None:
    assert [round(draw(7, 0, number), 6) for number in (1, 2, 3)] == [0.190627, 0.173766, 0.355211]
    assert draw(7, 0, 1) != draw(8, 0, 1) != draw(7, 1, 1) != draw(7, 0, 1, "other")


def test_a_probability_is_kept_over_many_requests() -> None:
    hits = sum(fires(Share(probability=0.05), 7, 0, number) for number in range(1, 10_001))
    assert 430 < hits < 570


@pytest.mark.parametrize(
    ("trigger", "numbers"),
    [
        (Share(probability=0), []),
        (Share(probability=1), [1, 2, 3, 4, 5, 6]),
        (Nth(numbers=frozenset({1, 4})), [1, 4]),
        (Every(step=3), [3, 6]),
    ],
)
def test_a_trigger_strikes_these_of_six_requests(trigger: Share | Nth | Every, numbers: list[int]) -> None:
    assert [number for number in range(1, 7) if fires(trigger, 0, 0, number)] == numbers


@given(entries=ENTRIES, requests=REQUESTS, seed=st.integers(0, 2**63 - 1))
def test_the_same_requests_meet_the_same_faults(entries: JSON, requests: JSON, seed: int) -> None:
    assert struck(active(*entries, seed=seed), requests) == struck(active(*entries, seed=seed), requests)


@given(entries=ENTRIES, requests=REQUESTS, seed=st.integers(0, 2**63 - 1))
def test_what_an_entry_does_is_decided_by_seed_place_and_number(
    entries: JSON, requests: list[tuple[str, str]], seed: int
) -> None:
    faults = active(*entries, seed=seed)
    matched = [0] * len(entries)
    fired = [0] * len(entries)
    for method, path in requests:
        found = faults.strike(method, path)
        expected = None
        for index, entry in enumerate(faults.file.entries):
            if entry.matches(method, path):
                matched[index] += 1
                left = entry.times is None or fired[index] < entry.times
                if expected is None and left and fires(entry.trigger, seed, index, matched[index]):
                    expected = index
                    fired[index] += 1
        assert (None if found is None else found.index) == expected
    assert [(count.matched, count.fired) for count in faults.counts] == list(zip(matched, fired, strict=True))


def test_the_first_entry_that_strikes_is_the_only_one_and_all_count() -> None:
    faults = active(
        {"fault": "reset", "nth": 2}, {"fault": "closed", "every": 2, "times": 1}, {"fault": "html", "nth": 5}
    )
    assert struck(faults, [("GET", "/a")] * 6) == [None, (0, 2), None, (1, 4), (2, 5), None]
    assert [(count.matched, count.fired) for count in faults.counts] == [(6, 1), (6, 1), (6, 1)]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/ab", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/", True),
        ("/a/*", "/a/b/c", False),
        ("/a/*/c", "/a/b/c", True),
        ("/a/**", "/a/b/c", True),
        ("**", "/a/b\nc", True),
        ("/a.c", "/abc", False),
        ("/a[b]", "/ab", False),
        ("/v*/x", "/v1/x", True),
    ],
)
def test_a_glob_matches_a_whole_path(pattern: str, path: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert glob_matches(pattern, path) is expected


def test_the_api_document_is_struck_only_when_its_path_is_given() -> None:
    assert active({"fault": "reset", "every": 1}).strike("GET", "/openapi.json") is None
    assert active({"fault": "reset", "every": 1, "on": {"path": "/*"}}).strike("GET", "/openapi.json")


def test_an_added_entry_leaves_the_counts_of_the_others() -> None:
    faults = active({"fault": "reset", "nth": 9})
    faults.strike("GET", "/a")
    more = faults_of(
        {**NO_FAULTS.source, "faults": [{"fault": "reset", "nth": 9}, {"fault": "html", "nth": 1}]},
        source="t",
    )
    faults.extend(more)
    assert struck(faults, [("GET", "/a")]) == [(1, 1)]
    assert [(count.matched, count.fired) for count in faults.counts] == [(2, 0), (1, 1)]
    faults.replace(more)
    assert [(count.matched, count.fired) for count in faults.counts] == [(0, 0), (0, 0)]


def expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile(
        "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts), re.DOTALL
    )


def words(letters: str, longest: int) -> list[str]:
    return [
        "".join(each) for length in range(longest + 1) for each in itertools.product(letters, repeat=length)
    ]


def test_a_glob_says_what_the_regular_expression_says() -> None:
    paths = words("ab/", 4)
    wrong = [
        (pattern, path)
        for pattern in words("ab/*", 5)
        for compiled in [expression(pattern)]
        for path in paths
        if glob_matches(pattern, path) is (compiled.fullmatch(path) is None)
    ]
    assert wrong == []


@given(
    pattern=st.lists(st.sampled_from(["a", "b", "/", "*", "**"]), max_size=9).map("".join),
    path=st.text("ab/", max_size=12),
)
def test_so_it_does_of_longer_ones(pattern: str, path: str) -> None:
    assert glob_matches(pattern, path) is (expression(pattern).fullmatch(path) is not None)


@pytest.mark.parametrize("star", ["*", "**"])
def test_no_glob_is_slow(star: str) -> None:
    # A regular expression would need longer than the world is old.
    assert glob_matches("/" + f"{star}a" * 60 + "b", "/" + "a" * 100_000) is False
    assert glob_matches("/" + f"{star}a" * 60 + star, "/" + "a" * 100_000) is True
