"""Bodies of requests: read strictly, so that a misspelt field in a request that costs money is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from reconciler.emulator.validation import read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

JobType: TypeAlias = Literal["parse_v2", "extract_v2"]
BatchStatus: TypeAlias = Literal["PENDING", "THROTTLED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]

JOB_TYPES: tuple[JobType, ...] = get_args(JobType)
BATCH_STATUSES: tuple[BatchStatus, ...] = get_args(BatchStatus)

_WEBHOOK_FIELDS = (
    "webhook_url",
    "webhook_events",
    "webhook_headers",
    "webhook_output_format",
    "webhook_signing_secret",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateBatch:
    """What a valid create asks for. Webhooks are checked and dropped: nothing here would call them."""

    directory_id: str
    job_type: JobType
    configuration_id: str


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
    document.objects("webhook_configurations", _WEBHOOK_FIELDS)
    document.finish()
    known: Mapping[str, JobType] = {kind: kind for kind in JOB_TYPES}
    return CreateBatch(directory_id=directory_id, job_type=known[job_type], configuration_id=configuration_id)
