"""Webhooks of the stand-in as users start it: killed, restarted, beside another, with a silent receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from emulator_process import Emulator, documents, emulator
from webhook_receiver import receiver

if TYPE_CHECKING:
    from collections.abc import Callable

JSON: TypeAlias = Any

REPOSITORY = Path(__file__).parents[2]
SECRET = "whsec-not-to-be-shown"
AT_ONCE = ("--root", "documents", "--no-read", "--pending", "0s", "--per-file", "0s")
JOB = {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}

# Creates a batch as the host does, and is killed at once: what was to be told of it is not told.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
import httpx
from reconciler.emulator.host import Host
from reconciler.emulator.life.pace import Pace
from reconciler.emulator.talonic.pace import Pace as TalonicPace

host = Host(
    root=Path("documents"), database=Path(".reconciler/emulator.db"), configurations=None,
    project_id="prj-emulator", api_key="llx-emulator", talonic_key="tlnc_emulator",
    pace=Pace(pending=3600_000_000), talonic_pace=TalonicPace(), speed=0,
)

async def create():
    transport = httpx.ASGITransport(app=host.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
        reply = await client.post(
            "/api/v2/batches",
            headers={"Authorization": "Bearer llx-emulator", "Content-Type": "application/json"},
            content=sys.argv[1],
        )
        print(reply.raise_for_status().json()["id"], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(create())
"""


def wanted(*webhooks: JSON, directory: str = "dir-a") -> JSON:
    return {"source_directory_id": directory, "config": {"job": JOB}, "webhook_configurations": webhooks}


def create(there: Emulator, *webhooks: JSON, directory: str = "dir-a") -> str:
    reply = there.client.post("/api/v2/batches", json=wanted(*webhooks, directory=directory))
    batch_id: str = reply.raise_for_status().json()["id"]
    return batch_id


def listed(there: Emulator) -> list[JSON]:
    found: list[JSON] = there.client.get("/__admin/webhooks", params={"limit": 1000}).json()["webhooks"]
    return found


def until(so: Callable[[], bool]) -> None:
    """Look until something is so; each look is a request that the stand-in has to answer."""
    while not so():
        pass


def test_a_batch_is_told_of_from_its_create_to_its_end(tmp_path: Path, quick: Path) -> None:
    documents(tmp_path, "a")
    with receiver() as there, emulator(tmp_path, *AT_ONCE, quick=quick) as one:
        batch_id = create(one, {"webhook_url": there.url})
        calls = there.wait(3)
        assert sorted(call.event["event_type"] for call in calls) == [
            "batch.pending",
            "batch.running",
            "batch.success",
        ]
        assert {call.event["data"]["id"] for call in calls} == {batch_id}
        until(lambda: {each["state"] for each in listed(one)} == {"sent"})
        assert [(each["batch_id"], each["tries"], each["status"]) for each in listed(one)] == [
            (batch_id, 1, 200)
        ] * 3


def test_killed_between_the_change_and_the_sending_it_tells_after_a_restart(
    tmp_path: Path, quick: Path
) -> None:
    documents(tmp_path, "a")
    (tmp_path / ".reconciler").mkdir()
    with receiver() as there:
        body = json.dumps(wanted({"webhook_url": there.url}))
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, body],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            text=True,
            capture_output=True,
            check=False,
        )
        assert (killed.returncode, killed.stderr, there.calls) == (-9, "", [])
        with emulator(tmp_path, "--root", "documents", quick=quick):
            [call] = there.wait(1)
        assert (call.event["event_type"], call.event["data"]["id"]) == (
            "batch.pending",
            killed.stdout.strip(),
        )


def test_killed_while_it_sends_it_sends_the_same_event_again(tmp_path: Path, quick: Path) -> None:
    documents(tmp_path, "a")
    with receiver(None, 200) as there:
        with emulator(tmp_path, "--root", "documents", quick=quick) as first:
            create(first, {"webhook_url": there.url})
            there.wait(1)
            first.kill()
        with emulator(tmp_path, "--root", "documents", quick=quick) as second:
            calls = there.wait(2)
            until(lambda: listed(second)[0]["state"] == "sent")
        assert calls[0].body == calls[1].body


def test_of_two_processes_on_one_database_one_sends_and_then_the_other(tmp_path: Path, quick: Path) -> None:
    documents(tmp_path, *(f"{number:02}" for number in range(10)), files=1)
    with (
        receiver() as there,
        emulator(tmp_path, *AT_ONCE, quick=quick) as one,
        emulator(tmp_path, *AT_ONCE, quick=quick) as two,
    ):
        for number in range(10):
            for process in (one, two):
                create(process, {"webhook_url": there.url}, directory=f"dir-{number:02}")
        until(lambda: [each["state"] for each in listed(two)] == ["sent"] * 60)
        assert len({call.event["event_id"] for call in there.calls}) == len(there.calls) == 60
        one.kill()
        create(two, {"webhook_url": there.url, "webhook_events": ["batch.success"]}, directory="dir-00")
        assert there.wait(61)[-1].event["event_type"] == "batch.success"


def test_a_receiver_that_never_answers_delays_neither_batches_nor_requests_nor_the_end(
    tmp_path: Path, quick: Path
) -> None:
    documents(tmp_path, "a")
    with receiver(None) as silent, emulator(tmp_path, *AT_ONCE, quick=quick) as one:
        made = [create(one, {"webhook_url": silent.url}) for _ in range(10)]
        silent.wait(1)
        until(lambda: len(one.batches(status="COMPLETED")) == 10)
        assert {batch["id"] for batch in one.batches()} == set(made)
        assert {(each["state"], each["status"]) for each in listed(one)} <= {
            ("sending", None),
            ("waiting", None),
        }
        assert one.end()[1] == ""


@pytest.mark.parametrize("status", [200, 404])
def test_the_secret_is_in_no_reply_no_journal_and_no_log(tmp_path: Path, status: int, quick: Path) -> None:
    documents(tmp_path, "a")
    webhook = {"webhook_headers": {"Authorization": SECRET}, "webhook_signing_secret": SECRET}
    with receiver(status) as there, emulator(tmp_path, *AT_ONCE, quick=quick) as one:
        batch_id = create(
            one, {"webhook_url": there.url, **webhook}, {"webhook_url": "http://a:b/", **webhook}
        )
        refused = one.client.post("/api/v2/batches", json=wanted({"webhook_url": 1, **webhook}))
        assert refused.status_code == 422
        there.wait(3)
        until(lambda: all(each["tries"] for each in listed(one)))
        said = [
            refused.text,
            *(
                one.client.get(path).text
                for path in (
                    *("/__admin/webhooks", "/__admin/requests", "/__admin/duplicates", "/__admin/faults"),
                    *("/api/v2/batches", f"/api/v2/batches/{batch_id}?expand=results"),
                )
            ),
            one.end()[1],
        ]
    assert [SECRET in text for text in said] == [False] * len(said)
    assert {call.headers["authorization"] for call in there.calls} == {SECRET}
