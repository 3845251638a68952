"""What drifted, as a pure function of what is desired, recorded and live.

Drift is what a plan does not say: it is about batches that nobody asked for, that went away, that are not
what was recorded, or that are there twice. A desired batch that is missing, or one to adopt, is the plan's
business; a status that changed is nobody's. Only what somebody can act on counts.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.core.match import STOPPED, Moment, choose, outdated
from reconciler.core.plan import aliases_of
from reconciler.core.recent import is_rerun_of
from reconciler.model.drift import Census, Deviation, Drift, DriftKind, Unseen
from reconciler.model.manifest import OnChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from reconciler.model.batch import Address, Batch, Home, Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry, Lock, Recorded
    from reconciler.model.snapshot import Facts

_KINDS = {kind: order for order, kind in enumerate(DriftKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What drift is judged by.

    Attributes:
        blocks: per home, the provider block that leads there, for commands.
        facts: what was looked up about directories; empty unless that was asked for.
        now: this tool's clock.
        clocks: per endpoint, the service's own.
        ignore: patterns of ids of directories, configurations and batches.
        since: batches created earlier were not listed.
    """

    desired: Desired
    lock: Lock
    intents: tuple[Intent, ...]
    blocks: Mapping[Home, str]
    facts: Mapping[Key, Facts]
    now: datetime
    clocks: Mapping[str, datetime]
    ignore: Sequence[str] = ()
    since: datetime | None = None


def drift(given: Given, seen: Mapping[Home, Census]) -> Drift:
    """Everything that drifted. What could not be seen says nothing about what is not there (R7)."""
    judge = _Judge(given)
    every: list[Deviation] = []
    unseen = [
        Unseen(home, "no provider of this project leads there any more")
        for home in {key.home for key in given.lock.entries} - seen.keys()
    ]
    for home, census in seen.items():
        if census.unknown:
            unseen.append(Unseen(home, census.unknown))
        every += judge.deviations(home, census)
    every.sort(key=lambda item: (_KINDS[item.kind], str(item.address or ""), item.key, item.batch.id))
    kept = [item for item in every if not _ignored(item, given.ignore)]
    counted = sum(1 for item in every if item.counts) - sum(1 for item in kept if item.counts)
    return Drift(deviations=tuple(kept), ignored=counted, unseen=tuple(sorted(unseen)), since=given.since)


def recorded_on(home: Home, lock: Lock, since: datetime | None) -> frozenset[str]:
    """The recorded batches that a listing since some time has to show."""
    return frozenset(
        item.id
        for key, entry in lock.entries.items()
        if key.home == home
        for item in entry.batches
        if since is None or item.created_at is None or item.created_at >= since
    )


def _ignored(item: Deviation, patterns: Sequence[str]) -> bool:
    ids = (item.batch.id, item.batch.key.directory, item.batch.key.configuration)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in ids)


def strange_directories(desired: Desired, lock: Lock, home: Home, batches: Iterable[Batch]) -> frozenset[str]:
    """Directories that nobody asks for: whether they still exist decides what can be done."""
    known = {want.key.directory for want in desired.batches if want.key.home == home}
    known |= {key.directory for key in lock.entries if key.home == home}
    return frozenset(
        batch.key.directory
        for batch in batches
        if batch.status.terminal and batch.status not in STOPPED and batch.key.directory not in known
    )


