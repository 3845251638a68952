"""One key: does a live batch satisfy what is desired, and what follows if none does (R2-R8).

Here is the decision for a single key. What concerns several keys at once (forgetting, limits, selection,
order) is in `plan`; which keys have to be looked at for it is in `questions`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.spans import span
from reconciler.model.batch import Batch, Directory, Status
from reconciler.model.lock import Evidence, Origin
from reconciler.model.manifest import OnCancelled, OnChange
from reconciler.model.plan import Action, ActionKind, Reason, ReasonCode
from reconciler.model.snapshot import Facts, Gone, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.desired import DesiredBatch
    from reconciler.model.lock import Entry, Recorded
    from reconciler.model.manifest import Rerun
    from reconciler.model.snapshot import Seen

STOPPED = frozenset({Status.FAILED, Status.CANCELLED})
_LATEST = datetime.max.replace(tzinfo=UTC)


class Moment(NamedTuple):
    """The time of a decision, by two clocks.

    Attributes:
        now: this tool's, against which its own records are held.
        service: the service's, against which its ``created_at`` is held (R2); ``now`` if it is not known.
    """

    now: datetime
    service: datetime


def decide(
    want: DesiredBatch, seen: Seen, entry: Entry | None, facts: Facts | None, moment: Moment
) -> Action:
    """What is to be done about one desired batch that has no open intent.

    Args:
        want: what is desired.
        seen: the key's live batches, complete, or at least one that satisfies (O1, O2).
        entry: what the lockfile holds of the key.
        facts: what was looked up about the directory, if it was.
        moment: the time.
    """
    if isinstance(seen, Unknown):  # R7
        text = seen.why
        if isinstance(seen, Gone):
            text += f"; if it is gone for good: `reconciler lock resolve {want.address} --absent`"
        return _action(want, ActionKind.UNRESOLVED, ReasonCode.UNKNOWN, text, entry=entry)
    if (batch := standing(want, seen, entry, facts, moment)) is not None:
        return _satisfied(want, batch, entry)
    if entry and all(batch.id != entry.current for batch in seen):  # O5: recorded and gone is not missing
        text = f"the recorded batch {entry.current} is not among what was seen; plan again"
        return _action(want, ActionKind.UNRESOLVED, ReasonCode.UNKNOWN, text, entry=entry)
    return _unsatisfied(want, seen, entry, facts, moment)


def standing(
    want: DesiredBatch, seen: tuple[Batch, ...], entry: Entry | None, facts: Facts | None, moment: Moment
) -> Batch | None:
    """The batch that satisfies, if one does (R2)."""
    recorded = {item.id: item for item in entry.batches} if entry else {}
    rerun = want.set.rerun
    satisfying = [
        batch
        for batch in seen
        if batch.status not in STOPPED
        and outdated(batch, recorded.get(batch.id), rerun, facts, moment) is None
    ]
    if not satisfying:
        return None
    return satisfying[0] if len(satisfying) == 1 else choose(satisfying, entry)


def choose(satisfying: Iterable[Batch], entry: Entry | None) -> Batch:
    """Of several batches that satisfy: the recorded one, else the newest, then by id (R2)."""
    current = entry.current if entry else None
    return max(satisfying, key=lambda batch: (batch.id == current, batch.created_at or _LATEST, batch.id))


def outdated(
    batch: Batch, recorded: Recorded | None, rerun: Rerun, facts: Facts | None, moment: Moment
) -> Reason | None:
    """Why a batch does not count any more, or None while it does (R2).

    A batch that was itself created for a piece of evidence is never outdated by the same piece again (R3):
    otherwise a service whose clock is behind would be sent one create after another.
    """
    evidence = recorded.evidence if recorded else None
    after = _effective_after(rerun, moment)
    if after and not _since(after, batch, recorded):
        return Reason(ReasonCode.STALE_AFTER, f"{batch.id} was created before {_stamp(after)}")
    if not batch.status.terminal or batch.created_at is None:
        return None
    if rerun.max_age is not None:
        age = moment.service - batch.created_at
        if recorded and recorded.origin is not Origin.ADOPTED:
            age = min(age, moment.now - recorded.recorded_at)
        if age > rerun.max_age:
            return Reason(ReasonCode.STALE_AGE, f"{batch.id} is {span(age)} old")
    if facts is not None:
        return _changed(batch, evidence, rerun, facts, moment)
    return None


def _changed(
    batch: Batch, evidence: Evidence | None, rerun: Rerun, facts: Facts, moment: Moment
) -> Reason | None:
    """R2's last two: by a digest other than the recorded one, or by times where none is recorded."""
    if rerun.on_input_change is OnChange.RERUN:
        if evidence and evidence.inputs:
            if facts.inputs and facts.inputs != evidence.inputs:
                text = _newer_files(batch, facts, moment) or (
                    f"files were added, removed or modified since {batch.id}; now there are {facts.files:,}"
                )
                return Reason(ReasonCode.INPUT_CHANGED, text)
        elif _later(facts.newest_file_at, batch.created_at):
            text = _newer_files(batch, facts, moment) or f"a file is newer than {batch.id}"
            return Reason(ReasonCode.INPUT_CHANGED, text)
    if rerun.on_configuration_change is OnChange.RERUN and facts.configuration is not None:
        saved = facts.configuration
        if evidence and evidence.configuration:
            if saved.version and saved.version != evidence.configuration:
                return Reason(
                    ReasonCode.CONFIGURATION_CHANGED,
                    f"{saved.id} was saved again since {batch.id}",
                )
        elif _later(saved.updated_at, batch.created_at):
            return Reason(ReasonCode.CONFIGURATION_CHANGED, f"{saved.id} is newer than {batch.id}")
    return None


