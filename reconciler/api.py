"""The library's face: load, plan, apply. And the one place where adapters, engine and emulator meet.

Everything here is wiring: which provider block becomes which service, which store holds the state, which
clock runs. Decisions are the core's, the order of effects is the engine's, and how anything looks is for
whoever calls this.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.core.expand import Home, expand
from reconciler.core.select import select
from reconciler.engine.observe import Eyes
from reconciler.engine.stop import Stop
from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.manifest import ById
from reconciler.model.project import LlamaCloudProvider, LocalProvider, Project, TalonicProvider
from reconciler.model.source import Diagnostic, Severity, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence

    from reconciler.adapters.stores.file import FileSession, FileStore
    from reconciler.emulator import Service
    from reconciler.model.events import Event, Listener
    from reconciler.model.lock import Lock
    from reconciler.model.plan import Plan
    from reconciler.model.ports import Clock, Creator
    from reconciler.model.project import ProviderSpec
    from reconciler.model.result import Applied

#: The project file's name.
PROJECT_FILE = "reconciler.yaml"
#: Where everything that may be deleted stands, and the embedded service's truth, which may not.
WORK_FOLDER = ".reconciler"
#: How many requests are under way at once, unless said otherwise.
PARALLELISM = 8

_NORTH_AMERICA = "https://api.cloud.llamaindex.ai"
_Result = TypeVar("_Result")


def load(folder: str | Path = ".") -> Project:
    """Read the project file of a folder and all its manifests.

    Raises:
        ManifestError: they have faults; it carries all of them.
    """
    project, diagnostics = _read(Path(folder))
    errors = [item for item in diagnostics if item.severity is Severity.ERROR]
    if project is None or errors:
        raise ManifestError(errors)
    return project


def validate(folder: str | Path = ".", *, environ: Mapping[str, str] | None = None) -> tuple[Diagnostic, ...]:
    """Everything there is to say about a project's files, warnings included, without asking any service.

    Args:
        folder: the project's folder.
        environ: environment variables; those of this process by default.
    """
    project, diagnostics = _read(Path(folder))
    if project is not None:
        diagnostics = (*diagnostics, *_unset(project, os.environ if environ is None else environ))
    return tuple(sorted(diagnostics))


def plan(
    project: Project,
    *,
    targets: Sequence[str] = (),
    parallelism: int = PARALLELISM,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Plan:
    """What applying would do now. Nothing is written and no lock is taken.

    Args:
        project: as `load` gives it.
        targets: sets, addresses or ``label=value`` to plan for; everything by default.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        ManifestError: two desired batches are the same work, or a variable that is needed is not set.
        SettingsError: a target fits nothing, or a provider cannot be used as it is set up.
        StateError: the lockfile or its journal cannot be used.
        ServiceError: a service does not accept the key.
    """
    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    return _run(house.plan(targets))


def apply(
    project: Project,
    *,
    approve: Callable[[Plan], bool] = lambda _: True,
    targets: Sequence[str] = (),
    parallelism: int = PARALLELISM,
    lock_timeout: float = 0.0,
    confirm: str = "",
    listen: Listener | None = None,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Applied:
    """Create what is missing, record what stands, and say what happened to each.

    Args:
        project: as `load` gives it.
        approve: asked once with the plan if it would change anything; False ends the run without a change.
        targets: as for `plan`.
        parallelism: how many creates, and how many other requests, may be under way at once.
        lock_timeout: seconds to wait for the lock.
        confirm: the digest of a plan that may go past the project's limits.
        listen: told what happens meanwhile.
        stop: asked to stop by whoever holds it: what is in flight is finished and recorded.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        LockHeldError: another run holds the lock.
        LockLostError: this run lost it; nothing was sent after that was seen.
        LimitError: the plan goes past a limit and was not confirmed.
        ManifestError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    house = _House(project, _environ(environ), clock or _system_clock(), listen or _silent, parallelism)
    with house.store().hold(lock_timeout) as session:
        return _run(house.apply(session, targets, approve, confirm, stop or Stop()))


def init(folder: str | Path = ".") -> list[str]:
    """Write a small commented project that validates and plans; gives the names of the files.

    Raises:
        SettingsError: a file that it would write exists already.
    """
    from reconciler.adapters.scaffold import write_project

    return write_project(Path(folder))


def schema_names() -> list[str]:
    """The kinds that `schema` knows."""
    from reconciler.adapters import schemas

    return sorted({*schemas.SCHEMA_KINDS, *schemas.schema_names()} - set(schemas.SCHEMA_KINDS.values()))


