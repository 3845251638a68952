"""The steps of a run, each by itself: plan, refuse, record, be cold. In which order they come is in `apply`.

Nothing here creates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from reconciler.core.gates import COSTLY
from reconciler.core.names import pins_after
from reconciler.core.policies import judged
from reconciler.core.preflight import objection
from reconciler.core.record import policies, refreshed, with_counts
from reconciler.core.saved import staleness
from reconciler.engine.create import adopt
from reconciler.engine.gates import refused
from reconciler.engine.hours import Hours
from reconciler.engine.preflight import gather_facts
from reconciler.engine.propose import propose
from reconciler.engine.tracking import with_watched
from reconciler.engine.waves import is_held, stuck
from reconciler.model.audit import AuditLine
from reconciler.model.errors import (
    AuthenticationError,
    PaymentError,
    ServiceError,
    StalePlanError,
)
from reconciler.model.events import Planned, Starting, Waiting
from reconciler.model.plan import ActionKind
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.select import Selection
    from reconciler.engine.propose import Proposal
    from reconciler.engine.run import Run
    from reconciler.model.batch import FileCounts
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry
    from reconciler.model.plan import Action, Plan
    from reconciler.model.project import Limits
    from reconciler.model.result import Finding
    from reconciler.model.saved import SavedPlan
    from reconciler.model.snapshot import Facts


async def make_plan(run: Run, intents: tuple[Intent, ...], limits: Limits, selection: Selection) -> Proposal:
    """Make the plan, and show it.

    Raises:
        StoppedError: the run was to end before there was one.
    """
    proposal = await run.stop.unless_over(
        propose(
            run.eyes,
            desired=run.desired,
            lock=run.lock,
            intents=intents,
            limits=limits,
            selection=selection,
            patience=run.stop,
        )
    )
    if proposal is None:
        raise run.stop.error()
    if not run.session.journal.warm:
        settle = max((provider.settle for provider in run.eyes.providers.values()), default=0.0)
        run.cold_until = proposal.observed + settle
    plan = judged(await with_watched(run, proposal.plan, selection), limits.policies)  # R16, R15
    run.plan_digest = plan.digest
    run.eyes.listen(Planned(plan))
    return replace(proposal, plan=plan)


def refuse(run: Run, plan: Plan, confirmed: str, saved: SavedPlan | None) -> None:
    """What is not the plan that was reviewed or confirmed, or goes past a limit and was not (R15)."""
    if saved is not None and (why := staleness(saved, plan, run.lock)):
        raise StalePlanError(
            "the saved plan is stale",
            where=saved.file,
            why=why,
            next="Make and review a new one: reconciler plan --out FILE",
        )
    if confirmed and confirmed != plan.digest:
        raise StalePlanError(
            f"the plan is {plan.digest} now",
            why=f"and not the confirmed {confirmed}",
            next="Review it with `reconciler plan`",
        )
    if error := refused(plan, confirmed=bool(confirmed)):
        raise error


def hours_of(run: Run, plan: Plan, limits: Limits, confirmed: str) -> Hours:
    """When the plan's creates and cancels may go: who confirmed it outside of a window meant them (R15)."""
    meant = plan.actions if confirmed and plan.closed else ()
    sets = {want.set.name: want.set for want in run.desired.batches}
    lifted = frozenset(action.key for action in meant if action.kind in COSTLY)
    return Hours(run.eyes.clock, limits, sets, lifted)


def audit_recovered(run: Run, entries: Iterable[Entry] | None = None) -> None:
    """What a crash kept from the lockfile it may have kept from the audit log as well (C9).

    Args:
        run: the run.
        entries: what it found; by default, what the journal had when the run began.
    """
    for entry in run.session.journal.recovered if entries is None else entries:
        run.write_audit(
            AuditLine(
                time=run.eyes.clock.now(),
                action="recover",
                address=str(entry.address),
                key=str(entry.key),
                batch=entry.current,
                outcome="recorded",
                why="an earlier run recorded it in the journal and did not come to its end",
            )
        )


async def record_all(run: Run, proposal: Proposal, selection: Selection, *, hold: bool) -> None:
    """Do everything that sends no create. With ``hold``, what only waits for others is left for later."""
    plan = proposal.plan
    run.eyes.listen(Starting(sum(1 for action in plan.actions if action.changes)))
    for key, entry in refreshed(run.lock, proposal.snapshot).items():
        if run.lock.entries[key] is not entry:
            run.put(entry)
    for action in plan.actions:
        if action.kind is not ActionKind.CREATE and not (hold and is_held(action)):
            await record(run, action)
    _record_counts(run, proposal.counts)
    _take_over_manifests(run, plan, selection)
    run.commit()


