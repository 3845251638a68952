"""Observing: what is asked for (O1-O3), what gaps mean (O5, R7); waiting; and what an apply costs."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from engine_world import World

from reconciler.engine.listing import read_pass
from reconciler.model.batch import Status
from reconciler.model.errors import NotFoundError, UnavailableError
from reconciler.model.events import Event, Pending, Progressed
from reconciler.model.manifest import Rerun
from reconciler.model.plan import ActionKind
from reconciler.model.ports import Page
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.model.batch import Batch
    from reconciler.model.ports import Listing

CREATE, ADOPT, KEEP, UNRESOLVED = (
    ActionKind.CREATE,
    ActionKind.ADOPT,
    ActionKind.KEEP,
    ActionKind.UNRESOLVED,
)


def warm(folder: Path, directories: int) -> World:
    world = World(folder, directories)
    world.warm()
    return world


@pytest.mark.parametrize(
    ("directories", "others", "requests"),
    [
        pytest.param(
            16, 5000, {"by directory": 16, "scan": 0}, id="few directories are looked at one by one"
        ),
        pytest.param(17, 1700, {"by directory": 0, "scan": 17}, id="a scan that takes no more requests"),
        pytest.param(
            17, 1701, {"by directory": 17, "scan": 17}, id="a scan that would take more is given up"
        ),
        pytest.param(300, 0, {"by directory": 0, "scan": 1}, id="many directories, few batches"),
    ],
)
def test_o3_looking_by_directory_or_by_a_scan_takes_what_is_fewer(
    tmp_path: Path, directories: int, others: int, requests: dict[str, int]
) -> None:
    world = warm(tmp_path, directories)
    for _ in range(others):
        world.service.put("dir-other")

    plan = world.plan()

    assert plan.count(CREATE) == directories
    scan = world.service.requests.count("list *")
    assert {"by directory": world.service.count("list") - scan, "scan": scan} == requests


def test_o4_a_first_plan_takes_a_fifth_of_the_time_of_one_page_after_another(tmp_path: Path) -> None:
    """A hundred pages, at 50 ms each."""
    world = warm(tmp_path, 200)
    for name in world.names * 5:
        world.service.put(name, "cfg-9")
        world.time.seconds += 60
    world.service.page_size, world.service.latency = 10, 0.05
    begun = world.time.seconds
    created = world.names[17]
    world.service.put(created)

    plan = world.plan()

    assert (plan.count(ADOPT), plan.count(CREATE)) == (1, 199)
    scan = [request for request in world.service.requests if request.startswith("list")]
    assert set(scan) == {"list *"}
    looks = 199 / world.at_once * 0.05  # R14: a directory and its files each
    assert world.time.seconds - begun - 2 * looks <= 0.2 * 101 * 0.05


def test_o4_what_a_scan_in_windows_cannot_show_is_found_before_it_is_created(tmp_path: Path) -> None:
    """A batch without a time, which no window has: the plan creates it, and the look of C2 adopts it."""
    world = warm(tmp_path, 100)
    for name in world.names * 2:
        world.service.put(name, "cfg-9")
        world.time.seconds += 60
    hidden = world.service.put(world.names[99])
    world.service.rows[-1].batch = world.service.rows[-1].batch._replace(created_at=None)
    world.service.page_size = 10

    plan = world.plan()
    applied = world.apply()

    assert plan.count(CREATE) == 100
    assert [r.batch.id for r in applied.results if r.outcome is Outcome.ADOPTED and r.batch] == [hidden]
    assert world.service.count("create") == 99


def test_o3_a_project_with_too_many_recorded_batches_is_not_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.core.cuts._PAGE", 1)
    world = warm(tmp_path, 30)
    for name in world.names:
        world.service.put(name, status=Status.COMPLETED)
    world.apply()
    world.forget()
    new = [f"dir-new-{number}" for number in range(29)]
    world.names += new
    world.service.there.update(new)

    world.plan()

    assert sorted(r for r in world.service.requests if r.startswith("list")) == sorted(
        f"list {name}" for name in new
    )


def test_o3_what_only_the_service_s_clock_makes_too_old_is_looked_for_before_it_is_planned(
    tmp_path: Path,
) -> None:
    """By this machine's clock the adopted batch still counts, so at first it is trusted (O1)."""
    world = warm(tmp_path, 1)
    world.service.put("dir-001", status=Status.COMPLETED)
    world.apply()
    world.rerun = Rerun(max_age=timedelta(days=30))
    world.service.ahead = timedelta(days=40)
    newer = world.service.put("dir-001", status=Status.RUNNING)

    (action,) = world.plan().actions

    assert (action.kind, action.batch and action.batch.id) == (ADOPT, newer)


