"""Batches that are only watched: what to ask about them, what happened to them, what to record (R16).

Pure. The order of effects is in `engine.tracking`. Kept here: **R1**, equal inputs in any order give equal
values, and what was recorded is unchanged to the next look; **R7**, what could not be seen is unknown and
never gone; **O1**, a recorded batch that has ended is trusted without a request; **R17**.

Which manifest a batch belongs to hangs on the batch, the manifests and the lockfile alone, and never on who
was asked: so a selection of some manifests cannot move a batch from one to another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.batch import Address, Status
from reconciler.model.lock import TrackedEntry
from reconciler.model.snapshot import Gone, Unknown
from reconciler.model.status import Health
from reconciler.model.tracking import LISTING, Happened, Question, TrackedChange
from reconciler.model.watched import WatchedId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from reconciler.core.select import Selection
    from reconciler.model.manifest import TrackedBatch
    from reconciler.model.tracking import Sightings
    from reconciler.model.watched import Watched

_NOT_SEEN = Unknown("it was not looked for")


def health_of_watched(watched: Watched) -> Health:
    """How a watched batch is doing, as far as its service says.

    An expired batch has FAILED, and items that errored or expired count as failed, even while others run.
    """
    counts = watched.counts
    if watched.status in {Status.FAILED, Status.CANCELLED} or (counts is not None and counts.failed > 0):
        return Health.DEGRADED
    if watched.status is not Status.COMPLETED:
        return Health.PROGRESSING
    return Health.COMPLETED if counts is None else Health.HEALTHY


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is to be watched.

    Attributes:
        manifests: all tracking manifests, in any order.
        endpoints: per provider block that they name and that is connected, the service that it leads to.
        recorded: the watched batches of the lockfile.
        selection: which manifests and batches this is about.
    """

    manifests: Sequence[TrackedBatch]
    endpoints: Mapping[str, str]
    recorded: Mapping[WatchedId, TrackedEntry]
    selection: Selection

    def in_order(self) -> list[TrackedBatch]:
        """The manifests by name: of two that fit one batch, the first owns it."""
        return sorted(self.manifests, key=lambda item: item.name)

    def looked_at(self) -> list[TrackedBatch]:
        """The manifests of which anything is selected."""
        return [item for item in self.in_order() if self.selection.touches(item.name, item.labels)]

    def covers(self, manifest: TrackedBatch, batch: str) -> bool:
        """Whether a batch of a manifest is selected."""
        address = Address(manifest.name, batch)
        return self.selection.covers_labelled(address, manifest.labels)

    def owner(self, watched: Watched, seen_through: Iterable[str] = ()) -> TrackedBatch | None:
        """The manifest that a batch belongs to, among those that can see it.

        Args:
            watched: the batch.
            seen_through: provider blocks that it was seen through, beside the one it was recorded through.
        """
        entry = self.recorded.get(watched.id)
        blocks = {*seen_through, *(self._recorded_through(entry) if entry else ())}
        fitting = [item for item in self.in_order() if self._fits(item, watched, entry)]
        seeing = [item for item in fitting if item.provider in blocks]
        if not seeing and entry is not None:  # the manifest that recorded it may have another block by now
            seeing = [item for item in fitting if item.ids]
        return seeing[0] if seeing else None

    def _recorded_through(self, entry: TrackedEntry) -> set[str]:
        """The block of the manifest that recorded it; all, where that is gone or leads elsewhere by now."""
        endpoint = entry.watched.id.endpoint
        own = {item.provider for item in self.manifests if item.name == entry.address.set}
        return {block for block in own if self.endpoints.get(block) == endpoint} or set(self.endpoints)

    def _fits(self, manifest: TrackedBatch, watched: Watched, entry: TrackedEntry | None) -> bool:
        if self.endpoints.get(manifest.provider) != watched.id.endpoint:
            return False
        if manifest.ids:
            return watched.id.id in manifest.ids
        if manifest.since is not None:
            # A batch that does not say when it was created cannot be left out for it.
            return watched.created_at is None or watched.created_at >= manifest.since
        # Whatever was once seen in one of the statuses is followed to its end, and stays.
        kept = entry is not None and entry.address.set == manifest.name
        return kept or fits_statuses(watched.word, manifest.statuses)


def fits_statuses(word: str, statuses: Iterable[str]) -> bool:
    """Whether a service's word for a status is one of those that a manifest names, in any case."""
    return word.casefold() in {name.casefold() for name in statuses}


class Questions(NamedTuple):
    """What has to be asked before anything was seen: manifests to read a listing for, and batches by id."""

    listings: tuple[TrackedBatch, ...]
    ids: tuple[Question, ...]


