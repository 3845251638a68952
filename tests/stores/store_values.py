"""Small values for tests of stores, that mean nothing in particular."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconciler.model.batch import Address, JobType, Key, Status
from reconciler.model.intent import Intent
from reconciler.model.lock import Entry, Evidence, Lock, Origin, Recorded

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Some:
    """Small values that mean nothing in particular."""

    def key(self, directory: str = "dir-1") -> Key:
        return Key("https://api.example", "prj-1", directory, JobType.PARSE_V2, "cfg-1")

    def entry(self, directory: str = "dir-1", *batches: str, status: Status = Status.PENDING) -> Entry:
        """An entry whose last batch stands."""
        names = batches or ("bat-1",)
        recorded = tuple(Recorded(name, status, Origin.CREATED, NOON, NOON) for name in names)
        address = Address("invoices", directory)
        return Entry(key=self.key(directory), address=address, current=names[-1], batches=recorded)

    def lock(self, *entries: Entry) -> Lock:
        return Lock(entries={entry.key: entry for entry in entries or (self.entry(),)})

    def with_status(self, lock: Lock, status: Status) -> Lock:
        """The same batches, seen again."""
        entries = {
            key: entry._replace(
                batches=tuple(item._replace(status=status, updated_at=NOON) for item in entry.batches),
            )
            for key, entry in lock.entries.items()
        }
        return replace(lock, entries=entries)

    def intent(self, name: str = "int-1", directory: str = "dir-1", minutes: int = 0) -> Intent:
        return Intent(
            id=name,
            key=self.key(directory),
            address=Address("invoices", directory),
            known=frozenset({"bat-8", "bat-9"}),
            evidence=Evidence("missing"),
            at=NOON + timedelta(minutes=minutes),
            run="run-1",
            directory_name="September",
        )
