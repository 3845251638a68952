"""The store: reading without a lock, and taking the lease (C1)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.adapters.stores.journal import read_journal
from reconciler.adapters.stores.object.lease import Terms, acquire
from reconciler.adapters.stores.object.session import JOURNAL, LOCKFILE, ObjectSession, text_of, together
from reconciler.adapters.stores.succession import with_recovered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.adapters.stores.object.bucket import Bucket
    from reconciler.model.intent import JournalState
    from reconciler.model.lock import Lock


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """State in a bucket.

    Attributes:
        bucket: the place in it.
        project: whose state it is; "" where nobody says.
        holder: who this process is, for those who find the lock held.
        terms: how long a lease lasts, and how long one that ran out is left alone.
    """

    bucket: Bucket
    project: str
    holder: str
    terms: Terms

    @property
    def shown(self) -> str:
        """What messages call it."""
        return self.bucket.shown

    def read(self) -> tuple[Lock, JournalState]:
        """What stands; nothing is written.

        Raises:
            StateError: it cannot be used.
        """
        # The journal first: what a run that ends meanwhile takes out of it is in the lockfile by then.
        journal = read_journal(self._text(JOURNAL), f"{self.shown}/{JOURNAL}")
        lock, state = together(self._text(LOCKFILE), journal, self.shown)
        return with_recovered(lock, state.recovered), state

    def read_lockfile(self) -> bytes:
        """What was committed.

        Raises:
            StateError: it cannot be used.
        """
        return self._text(LOCKFILE)

    def audit(self) -> dict[str, bytes]:
        """The audit files that runs have left here.

        Raises:
            StateError: it cannot be used.
        """
        found = {name: self.bucket.read(name) for name in self.bucket.names("audit/")}
        return {name.removeprefix("audit/"): there.content for name, there in found.items() if there}

    def _text(self, name: str) -> bytes:
        return text_of(self.bucket.read(name), f"{self.shown}/{name}")

    @contextlib.contextmanager
    def hold(self, timeout: float) -> Iterator[ObjectSession]:
        """Hold the lease for as long as the context lasts.

        Raises:
            LockHeldError: another held it for ``timeout`` seconds.
            LockLostError: within the context, it ran out or was taken.
            StateError: the service cannot be used.
        """
        lease = acquire(self.bucket, self.terms, self.holder, timeout)
        try:
            yield ObjectSession(self.bucket, lease, self.project)
        finally:
            lease.release()