def first_questions(tracking: Tracking) -> Questions:
    """Listings, and those of the ids that manifests name which are not recorded as ended (O1, O2)."""
    ids = {
        Question(manifest.provider, identity)
        for manifest in tracking.looked_at()
        for name in manifest.ids
        if tracking.covers(manifest, name)
        and not _ended(
            tracking.recorded.get(identity := WatchedId(tracking.endpoints[manifest.provider], name))
        )
    }
    listings = tuple(item for item in tracking.looked_at() if not item.ids)
    return Questions(listings, tuple(sorted(ids)))


def further_questions(tracking: Tracking, seen: Sightings) -> tuple[Question, ...]:
    """Recorded batches that have not ended and that a whole listing lacks: to ask for by id (O2, O5)."""
    sighted = _seen(tracking, seen)
    asked: set[Question] = set()
    for identity, entry in tracking.recorded.items():
        if identity in sighted or _ended(entry) or (manifest := tracking.owner(entry.watched)) is None:
            continue
        question = Question(manifest.provider, identity)
        whole = not isinstance(seen.listed.get(manifest.name, _NOT_SEEN), Unknown)
        if whole and question not in seen.asked and tracking.covers(manifest, identity.id):
            asked.add(question)
    return tuple(sorted(asked))


def _ended(entry: TrackedEntry | None) -> bool:
    return entry is not None and entry.watched.status.terminal


def running(tracking: Tracking, seen: Sightings) -> tuple[Question, ...]:
    """Selected batches that were seen and have not ended."""
    return tuple(
        sorted(
            Question(manifest.provider, watched.id)
            for watched, blocks in _seen(tracking, seen).values()
            if not watched.status.terminal
            and (manifest := tracking.owner(watched, blocks)) is not None
            and tracking.covers(manifest, watched.id.id)
        )
    )


class _Sighting(NamedTuple):
    """A batch as it was seen last, and the provider blocks that it was seen through."""

    watched: Watched
    blocks: frozenset[str]


def _seen(tracking: Tracking, seen: Sightings) -> dict[WatchedId, _Sighting]:
    """Each batch that was seen. What was asked for by id was asked last, and may not have been answered."""
    found: dict[WatchedId, _Sighting] = {}
    for manifest in tracking.in_order():
        listing = seen.listed.get(manifest.name, _NOT_SEEN)
        if isinstance(listing, Unknown):
            continue
        for watched in listing:
            known = found.get(watched.id, _Sighting(watched, frozenset()))
            # Of two listings nobody knows which is the newer; but what has ended stays so.
            latest = known.watched if known.watched.status.terminal else watched
            found[watched.id] = _Sighting(latest, known.blocks | {manifest.provider})
    for (block, identity), answer in sorted(seen.asked.items(), key=lambda item: item[0]):
        blocks = found[identity].blocks if identity in found else frozenset()
        if not isinstance(answer, Unknown):
            found[identity] = _Sighting(answer, blocks | {block})
        elif blocks == {block}:
            del found[identity]
    return found


def changes(tracking: Tracking, seen: Sightings) -> tuple[TrackedChange, ...]:
    """What happened to every selected batch since it was recorded; sorted by address and service."""
    sighted = _seen(tracking, seen)
    found: list[TrackedChange] = []
    for watched, blocks in sighted.values():
        manifest = tracking.owner(watched, blocks)
        entry = tracking.recorded.get(watched.id)
        if manifest is None:
            found += _dropped(tracking, entry) if entry else ()
        elif tracking.covers(manifest, watched.id.id):
            found.append(_sighted(entry, manifest, watched))
    for identity, entry in tracking.recorded.items():
        if identity not in sighted:
            found += _unseen(tracking, seen, entry)
    found += _never_seen(tracking, seen, sighted, {change.address for change in found})
    return tuple(sorted(found, key=lambda change: (change.address, change.id)))


def _sighted(entry: TrackedEntry | None, manifest: TrackedBatch, watched: Watched) -> TrackedChange:
    address = Address(manifest.name, watched.id.id)
    before = entry.watched if entry else None
    now = _completed(watched, before)
    if entry is None or before is None:
        happened, reason = Happened.NEW, f"seen for the first time, {now.word}"
    elif entry.address != address:
        happened = Happened.CHANGED
        reason = f"tracked by {address.set} now, and by {entry.address.set} before; {now.word}"
    elif now.word != before.word or now.status is not before.status:
        happened, reason = Happened.CHANGED, f"{before.word} -> {now.word}"
    elif now.counts != before.counts:
        happened, reason = Happened.CHANGED, f"still {now.word}, with other counts"
    elif now != before:
        happened, reason = Happened.CHANGED, f"still {now.word}, with other times"
    else:
        happened, reason = Happened.UNCHANGED, f"{now.word}, as recorded"
    return TrackedChange(
        address=address,
        id=watched.id,
        happened=happened,
        reason=reason,
        now=now,
        before=before,
        health=health_of_watched(now),
    )


