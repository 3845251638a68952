"""JSON as the service writes it, read into the model's values; whatever does not fit is named by field.

Fields and nulls are those of LlamaCloud's API reference (v2 batches, beta directories and configurations);
unknown fields are passed over, an unknown status is `Status.OTHER`. Faults are put together while
unwinding, so that a message reads ``items[3].config.job.type: expected text, got 7``. Nothing is asked
of the service here.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.adapters.providers.wording import one_line
from reconciler.model.batch import (
    Batch,
    Configuration,
    Directory,
    DirectoryFile,
    FileResult,
    JobType,
    Key,
    Status,
)
from reconciler.model.errors import UnexpectedReplyError
from reconciler.model.watched import FileStatus, JobOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.adapters.providers.transport import Reply

T = TypeVar("T")

#: Characters of an id or a page token; both travel in URLs.
LONGEST_ID = 512
LONGEST_TOKEN = 8192

#: Characters of a name or a message; more would fill tables and the lockfile.
LONGEST_WORDS = 1024

# RFC 3339: `fromisoformat` alone would take dates without a time and times without an offset.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

# Those that need no second look. `fromisoformat` gives such a time the UTC that all of ours have.
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)

_STATUSES = {status.value: status for status in Status}
_JOB_TYPES = {job.value: job for job in JobType}


class _Absent(Enum):
    """A field that is not there, as opposed to null."""

    ABSENT = "nothing"


class MisfitError(ValueError):
    """A value that the contract does not allow, with the way to it."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.why = why
        self.path = path

    def within(self, step: str) -> MisfitError:
        """The same fault, seen from one level further up."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return type(self)(self.why, f"{step}{joint}{self.path}")


class UnknownJobError(MisfitError):
    """A batch of a job type that this version does not know."""


def decode(reply: Reply, read: Callable[[object], T]) -> T:
    """Read a reply's body.

    Raises:
        UnexpectedReplyError: the body is no JSON, or does not fit; the error says which field.
    """
    try:
        return read(_json(reply.body))
    except MisfitError as error:
        raise UnexpectedReplyError(
            "the reply does not fit the contract",
            where=reply.where,
            why=str(error),
            status=reply.status,
            request_id=reply.request_id,
        ) from error


def _json(body: bytes) -> object:
    try:
        value: object = json.loads(body)
    except RecursionError as error:
        raise MisfitError("the JSON is nested too deeply") from error
    except ValueError as error:
        shown = one_line(body[:400].decode("utf-8", "replace"), 80)
        raise MisfitError(
            f"expected JSON, got {shown!r}" if shown else "expected JSON, got nothing"
        ) from error
    return value


def page(value: object, item: Callable[[object], T | None]) -> tuple[list[T], str | None]:
    """A page's items and its next token; items that ``item`` gives None for are left out."""
    found = _field(value, "items", _list)
    items: list[T] = []
    for index, raw in enumerate(found):
        try:
            read = item(raw)
        except MisfitError as error:
            raise error.within(f"items[{index}]") from error
        if read is not None:
            items.append(read)
    return items, following(value)


def following(value: object) -> str | None:
    """The token of the page after this one; None on the last, where it may be empty as well as absent."""
    return _optional(value, "next_page_token", _token) or None


def batch(value: object, endpoint: str) -> Batch:
    """A batch of the service that keys name by ``endpoint``.

    Raises:
        UnknownJobError: its job type is none of `JobType`.
        MisfitError: a field is missing or of another type.
    """
    return _plain_batch(value, endpoint) or _checked_batch(value, endpoint)