class _Judge:
    def __init__(self, given: Given) -> None:
        self._given = given
        self._wanted = {item.key: item for item in given.desired.batches}
        self._aliases = aliases_of(given.lock)
        self._owned = {*self._wanted, *given.lock.entries, *(intent.key for intent in given.intents)}
        self._directories = {(key.home, key.directory) for key in self._wanted}
        self._entry_of = {
            (key.home, item.id): entry for key, entry in given.lock.entries.items() for item in entry.batches
        }

    def deviations(self, home: Home, census: Census) -> Iterator[Deviation]:
        own: dict[Key, list[Batch]] = {}
        for batch in census.batches:
            entry = self._entry_of.get((home, batch.id))
            key = entry.key if entry else self._aliases.get(batch.key, batch.key)
            if entry is not None:
                yield from self._different(entry, batch)
            if (home.endpoint, batch.id) in self._given.lock.tracked:
                continue  # somebody watches it on purpose (R16)
            if key in self._owned:
                own.setdefault(key, []).append(batch)
            else:
                yield self._nobodys(home, key, batch, closed=key.directory in census.closed)
        for key, batches in own.items():
            yield from self._surplus(key, batches)
        yield from self._gone(home, census.gone)

    def _nobodys(self, home: Home, key: Key, batch: Batch, *, closed: bool) -> Deviation:
        there = (home, key.directory) in self._directories
        command = ["reconciler", "export", "--provider", self._given.blocks.get(home, "")]
        command += ["--directory", key.directory]
        if there:
            kind, why = (
                DriftKind.OTHER_WORK,
                "its directory is desired, this job with this configuration is not",
            )
            command += ["--configuration", key.configuration]
        else:
            kind, why = DriftKind.NOT_DESIRED, "no manifest asks for its directory"
        ended = ""
        if batch.status in STOPPED:
            ended = f"; it is {batch.status}, and costs nothing more"
        elif closed and batch.status.terminal:
            ended = "; that does not exist any more, so no manifest can ask for it"
        return Deviation(
            kind=kind,
            key=key,
            batch=batch,
            address=None,
            why=why + ended,
            next="" if ended else shlex.join(command),
            counts=not ended,
        )

    def _gone(self, home: Home, gone: Iterable[str]) -> Iterator[Deviation]:
        for name in gone:
            entry = self._entry_of[home, name]
            item = next(item for item in entry.batches if item.id == name)
            address = self._shown_at(entry)
            stands = "it stands there" if entry.current == name else "another batch stands there"
            yield Deviation(
                kind=DriftKind.GONE,
                key=entry.key,
                batch=item.as_batch(entry.key),
                address=address,
                why=f"it is recorded, {stands}, and the service does not know it any more (404)",
                next=shlex.join(["reconciler", "lock", "resolve", str(address), "--absent"]),
            )

    def _different(self, entry: Entry, batch: Batch) -> Iterator[Deviation]:
        item = next(item for item in entry.batches if item.id == batch.id)
        expected = _fields(entry.key, item.created_at)
        live = _fields(batch.key, batch.created_at if item.created_at else None)
        if item.alias is not None:
            known = entry.key._replace(directory=item.alias.directory, configuration=item.alias.configuration)
            if batch.key == known:
                why = "the service calls the work otherwise than it was asked for, and that is recorded"
                yield self._deviation(entry, batch, why, expected, live, counts=False)
                return
        if expected != live:
            yield self._deviation(entry, batch, "it is not what was recorded", expected, live, counts=True)
        yield from self._evidence(entry, item, batch)

    def _evidence(self, entry: Entry, item: Recorded, batch: Batch) -> Iterator[Deviation]:
        """What changed behind a batch, and what the set says not to care for: shown on request only."""
        want, facts, evidence = self._wanted.get(entry.key), self._given.facts.get(entry.key), item.evidence
        if want is None or facts is None or evidence is None or item.id != entry.current:
            return
        expected: dict[str, str] = {}
        live: dict[str, str] = {}
        rerun = want.set.rerun
        if rerun.on_input_change is OnChange.IGNORE and evidence.inputs and facts.inputs:
            expected["inputs"], live["inputs"] = evidence.inputs, facts.inputs
        saved = facts.configuration
        ignored = rerun.on_configuration_change is OnChange.IGNORE
        if ignored and evidence.configuration and saved is not None and saved.version:
            expected["configurationVersion"], live["configurationVersion"] = (
                evidence.configuration,
                saved.version,
            )
        if expected != live:
            why = "what it was made from has changed, and the set says to ignore that"
            yield self._deviation(entry, batch, why, expected, live, counts=False)

    def _deviation(
        self,
        entry: Entry,
        batch: Batch,
        why: str,
        expected: Mapping[str, str],
        live: Mapping[str, str],
        *,
        counts: bool,
    ) -> Deviation:
        address = self._shown_at(entry)
        return Deviation(
            kind=DriftKind.DIFFERENT,
            key=entry.key,
            batch=batch,
            address=address,
            why=why,
            next=shlex.join(["reconciler", "explain", str(address)]),
            counts=counts,
            recorded=expected,
            live=live,
        )

    def _surplus(self, key: Key, batches: list[Batch]) -> Iterator[Deviation]:
        """Several that would do are one piece of work done twice; those that run can still be cancelled."""
        entry, want = self._given.lock.entries.get(key), self._wanted.get(key)
        recorded = {item.id: item for item in entry.batches} if entry else {}
        standing = [
            batch
            for batch in batches
            if batch.status not in STOPPED and not self._outdated(want, batch, recorded.get(batch.id))
        ]
        if len(standing) < 2:  # noqa: PLR2004 - one stands, and any other is too many
            return
        stands = choose(standing, entry)
        address = want.address if want else self._shown_at(entry) if entry else None
        for batch in standing:
            if batch.id == stands.id:
                continue
            runs = not batch.status.terminal
            if not runs and is_rerun_of(stands, recorded.get(stands.id), batch):
                continue
            end = "and still runs" if runs else f"and is {batch.status}: nothing is to be saved any more"
            yield Deviation(
                kind=DriftKind.SURPLUS,
                key=key,
                batch=batch,
                address=address,
                why=f"it does the same work as {stands.id}, which stands, {end}",
                next=_to_cancel(address, batch, recorded=entry is not None) if runs else "",
                counts=runs,
            )

    def _outdated(self, want: DesiredBatch | None, batch: Batch, recorded: Recorded | None) -> bool:
        if want is None:
            return False
        now = self._given.now
        moment = Moment(now, self._given.clocks.get(want.key.endpoint, now))
        facts = self._given.facts.get(want.key)
        return outdated(batch, recorded, want.set.rerun, facts, moment) is not None

    def _shown_at(self, entry: Entry) -> Address:
        want = self._wanted.get(entry.key)
        return want.address if want else entry.address


def _to_cancel(address: Address | None, batch: Batch, *, recorded: bool) -> str:
    """What is not recorded at all has to be adopted before one of it can be cancelled."""
    if not recorded:
        return shlex.join(["reconciler", "apply", "--target", str(address)])
    return shlex.join(["reconciler", "cancel", str(address), batch.id])


def _fields(key: Key, created_at: datetime | None) -> dict[str, str]:
    return {
        "project": key.project,
        "directory": key.directory,
        "job": key.job.value,
        "configuration": key.configuration,
        "createdAt": created_at.astimezone(UTC).isoformat().replace("+00:00", "Z") if created_at else "",
    }
