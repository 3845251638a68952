"""Which creates wait for others: ``dependsOn``, canaries, and the files that tell how their batches fared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.order import also_observed
from reconciler.core.plan import plan
from reconciler.core.select import Selection
from reconciler.model.batch import Address, Batch, FileCounts, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.lock import Entry, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job, OnCancelled, Rerun
from reconciler.model.plan import ActionKind, Plan, ReasonCode, Unread
from reconciler.model.project import Limits
from reconciler.model.snapshot import Snapshot, Unknown
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model.snapshot import Seen

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
GOOD = FileCounts(10, 0)


def a_set(name: str, *directories: str, **more: Any) -> BatchSet:  # noqa: ANN401 - the fields of BatchSet
    return BatchSet(
        name=name,
        provider="p",
        job=Job(JobType.PARSE_V2, ById("cfg")),
        directories=tuple(ById(item) for item in directories),
        source=Source("a.yaml"),
        digest=name,
        locate=lambda path, *, key=False: Source("a.yaml"),
        **more,
    )


def key(directory: str) -> Key:
    return Key("https://api.example", "prj", directory, JobType.PARSE_V2, "cfg")


def desired(*sets: BatchSet) -> Desired:
    batches = [
        DesiredBatch(Address(item.name, there.id), key(there.id), item, index)
        for item in sets
        for index, there in enumerate(item.directories)
        if isinstance(there, ById)
    ]
    return Desired(tuple(sorted(batches, key=lambda want: want[:2])), {item.name: "t" for item in sets}, "m")


def planned(
    sets: Sequence[BatchSet],
    states: Mapping[str, Status | FileCounts | None],
    *,
    counts: dict[str, FileCounts] | None = None,
    selection: Selection | None = None,
) -> Plan:
    """A plan where directories have a batch in a status, a completed one with counts, or one that is unknown.

    Batches are as old as their directories' names say: ``d1`` is older than ``d2``.
    """
    seen: dict[Key, Seen] = {}
    entries = {}
    wanted = desired(*sets)
    for want in wanted.batches:
        name = want.key.directory
        if name not in states:
            seen[want.key] = ()
            continue
        state = states[name]
        if state is None:
            seen[want.key] = Unknown("it was not seen")
            continue
        status = Status.COMPLETED if isinstance(state, FileCounts) else state
        made = NOW - timedelta(hours=24 - int(name[1:]))
        batch = Batch(f"bat-{name}", want.key, status, made)
        seen[want.key] = (batch,)
        files = state if isinstance(state, FileCounts) else None
        item = Recorded(batch.id, status, Origin.CREATED, made, made, files=files)
        entries[want.key] = Entry(key=want.key, address=want.address, current=batch.id, batches=(item,))
    return plan(
        desired=wanted,
        snapshot=Snapshot(seen),
        lock=Lock(entries=entries),
        intents=(),
        facts={},
        now=NOW,
        limits=Limits(),
        selection=selection or Selection(),
        counts=counts,
    )


def created(made: Plan) -> list[str]:
    return [str(action.address) for action in made.actions if action.kind is ActionKind.CREATE]


def held(made: Plan) -> dict[str, str]:
    codes = {ReasonCode.DEPENDS_ON, ReasonCode.CANARY}
    return {str(a.address): a.reason.text for a in made.actions if a.reason.code in codes}


# dependsOn ----------------------------------------------------------------------------------------

FIRST = a_set("first", "d1", "d2")
SECOND = a_set("second", "e1", depends_on=("first",))
CANCELLED = "bat-d2 was cancelled; to run again, raise rerun.after or set rerun.onCancelled: rerun"
WAY_OUT = "run them again with rerun.after, or raise maxFailedFiles"
AGAIN = "; `reconciler apply --wait` goes on by itself"


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ({}, f"2 of 2 have not completed; first/d1 is to be created{AGAIN}"),
        ({"d1": GOOD}, f"1 of 2 have not completed; first/d2 is to be created{AGAIN}"),
        (
            {"d1": GOOD, "d2": Status.RUNNING},
            f"1 of 2 have not completed; first/d2 (bat-d2) is RUNNING{AGAIN}",
        ),
        (
            {"d1": GOOD, "d2": None},
            "1 of 2 have not completed; first/d2 is not known: it was not seen",
        ),
        (
            {"d1": GOOD, "d2": Status.CANCELLED},
            f"1 of 2 have not completed; first/d2 is blocked: {CANCELLED}",
        ),
        ({"d1": GOOD, "d2": Status.FAILED}, f"1 of 2 have not completed; first/d2 is to be created{AGAIN}"),
        (
            {"d1": GOOD, "d2": Status.COMPLETED},
            "how the files of bat-d2 at first/d2 fared could not be read; plan again",
        ),
        (
            {"d1": GOOD, "d2": FileCounts(10, 1)},
            f"1 of 20 files failed (5.0%), and maxFailedFiles is 0%; {WAY_OUT}",
        ),
        ({"d1": GOOD, "d2": GOOD}, None),
        ({"d1": FileCounts(0, 0), "d2": FileCounts(0, 0)}, None),
    ],
)
def test_a_set_waits_until_what_it_depends_on_has_ended_well(
    states: dict[str, Status | FileCounts | None], why: str | None
) -> None:
    made = planned((FIRST, SECOND), states)
    assert held(made) == ({} if why is None else {"second/e1": f"waits for first: {why}"})
    assert ("second/e1" in created(made)) == (why is None)


@pytest.mark.parametrize(("percent", "goes"), [(4.9, False), (5.0, True), (100.0, True)])
def test_the_share_of_failed_files_is_that_of_the_set_waited_for(percent: float, *, goes: bool) -> None:
    first = replace(FIRST, max_failed_files=percent)
    made = planned((first, SECOND), {"d1": GOOD, "d2": FileCounts(10, 1)})
    assert (created(made) == ["second/e1"]) == goes


def test_files_that_nobody_read_are_asked_for_and_then_count() -> None:
    states = {"d1": Status.COMPLETED, "d2": Status.COMPLETED}
    made = planned((FIRST, SECOND), states)
    assert made.unread == (Unread(key("d1"), "bat-d1"), Unread(key("d2"), "bat-d2"))
    some = planned((FIRST, SECOND), states, counts={"bat-d1": GOOD})
    assert some.unread == (Unread(key("d2"), "bat-d2"),)
    both = planned((FIRST, SECOND), states, counts={"bat-d1": GOOD, "bat-d2": GOOD})
    assert both.unread == ()
    assert created(both) == ["second/e1"]


def test_nothing_is_read_where_nothing_is_to_be_created() -> None:
    made = planned((FIRST, SECOND), {"d1": Status.COMPLETED, "d2": Status.COMPLETED, "e1": Status.RUNNING})
    assert made.unread == ()
    assert held(made) == {}


def test_a_set_without_directories_has_not_ended() -> None:
    """R7: its pattern fits nothing yet, or the listing came short; nobody has seen its batches end well."""
    made = planned((a_set("first"), SECOND), {})
    assert held(made) == {
        "second/e1": "waits for first: it has no directories; give it some, or take it out of dependsOn"
    }


def test_the_canary_does_not_depend_on_the_order_of_the_input() -> None:
    """R1."""
    item = a_set("s", "d1", "d2", "d3", canary=1)
    wanted = desired(item)
    plans = [
        plan(
            desired=replace(wanted, batches=batches),
            snapshot=Snapshot({want.key: () for want in batches}),
            lock=Lock(),
            intents=(),
            facts={},
            now=NOW,
            limits=Limits(),
            selection=Selection(),
        )
        for batches in permutations(wanted.batches)
    ]
    assert len({repr(made) for made in plans}) == 1
    assert created(plans[0]) == ["s/d1"]


def test_what_waits_is_waited_for_in_turn() -> None:
    third = a_set("third", "f1", depends_on=("second",))
    made = planned((FIRST, SECOND, third), {"d1": GOOD})
    assert created(made) == ["first/d2"]
    assert sorted(held(made)) == ["second/e1", "third/f1"]


def test_a_target_draws_nothing_in_and_waits_nevertheless() -> None:
    only = Selection(sets=frozenset({"second"}))
    made = planned((FIRST, SECOND), {"d1": GOOD}, selection=only)
    assert [str(action.address) for action in made.actions] == ["second/e1"]
    assert list(held(made)) == ["second/e1"]
    assert created(planned((FIRST, SECOND), {"d1": GOOD, "d2": GOOD}, selection=only)) == ["second/e1"]
    looked_at = also_observed(desired(FIRST, SECOND), only)
    assert [str(want.address) for want in looked_at] == ["first/d1", "first/d2"]
    assert also_observed(desired(FIRST, SECOND), Selection()) == []


# Canaries -----------------------------------------------------------------------------------------

FOUR = a_set("s", "d1", "d2", "d3", "d4", canary=1)


@pytest.mark.parametrize(
    ("canary", "states", "creates", "why"),
    [
        (1, {}, ["d1"], f"the canary: 1 of 1 have not completed; s/d1 is to be created{AGAIN}"),
        (2, {}, ["d1", "d2"], f"2 canaries: 2 of 2 have not completed; s/d1 is to be created{AGAIN}"),
        (4, {}, ["d1", "d2", "d3", "d4"], None),
        (9, {}, ["d1", "d2", "d3", "d4"], None),
        (
            1,
            {"d1": Status.RUNNING},
            [],
            f"the canary: 1 of 1 have not completed; s/d1 (bat-d1) is RUNNING{AGAIN}",
        ),
        (2, {"d3": GOOD}, ["d1"], f"2 canaries: 1 of 2 have not completed; s/d1 is to be created{AGAIN}"),
        (1, {"d1": GOOD}, ["d2", "d3", "d4"], None),
        (
            1,
            {"d1": Status.FAILED},
            ["d1"],
            f"the canary: 1 of 1 have not completed; s/d1 is to be created{AGAIN}",
        ),
        (
            1,
            {"d2": Status.COMPLETED},
            [],
            "the canary: how the files of bat-d2 at s/d2 fared could not be read; plan again",
        ),
        (
            1,
            {"d1": FileCounts(40, 3)},
            [],
            f"the canary: 3 of 40 files failed (7.5%), and maxFailedFiles is 5%; {WAY_OUT}",
        ),
        (1, {"d1": FileCounts(40, 2)}, ["d2", "d3", "d4"], None),
        # The oldest speak for the set; what came later does not.
        (1, {"d1": GOOD, "d2": FileCounts(1, 1)}, ["d3", "d4"], None),
        (
            1,
            {"d2": GOOD, "d1": Status.RUNNING},
            [],
            "the canary: 1 of 1 have not completed; s/d1 (bat-d1) is RUNNING" + AGAIN,
        ),
    ],
)
def test_the_rest_of_a_set_waits_for_its_canaries(
    canary: int, states: dict[str, Status | FileCounts | None], creates: list[str], why: str | None
) -> None:
    item = replace(FOUR, canary=canary, max_failed_files=5.0)
    made = planned((item,), states)
    assert created(made) == [f"s/{name}" for name in creates]
    rest = {f"s/{name}" for name in ("d1", "d2", "d3", "d4") if name not in states} - set(created(made))
    assert held(made) == ({} if why is None else dict.fromkeys(sorted(rest), f"waits for {why}"))


def test_a_rerun_of_a_whole_set_begins_with_its_canary_again() -> None:
    again = replace(FOUR, rerun=Rerun(after=NOW - timedelta(hours=1)))
    made = planned((again,), dict.fromkeys(("d1", "d2", "d3", "d4"), GOOD))
    assert created(made) == ["s/d1"]
    assert list(held(made)) == ["s/d2", "s/d3", "s/d4"]


def test_a_cancelled_canary_that_is_run_again_is_still_the_canary() -> None:
    item = replace(FOUR, rerun=Rerun(on_cancelled=OnCancelled.RERUN))
    made = planned((item,), {"d2": Status.CANCELLED})
    assert created(made) == ["s/d2"]


def test_both_orders_hold_and_the_set_waited_for_is_named_first() -> None:
    both = replace(FOUR, depends_on=("first",))
    made = planned((FIRST_OF_OTHERS, both), {})
    assert set(held(made).values()) == {
        f"waits for first: 1 of 1 have not completed; first/x1 is to be created{AGAIN}"
    }
    free = planned((FIRST_OF_OTHERS, both), {"x1": GOOD})
    assert created(free) == ["s/d1"]


FIRST_OF_OTHERS = a_set("first", "x1")
