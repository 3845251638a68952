"""From a valid BatchSet or TrackedBatch document to its value. Nothing is judged here any more."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.formats import max_age, moment
from reconciler.core.validate.limits import limits_of
from reconciler.core.validate.windows import ONLY_UTC, Zones, closures_of, windows_of
from reconciler.model.batch import JobType
from reconciler.model.canonical import digest
from reconciler.model.manifest import (
    BatchSet,
    ById,
    ByName,
    ByPattern,
    InlineWebhook,
    Job,
    OnCancelled,
    OnChange,
    OnRemove,
    Rerun,
    SavedWebhook,
    Selector,
    TrackedBatch,
    Webhook,
)
from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.source import Document


def batch_set(document: Document, zones: Zones = ONLY_UTC) -> BatchSet:
    """The value of a document that fits the schema of BatchSet."""
    metadata: Mapping[str, Any] = _metadata(document)
    spec: Mapping[str, Any] = _spec(document)
    return BatchSet(
        name=metadata["name"],
        provider=spec["provider"],
        job=_job(spec["job"]),
        directories=tuple([_selector(item) for item in spec["directories"]]),
        source=document.source,
        digest=digest(document.value),
        locate=document.locate,
        labels=MappingProxyType(dict(metadata.get("labels", {}))),
        rerun=_rerun(spec.get("rerun", {})),
        webhooks=tuple(_webhook(item) for item in spec.get("webhooks", [])),
        depends_on=tuple(spec.get("dependsOn", [])),
        canary=int(spec.get("canary", 0)),
        max_failed_files=float(str(spec.get("maxFailedFiles", "0%")).removesuffix("%")),
        limits=replace(
            limits_of(spec.get("limits", {})),
            windows=windows_of(spec, document.locate, zones),
            closures=closures_of(spec, document.locate, zones),
        ),
        removed=tuple(spec.get("removed", [])),
        on_remove=OnRemove(spec.get("onRemove", "keep")),
    )


def tracked_batch(document: Document) -> TrackedBatch:
    """The value of a document that fits the schema of TrackedBatch."""
    metadata: Mapping[str, Any] = _metadata(document)
    spec: Mapping[str, Any] = _spec(document)
    return TrackedBatch(
        name=metadata["name"],
        provider=spec["provider"],
        source=document.source,
        ids=tuple(spec.get("ids", [])),
        since=moment(spec["since"]) if "since" in spec else None,
        statuses=tuple(spec.get("statuses", [])),
        labels=MappingProxyType(dict(metadata.get("labels", {}))),
    )


def _metadata(document: Document) -> Mapping[str, Any]:
    value: Mapping[str, Any] = document.value
    metadata: Mapping[str, Any] = value["metadata"]
    return metadata


def _spec(document: Document) -> Mapping[str, Any]:
    value: Mapping[str, Any] = document.value
    spec: Mapping[str, Any] = value["spec"]
    return spec


def _job(job: Mapping[str, Any]) -> Job:
    configuration = job["configuration"]
    chosen = ById(configuration) if isinstance(configuration, str) else ByName(configuration["name"])
    return Job(JobType(job["type"]), chosen)


def _selector(item: Mapping[str, Any]) -> Selector:
    if "id" in item:
        return ById(item["id"])
    if "name" in item:
        return ByName(item["name"])
    return ByPattern(item["match"], tuple(item.get("exclude", [])))


def _rerun(rerun: Mapping[str, Any]) -> Rerun:
    return Rerun(
        after=moment(rerun["after"]) if "after" in rerun else None,
        max_age=max_age(rerun["maxAge"]) if "maxAge" in rerun else None,
        # JSON Schema counts 3.0 among the integers.
        max_attempts=int(rerun.get("onFailed", {}).get("maxAttempts", Rerun().max_attempts)),
        on_cancelled=OnCancelled(rerun.get("onCancelled", "hold")),
        on_input_change=OnChange(rerun.get("onInputChange", "ignore")),
        on_configuration_change=OnChange(rerun.get("onConfigurationChange", "ignore")),
    )


def _webhook(item: str | Mapping[str, Any]) -> Webhook:
    if isinstance(item, str):
        return SavedWebhook(item)
    secret = item.get("webhook_signing_secret")
    return InlineWebhook(
        url=item["webhook_url"],
        events=tuple(item.get("webhook_events", [])),
        headers=MappingProxyType(
            {
                name: text if isinstance(text, str) else FromEnvironment(text["env"])
                for name, text in item.get("webhook_headers", {}).items()
            }
        ),
        output_format=item.get("webhook_output_format"),
        signing_secret=None if secret is None else FromEnvironment(secret["env"]),
    )
