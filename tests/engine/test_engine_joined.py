"""One worker on a plan that others share: what it claims, leaves, takes over and gives back (C1, C5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from engine_time import START
from engine_world import Lost, World

from reconciler.core.select import Selection
from reconciler.engine.joined import open_plan, work
from reconciler.model.batch import Status
from reconciler.model.errors import StalePlanError
from reconciler.model.events import Waiting
from reconciler.model.intent import Intent, JournalState, Rejected
from reconciler.model.joint import Claim, Task
from reconciler.model.lock import Evidence
from reconciler.model.plan import ActionKind, Reason, ReasonCode
from reconciler.model.project import Limits, Window
from reconciler.model.result import Outcome
from reconciler.model.saved import SavedAction, SavedPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.adapters.stores.file import FileSession
    from reconciler.engine.run import Run
    from reconciler.model.desired import DesiredBatch
    from reconciler.model.events import Event
    from reconciler.model.ports import Page
    from reconciler.model.result import Applied

MISSING = Reason(ReasonCode.MISSING, "no such batch exists")


@dataclass
class Board:
    """What of a plan is left, and what a worker that is gone has left behind.

    Attributes:
        free: claims that nobody has.
        mine: those that the worker under test has.
        elsewhere: how many another worker has in hand, for so many questions.
        gone: what is found once nothing is free any more.
    """

    free: list[Claim]
    mine: dict[int, Claim] = field(default_factory=dict)
    inherits: list[Claim] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)
    gone: list[tuple[JournalState, list[Claim]]] = field(default_factory=list)
    handed_back: list[int] = field(default_factory=list)
    asked: int = 0


class Joined:
    """A session whose lock, lockfile and journal are a file's, and whose claims are a board's."""

    def __init__(self, session: FileSession, board: Board) -> None:
        self._session, self.board = session, board
        session.journal = JournalState(session.journal.open, session.journal.recovered, warm=True)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the session has
        return getattr(self._session, name)

    def inherited(self) -> Sequence[Claim]:
        return self._have(self.board.inherits)

    def claim(self, most: int, done: Sequence[int]) -> Sequence[Claim]:
        for number in done:
            del self.board.mine[number]
        taken, self.board.free = self.board.free[:most], self.board.free[most:]
        return self._have(taken)

    def take_over_abandoned(self) -> tuple[JournalState, Sequence[Claim]]:
        if not self.board.gone:
            return JournalState(), []
        state, claims = self.board.gone.pop(0)
        return state, self._have(claims)

    def left(self) -> int:
        self.board.asked += 1
        others = self.board.elsewhere.pop(0) if self.board.elsewhere else 0
        return len(self.board.free) + len(self.board.mine) + others

    def leave(self, done: Sequence[int]) -> None:
        for number in done:
            del self.board.mine[number]
        self.board.handed_back = sorted(self.board.mine)

    def _have(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        self.board.mine |= {claim.number: claim for claim in claims}
        return list(claims)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, directories=4)
    world.warm()
    return world


def claims(world: World) -> list[Claim]:
    """A claim a directory."""
    return [
        Claim(number, (Task(want.key, want.address, MISSING),))
        for number, want in enumerate(world.desired.batches, 1)
    ]


def saved(world: World, inputs: str = "") -> SavedPlan:
    return SavedPlan(
        file="plan.json",
        own="sha256:own",
        digest="sha256:plan",
        lineage="",
        state="",
        manifests=world.desired.digest,
        targets=(),
        actions=tuple(
            SavedAction("create", str(want.address), str(want.key), "missing", inputs)
            for want in world.desired.batches
        ),
    )


def join(world: World, board: Board, plan: SavedPlan | None = None, limits: Limits | None = None) -> Applied:
    async def do(run: Run, session: FileSession) -> Applied:
        joint: Any = Joined(session, board)
        run.session = joint
        return await work(run, joint, limits=limits or Limits(), saved=plan or saved(world))

    return world.under_lock(do)


def outcomes(applied: Applied) -> list[tuple[str, Outcome]]:
    return [(result.action.key.directory, result.outcome) for result in applied.results]


def intent(want: DesiredBatch, known: frozenset[str] = frozenset()) -> Intent:
    return Intent(
        id=f"int-{want.key.directory}",
        key=want.key,
        address=want.address,
        known=known,
        evidence=Evidence("missing"),
        at=START,
        run="run-of-another",
    )


def test_everything_that_is_free_is_created_and_handed_back_as_done(world: World) -> None:
    board = Board(claims(world))
    applied = join(world, board)
    assert outcomes(applied) == [(name, Outcome.CREATED) for name in world.names]
    assert {action.kind for action in applied.plan.actions} == {ActionKind.CREATE}
    assert world.batches_per_directory() == dict.fromkeys(world.names, 1)
    assert (board.free, board.mine, board.handed_back) == ([], {}, [])
    assert len(world.lock.entries) == 4


def test_what_others_have_is_waited_for_and_taken_over_when_they_go(world: World) -> None:
    world.at_once = 1
    first, *others = claims(world)
    (want, *_) = world.desired.batches
    world.service.put(want.key.directory)
    left = JournalState((intent(want),))
    board = Board(others, elsewhere=[1, 1, 1], gone=[(JournalState(), [])] * 2 + [(left, [first])])
    applied = join(world, board)
    assert dict(outcomes(applied)) == {
        name: Outcome.CREATED if name != want.key.directory else Outcome.KEPT for name in world.names
    }
    assert world.batches_per_directory() == dict.fromkeys(world.names, 1)
    assert board.mine == {}


def test_what_somebody_left_on_the_same_seat_is_gone_on_with(world: World) -> None:
    board = Board([], inherits=claims(world))
    assert dict(outcomes(join(world, board))) == dict.fromkeys(world.names, Outcome.CREATED)
    assert board.mine == {}


def test_a_create_that_may_have_taken_effect_under_another_name_is_not_sent_again(world: World) -> None:
    """R8: what a worker that is gone had open stays open; its claim is through all the same."""
    first, *others = claims(world)
    (want, *_) = world.desired.batches
    world.service.put(want.key.directory, "cfg-another")
    board = Board(others, gone=[(JournalState((intent(want),)), [first])])
    applied = join(world, board)
    assert dict(outcomes(applied))[want.key.directory] is Outcome.UNKNOWN
    assert applied.unresolved == (want.address,)
    assert [finding.ambiguous for finding in applied.findings] == [True]
    assert world.batches_per_directory() == dict.fromkeys(world.names, 1)
    assert board.mine == {}


def test_what_a_worker_that_is_gone_had_noted_outlives_what_was_committed_before(world: World) -> None:
    """C9: it had created once more what had failed. It is not listed yet, and no entry has it."""
    world.names = world.names[:1]
    old = world.service.put(world.names[0])
    world.apply()
    world.service.set(old, Status.FAILED)
    world.apply()
    (noted,) = world.lock.entries.values()
    assert len(noted.batches) == 2
    world.service.rows[-1].listed = math.inf
    committed = noted._replace(current=old, batches=tuple(item for item in noted.batches if item.id == old))
    claim = Claim(1, (Task(noted.key, noted.address, MISSING),), (committed,))
    board = Board([], elsewhere=[1], gone=[(JournalState((), (noted,)), [claim])])

    async def do(run: Run, session: FileSession) -> Applied:
        run.drop(noted.key)
        run.put(committed)
        joint: Any = Joined(session, board)
        run.session = joint
        return await work(run, joint, limits=Limits(), saved=saved(world))

    world.under_lock(do)
    assert world.batches_per_directory() == {world.names[0]: 2}
    assert {item.id for item in world.lock.entries[noted.key].batches} == {item.id for item in noted.batches}


def test_what_is_open_when_a_worker_is_stopped_is_not_through(world: World) -> None:
    """Nobody has found out what it came to: were its claim handed back as done, nobody would create it."""
    world.at_once = 1
    world.service.script += [Lost(None)]

    def stop(event: Event) -> None:
        if isinstance(event, Waiting):
            assert world.stop is not None
            world.stop.request(15)

    world.on_events = stop
    board = Board(claims(world))
    applied = join(world, board)
    assert [outcome for _, outcome in outcomes(applied)] == [Outcome.UNKNOWN]
    assert (board.handed_back, len(world.journal.open)) == ([1], 1)


def test_files_that_are_not_those_of_the_plan_are_not_paid_for(world: World) -> None:
    board = Board(claims(world))
    applied = join(world, board, saved(world, inputs="sha256:others"))
    assert {result.why for result in applied.results} == {"its files have changed since the plan was made"}
    assert {outcome for _, outcome in outcomes(applied)} == {Outcome.BLOCKED}
    assert not world.service.existing()
    assert board.mine == {}


def test_a_directory_that_cannot_be_processed_is_blocked(world: World) -> None:
    world.service.there.discard(world.names[0])
    applied = join(world, Board(claims(world)))
    assert dict(outcomes(applied))[world.names[0]] is Outcome.BLOCKED


def test_who_opens_a_plan_looks_again_for_what_was_left_open(world: World) -> None:
    """C10: workers know nothing of it, and its late twin would only be found by the next run."""
    plan, (want, *_) = world.plan(), world.desired.batches
    reviewed = replace(
        saved(world),
        lineage=plan.lineage,
        state=plan.state,
        actions=tuple(
            SavedAction(action.kind, str(action.address), str(action.key), action.reason.code, "")
            for action in plan.actions
        ),
    )
    offered: list[Sequence[Task]] = []

    async def do(run: Run, session: FileSession) -> Applied:
        await run.notes.write(intent(want))
        session.journal = JournalState((intent(want),), warm=True)
        opening: Any = Joined(session, Board([]))
        opening.offer = lambda _, work: offered.extend(work)
        run.session = opening
        return await open_plan(run, opening, limits=Limits(), selection=Selection(), saved=reviewed)

    applied = world.under_lock(do)
    assert (applied.not_looked_again, len(offered)) == ((), 4)
    assert world.journal.warm


def test_outside_of_a_window_only_what_was_confirmed_so_is_created(world: World) -> None:
    """R15: what was confirmed for another reason, while it was open, was not confirmed for later."""
    first, second, *_ = claims(world)
    first = first._replace(tasks=tuple(task._replace(at_any_time=True) for task in first.tasks))
    later = (world.time.now() + timedelta(hours=5)).hour * 60
    window = Window(frozenset(range(7)), later, later + 59, UTC, "UTC", "reconciler.yaml:7:5")
    applied = join(world, Board([first, second]), limits=Limits(windows=(window,)))
    assert [outcome for _, outcome in outcomes(applied)] == [Outcome.CREATED, Outcome.NOT_STARTED]
    assert len(applied.closed) == 1


def test_what_nothing_asks_for_here_is_blocked(world: World) -> None:
    board, plan = Board(claims(world)), saved(world)
    world.names = world.names[1:]
    applied = join(world, board, plan)
    assert outcomes(applied)[0] == ("dir-001", Outcome.BLOCKED)
    assert not [batch for batch in world.service.existing() if batch.key.directory == "dir-001"]


def test_other_manifests_than_the_plans_are_refused_before_anything_is_claimed(world: World) -> None:
    board = Board(claims(world))
    with pytest.raises(StalePlanError, match="workers that share a plan need the same commit"):
        join(world, board, replace(saved(world), manifests="sha256:other"))
    assert (len(board.free), board.mine, board.asked) == (4, {}, 0)
    assert not world.service.existing()


def test_who_is_told_to_stop_gives_back_what_it_has_not_begun(world: World) -> None:
    world.at_once = 2

    def stop(_: object) -> None:
        assert world.stop is not None
        world.stop.request(15)

    world.service.on_create = stop
    board = Board(claims(world))
    applied = join(world, board)
    assert applied.stopped == 15
    created = sum(world.batches_per_directory().values())
    assert created == len([item for item in outcomes(applied) if item[1] is Outcome.CREATED])
    assert 0 < created < 4
    assert len(board.free) + len(board.handed_back) == 4 - created
    board = Board([*board.free, *board.mine.values()])
    world.service.on_create = lambda _: None
    join(world, board)
    assert world.batches_per_directory() == dict.fromkeys(world.names, 1)


def test_a_key_that_is_refused_ends_this_worker_and_the_rest_is_given_back(world: World) -> None:
    world.at_once = 1
    world.service.script += [Rejected(401, "no such key", final=True)]
    board = Board(claims(world))
    applied = join(world, board)
    assert applied.ended == "the service answered 401: no such key"
    assert [outcome for _, outcome in outcomes(applied)] == [Outcome.REJECTED]
    assert board.handed_back == [1]
    assert len(board.free) == 3


def test_a_lost_reply_is_looked_for_while_the_others_go_on(world: World) -> None:
    world.service.script += [Lost(), None, Lost(None)]
    board = Board(claims(world))
    applied = join(world, board)
    assert sorted(outcome for _, outcome in outcomes(applied)) == sorted(
        [Outcome.FOUND, Outcome.CREATED, Outcome.CREATED, Outcome.CREATED]
    )
    assert world.batches_per_directory() == dict.fromkeys(world.names, 1)


def test_what_another_has_recorded_of_a_claim_is_known_before_it_is_decided(world: World) -> None:
    """Its worker is gone; the entry says that the batch stands, and it need not be listed yet."""
    world.apply()
    lock = world.lock
    entries = list(lock.entries.values())
    board = Board([Claim(1, (Task(e.key, e.address, MISSING),), (e,)) for e in entries[:1]])

    async def do(run: Run, session: FileSession) -> Applied:
        run.drop(entries[0].key)
        joint: Any = Joined(session, board)
        run.session = joint
        return await work(run, joint, limits=Limits(), saved=saved(world))

    applied = world.under_lock(do)
    assert outcomes(applied) == [(entries[0].key.directory, Outcome.KEPT)]
    assert world.lock.entries == lock.entries


def test_what_was_begun_and_not_sent_before_the_end_is_given_back(world: World) -> None:
    """Else nobody would ever create it: the plan would be through without it."""
    world.at_once = 1

    def stop(_: object, __: object, page: Page) -> Page:
        assert world.stop is not None
        world.stop.request(15)
        return page

    world.service.on_list = stop
    board = Board(claims(world))
    applied = join(world, board)
    assert [outcome for _, outcome in outcomes(applied)] == [Outcome.NOT_STARTED]
    assert (board.handed_back, len(board.free)) == ([1], 3)
    assert not world.service.existing()
