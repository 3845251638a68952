"""One saved plan, carried out by any number of workers: who opens it, and what each then does (C1, C5).

    alone:   open intents -> plan -> refuse -> record -> look back -> offer the creates
    joined:  what was left on this seat -> claim, create, claim … -> what others left -> look again

Each create is what it is in any apply (`create`). What is claimed is a directory's: the creates over one
directory explain each other's batches, so that they are one worker's.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.preflight import objection
from reconciler.engine.concurrent import each
from reconciler.engine.create import FRESH, create
from reconciler.engine.hours import Hours
from reconciler.engine.late import look_again, look_back
from reconciler.engine.preflight import gather_facts
from reconciler.engine.resolve import resolve_all
from reconciler.engine.steps import (
    audit_recovered,
    be_cold,
    hours_of,
    looked_up_again,
    make_plan,
    record_all,
    refuse,
    where_it_is_now,
)
from reconciler.engine.tracking import record_watched
from reconciler.model.errors import StalePlanError
from reconciler.model.events import Starting, Waiting
from reconciler.model.joint import Task
from reconciler.model.plan import Action, ActionKind, Plan
from reconciler.model.result import Applied, Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from reconciler.core.select import Selection
    from reconciler.engine.preflight import Configurations
    from reconciler.engine.run import Run
    from reconciler.model.batch import Key
    from reconciler.model.intent import Intent
    from reconciler.model.joint import Claim
    from reconciler.model.lock import Entry
    from reconciler.model.ports import Joint, Opening
    from reconciler.model.project import Limits
    from reconciler.model.saved import SavedPlan
    from reconciler.model.snapshot import Facts

#: Seconds between two looks whether another worker has left something.
_EVERY = 0.5


async def open_plan(
    run: Run,
    session: Opening,
    *,
    limits: Limits,
    selection: Selection,
    saved: SavedPlan,
    confirmed: str = "",
) -> Applied:
    """Do what a plan does beside its creates, and offer those.

    Args:
        run: the run, which is alone with the state.
        session: the run's.
        limits: how much may be done.
        selection: what the plan was made for.
        saved: the plan, of which nothing may differ.
        confirmed: its digest, if it may go past the limits (R15); or "".

    Raises:
        StoppedError: the run was to end before there was a plan.
        StalePlanError, LimitError, ServiceError, StateError: as for an apply; nothing is offered then.
    """
    try:
        audit_recovered(run)
        still_open = await resolve_all(run, run.session.journal.open)  # C7
        proposal = await make_plan(run, still_open, limits, selection)
        plan = proposal.plan
        refuse(run, plan, confirmed, saved)
        run.hours = hours_of(run, plan, limits, confirmed)
        if not run.stop.over:
            record_watched(run, plan.tracked)
            await record_all(run, proposal, selection, hold=False)
            await look_back(run, proposal.facts)  # C10
            await look_again(run)  # of what earlier runs left open: workers do not know of it
            creates = [action for action in plan.actions if action.kind is ActionKind.CREATE]
            if creates and not run.session.journal.warm:
                await be_cold(run)
            if not run.over:
                # First offered, then applied: after a crash in between it can be opened again.
                session.offer(saved.own, _by_directory(creates, run.hours.lifted))
                run.lock = replace(run.lock, plan=saved.own)
    finally:
        await run.notes.quiet()
        run.write_down()
    return _applied(run, plan, still_open)


async def work(run: Run, session: Joint, *, limits: Limits, saved: SavedPlan) -> Applied:
    """Carry out what nobody else has claimed, until nothing of the plan is left.

    Args:
        run: the run, which sits beside others.
        session: the run's.
        limits: of which only windows matter here: the rest was held against the whole plan.
        saved: the plan that was opened.

    Raises:
        StalePlanError: the manifests here are not those of the plan.
        LockLostError, StateError: as for an apply; what was claimed is taken over by another worker.
    """
    run.hours = Hours(run.eyes.clock, limits, {want.set.name: want.set for want in run.desired.batches})
    run.plan_digest = saved.digest
    hands = _Hands(run, session, saved)
    try:
        if run.desired.digest != saved.manifests:
            raise StalePlanError(
                "the manifests here are not those that the plan was made from",
                where=saved.file,
                why="workers that share a plan need the same commit",
                next="Check that commit out, or make a new plan: reconciler plan --out FILE",
            )
        audit_recovered(run)
        still_open = await resolve_all(run, run.session.journal.open)  # C7
        hands.still_open += still_open
        run.eyes.listen(Starting(session.left()))
        await hands.work()
        await look_again(run)  # C10
    finally:
        await run.notes.quiet()
        run.write_down()
        session.leave(hands.done)
    plan = Plan(
        actions=tuple(sorted(hands.actions, key=lambda action: (action.address, action.key))),
        lineage=run.lock.lineage,
        manifests=saved.manifests,
        targets=saved.targets,
        since=saved.since,
    )
    return _applied(run, plan, hands.still_open)


class _Hands:
    """What one worker has in hand.

    Attributes:
        actions: the creates that it took on.
        done: claims that are through and were not handed back yet.
        still_open: creates of earlier runs and of workers that are gone, whose outcome is not known.
    """

    def __init__(self, run: Run, session: Joint, saved: SavedPlan) -> None:
        self._run, self._session = run, session
        self._inputs = {action.key: action.inputs for action in saved.actions if action.inputs}
        self._claims: deque[Claim] = deque()
        self._configurations: Configurations = {}
        self._asked = -math.inf  # for any of them
        self._kept = 0
        self._asking = asyncio.Lock()
        self._failures: list[Exception] = []
        self.actions: list[Action] = []
        self.done: list[int] = []
        self.still_open: list[Intent] = []

    async def work(self) -> None:
        """Create what can be claimed. The first failure of ours is raised once the others are in."""
        lanes = self._run.eyes.at_once
        self._claims.extend(self._session.inherited())
        await each(range(lanes), lanes, self._lane)
        if self._failures:
            raise self._failures[0]

    async def _lane(self, _: int) -> None:
        try:
            while claim := await self._next():
                await self._carry_out(claim)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again above
            # The others in flight shall come back and be written down, if that is possible at all.
            self._run.ended = self._run.ended or str(error)
            self._failures.append(error)

    async def _next(self) -> Claim | None:
        """A claim, or None when nothing is left that this worker could do. One lane asks at a time."""
        async with self._asking:
            while not self._run.over:
                if self._claims:
                    self._kept += 1
                    return self._claims.popleft()
                done, self.done = self.done, []
                self._kept -= len(done)
                claims = await asyncio.to_thread(self._session.claim, self._run.eyes.at_once, done)
                claims = claims or await self._left_behind()
                if claims:
                    self._claims.extend(claims)
                elif await asyncio.to_thread(self._session.left) == self._kept:
                    return None
                else:
                    await self._others()
        return None

    async def _left_behind(self) -> Sequence[Claim]:
        """What workers that are gone had. What they had open is looked for before that is created (C5)."""
        run = self._run
        left, claims = await asyncio.to_thread(self._session.take_over_abandoned)
        _record(run, left.recovered)
        audit_recovered(run, left.recovered)
        self.still_open += await resolve_all(run, left.open)
        return claims

    async def _others(self) -> None:
        """Another worker has the rest in hand. Should it go, what it leaves is to be done."""
        self._run.eyes.listen(Waiting("other workers have the rest in hand", _EVERY))
        await self._run.stop.pause(_EVERY * (0.5 + self._run.random()))

    async def _facts(self, claim: Claim) -> Mapping[Key, Facts]:
        """Look up what the creates of a claim are about (R14); what a configuration is, once in a while."""
        run, now = self._run, self._run.eyes.clock.monotonic()
        if now - self._asked > FRESH:
            self._configurations, self._asked = {}, now
        keys = [task.key for task in claim.tasks if task.key in run.wanted]
        return await gather_facts(run.eyes, keys, configurations=self._configurations)

    async def _carry_out(self, claim: Claim) -> None:
        run = self._run
        _record(run, claim.entries)
        looked = run.eyes.clock.monotonic()
        facts = await self._facts(claim)
        if run.hours is not None:
            run.hours.lifted |= {task.key for task in claim.tasks if task.at_any_time}
        for task in claim.tasks:
            action = Action(
                kind=ActionKind.CREATE,
                address=task.address,
                key=task.key,
                reason=task.reason,
                directory_name=task.directory_name,
            )
            self.actions.append(action)
            await self._create(action, facts.get(task.key), looked)
        if all(self._came_to_an_end(task.key) for task in claim.tasks):
            self.done.append(claim.number)

    def _came_to_an_end(self, key: Key) -> bool:
        """Whether nobody has to take a create up again.

        Who was stopped while it looked found nothing out, and whose key is refused says nothing of the work.
        """
        run, outcome = self._run, self._run.results[key].outcome
        again = (outcome is Outcome.UNKNOWN and run.stop.over) or (outcome is Outcome.REJECTED and run.ended)
        return not (again or outcome is Outcome.NOT_STARTED)

    async def _create(self, action: Action, facts: Facts | None, looked: float) -> None:
        run = self._run
        if any(intent.key == action.key for intent in self.still_open):
            run.finish(action, Outcome.UNKNOWN, why="a create by a worker that is gone is open")  # R8
            return
        if action.key not in run.wanted:
            run.finish(action, Outcome.BLOCKED, why="nothing asks for it here any more")
            return
        if facts is None or run.eyes.clock.monotonic() - looked > FRESH:
            facts, against = await looked_up_again(run, action)
        else:
            against = objection(action.key, facts, run.moment(action.key).service) or ""
        reviewed = self._inputs.get(str(action.key))
        if not against and reviewed and facts.inputs and facts.inputs != reviewed:
            against = "its files have changed since the plan was made"
        if against:
            run.finish(action, Outcome.BLOCKED, why=against)
            return
        await create(run, action, facts)


def _by_directory(creates: Iterable[Action], lifted: Collection[Key]) -> list[list[Task]]:
    """The creates as they are claimed, in the plan's order; some may go outside of windows (R15)."""
    found: defaultdict[tuple[str, ...], list[Task]] = defaultdict(list)
    for action in creates:
        at_any_time = action.key in lifted
        task = Task(action.key, action.address, action.reason, action.directory_name, at_any_time)
        found[action.key[:3]].append(task)
    return list(found.values())