def test_o1_o2_terminal_batches_are_trusted_and_running_ones_refreshed_by_id(tmp_path: Path) -> None:
    world = warm(tmp_path, 3)
    world.apply()
    for name in ("bat-1", "bat-2"):
        world.service.set(name, Status.COMPLETED)
    world.apply()
    world.forget()

    plan = world.plan()

    assert plan.count(KEEP) == 3
    assert world.service.requests == ["get bat-3"]


MIXED = {Status.RUNNING: 10, Status.PENDING: 4, Status.COMPLETED: 6}


@pytest.mark.parametrize(
    ("recorded", "now", "others", "requests"),
    [
        pytest.param(16, {}, 0, {"get": 16}, id="few are asked for by id"),
        pytest.param(20, {Status.RUNNING: 20}, 0, {"list": 1}, id="all run: one listing"),
        pytest.param(20, MIXED, 0, {"list": 1, "get": 10}, id="once few are left, by id"),
        pytest.param(
            40,
            {Status.COMPLETED: 40},
            0,
            {"list": 4},
            id="all have ended: no status shows them, their time does",
        ),
        pytest.param(
            40,
            {Status.COMPLETED: 40},
            600,
            {"list": 3 + 5, "get": 40},
            id="beside so many others, a listing would take longer than asking by id",
        ),
    ],
)
def test_o2_many_running_batches_are_refreshed_by_listings(
    tmp_path: Path, recorded: int, now: dict[Status, int], others: int, requests: dict[str, int]
) -> None:
    world = warm(tmp_path, recorded)
    for number in range(others):
        world.service.put(f"dir-other-{number}", status=Status.COMPLETED)
    names = [world.service.put(name) for name in world.names]
    world.apply()
    ended = iter(names)
    for status, count in now.items():
        for _ in range(count):
            world.service.set(next(ended), status)
    world.forget()

    applied = world.apply()

    assert {r.outcome for r in applied.results} <= {Outcome.KEPT}
    counts = {verb: world.service.count(verb) for verb in ("list", "get")}
    late = math.ceil((recorded + others) / 100)  # C10's listing, which every run ends with
    assert counts == {"list": requests.get("list", 0) + late, "get": requests.get("get", 0)}
    statuses = [item.status for entry in world.lock.entries.values() for item in entry.batches]
    assert {status: statuses.count(status) for status in now} == now


def test_o2_a_listing_is_read_no_further_than_is_needed(tmp_path: Path) -> None:
    world = warm(tmp_path, 20)
    for name in world.names:
        world.service.put(name)
    world.apply()
    for _ in range(300):
        world.service.put("dir-other")
    world.forget()

    assert world.plan().count(KEEP) == 20

    assert world.service.requests == ["list *"]


@pytest.mark.parametrize("recorded", [3, 40])
def test_o1_refresh_all_asks_for_terminal_batches_again(tmp_path: Path, recorded: int) -> None:
    world = warm(tmp_path, recorded)
    for name in world.names:
        world.service.put(name, status=Status.COMPLETED)
    world.apply()
    world.forget()
    assert world.plan().count(KEEP) == recorded
    assert world.service.requests == []
    world.service.set("bat-2", Status.FAILED)
    world.trust = False

    plan = world.plan()

    assert (plan.count(KEEP), plan.count(CREATE)) == (recorded - 1, 1)
    asked = [request for request in world.service.requests if request.startswith(("get", "list *"))]
    assert asked == (["get bat-1", "get bat-2", "get bat-3"] if recorded == 3 else ["list *"])


def test_c9_a_scan_shows_what_the_service_calls_by_another_directory(tmp_path: Path) -> None:
    world = warm(tmp_path, 40)
    world.service.renames = {world.names[7]: "dir-by-another-name"}
    world.apply()
    for batch in world.service.existing():
        world.service.set(batch.id, Status.COMPLETED)
    world.apply()
    world.forget()
    world.rerun = Rerun(max_age=timedelta(days=30))
    world.time.seconds += 40 * 86400

    plan = world.plan()

    assert plan.count(CREATE) == 40
    assert {request for request in world.service.requests if "list" in request} == {"list *"}


def fails(_: Listing, __: str | None, ___: Page) -> Page:
    raise UnavailableError("503", status=503)


def fails_on_its_second_page(_: Listing, token: str | None, page: Page) -> Page:
    if token is not None:
        raise UnavailableError("503", status=503)
    return page._replace(next="1")


def repeats_its_token(_: Listing, __: str | None, page: Page) -> Page:
    return page._replace(next="1")


