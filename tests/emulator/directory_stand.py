"""What tests of directories, their files and uploads stand on: the routes over a small root."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
from contract import checked

from reconciler.emulator.database import Database
from reconciler.emulator.llamacloud.app import make_app
from reconciler.emulator.llamacloud.directories import Directories
from reconciler.emulator.llamacloud.directory_routes import DirectoryRoutes

if TYPE_CHECKING:
    from pathlib import Path

# As decoded, or whatever else a test hands through: what it should be is what the test compares.
JSON: TypeAlias = Any

PATH = "/api/v1/beta/directories"
NOW = 1_790_000_000_123_456
STAMP = "2026-09-21T14:13:20.123456Z"


class Stand:
    """The routes over the folders a (0.txt, 1.txt) and b (empty), and a clock to set."""

    def __init__(self, top: Path, database: Database | None = None) -> None:
        self.top = top
        self.now = NOW
        self.root = top / "documents"
        self.folder = self.root / "a"
        for name, count in {"a": 2, "b": 0}.items():
            (self.root / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                file = self.root / name / f"{index}.txt"
                file.write_text("x")
                os.utime(file, (1_700_000_000 + index, 1_700_000_000 + index))
            os.utime(self.root / name, (1_700_000_000, 1_700_000_000))
        self.file = top / "state" / "x.db"
        self.uploads = top / "state" / "x.db.uploads"
        self.database = database or Database(self.file)
        self.directories = Directories(self.root, self.database, lambda: self.now, uploads=self.uploads)
        routes = DirectoryRoutes(project_id="prj-local", directories=self.directories).table()
        self.app = make_app(routes, project_id="prj-local", api_key=None, clock=lambda: self.now)

    def call(self, method: str, path: str = "", **options: JSON) -> httpx.Response:
        """Send one request."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
                return await client.request(method, PATH + path, **options)

        return checked(asyncio.run(ask()))

    def create(self, **body: JSON) -> JSON:
        """Create a directory."""
        reply = self.call("POST", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def send(
        self, directory: str, name: str = "x.pdf", content: bytes = b"x", fields: JSON = None
    ) -> httpx.Response:
        """Upload a file, successfully or not."""
        path = f"/{directory}/files/upload"
        return self.call("POST", path, files={"upload_file": (name, content)}, data=fields)

    def upload(self, directory: str, name: str = "x.pdf", content: bytes = b"x", fields: JSON = None) -> JSON:
        """Upload a file."""
        reply = self.send(directory, name, content, fields)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def items(self, path: str = "", **query: JSON) -> list[JSON]:
        """Give the first page of a list."""
        reply = self.call("GET", path, params=query)
        assert reply.status_code == 200, reply.text
        items: list[JSON] = reply.json()["items"]
        return items

    def names(self, **query: JSON) -> list[str]:
        """Give the names of the directories of the first page."""
        return [item["name"] for item in self.items(**query)]

    def file_names(self, directory: str, **query: JSON) -> list[str]:
        """Give the names of the files of the first page."""
        return [item["display_name"] for item in self.items(f"/{directory}/files", **query)]

    def contents(self) -> list[bytes]:
        """Give the contents beside the database, those of broken uploads included."""
        return sorted(path.read_bytes() for path in self.uploads.glob("*"))

    def state(self) -> tuple[list[str], list[tuple[str, bytes]]]:
        """Give everything there is: the rows, and the files beside the database and under the root."""
        rows: list[str] = []
        if self.file.exists():
            with closing(sqlite3.connect(self.file)) as connection:
                rows = list(connection.iterdump())
        files = [
            (str(path), path.read_bytes())
            for path in sorted(self.top.rglob("*"))
            if path.is_file() and path != self.file and not path.name.startswith("x.db-")
        ]
        return rows, files
