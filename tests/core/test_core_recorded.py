"""Which recorded batches are meant by what somebody types."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.core.recorded import Choice, Chosen, choose
from reconciler.model.batch import Address, JobType, Key, Status
from reconciler.model.errors import SettingsError
from reconciler.model.lock import Entry, Lock, Origin, Recorded, TrackedEntry
from reconciler.model.watched import Watched, WatchedId

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LABELS = {
    "invoices": {"team": "finance"},
    "receipts": {"team": "finance"},
    "claims": {"team": "legal"},
    "scans": {"of": "us"},
}


def entry(address: str, current: str, *others: str) -> Entry:
    where = Address.parse(address)
    key = Key("https://service.test", "prj-1", where.directory, JobType.PARSE_V2, f"cfg-{where.set}")
    batches = tuple(
        Recorded(name, Status.COMPLETED, Origin.CREATED, NOW) for name in sorted({current, *others})
    )
    return Entry(key=key, address=where, current=current, batches=batches)


ENTRIES = (
    entry("receipts/dir-1", "bat-4"),
    entry("invoices/dir-2", "bat-3", "bat-2"),
    entry("invoices/dir-1", "bat-1"),
    entry("old/dir-9", "bat-9"),
)
WATCHED = TrackedEntry(
    address=Address("scans", "tb-1"),
    watched=Watched(id=WatchedId("https://talonic.test", "tb-1"), status=Status.RUNNING, word="submitted"),
    recorded_at=NOW,
)
LOCK = Lock(entries={item.key: item for item in ENTRIES}, tracked={WATCHED.watched.id: WATCHED})


def _id(item: Choice) -> str:
    return item.recorded.id if isinstance(item, Chosen) else item.entry.watched.id.id


@pytest.mark.parametrize(
    ("targets", "batches", "ids"),
    [
        ((), (), ["bat-1", "bat-3", "bat-9", "bat-4", "tb-1"]),
        (("scans",), (), ["tb-1"]),
        (("of=us", "old"), ("tb-1",), ["bat-9", "tb-1"]),
        (("invoices",), (), ["bat-1", "bat-3"]),
        (("invoices/dir-2",), (), ["bat-3"]),
        (("team=finance",), (), ["bat-1", "bat-3", "bat-4"]),
        (("old",), (), ["bat-9"]),  # recorded, and in no manifest any more
        (("bat-2",), (), ["bat-2"]),
        ((), ("bat-2",), ["bat-2"]),
        (("invoices/dir-2", "receipts"), ("bat-2", "bat-3"), ["bat-2", "bat-3", "bat-4"]),
    ],
)
def test_targets_mean_what_stands_and_ids_mean_that_batch(
    targets: tuple[str, ...], batches: tuple[str, ...], ids: list[str]
) -> None:
    assert [_id(item) for item in choose(LOCK, LABELS, targets, batches)] == ids


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("claims", "nothing is recorded of 'claims' yet"),
        ("claims/dir-1", "nothing is recorded of 'claims/dir-1' yet"),
        ("invoces", "Did you mean 'invoices'?"),
        ("invoices/dir-3", "nothing is recorded of 'invoices/dir-3' yet"),
        ("old/dir-8", "Did you mean 'old/dir-9'?"),
        ("team=legal", "fits no set, address, label or batch"),
    ],
)
def test_what_fits_nothing_is_an_error_that_helps(target: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        choose(LOCK, LABELS, [target])
    assert message in str(caught.value)


def test_a_batch_that_is_not_recorded_is_an_error_that_helps() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'bat-9'"):
        choose(LOCK, LABELS, (), ["bat-99"])
