"""A host whose webhooks a test has told: it is asked without sockets, and moved on step by step."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from reconciler.emulator.host import Host
from reconciler.emulator.life.pace import Pace
from reconciler.emulator.talonic.pace import Pace as TalonicPace
from reconciler.emulator.webhooks.outbox import Outbox
from reconciler.emulator.webhooks.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JSON: TypeAlias = Any

SECOND = 1_000_000
SECRET = "whsec-not-to-be-shown"
JOB = {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}


class When(threading.Event):
    """A stop that is set when something is so."""

    def __init__(self, so: Callable[[], bool]) -> None:
        super().__init__()
        self.so = so

    def is_set(self) -> bool:
        return self.so()


class Stand:
    """A host that is not served: the test asks it, moves its batches on, and has told what is to be told."""

    def __init__(self, folder: Path, **pace: JSON) -> None:
        (folder / "documents" / "a").mkdir(parents=True)
        (folder / "documents" / "a" / "0.txt").write_text("x")
        self.host = Host(
            root=folder / "documents",
            database=folder / "x.db",
            configurations=None,
            project_id="prj-emulator",
            api_key="llx-emulator",
            talonic_key="tlnc_emulator",
            pace=Pace(**{"read": False, **pace}),
            talonic_pace=TalonicPace(),
            speed=0,
        )
        self.outbox = Outbox(self.host._database)
        self.worker = self.host._service.worker()

    def call(self, method: str, path: str, **options: JSON) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.host.app)
            headers = {"Authorization": "Bearer llx-emulator"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://local", headers=headers
            ) as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def create(self, *webhooks: JSON, **more: JSON) -> JSON:
        body = {"source_directory_id": "dir-a", "config": {"job": JOB}, "webhook_configurations": webhooks}
        reply = self.call("POST", "/api/v2/batches", json={**body, **more})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def step(self) -> None:
        while self.worker.advance(threading.Event()):
            pass

    def tell(self, **options: JSON) -> None:
        """Send until nothing waits, without a pause between tries."""
        sender = Sender(self.outbox, **{"pauses": (0, 0, 0, 0), **options})
        sender.permit(0)
        sender.run(When(self.outbox.idle))

    def listed(self, *keys: str) -> list[JSON]:
        found = self.call("GET", "/__admin/webhooks").json()["webhooks"]
        return [tuple(each[key] for key in keys) for each in found]
