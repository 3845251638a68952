"""`apply --wait` and `--max-in-flight` on virtual time: what is created when, and what has to wait."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from engine_world import CONFIGURATION, World, wanted

from reconciler.model.batch import Status
from reconciler.model.desired import DesiredBatch
from reconciler.model.errors import (
    AuthenticationError,
    GivenUpError,
    LimitError,
    ServiceError,
    StalePlanError,
    UnavailableError,
)
from reconciler.model.manifest import OnChange, Rerun
from reconciler.model.plan import ReasonCode
from reconciler.model.project import Limits
from reconciler.model.result import Outcome
from reconciler.model.saved import SavedAction, SavedPlan

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.ports import Listing, Page
    from reconciler.model.result import Applied

TAKES = 100.0


def project(folder: Path, *, ends: dict[str, Status] | None = None, **policy: object) -> World:
    """Set ``a`` over two directories, and ``b`` over two others, with a policy of b's; batches take 100 s.

    Args:
        folder: for the state.
        ends: by directory, how its batches end; COMPLETED unless said otherwise.
        policy: fields of set b.
    """
    world = World(folder, 0)
    world.service.there |= {"a1", "a2", "b1", "b2"}
    world.warm()
    names = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2")]
    for name, directory in names:
        want = wanted(name, directory, Rerun(), CONFIGURATION)
        if name == "b":
            want = DesiredBatch(want.address, want.key, replace(want.set, **policy), 0)  # type: ignore[arg-type]
        world.also.append(want)
    world.sets = {"a": "a", "b": "b"}

    def pass_time(_: str) -> None:
        for row in world.service.rows:
            if row.exists + TAKES <= world.time.seconds and not row.batch.status.terminal:
                end = (ends or {}).get(row.batch.key.directory, Status.COMPLETED)
                row.batch = row.batch._replace(status=end)

    world.service.on_request = pass_time
    return world


def created_at(world: World) -> dict[str, int]:
    """In which multiple of a batch's time each directory's batch was made."""
    return {row.batch.key.directory: int(row.exists // TAKES) for row in world.service.rows}


def outcomes(applied: Applied) -> dict[str, Outcome]:
    return {str(result.action.address): result.outcome for result in applied.results}


CREATED = dict.fromkeys(("a/a1", "a/a2", "b/b1", "b/b2"), Outcome.CREATED)


def test_without_wait_what_depends_on_others_is_blocked_and_comes_with_a_later_apply(tmp_path: Path) -> None:
    world = project(tmp_path, depends_on=("a",))
    assert outcomes(world.apply()) == CREATED | {"b/b1": Outcome.BLOCKED, "b/b2": Outcome.BLOCKED}
    assert outcomes(world.apply()) == {"b/b1": Outcome.BLOCKED, "b/b2": Outcome.BLOCKED}
    world.time.seconds += TAKES
    assert outcomes(world.apply()) == {"b/b1": Outcome.CREATED, "b/b2": Outcome.CREATED}


def test_with_wait_one_apply_creates_one_set_after_the_other(tmp_path: Path) -> None:
    world = project(tmp_path, depends_on=("a",))
    world.wait = True
    applied = world.apply()
    assert outcomes(applied) == CREATED
    made = created_at(world)
    assert made["a1"] == made["a2"]
    assert made["b1"] == made["b2"] > made["a1"]
    assert {batch.status for batch in applied.batches} == {Status.COMPLETED}
    assert len(applied.batches) == 4
    assert not world.plan().changes
    assert {entry.recorded.files for entry in world.lock.entries.values()} == {(1, 0)}


def test_nothing_is_created_in_a_wave_of_a_plan_that_nobody_approved(tmp_path: Path) -> None:
    """A plan that only holds creates back changes nothing now, and would spend all of it later."""
    world = project(tmp_path, depends_on=("a",))
    world.apply()
    assert not world.plan().changes
    world.wait = True
    world.apply(approve=False)
    assert sorted(created_at(world)) == ["a1", "a2"]
    assert outcomes(world.apply()) == {"b/b1": Outcome.CREATED, "b/b2": Outcome.CREATED}


def test_the_canary_goes_first_and_the_rest_when_it_has_fared_well(tmp_path: Path) -> None:
    world = project(tmp_path, canary=1)
    world.wait = True
    assert outcomes(world.apply()) == CREATED
    made = created_at(world)
    assert made["a1"] == made["a2"] == made["b1"] < made["b2"]


@pytest.mark.parametrize("policy", [{"depends_on": ("a",)}, {"canary": 1}])
def test_what_ended_badly_is_not_followed_and_the_run_says_why(
    tmp_path: Path, policy: dict[str, object]
) -> None:
    first = "a1" if "depends_on" in policy else "b1"
    world = project(tmp_path, ends={first: Status.FAILED}, **policy)
    world.wait = True
    applied = world.apply()
    blocked = {name for name, outcome in outcomes(applied).items() if outcome is Outcome.BLOCKED}
    assert blocked == ({"b/b1", "b/b2"} if "depends_on" in policy else {"b/b2"})
    assert {result.action.reason.code for result in applied.results if result.outcome is Outcome.BLOCKED} <= {
        ReasonCode.DEPENDS_ON,
        ReasonCode.CANARY,
    }
    assert Status.FAILED in {batch.status for batch in applied.batches}
    assert not {"b2"} & created_at(world).keys()


def test_failed_files_hold_the_rest_back_unless_they_are_few_enough(tmp_path: Path) -> None:
    for percent, goes in ((0.0, False), (100.0, True)):
        world = project(tmp_path / str(goes), canary=1, max_failed_files=percent)
        world.wait = True
        world.service.on_results = lambda name, there=world.service: tuple(  # type: ignore[misc]
            replace(result, job=None, error="unreadable") for result in there.one_result(name) or ()
        )
        applied = world.apply()
        assert ("b2" in created_at(world)) == goes
        assert applied.failed_files == (4 if goes else 3)
        if not goes:
            why = next(r.action.reason.text for r in applied.results if r.outcome is Outcome.BLOCKED)
            assert why.startswith(
                "waits for the canary: 1 of 1 files failed (100.0%), and maxFailedFiles is 0%"
            )


def test_a_wave_that_goes_past_a_limit_is_not_created_and_what_was_is_recorded(tmp_path: Path) -> None:
    world = project(tmp_path, depends_on=("a",))
    world.wait = True
    with pytest.raises(LimitError, match="maxCreates is 3 and the plan has 4"):
        world.apply(limits=Limits(max_creates=3))
    assert sorted(created_at(world)) == ["a1", "a2"]
    assert sorted(str(entry.address) for entry in world.lock.entries.values()) == ["a/a1", "a/a2"]


def test_who_confirms_a_plan_within_the_limits_lifts_none_for_its_waves(tmp_path: Path) -> None:
    """R15: a digest names the creates that go now, and never what is held back."""
    world = project(tmp_path, depends_on=("a",))
    world.wait, world.confirmed = True, world.plan().digest
    with pytest.raises(LimitError, match="maxCreates is 3 and the plan has 4"):
        world.apply(limits=Limits(max_creates=3))
    assert sorted(created_at(world)) == ["a1", "a2"]


@pytest.mark.parametrize(("most", "goes"), [(1, False), (2, True)])
def test_what_was_confirmed_past_a_limit_leaves_the_limit_for_the_rest(
    tmp_path: Path, most: int, *, goes: bool
) -> None:
    world = project(tmp_path, depends_on=("a",))
    third = wanted("a", "a3", Rerun(), CONFIGURATION)
    world.service.there.add("a3")
    world.also.append(third)
    world.wait, world.confirmed = True, world.plan().digest
    if goes:
        assert len(outcomes(world.apply(limits=Limits(max_creates=most)))) == 5
        return
    with pytest.raises(LimitError, match="maxCreates is 1 and the plan has 2") as caught:
        world.apply(limits=Limits(max_creates=most))
    assert sorted(created_at(world)) == ["a1", "a2", "a3"]
    assert world.plan().digest in (caught.value.next or "")  # the next apply can confirm just that


@pytest.mark.parametrize("read", [True, False])
def test_what_only_the_facts_let_go_is_looked_up_before_it_is_created(tmp_path: Path, *, read: bool) -> None:
    """R14: a changed file takes a bad canary out, the next one fared well, and what it held back may go."""
    rerun = Rerun(on_input_change=OnChange.RERUN)
    world = project(tmp_path, rerun=rerun, canary=1, max_failed_files=100.0)
    world.service.on_results = lambda name: tuple(
        replace(result, job=None, error="unreadable") if name == "bat-1" else result
        for result in world.service.one_result(name) or ()
    )
    both, world.also = world.also[2:], []
    for want in both:
        world.also.append(want)
        world.wait = read
        world.apply()
        world.time.seconds += TAKES
        world.apply()
    world.wait = False
    assert [row.batch.key.directory for row in world.service.rows] == ["b1", "b2"]
    assert not world.plan().changes
    strict = replace(both[0].set, max_failed_files=0.0)
    gone = wanted("b", "b3", rerun, CONFIGURATION)
    world.also = [want._replace(set=strict) for want in (*both, gone)]
    assert world.plan().actions[-1].reason.code is ReasonCode.CANARY
    world.service.changed["b1"] = world.time.now()
    assert "b3" not in world.service.there
    applied = world.apply()
    assert outcomes(applied)["b/b1"] is Outcome.CREATED
    assert outcomes(applied)["b/b3"] is Outcome.BLOCKED
    assert "b3" not in created_at(world)


def test_the_run_s_time_bounds_the_waiting_too(tmp_path: Path) -> None:
    world = project(tmp_path, depends_on=("a",))
    world.wait, world.timeout = True, TAKES / 2
    applied = world.apply()
    assert applied.timed_out
    assert sorted(created_at(world)) == ["a1", "a2"]
    world.timeout = None
    assert outcomes(world.apply()) == {"b/b1": Outcome.CREATED, "b/b2": Outcome.CREATED}


@pytest.mark.parametrize("error", [GivenUpError("no answer"), AuthenticationError("no such key")], ids=repr)
@pytest.mark.parametrize("wait", [True, False])
def test_a_service_that_dies_meanwhile_ends_the_run_and_what_was_done_is_told(
    tmp_path: Path, error: ServiceError, *, wait: bool
) -> None:
    """With ``wait``, the run waits for a's batches then; without, for places of b's, which are held back."""
    world = project(tmp_path, depends_on=("a",) if wait else ())
    world.wait, world.max_in_flight = wait, None if wait else 2
    passes = world.service.on_request

    def die(what: str) -> None:
        passes(what)
        if world.time.seconds > TAKES / 2:
            raise error

    world.service.on_request = die
    applied = world.apply()
    left = Outcome.BLOCKED if wait else Outcome.NOT_STARTED
    assert outcomes(applied) == CREATED | {"b/b1": left, "b/b2": left}
    assert (applied.ended, sorted(created_at(world))) == (str(error), ["a1", "a2"])


def test_what_was_held_back_and_is_not_known_any_more_is_not_called_blocked(tmp_path: Path) -> None:
    """R7."""
    world = project(tmp_path, depends_on=("a",))
    world.wait = True

    def fail(listing: Listing, _: str | None, page: Page) -> Page:
        if listing.directory != "a1" and world.time.seconds > TAKES / 2:
            raise UnavailableError("try again later")
        return page

    world.service.on_list = fail
    applied = world.apply()
    assert outcomes(applied) == CREATED | {"b/b1": Outcome.UNSEEN, "b/b2": Outcome.UNSEEN}


# --max-in-flight ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "rounds"), [(1, [0, 1, 2, 3]), (2, [0, 0, 1, 1]), (3, [0, 0, 0, 1])])
def test_creates_are_held_back_until_fewer_batches_run(tmp_path: Path, limit: int, rounds: list[int]) -> None:
    world = project(tmp_path)
    world.max_in_flight = limit
    start = world.time.seconds
    running: list[int] = []
    world.service.on_create = lambda _: running.append(
        sum(1 for batch in world.service.existing() if not batch.status.terminal)
    )
    assert outcomes(world.apply()) == CREATED
    assert max(running) < limit
    made = sorted(row.exists - start for row in world.service.rows)
    # A place is free at the first look after a batch ended, and looks are at most 30 s apart.
    for at, number in zip(made, rounds, strict=True):
        assert number * TAKES <= at < number * (TAKES + 31) + 1


def test_what_ran_before_counts_too(tmp_path: Path) -> None:
    world = project(tmp_path)
    everything, world.also = world.also, world.also[:1]
    world.apply()
    world.also, world.max_in_flight = everything, 1
    assert set(outcomes(world.apply()).values()) == {Outcome.CREATED}
    assert sorted(row.exists // TAKES for row in world.service.rows) == [0, 1, 2, 3]


def test_what_changed_while_a_create_waited_for_its_place_was_part_of_it(tmp_path: Path) -> None:
    """R3: else its files would be paid for once more, for a change that the batch has in it already."""
    world = project(tmp_path, rerun=Rerun(on_input_change=OnChange.RERUN))
    world.also = world.also[2:]
    world.max_in_flight = 1

    def change(_: object) -> None:
        world.service.changed.setdefault("b2", world.time.now())

    world.service.on_create = change
    assert outcomes(world.apply()) == {"b/b1": Outcome.CREATED, "b/b2": Outcome.CREATED}
    world.time.seconds += TAKES
    assert not world.plan().changes


def test_a_directory_that_went_while_its_create_waited_for_a_place_is_not_created_on(tmp_path: Path) -> None:
    """R14."""
    world = project(tmp_path)
    world.also = world.also[2:]
    world.max_in_flight = 1
    world.service.on_create = lambda _: world.service.there.discard("b2")
    assert outcomes(world.apply()) == {"b/b1": Outcome.CREATED, "b/b2": Outcome.BLOCKED}


def test_a_batch_that_is_gone_keeps_no_place(tmp_path: Path) -> None:
    world = project(tmp_path)
    everything, world.also = world.also, world.also[:1]
    world.apply()
    gone = world.service.rows[0]
    gone.exists = gone.listed = math.inf
    world.also, world.max_in_flight = everything[:2], 1
    assert outcomes(world.apply()) == {"a/a1": Outcome.UNSEEN, "a/a2": Outcome.CREATED}
    assert world.service.rows[-1].exists < TAKES


def test_a_saved_plan_creates_what_it_has_and_not_what_it_holds_back(tmp_path: Path) -> None:
    world = project(tmp_path, depends_on=("a",))
    world.wait = True
    made = world.plan()
    world.saved = SavedPlan(
        file="plan.json",
        own="sha256:own",
        digest=made.digest,
        lineage=made.lineage,
        state=made.state,
        manifests=made.manifests,
        targets=(),
        actions=tuple(
            SavedAction(item.kind.value, str(item.address), str(item.key), item.reason.code.value)
            for item in made.actions
        ),
    )
    applied = world.apply(approve=False)
    assert outcomes(applied) == CREATED | {"b/b1": Outcome.BLOCKED, "b/b2": Outcome.BLOCKED}
    assert {batch.status for batch in applied.batches} == {Status.COMPLETED}
    assert world.lock.plan == "sha256:own"
    with pytest.raises(StalePlanError, match="it was applied already"):
        world.apply()
