"""What an explanation needs to be seen: everything over one directory, and what a plan says of the address.

Unlike a look that decides (`listing`), this one also says what it saw where that need not be everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.explain import expected_ids, explain, places_of, subject_of
from reconciler.core.match import Moment
from reconciler.core.select import Selection
from reconciler.engine.listing import FATAL, read_pass
from reconciler.engine.propose import propose
from reconciler.model.errors import NotFoundError, ServiceError, SettingsError
from reconciler.model.explanation import Sighting
from reconciler.model.ports import Listing
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from reconciler.core.explain import Subject
    from reconciler.engine.observe import Eyes
    from reconciler.model.batch import Address, Batch
    from reconciler.model.desired import Desired
    from reconciler.model.explanation import Explanation
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Lock
    from reconciler.model.ports import Patience
    from reconciler.model.project import Limits


async def explain_address(
    eyes: Eyes,
    address: Address,
    *,
    desired: Desired,
    lock: Lock,
    intents: tuple[Intent, ...],
    limits: Limits,
    patience: Patience,
) -> Explanation:
    """Look, plan, and explain. Nothing is written.

    Raises:
        SettingsError: the address is neither desired nor recorded nor open.
        ServiceError: the service does not accept the key.
    """
    subject = subject_of(address, desired, lock, intents)
    if subject is None:
        raise _unknown(address, desired, lock, intents)
    sighting = await _look_over(eyes, subject)
    addresses = {address, subject.want.address} if subject.want else {address}
    proposal = await propose(
        eyes,
        desired=desired,
        lock=lock,
        intents=intents,
        limits=limits,
        selection=Selection(addresses=frozenset(addresses)),
        patience=patience,
    )
    now = proposal.now
    return explain(
        subject,
        sighting,
        proposal.plan.actions,
        desired=desired,
        lock=lock,
        facts=proposal.facts.get(subject.key),
        moment=Moment(now, proposal.snapshot.clocks.get(subject.key.endpoint, now)),
    )


async def _look_over(eyes: Eyes, subject: Subject) -> Sighting:
    provider = eyes.providers.get(subject.key.home)
    if provider is None:
        return Sighting(unknown=f"no provider of this project leads to {subject.key.endpoint} any more")
    batches: dict[str, Batch] = {}
    unknown = ""
    for place in places_of(subject):
        result = await read_pass(provider, Listing(directory=place), eyes.clock)
        if isinstance(result, Unknown):
            unknown = result.why
        else:
            batches |= result.batches
    gone, unlisted = set(), set()
    for name in sorted(expected_ids(subject) - batches.keys()):
        try:
            batches[name] = await provider.get(name)
            unlisted.add(name)
        except NotFoundError:
            gone.add(name)
        except FATAL:
            raise
        except ServiceError as error:
            unknown = unknown or str(error)
    return Sighting(tuple(batches.values()), frozenset(gone), frozenset(unlisted), unknown)


def _unknown(address: Address, desired: Desired, lock: Lock, intents: tuple[Intent, ...]) -> SettingsError:
    from difflib import get_close_matches

    known = (
        {str(item.address) for item in desired.batches}
        | {str(entry.address) for entry in lock.entries.values()}
        | {str(intent.address) for intent in intents}
    )
    if address in {entry.address for entry in lock.tracked.values()}:
        return SettingsError(
            f"{address} is only watched: no plan decides about it",
            next=f"`reconciler status --target {address}` and `reconciler results {address}` show it",
        )
    near = get_close_matches(str(address), sorted(known), n=1)
    return SettingsError(
        f"{address} is neither in the manifests nor recorded",
        next=f"Did you mean {near[0]!r}?" if near else "`reconciler plan --verbose` lists what is",
    )
