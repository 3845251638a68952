"""What became of a create whose reply was lost: look for the settle time, then know (C5, C7).

Looking is all that is done here; nothing is sent. What shows up after that is looked for in `late`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from reconciler.core.match import STOPPED, choose
from reconciler.core.record import record_batch
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL, look, renamed
from reconciler.engine.observe import places
from reconciler.model.audit import AuditLine
from reconciler.model.events import Resolving, Waiting, Warned
from reconciler.model.intent import Closing
from reconciler.model.lock import Origin
from reconciler.model.result import Finding
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from reconciler.engine.run import Run
    from reconciler.model.batch import Batch
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry

# Looks are bounded (C6): so many within a settle time, and so many that may fail.
_LOOKS = 6
_MOST_FAILED_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Found:
    """The create took effect; this batch stands for the key now."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Absent:
    """A settle time has gone by and there is no batch: the intent is closed."""


@dataclass(frozen=True, slots=True)
class StillOpen:
    """It could not be found out; the intent stays open."""

    why: str


Resolution: TypeAlias = Found | Absent | StillOpen


async def resolve_all(run: Run, intents: tuple[Intent, ...]) -> tuple[Intent, ...]:
    """C7: a run begins by looking for what earlier runs left open. Gives back what is open still."""
    still_open: list[Intent] = []

    async def one(intent: Intent) -> None:
        if intent.key.home not in run.eyes.providers:
            still_open.append(intent)  # its provider is not in the project file any more
            run.eyes.listen(Warned(f"{intent.address}: no provider leads to {intent.key.endpoint} any more"))
            return
        run.eyes.listen(Resolving(intent))
        began = run.eyes.clock.monotonic()
        resolution = await resolve(run, intent)
        if not isinstance(resolution, StillOpen):
            run.doubt(intent, began)  # C10: it was sent before that
        outcome, batch, why = "absent", "", ""
        match resolution:
            case Found(found):
                outcome, batch = "found", found.id
            case StillOpen(why):
                outcome = "unknown"
                still_open.append(intent)
            case Absent():
                pass
        run.write_audit(
            AuditLine(
                time=run.eyes.clock.now(),
                action="resolve",
                address=str(intent.address),
                key=str(intent.key),
                batch=batch,
                outcome=outcome,
                why=f"a create of {intent.at:%Y-%m-%d %H:%M:%S} UTC, by run {intent.run}, had no reply"
                + (f"; {why}" if why else ""),
            )
        )

    await each(intents, run.eyes.at_once, one)
    return tuple(still_open)


async def resolve(run: Run, intent: Intent) -> Resolution:
    """Look by directory until the batch is found or the settle time is over (C5).

    The settle time runs on this process's monotonic clock from its first look: the time of another
    process, or of the service, proves nothing.
    """
    provider, clock = run.provider(intent.key), run.eyes.clock
    began = clock.monotonic()
    failed = 0
    while True:
        begun = clock.monotonic()
        try:
            beside = run.listed_over(intent.key)
            looking = look(provider, places(intent.key, run.lock), (), clock, beside=beside)
            seen = await run.stop.unless_over(looking)
        except FATAL as error:  # C4: this ends the run, while what is in flight comes back and is recorded
            run.ended = run.ended or str(error)
            return StillOpen(str(error))
        if seen is None:
            return StillOpen("the run was stopped while it looked")
        if isinstance(seen, Unknown):
            failed += 1
            if failed >= _MOST_FAILED_LOOKS:
                return StillOpen(seen.why)
        else:
            new = [batch for batch in seen.batches.values() if batch.id not in intent.known]
            if resolution := await _judge(run, intent, new):
                return resolution
            if begun - began >= provider.settle:
                await run.settle(intent, Closing.ABSENT)
                return Absent()
        if run.stop.over:
            return StillOpen("the run was stopped while it looked")
        left = max(0.0, provider.settle - (clock.monotonic() - began))
        seconds = min(left, provider.settle / _LOOKS) if left else provider.settle / _LOOKS
        run.eyes.listen(Waiting(f"{intent.address}: looking for the batch of a lost reply", left))
        await run.stop.pause(seconds)


async def _judge(run: Run, intent: Intent, new: list[Batch]) -> Resolution | None:
    """What new batches over the directory say about the intent."""
    new = renamed(new, run.aliases)
    mine = [batch for batch in new if batch.key == intent.key]
    if mine:
        entry = run.lock.entries.get(intent.key)
        for batch in mine:
            entry = found_for(run, entry, intent, batch)
        assert entry is not None
        chosen = choose([b for b in mine if b.status not in STOPPED] or mine, None)
        await run.settle(intent, Closing.FOUND, entry=entry._replace(current=chosen.id))
        if len(mine) > 1:
            why = f"it appeared after a create that had no reply, beside {chosen.id}"
            run.tell_duplicates(intent.address, intent.key, {batch.id for batch in mine}, chosen.id, why)
        return Found(chosen)
    strangers = _unexplained(run, intent, new)
    if strangers:
        run.findings.append(Finding(intent.address, intent.key, tuple(strangers), ambiguous=True))
        return StillOpen(
            f"{', '.join(strangers)} appeared over the directory with another configuration, and no other"
            " create explains it: it may be this create under another name"
        )
    return None


def _unexplained(run: Run, intent: Intent, new: list[Batch]) -> list[str]:
    """The ids of what no create but this one is known to have made.

    That another manifest asks for such a batch explains nothing, and nor does its being recorded since: the
    service may take the two configurations for one. A reply that named it does, or an open intent of its own.
    """
    open_keys = {other.key for other in run.session.journal.open if other.id != intent.id}
    return sorted(batch.id for batch in new if batch.key not in open_keys and batch.id not in run.named)


def found_for(run: Run, entry: Entry | None, intent: Intent, batch: Batch, *, stands: bool = True) -> Entry:
    """The entry with a batch that was seen after an intent whose reply was lost."""
    return record_batch(
        entry,
        intent.key,
        intent.address,
        batch,
        origin=Origin.FOUND,
        now=run.eyes.clock.now(),
        evidence=intent.evidence,
        directory_name=intent.directory_name,
        on_remove_of=run.wanted.get(intent.key),
        stands=stands,
    )
