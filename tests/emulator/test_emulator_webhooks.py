"""What is told of a batch, to whom, and in which transaction."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest
from webhook_receiver import receiver
from webhook_stand import JOB, SECOND, SECRET, Stand

from reconciler.emulator import DatabaseUnusableError, Service
from reconciler.emulator.life.pace import Pace
from reconciler.emulator.webhooks.outbox import Outbox

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from reconciler.emulator.llamacloud.batches import Batch

JSON: TypeAlias = Any


def test_each_step_of_a_batch_is_told_with_the_batch_as_it_was(tmp_path: Path) -> None:
    stand = Stand(tmp_path, pending=SECOND, per_file=SECOND)
    with receiver() as there:
        batch = stand.create({"webhook_url": there.url, "webhook_output_format": "json"})
        for _ in range(2):
            stand.host._clock.advance(1_000_000)
            stand.step()
        stand.tell()
        now = stand.call("GET", f"/api/v2/batches/{batch['id']}").json()
        told = sorted((call.event for call in there.calls), key=lambda event: event["timestamp"])
    assert [(event["event_type"], event["data"]["status"]) for event in told] == [
        ("batch.pending", "PENDING"),
        ("batch.running", "RUNNING"),
        ("batch.success", "COMPLETED"),
    ]
    assert (told[0]["data"], told[-1]["data"]) == (batch, now)
    assert [round(event["timestamp"] - told[0]["timestamp"]) for event in told] == [0, 1, 2]
    assert len({event["event_id"] for event in told}) == 3
    assert set(told[0]) == {"event_id", "event_type", "timestamp", "data"}
    stand.host.close()


@pytest.mark.parametrize(
    ("pace", "cancel", "events"),
    [
        ({}, False, ["batch.pending", "batch.running", "batch.success"]),
        ({"failing_batches": 1.0}, False, ["batch.pending", "batch.running", "batch.error"]),
        ({"cancelled_batches": 1.0}, False, ["batch.pending", "batch.running", "batch.cancelled"]),
        ({}, True, ["batch.pending", "batch.cancelled"]),
        ({"cancel_lag": SECOND}, True, ["batch.pending", "batch.cancelled"]),
        # THROTTLED has no event.
        ({"max_running": 0}, False, ["batch.pending"]),
    ],
)
def test_every_end_has_its_event(tmp_path: Path, pace: JSON, cancel: bool, events: JSON) -> None:  # noqa: FBT001
    stand = Stand(tmp_path, **pace)
    batch = stand.create({"webhook_url": "http://127.0.0.1:9/"})
    if cancel:
        stand.call("POST", f"/api/v2/batches/{batch['id']}/cancel").raise_for_status()
        stand.host._clock.advance(1_000_000)
    stand.step()
    assert stand.listed("batch_id", "event") == [(batch["id"], event) for event in events]
    stand.host.close()


def test_nobody_is_told_who_did_not_ask_for_it(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver() as there:
        stand.create(
            {"webhook_url": there.url, "webhook_events": ["parse.success", "batch.cancelled"]},
            {"webhook_url": there.url, "webhook_events": []},
            {"webhook_url": None, "webhook_events": None},
            {"webhook_signing_secret": SECRET},
            webhook_configuration_ids=["whc-1"],
        )
        stand.step()
        asked = stand.create({"webhook_url": there.url, "webhook_events": ["batch.running"]})
        stand.step()
        stand.tell()
        assert [(call.event["event_type"], call.event["data"]["id"]) for call in there.calls] == [
            ("batch.running", asked["id"])
        ]
    assert stand.listed("event", "state") == [("batch.running", "sent")]
    stand.host.close()


def test_without_an_outbox_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "documents" / "a").mkdir(parents=True)
    (tmp_path / "documents" / "a" / "0.txt").write_text("x")
    service = Service(tmp_path / "documents", tmp_path / "x.db", pace=Pace(read=False))
    webhook = {"webhook_url": "http://127.0.0.1:9/", "webhook_signing_secret": SECRET}
    body = {"source_directory_id": "dir-a", "config": {"job": JOB}, "webhook_configurations": [webhook]}

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            return await client.post("/api/v2/batches", json=body)

    assert asyncio.run(ask()).status_code == 200
    while service.worker().advance(threading.Event()):
        pass
    reader = service._database.reader()
    assert reader is not None
    assert [
        reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("batches", "webhooks", "webhook_deliveries")
    ] == [1, 0, 0]
    service.close()


class Full(Outbox):
    """An outbox that takes nothing."""

    def tell(self, connection: sqlite3.Connection, batch: Batch) -> None:
        raise OSError(28, "No space left on device")


def test_a_change_that_cannot_be_told_is_not_made(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    batch = stand.create({"webhook_url": "http://127.0.0.1:9/"})
    service = stand.host._service
    full = Full(stand.host._database)
    service._outbox = full
    with pytest.raises(DatabaseUnusableError, match="No space left"):
        service.worker().advance(threading.Event())
    service._batches._outbox = full
    assert [
        stand.call("POST", path, json=body).status_code
        for path, body in (
            (f"/api/v2/batches/{batch['id']}/cancel", None),
            (
                "/api/v2/batches",
                {
                    "source_directory_id": "dir-a",
                    "config": {"job": JOB},
                    "webhook_configurations": [{"webhook_url": "http://127.0.0.1:9/"}],
                },
            ),
        )
    ] == [503, 503]
    assert [each["status"] for each in stand.call("GET", "/api/v2/batches").json()["items"]] == ["PENDING"]
    assert stand.listed("event") == [("batch.pending",)]
    stand.host.close()
