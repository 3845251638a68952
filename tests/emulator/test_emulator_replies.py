"""What replies say of batches and jobs as they move: when, and of which file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
from contract import checked
from test_emulator_life import WhenIdle

from reconciler.emulator import Service

if TYPE_CHECKING:
    from pathlib import Path

# As decoded: what it should be is what the test compares.
JSON: TypeAlias = Any

BATCHES = "/api/v2/batches"


class World:
    """A service over one folder of two files, and a clock to set, in seconds."""

    def __init__(self, tmp_path: Path) -> None:
        self.seconds = 1_000
        (tmp_path / "documents" / "a").mkdir(parents=True)
        for index in range(2):
            (tmp_path / "documents" / "a" / f"{index}.txt").write_text("Total 1")
        (tmp_path / "saved").mkdir()
        (tmp_path / "saved" / "totals.yaml").write_text(
            "type: extract_v2\nfields: {total: {pattern: 'Total (\\S+)'}}\n"
        )
        self.service = Service(
            tmp_path / "documents",
            tmp_path / "x.db",
            configurations=tmp_path / "saved",
            clock=lambda: self.seconds * 1_000_000,
        )

    def call(self, method: str, path: str, **options: JSON) -> JSON:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
                return await client.request(method, path, **options)

        reply = checked(asyncio.run(ask()))
        assert reply.status_code == 200, reply.text
        return reply.json()

    def create(self, kind: str, configuration: str) -> JSON:
        config = {"job": {"type": kind, "configuration_id": configuration}}
        return self.call("POST", BATCHES, json={"source_directory_id": "dir-a", "config": config})


def test_a_batch_says_when_it_last_changed(tmp_path: Path) -> None:
    world = World(tmp_path)
    done, stopped = (world.create("parse_v2", "cfg-PARSE_AGENTIC") for _ in range(2))
    world.seconds = 1_060
    stopped = world.call("POST", f"{BATCHES}/{stopped['id']}/cancel")
    world.seconds = 1_120
    world.service.work(stop=WhenIdle(world.service))
    world.seconds = 1_180
    # Strictly rising times of creation: the second one is a microsecond later.
    assert [
        (batch["status"], batch["created_at"], batch["updated_at"])
        for batch in (world.call("GET", f"{BATCHES}/{each['id']}") for each in (done, stopped))
    ] == [
        ("COMPLETED", "1970-01-01T00:16:40.000000Z", "1970-01-01T00:18:40.000000Z"),
        ("CANCELLED", "1970-01-01T00:16:40.000001Z", "1970-01-01T00:17:40.000000Z"),
    ]
    assert stopped["updated_at"] == "1970-01-01T00:17:40.000000Z"
    world.service.close()


def test_an_extract_job_names_the_file_that_it_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    batch = world.create("extract_v2", "cfg-totals")
    world.service.work(stop=WhenIdle(world.service))
    files = world.call("GET", "/api/v1/beta/directories/dir-a/files")["items"]
    rows = world.call("GET", f"{BATCHES}/{batch['id']}", params={"expand": "results"})["results"]
    jobs = [world.call("GET", f"/api/v2/extract/{row['job_reference']['id']}") for row in rows]
    assert [job["file_input"] for job in jobs] == [file["id"] for file in files]
    world.service.close()
