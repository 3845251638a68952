"""Whose a live batch is: the address that desires or records its key, or nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.plan import aliases_of
from reconciler.model.listed import Filters, Role

if TYPE_CHECKING:
    from reconciler.model.batch import Address, Batch
    from reconciler.model.desired import Desired
    from reconciler.model.lock import Lock


class Owners:
    """The addresses of a project, by what they own."""

    def __init__(self, desired: Desired, lock: Lock) -> None:
        self._entries = lock.entries
        self._aliases = aliases_of(lock)
        self._wanted = {want.key: want.address for want in desired.batches}
        self._keys = {item.id: key for key, entry in lock.entries.items() for item in entry.batches}

    def of(self, batch: Batch) -> tuple[Address | None, Role]:
        """Who owns a batch, and what it is there.

        What is recorded belongs where it is recorded, under whatever key the service keeps it by now (C9).
        """
        key = self._keys.get(batch.id) or self._aliases.get(batch.key, batch.key)
        entry = self._entries.get(key)
        address = self._wanted.get(key) or (entry.address if entry else None)
        if address is None:
            return None, Role.NONE
        if entry is not None and entry.current == batch.id:
            return address, Role.STANDS
        return address, Role.RECORDED if batch.id in self._keys else Role.UNRECORDED


def fits(batch: Batch, filters: Filters) -> bool:
    """Whether a batch is one of those that were asked for, since a service's filters need not be exact.

    A batch without a time is not left out for it.
    """
    made = batch.created_at
    return (
        filters.directory in {None, batch.key.directory}
        and filters.status in {None, batch.status}
        and filters.job in {None, batch.key.job}
        and filters.configuration in {None, batch.key.configuration}
        and (made is None or filters.since is None or made >= filters.since)
        and (made is None or filters.until is None or made <= filters.until)
    )