def _completed(watched: Watched, before: Watched | None) -> Watched:
    """What a reply leaves out is not lost: counts may have been read from elsewhere."""
    if before is None:
        return watched
    return replace(
        watched,
        created_at=watched.created_at or before.created_at,
        updated_at=watched.updated_at or before.updated_at,
        counts=before.counts if watched.counts is None else watched.counts,
    )


def _unseen(tracking: Tracking, seen: Sightings, entry: TrackedEntry) -> list[TrackedChange]:
    """What is to be said of a recorded batch that no reply had; nothing where it is not selected."""
    identity = entry.watched.id
    manifest = tracking.owner(entry.watched)
    if manifest is None:
        return _dropped(tracking, entry)
    if not tracking.covers(manifest, identity.id):
        return []
    answer = seen.asked.get(Question(manifest.provider, identity))
    if answer is None and entry.watched.status.terminal:
        return [_sighted(entry, manifest, entry.watched)]  # O1
    if not isinstance(answer, Unknown):
        listing = seen.listed.get(manifest.name, _NOT_SEEN)
        answer = listing if isinstance(listing, Unknown) else _NOT_SEEN
    happened, reason = Happened.UNKNOWN, answer.why
    if isinstance(answer, Gone):
        happened = Happened.GONE
        reason = f"recorded as {entry.watched.word}, and the service does not know it any more (404)"
    return [
        TrackedChange(
            address=Address(manifest.name, identity.id),
            id=identity,
            happened=happened,
            reason=reason,
            before=entry.watched,
            health=health_of_watched(entry.watched),
        )
    ]


def _dropped(tracking: Tracking, entry: TrackedEntry) -> list[TrackedChange]:
    """A recorded batch that no manifest tracks any more; what a selection leaves out is not dropped (R10)."""
    if not tracking.selection.covers(entry.address):
        return []
    there = any(item.name == entry.address.set for item in tracking.manifests)
    reason = (
        f"{entry.address.set} does not ask for it any more" if there else "no manifest tracks it any more"
    )
    return [
        TrackedChange(
            address=entry.address,
            id=entry.watched.id,
            happened=Happened.NO_LONGER_TRACKED,
            reason=reason,
            before=entry.watched,
            health=health_of_watched(entry.watched),
        )
    ]


def _never_seen(
    tracking: Tracking, seen: Sightings, sighted: Mapping[WatchedId, _Sighting], told: set[Address]
) -> Iterator[TrackedChange]:
    """What was asked for, is not recorded, and could not be seen: listings, ids, and addresses selected."""
    for manifest in tracking.looked_at():
        endpoint = tracking.endpoints[manifest.provider]
        listing = seen.listed.get(manifest.name, _NOT_SEEN)
        if not manifest.ids and isinstance(listing, Unknown):
            yield _unknown(Address(manifest.name, LISTING), WatchedId(endpoint, ""), listing.why)
            continue
        selected = {item for item in tracking.selection.addresses if item.set == manifest.name}
        for address in sorted(selected | {Address(manifest.name, name) for name in manifest.ids}):
            identity = WatchedId(endpoint, address.directory)
            answer = seen.asked.get(Question(manifest.provider, identity))
            if (
                address in told
                or identity in sighted
                or identity in tracking.recorded
                or not tracking.covers(manifest, identity.id)
            ):
                continue  # it is told already, by whoever owns it
            why = f"it is none of the batches that {manifest.name} tracks"
            if isinstance(answer, Unknown):
                why = answer.why
            if isinstance(answer, Gone):
                why = "the service does not know it (404): check the id, and whose key this is"
            yield _unknown(address, identity, why)


def _unknown(address: Address, identity: WatchedId, why: str) -> TrackedChange:
    return TrackedChange(address=address, id=identity, happened=Happened.UNKNOWN, reason=why)


def record_tracked(
    recorded: Mapping[WatchedId, TrackedEntry], found: Iterable[TrackedChange], now: datetime
) -> dict[WatchedId, TrackedEntry]:
    """The lockfile's watched batches after what was seen. What could not be seen stays as it was (R7)."""
    entries = dict(recorded)
    for change in found:
        if change.happened is Happened.NO_LONGER_TRACKED:
            entries.pop(change.id, None)
        elif change.recordable and change.now is not None:
            known = recorded.get(change.id)
            since = known.recorded_at if known else now
            entries[change.id] = TrackedEntry(address=change.address, watched=change.now, recorded_at=since)
    return {identity: entries[identity] for identity in sorted(entries)}
