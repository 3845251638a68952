"""Apply: the order in which a run under the lock does everything (C1, C2, C7, C8, C10).

    open intents -> plan -> approve -> record -> create -> look back, look again -> wait -> write down

With `--wait`, what had to wait for others is created after them, wave by wave (`waves`).

Each step has a room of its own; deciding is the core's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.engine.concurrent import each
from reconciler.engine.create import FRESH, create
from reconciler.engine.flight import Flight
from reconciler.engine.late import look_again, look_back
from reconciler.engine.resolve import resolve_all
from reconciler.engine.steps import (
    audit_recovered,
    be_cold,
    hours_of,
    looked_up_again,
    make_plan,
    record,
    record_all,
    refuse,
    where_it_is_now,
)
from reconciler.engine.tracking import record_watched
from reconciler.engine.wait import wait_for
from reconciler.engine.waves import Waves, is_held
from reconciler.model.errors import ServiceError
from reconciler.model.plan import ActionKind
from reconciler.model.result import Applied, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.select import Selection
    from reconciler.engine.propose import Proposal
    from reconciler.engine.run import Run
    from reconciler.model.batch import Batch, Key
    from reconciler.model.plan import Action, Plan
    from reconciler.model.project import Limits
    from reconciler.model.saved import SavedPlan


async def apply(
    run: Run,
    *,
    limits: Limits,
    selection: Selection,
    approve: Callable[[Plan], bool],
    confirmed: str = "",
    saved: SavedPlan | None = None,
    max_in_flight: int | None = None,
    wait: bool = False,
) -> Applied:
    """Make what is live what is desired.

    Args:
        run: the run, which holds the lock.
        limits: how much may be done.
        selection: what the run is about.
        approve: asked once with the plan, if it would change anything, now or in a wave; False ends the run.
        confirmed: the digest of the one plan that may be applied, also past the limits (R15); or "".
        saved: the reviewed plan, of which nothing may differ.
        max_in_flight: how many batches may run at once; creates are held back for that.
        wait: stay until the batches have ended, and create what had to wait for them.

    Raises:
        StoppedError: the run was to end before there was a plan; nothing was created.
        StalePlanError: the plan is not the confirmed one; nothing was sent.
        LimitError: the plan goes past a limit, is outside of a window or violates a policy; nothing was sent.
        ServiceError: the service does not accept the key; nothing was created after that was seen.
        StateError: something could not be written down; nothing was sent without a note of it.
    """
    try:
        audit_recovered(run)
        still_open = await resolve_all(run, run.session.journal.open)  # C7
        proposal = await make_plan(run, still_open, limits, selection)
        plan = proposal.plan
        refuse(run, plan, confirmed, saved)
        hours = run.hours = hours_of(run, plan, limits, confirmed)
        batches: tuple[Batch, ...] = ()
        failed = 0
        # What is held back is created by a later wave, without another question.
        does = plan.changes or (wait and any(is_held(action) for action in plan.actions))
        approved = not run.stop.over and (not does or saved is not None or approve(plan))
        if approved and not run.stop.over:
            if saved is not None:
                run.lock = replace(run.lock, plan=saved.own)  # durable before the first create
            record_watched(run, plan.tracked)
            # A saved plan has exactly its actions: what it holds back is for another plan to create.
            await record_all(run, proposal, selection, hold=wait and saved is None)
            flight = Flight(run, max_in_flight)
            await _create_all(run, proposal, flight)
            await look_back(run, proposal.facts)  # C10
            await look_again(run)
            if wait:
                waves = Waves(
                    run,
                    selection,
                    limits,
                    _meant_past_limits(plan),
                    still_open,
                    lambda wave: _next_wave(run, wave, flight),
                )
                batches, failed = await waves.go_on(plan if saved is None else replace(plan, actions=()))
            else:
                batches, failed = await wait_for(run, {action.key for action in plan.actions})
        elif run.stop.over:
            for action in plan.actions:
                if action.changes:
                    run.finish(action, Outcome.NOT_STARTED)
    finally:
        await run.notes.quiet()
        run.write_down()
    results = tuple(run.results[action.key] for action in plan.actions if action.key in run.results)
    return Applied(
        plan=plan,
        results=results,
        findings=tuple(where_it_is_now(run, finding) for finding in run.findings),
        batches=batches,
        failed_files=failed,
        unresolved=tuple(sorted({intent.address for intent in still_open})),
        ended=run.ended,
        not_looked_again=tuple(sorted({item.intent.address for item in run.second_looks.values()})),
        stopped=run.stop.signal,
        timed_out=run.stop.timed_out,
        closed=hours.left(results),
    )


def _meant_past_limits(plan: Plan) -> frozenset[Key]:
    """What was confirmed past a limit or against a policy is not held against later waves (R15)."""
    past = plan.breaches or plan.refused
    return frozenset(action.key for action in plan.actions if past and action.changes)


async def _next_wave(run: Run, proposal: Proposal, flight: Flight) -> None:
    """Carry out what had been held back and can go on now."""
    for action in proposal.plan.actions:
        if action.kind is ActionKind.ADOPT:
            await record(run, action)
    await _create_all(run, proposal, flight)
    await look_again(run)


async def _create_all(run: Run, proposal: Proposal, flight: Flight) -> None:
    """Carry out a plan's creates. The first failure of ours is raised once the others are in."""
    creates = [action for action in proposal.plan.actions if action.kind is ActionKind.CREATE]
    if creates and not run.session.journal.warm:
        await be_cold(run)
    failures: list[Exception] = []

    async def carry_out(action: Action) -> None:
        begun = False
        try:
            async with flight.place(action.key):
                facts = proposal.facts.get(action.key)
                age = run.eyes.clock.monotonic() - proposal.observed
                if flight.limited and age > FRESH and not run.over:
                    facts, against = await looked_up_again(run, action)
                    if against:
                        run.finish(action, Outcome.BLOCKED, why=against)
                        return
                begun = True
                await create(run, action, facts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again below
            # The others in flight shall come back and be written down, if that is possible at all.
            run.ended = run.ended or str(error)
            if isinstance(error, ServiceError) and not begun:  # waiting for its place; the run ends by this
                run.finish(action, Outcome.NOT_STARTED, why=str(error))
            else:
                failures.append(error)

    await each(creates, run.eyes.at_once, carry_out)
    if failures:
        raise failures[0]
