"""Which provider block becomes which service: the one place where adapters, engine and emulator meet.

A block's endpoint and project are the first two parts of its keys. Nothing is decided here, and how a
service is spoken to is `adapters/providers`' business.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import random
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from reconciler.engine.observe import Eyes
from reconciler.model.batch import Home
from reconciler.model.errors import ManifestError, ServiceError, SettingsError
from reconciler.model.events import Stored, Waiting, Warned
from reconciler.model.manifest import ById, InlineWebhook, OnRemove, SavedWebhook
from reconciler.model.project import LlamaCloudProvider, LocalProvider, TalonicProvider
from reconciler.model.secret import FromEnvironment
from reconciler.model.source import Diagnostic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    import httpx

    from reconciler.emulator import Service
    from reconciler.engine.stop import Stop
    from reconciler.model.events import Listener
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Lock
    from reconciler.model.manifest import Webhook
    from reconciler.model.ports import Clock, Creator
    from reconciler.model.project import Project, ProviderSpec

#: The embedded service's truth. A project has one embedded service, whatever its block is called.
DATABASE = Path(".reconciler/local.db")

_NORTH_AMERICA = "https://api.cloud.llamaindex.ai"
_LOCAL_PROJECT = "prj-local"

#: A connection that speaks for a project once it is told which.
_Speaker: TypeAlias = "Callable[[str | None], Creator]"
_Worker: TypeAlias = "Callable[[], AbstractAsyncContextManager[Callable[[], None]]]"


class Connections(NamedTuple):
    """What a project is connected to.

    Attributes:
        homes: per provider block, where it leads.
        pins: per block and endpoint, the project that its key turned out to belong to.
    """

    eyes: Eyes
    homes: Mapping[str, Home]
    pins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Services:
    """What connecting to a project's services takes."""

    project: Project
    environ: Mapping[str, str]
    clock: Clock
    listen: Listener
    at_once: int
    stop: Stop

    @contextlib.asynccontextmanager
    async def connected(
        self, lock: Lock, intents: Iterable[Intent], asked: Collection[str] = ()
    ) -> AsyncIterator[Connections]:
        """The services that the sets use, and those that what is recorded still needs.

        Args:
            lock: what is recorded: the projects of keys, and batches that may have to be cancelled (R10).
            intents: open ones: what became of them has to be looked for wherever they were sent (C7).
            asked: names of provider blocks that are wanted whether a set uses them or not.

        Raises:
            ManifestError: an environment variable that is needed is not set.
            SettingsError: a provider cannot be used as it is set up.
            ServiceError: a service that has to be asked for the key's project does not answer.
        """
        self._refuse_unset()
        providers: dict[Home, Creator] = {}
        homes: dict[str, Home] = {}
        pins: dict[str, str] = {}
        async with contextlib.AsyncExitStack() as stack:
            for name, used in self._blocks(lock, intents, asked):
                spec = self.project.file.providers[name]
                endpoint = self._endpoint(spec)
                if isinstance(spec, LocalProvider):
                    self._refuse_rival(name, Home(endpoint, _LOCAL_PROJECT), homes)
                try:
                    speaker = await stack.enter_async_context(self._client(spec, endpoint))
                    project = await self._project_of(spec, speaker, lock)
                except (SettingsError, ServiceError) as error:
                    if used:
                        raise
                    self.listen(Warned(f"provider {name}, where something recorded is open: {error}"))
                    continue
                if not isinstance(spec, LocalProvider):
                    pins[_pin(name, endpoint)] = project
                home = homes[name] = Home(endpoint, project)
                self._refuse_rival(name, home, homes)
                # Bound to its project, so that every look asks for what the creates are sent to.
                providers.setdefault(home, speaker(project))
            yield Connections(Eyes(providers, self.clock, self.listen, self.at_once), homes, pins)

    def try_out(self) -> None:
        """Find out whether the embedded service, if one is used, can keep what it will be given.

        Raises:
            SettingsError: it cannot; better known now than as the failure of each create.
        """
        used = {self.project.file.providers[batch_set.provider] for batch_set in self.project.sets}
        if any(isinstance(spec, LocalProvider) for spec in used):
            _try_out(Path(self.project.folder) / DATABASE)

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
                return f"local:{posixpath.normpath(root)}"
            case LlamaCloudProvider(base_url=base_url):
                return (base_url or self.environ.get("LLAMA_CLOUD_BASE_URL") or _NORTH_AMERICA).rstrip("/")
            case TalonicProvider(name=name):
                raise SettingsError(f"provider {name} cannot create batches; its batches are only tracked")

    def leading_to(self, endpoints: Collection[str]) -> frozenset[str]:
        """The provider blocks that lead to these services, but for those that are only watched."""
        return frozenset(
            name
            for name, spec in self.project.file.providers.items()
            if not isinstance(spec, TalonicProvider) and self._endpoint(spec) in endpoints
        )

    def _blocks(
        self, lock: Lock, intents: Iterable[Intent], asked: Collection[str]
    ) -> list[tuple[str, bool]]:
        """Names of the provider blocks to connect, sorted, and whether each has to be had."""
        needed = {intent.key.endpoint for intent in intents} | {
            key.endpoint
            for key, entry in lock.entries.items()
            if entry.on_remove is OnRemove.CANCEL and not entry.recorded.status.terminal
        }
        used = {batch_set.provider for batch_set in self.project.sets} | set(asked)
        return sorted(
            (name, name in used)
            for name, spec in self.project.file.providers.items()
            if name in used or (not isinstance(spec, TalonicProvider) and self._endpoint(spec) in needed)
        )

    def _refuse_rival(self, name: str, home: Home, homes: Mapping[str, Home]) -> None:
        """Two blocks may lead to one project only with one voice: else whose key and settle time count?"""
        for other, its_home in homes.items():
            mine, its = (replace(self.project.file.providers[block], name="") for block in (name, other))
            if isinstance(mine, LocalProvider) and isinstance(its, LocalProvider):
                if mine != its:
                    raise SettingsError(
                        f"providers {other} and {name} are both local and differ",
                        where="reconciler.yaml",
                        why="a project has one embedded service",
                        next="Give them the same root and configurations, or use one of them",
                    )
            elif its_home == home and mine != its:
                raise SettingsError(
                    f"providers {other} and {name} lead to one project, {home.project}, and differ",
                    where="reconciler.yaml",
                    next="Let their sets use one of them",
                )

    async def _project_of(self, spec: ProviderSpec, speaker: _Speaker, lock: Lock) -> str:
        """The project that a key of this block carries; as recorded, if the project file does not say."""
        if isinstance(spec, LocalProvider):
            return _LOCAL_PROJECT
        known = spec.project if isinstance(spec, LlamaCloudProvider) else None
        if known := known or lock.projects.get(_pin(spec.name, self._endpoint(spec))):
            return known
        from reconciler.engine.home import project_of

        found = await self.stop.unless_over(project_of(speaker(None), self._directories(spec.name)))
        if found is None:
            raise self.stop.error()
        return found

    def _directories(self, block: str) -> Iterator[str]:
        for batch_set in self.project.sets:
            if batch_set.provider == block:
                yield from (item.id for item in batch_set.directories if isinstance(item, ById))

    @contextlib.asynccontextmanager
    async def _client(self, spec: ProviderSpec, endpoint: str) -> AsyncIterator[_Speaker]:
        """One connection to a block's service; called with a project, it gives the provider for that."""
        from reconciler.adapters.providers.limiter import Limiter
        from reconciler.adapters.providers.llamacloud import LlamaCloud

        limiter = Limiter(
            self.at_once,
            clock=self.clock,
            random=random.random,
            patience=self.stop,
            tell=lambda why, seconds: self.listen(Waiting(f"{spec.name}: {why}", seconds)),
        )
        settle, organization, worker = (
            0.0,
            None,
            None,
        )  # what the embedded service has taken, it lists at once
        async with contextlib.AsyncExitStack() as stack:
            if isinstance(spec, LlamaCloudProvider):
                settle, organization = spec.settle, spec.organization
                client = await stack.enter_async_context(self._cloud(spec, endpoint))
            else:
                assert isinstance(spec, LocalProvider)
                client, worker = await stack.enter_async_context(self._local(spec))

            def speak(project: str | None) -> Creator:
                return LlamaCloud(
                    client,
                    endpoint=endpoint,
                    project=project,
                    organization=organization,
                    settle=settle,
                    clock=self.clock,
                    random=random.random,
                    limiter=limiter,
                    worker=worker,
                    secrets=self._secrets(),
                )

            yield speak

    def _cloud(self, spec: LlamaCloudProvider, endpoint: str) -> httpx.AsyncClient:
        from reconciler.adapters.providers.connection import connect
        from reconciler.core.validate.environment import LLAMACLOUD_KEYS

        names = (spec.api_key.variable,) if spec.api_key else LLAMACLOUD_KEYS
        if key := next((value for name in names if (value := self.environ.get(name))), None):
            return connect(endpoint, key, parallelism=self.at_once)
        raise SettingsError(
            f"none of {', '.join(names)} is set: provider {spec.name} takes its API key from there",
            where="reconciler.yaml",
            why="no set uses it, but what was asked for or what is recorded needs it",
        )

    @contextlib.asynccontextmanager
    async def _local(self, spec: LocalProvider) -> AsyncIterator[tuple[httpx.AsyncClient, _Worker]]:
        """The embedded service, called by the same client as the cloud through httpx's ASGI transport."""
        import httpx

        with _embedded(spec, Path(self.project.folder)) as service:
            transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield client, lambda: self._at_work(service)

    @contextlib.asynccontextmanager
    async def _at_work(self, service: Service) -> AsyncIterator[Callable[[], None]]:
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
            if (Path(self.project.folder) / results).is_dir():
                self.listen(Stored(results))

    def _webhook(self, hook: Webhook) -> object:
        match hook:
            case SavedWebhook(id=name):
                return name
            case InlineWebhook():
                written: dict[str, object] = {"webhook_url": hook.url}
                if hook.events:
                    # An empty list would ask for nothing; left out, it asks for all.
                    written["webhook_events"] = list(hook.events)
                if hook.headers:
                    written["webhook_headers"] = {
                        name: self._secret(text) for name, text in hook.headers.items()
                    }
                if hook.output_format is not None:
                    written["webhook_output_format"] = hook.output_format
                if hook.signing_secret is not None:
                    written["webhook_signing_secret"] = self._secret(hook.signing_secret)
                return written

    def _secrets(self) -> list[str]:
        """What is sent beside the key and stands in the environment: with creates, and to proxies."""
        from reconciler.adapters.providers.connection import proxy_secrets

        inline = [
            hook for item in self.project.sets for hook in item.webhooks if isinstance(hook, InlineWebhook)
        ]
        values = [value for hook in inline for value in (hook.signing_secret, *hook.headers.values())]
        known = [self._secret(value) for value in values if isinstance(value, FromEnvironment)]
        return [*known, *proxy_secrets(self.environ)]

    def _secret(self, value: str | FromEnvironment) -> str:
        return self.environ[value.variable] if isinstance(value, FromEnvironment) else value


def _pin(block: str, endpoint: str) -> str:
    return f"{block} {endpoint}"


def _try_out(database: Path) -> None:
    import errno
    import os
    import tempfile

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
def _embedded(spec: LocalProvider, folder: Path) -> Iterator[Service]:
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
            project_id=_LOCAL_PROJECT,
        )
    except EmulatorError as error:
        raise SettingsError(str(error), where=str(DATABASE)) from error
    try:
        yield service
    finally:
        service.close()
