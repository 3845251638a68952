"""Which provider block becomes which service: the one place where adapters, engine and emulator meet.

A block's endpoint and project are the first two parts of its keys. Nothing is decided here, and how a
service is spoken to is `adapters/providers`' business.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.expand import Home
from reconciler.engine.observe import Eyes
from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.events import Stored
from reconciler.model.manifest import ById, InlineWebhook, SavedWebhook
from reconciler.model.project import LlamaCloudProvider, LocalProvider, TalonicProvider
from reconciler.model.secret import FromEnvironment
from reconciler.model.source import Diagnostic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from reconciler.emulator import Service
    from reconciler.model.events import Listener
    from reconciler.model.lock import Lock
    from reconciler.model.manifest import Webhook
    from reconciler.model.ports import Clock, Creator
    from reconciler.model.project import Project, ProviderSpec

#: Where everything that may be deleted stands, and the embedded service's truth, which may not.
WORK_FOLDER = ".reconciler"

_NORTH_AMERICA = "https://api.cloud.llamaindex.ai"
_LOCAL_PROJECT = "prj-local"


@dataclass(frozen=True, slots=True)
class Services:
    """What connecting to a project's services takes."""

    project: Project
    environ: Mapping[str, str]
    clock: Clock
    listen: Listener
    at_once: int

    @contextlib.asynccontextmanager
    async def connected(self, lock: Lock) -> AsyncIterator[tuple[Eyes, dict[str, Home]]]:
        """The services that the sets use, and per block where it leads.

        Raises:
            ManifestError: an environment variable that is needed is not set.
            SettingsError: a provider cannot be used as it is set up.
            ServiceError: a service that has to be asked for the key's project does not answer.
        """
        self._refuse_unset()
        providers: dict[str, Creator] = {}
        homes: dict[str, Home] = {}
        async with contextlib.AsyncExitStack() as stack:
            for name in sorted({batch_set.provider for batch_set in self.project.sets}):
                spec = self.project.file.providers[name]
                endpoint = self._endpoint(spec)
                if endpoint not in providers:
                    providers[endpoint] = await stack.enter_async_context(self._connect(spec, endpoint))
                homes[name] = Home(endpoint, await self._project_of(spec, providers[endpoint], lock))
            yield Eyes(providers, self.clock, self.listen, self.at_once), homes

    def webhooks(self) -> dict[str, tuple[object, ...]]:
        """Per set, what its creates send along: saved ids, and inline ones with their secrets."""
        return {item.name: tuple(self._webhook(hook) for hook in item.webhooks) for item in self.project.sets}

    def _refuse_unset(self) -> None:
        from reconciler.api.reading import unset

        if missing := unset(self.project, self.environ):
            raise ManifestError([Diagnostic(item.source, item.message) for item in missing])

    def _endpoint(self, spec: ProviderSpec) -> str:
        match spec:
            case LocalProvider(root=root):
                return f"local:{root}"
            case LlamaCloudProvider(base_url=base_url):
                return (base_url or self.environ.get("LLAMA_CLOUD_BASE_URL") or _NORTH_AMERICA).rstrip("/")
            case TalonicProvider(name=name):
                raise SettingsError(f"provider {name} cannot create batches; its batches are only tracked")

    async def _project_of(self, spec: ProviderSpec, provider: Creator, lock: Lock) -> str:
        """The project that a key of this block carries; as recorded, if the project file does not say."""
        if isinstance(spec, LocalProvider):
            return _LOCAL_PROJECT
        known = spec.project if isinstance(spec, LlamaCloudProvider) else None
        if known := known or lock.projects.get(provider.endpoint):
            return known
        from reconciler.engine.home import project_of

        return await project_of(provider, self._directories(spec.name))

    def _directories(self, block: str) -> Iterator[str]:
        for batch_set in self.project.sets:
            if batch_set.provider == block:
                yield from (item.id for item in batch_set.directories if isinstance(item, ById))

    @contextlib.asynccontextmanager
    async def _connect(self, spec: ProviderSpec, endpoint: str) -> AsyncIterator[Creator]:
        if isinstance(spec, LocalProvider):
            async with self._local(spec, endpoint) as provider:
                yield provider
        elif isinstance(spec, LlamaCloudProvider):
            async with self._cloud(spec, endpoint) as provider:
                yield provider

    @contextlib.asynccontextmanager
    async def _cloud(self, spec: LlamaCloudProvider, endpoint: str) -> AsyncIterator[Creator]:
        from reconciler.adapters.providers.connection import connect
        from reconciler.adapters.providers.llamacloud import LlamaCloud
        from reconciler.core.validate.environment import LLAMACLOUD_KEYS

        names = (spec.api_key.variable,) if spec.api_key else LLAMACLOUD_KEYS
        key = next(value for name in names if (value := self.environ.get(name)))
        async with connect(endpoint, key, parallelism=self.at_once) as client:
            yield LlamaCloud(
                client,
                endpoint=endpoint,
                project=spec.project,
                organization=spec.organization,
                settle=spec.settle,
                clock=self.clock,
                random=random.random,
            )

    @contextlib.asynccontextmanager
    async def _local(self, spec: LocalProvider, endpoint: str) -> AsyncIterator[Creator]:
        """The embedded service, called by the same client as the cloud through httpx's ASGI transport."""
        import httpx

        from reconciler.adapters.providers.llamacloud import LlamaCloud

        database = Path(WORK_FOLDER) / f"{spec.name}.db"
        with _embedded(spec, Path(self.project.folder), database) as service:
            transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield LlamaCloud(
                    client,
                    endpoint=endpoint,
                    project=_LOCAL_PROJECT,
                    organization=None,
                    settle=0.0,  # what it has taken, it lists at once
                    clock=self.clock,
                    random=random.random,
                    worker=lambda: self._at_work(service, database),
                )

    @contextlib.asynccontextmanager
    async def _at_work(self, service: Service, database: Path) -> AsyncIterator[None]:
        """Have the embedded service's worker run in a thread, and say where its results are."""
        stop = threading.Event()
        working = asyncio.create_task(asyncio.to_thread(service.work, stop=stop))
        try:
            yield
        finally:
            stop.set()
            await working
            self.listen(Stored(f"{database}.results"))

    def _webhook(self, hook: Webhook) -> object:
        match hook:
            case SavedWebhook(id=name):
                return name
            case InlineWebhook():
                written: dict[str, object] = {"webhook_url": hook.url, "webhook_events": list(hook.events)}
                if hook.headers:
                    written["webhook_headers"] = {
                        name: self._secret(text) for name, text in hook.headers.items()
                    }
                if hook.output_format is not None:
                    written["webhook_output_format"] = hook.output_format
                if hook.signing_secret is not None:
                    written["webhook_signing_secret"] = self._secret(hook.signing_secret)
                return written

    def _secret(self, value: str | FromEnvironment) -> str:
        return self.environ[value.variable] if isinstance(value, FromEnvironment) else value


@contextlib.contextmanager
def _embedded(spec: LocalProvider, folder: Path, database: Path) -> Iterator[Service]:
    root = folder / spec.root
    if not root.is_dir():
        raise SettingsError(
            f"the folder {spec.root} of provider {spec.name} does not exist",
            where="reconciler.yaml",
            next="Make it, with a folder in it for each source directory",
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
            folder / database,
            configurations=folder / spec.configurations if spec.configurations else None,
            project_id=_LOCAL_PROJECT,
        )
    except EmulatorError as error:
        raise SettingsError(str(error), where=str(database)) from error
    try:
        yield service
    finally:
        service.close()
