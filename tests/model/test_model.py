"""Every history with a few faults, against the real engine: what is promised, and what nobody survives.

`model_life` says what may happen at each step, `model_explorer` tries it, `model_judge` looks at what came
of it. The short form tries all histories with up to two faults over one key, those with one over two keys,
and draws from those with one fault more; ``pytest --long -s tests/model`` tries all of them.
``UPDATE_UNSURVIVABLE=1 pytest tests/model`` writes down the list anew; read the difference before you
believe it.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from pathlib import Path

import pytest
from model_explorer import Explorer
from model_judge import found_by, judge, renamed, shortest
from model_promise import ASSUMPTIONS, LATE_EFFECT, LATE_LISTED
from model_store import Session
from model_told import history, unsurvivable
from model_values import Scenario, work

from reconciler.engine import apply, create, resolve
from reconciler.engine.run import Run

pytestmark = pytest.mark.early  # what one of these tests has explored, another looks at as well

SEED = 20261001
_LIST = Path(__file__).parent / "unsurvivable.txt"

_ONE = (work("dir-1"),)
_TWO_DIRECTORIES = (work("dir-1"), work("dir-2"))
_TWO_CONFIGURATIONS = (work("dir-1"), work("dir-1", "cfg-2"))

ALONE = [
    Scenario("with an empty folder", _ONE, warm=False),
    Scenario("after a run whose create was refused", _ONE, warm=True),
]
PAIRS = [
    Scenario("with an empty folder and two directories", _TWO_DIRECTORIES, warm=False),
    Scenario("after a run whose creates were refused, and two directories", _TWO_DIRECTORIES, warm=True),
    Scenario("with an empty folder and two configurations", _TWO_CONFIGURATIONS, warm=False),
    Scenario(
        "after a run whose creates were refused, and two configurations", _TWO_CONFIGURATIONS, warm=True
    ),
]


@functools.cache
def explored(scenario: Scenario, *, long: bool) -> Explorer:
    alone = scenario in ALONE
    sample = None if long else 120 if alone else 60
    explorer = Explorer(scenario, 3 if alone else 2, sample=sample, seed=SEED)
    explorer.explore()
    return explorer


def say(explorer: Explorer) -> None:
    counts = explorer.counts
    whole = explorer.faults - (explorer.drawn > 0)
    upto = [0, *(explorer.histories(faults) for faults in range(whole + 1))]
    each = ", ".join(f"{n - before:,} with {f}" for f, (before, n) in enumerate(itertools.pairwise(upto)))
    print(  # noqa: T201
        f"\n{explorer.scenario.name}: histories by faults: {each}"
        + (
            f"; drawn of {explorer.drawn:,} runs with {explorer.faults}, seed {SEED}"
            if explorer.drawn
            else ""
        )
        + f"; {counts.lived:,} runs lived, {counts.steps:,} choice points,"
        f" {counts.merged:,} merged, {len(explorer.nodes):,} states"
    )


@pytest.mark.parametrize("scenario", [*ALONE, *PAIRS], ids=lambda scenario: scenario.name)
def test_within_the_promise_nothing_is_twice_lost_or_untold(scenario: Scenario, *, long: bool) -> None:
    explorer = explored(scenario, long=long)
    say(explorer)

    wrong = [verdict for verdict in judge(explorer) if not verdict.node.broken]

    wrong.sort(key=lambda verdict: verdict.node.spent)
    for verdict in wrong[:1]:
        told = "\n".join(history(explorer, verdict.node))
        pytest.fail(f"{len(wrong)} histories; {verdict.kind}: {verdict.what}\n{told}", pytrace=False)


def test_no_client_survives_these_and_each_breaks_an_assumption(*, long: bool) -> None:
    lines = [
        "Of all histories with up to two faults, per broken assumption the shortest that ends with work done",
        "twice. A step that begins with ! is a fault. UPDATE_UNSURVIVABLE=1 pytest tests/model writes this.",
        "",
    ]
    groups = shortest([explored(scenario, long=long) for scenario in ALONE], most=2)
    for _, group in sorted(groups.items(), key=lambda item: (item[0][0], sorted(item[0][1]))):
        told = [unsurvivable(explorer, v.node, v.kind, v.what) for explorer, v in group]
        told.sort(key=lambda entry: (len(entry), entry))
        lines += told[0]
    text = "\n".join(lines).rstrip() + "\n"
    if os.environ.get("UPDATE_UNSURVIVABLE"):
        _LIST.write_text(text)

    assert {kind for kind, _ in groups} == {"twice"}
    assert {broken for _, broken in groups} == {frozenset({one}) for one in ASSUMPTIONS}
    assert text == _LIST.read_text()


@pytest.mark.parametrize("scenario", ALONE, ids=lambda scenario: scenario.name)
def test_c10_what_is_there_twice_is_told_if_the_service_kept_its_key(
    scenario: Scenario, *, long: bool
) -> None:
    explorer = explored(scenario, long=long)
    told = Counter(
        (found_by(verdict.node), *sorted(verdict.node.broken))
        for verdict in judge(explorer)
        if verdict.kind == "twice"
    )
    for (who, *broken), times in sorted(told.items()):
        if len(broken) == 1:
            print(f"{who}: {times:,} states after: {broken[0]}")  # noqa: T201

    assert told["the same run tells of it", LATE_EFFECT] > 0
    assert told["a later run tells of it", LATE_EFFECT] > 0
    assert told["a later run tells of it", LATE_LISTED] > 0
    untold = [verdict.node for verdict in judge(explorer) if verdict.kind == "unreported"]
    print(f"{len(untold):,} states are untold, each after the service gave a create another configuration")  # noqa: T201
    for node in untold:
        assert renamed(node), "\n".join(history(explorer, node))


async def _nothing(*_: object) -> None:
    """Left out."""


async def _absent(*_: object) -> resolve.Absent:
    return resolve.Absent()


async def _no_intents(*_: object) -> tuple[()]:
    return ()


def _no_strangers(*_: object) -> list[str]:
    return []


@pytest.mark.parametrize(
    ("room", "name", "instead", "scenario", "faults"),
    [
        pytest.param(Session, "confirm", lambda _: None, ALONE[0], ["journal is removed"], id="C1 the lock"),
        pytest.param(
            apply, "be_cold", _nothing, ALONE[0], ["takes effect 48 s", "another run"], id="C2 cold"
        ),
        pytest.param(create, "FRESH", 1e9, ALONE[1], ["11 s"], id="C3 a fresh look"),
        pytest.param(create, "resolve", _absent, ALONE[1], ["takes effect 48 s"], id="C5 lost replies"),
        pytest.param(
            resolve, "_unexplained", _no_strangers, PAIRS[3], ["other manifest", "at once"], id="C5 ambiguous"
        ),
        pytest.param(apply, "resolve_all", _no_intents, ALONE[1], ["is killed"], id="C7 open intents"),
        pytest.param(Run, "commit", lambda _: None, ALONE[1], ["is killed"], id="C9 recorded"),
    ],
)
def test_the_model_sees_when_a_rule_is_left_out(  # noqa: PLR0917 - a table's columns
    monkeypatch: pytest.MonkeyPatch,
    room: object,
    name: str,
    instead: object,
    scenario: Scenario,
    faults: list[str],
) -> None:
    monkeypatch.setattr(room, name, instead)

    assert not holds(Explorer(scenario, len(faults), only=tuple(faults)))
    monkeypatch.undo()
    assert holds(Explorer(scenario, len(faults), only=tuple(faults)))


def holds(explorer: Explorer) -> bool:
    """Whether the promise holds in all that is explored."""
    try:
        explorer.explore()
    except AssertionError:  # the model's own, at the send
        return False
    return all(verdict.node.broken for verdict in judge(explorer))
