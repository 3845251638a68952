"""What a plan and an apply ask of the service and make durable: counts are exact, so they are held here.

The counts are those that `benchmarks/reads.py` prints, in its smallest size. Times are not looked at.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from measuring import Figure, Way, in_turn, ratio
from plotting import exponent, svg
from reads import SMOKE, Wanted

_READS = Path(__file__).parents[2] / "benchmarks" / "reads.py"
_SCAN = -(-500 // 100)
_SCAN_BESIDE = -(-SMOKE.live_beside // 100)

#: R14's reads, C2's look and the create, for each batch; the configuration once; the listing (O3).
_APPLY = {
    "configuration": 1,
    "create": SMOKE.creates,
    "directory": SMOKE.creates,
    "files": SMOKE.creates,
    "look": SMOKE.creates,
    "page": _SCAN_BESIDE,
}


_PLAIN_APPLY = f"apply {SMOKE.creates}, 8 at once"


@pytest.fixture(scope="module")
def printed() -> list[list[str]]:
    """The cells of every line that the benchmark's main table has."""
    done = subprocess.run([sys.executable, _READS, "--smoke"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def _requests(printed: list[list[str]], work: str, who: str) -> dict[str, int]:
    [asked] = [line[5] for line in printed if line[0] == work and line[1] == who]
    parts = [part.split(" ") for part in asked.partition(";")[0].split(", ") if part != "none"]
    return dict(sorted((kind, int(count)) for count, kind in parts))


@pytest.mark.parametrize(
    ("work", "who", "requests"),
    [
        ("first plan, 50 desired, 500 live", "**reconciler plan**", {"page": _SCAN}),
        ("first plan, 50 desired, 500 live", "httpx, paging and parsing", {"page": _SCAN}),
        ("first plan, 50 desired, 500 live", "asyncio streams and json", {"page": _SCAN}),
        ("first plan, 50 / 500, 2 ms latency", "**reconciler plan**", {"page": _SCAN}),
        ("next plan, 500 desired, 500 live", "**reconciler plan**", {}),
        (_PLAIN_APPLY, "**reconciler apply**", _APPLY),
        (_PLAIN_APPLY, "httpx, the same requests", _APPLY),
        ("apply 20, 2 ms latency, 16 at once", "**reconciler apply**", _APPLY),
    ],
)
def test_so_many_requests_are_made(
    printed: list[list[str]], work: str, who: str, requests: dict[str, int]
) -> None:
    assert _requests(printed, work, who) == requests


def test_every_row_says_what_is_wanted_and_whether_it_was_met(printed: list[list[str]]) -> None:
    ours = [line for line in printed if line[1].startswith("**reconciler")]
    assert Counter(line[0] for line in ours) == Counter({line[0] for line in printed})
    assert all(line[8].startswith("≤ ") and line[9] in {"yes", "**no**"} for line in ours)


def test_one_create_at_a_time_is_two_syncs_a_create_and_ten_a_run(printed: list[list[str]]) -> None:
    """C3 and C9: the intent before the send, and what came back after it."""
    [asked] = [line[5] for line in printed if line[0] == _PLAIN_APPLY and line[1] == "**reconciler apply**"]
    assert asked.endswith(f"; one at a time {2 * SMOKE.creates + 10} fsyncs")


def test_exponents_are_those_of_a_power_law() -> None:
    assert exponent({1_000: 0.5, 10_000: 5.0, 100_000: 50.0}) == pytest.approx(1.0)
    assert exponent({10: 3.0, 1_000: 3.0}) == pytest.approx(0.0)
    assert exponent({10: 3.0}) == 0


def test_the_plot_names_every_series_and_its_exponent() -> None:
    drawn = svg({"plan": {10: 0.1, 100: 1.0}, "floor": {10: 0.2, 100: 0.2}, "none": {}})
    assert "plan: n^1.00" in drawn
    assert "floor: n^0.00" in drawn
    assert drawn.count("<polyline") == 2


@pytest.mark.parametrize(
    ("wanted", "shown", "met"),
    [
        (Wanted(times=1.5), "≤ 1.5 x floor", True),
        (Wanted(times=1.4), "≤ 1.4 x floor", False),
        (Wanted(times=2, requests=2), "≤ 2 x floor, 2 requests", False),
        (Wanted(seconds=3, megabytes=105), "≤ 3 s, 105 MB", True),
        (Wanted(seconds=3, megabytes=104), "≤ 3 s, 104 MB", False),
        (Wanted(seconds=2.9), "≤ 2.9 s", False),
    ],
)
def test_what_is_wanted_is_held_against_all_of_it(wanted: Wanted, shown: str, *, met: bool) -> None:
    figure = Figure(seconds=3.0, cpu=1.0, mebibytes=100.0, requests={"page": 3})
    assert str(wanted) == shown
    assert wanted.met(figure, 1.5) is met


def test_ratios_are_taken_pair_by_pair() -> None:
    floors = [Figure(seconds, 0, 0) for seconds in (1.0, 2.0, 4.0)]
    figures = [Figure(seconds, 0, 0) for seconds in (2.0, 2.0, 20.0)]
    assert ratio(figures, floors, lambda figure: figure.seconds) == 2.0


def test_ways_take_turns(tmp_path: Path) -> None:
    order: list[str] = []
    bare = Way("", [sys.executable, "-c", "pass"], tmp_path)
    ways = [replace(bare, prepare=partial(order.append, name)) for name in "ab"]
    figures = in_turn(ways, 2, warm=False)
    assert order == ["a", "b", "a", "b"]
    assert [len(runs) for runs in figures] == [2, 2]
