"""Bodies of requests: read strictly, so that a misspelt field in a request that costs money is refused.

Of a change, what is absent stays as it is. Null does too where there must be a value (a name), and
empties where there need not be one (a description, metadata): that is this service's guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from reconciler.emulator.errors import Fault, Unreadable
from reconciler.emulator.llamacloud.values import (
    SEPARATORS,
    json_fault,
    metadata_fault,
    name_fault,
    text_fault,
)
from reconciler.emulator.reading.extraction import read_fields
from reconciler.emulator.validation import read_body
from reconciler.emulator.webhooks.configurations import read_webhooks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.emulator.validation import BodyReader
    from reconciler.emulator.webhooks.configurations import Webhook

JobType: TypeAlias = Literal["parse_v2", "extract_v2"]
BatchStatus: TypeAlias = Literal["PENDING", "THROTTLED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]

JOB_TYPES: tuple[JobType, ...] = get_args(JobType)
BATCH_STATUSES: tuple[BatchStatus, ...] = get_args(BatchStatus)
# The directory types that a client may filter by, and those that it may create.
DIRECTORY_TYPES = ("user", "ephemeral", "index")
_CREATED_TYPES = ("user", "ephemeral")
PRODUCT_TYPES = ("parse_v2", "extract_v2", "classify_v2", "split_v1", "spreadsheet_v1", "unknown")

# As the types of the official package have them.
PARSE_TIERS = ("agentic", "agentic_plus", "cost_effective", "fast")
_EXTRACT_TIERS = ("agentic", "agentic_plus", "cost_effective", "turbo")
_SPREADSHEET_TIERS = ("agentic", "cost_effective")

_LONGEST_TEXT = 10_000


class Unset(Enum):
    """What a change says of a value that it leaves as it is, where None is a value."""

    UNSET = auto()


UNSET = Unset.UNSET


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateBatch:
    """What a valid create asks for. The ids of saved webhooks are checked and dropped: there are none."""

    directory_id: str
    job_type: JobType
    configuration_id: str
    webhooks: tuple[Webhook, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateDirectory:
    """A directory to create."""

    name: str
    type: str = "user"
    description: str | None = None
    system_metadata: Mapping[str, object] | None = None
    connector_subscription_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateDirectory:
    """What to change of a directory; a name of None stays."""

    name: str | None = None
    description: str | Unset | None = UNSET


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateFile:
    """What to change of a directory file; a name, unique id or directory of None stays."""

    name: str | None = None
    unique_id: str | None = None
    target_directory_id: str | None = None
    metadata: Mapping[str, object] | Unset | None = UNSET


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveConfiguration:
    """A configuration to save; its `parameters` include the product type."""

    name: str
    product_type: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateConfiguration:
    """What to change of a configuration; what is None stays."""

    name: str | None = None
    parameters: Mapping[str, object] | None = None


def create_batch(body: bytes) -> CreateBatch:
    """Read the body of a create.

    Raises:
        Invalid: with every fault of the body.
    """
    document = read_body(body)
    document.allow("source_directory_id", "config", "webhook_configuration_ids", "webhook_configurations")
    config = document.child("config")
    config.allow("job")
    job = config.child("job")
    job.allow("type", "configuration_id")
    directory_id = document.string("source_directory_id")
    job_type = job.string("type", JOB_TYPES)
    configuration_id = job.string("configuration_id")
    document.strings("webhook_configuration_ids")
    webhooks = read_webhooks(document)
    document.finish()
    known: Mapping[str, JobType] = {kind: kind for kind in JOB_TYPES}
    return CreateBatch(
        directory_id=directory_id,
        job_type=known[job_type],
        configuration_id=configuration_id,
        webhooks=webhooks,
    )


def create_directory(body: bytes) -> CreateDirectory:
    """Read the body of a directory's create.

    Raises:
        Invalid: with every fault of the body.
    """
    document = read_body(body)
    document.allow("name", "type", "description", "system_metadata", "connector_subscription_id")
    wanted = CreateDirectory(
        name=_required_name(document, without=SEPARATORS),
        type=document.string("type", _CREATED_TYPES) if "type" in document.fields else "user",
        description=_text(document, "description"),
        system_metadata=_object(document, "system_metadata"),
        connector_subscription_id=_name(document, "connector_subscription_id"),
    )
    document.finish()
    return wanted


def update_directory(body: bytes) -> UpdateDirectory:
    """Read the body of a directory's change.

    Raises:
        Invalid: with every fault of the body.
    """
    document = read_body(body)
    document.allow("name", "description")
    wanted = UpdateDirectory(
        name=_name(document, "name", without=SEPARATORS),
        description=_text(document, "description") if "description" in document.fields else UNSET,
    )
    document.finish()
    return wanted


def update_file(body: bytes) -> UpdateFile:
    """Read the body of a directory file's change.

    Raises:
        Invalid: with every fault of the body.
    """
    document = read_body(body)
    document.allow("display_name", "unique_id", "metadata", "target_directory_id")
    metadata = document.fields.get("metadata")
    if metadata is not None:
        _note(document, "metadata", metadata_fault(metadata))
    wanted = UpdateFile(
        name=_name(document, "display_name", without=SEPARATORS),
        unique_id=_name(document, "unique_id"),
        target_directory_id=_name(document, "target_directory_id"),
        metadata=_mapping(metadata) if "metadata" in document.fields else UNSET,
    )
    document.finish()
    return wanted


def save_configuration(body: bytes) -> SaveConfiguration:
    """Read the body of a configuration's upsert.

    Raises:
        Invalid: with every fault of the body.
    """
    document = read_body(body)
    document.allow("name", "parameters")
    name = _required_name(document)
    parameters = _parameters(document)
    document.finish()
    return SaveConfiguration(name=name, product_type=str(parameters["product_type"]), parameters=parameters)


def update_configuration(body: bytes) -> UpdateConfiguration:
    """Read the body of a configuration's change.

    Raises:
        Invalid: with every fault of the body.
    """
    document = read_body(body)
    document.allow("name", "parameters")
    name = _name(document, "name")
    parameters = None if document.fields.get("parameters") is None else _parameters(document)
    document.finish()
    return UpdateConfiguration(name=name, parameters=parameters)


def _parameters(document: BodyReader) -> Mapping[str, object]:
    """Read the parameters of a configuration: what the official types require, and its choices.

    Whatever else there is only the service's models would use, and it is kept as it is.
    """
    reader = document.child("parameters")
    product_type = reader.string("product_type", PRODUCT_TYPES)
    fault = json_fault(reader.fields)
    if fault is not None:
        _note(document, "parameters", fault)
        return reader.fields
    match product_type:
        case "parse_v2":
            reader.string("tier", PARSE_TIERS)
            reader.string("version")
        case "extract_v2":
            _extract_parameters(reader)
        case "classify_v2":
            _required_list(reader, "rules", ("description", "type"))
        case "split_v1":
            _required_list(reader, "categories", ("name",))
        case "spreadsheet_v1":
            _optional_choice(reader, "tier", _SPREADSHEET_TIERS)
        case _:
            # Of `unknown` nothing is known; any other one is a fault already.
            pass
    return reader.fields


def _extract_parameters(reader: BodyReader) -> None:
    reader.child("data_schema")
    _optional_choice(reader, "tier", _EXTRACT_TIERS)
    if (fields := reader.fields.get("fields")) is not None:
        try:
            read_fields(fields)
        except Unreadable as error:
            _note(reader, "fields", (str(error), "fields"))


def _optional_choice(reader: BodyReader, key: str, options: Sequence[str]) -> None:
    if reader.fields.get(key) is not None:
        reader.string(key, options)


def _required_list(reader: BodyReader, key: str, texts: Sequence[str]) -> None:
    """Check a list of objects, each with texts of these names."""
    if key not in reader.fields:
        _note(reader, key, ("Field required", "missing"))
    elif reader.fields[key] is None:
        _note(reader, key, ("Input should be a list", "list_type"))
    for item in reader.objects(key):
        for name in texts:
            item.text(name)


def _required_name(document: BodyReader, *, without: str = "") -> str:
    if document.known and document.fields.get("name") is None:
        _note(document, "name", ("Field required", "missing"))
    return _name(document, "name", without=without) or ""


def _name(document: BodyReader, key: str, *, without: str = "") -> str | None:
    value = document.fields.get(key)
    if value is not None and not isinstance(value, str):
        _note(document, key, ("Input should be a string", "string_type"))
    elif value is not None:
        _note(document, key, name_fault(value, without=without))
        return value
    return None


def _text(document: BodyReader, key: str) -> str | None:
    value = document.fields.get(key)
    if value is not None and not isinstance(value, str):
        _note(document, key, ("Input should be a string", "string_type"))
    elif value is not None:
        _note(document, key, text_fault(value, longest=_LONGEST_TEXT))
        return value
    return None


def _object(document: BodyReader, key: str) -> Mapping[str, object] | None:
    value = document.fields.get(key)
    if value is not None and not isinstance(value, dict):
        _note(document, key, ("Input should be an object", "object_type"))
    elif value is not None:
        _note(document, key, json_fault(value))
    return _mapping(value)


def _mapping(value: object) -> Mapping[str, object] | None:
    return value if isinstance(value, dict) else None


def _note(document: BodyReader, key: str, fault: tuple[str, str] | None) -> None:
    if fault is not None:
        message, kind = fault
        document.faults.append(Fault(loc=[*document.path, key], msg=message, type=kind))
