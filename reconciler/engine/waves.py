"""`apply --wait`: stay until the batches have ended, and then create what had to wait for them.

Each wave is decided anew by the same plan. It creates only what the approved plan had and held back for
others: a batch that failed meanwhile is tried again by the next apply, and not unseen by this one. With a
saved plan the run only stays: what that holds back nobody has reviewed as a create.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.core.gates import breaches, guarded
from reconciler.core.order import WAITING, also_observed
from reconciler.core.policies import judged
from reconciler.engine.gates import refused
from reconciler.engine.propose import propose
from reconciler.engine.wait import Awaited, read_files, until_terminal
from reconciler.model.errors import ServiceError
from reconciler.model.plan import ActionKind, ReasonCode
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.core.select import Selection
    from reconciler.engine.propose import Proposal
    from reconciler.engine.run import Run
    from reconciler.model.batch import Batch, Key
    from reconciler.model.intent import Intent
    from reconciler.model.plan import Action, Plan
    from reconciler.model.project import Limits


def is_held(action: Action) -> bool:
    """Whether an action is a create that only has to wait for others."""
    return action.kind is ActionKind.BLOCKED and action.reason.code in WAITING


def stuck(action: Action) -> Outcome:
    """What came of an action that this run cannot carry out."""
    if action.kind is not ActionKind.UNRESOLVED:
        return Outcome.BLOCKED
    return Outcome.UNSEEN if action.reason.code is ReasonCode.UNKNOWN else Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Waves:
    """What deciding the next wave takes.

    Attributes:
        selection: what the run is about.
        limits: how much the run may do in all, but for what was confirmed past them (R15).
        confirmed: what is not counted, since it was confirmed by name; it never names what is held back.
        intents: creates whose outcome is not known.
        carry_out: creates what a proposal has.
    """

    run: Run
    selection: Selection
    limits: Limits
    confirmed: frozenset[Key]
    intents: tuple[Intent, ...]
    carry_out: Callable[[Proposal], Awaitable[None]]

    async def go_on(self, plan: Plan) -> tuple[tuple[Batch, ...], int]:
        """Wait and create until nothing is held back that could go on, or until the run is to end.

        Gives every batch that was waited for, as last seen, and how many of their files came to nothing.

        Raises:
            LimitError: a wave goes past what is left of a limit; what is created by then is recorded.
            StateError, LockLostError: as for an apply.
        """
        held = {action.key: action for action in plan.actions if is_held(action)}
        seen: dict[Key, Batch] = {}
        failed = 0
        try:
            while True:
                failed += await self._wait(seen)
                if not held or self.run.over:
                    break
                proposal = await self.run.stop.unless_over(self._propose())
                if proposal is None:
                    break
                wave = self._only(proposal, held)
                held |= {action.key: action for action in proposal.plan.actions if action.key in held}
                if not wave.plan.changes:
                    break
                await self.carry_out(wave)
                for action in wave.plan.actions:
                    held.pop(action.key)
        except ServiceError as error:  # what the run did by then is to be told, so this does not end it here
            self.run.ended = self.run.ended or str(error)
        for action in held.values():
            self.run.finish(action, stuck(action))
        return tuple(seen[key] for key in sorted(seen)), failed

    async def _wait(self, seen: dict[Key, Batch]) -> int:
        """Stay until all that the run is about and all that it waits for have ended; read their files."""
        run = self.run
        about = [want for want in run.desired.batches if self.selection.wants(want)]
        about += also_observed(run.desired, self.selection)
        awaited = []
        for want in about:
            entry = run.lock.entries.get(want.key)
            if entry is not None and (not entry.recorded.status.terminal or want.key in run.results):
                awaited.append(Awaited(entry.address, entry.recorded.as_batch(want.key)))
        new = [item for item in awaited if seen.get(item.batch.key) != item.batch]
        ended = await until_terminal(run.eyes, run.stop, new, random=run.random, learn=run.learn)
        there = [
            Awaited(item.address, ended.batches[item.batch.key])
            for item in new
            if item.batch.key not in ended.gone
        ]
        seen |= {item.batch.key: item.batch for item in there}
        return await read_files(run.eyes, run.stop, there, learn=run.learn_files)

    async def _propose(self) -> Proposal:
        run = self.run
        return await propose(
            run.eyes,
            desired=run.desired,
            lock=run.lock,
            intents=self.intents,
            limits=self.limits,
            selection=self.selection,
            patience=run.stop,
        )

    def _only(self, proposal: Proposal, held: dict[Key, Action]) -> Proposal:
        """Of a proposal what had been held back, and can go on now.

        Raises:
            LimitError: with what this run created before, it goes past a limit or violates a policy (R15).
        """
        kinds = (ActionKind.CREATE, ActionKind.ADOPT)
        actions = tuple(a for a in proposal.plan.actions if a.key in held and a.kind in kinds)
        before = [r.action for key, r in self.run.results.items() if key not in self.confirmed]
        sets = {want.set.name: want.set for want in self.run.desired.batches}
        past = tuple(breaches([*before, *actions], self.limits, sets, self.selection.shard))
        touched = tuple(guarded(actions, self.limits))
        # What is closed by now is not begun, each by itself (see `hours`); the wave's other sets go on.
        plan = replace(proposal.plan, actions=actions, breaches=past, guarded=touched, closed=())
        if actions:
            whole = judged(replace(plan, actions=(*before, *actions)), self.limits.policies)
            plan = replace(plan, violations=whole.violations)
        if error := refused(plan, confirmed=False):
            raise error
        return replace(proposal, plan=plan)
