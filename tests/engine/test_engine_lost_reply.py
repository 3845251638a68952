"""A create whose reply was lost: found, absent or open (C5, C6), by the next run (C7), or late (C10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_world import SETTLE, Fault, Lost, World, wanted

from reconciler.model.batch import Status
from reconciler.model.errors import UnavailableError
from reconciler.model.events import Waiting
from reconciler.model.lock import Origin
from reconciler.model.plan import ReasonCode
from reconciler.model.result import Finding, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.batch import Key
    from reconciler.model.ports import Listing, Page

CREATED, FOUND, FAILED, UNKNOWN = Outcome.CREATED, Outcome.FOUND, Outcome.FAILED, Outcome.UNKNOWN


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One desired directory, on a service without faults; the last run closed its journal."""
    world = World(tmp_path)
    world.warm()
    return world


def recorded(world: World) -> list[tuple[str, list[tuple[str, Origin]]]]:
    """What stands for each key, and all that is recorded of it."""
    return [
        (entry.current, [(item.id, item.origin) for item in entry.batches])
        for entry in world.lock.entries.values()
    ]


def no_listing_after_the_send(world: World) -> None:
    def fail(_: Listing, __: str | None, page: Page) -> Page:
        if world.service.count("create"):
            raise UnavailableError("503", status=503)
        return page

    world.service.on_list = fail


def meanwhile(world: World, late: float = 0.0) -> None:
    """While the create is under way, somebody else makes the same batch."""

    def on_create(_: Key) -> None:
        world.service.put("dir-001", late=late)

    world.service.on_create = on_create


@pytest.mark.parametrize("lag", [0.0, 1.0, SETTLE / 2, SETTLE])
def test_c5_a_batch_that_is_listed_late_is_found(world: World, lag: float) -> None:
    world.service.script.append(Lost())
    world.service.lag = lag

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [FOUND]
    assert recorded(world) == [("bat-1", [("bat-1", Origin.FOUND)])]
    assert world.service.count("create") == 1


@pytest.mark.parametrize(("late", "lag"), [(SETTLE / 2, SETTLE / 2), (SETTLE, 0.0), (1.0, SETTLE - 1)])
def test_c5_a_create_that_takes_effect_late_is_found_and_never_made_twice(
    world: World, late: float, lag: float
) -> None:
    world.service.script.append(Lost(late))
    world.service.lag = lag
    world.service.latency = 0.25

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [FOUND]
    assert world.service.count("create") == len(world.service.existing()) == 1
    assert applied.findings == ()


def test_c5_it_is_looked_for_over_the_directory_alone_and_no_more_often_than_it_takes(world: World) -> None:
    world.service.script.append(Lost(SETTLE))

    world.apply()

    # one look for the plan, one before the send, seven within the settle time, and one a settle time later
    assert world.service.requests.count("list dir-001") == 2 + 7 + 1
    assert world.service.count("list") == 2 + 7 + 1


def test_c5_several_new_batches_of_the_key_are_duplicates_reported_once(world: World) -> None:
    world.service.script.append(Lost(8.0))
    begun = world.time.seconds
    meanwhile(world, late=8.0)

    applied = world.apply()

    (want,) = world.desired.batches
    assert [r.outcome for r in applied.results] == [FOUND]
    finding = Finding(want.address, want.key, ("bat-1", "bat-2"), ambiguous=False, stands="bat-2")
    assert applied.findings == (finding,)
    assert recorded(world) == [("bat-2", [("bat-1", Origin.FOUND), ("bat-2", Origin.FOUND)])]
    assert [(line.action, line.batch, line.outcome) for line in world.ledger.lines] == [
        ("duplicate", "bat-1", "recorded"),
        ("create", "bat-2", "found"),
    ]
    assert world.time.seconds == begun + SETTLE


def test_c5_of_several_new_batches_one_that_runs_stands_before_one_that_failed(world: World) -> None:
    world.service.script.append(Lost())
    meanwhile(world)
    world.service.on_request = lambda what: (
        world.service.set("bat-2", Status.FAILED) if what == "after create" else None
    )

    world.apply()

    assert recorded(world) == [("bat-1", [("bat-1", Origin.FOUND), ("bat-2", Origin.FOUND)])]