def _newer_files(batch: Batch, facts: Facts, moment: Moment) -> str:
    """How many files are newer than a batch, and which is the newest; "" when none is."""
    newest, made = facts.newest_file_at, batch.created_at
    count = sum(1 for time in facts.file_times if made is not None and time > made)
    if newest is None or not count:
        return ""
    are = "1 file is" if count == 1 else f"{count:,} files are"
    return f"{are} newer than {batch.id}, the newest {facts.newest_file}, {span(moment.service - newest)} ago"


def _satisfied(want: DesiredBatch, batch: Batch, entry: Entry | None) -> Action:
    """R4, R5 and R11."""
    if entry is None or entry.current != batch.id:
        again = entry is not None and any(item.id == batch.id for item in entry.batches)
        text = f"{batch.id} is {batch.status} and " + ("counts again" if again else "not recorded")
        return _action(want, ActionKind.ADOPT, ReasonCode.NOT_RECORDED, text, batch=batch, entry=entry)
    if entry.address != want.address:
        text = f"{batch.id} was recorded as {entry.address}"
        return _action(want, ActionKind.MOVE, ReasonCode.NEW_ADDRESS, text, batch=batch, entry=entry)
    # Most of what a plan has; `_action` would ask what cannot be here.
    return Action(
        kind=ActionKind.KEEP,
        address=want.address,
        key=want.key,
        reason=Reason(ReasonCode.SATISFIED, f"{batch.id} is {batch.status}"),
        batch=batch,
        directory_name=want.name or entry.directory_name,
    )


def _unsatisfied(
    want: DesiredBatch, seen: tuple[Batch, ...], entry: Entry | None, facts: Facts | None, moment: Moment
) -> Action:
    """R3 and R6: create with a reason, or say what is against it."""
    rerun = want.set.rerun
    recorded = {item.id: item for item in entry.batches} if entry else {}
    attempts = attempts_of(want, seen, entry, moment)
    if attempts:
        newest, spent = attempts[-1], len(attempts)
        if newest.status is Status.CANCELLED and rerun.on_cancelled is OnCancelled.HOLD:
            text = (
                f"{newest.id} was cancelled; to run again, raise rerun.after or set rerun.onCancelled: rerun"
            )
            return _action(want, ActionKind.BLOCKED, ReasonCode.HELD, text, batch=newest, entry=entry)
        if spent >= rerun.max_attempts:
            code = ReasonCode.ATTEMPTS_EXHAUSTED
            text = (
                f"{spent} of {rerun.max_attempts} attempts ended badly, the last was {newest.id}"
                f" ({newest.status}); to go on, raise rerun.after or rerun.onFailed.maxAttempts"
            )
            return _action(want, ActionKind.BLOCKED, code, text, batch=newest, entry=entry)
        failed = newest.status is Status.FAILED
        code = ReasonCode.FAILED if failed else ReasonCode.CANCELLED
        ended = "failed" if failed else "was cancelled"
        text = f"{newest.id} {ended}; attempt {spent + 1} of {rerun.max_attempts}"
        return _create(want, Reason(code, text), newest, entry, facts, moment=moment)
    if not seen:
        return _create(
            want, Reason(ReasonCode.MISSING, "no such batch exists"), None, entry, facts, moment=moment
        )
    newest = max(seen, key=lambda batch: age_order(batch, recorded.get(batch.id), moment))
    reason = outdated(newest, recorded.get(newest.id), rerun, facts, moment)
    if reason is None:
        # What neither satisfies nor counts as an attempt is outdated: by R2, or as an attempt before
        # `after`. Only a batch that completed later and that was not seen can make an exception (R7).
        text = f"{newest.id} is {newest.status}, and what is recorded after it was not seen"
        return _action(want, ActionKind.UNRESOLVED, ReasonCode.UNKNOWN, text, batch=newest, entry=entry)
    return _create(want, reason, newest, entry, facts, moment=moment)