@pytest.mark.parametrize(
    ("gap", "why"),
    [
        pytest.param(fails, "the listing is incomplete: 503", id="it fails"),
        pytest.param(fails_on_its_second_page, "the listing is incomplete: 503", id="a page fails"),
        pytest.param(
            repeats_its_token, "the listing is incomplete: a page token came twice", id="token repeats"
        ),
    ],
)
def test_r7_an_incomplete_listing_blocks_what_it_leaves_unknown_and_nothing_else(
    tmp_path: Path, gap: Callable[[Listing, str | None, Page], Page], why: str
) -> None:
    world = warm(tmp_path, 3)
    world.service.on_list = lambda listing, token, page: (
        gap(listing, token, page) if listing.directory == "dir-002" else page
    )

    applied = world.apply()

    assert [(r.outcome, r.action.reason.text if r.batch is None else "") for r in applied.results] == [
        (Outcome.CREATED, ""),
        (Outcome.UNSEEN, why),
        (Outcome.CREATED, ""),
    ]
    assert world.batches_per_directory() == {"dir-001": 1, "dir-002": 0, "dir-003": 1}


@pytest.mark.parametrize("gap", [fails, fails_on_its_second_page, repeats_its_token])
def test_r7_an_incomplete_scan_sends_nothing(
    tmp_path: Path, gap: Callable[[Listing, str | None, Page], Page]
) -> None:
    world = warm(tmp_path, 20)
    world.service.on_list = gap

    applied = world.apply()

    assert {r.outcome for r in applied.results} == {Outcome.UNSEEN}
    assert world.service.count("create") == 0


def test_o5_an_endless_listing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {**(read_pass.__kwdefaults__ or {}), "most_pages": 50}
    monkeypatch.setattr(read_pass, "__kwdefaults__", defaults)
    world = warm(tmp_path, 1)
    world.service.on_list = lambda _, token, page: page._replace(next=str(int(token or 0) + 1))

    (action,) = world.plan().actions

    assert (action.kind, action.reason.text) == (UNRESOLVED, "the listing has more than 50 pages")


def test_o5_an_empty_page_may_have_a_next_one(tmp_path: Path) -> None:
    world = warm(tmp_path, 1)
    world.service.put("dir-001")
    world.service.on_list = lambda _, token, page: page if token else Page((), "0")

    (action,) = world.plan().actions

    assert (action.kind, action.batch and action.batch.id) == (ADOPT, "bat-1")


def test_o5_an_id_twice_in_an_unsorted_pass_is_read_again_and_then_unknown(tmp_path: Path) -> None:
    """Pages of a listing that is shuffled between them: something was missed when something came twice."""
    dice = random.Random(7)
    verdicts = {ADOPT: 0, UNRESOLVED: 0}
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = warm(folder, 1)
        for other in range(9):
            world.time.seconds += 1
            world.service.put("dir-001", "cfg-1" if other == 4 else "cfg-9")
        world.service.page_size = 5
        world.service.order = lambda batches: dice.sample(batches, len(batches))
        (action,) = world.plan().actions
        verdicts[action.kind] += 1  # never CREATE

    assert sum(verdicts.values()) == 30
    assert verdicts[UNRESOLVED] > 0


@pytest.mark.parametrize(
    ("directories", "pages"), [pytest.param(1, 6, id="look"), pytest.param(17, 3, id="scan")]
)
def test_o5_an_id_twice_in_a_sorted_listing_has_only_a_look_read_again(
    tmp_path: Path, directories: int, pages: int
) -> None:
    """A new batch at its head shifts a listing: in a scan that is common, and proves no absence."""
    world = warm(tmp_path, directories)
    for _ in range(6):
        world.time.seconds += 1
        world.service.put("dir-001", "cfg-9")
    world.service.page_size = 3
    world.service.order = lambda batches: sorted(batches, key=lambda b: str(b.created_at), reverse=True)

    def meanwhile(_: Listing, token: str | None, page: Page) -> Page:
        if token is None and len(world.service.rows) == 6:
            world.service.put("dir-001", "cfg-9")
        return page

    world.service.on_list = meanwhile

    assert {action.kind for action in world.plan().actions} == {CREATE}
    assert world.service.count("list") == pages


def test_o5_a_shuffled_look_that_is_sorted_by_chance_is_not_believed(tmp_path: Path) -> None:
    """Two batches, a page for each, and another order for each page: the same one comes twice."""
    world = warm(tmp_path, 1)
    failed = world.service.put("dir-001", status=Status.FAILED)
    world.time.seconds += 1
    world.service.put("dir-001")
    world.service.page_size = 1

    def order(batches: list[Batch]) -> list[Batch]:
        first = world.service.count("list") % 2 == 1
        return sorted(batches, key=lambda batch: (batch.id != failed) is first)

    world.service.order = order

    (result,) = world.apply().results

    assert (result.action.kind, result.outcome) == (UNRESOLVED, Outcome.UNSEEN)
    assert world.service.count("create") == 0


def recorded_failed(folder: Path) -> World:
    """The recorded batch failed, so that all of the key's batches have to be seen."""
    world = warm(folder, 1)
    world.apply()
    world.service.set("bat-1", Status.FAILED)
    world.apply(approve=False)
    world.forget()
    return world