def test_c5_a_new_batch_with_a_configuration_that_nobody_asked_for_is_ambiguous(world: World) -> None:
    world.service.script.append(Lost())
    world.service.renames = {"cfg-1": "cfg-echo"}

    applied = world.apply()

    (want,) = world.desired.batches
    assert [r.outcome for r in applied.results] == [UNKNOWN]
    assert applied.findings == (Finding(want.address, want.key, ("bat-1",), ambiguous=True),)
    assert world.lock.entries == {}
    assert [intent.key for intent in world.journal.open] == [want.key]
    assert [action.reason.code for action in world.plan().actions] == [ReasonCode.OPEN_INTENT]

    again = world.apply()

    assert [r.outcome for r in again.results] == [UNKNOWN]
    assert again.findings == applied.findings
    assert world.service.count("create") == 1


def test_c5_a_new_batch_of_another_desired_key_over_the_directory_is_no_stranger(world: World) -> None:
    world.also = [wanted("zoo", "dir-001", world.rerun, "cfg-2")]
    world.service.fault = lambda key: Lost(4.0) if key.configuration == "cfg-2" else None

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [CREATED, FOUND]
    assert applied.findings == ()


def test_c5_a_lost_create_that_came_out_as_another_desired_key_is_not_sent_again(world: World) -> None:
    """The service takes two configurations for one, so no later run may believe that the first never came."""
    world.also = [wanted("zoo", "dir-001", world.rerun, "cfg-2")]
    world.service.script.append(Lost())
    world.service.renames = {"cfg-1": "cfg-2"}

    applied, again = world.apply(), world.apply()

    first, _ = world.desired.batches
    assert [r.outcome for r in applied.results] == [UNKNOWN, Outcome.ADOPTED]
    assert applied.findings == (Finding(first.address, first.key, ("bat-1",), ambiguous=True),)
    assert again.findings == applied.findings
    assert [intent.key for intent in world.journal.open] == [first.key]
    assert world.service.count("create") == 1


def test_c6_what_cannot_be_looked_for_stays_open_and_the_next_run_resolves_it_first(world: World) -> None:
    world.service.script.append(Lost())
    no_listing_after_the_send(world)

    applied = world.apply()

    assert [(r.outcome, r.why) for r in applied.results] == [
        (UNKNOWN, "the reply was lost; the listing is incomplete: 503")
    ]
    assert world.service.requests.count("list dir-001") == 2 + 5
    (intent,) = world.journal.open
    assert not world.journal.warm

    world.service.on_list = lambda _, __, page: page
    world.forget()
    again = world.apply()

    assert (again.results, again.findings) == ((), ())
    assert world.service.count("create") == 0
    assert recorded(world) == [("bat-1", [("bat-1", Origin.FOUND)])]
    assert [(line.action, line.outcome, line.batch) for line in world.ledger.lines] == [
        ("resolve", "found", "bat-1")
    ]
    # Who ran that says its own audit file; one that was killed at once may have left none.
    assert f"by run {intent.run}, had no reply" in world.ledger.lines[0].why
    assert not world.journal.open


def test_c6_as_long_as_it_cannot_be_looked_for_every_run_says_so_and_sends_nothing(world: World) -> None:
    world.service.script.append(Lost())
    no_listing_after_the_send(world)
    world.apply()

    for _ in range(3):
        assert [r.outcome for r in world.apply().results] == [UNKNOWN]

    assert world.service.count("create") == 1
    assert len(world.journal.open) == 1


