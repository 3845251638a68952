"""Talonic's stand-in in this process, with a clock that stands until it is moved."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx

from reconciler.emulator.database import Database
from reconciler.emulator.talonic.app import make_app
from reconciler.emulator.talonic.batches import Batches
from reconciler.emulator.talonic.documents import SOURCE_ID, Documents
from reconciler.emulator.talonic.pace import Pace
from reconciler.emulator.talonic.routes import TalonicRoutes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TalonicStand:
    """Three documents make a batch, unless a pace says otherwise."""

    def __init__(self, folder: Path, *, key: str, **pace: object) -> None:
        self.now = 1_788_264_000_000_000  # 2026-09-01T12:00:00Z
        self._key = key
        database = Database(folder / "talonic.db")
        settings: dict[str, Any] = {"threshold": 3, "minimum": 1, **pace}
        self._batches = Batches(database, lambda: self.now, Pace(**settings))
        documents = Documents(database, lambda: self.now, Pace(**settings))
        routes = TalonicRoutes(batches=self._batches, documents=documents, wake=threading.Event())
        self._app = make_app(routes.table(), api_key=key, clock=lambda: self.now)

    @property
    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(app=self._app)

    def ingest(self, *names: str) -> None:
        """Have documents come in, each a microsecond after the one before."""

        async def send() -> None:
            headers = {"Authorization": f"Bearer {self._key}"}
            async with httpx.AsyncClient(
                transport=self.transport, base_url="https://stand", headers=headers
            ) as client:
                for name in names:
                    self.now += 1
                    done = await client.post(
                        f"/v1/sources/{SOURCE_ID}/documents",
                        files={"file": (f"{name}.txt", name.encode())},
                        data={"processing_mode": "batch"},
                    )
                    done.raise_for_status()

        asyncio.run(send())

    def advance(self, **delta: float) -> None:
        """Let time go by, and do what falls due."""
        self.now += round(timedelta(**delta).total_seconds() * 1_000_000)
        self._batches.advance(self.now)

    @contextmanager
    def served(self) -> Iterator[str]:
        """On a port of its own; gives its base URL."""
        import socket

        import uvicorn

        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(self._app, lifespan="off", log_level="error"))
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                thread.join()