def schema(kind: str) -> str:
    """The JSON Schema of a kind of document, as text.

    Raises:
        SettingsError: there is no such kind.
    """
    from reconciler.adapters.schemas import schema_text

    return schema_text(kind)


@dataclass(frozen=True, slots=True)
class _House:
    """A project with everything that it needs to be planned and applied."""

    project: Project
    environ: Mapping[str, str]
    clock: Clock
    listen: Listener
    parallelism: int

    async def plan(self, targets: Sequence[str]) -> Plan:
        from reconciler.engine.propose import propose

        lock, journal = self.store().read()
        async with self._eyes(lock) as (eyes, homes):
            desired = expand(self.project, homes)
            proposal = await propose(
                eyes,
                desired=desired,
                lock=lock,
                intents=journal.open,
                limits=self.project.file.limits,
                selection=select(targets, desired, lock),
            )
        return proposal.plan

    async def apply(
        self,
        session: FileSession,
        targets: Sequence[str],
        approve: Callable[[Plan], bool],
        confirm: str,
        stop: Stop,
    ) -> Applied:
        from reconciler.adapters.audit import AuditFolder
        from reconciler.adapters.ci import environment
        from reconciler.engine.apply import apply as apply_plan
        from reconciler.engine.run import Run

        stop.bind()
        folder = Path(self.project.folder)
        async with self._eyes(session.lock) as (eyes, homes):
            desired = expand(self.project, homes)
            selection = select(targets, desired, session.lock)
            run_id = uuid.uuid4().hex[:12]
            audit = AuditFolder(folder / "audit")
            run = Run(
                id=run_id,
                eyes=eyes,
                session=session,
                desired=desired,
                audit=audit.begin(run_id, environment(self.environ, folder), session.lock.heads, self.clock),
                stop=stop,
                random=random.random,
                lock=session.lock,
            )
            return await apply_plan(
                run, limits=self.project.file.limits, selection=selection, approve=approve, confirmed=confirm
            )

    def store(self) -> FileStore:
        from reconciler.adapters.stores.file import FileStore

        path = self.project.file.state.path
        return FileStore(Path(self.project.folder) / path, path, _holder(), self.clock.now())

    @contextlib.asynccontextmanager
    async def _eyes(self, lock: Lock) -> AsyncIterator[tuple[Eyes, dict[str, Home]]]:
        """Connect to the services that the sets use, and find out which projects they lead to."""
        missing = [item for item in _unset(self.project, self.environ) if item.severity is Severity.WARNING]
        if missing:
            raise ManifestError([Diagnostic(item.source, item.message) for item in missing])
        providers: dict[str, Creator] = {}
        homes: dict[str, Home] = {}
        async with contextlib.AsyncExitStack() as stack:
            for name in sorted({batch_set.provider for batch_set in self.project.sets}):
                provider, known = await self._connect(self.project.file.providers[name], stack, providers)
                endpoint = provider.endpoint
                homes[name] = Home(endpoint, known or await self._project_of(provider, name, lock))
            yield Eyes(providers, self.clock, self.listen, self.parallelism), homes

    async def _connect(
        self, spec: ProviderSpec, stack: contextlib.AsyncExitStack, providers: dict[str, Creator]
    ) -> tuple[Creator, str | None]:
        """One provider block as a service, and its project if that is known."""
        match spec:
            case LocalProvider(name=name, root=root):
                if (endpoint := f"local:{root}") not in providers:
                    providers[endpoint] = await stack.enter_async_context(self._local(spec, endpoint))
                return providers[endpoint], _LOCAL_PROJECT
            case LlamaCloudProvider():
                base_url = spec.base_url or self.environ.get("LLAMA_CLOUD_BASE_URL") or _NORTH_AMERICA
                endpoint = base_url.rstrip("/")
                if endpoint not in providers:
                    providers[endpoint] = await stack.enter_async_context(self._cloud(spec, endpoint))
                return providers[endpoint], spec.project
            case TalonicProvider(name=name):
                raise SettingsError(f"provider {name} cannot create batches; its batches are only tracked")

    async def _project_of(self, provider: Creator, name: str, lock: Lock) -> str:
        from reconciler.engine.home import project_of

        if known := lock.projects.get(provider.endpoint):
            return known
        directories = [
            item.id
            for batch_set in self.project.sets
            if batch_set.provider == name
            for item in batch_set.directories
            if isinstance(item, ById)
        ]
        return await project_of(provider, directories)

    @contextlib.asynccontextmanager
    async def _cloud(self, spec: LlamaCloudProvider, endpoint: str) -> AsyncIterator[Creator]:
        from reconciler.adapters.providers.connection import connect
        from reconciler.adapters.providers.llamacloud import LlamaCloud
        from reconciler.core.validate.environment import LLAMACLOUD_KEYS

        names = (spec.api_key.variable,) if spec.api_key else LLAMACLOUD_KEYS
        key = next(value for name in names if (value := self.environ.get(name)))
        async with connect(endpoint, key, parallelism=self.parallelism) as client:
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
        """The embedded service: the same client, through httpx's in-process transport."""
        import httpx

        from reconciler.adapters.providers.llamacloud import LlamaCloud

        with _embedded(spec, Path(self.project.folder)) as service:
            transport = httpx.ASGITransport(app=service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield LlamaCloud(
                    client,
                    endpoint=endpoint,
                    project=_LOCAL_PROJECT,
                    organization=None,
                    settle=0.0,
                    clock=self.clock,
                    random=random.random,
                    worker=lambda: _at_work(service),
                )


_LOCAL_PROJECT = "prj-local"


@contextlib.contextmanager
def _embedded(spec: LocalProvider, folder: Path) -> Iterator[Service]:
    root = folder / spec.root
    if not root.is_dir():
        raise SettingsError(
            f"the folder {spec.root} of provider {spec.name} does not exist",
            where=PROJECT_FILE,
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
            folder / WORK_FOLDER / f"{spec.name}.db",
            configurations=folder / spec.configurations if spec.configurations else None,
            project_id=_LOCAL_PROJECT,
        )
    except EmulatorError as error:
        raise SettingsError(str(error), where=f"{WORK_FOLDER}/{spec.name}.db") from error
    try:
        yield service
    finally:
        service.close()


@contextlib.asynccontextmanager
async def _at_work(service: Service) -> AsyncIterator[None]:
    """Let the embedded service's worker run in a thread."""
    import threading

    stop = threading.Event()
    working = asyncio.create_task(asyncio.to_thread(service.work, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await working


def _read(folder: Path) -> tuple[Project | None, tuple[Diagnostic, ...]]:
    """The project and everything to say about its files; None when there is no project to speak of."""
    from reconciler.adapters.manifests import find_manifests, read_manifest
    from reconciler.adapters.schemas import manifest_schemas
    from reconciler.core.validate import project_digest, validate_manifests, validate_project

    if not (folder / PROJECT_FILE).exists():
        message = "there is no project file here: run `reconciler init`, or name its folder with --chdir"
        return None, (Diagnostic(Source(PROJECT_FILE), message),)
    schemas = manifest_schemas()
    documents, diagnostics = read_manifest(folder, PROJECT_FILE)
    file, faults = (None, ()) if diagnostics else validate_project(documents, schemas, file=PROJECT_FILE)
    diagnostics = (*diagnostics, *faults)
    if file is None:
        return None, diagnostics
    names, found = find_manifests(
        folder,
        file.manifests,
        place=lambda index: file.locate(("spec", "manifests", index)),
        skip=frozenset({PROJECT_FILE}),
    )
    read = [read_manifest(folder, name) for name in names]
    unread = any(faults for _, faults in read)
    manifests = validate_manifests(
        [document for documents, _ in read for document in documents], file, schemas, unread=unread
    )
    diagnostics = (
        *diagnostics,
        *found,
        *(item for _, faults in read for item in faults),
        *manifests.diagnostics,
    )
    project = Project(
        folder=str(folder.resolve()),
        file=file,
        sets=manifests.sets,
        tracked=manifests.tracked,
        digest=project_digest(file, manifests.sets, manifests.tracked),
        warnings=tuple(item for item in diagnostics if item.severity is Severity.WARNING),
    )
    return project, diagnostics


def _unset(project: Project, environ: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    from reconciler.core.validate import unset_variables

    return unset_variables(project.file, project.sets, project.tracked, environ)


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _system_clock() -> Clock:
    from reconciler.adapters.clock import SystemClock

    return SystemClock()


def _holder() -> str:
    """Who this process is, for those who find the lock held."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}, process {os.getpid()},"


def _silent(event: Event) -> None:
    """Nobody listens."""


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end, also where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