def attempts_of(
    want: DesiredBatch, seen: tuple[Batch, ...], entry: Entry | None, moment: Moment
) -> list[Batch]:
    """The key's failed and cancelled batches since `after` and its last COMPLETED one, oldest first (R6).

    Batches that are recorded count even where a listing no longer has them: by key, never by address.
    """
    recorded = {item.id: item for item in entry.batches} if entry else {}
    known = {item.id: item.as_batch(want.key) for item in recorded.values()} | {
        batch.id: batch for batch in seen
    }
    after = _effective_after(want.set.rerun, moment)
    ordered = sorted(known.values(), key=lambda batch: age_order(batch, recorded.get(batch.id), moment))
    attempts: list[Batch] = []
    for batch in ordered:
        if batch.status is Status.COMPLETED:
            attempts.clear()
        elif batch.status in STOPPED and (after is None or _since(after, batch, recorded.get(batch.id))):
            attempts.append(batch)
    return attempts


def _create(
    want: DesiredBatch,
    reason: Reason,
    batch: Batch | None,
    entry: Entry | None,
    facts: Facts | None,
    *,
    moment: Moment,
) -> Action:
    """A create, with the evidence that it is made for (R3): an `after` that is yet to come is none."""
    evidence = Evidence(
        reason=reason.code,
        after=_effective_after(want.set.rerun, moment),
        inputs=facts.inputs if facts else None,
        configuration=facts.configuration.version if facts and facts.configuration else None,
    )
    return _action(
        want,
        ActionKind.CREATE,
        reason.code,
        reason.text,
        batch=batch,
        entry=entry,
        facts=facts,
        evidence=evidence,
    )


def _action(
    want: DesiredBatch,
    kind: ActionKind,
    code: ReasonCode,
    text: str,
    *,
    batch: Batch | None = None,
    entry: Entry | None = None,
    facts: Facts | None = None,
    evidence: Evidence | None = None,
) -> Action:
    name = want.name or (entry.directory_name if entry else "")
    if facts is not None and isinstance(facts.directory, Directory):
        name = facts.directory.name
    previous = entry.address if entry and kind is ActionKind.MOVE else None
    return Action(
        kind=kind,
        address=want.address,
        key=want.key,
        reason=Reason(code, text),
        batch=batch,
        previous=previous,
        directory_name=name,
        files=facts.files if facts and isinstance(facts.directory, Directory) else None,
        evidence=evidence,
    )


def _effective_after(rerun: Rerun, moment: Moment) -> datetime | None:
    """`after` outdates nothing until the service's own clock has passed it (R2)."""
    return rerun.after if rerun.after is not None and rerun.after <= moment.service else None


def _since(after: datetime, batch: Batch, recorded: Recorded | None) -> bool:
    """Whether a batch is from after `after`: by its time, or because it was created for it (R3)."""
    if batch.created_at is None or batch.created_at >= after:
        return True
    evidence = recorded.evidence if recorded else None
    return evidence is not None and evidence.after is not None and evidence.after >= after


def age_order(batch: Batch, recorded: Recorded | None, moment: Moment) -> tuple[datetime, str]:
    """Oldest first, then by id. A batch without any time counts as the newest: it might be.

    Where the service gave no time, this tool's stands in, moved to the service's clock: a skew of hours
    must not put a failed attempt before the batch that it was to replace.
    """
    if batch.created_at is not None:
        return batch.created_at, batch.id
    if recorded is None:
        return _LATEST, batch.id
    return recorded.recorded_at + (moment.service - moment.now), batch.id


def _later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
