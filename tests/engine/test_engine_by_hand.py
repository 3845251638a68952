"""The ways out that a message names work under the address that it names (R8), also after edits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from engine_world import CONFIGURATION, Lost, World, wanted

from reconciler.engine.by_hand import cancel_batch, import_batch, resolve_absent
from reconciler.engine.run import Run
from reconciler.engine.stop import Stop
from reconciler.model.batch import Address, Status
from reconciler.model.errors import SettingsError
from reconciler.model.manifest import Rerun
from reconciler.model.plan import ActionKind

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

_Result = TypeVar("_Result")

OTHER = "cfg-2"


def by_hand(world: World, work: Callable[[Run], Coroutine[Any, Any, _Result]]) -> _Result:
    with world._store().hold(0) as session:
        run = Run(
            id="by-hand",
            eyes=world._eyes(),
            session=session,
            desired=world.desired,
            audit=world.ledger,
            stop=Stop(),
            random=lambda: 0.5,
            lock=session.lock,
        )
        return world.time.run(work(run))  # type: ignore[no-any-return]


def absent(world: World, address: Address) -> tuple[str, ...]:
    return by_hand(world, lambda run: resolve_absent(run, address))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two sets over one directory, each with a create that nobody can tell what became of."""
    world = World(tmp_path)
    world.names = []
    world.also = [wanted("a", "dir-001", Rerun(), CONFIGURATION), wanted("b", "dir-001", Rerun(), OTHER)]
    world.service.script.extend([Lost(None), Lost(None)])
    strangers = iter(["cfg-8", "cfg-9"])

    def on_request(what: str) -> None:
        if what == "after create":
            world.service.put("dir-001", next(strangers))

    world.service.on_request = on_request
    world.apply()
    world.service.on_request = lambda _: None
    assert [str(intent.address) for intent in world.journal.open] == ["a/dir-001", "b/dir-001"]
    return world


def test_r8_a_renamed_address_is_resolved_by_its_new_name(world: World) -> None:
    world.also = [wanted("c", "dir-001", Rerun(), CONFIGURATION)]

    (unresolved,) = [a for a in world.plan().actions if a.key.configuration == CONFIGURATION]
    assert unresolved.kind is ActionKind.UNRESOLVED
    assert f"reconciler lock resolve {unresolved.address} --absent" in unresolved.reason.text
    assert unresolved.address == Address("c", "dir-001")

    with pytest.raises(SettingsError, match="nothing is open or gone"):
        absent(world, Address("a", "dir-001"))
    assert len(absent(world, unresolved.address)) == 1
    assert [intent.key.configuration for intent in world.journal.open] == [OTHER]


def test_r8_after_a_swap_the_create_that_the_message_speaks_of_is_closed_and_not_the_other(
    world: World,
) -> None:
    world.also = [wanted("a", "dir-001", Rerun(), OTHER), wanted("b", "dir-001", Rerun(), CONFIGURATION)]

    absent(world, Address("a", "dir-001"))

    assert [intent.key.configuration for intent in world.journal.open] == [CONFIGURATION]


def test_r8_what_is_desired_no_more_is_resolved_by_the_address_that_it_had(world: World) -> None:
    world.also = []

    absent(world, Address("a", "dir-001"))

    assert [intent.key.configuration for intent in world.journal.open] == [OTHER]


@pytest.mark.parametrize("ended", [Status.CANCELLED, Status.COMPLETED, Status.FAILED])
def test_o1_a_batch_that_ended_elsewhere_is_recorded_and_not_asked_to_be_cancelled(
    tmp_path: Path, ended: Status
) -> None:
    world = World(tmp_path)
    world.apply()
    (batch,) = world.service.existing()
    world.service.set(batch.id, ended)
    requests: list[str] = []
    world.service.on_request = requests.append

    cancelling = by_hand(world, lambda run: cancel_batch(run, world.desired.batches[0].address))

    assert (cancelling.batch.status, cancelling.asked) == (ended, False)
    assert [what for what in requests if "cancel" in what] == []
    (entry,) = world.lock.entries.values()
    assert entry.recorded.status is ended


def test_a_batch_that_runs_is_asked_to_be_cancelled(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.apply()

    cancelling = by_hand(world, lambda run: cancel_batch(run, world.desired.batches[0].address))

    assert (cancelling.batch.status, cancelling.asked) == (Status.CANCELLED, True)


def test_what_a_killed_run_left_in_the_journal_is_audited_by_whoever_writes_it_down(tmp_path: Path) -> None:
    """C9: a run by hand brings the lockfile up to date, so no later run finds anything to audit."""
    killed = 0
    for instant in range(100):
        folder = tmp_path / str(instant)
        folder.mkdir()
        world = World(folder, 2)
        world.warm()
        came = world.die_at(instant)
        recovered = {(str(item.address), item.current) for item in world.journal.recovered}
        if len(came) <= instant:
            break
        if not recovered:
            continue
        killed += 1
        audited = {(line.address, line.batch) for line in world.ledger.lines if line.action == "create"}
        address, name = min(recovered)
        by_hand(world, partial(import_batch, address=Address.parse(address), name=name))
        world.apply()
        told = {(line.address, line.batch) for line in world.ledger.lines if line.action == "recover"}
        assert recovered <= told | audited, f"killed at {instant}, {came[-1]}"
    assert killed


@pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED])
def test_a_twin_that_nobody_recorded_can_be_cancelled_where_its_work_is_recorded(
    tmp_path: Path, status: Status
) -> None:
    """`status` names the command for it, and what a message names has to work."""
    world = World(tmp_path)
    world.apply()
    twin = world.service.put("dir-001", status=status)
    address = world.desired.batches[0].address

    cancelling = by_hand(world, lambda run: cancel_batch(run, address, twin))

    ran = status is Status.RUNNING
    assert (cancelling.batch.id, cancelling.asked) == (twin, ran)
    (entry,) = world.lock.entries.values()
    assert (entry.current, [item.id for item in entry.batches]) == ("bat-1", ["bat-1", twin])
    assert entry.batches[1].status is (Status.CANCELLED if ran else status)
    assert [(line.action, line.batch) for line in world.ledger.lines[-1:]] == [("cancel", twin)]


@pytest.mark.parametrize("configuration", [OTHER, None])
def test_other_work_and_what_is_not_there_is_not_cancelled(tmp_path: Path, configuration: str | None) -> None:
    world = World(tmp_path)
    world.apply()
    name = world.service.put("dir-001", configuration) if configuration else "bat-nowhere"
    before = world.lock
    address = world.desired.batches[0].address

    with pytest.raises(SettingsError, match=f"{name} is not recorded at set/dir-001"):
        by_hand(world, lambda run: cancel_batch(run, address, name))

    assert world.service.count("cancel") == 0
    assert world.lock == before
