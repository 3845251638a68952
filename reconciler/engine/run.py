"""One run while it holds the lock: what it knows, and how it writes down what it learns (C9).

Every change of an entry goes through here, so that lockfile, journal and audit log tell the same. Where a
crash comes between them, the journal decides, and the next run audits what it recovers from there.
What happens when is in `apply`, `create` and `resolve`.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from reconciler.core.plan import aliases_in
from reconciler.core.record import with_counts, with_status
from reconciler.engine.notes import Notes
from reconciler.model.audit import AuditLine
from reconciler.model.errors import StateError
from reconciler.model.events import Done, Failed
from reconciler.model.intent import Settled
from reconciler.model.lock import Origin
from reconciler.model.project import DEFAULT_SETTLE
from reconciler.model.result import Finding, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, MutableMapping, Sequence

    from reconciler.core.match import Moment
    from reconciler.core.select import Selection
    from reconciler.engine.hours import Hours
    from reconciler.engine.observe import Eyes
    from reconciler.engine.stop import Stop
    from reconciler.model.batch import Address, Batch, FileCounts, Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.intent import Closing, Intent
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.plan import Action
    from reconciler.model.ports import AuditLog, Creator, Session
    from reconciler.model.shard import Shard
    from reconciler.model.tracking import TrackedChange

_WELL = frozenset(
    {
        Outcome.CREATED,
        Outcome.FOUND,
        Outcome.ADOPTED,
        Outcome.KEPT,
        Outcome.MOVED,
        Outcome.FORGOTTEN,
        Outcome.CANCEL_ASKED,
    }
)


@dataclass
class Run:
    """The state of one run. The only mutable thing of the engine, and it dies with the run.

    Attributes:
        id: names the run in journal and audit log.
        lock: the lockfile as it will be written; its entries are this run's own and grow as it goes.
        named: the ids of recorded batches that a reply to one of our creates named.
        before: the lockfile as it was when the run began.
        pins: per provider block, the project that its key turned out to belong to.
        webhooks: per set, what its creates send along.
        hours: when creates and cancels may go; None where that is always.
        shard: the share of the keys that is this run's to record; None for all.
        watch: looks at the batches that are only watched (R16); None where there are none.
        aliases: from the key that the service answered with to the one that was asked for (C9).
        plan_digest: of what was approved, once it is.
        ended: why no further create may begin, or "" (C4: 401, 402 and 403 end the run).
        cold_until: by the monotonic clock, when what was seen absent may be believed (C2); never, at first.
        second_looks: keys of which a batch was found or sent again after an unknown outcome (C10).
    """

    id: str
    eyes: Eyes
    session: Session
    desired: Desired
    audit: AuditLog
    stop: Stop
    random: Callable[[], float]
    lock: Lock
    pins: Mapping[str, str] = field(default_factory=dict)
    webhooks: Mapping[str, Sequence[object]] = field(default_factory=dict)
    hours: Hours | None = None
    shard: Shard | None = None
    watch: Callable[[Selection], Coroutine[object, object, tuple[TrackedChange, ...]]] | None = None
    plan_digest: str = ""
    ended: str = ""
    cold_until: float = math.inf
    results: dict[Key, Result] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    second_looks: dict[Key, SecondLook] = field(default_factory=dict)
    notes: Notes = field(init=False)
    _entries: MutableMapping[Key, Entry] = field(init=False)
    named: set[str] = field(init=False)
    before: Lock = field(init=False)
    wanted: dict[Key, DesiredBatch] = field(init=False)
    aliases: dict[Key, Key] = field(init=False)
    _over: defaultdict[tuple[str, ...], set[str]] = field(init=False)
    _keys_over: defaultdict[tuple[str, ...], set[Key]] = field(init=False)
    _turns: defaultdict[tuple[str, ...], asyncio.Lock] = field(init=False)
    _fresh: set[str] = field(init=False)
    _unaudited: bool = False
    _dropped_young: bool = False

    def __post_init__(self) -> None:
        self.notes = Notes(self.session)
        self.before = self.lock
        # A copy that knows which of them are as they were read, where the store's entries can tell.
        self._entries = cast("MutableMapping[Key, Entry]", copy(self.lock.entries))
        self.lock = replace(self.lock, entries=self._entries)
        self._over = defaultdict(set)
        self._keys_over = defaultdict(set)
        self._turns = defaultdict(asyncio.Lock)
        self._fresh = {item.id for entry in self.session.journal.recovered for item in entry.batches}
        self.aliases = {}
        self.named = set()
        for entry in self._entries.values():
            self._index(entry)
        self.wanted = {want.key: want for want in self.desired.batches}

    @property
    def over(self) -> bool:
        """Whether no further create may begin."""
        return self.stop.over or bool(self.ended)

    def shares(self, key: Key) -> bool:
        """Whether a key is this run's to record."""
        return self.shard is None or self.shard.has(key)

    def against(self, action: Action) -> str:
        """Why a create or a cancel may not be begun now (R15); "" when it may."""
        return "" if self.hours is None else self.hours.against(action)

    def provider(self, key: Key) -> Creator:
        """The service that a key's batches live on."""
        return self.eyes.providers[key.home]

    def moment(self, key: Key) -> Moment:
        """Now, by both clocks."""
        from reconciler.core.match import Moment

        now = self.eyes.clock.now()
        return Moment(now, self.provider(key).clock or now)

    def ids_over(self, key: Key) -> frozenset[str]:
        """The ids of all batches that were ever recorded over a key's directory (C3)."""
        return frozenset(self._over.get(key[:3], ()))

    def listed_over(self, key: Key) -> frozenset[str]:
        """The recorded ids that a whole listing of a key's directory has in it, whatever their key (O5).

        Not those that this run, or one that did not come to its end, has just recorded: they need not be
        listed before the settle time is over. Nor those that the service keeps under another directory (C9).
        """
        standing = (self._entries[there] for there in self._keys_over[key[:3]] if there in self._entries)
        listed = {
            item.id
            for entry in standing
            for item in entry.batches
            if item.alias is None or item.alias.directory == key.directory
        }
        return frozenset(listed - self._fresh)

    def turn(self, key: Key) -> asyncio.Lock:
        """Creates over one directory take turns, so that none takes another's batch for its own (C3, C9)."""
        return self._turns[key[:3]]

    def put(self, entry: Entry) -> None:
        """Have an entry in the lockfile. It is durable with the next commit, or by a note before that.

        What is of another worker's share is that worker's to record, whatever this one has seen of it (C1).
        """
        if not self.shares(entry.key):
            return
        self._fresh |= {item.id for item in entry.batches} - self.ids_over(entry.key)
        self._entries[entry.key] = entry
        self._index(entry)

    def learn(self, batch: Batch) -> None:
        """Have what was seen of a recorded batch in the lockfile."""
        self.put(with_status(self.lock.entries[batch.key], batch))

    def learn_files(self, batch: Batch, counts: FileCounts) -> None:
        """Have in the lockfile how the files of a recorded batch fared."""
        self.put(with_counts(self.lock.entries[batch.key], batch.id, counts))

    def drop(self, key: Key) -> None:
        """Have an entry in the lockfile no more (R10).

        A batch that was recorded less than a settle time ago need not be listed yet, and after this nothing
        knows of it: should it be desired again, the next run has to be cold to see it (C2).
        """
        entry = self._entries.pop(key)
        there = self.eyes.providers.get(key.home)
        young = timedelta(seconds=there.settle if there else DEFAULT_SETTLE)
        now = self.eyes.clock.now()
        self._dropped_young |= any(now - item.recorded_at < young for item in entry.batches)

    def _index(self, entry: Entry) -> None:
        self._keys_over[entry.key[:3]].add(entry.key)
        self._over[entry.key[:3]].update(item.id for item in entry.batches)
        self.aliases |= aliases_in(entry)
        self.named.update(item.id for item in entry.batches if item.origin is Origin.CREATED)

    def doubt(self, intent: Intent, sent: float) -> None:
        """Have the key of an unknown outcome looked for once more (C10).

        Of several, the first intent knows best what was there before them all.
        """
        first = self.second_looks.get(intent.key)
        self.second_looks[intent.key] = SecondLook(first.intent if first else intent, sent)

    async def settle(
        self, intent: Intent, closing: Closing, why: str = "", entry: Entry | None = None
    ) -> None:
        """Close an intent durably, with what it left (C9)."""
        if entry is not None:
            self.put(entry)
        await self.notes.write(Settled(intent.id, closing, why, entry))

    def finish(
        self,
        action: Action,
        outcome: Outcome,
        *,
        why: str = "",
        batch: Batch | None = None,
        request_id: str = "",
    ) -> None:
        """Say how an action ended: to the audit log, to whoever listens, and in the run's results."""
        self.results[action.key] = Result(action, outcome, why, batch)
        if outcome is Outcome.NOT_STARTED:
            return
        shown = batch or action.batch
        self.write_audit(
            AuditLine(
                time=self.eyes.clock.now(),
                action=action.kind.value,
                address=str(action.address),
                key=str(action.key),
                batch=shown.id if shown else "",
                outcome=outcome.value,
                why=f"{action.reason.text}; {why}" if why else action.reason.text,
                plan=self.plan_digest,
                request_id=request_id,
            )
        )
        if outcome in _WELL:
            self.eyes.listen(Done(action, outcome, batch))
        else:
            self.eyes.listen(Failed(action, outcome, why))

    def tell_duplicates(
        self, address: Address, key: Key, ids: Collection[str], stands: str, why: str
    ) -> None:
        """Report that several batches are one piece of work: to who started the run, and to the audit log.

        Args:
            address: where.
            key: of which work.
            ids: of all of them.
            stands: the one that counts; its line is that of the action which made or found it.
            why: how each of the others came to be known.
        """
        for name in sorted(ids):
            if name != stands:
                self.write_audit(
                    AuditLine(
                        time=self.eyes.clock.now(),
                        action="duplicate",
                        address=str(address),
                        key=str(key),
                        batch=name,
                        outcome="recorded",
                        why=why,
                    )
                )
        self.findings.append(Finding(address, key, tuple(sorted(ids)), ambiguous=False, stands=stands))

    def commit(self) -> None:
        """Write the lockfile."""
        written = self.session.commit(self.lock)
        self.lock = replace(written, entries=self._entries)

    def write_audit(self, line: AuditLine) -> None:
        """Write a line of the audit log.

        Raises:
            StateError: it could not be written. The journal is then left as it is, so that the next run
                finds there what was not audited.
        """
        try:
            self.audit.append(line)
        except StateError:
            self._unaudited = True
            raise

    def write_down(self) -> None:
        """The end of every run, however it ended: audit log, then lockfile, then journal.

        A cold run that did not stay for the settle time (it was declined, stopped, or had nothing to create)
        leaves the journal as it is: the next one knows no better, and has to be cold too (C2). So does one
        that was stopped before its second looks (C10), one that forgot a batch that need not be listed yet,
        and one whose audit log lacks a line: the next run then finds what was recorded in the journal, and
        audits it.
        """
        head = self.audit.close()
        if self._unaudited:
            return
        if head:
            self.lock = replace(self.lock, heads=(head,))
        self.commit()
        known = self.session.journal.warm or self.eyes.clock.monotonic() >= self.cold_until
        if known and not self.second_looks and not self._dropped_young:
            self.session.close()


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What C10 has to look for once more.

    Attributes:
        intent: the key's first one without a reply: what it does not know may be its doing.
        sent: by the monotonic clock, when the last send for the key was over.
    """

    intent: Intent
    sent: float
