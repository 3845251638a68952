"""How the lockfile changes: entries as functions of what was there and what is now known (C9).

Only values are made here; writing them down durably is the stores' work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.model.batch import Address, Batch, FileCounts, Key
    from reconciler.model.desired import Desired, DesiredBatch
    from reconciler.model.snapshot import Snapshot


def recorded(
    entry: Entry | None,
    want: DesiredBatch,
    batch: Batch,
    *,
    origin: Origin,
    now: datetime,
    evidence: Evidence | None = None,
    directory_name: str = "",
) -> Entry:
    """The entry of a key after a batch was created, found or adopted for it: that batch stands now.

    A batch that is recorded already keeps its origin and evidence: seeing it again tells nothing new.
    """
    return record_batch(
        entry,
        want.key,
        want.address,
        batch,
        origin=origin,
        now=now,
        evidence=evidence,
        directory_name=directory_name,
        on_remove_of=want,
    )


def record_batch(
    entry: Entry | None,
    key: Key,
    address: Address,
    batch: Batch,
    *,
    origin: Origin,
    now: datetime,
    evidence: Evidence | None = None,
    directory_name: str = "",
    on_remove_of: DesiredBatch | None = None,
    stands: bool = True,
) -> Entry:
    """As `recorded`, for a key that need not be desired any more; ``stands=False`` only adds the batch."""
    alias = None
    if (batch.key.directory, batch.key.configuration) != (key.directory, key.configuration):
        alias = Alias(batch.key.directory, batch.key.configuration)
    item = Recorded(
        batch.id,
        batch.status,
        origin,
        now,
        batch.created_at,
        batch.updated_at,
        evidence=evidence,
        alias=alias,
    )
    before = {old.id: old for old in entry.batches} if entry else {}
    if old := before.get(batch.id):
        item = _seen_again(old, batch)
    fresh = Entry(
        key=key,
        address=address,
        current=batch.id if stands or entry is None else entry.current,
        batches=_sorted(before | {batch.id: item}),
        directory_name=directory_name or (entry.directory_name if entry else ""),
    )
    if on_remove_of is not None:
        return fresh._replace(on_remove=on_remove_of.set.on_remove)
    return fresh._replace(on_remove=entry.on_remove) if entry else fresh


def refreshed(lock: Lock, snapshot: Snapshot) -> dict[Key, Entry]:
    """The entries with the statuses and times that were seen (O2)."""
    entries = dict(lock.entries)
    for key, entry in lock.entries.items():
        seen = snapshot.of(key)
        if isinstance(seen, tuple) and seen:
            live = {batch.id: batch for batch in seen}
            batches = tuple(
                _seen_again(item, live[item.id]) if item.id in live else item for item in entry.batches
            )
            if batches != entry.batches:
                entries[key] = entry._replace(batches=batches)
    return entries


def with_status(entry: Entry, batch: Batch) -> Entry:
    """The entry after one of its batches was seen again."""
    return entry._replace(
        batches=tuple(_seen_again(item, batch) if item.id == batch.id else item for item in entry.batches),
    )


def with_counts(entry: Entry, batch: str, counts: FileCounts) -> Entry:
    """The entry after somebody read how the files of one of its batches fared."""
    return entry._replace(
        batches=tuple(item._replace(files=counts) if item.id == batch else item for item in entry.batches),
    )


def policies(entries: Mapping[Key, Entry], desired: Desired, changed: frozenset[str]) -> dict[Key, Entry]:
    """The entries with ``onRemove`` as the manifests have it now, for the sets in ``changed`` (R10)."""
    result = dict(entries)
    for want in desired.batches:
        entry = result.get(want.key)
        if want.set.name in changed and entry is not None and entry.on_remove is not want.set.on_remove:
            result[want.key] = entry._replace(on_remove=want.set.on_remove)
    return result


def _seen_again(item: Recorded, batch: Batch) -> Recorded:
    if (item.status, item.created_at, item.updated_at) == (batch.status, batch.created_at, batch.updated_at):
        return item
    return item._replace(
        status=batch.status,
        created_at=batch.created_at or item.created_at,
        updated_at=batch.updated_at or item.updated_at,
    )


def _sorted(batches: Mapping[str, Recorded]) -> tuple[Recorded, ...]:
    return tuple(batches[name] for name in sorted(batches))
