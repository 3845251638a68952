"""From what is desired to a plan: observe, decide, look up what the decision needs, decide again.

The deciding is `core.plan.plan` each time; here is only the order in which its arguments are fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.order import also_observed
from reconciler.core.plan import plan as decide_all
from reconciler.core.questions import facts_wanted
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL
from reconciler.engine.observe import look_at, observe
from reconciler.engine.preflight import gather_facts
from reconciler.model.errors import ServiceError
from reconciler.model.events import Warned
from reconciler.model.manifest import OnChange
from reconciler.model.plan import ActionKind
from reconciler.model.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.core.select import Selection
    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import FileCounts, Key
    from reconciler.model.desired import Desired
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Lock
    from reconciler.model.plan import Plan, Unread
    from reconciler.model.ports import Patience
    from reconciler.model.project import Limits
    from reconciler.model.snapshot import Facts


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, and what it was decided on.

    Attributes:
        observed: by the monotonic clock, when the observation began: a cold run counts from here (C2).
        now: the time that it was decided for, by this tool's clock.
        counts: how the files of batches fared that others wait for, by batch, as far as it was read now.
    """

    plan: Plan
    snapshot: Snapshot
    facts: Mapping[Key, Facts]
    observed: float
    now: datetime
    counts: Mapping[str, FileCounts] = field(default_factory=dict)


async def propose(
    eyes: Eyes,
    *,
    desired: Desired,
    lock: Lock,
    intents: tuple[Intent, ...],
    limits: Limits,
    selection: Selection,
    patience: Patience,
) -> Proposal:
    """Make the plan.

    Args:
        eyes: what observing needs.
        desired: what the manifests ask for.
        lock: what is recorded.
        intents: creates whose outcome is not known.
        limits: how much the plan may do.
        selection: what it is about.
        patience: ends the waiting for results that the service does not give yet.

    Raises:
        ServiceError: the service does not accept the key.
    """
    now = eyes.clock.now()
    observed = eyes.clock.monotonic()
    wanted = {want.key: want for want in selection.of(desired.batches)}
    everything = wanted if selection.everything else {want.key for want in desired.batches}
    removed = [
        entry
        for key, entry in lock.entries.items()
        if key not in everything and selection.covers_key(key, entry.address) and key.home in eyes.providers
    ]
    looked_at = (*wanted.values(), *also_observed(desired, selection))
    snapshot, looked_for = await observe(eyes, looked_at, removed, lock, now)
    facts: dict[Key, Facts] = {}
    counts: dict[str, FileCounts] = {}

    async def settled() -> Plan:
        """Decide, and once more after a look at what turned out to be created and was only trusted (O3).

        The service's clock, a changed file or a changed configuration can end a KEEP.
        """
        nonlocal snapshot
        plan = decide()
        turned = [a.key for a in plan.actions if a.kind is ActionKind.CREATE and a.key not in looked_for]
        if turned:
            looked_for.update(turned)
            snapshot = Snapshot({**snapshot.seen, **await look_at(eyes, turned, lock)}, snapshot.clocks)
            plan = decide()
        return plan

    def decide() -> Plan:
        return decide_all(
            desired=desired,
            snapshot=snapshot,
            lock=lock,
            intents=intents,
            facts=facts,
            now=now,
            limits=limits,
            selection=selection,
            counts=counts,
        )

    plan = await settled()
    # What becomes known can let go what was held back till then: it is looked up like the rest (R14).
    tried: set[Unread] = set()
    while True:
        if unread := sorted(set(plan.unread) - tried):
            tried |= set(unread)
            counts |= await _read_files(eyes, unread, snapshot, patience)
        elif keys := [key for key in facts_wanted(plan, wanted) if key not in facts]:
            watched = {key for key in keys if wanted[key].set.rerun.on_input_change is OnChange.RERUN}
            facts |= await gather_facts(eyes, keys, watched=watched)
        else:
            break
        plan = await settled()
    return Proposal(plan, snapshot, facts, observed, now, counts)


async def _read_files(
    eyes: Eyes, unread: Iterable[Unread], snapshot: Snapshot, patience: Patience
) -> dict[str, FileCounts]:
    """How the files of batches fared that others wait for; those that cannot be read are left out (R7)."""
    from reconciler.engine.outcomes import counts_of, file_outcomes  # late: few sets wait for others

    counts: dict[str, FileCounts] = {}

    async def read(item: Unread) -> None:
        seen = snapshot.of(item.key)
        assert isinstance(seen, tuple)  # it stands, so it was seen
        batch = next(there for there in seen if there.id == item.batch)
        provider = eyes.providers[item.key.home]
        try:
            outcomes = await file_outcomes(
                provider, item.key, batch, deep=True, at_once=eyes.at_once, patience=patience
            )
        except FATAL:
            raise
        except ServiceError as error:
            eyes.listen(Warned(f"how the files of {item.batch} fared could not be read: {error}"))
            return
        if (known := counts_of(outcomes)) is not None:
            counts[item.batch] = known

    await each(unread, eyes.at_once, read)
    return counts
