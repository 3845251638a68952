"""What ``reconciler.yaml`` says: providers, where state lives, and limits. Read and checked, not yet used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, tzinfo

    from reconciler.model.kind import Installed
    from reconciler.model.manifest import BatchSet, TrackedBatch
    from reconciler.model.source import Diagnostic, Locator, Path, Source

#: The longest that a create may take to take effect and be listed, unless the project file says more.
DEFAULT_SETTLE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProvider:
    """The embedded service: each folder under ``root`` is a source directory.

    Attributes:
        root: the folder, relative to the project file.
        configurations: the folder of saved configurations, or None.
    """

    name: str
    root: str
    configurations: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCloudProvider:
    """A LlamaCloud project.

    Attributes:
        project: the project's id, or None for the one that the key belongs to.
        organization: the organisation's id, or None.
        base_url: the service, or None for what the environment says, else the North American one.
        api_key: where the key stands, or None for the variables that LlamaCloud's own SDK reads.
        settle: settle time in seconds.
        requests_per_second: how many requests it gets at most, from all workers together; None for as many as
            there are.
    """

    name: str
    project: str | None = None
    organization: str | None = None
    base_url: str | None = None
    api_key: FromEnvironment | None = None
    settle: float = DEFAULT_SETTLE
    requests_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TalonicProvider:
    """A Talonic account. Its service forms batches by itself, so they can only be observed (R16)."""

    name: str
    base_url: str | None = None
    api_key: FromEnvironment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignProvider:
    """A service that an installed package speaks to.

    Attributes:
        type: what the package's entry point is called.
        options: the block's other keys, frozen; ``{env: NAME}`` is a `FromEnvironment`.
        installed: what is behind the type. Two blocks are no more alike for having the same.
    """

    name: str
    type: str
    options: Mapping[str, Any]
    installed: Installed = field(compare=False, repr=False)

    def secrets(self) -> Iterator[tuple[Path, str]]:
        """Where an option names an environment variable, and which."""
        yield from _variables_in(self.options, ())


def _variables_in(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, FromEnvironment):
        yield path, value.variable
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _variables_in(item, (*path, key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _variables_in(item, (*path, index))


ProviderSpec: TypeAlias = LocalProvider | LlamaCloudProvider | TalonicProvider | ForeignProvider


def creates(spec: ProviderSpec) -> bool:
    """Whether batches can be created on a block's service; else they are only watched (R16)."""
    match spec:
        case TalonicProvider():
            return False
        case ForeignProvider(installed=installed):
            return installed.creates
        case _:
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """State in files: lockfile, journal and lock beside each other.

    Attributes:
        path: the lockfile, relative to the project file.
        exclusive: True when something outside, such as CI's concurrency group, keeps other machines
            out (C1): a file's lock only excludes processes of one machine.
    """

    path: str = "reconciler.lock"
    exclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresState:
    """State in a PostgreSQL database, which any number of machines share.

    Attributes:
        url: the connection string, without a password; or where it stands; None for libpq's own variables.
        schema: of the database.
        options: libpq's parameters, such as ``sslmode``, by their own names.
    """

    url: str | FromEnvironment | None = None
    schema: str = "reconciler"
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectState:
    """State in an object store, by conditional writes and a lease.

    Attributes:
        url: the bucket and a path in it: ``s3://``, ``gs://`` or ``az://``.
        endpoint: a service that speaks S3's language, or None for the vendor's own.
        region: of S3, or None for what the environment says.
        root_certificate: a file of certificates that are trusted beside the machine's, or None.
        lease: how long the lock lasts when nobody renews it, in seconds.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    root_certificate: str | None = None
    lease: float = 30.0


StateSpec: TypeAlias = FileState | PostgresState | ObjectState


class Protection(NamedTuple):
    """What is only touched when the plan's digest is confirmed.

    Attributes:
        directory: a shell pattern of directories' ids or names, or None.
        configuration: a shell pattern of configurations' ids, or None.
        source: where it is written.
    """

    directory: str | None
    configuration: str | None
    source: str


class Window(NamedTuple):
    """When creating and cancelling is allowed, by the clocks of a zone.

    Attributes:
        days: on which it begins, Monday being 0.
        start: minutes after midnight.
        end: minutes after midnight; not after ``start`` where it ends on the day after.
        zone: whose clocks.
        zone_name: what they are called.
        source: where it is written.
    """

    days: frozenset[int]
    start: int
    end: int
    zone: tzinfo
    zone_name: str
    source: str


class Closure(NamedTuple):
    """Days on which no window opens.

    Attributes:
        first: the first day.
        last: the last day, which is closed as well.
        why: for whoever is held up.
        zone: whose days.
        zone_name: what they are called.
        source: where it is written.
    """

    first: date
    last: date
    why: str
    zone: tzinfo
    zone_name: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A JSON Schema that the document of each plan has to satisfy.

    Attributes:
        file: its file, relative to the project's folder.
        digest: of what it says.
        schema: the schema.
    """

    file: str
    digest: str
    schema: Mapping[str, Any] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one plan may do, and when (R15); None does not limit.

    Attributes:
        windows: when it may be done, in any of them; always, if there are none.
        closures: when it may not be done, whatever the windows.
        policies: what the plan's document has to satisfy.
        labels: limits of all sets together that bear a label with this value.
        protected: what needs to be confirmed whatever its number.
    """

    max_creates: int | None = None
    max_files: int | None = None
    max_cancels: int | None = None
    labels: Mapping[tuple[str, str], Limits] = field(default_factory=dict)
    protected: tuple[Protection, ...] = ()
    windows: tuple[Window, ...] = ()
    closures: tuple[Closure, ...] = ()
    policies: tuple[Policy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """The project file alone, read and valid: what is needed to find and check the manifests.

    Attributes:
        manifests: patterns of manifest files, relative to the project file.
        digest: of the document as parsed; comments and order of keys do not count.
        policies: patterns of policies' files, relative to the project file.
        drift_ignore: patterns of ids of directories, configurations and batches that are no drift.
        locate: finds where the file's parts were written.
    """

    name: str
    source: Source
    manifests: tuple[str, ...]
    providers: Mapping[str, ProviderSpec]
    state: StateSpec
    limits: Limits
    digest: str
    locate: Locator = field(compare=False, repr=False)
    policies: tuple[str, ...] = ()
    drift_ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project and its manifests, read and valid.

    Attributes:
        folder: the folder of the project file, absolute; all other paths are relative to it.
        file: what the project file says.
        digest: of everything that the manifests say; comments and order of keys do not count.
        warnings: what did not stop the reading but should be seen.
    """

    folder: str
    file: ProjectFile
    sets: tuple[BatchSet, ...]
    tracked: tuple[TrackedBatch, ...]
    digest: str
    warnings: tuple[Diagnostic, ...] = field(default=())
