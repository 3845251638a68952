"""What the service talks about: batches, directories, files, configurations, and how they are named.

Facts about fields and statuses are from LlamaCloud's public API reference (v2 batches) and its official
Python SDK; whatever those leave open is treated as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from string import ascii_letters, digits
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from datetime import datetime


class JobType(StrEnum):
    """The product that a batch runs over each file."""

    PARSE_V2 = "parse_v2"
    EXTRACT_V2 = "extract_v2"


# A look-up in a dictionary takes a tenth of what Enum's call takes.
_JOB_TYPES = {job.value: job for job in JobType}


class Address(NamedTuple):
    """How people name one desired batch: ``SET/DIRECTORY_ID``. Stable when lists are reordered."""

    set: str
    directory: str

    def __str__(self) -> str:
        return f"{self.set}/{self.directory}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``SET/DIRECTORY_ID``. A set's name has no slash, so the first one divides.

        Raises:
            ValueError: there is no slash, or nothing on one side of it.
        """
        name, slash, directory = text.partition("/")
        if not (name and slash and directory):
            raise ValueError(f"{text!r} is not an address of the form SET/DIRECTORY_ID")
        return cls(name, directory)


# Characters that ids and URLs are made of stay readable in a written key; the rest, spaces first of
# all, is percent-encoded, so that the five parts can be told apart again whatever they hold.
_READABLE = "/:@+=,;!$&'()*[]"
# Nearly every key has these alone; then what is left beside them are the spaces between the parts, and there
# is nothing to encode. To look at each part takes most of the time that a hundred thousand keys take.
_PLAIN = (ascii_letters + digits + "_.-~" + _READABLE).encode()
_BETWEEN = b" " * 4


class Home(NamedTuple):
    """One project of one service: where a key's batches live, and what has to be asked to see them."""

    endpoint: str
    project: str


class Key(NamedTuple):
    """What makes two batches the same work.

    Attributes:
        endpoint: the service, as a base URL without a trailing slash, or ``local:ROOT``.
        project: the project's id.
        directory: the source directory's id.
        job: the job type.
        configuration: the configuration's id.
    """

    endpoint: str
    project: str
    directory: str
    job: JobType
    configuration: str

    @property
    def home(self) -> Home:
        """The project of the service that the key's batches live in."""
        return Home(self.endpoint, self.project)

    def __str__(self) -> str:
        text = " ".join(self)
        if text.encode("ascii", "replace").translate(None, _PLAIN) == _BETWEEN:
            return text
        return " ".join(quote(part, safe=_READABLE, errors="surrogatepass") for part in self)

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read what ``str(key)`` wrote.

        Raises:
            ValueError: the text does not have five parts, or the job type is not known.
        """
        parts = text.split(" ")
        if "%" in text:
            parts = [unquote(part, errors="surrogatepass") for part in parts]
        if len(parts) != len(cls._fields):
            raise ValueError(
                f"{text!r} is not a key: it has {len(parts)} parts instead of {len(cls._fields)}"
            )
        endpoint, project, directory, job, configuration = parts
        return cls(endpoint, project, directory, _JOB_TYPES.get(job) or JobType(job), configuration)


class Status(StrEnum):
    """A batch's status. ``OTHER`` stands for one that this version does not know: not terminal."""

    PENDING = "PENDING"
    THROTTLED = "THROTTLED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    OTHER = "OTHER"

    @property
    def terminal(self) -> bool:
        """Whether a batch with this status has ended and will not change again (O1)."""
        return self in _TERMINAL


_TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Batch(NamedTuple):
    """A live batch, as the service reported it.

    Attributes:
        id: the service's id.
        key: the work that it does.
        status: its status; COMPLETED says that every file was given a job, not that the jobs went well.
        created_at: when the service made it, by its own clock; the contract allows null.
        updated_at: when it last changed.
    """

    id: str
    key: Key
    status: Status
    created_at: datetime | None = None
    updated_at: datetime | None = None


class FileCounts(NamedTuple):
    """How a batch's files fared, counted once their outcomes were read.

    Attributes:
        total: how many files the batch had.
        failed: how many of them came to nothing.
    """

    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class FileResult:
    """What a batch did with one file of its directory.

    Attributes:
        file: the directory file's id.
        job: the id of the job made for it, or None.
        error: why no job could be made, or None.
        job_type: the product that the job runs, in the service's own word; "" where it does not say.
    """

    file: str
    job: str | None
    error: str | None
    job_type: str = ""


@dataclass(frozen=True, slots=True)
class Directory:
    """A source directory. ``deleted_at`` and ``expires_at`` decide whether it may be used (R14)."""

    id: str
    name: str
    project: str
    deleted_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DirectoryFile:
    """A file of a source directory."""

    id: str
    name: str
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A saved product configuration. Saving one again under its name changes it behind its id."""

    id: str
    name: str
    product: str
    version: str
    updated_at: datetime | None = None