def test_c7_an_open_intent_that_came_to_nothing_is_closed_and_the_plan_decides_anew(world: World) -> None:
    world.service.script.append(Lost(None))
    no_listing_after_the_send(world)
    world.apply()
    world.service.on_list = lambda _, __, page: page
    world.forget()
    begun = world.time.seconds

    applied = world.apply()

    assert [(r.action.reason.code, r.outcome) for r in applied.results] == [(ReasonCode.MISSING, CREATED)]
    assert [(line.action, line.outcome) for line in world.ledger.lines] == [
        ("resolve", "absent"),
        ("create", "created"),
    ]
    # the settle time of the lost reply, that of a cold run, and that of the second look (C10)
    assert world.time.seconds == pytest.approx(begun + 3 * SETTLE)
    assert world.journal.warm


def test_c7_an_open_intent_that_is_no_longer_desired_is_looked_for_all_the_same(world: World) -> None:
    world.service.script.append(Lost())
    no_listing_after_the_send(world)
    world.apply()
    world.service.on_list = lambda _, __, page: page
    world.names = []

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.FORGOTTEN]
    assert world.service.count("create") == 1


def test_c10_a_create_that_took_effect_after_it_was_sent_again_is_found_and_reported(world: World) -> None:
    world.service.script += [Lost(1.5 * SETTLE), None]

    applied = world.apply()

    (want,) = world.desired.batches
    assert [r.outcome for r in applied.results] == [CREATED]
    finding = Finding(want.address, want.key, ("bat-1", "bat-2"), ambiguous=False, stands="bat-2")
    assert applied.findings == (finding,)
    assert recorded(world) == [("bat-2", [("bat-1", Origin.FOUND), ("bat-2", Origin.CREATED)])]
    waits = [event.why for event in world.events if isinstance(event, Waiting)]
    assert waits[-1] == "looking once more for batches that came late"
    assert not world.plan().changes


@pytest.mark.parametrize(
    ("script", "stands"),
    [
        pytest.param([Lost(1.2 * SETTLE), Lost(0.5 * SETTLE)], "bat-1", id="the first comes first"),
        pytest.param([Lost(1.8 * SETTLE), Lost(0.2 * SETTLE)], "bat-2", id="the second comes first"),
        pytest.param([Lost(1.5 * SETTLE), Lost(0.4375 * SETTLE)], "bat-1", id="both between two looks"),
    ],
)
def test_c10_two_lost_replies_that_both_took_effect_are_reported_once(
    world: World, script: list[Fault], stands: str
) -> None:
    world.service.script += script

    applied = world.apply()

    (want,) = world.desired.batches
    assert [r.outcome for r in applied.results] == [FOUND]
    finding = Finding(want.address, want.key, ("bat-1", "bat-2"), ambiguous=False, stands=stands)
    assert applied.findings == (finding,)
    assert recorded(world) == [(stands, [("bat-1", Origin.FOUND), ("bat-2", Origin.FOUND)])]


def test_c10_a_create_that_failed_twice_and_took_effect_late_once_is_found(world: World) -> None:
    world.service.script += [Lost(1.9 * SETTLE), Lost(None)]
    world.service.latency = 1.0

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [FOUND]
    assert recorded(world) == [("bat-1", [("bat-1", Origin.FOUND)])]
    assert applied.findings == ()


def test_c10_what_was_found_alone_is_no_finding(world: World) -> None:
    world.service.script.append(Lost())

    assert world.apply().findings == ()


def test_c10_a_run_in_which_every_reply_named_its_batch_ends_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, 20)
    world.warm()
    begun = world.time.seconds

    world.apply()

    assert world.time.seconds == begun
    assert world.service.requests.count("list dir-001") == 1  # a scan for the plan, one look before the send


def test_c10_a_last_look_that_fails_is_said_and_breaks_nothing(world: World) -> None:
    from reconciler.model.errors import AuthenticationError
    from reconciler.model.events import Warned

    world.service.script += [Lost(None), None]

    def fail(_: Listing, __: str | None, page: Page) -> Page:
        if world.service.count("create") == 2:
            raise AuthenticationError("401", status=401)
        return page

    world.service.on_list = fail

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [CREATED]
    assert [event.message for event in world.events if isinstance(event, Warned)] == [
        "set/dir-001: the last look failed, so it proves nothing: 401"
    ]
