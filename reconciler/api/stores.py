"""Where a project's state lives, as its project file says; and its audit files, where those live there too.

What a store promises is the port's; here a ``state`` block becomes one, with what stands in the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from reconciler.api.running import holder
from reconciler.model.errors import SettingsError
from reconciler.model.ports import Beside
from reconciler.model.project import DEFAULT_SETTLE, FileState, ObjectState, PostgresState
from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from reconciler.adapters.audit.log import AuditFile
    from reconciler.adapters.stores.file import FileStore
    from reconciler.adapters.stores.postgres.address import Address
    from reconciler.model.audit import AuditLine
    from reconciler.model.ports import Clock, Store, Tenure, TurnBook
    from reconciler.model.project import ProjectFile, StateSpec
    from reconciler.model.shard import Shard

# The longest that a create may be on its way: that of connecting and that of waiting for a reply, and some.
_SEND = 120.0

# libpq's parameters that name a file; what they name is beside the project file, as everything else is.
_FILES = frozenset({"passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert"})


def store_of(
    folder: Path,
    file: ProjectFile,
    clock: Clock,
    environ: Mapping[str, str],
    state: StateSpec | None = None,
) -> Store:
    """A project's store.

    Args:
        folder: the project's.
        file: its project file.
        clock: time.
        environ: environment variables.
        state: another place than the project file says.

    Raises:
        SettingsError: an extra or a variable that it needs is missing.
    """
    match state or file.state:
        case FileState(path=path):
            from reconciler.adapters.stores.file import FileStore

            return FileStore(folder / path, path, holder(), clock.now(), file.name)
        case PostgresState() as spec:
            from reconciler.adapters.stores.postgres.store import PostgresStore

            return PostgresStore(database_of(folder, file, spec, environ), holder())
        case ObjectState() as spec:
            return _object_store(folder, file, spec)
        case unreachable:
            assert_never(unreachable)


def _object_store(folder: Path, file: ProjectFile, spec: ObjectState) -> Store:
    from reconciler.adapters.stores.object.bucket import Bucket
    from reconciler.adapters.stores.object.lease import Terms
    from reconciler.adapters.stores.object.store import ObjectStore

    options = {"endpoint": spec.endpoint, "region": spec.region}
    client: dict[str, object] = {}
    if spec.endpoint and spec.endpoint.startswith("http://"):  # the manifest's checks let loopback through
        client["allow_http"] = True
    if spec.root_certificate:
        path = folder / spec.root_certificate
        try:
            client["root_certificate"] = path.read_bytes()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise SettingsError("the certificates cannot be read", where=str(path), why=why) from error
    given = {name: value for name, value in options.items() if value}
    bucket = Bucket(spec.url, file.name, given, client)
    settle = max(getattr(provider, "settle", DEFAULT_SETTLE) for provider in file.providers.values())
    return ObjectStore(bucket, file.name, holder(), Terms(lease=spec.lease, under_way=_SEND + settle))


def database_of(folder: Path, file: ProjectFile, spec: PostgresState, environ: Mapping[str, str]) -> Address:
    """The database that a ``state`` of type postgres names.

    Raises:
        SettingsError: psycopg is not installed, or the connection string is missing or none.
    """
    from reconciler.adapters.stores.postgres.address import address_of

    url, variable = spec.url, ""
    if isinstance(url, FromEnvironment):
        variable = url.variable
        url = environ.get(variable)
        if not url:
            raise SettingsError(
                f"the environment variable {variable} is not set",
                where=str(file.locate(("spec", "state", "url", "env"))),
                why="the state's connection string stands there",
                next=f"Set it: export {variable}=postgresql://USER@HOST/DATABASE",
            )
    options = {
        name: str(folder / value) if name in _FILES and value != "system" else value
        for name, value in spec.options.items()
    }
    return address_of(spec.schema, file.name, url or "", options, from_variable=variable)


def holding(store: Store, timeout: float, shard: Shard | None) -> AbstractContextManager[Tenure]:
    """A store's lock, or where it has one a shard, a shard's. Other stores let one shard after another in."""
    if shard is not None:
        from reconciler.adapters.stores.postgres.store import PostgresStore

        if isinstance(store, PostgresStore):
            return store.hold_shard(shard, timeout)
    return store.hold(timeout)


def turn_book_of(session: Tenure) -> TurnBook | None:
    """Where who works beside others books the turns of its requests; None for who is alone."""
    return session.turn_book() if isinstance(session, Beside) else None


def file_store_of(folder: Path, file: ProjectFile, clock: Clock) -> FileStore:
    """The store of a project whose lockfile is a file, for what only makes sense with one.

    Raises:
        SettingsError: it is kept elsewhere.
    """
    from reconciler.adapters.stores.file import FileStore

    path = lockfile_of(file)
    return FileStore(folder / path, path, holder(), clock.now(), file.name)


def lockfile_of(file: ProjectFile) -> str:
    """The lockfile's path, relative to the project file.

    Raises:
        SettingsError: there is none.
    """
    if not isinstance(file.state, FileState):
        raise SettingsError(
            "the state of this project is in no file, so git has nothing to do with it",
            where=str(file.locate(("spec", "state"))),
            next="`reconciler state pull` prints it as a lockfile",
        )
    return file.state.path


class KeptLog:
    """A run's audit file that its store keeps as well: who applies may be a machine that vanishes."""

    def __init__(self, file: AuditFile, session: Tenure) -> None:
        self._file, self._session = file, session

    def append(self, line: AuditLine) -> None:
        """Write one line."""
        self._file.append(line)

    def close(self) -> str:
        """Make the file durable here and there, and give its head; "" when the run wrote nothing."""
        head = self._file.close()
        if head:
            for path in self._file.paths():
                self._session.keep(path.name, path.read_bytes())
        return head


def fetch_audit(store: Store, folder: Path) -> None:
    """Have in a folder the audit files that a store keeps, as far as they are not there yet.

    Raises:
        StateError: they cannot be read or written.
    """
    from reconciler.adapters.stores.disk import explained

    for name, content in sorted(store.audit().items()):
        path = folder / Path(name).name
        with explained("write", str(path)):
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