async def looked_up_again(run: Run, action: Action) -> tuple[Facts, str]:
    """What a directory is after a long wait for a place, and what is against it by now (R14).

    What the create is made for has to be what it processes: a file that came meanwhile would else be taken
    for a change since, and be paid for twice (R3).
    """
    facts = (await gather_facts(run.eyes, [action.key]))[action.key]
    return facts, objection(action.key, facts, run.moment(action.key).service) or ""


def _record_counts(run: Run, counts: Mapping[str, FileCounts]) -> None:
    """How files fared does not change any more, so it is read once."""
    if not counts:
        return
    for entry in list(run.lock.entries.values()):
        for item in entry.batches:
            if item.id in counts:
                run.put(with_counts(run.lock.entries[entry.key], item.id, counts[item.id]))


async def record(run: Run, action: Action) -> None:
    """Everything that sends no create."""
    match action.kind:
        case ActionKind.KEEP:
            pass
        case ActionKind.ADOPT:
            assert action.batch is not None
            adopt(run, action, action.batch)
            run.finish(action, Outcome.ADOPTED, batch=action.batch)
        case ActionKind.MOVE:
            run.put(run.lock.entries[action.key]._replace(address=action.address))
            run.finish(action, Outcome.MOVED, batch=action.batch)
        case ActionKind.FORGET:
            run.drop(action.key)
            run.finish(action, Outcome.FORGOTTEN, batch=action.batch)
        case ActionKind.CANCEL:
            await _cancel(run, action)
        case ActionKind.BLOCKED | ActionKind.UNRESOLVED:
            run.finish(action, stuck(action))
        case ActionKind.CREATE:
            raise AssertionError("creates are carried out by `create`")
        case unreachable:
            assert_never(unreachable)


async def _cancel(run: Run, action: Action) -> None:
    """R10: ask for the cancel, then forget. After a failure the next plan says it again."""
    assert action.batch is not None
    if run.over or (shut := run.against(action)):
        run.finish(action, Outcome.NOT_STARTED, why=run.ended if run.over else shut)
        return
    run.session.confirm()
    try:
        batch = await run.provider(action.key).cancel(action.batch.id)
    except ServiceError as error:
        if isinstance(error, AuthenticationError | PaymentError):
            run.ended = run.ended or str(error)
        run.finish(action, Outcome.FAILED, why=str(error))
        return
    run.drop(action.key)
    run.finish(action, Outcome.CANCEL_ASKED, batch=batch)


def _take_over_manifests(run: Run, plan: Plan, selection: Selection) -> None:
    """R10 compares with the sets as last applied: those that this run was about in full.

    A set whose batch was to be cancelled and was not keeps its old text, so that the next plan says it again.
    """
    covered = frozenset(name for name in {*run.desired.sets, *run.lock.sets} if selection.whole(name))
    done = covered - {
        action.address.set
        for action in plan.actions
        if action.kind in (ActionKind.CANCEL, ActionKind.UNRESOLVED)
        and action.key in run.lock.entries
        and action.key not in run.wanted
    }
    sets = {name: text for name, text in run.lock.sets.items() if name not in done}
    sets |= {name: text for name, text in run.desired.sets.items() if name in done}
    for key, entry in policies(run.lock.entries, run.desired, covered).items():
        if run.lock.entries[key] is not entry:
            run.put(entry)
    about = {want.address for want in run.desired.batches if selection.wants(want)}
    pins = pins_after(run.desired.pins, run.lock.pins, covered, about)
    run.lock = replace(run.lock, sets=sets, pins=pins, projects={**run.lock.projects, **run.pins})


async def be_cold(run: Run) -> None:
    """C2: nobody knows what the last run did, so absence is believed after two looks a settle time apart.

    The observation was the first look, the one before each send is the second.
    """
    left = run.cold_until - run.eyes.clock.monotonic()
    if left > 0 and not run.over:
        run.eyes.listen(
            Waiting(
                "what was sent before is not known for certain here, so absence has to be seen twice", left
            )
        )
        await run.stop.pause(left)


def where_it_is_now(run: Run, finding: Finding) -> Finding:
    """The command that a finding names goes by the address under which its key is recorded in the end."""
    entry = run.lock.entries.get(finding.key)
    return finding._replace(address=entry.address) if entry else finding