def _plain_batch(value: Any, endpoint: str) -> Batch | None:  # noqa: ANN401 - JSON
    """A batch as services write them, looked at as a whole; None where that does not do.

    This takes a third of what going field by field takes, and a scan reads a hundred thousand. What is taken
    here is what `_checked_batch` gives of it; a test holds them equal.
    """
    try:
        job = value["config"]["job"]
        name, project, directory, configuration = ids = (
            value["id"],
            value["project_id"],
            value["source_directory_id"],
            job["configuration_id"],
        )
        created, updated = value["created_at"], value["updated_at"]
        if not (
            all(ids)
            and len(together := "".join(ids)) <= LONGEST_ID
            and together.isprintable()
            and (created is None or _UTC.fullmatch(created))
            and (updated is None or _UTC.fullmatch(updated))
        ):
            return None
        return Batch(
            name,
            Key(endpoint, project, directory, _JOB_TYPES[job["type"]], configuration),
            _STATUSES[value["status"]],
            None if created is None else datetime.fromisoformat(created),
            None if updated is None else datetime.fromisoformat(updated),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _checked_batch(value: object, endpoint: str) -> Batch:
    project = _field(value, "project_id", _identifier)
    directory = _field(value, "source_directory_id", _identifier)
    job, configuration = _field(value, "config", lambda config: _field(config, "job", _job))
    return Batch(
        id=_field(value, "id", _identifier),
        key=Key(endpoint, project, directory, job, configuration),
        status=_field(value, "status", _status),
        created_at=_optional(value, "created_at", _time),
        updated_at=_optional(value, "updated_at", _time),
    )


def _job(value: object) -> tuple[JobType, str]:
    return _field(value, "type", _job_type), _field(value, "configuration_id", _identifier)


def results(value: object) -> tuple[FileResult, ...] | None:
    """The ``results`` of a batch, or None while they are null."""
    found = _optional(value, "results", _list)
    if found is None:
        return None
    read = []
    for index, raw in enumerate(found):
        try:
            read.append(_result(raw))
        except MisfitError as error:
            raise error.within(f"results[{index}]") from error
    return tuple(read)


def _result(value: object) -> FileResult:
    job = _optional(value, "job_reference", _reference)
    return FileResult(
        file=_field(value, "source_directory_file_id", _identifier),
        job=job[0] if job else None,
        error=_optional(value, "error_message", _words),
        job_type=job[1] if job else "",
    )


def _reference(value: object) -> tuple[str, str]:
    return _field(value, "id", _identifier), _optional(value, "type", _words) or ""


#: What a job is said to have come to; the services document no list. The rest is not known to be an end.
_JOB_STATUSES = {
    **dict.fromkeys(("COMPLETED", "SUCCESS"), FileStatus.SUCCEEDED),
    **dict.fromkeys(("FAILED", "ERROR", "CANCELLED"), FileStatus.FAILED),
    **dict.fromkeys(("PENDING", "THROTTLED", "RUNNING"), FileStatus.PROCESSING),
}


def job(value: object) -> JobOutcome:
    """What became of a job. A parse job's fields stand one level down, an extract job's do not.

    A job that has ended and gives an error has failed, whatever its status is called.
    """
    fields = _field(value, "job", _record) if isinstance(value, dict) and "job" in value else value
    word = _field(fields, "status", _words)
    error = _optional(fields, "error_message", _words) or ""
    match _JOB_STATUSES.get(word, FileStatus.UNKNOWN):
        case FileStatus.PROCESSING:
            return JobOutcome(FileStatus.PROCESSING)
        case FileStatus.UNKNOWN:
            why = f"the job is {word}, which this version does not know"
            return JobOutcome(FileStatus.UNKNOWN, f"{why}: {error}" if error else why)
        case FileStatus.SUCCEEDED if not error:
            return JobOutcome(FileStatus.SUCCEEDED)
        case _:
            return JobOutcome(FileStatus.FAILED, error or f"the job is {word}")


def directory(value: object) -> Directory:
    """A source directory."""
    return Directory(
        id=_field(value, "id", _identifier),
        name=_field(value, "name", _words),
        project=_field(value, "project_id", _identifier),
        deleted_at=_optional(value, "deleted_at", _time),
        expires_at=_optional(value, "expires_at", _time),
    )


def directory_file(value: object) -> DirectoryFile | None:
    """A file of a directory, by its id where it has no name; None for a deleted one."""
    identifier = _field(value, "id", _identifier)
    if _optional(value, "deleted_at", _time) is not None:
        return None
    return DirectoryFile(
        id=identifier,
        name=_optional(value, "display_name", _words) or identifier,
        updated_at=_optional(value, "updated_at", _time),
    )


def configuration(value: object) -> Configuration:
    """A saved product configuration; a null version is ""."""
    return Configuration(
        id=_field(value, "id", _identifier),
        name=_field(value, "name", _words),
        product=_field(value, "product_type", _words),
        version=_optional(value, "version", _words) or "",
        updated_at=_optional(value, "updated_at", _time),
    )


def _field(record: object, name: str, read: Callable[[object], T]) -> T:
    if not isinstance(record, dict):
        raise _unfit("an object", record)
    try:
        return read(record.get(name, _Absent.ABSENT))
    except MisfitError as error:
        raise error.within(name) from error


def _optional(record: object, name: str, read: Callable[[object], T]) -> T | None:
    if isinstance(record, dict) and record.get(name) is None:
        return None
    return _field(record, name, read)


def _record(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _unfit("an object", value)
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _unfit("a list", value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _unfit("text", value)
    return value


def _words(value: object) -> str:
    """Text for people, cut short. Half a surrogate pair, which JSON carries and UTF-8 cannot, is replaced."""
    text = _text(value)
    if len(text) > LONGEST_WORDS:
        text = text[: LONGEST_WORDS - 1] + "…"
    return text.encode("utf-8", "replace").decode()


def _identifier(value: object) -> str:
    text = _text(value)
    if not text or len(text) > LONGEST_ID or not text.isprintable():
        raise _unfit("an id", value)
    return text


def _token(value: object) -> str:
    text = _text(value)
    if len(text) > LONGEST_TOKEN or not text.isprintable():
        raise _unfit("a page token", value)
    return text


def _status(value: object) -> Status:
    return _STATUSES.get(_text(value), Status.OTHER)


def _job_type(value: object) -> JobType:
    text = _text(value)
    try:
        return JobType(text)
    except ValueError as error:
        raise UnknownJobError(f"this version does not know the job type {_shown(text)}") from error


def _time(value: object) -> datetime:
    text = _text(value)
    if _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise _unfit("an RFC 3339 time", value) from error
    raise _unfit("an RFC 3339 time", value)


def _unfit(wanted: str, value: object) -> MisfitError:
    return MisfitError(f"expected {wanted}, got {_shown(value)}")


def _shown(value: object) -> str:
    match value:
        case _Absent():
            return value.value
        case dict():
            return "an object"
        case list():
            return "a list"
        case str() if not value:
            return "empty text"
        case _:
            return one_line(json.dumps(value, ensure_ascii=False), 60)


def count(value: object) -> int:
    """How many there are of something."""
    if type(value) is not int or value < 0:  # True equals 1
        raise _unfit("a count", value)
    return value


def flag(value: object) -> bool:
    """Whether something is so."""
    if not isinstance(value, bool):
        raise _unfit("true or false", value)
    return value


#: The readers, for the files that read another service's replies.
field, optional, record, sequence = _field, _optional, _record, _list
words, identifier, token, time = _words, _identifier, _token, _time
body = _json
