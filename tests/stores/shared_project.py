"""A project on the stand-in whose state is in a database; its commands are real processes."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neighbour_project import Project

from reconciler.adapters.stores.postgres.address import address_of
from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.store import PostgresStore

if TYPE_CHECKING:
    from pathlib import Path

    from emulator_process import Emulator
    from postgres_server import Server

    from reconciler.model.intent import JournalState
    from reconciler.model.lock import Lock

_NUMBERS = itertools.count(1)


@dataclass
class SharedProject(Project):
    """The same, with ``state`` in a schema of its own; everything but that is as in tests/neighbours."""

    server: Server | None = field(default=None, kw_only=True)
    schema: str = field(default="", kw_only=True)

    def write(self) -> None:
        super().write()
        file = self.folder / "reconciler.yaml"
        document = json.loads(file.read_text())
        document["spec"]["state"] = self.spec
        file.write_text(json.dumps(document, indent=2) + "\n")

    @property
    def spec(self) -> dict[str, Any]:
        return {"type": "postgres", "url": {"env": "STATE_URL"}, "schema": self.schema}

    @property
    def environment(self) -> dict[str, str]:
        assert self.server is not None
        return {**super().environment, "STATE_URL": self.server.url()}

    @property
    def store(self) -> PostgresStore:
        assert self.server is not None
        address = address_of(self.schema, "neighbours", self.server.url(), {})
        return PostgresStore(address, "the test")

    def state(self) -> tuple[Lock, JournalState]:
        return self.store.read()


def shared_project(
    folder: Path,
    service: Emulator,
    documents: Path,
    server: Server,
    *,
    directories: int,
    settle: str = "1s",
    quick: Path | None = None,
) -> SharedProject:
    """A project that nobody has applied yet, over directories that nobody else has."""
    number = next(_NUMBERS)
    names = tuple(f"s{number}-{index:04}" for index in range(directories))
    schema = server.new_schema()
    project = SharedProject(
        folder,
        service,
        {"papers": names},
        settle,
        quick=quick,
        documents=documents,
        server=server,
        schema=schema,
    )
    project.write()
    initialise(project.store.address)
    return project
