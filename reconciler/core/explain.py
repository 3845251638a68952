"""Why each batch over a directory does or does not count for an address, in the words of the rules.

Nothing is decided here: whether a batch is outdated, which attempt it was and which one stands is asked of
`match`, and what would be done is the plan's own action. Here are only the sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.match import STOPPED, Moment, age_order, attempts_of, choose, outdated
from reconciler.core.plan import aliases_in, aliases_of
from reconciler.core.ways import policy_of, stamp, ways_out
from reconciler.model.batch import Status
from reconciler.model.explanation import Course, Difference, Explanation, Standing, Verdict
from reconciler.model.plan import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.batch import Address, Batch, Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.explanation import Sighting
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry, Lock, Recorded
    from reconciler.model.plan import Action, Reason
    from reconciler.model.snapshot import Facts


@dataclass(frozen=True, slots=True)
class Subject:
    """The work that an address stands for.

    Attributes:
        want: the desired batch, which may have another address by now; None when no manifest asks for it.
        entry: what is recorded of the work, wherever it was recorded.
        intents: open creates of it, the oldest first.
    """

    address: Address
    key: Key
    want: DesiredBatch | None
    entry: Entry | None
    intents: tuple[Intent, ...]


def subject_of(address: Address, desired: Desired, lock: Lock, intents: Iterable[Intent]) -> Subject | None:
    """The work behind an address: desired, else recorded, else open; None when it is none of these."""
    there = sorted(intents, key=lambda intent: (intent.at, intent.id))
    want = next((item for item in desired.batches if item.address == address), None)
    entries = sorted(key for key, entry in lock.entries.items() if entry.address == address)
    opened = [intent.key for intent in there if intent.address == address]
    keys = [want.key] if want else [*entries, *opened]
    if not keys:
        return None
    key = keys[0]
    want = want or next((item for item in desired.batches if item.key == key), None)  # R11: it moves
    mine = tuple(intent for intent in there if intent.key == key)
    return Subject(address, key, want, lock.entries.get(key), mine)


def explain(
    subject: Subject,
    sighting: Sighting,
    actions: Iterable[Action],
    *,
    desired: Desired,
    lock: Lock,
    facts: Facts | None,
    moment: Moment,
) -> Explanation:
    """Judge every batch that was seen, and say what would change what the plan says.

    Args:
        subject: what the address stands for.
        sighting: everything over its directory.
        actions: what a plan has for the address.
        desired: everything that the manifests ask for, to name the owners of other work.
        lock: what is recorded.
        facts: what the plan looked up about the directory, if it did.
        moment: the time.
    """
    judge = _Judge(subject, sighting, desired=desired, lock=lock, facts=facts, moment=moment)
    entry, want, actions = subject.entry, subject.want, tuple(actions)
    names = [entry.directory_name if entry else "", *(action.directory_name for action in actions)]
    return Explanation(
        address=subject.address,
        key=subject.key,
        where=want.locate() if want else None,
        directory_name=next(filter(None, names), ""),
        policy=policy_of(want.set.rerun) if want else {},
        verdicts=judge.verdicts(),
        courses=tuple(
            Course(action=action, ways=ways_out(action, want if want and action.key == want.key else None))
            for action in actions
        ),
        intents=subject.intents,
        unknown=sighting.unknown,
    )


class _Judge:
    """The batches over one directory, held against one work."""

    def __init__(
        self,
        subject: Subject,
        sighting: Sighting,
        *,
        desired: Desired,
        lock: Lock,
        facts: Facts | None,
        moment: Moment,
    ) -> None:
        self._subject = subject
        self._sighting = sighting
        self._facts = facts
        self._moment = moment
        self._aliases = aliases_of(lock)
        self._owners = {key: entry.address for key, entry in lock.entries.items()} | {
            item.key: item.address for item in desired.batches
        }
        self._recorded = {item.id: item for entry in lock.entries.values() for item in entry.batches}
        mine = subject.entry.batches if subject.entry else ()
        seen = {batch.id for batch in sighting.batches}
        self._unseen = [item.as_batch(subject.key) for item in mine if item.id not in seen]
        own = tuple(batch for batch in sighting.batches if self._key(batch) == subject.key)
        want, entry = subject.want, subject.entry
        attempts = attempts_of(want, own, entry, moment) if want else []
        self._attempts = {batch.id: number for number, batch in enumerate(attempts, start=1)}
        satisfying = [batch for batch in own if batch.status not in STOPPED and self._outdated(batch) is None]
        self._chosen = choose(satisfying, entry) if satisfying else None

    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each batch, the oldest first."""
        batches = [*self._sighting.batches, *self._unseen]
        batches.sort(key=lambda batch: age_order(batch, self._recorded.get(batch.id), self._moment))
        return tuple(self._verdict(batch) for batch in batches)

    def _key(self, batch: Batch) -> Key:
        return self._aliases.get(batch.key, batch.key)

    def _outdated(self, batch: Batch) -> Reason | None:
        if self._subject.want is None:
            return None
        rerun = self._subject.want.set.rerun
        return outdated(batch, self._recorded.get(batch.id), rerun, self._facts, self._moment)

    def _verdict(self, batch: Batch) -> Verdict:
        recorded = self._recorded.get(batch.id)
        if batch.id in self._sighting.gone:
            why = "it is recorded, and the service does not know it any more (404)"
            return Verdict(batch=batch, standing=Standing.GONE, rule="O5", why=why, recorded=recorded)
        if batch in self._unseen:
            why = "it is recorded, and what is live is not known"
            return Verdict(batch=batch, standing=Standing.UNSEEN, rule="R7", why=why, recorded=recorded)
        key = self._key(batch)
        if key != self._subject.key:
            return self._other_work(batch, key, recorded)
        standing, rule, why = self._same_work(batch)
        if batch.id in self._sighting.unlisted:
            why += "; the listing lacks it, though the service knows it"
        if batch.key != key:
            why += f"; the service calls it {_renamed(batch.key, key)}"
        attempt = self._attempts.get(batch.id)
        return Verdict(batch=batch, standing=standing, rule=rule, why=why, attempt=attempt, recorded=recorded)

    def _other_work(self, batch: Batch, key: Key, recorded: Recorded | None) -> Verdict:
        differing = tuple(
            Difference(name, str(theirs), str(ours))
            for name, theirs, ours in zip(key._fields, key, self._subject.key, strict=True)
            if theirs != ours
        )
        why = "other work: " + "; ".join(f"{name} {theirs}, not {ours}" for name, theirs, ours in differing)
        owner = self._owners.get(key)
        if owner is not None and owner != self._subject.address:
            why += f"; it is the work of {owner}"
        elif owner is not None:
            why += "; it was this address's work before"
        else:
            why += "; no manifest asks for it"
        return Verdict(
            batch=batch,
            standing=Standing.OTHER_WORK,
            rule="key",
            why=why,
            differing=differing,
            owner=owner if owner != self._subject.address else None,
            recorded=recorded,
        )

    def _same_work(self, batch: Batch) -> tuple[Standing, str, str]:
        if batch.status is Status.FAILED:
            return Standing.FAILED, "R6", f"it failed{self._attempt(batch)}"
        if batch.status is Status.CANCELLED:
            return Standing.CANCELLED, "R6", f"it was cancelled{self._attempt(batch)}"
        reason = self._outdated(batch)
        if reason is not None:
            return Standing.OUTDATED, "R2", reason.text + self._dates(batch, reason.code)
        chosen, entry = self._chosen, self._subject.entry
        assert chosen is not None, "this very batch satisfies"
        if batch.id != chosen.id:
            return Standing.SATISFIES, "R2", f"it would do, and {chosen.id} stands"
        if entry is not None and entry.current == batch.id:
            desired = self._subject.want is not None
            why = "it stands, and is the recorded one"
            return (
                Standing.STANDS,
                "R5",
                why if desired else "it is the recorded one; no manifest asks for it",
            )
        return (
            Standing.STANDS,
            "R4",
            "it is the newest that would do, and is not recorded as the one that stands",
        )

    def _attempt(self, batch: Batch) -> str:
        want = self._subject.want
        if want is None:
            return ""
        rerun = want.set.rerun
        if number := self._attempts.get(batch.id):
            held = batch.status is Status.CANCELLED and number == len(self._attempts)
            text = f": attempt {number} of {rerun.max_attempts}"
            return f"{text}; rerun.onCancelled is {rerun.on_cancelled}" if held else text
        reason = self._outdated(batch)
        if reason is not None and reason.code is ReasonCode.STALE_AFTER:
            return f", and is no attempt any more: {reason.text}{self._dates(batch, reason.code)}"
        return ", and is no attempt any more: a later one completed"

    def _dates(self, batch: Batch, code: ReasonCode) -> str:
        """The dates that the reason rests on."""
        want, facts = self._subject.want, self._facts
        assert want is not None
        rerun = want.set.rerun
        created = f"it is from {stamp(batch.created_at)}"
        match code:
            case ReasonCode.STALE_AFTER:
                return f" ({created}, rerun.after is {stamp(rerun.after)})"
            case ReasonCode.STALE_AGE:
                return f" ({created}, rerun.maxAge is {policy_of(rerun)['maxAge']})"
            case ReasonCode.INPUT_CHANGED if facts is not None:
                return f" ({created}, the newest file from {stamp(facts.newest_file_at)})"
            case ReasonCode.CONFIGURATION_CHANGED if facts is not None and facts.configuration is not None:
                saved = facts.configuration
                return f" ({created}, version {saved.version or '?'} from {stamp(saved.updated_at)})"
            case _:
                return f" ({created})"


def _renamed(theirs: Key, ours: Key) -> str:
    return " and ".join(
        f"{name} {their}" for name, their, our in zip(ours._fields, theirs, ours, strict=True) if their != our
    )


def expected_ids(subject: Subject) -> frozenset[str]:
    """The recorded batches that a look over the directory has to show."""
    return frozenset(item.id for item in subject.entry.batches) if subject.entry else frozenset()


def places_of(subject: Subject) -> tuple[str, ...]:
    """The directories to look over: more than one where the service renamed the work (C9)."""
    renamed: Mapping[Key, Key] = aliases_in(subject.entry) if subject.entry else {}
    return tuple(sorted({subject.key.directory, *(key.directory for key in renamed)}))