def test_o5_a_recorded_batch_that_get_returns_and_the_pass_lacks_is_read_again_and_then_unknown(
    tmp_path: Path,
) -> None:
    world = recorded_failed(tmp_path)
    world.service.order = lambda _: []

    (action,) = world.plan().actions

    assert (action.kind, action.reason.text) == (
        UNRESOLVED,
        "the listing lacks bat-1, though the service knows it",
    )
    assert world.service.requests.count("list dir-001") == 2


def test_o5_a_recorded_batch_that_the_pass_lacks_only_once_is_no_obstacle(tmp_path: Path) -> None:
    world = recorded_failed(tmp_path)
    world.service.order = lambda batches: batches if world.service.count("list") > 1 else []

    (action,) = world.plan().actions

    assert action.kind is CREATE


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED])
def test_o5_a_recorded_batch_that_answers_404_is_unknown(tmp_path: Path, status: Status) -> None:
    """Refreshed by its id while it runs (O2), missed in a look once it failed."""
    world = recorded_failed(tmp_path)
    world.service.set("bat-1", status)

    def gone(_: str) -> None:
        raise NotFoundError("404", status=404)

    world.service.on_get = gone
    world.service.order = lambda _: []

    applied = world.apply()

    assert [(r.outcome, r.action.reason.text) for r in applied.results] == [
        (
            Outcome.UNSEEN,
            (
                "the recorded batch bat-1 is not known to the service any more (404); if it is gone for good:"
                f" `reconciler lock resolve {applied.results[0].action.address} --absent`"
            ),
        )
    ]
    assert world.service.count("create") == 0


@pytest.mark.parametrize(("creates", "listings"), [(16, 16 + 16), (300, 1 + 300)])
def test_an_apply_asks_for_exactly_what_the_protocol_needs(
    tmp_path: Path, creates: int, listings: int
) -> None:
    """Per create one look, one send, one directory and its files; for the plan one scan, or a look each."""
    world = warm(tmp_path, creates)

    applied = world.apply()

    assert {r.outcome for r in applied.results} == {Outcome.CREATED}
    assert {
        verb: world.service.count(verb)
        for verb in ("list", "create", "get", "directory", "files", "configuration")
    } == {
        "list": listings,
        "create": creates,
        "get": 0,
        "directory": creates,
        "files": creates,
        "configuration": 1,
    }
    assert world.service.most_inside == world.at_once


def test_waiting_ends_when_every_batch_is_terminal_and_raises_no_serial(tmp_path: Path) -> None:
    world = warm(tmp_path, 3)
    world.service.embedded = True

    def work(event: Event) -> None:
        world.events.append(event)
        if isinstance(event, Pending) and event.terminal < event.total:
            world.service.set(f"bat-{event.terminal + 1}", Status.COMPLETED)

    world.on_events = work

    applied = world.apply()

    assert [(batch.id, batch.status) for batch in applied.batches] == [
        (f"bat-{number}", Status.COMPLETED) for number in (1, 2, 3)
    ]
    assert [(e.terminal, e.total) for e in world.events if isinstance(e, Pending)] == [
        (0, 3),
        (1, 3),
        (2, 3),
        (3, 3),
    ]
    assert [(str(e.address), e.before) for e in world.events if isinstance(e, Progressed)] == [
        (f"set/{name}", Status.RUNNING) for name in world.names
    ]
    assert {entry.recorded.status for entry in world.lock.entries.values()} == {Status.COMPLETED}
    serial = world.lock.serial
    assert world.apply().results == ()
    assert world.lock.serial == serial


def test_a_refresh_of_statuses_raises_no_serial(tmp_path: Path) -> None:
    world = warm(tmp_path, 1)
    world.apply()
    serial = world.lock.serial
    world.service.set("bat-1", Status.COMPLETED)

    world.apply()

    (entry,) = world.lock.entries.values()
    assert (entry.recorded.status, world.lock.serial) == (Status.COMPLETED, serial)


def test_c8_a_stop_ends_the_wait(tmp_path: Path) -> None:
    world = warm(tmp_path, 2)
    world.service.embedded = True

    def stop(event: Event) -> None:
        if isinstance(event, Pending) and world.stop:
            world.service.set("bat-1", Status.COMPLETED)
            world.stop.request(2)

    world.on_events = stop

    applied = world.apply()

    assert (applied.stopped, [r.outcome for r in applied.results]) == (2, [Outcome.CREATED] * 2)
    assert [batch.status for batch in applied.batches] == [Status.RUNNING] * 2
    assert world.journal.warm


def test_a_service_that_works_by_itself_is_not_waited_for(tmp_path: Path) -> None:
    world = warm(tmp_path, 2)
    world.forget()

    applied = world.apply()

    assert applied.batches == ()
    assert world.service.count("get") == 0
