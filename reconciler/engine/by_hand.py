"""The ways out that only a person can take: to say which batch it is, that there is none, or to cancel one.

All hold the lock like an apply and write to the audit log. None of them creates anything.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.names import moved
from reconciler.core.record import record_batch, recorded, with_status
from reconciler.engine.steps import audit_recovered
from reconciler.model.audit import AuditLine
from reconciler.model.errors import NotFoundError, ServiceError, SettingsError
from reconciler.model.intent import Closing
from reconciler.model.lock import Origin
from reconciler.model.result import Cancelling

if TYPE_CHECKING:
    from collections.abc import Collection

    from reconciler.engine.run import Run
    from reconciler.model.batch import Address, Batch, Key
    from reconciler.model.desired import DesiredBatch
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry


async def import_batch(run: Run, address: Address, name: str) -> Batch:
    """Record a live batch as the one that stands for an address, and close what was open there.

    A batch under another configuration is taken only if it may be an open create of this very address
    under another name (C5, C9): it then is recorded as an alias.

    Raises:
        SettingsError: the address is not desired, the batch does not exist, or it is other work.
        ServiceError: the service did not answer.
    """
    want = _desired(run, address)
    try:
        batch = await run.provider(want.key).get(name)
    except NotFoundError as error:
        raise SettingsError(f"{name} is not known to the service", where=want.key.endpoint) from error
    intents = [intent for intent in run.session.journal.open if intent.key == want.key]
    batch = _same_work(batch, want, intents, run)
    entry = recorded(
        run.lock.entries.get(want.key),
        want,
        batch,
        origin=Origin.FOUND if intents else Origin.ADOPTED,
        now=run.eyes.clock.now(),
        evidence=intents[-1].evidence if intents else None,
    )
    run.put(entry)
    for intent in intents:
        await run.settle(intent, Closing.FOUND, "imported by hand", entry)
    _audit(run, address, want.key, action="import", batch=batch.id, outcome="imported")
    _write_down(run)
    return batch


def _same_work(batch: Batch, want: DesiredBatch, intents: list[Intent], run: Run) -> Batch:
    if run.aliases.get(batch.key, batch.key) == want.key:
        return batch
    may_be_open = any(
        batch.id not in intent.known and batch.key.directory == intent.key.directory for intent in intents
    )
    if may_be_open and batch.key.job is want.key.job and batch.key.project == want.key.project:
        return batch
    differing = [
        f"{name} {theirs}, not {ours}"
        for name, theirs, ours in zip(want.key._fields, batch.key, want.key, strict=True)
        if theirs != ours
    ]
    raise SettingsError(f"{batch.id} is other work than {want.address}", why=f"it has {'; '.join(differing)}")


async def resolve_absent(run: Run, address: Address) -> tuple[str, ...]:
    """Take a person's word that what is open or gone at an address does not exist.

    Closes the address's open intents, and forgets its recorded batches that the service answers 404 for.
    Gives a sentence for each.

    Raises:
        SettingsError: nothing is open or gone there.
        ServiceError: the service did not answer.
    """
    done: list[str] = []
    for intent in run.session.journal.open:
        if _shown_at(run, intent.key, intent.address) == address:
            await run.settle(intent, Closing.ABSENT, "by hand")
            _audit(run, address, intent.key, action="resolve", batch="", outcome="absent")
            done.append(f"closed the create of {intent.at:%Y-%m-%d %H:%M:%S} UTC as absent")
    for key, entry in list(run.lock.entries.items()):
        if _shown_at(run, key, entry.address) != address or key.home not in run.eyes.providers:
            continue
        gone = [item.id for item in entry.batches if await _is_gone(run, key, item.id)]
        left = tuple(item for item in entry.batches if item.id not in gone)
        if gone and left:
            newest = max(left, key=lambda item: (item.created_at or item.recorded_at, item.id))
            current = newest.id if entry.current in gone else entry.current
            run.put(entry._replace(batches=left, current=current))
        elif gone:
            run.drop(key)
        for name in gone:
            _audit(run, address, key, action="resolve", batch=name, outcome="gone")
            done.append(f"forgot {name}, which the service does not know")
    if not done:
        raise SettingsError(f"nothing is open or gone at {address}", next="`reconciler plan` says what is")
    _write_down(run)
    return tuple(done)


async def _is_gone(run: Run, key: Key, name: str) -> bool:
    try:
        await run.provider(key).get(name)
    except NotFoundError:
        return True
    return False


async def cancel_batch(run: Run, address: Address, name: str = "") -> Cancelling:
    """Ask the service to cancel a batch: the one that stands at an address, or another one of its work.

    One that has ended is left alone (O1). Gives the batch as the service then has it. A surplus one that
    nobody recorded is recorded with it, so that the attempts count it (R6).

    Raises:
        SettingsError: no such batch is recorded there, nor of the work there, or no provider leads there.
        ServiceError: the service refused, or did not answer; the batch may be cancelled nevertheless.
        LockLostError: the lock is no longer this run's.
    """
    entry = await _entry_with(run, address, name)
    name = name or entry.current
    if entry.key.home not in run.eyes.providers:
        raise SettingsError(f"no set uses the provider that {name} was made on", where=entry.key.endpoint)
    run.session.confirm()
    try:
        batch = await run.provider(entry.key).get(name)
        asked = not batch.status.terminal
        if asked:
            batch = await run.provider(entry.key).cancel(name)
    except ServiceError as error:
        _audit(run, address, entry.key, action="cancel", batch=name, outcome="failed", why=str(error))
        _write_down(run)
        raise
    run.put(with_status(entry, batch))
    _audit(run, address, entry.key, action="cancel", batch=name, outcome=batch.status.value)
    _write_down(run)
    return Cancelling(batch, asked=asked)


def move_pins(run: Run, sets: Collection[str]) -> tuple[str, ...]:
    """Write down what these sets' names and patterns stand for now, without creating anything (R13).

    Gives a sentence for each pin that moved, went or came. The pins of other sets stay as they are: nobody
    asked for theirs, and `--locked` would take what they then say for reviewed.
    """
    now = [pin for pin in run.desired.pins if pin.set in sets]
    before = [pin for pin in run.lock.pins if pin.set in sets]
    changes = moved(now, before)
    for change in changes:
        run.write_audit(
            AuditLine(
                time=run.eyes.clock.now(),
                action="upgrade",
                address=change.partition(":")[0],
                key="",
                batch="",
                outcome="pinned",
                why=f"by hand; {change}",
            )
        )
    others = [pin for pin in run.lock.pins if pin.set not in sets]
    run.lock = replace(run.lock, pins=tuple(sorted([*now, *others])))
    _write_down(run)
    return changes


async def _entry_with(run: Run, address: Address, name: str) -> Entry:
    """What is recorded at an address, with a batch of its work that was named and not recorded yet."""
    there = [
        entry for entry in run.lock.entries.values() if _shown_at(run, entry.key, entry.address) == address
    ]
    for entry in there:
        if not name or any(item.id == name for item in entry.batches):
            return entry
    if not there:
        _refuse_watched(run, address)
        raise SettingsError(
            f"nothing is recorded at {address}", next="`reconciler plan --verbose` lists what is"
        )
    for entry in there:
        if entry.key.home not in run.eyes.providers:
            continue
        with contextlib.suppress(NotFoundError):
            batch = await run.provider(entry.key).get(name)
            if run.aliases.get(batch.key, batch.key) == entry.key:
                now = run.eyes.clock.now()
                return record_batch(
                    entry, entry.key, entry.address, batch, origin=Origin.ADOPTED, now=now, stands=False
                )
    ids = ", ".join(item.id for entry in there for item in entry.batches)
    raise SettingsError(
        f"{name} is not recorded at {address}",
        why=f"there are {ids}",
        next=f"reconciler import {address} {name}",
    )


def _shown_at(run: Run, key: Key, recorded: Address) -> Address:
    """The address by which a plan speaks of a key: where it is desired now, else where it was (R8, R11)."""
    want = run.wanted.get(key)
    return want.address if want else recorded


def _desired(run: Run, address: Address) -> DesiredBatch:
    for want in run.desired.batches:
        if want.address == address:
            return want
    _refuse_watched(run, address)
    raise SettingsError(
        f"{address} is not in the manifests", next="`reconciler plan --verbose` lists what is"
    )


def _refuse_watched(run: Run, address: Address) -> None:
    """R16: what is only watched is nobody's to import or cancel here."""
    if address in {entry.address for entry in run.lock.tracked.values()}:
        raise SettingsError(
            f"{address} is only watched",
            next=f"`reconciler status --target {address}` and `reconciler results {address}` show it",
        )


def _audit(
    run: Run, address: Address, key: Key, *, action: str, batch: str, outcome: str, why: str = ""
) -> None:
    run.write_audit(
        AuditLine(
            time=run.eyes.clock.now(),
            action=action,
            address=str(address),
            key=str(key),
            batch=batch,
            outcome=outcome,
            why=f"by hand; {why}" if why else "by hand",
        )
    )


def _write_down(run: Run) -> None:
    """As every run does. What the journal recovered goes into the lockfile with it, so it is audited (C9)."""
    audit_recovered(run)
    run.write_down()
