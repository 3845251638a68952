"""The error that says what stands against a plan, where that is written, and how to lift it (R15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.hours import opening
from reconciler.model.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.plan import Closed, Plan, Violation

# So many policies are told in full; all of them stand in the plan.
_TOLD = 5


def refused(plan: Plan, *, confirmed: bool) -> LimitError | None:
    """Why a plan is not applied, or None.

    Args:
        plan: the plan.
        confirmed: whether its digest was confirmed, which lifts all but what says that it is not lifted.
    """
    for_good = [item for item in plan.refused if not item.confirmable]
    if confirmed:
        return _violated(for_good, plan, "") if for_good else None
    if not (plan.breaches or plan.guarded or plan.refused or plan.closed):
        return None
    confirm = f"apply just this plan with --confirm {plan.digest}"
    if for_good or (plan.refused and not plan.breaches):
        return _violated(for_good or list(plan.refused), plan, "" if for_good else confirm)
    if plan.breaches:
        return LimitError(
            f"the plan goes past a limit: {'; '.join(_over(plan))}",
            next=f"Select less with --target, raise the limit, or {confirm}",
        )
    if plan.guarded:
        first = plan.guarded[0]
        more = f", and {len(plan.guarded) - 1:,} more" if plan.guarded[1:] else ""
        return LimitError(
            f"{first.address} is not touched without a word: {first.what}{more}",
            where=first.source,
            next=f"Select less with --target, or {confirm}",
        )
    return _outside(plan.closed, confirm)


def _over(plan: Plan) -> Iterator[str]:
    for item in plan.breaches:
        whose = f" of {item.scope}" if item.scope else ""
        yield f"{item.limit}{whose} is {item.allowed:,} and the plan has {item.planned:,}"


def _outside(items: tuple[Closed, ...], confirm: str) -> LimitError:
    first = items[0]
    whose = f" for {first.scope}" if first.scope else ""
    return LimitError(
        f"nothing may be created or cancelled now{whose}: {first.why}",
        where=first.source,
        why="; ".join(f"{item.scope}: {opening(item)}" if item.scope else opening(item) for item in items),
        next=f"Apply then, or {confirm}",
    )


def _told(item: Violation) -> str:
    """What a violation is about, and what its policy's author says."""
    where = item.address or item.at
    return f"{where}: {item.message}" if where else item.message


def _violated(items: list[Violation], plan: Plan, confirm: str) -> LimitError:
    first = items[0].policy
    told = "; ".join(
        f"{'' if item.policy == first else f'{item.policy}: '}{_told(item)}" for item in items[:_TOLD]
    )
    more = f"; and {len(items) - _TOLD:,} more" if items[_TOLD:] else ""
    lift = f", or {confirm}" if confirm else f"; {first} is not lifted by --confirm {plan.digest}"
    return LimitError(
        f"the plan does not satisfy a policy: {told}{more}",
        where=first,
        next=f"Change the manifests, or select less with --target{lift}",
    )
