"""C10's look back: each run looks for what came late to the runs of the last day, and reports it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_time import START
from engine_world import CONFIGURATION, SETTLE, Lost, World, wanted

from reconciler.model.batch import Status
from reconciler.model.errors import LimitError, UnavailableError
from reconciler.model.events import Warned
from reconciler.model.lock import Origin
from reconciler.model.manifest import OnChange, Rerun
from reconciler.model.project import Limits
from reconciler.model.result import Finding, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.ports import Listing, Page

HOUR = 3600.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.warm()
    return world


def duplicate(world: World, *names: str, stands: str) -> Finding:
    (want, *_) = world.desired.batches
    return Finding(want.address, want.key, names, ambiguous=False, stands=stands)


def recorded(world: World) -> list[tuple[str, Origin]]:
    return [(item.id, item.origin) for entry in world.lock.entries.values() for item in entry.batches]


def test_what_took_effect_after_its_run_had_ended_is_reported_once_by_the_next_one(world: World) -> None:
    world.service.script += [Lost(3 * SETTLE), None]
    assert world.apply().findings == ()
    assert len(world.service.existing()) == 1
    world.time.seconds += HOUR
    world.forget()

    applied = world.apply()

    assert applied.findings == (duplicate(world, "bat-1", "bat-2", stands="bat-2"),)
    assert recorded(world) == [("bat-1", Origin.FOUND), ("bat-2", Origin.CREATED)]
    assert [(line.action, line.batch, line.outcome) for line in world.ledger.lines] == [
        ("duplicate", "bat-1", "recorded")
    ]
    assert "list *" in world.service.requests
    assert world.apply().findings == ()
    assert world.service.count("create") == 0


def test_one_listing_from_the_oldest_recent_create_on_does_for_all_of_a_service(tmp_path: Path) -> None:
    world = World(tmp_path, directories=40)
    world.warm()
    world.apply()
    world.time.seconds += HOUR
    world.forget()
    asked: list[Listing] = []

    def on_list(listing: Listing, _: str | None, page: Page) -> Page:
        asked.append(listing)
        return page

    world.service.on_list = on_list
    world.apply()

    created = min(batch.created_at for batch in world.service.existing() if batch.created_at)
    whole = [listing for listing in asked if listing.created_on_or_after is not None]
    assert [(item.created_on_or_after, item.directory, item.status) for item in whole] == [
        (created - (START.replace(hour=1) - START), None, None)
    ]


def test_a_day_later_nobody_looks_back(world: World) -> None:
    world.service.script += [Lost(3 * SETTLE), None]
    world.apply()
    world.time.seconds += 25 * HOUR
    world.forget()

    applied = world.apply()

    assert applied.findings == ()
    assert world.service.requests == ["get bat-2"]


@pytest.mark.parametrize(
    ("status", "found"), [(Status.FAILED, False), (Status.CANCELLED, False), (Status.COMPLETED, True)]
)
def test_only_what_stands_is_a_duplicate(world: World, status: Status, *, found: bool) -> None:
    world.apply()
    world.service.put("dir-001", status=status)

    applied = world.apply()

    assert applied.findings == ((duplicate(world, "bat-1", "bat-2", stands="bat-1"),) if found else ())


def test_beside_a_failed_batch_another_one_is_adopted_and_no_duplicate(world: World) -> None:
    world.apply()
    world.service.set("bat-1", Status.FAILED)
    world.service.put("dir-001")

    applied = world.apply()

    assert (applied.findings, [r.outcome for r in applied.results]) == ((), [Outcome.ADOPTED])


def test_a_listing_that_fails_is_a_warning_and_no_proof(world: World) -> None:
    world.service.script += [Lost(3 * SETTLE), None]
    world.apply()
    world.time.seconds += HOUR

    def fails(listing: Listing, _: str | None, page: Page) -> Page:
        if listing.directory is None:
            raise UnavailableError("503", status=503)
        return page

    world.service.on_list = fails
    world.forget()
    assert world.apply().findings == ()
    assert [e.message for e in world.events if isinstance(e, Warned)] == [
        "late twins of recent creates could not be looked for: the listing is incomplete: 503"
    ]
    world.service.on_list = lambda _, __, page: page
    assert world.apply().findings == (duplicate(world, "bat-1", "bat-2", stands="bat-2"),)


def test_a_twin_that_was_made_for_changed_files_is_adopted_and_nothing_is_made_a_third_time(
    world: World,
) -> None:
    """The state of another job that was not handed on: its batch is the one that is wanted now."""
    world.rerun = Rerun(on_input_change=OnChange.RERUN)
    world.apply()
    world.service.set("bat-1", Status.COMPLETED)
    world.apply()
    world.time.seconds += HOUR
    world.service.changed["dir-001"] = world.time.now()
    world.time.seconds += HOUR
    world.service.put("dir-001", status=Status.COMPLETED)

    applied = world.apply()

    assert [r.outcome for r in applied.results] == [Outcome.ADOPTED]
    assert applied.findings == ()
    assert world.apply().findings == ()
    assert world.service.count("create") == 1


def test_an_earlier_rerun_is_no_twin_of_what_is_adopted_after_it(world: World) -> None:
    world.service.put("dir-001", status=Status.COMPLETED)
    world.time.seconds += 2 * HOUR
    world.service.put("dir-001", status=Status.COMPLETED)

    assert [r.outcome for r in world.apply().results] == [Outcome.ADOPTED]
    assert world.apply().findings == ()


def test_a_run_that_is_refused_leaves_the_report_to_the_next_one(world: World) -> None:
    world.service.script += [Lost(3 * SETTLE), None]
    world.apply()
    world.time.seconds += HOUR
    world.names.append("dir-002")
    world.service.there.add("dir-002")

    with pytest.raises(LimitError):
        world.apply(limits=Limits(max_creates=0))
    world.apply(approve=False)

    assert world.apply().findings == (duplicate(world, "bat-1", "bat-2", stands="bat-2"),)


def test_the_command_that_is_told_goes_by_the_address_that_the_batch_has_in_the_end(world: World) -> None:
    world.service.script += [Lost(3 * SETTLE), None]
    world.apply()
    world.time.seconds += HOUR
    world.names, world.also = [], [wanted("other", "dir-001", world.rerun, CONFIGURATION)]
    world.sets = {"other": "sha256:other"}

    (finding,) = world.apply().findings

    assert str(finding.address) == "other/dir-001"


def test_of_what_is_forgotten_no_twin_is_told(world: World) -> None:
    world.service.script += [Lost(3 * SETTLE), None]
    world.apply()
    world.time.seconds += HOUR
    world.names = []

    assert world.apply().findings == ()


def test_a_run_that_is_killed_after_it_found_a_twin_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    """What is in the lockfile is told to nobody again: so it gets there with the very end of the run."""
    told = silent = 0
    for instant in range(100):
        folder = tmp_path / str(instant)
        folder.mkdir()
        world = World(folder)
        world.warm()
        world.service.script += [Lost(3 * SETTLE), None]
        world.apply()
        world.time.seconds += HOUR
        world.names.append("dir-002")  # whose lost reply keeps the run for a second look
        world.service.there.add("dir-002")
        world.service.script.append(Lost())
        came = world.die_at(instant)
        if len(came) <= instant:
            break
        if "before list *" not in came:
            continue  # it had not looked back yet
        in_the_lockfile = '"bat-1"' in (folder / "reconciler.lock").read_text()

        findings = world.apply().findings

        expected = () if in_the_lockfile else (duplicate(world, "bat-1", "bat-2", stands="bat-2"),)
        assert findings == expected, came
        told, silent = told + (not in_the_lockfile), silent + in_the_lockfile
    # Silent are the instants of writing the lockfile and of what follows it: the audit log has its line.
    assert told >= silent > 0
