"""The embedded service, as a kind of provider: LlamaCloud's client over a service in this very process.

It is wired here, since adapters and emulator know nothing of each other. What it needs of the project's
folder is told here, and how its worker works; what it answers is the emulator's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import posixpath
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError
from reconciler.model.events import Stored
from reconciler.model.kind import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from reconciler.emulator import Service
    from reconciler.model.events import Listener
    from reconciler.model.kind import Block, Means
    from reconciler.model.project import LocalProvider

#: The embedded service's truth. A project has one embedded service, whatever its block is called.
DATABASE = Path(".reconciler/local.db")

#: The one project of every embedded service.
PROJECT = "prj-local"


@dataclass(frozen=True, slots=True)
class Embedded:
    """The kind ``local``, for one block."""

    spec: LocalProvider

    def endpoint(self, _: Block) -> str:
        """The folder that the documents are in, as it is written."""
        return f"local:{posixpath.normpath(self.spec.root)}"

    @contextlib.asynccontextmanager
    async def creator(self, block: Block, means: Means) -> AsyncIterator[Link]:
        """The service, called by the same client as the cloud through httpx's ASGI transport."""
        import httpx

        from reconciler.adapters.providers.llamacloud import LlamaCloud

        folder = Path(block.folder)
        with _service(self.spec, folder) as service:
            transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                creator = LlamaCloud(
                    client,
                    endpoint=self.endpoint(block),
                    project=PROJECT,
                    organization=None,
                    settle=0.0,  # what it has taken, it lists at once
                    clock=means.clock,
                    random=means.random,
                    limiter=means.turns,
                    worker=lambda: _at_work(service, folder, means.listen),
                    secrets=means.secrets,
                )
                yield Link(PROJECT, creator)


def try_out(folder: Path) -> None:
    """Find out whether the embedded service of a project can keep what it will be given.

    Raises:
        SettingsError: it cannot; better known now than as the failure of each create.
    """
    database = folder / DATABASE
    try:
        # Nothing is made here, not even the folder: whether anything will be kept is not known yet.
        folder = next(path for path in database.parents if os.path.lexists(path))
        with tempfile.TemporaryFile(dir=folder):
            pass
        # Not opened to find out: closing it would take SQLite's locks away from the whole process.
        if database.exists() and not os.access(database, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise SettingsError(
            "the embedded service cannot write to its database",
            where=str(DATABASE),
            why=(error.strerror or str(error)).lower(),
            next="Free some space, or give this user access to the folder and all that is in it",
        ) from error


@contextlib.contextmanager
def _service(spec: LocalProvider, folder: Path) -> Iterator[Service]:
    root = folder / spec.root
    for name in filter(None, (spec.root, spec.configurations)):
        if not (folder / name).is_dir():
            raise SettingsError(
                f"the folder {name} of provider {spec.name} does not exist",
                where="reconciler.yaml",
                next="Make it, or correct the name; root holds a folder for each source directory",
            )
    try:
        import liteparse  # noqa: F401 - so that it is missed now and not in the middle of a batch

        from reconciler.emulator import EmulatorError, Service
    except ImportError as error:
        raise SettingsError(
            "the embedded provider is not installed",
            why=str(error),
            next="Install it: pip install 'batch-reconciler[local]'",
        ) from error
    try:
        service = Service(
            root,
            folder / DATABASE,
            configurations=folder / spec.configurations if spec.configurations else None,
            project_id=PROJECT,
        )
    except EmulatorError as error:
        raise SettingsError(str(error), where=str(DATABASE)) from error
    try:
        yield service
    finally:
        service.close()


@contextlib.asynccontextmanager
async def _at_work(service: Service, folder: Path, listen: Listener) -> AsyncIterator[Callable[[], None]]:
    """Have the embedded service's worker run in a thread, and say where its results are."""
    stop = threading.Event()
    working = asyncio.create_task(asyncio.to_thread(service.work, stop=stop))

    def check() -> None:
        if working.done():
            raise SettingsError(
                "the embedded service stopped working",
                where=str(DATABASE),
                why=str(working.exception() or "it ended early"),
                next="Run apply again: it carries on where this one stopped",
            )

    try:
        yield check
    finally:
        stop.set()
        await asyncio.wait({working})
        results = f"{DATABASE}.results"
        if (folder / results).is_dir():
            listen(Stored(results))
