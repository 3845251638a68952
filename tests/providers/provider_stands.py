"""What the contract suites stand on for our own providers: the stand-in of the service, and a road to it.

The road counts requests and lets one of them meet a trouble, with the key in whatever can hold it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

import httpx

from reconciler.adapters.providers import connection
from reconciler.adapters.providers.llamacloud_watch import LlamaCloudWatch
from reconciler.api.embedded import DATABASE, Embedded
from reconciler.api.kinds import Cloud, Talonic
from reconciler.emulator import Service
from reconciler.emulator.database import Database
from reconciler.emulator.life.pace import Pace
from reconciler.emulator.talonic.app import make_app
from reconciler.emulator.talonic.batches import Batches
from reconciler.emulator.talonic.documents import SOURCE_ID, Documents
from reconciler.emulator.talonic.pace import Pace as TalonicPace
from reconciler.emulator.talonic.routes import TalonicRoutes
from reconciler.model.batch import JobType, Key
from reconciler.model.kind import Block
from reconciler.model.ports import Listing
from reconciler.model.project import LlamaCloudProvider, LocalProvider, TalonicProvider
from reconciler.testing import ProviderStand, Trouble, WatcherStand, borrowed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from reconciler.model.ports import Creator, Watcher

SECRET = "llx-marked-key-never-shown"
WORKS = ("one", "two", "three")

_STRAIGHT = httpx.ASGITransport


class Road(httpx.AsyncBaseTransport):
    """The way of requests to a service in this process."""

    def __init__(self) -> None:
        self.requests = self.creates = 0
        self.trouble: Trouble | None = None
        self.service: httpx.AsyncBaseTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert self.service is not None
        self.requests += 1
        self.creates += request.method == "POST" and request.url.path.endswith("/batches")
        trouble, self.trouble = self.trouble, None
        match trouble:
            case Trouble.REFUSED:
                return httpx.Response(422, json={"detail": f"no: {dict(request.headers)}"})
            case Trouble.THROTTLED:
                return httpx.Response(429, json={"detail": SECRET}, headers={"retry-after": "1"})
            case Trouble.BROKEN:
                return httpx.Response(500, text=SECRET)
            case Trouble.UNREACHABLE:
                raise httpx.ConnectError(SECRET)
            case Trouble.UNANSWERED:
                await self.service.handle_async_request(request)
                raise httpx.ReadTimeout(SECRET)
            case None:
                return await self.service.handle_async_request(request)


class OurStand(ProviderStand):
    """The stand-in over three folders of two files."""

    secrets = (SECRET,)
    endpoint: str
    project: str
    key: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.road = Road()
        for name in WORKS:
            (folder / "documents" / name).mkdir(parents=True)
            for file in ("a.txt", "b.txt"):
                (folder / "documents" / name / file).write_text("Paid.")

    def works(self) -> list[Key]:
        made = (self.endpoint, self.project)
        return [Key(*made, f"dir-{name}", JobType.PARSE_V2, "cfg-PARSE_AGENTIC") for name in WORKS]

    async def files(self, directory: str) -> set[str]:
        # Which ids it gives to files is the service's business.
        with self.service() as service:
            transport = _STRAIGHT(app=service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://stand") as client:
                reply = await client.get(
                    f"/api/v1/beta/directories/{directory}/files",
                    headers={"Authorization": f"Bearer {SECRET}"},
                )
        return {item["id"] for item in reply.json()["items"]}

    def creates(self) -> int:
        return self.road.creates

    def requests(self) -> int:
        return self.road.requests

    def disturb(self, trouble: Trouble) -> bool:
        self.road.trouble = trouble
        return True

    async def finish(self, batch: str) -> bool:
        with self.service() as service:
            while service.worker().advance(threading.Event()):
                pass
        return True

    @contextmanager
    def service(self) -> Iterator[Service]:
        """The service once more, over the same database."""
        service = Service(
            self.folder / "documents",
            self.folder / DATABASE,
            project_id=self.project,
            api_key=self.key,
            pace=Pace(read=False),
        )
        try:
            yield service
        finally:
            service.close()


class CloudStand(OurStand):
    """The kind ``llamacloud`` with the stand-in at the other end of its client."""

    endpoint = "https://api.test"
    project = "prj-cloud"
    key = SECRET

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Creator]:
        def connect(base_url: str, api_key: str, *, parallelism: int) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {api_key}"}
            return httpx.AsyncClient(transport=self.road, base_url=base_url, headers=headers)

        async def never(_: Creator) -> str:
            raise AssertionError("the block says which project it is")

        spec = LlamaCloudProvider(name="prod", project=self.project, base_url=self.endpoint, settle=0.0)
        block = Block(name="prod", options={}, folder=".", environ={"LLAMA_CLOUD_API_KEY": SECRET})
        with self.service() as service:
            self.road.service = httpx.ASGITransport(app=service.app)
            # The client as such, and where it may send the key, is test_provider_connection's.
            with patch.object(connection, "connect", connect):
                async with Cloud(spec, never).creator(block, borrowed([SECRET])) as link:
                    yield link.creator


class LocalStand(OurStand):
    """The kind ``local`` as it is, but for the road between its client and its service."""

    endpoint = "local:documents"
    project = "prj-local"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Creator]:
        def transport(**settings: object) -> Road:
            self.road.service = _STRAIGHT(**settings)  # type: ignore[arg-type]
            return self.road

        spec = LocalProvider(name="local", root="documents")
        block = Block(name="local", options={}, folder=str(self.folder), environ={})
        with patch.object(httpx, "ASGITransport", transport):
            async with Embedded(spec).creator(block, borrowed([SECRET])) as link:
                yield link.creator


class LookThrough(WatcherStand):
    """Batches of LlamaCloud, watched through what creates them."""

    secrets = (SECRET,)

    def __init__(self, folder: Path) -> None:
        self.cloud = CloudStand(folder)
        self._made = asyncio.run(self._make())

    async def _make(self) -> list[str]:
        made = []
        async with self.cloud.connected() as creator:
            for work in self.cloud.works():
                await creator.create(work, (), objection=str)
                made = [batch.id for batch in (await creator.list_page(Listing(), None)).batches]
                if len(made) == 1:
                    await self.cloud.finish(made[0])
        return made

    def batches(self) -> list[str]:
        return self._made

    def disturb(self, trouble: Trouble) -> bool:
        return self.cloud.disturb(trouble)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Watcher]:
        async with self.cloud.connected() as creator:
            yield LlamaCloudWatch(creator, borrowed().turns.patience)


class TalonicStand(WatcherStand):
    """The kind ``talonic``: a batch that was submitted, and one a minute later that still accumulates."""

    secrets = (SECRET,)

    def __init__(self, folder: Path) -> None:
        self.road = Road()
        self._now = 1_790_000_000_123_456
        database, pace = Database(folder / "talonic.db"), TalonicPace(threshold=2, minimum=1)
        parts = (Batches(database, self._clock, pace), Documents(database, self._clock, pace))
        routes = TalonicRoutes(batches=parts[0], documents=parts[1], wake=threading.Event()).table()
        app = make_app(routes, api_key=SECRET, clock=self._clock)
        self.road.service = httpx.ASGITransport(app=app)
        asyncio.run(self._ingest("a.txt", "b.txt"))
        self._now += 60_000_000
        parts[0].advance(self._now)
        asyncio.run(self._ingest("c.txt"))
        self._made = [batch.id for batch in parts[0].page(order="asc", after=None, limit=10)]

    def _clock(self) -> int:
        return self._now

    async def _ingest(self, *names: str) -> None:
        async with self._client("https://talonic.test", SECRET) as client:
            reply = await client.post(
                f"/v1/sources/{SOURCE_ID}/documents",
                files=[("file", (name, f"content of {name}")) for name in names],
                data={"processing_mode": "batch"},
            )
            assert reply.status_code == 200, reply.text

    def _client(self, base_url: str, api_key: str, **_: object) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {api_key}"}
        return httpx.AsyncClient(transport=self.road, base_url=base_url, headers=headers)

    def batches(self) -> list[str]:
        return self._made

    def disturb(self, trouble: Trouble) -> bool:
        self.road.trouble = trouble
        return True

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Watcher]:
        spec = TalonicProvider(name="talonic", base_url="https://talonic.test")
        block = Block(name="talonic", options={}, folder=".", environ={"TALONIC_API_KEY": SECRET})
        with patch.object(connection, "connect", self._client):
            async with Talonic(spec).watcher(block, borrowed([SECRET])) as watcher:
                yield watcher