def _record(run: Run, entries: Iterable[Entry]) -> None:
    """Have what others recorded of this worker's keys, unless more is known.

    What was committed of a key is older than what a worker that is gone had noted of it (C9).
    """
    for entry in entries:
        there = run.lock.entries.get(entry.key)
        if there is None or {item.id for item in there.batches} < {item.id for item in entry.batches}:
            run.put(entry)


def _applied(run: Run, plan: Plan, still_open: Sequence[Intent]) -> Applied:
    results = tuple(run.results[action.key] for action in plan.actions if action.key in run.results)
    return Applied(
        plan=plan,
        results=results,
        findings=tuple(where_it_is_now(run, finding) for finding in run.findings),
        unresolved=tuple(sorted({intent.address for intent in still_open})),
        ended=run.ended,
        not_looked_again=tuple(sorted({item.intent.address for item in run.second_looks.values()})),
        stopped=run.stop.signal,
        timed_out=run.stop.timed_out,
        closed=run.hours.left(results) if run.hours else (),
    )


def together(opened: Applied, worked: Applied) -> Applied:
    """What one process did that opened a plan and then worked on it."""
    return replace(
        worked,
        plan=opened.plan,
        results=(*opened.results, *worked.results),
        findings=(*opened.findings, *worked.findings),
        unresolved=tuple(sorted({*opened.unresolved, *worked.unresolved})),
        not_looked_again=tuple(sorted({*opened.not_looked_again, *worked.not_looked_again})),
    )
