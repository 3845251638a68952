"""What manifests say: sets of desired batches, and batches that are only watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from reconciler.model.project import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from reconciler.model.batch import JobType
    from reconciler.model.secret import FromEnvironment
    from reconciler.model.source import Locator, Source


@dataclass(frozen=True, slots=True)
class ById:
    """The directory or configuration with this id."""

    id: str


@dataclass(frozen=True, slots=True)
class ByName:
    """The one directory, or the latest configuration, with this name."""

    name: str


@dataclass(frozen=True, slots=True)
class ByPattern:
    """Every directory whose name fits a shell pattern and none of those to exclude."""

    pattern: str
    exclude: tuple[str, ...] = ()


Selector: TypeAlias = ById | ByName | ByPattern


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with each file of a directory."""

    type: JobType
    configuration: ById | ByName


class OnCancelled(StrEnum):
    """What follows when somebody cancelled a batch: a person meant it, so ``hold`` is the default (R6)."""

    HOLD = "hold"
    RERUN = "rerun"


class OnChange(StrEnum):
    """What follows when a directory's files or a configuration changed after the batch (R2)."""

    IGNORE = "ignore"
    RERUN = "rerun"


class OnRemove(StrEnum):
    """What becomes of a running batch that is no longer desired (R10)."""

    KEEP = "keep"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """When a batch that exists does not count any more (R2, R3, R6).

    Attributes:
        after: batches created earlier do not count.
        max_age: nor do terminal ones that are older than this.
        max_attempts: how many attempts may fail before a key is blocked.
    """

    after: datetime | None = None
    max_age: timedelta | None = None
    max_attempts: int = 3
    on_cancelled: OnCancelled = OnCancelled.HOLD
    on_input_change: OnChange = OnChange.IGNORE
    on_configuration_change: OnChange = OnChange.IGNORE


@dataclass(frozen=True, slots=True)
class SavedWebhook:
    """The webhook configuration that the service keeps under this id (``whc-…``)."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineWebhook:
    """A webhook configuration that is sent with each create; secrets stand in the environment.

    Attributes:
        url: where the service sends its events.
        events: which events, or none for what the service chooses.
        headers: sent with each event; a value is text, or the variable that holds it.
        output_format: how the event's body is written, in the service's own word, or None.
        signing_secret: signs each body, or None.
    """

    url: str
    events: tuple[str, ...] = ()
    headers: Mapping[str, str | FromEnvironment] = field(default_factory=dict)
    output_format: str | None = None
    signing_secret: FromEnvironment | None = None


Webhook: TypeAlias = SavedWebhook | InlineWebhook


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSet:
    """One job over many directories.

    Attributes:
        provider: the name of a provider of the project file.
        directories: which directories, in the manifest's order.
        webhooks: saved ids, or inline configurations; sent with each create, no part of the key.
        depends_on: sets whose batches come first.
        canary: how many directories come first, before the rest follows; 0 for all at once.
        limits: how much one plan may do to this set.
        max_failed_files: percent of the files of canaries, and of a set that others depend on, that may
            come to nothing.
        removed: sets and addresses that were desired once, and are forgotten whatever ``onRemove`` says.
        digest: of the set as written, for R10: a batch is cancelled only when the text changed.
        locate: finds where the set's parts were written.
    """

    name: str
    provider: str
    job: Job
    directories: tuple[Selector, ...]
    source: Source
    digest: str
    locate: Locator = field(compare=False, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    rerun: Rerun = field(default_factory=Rerun)
    webhooks: tuple[Webhook, ...] = ()
    depends_on: tuple[str, ...] = ()
    canary: int = 0
    max_failed_files: float = 0.0
    limits: Limits = field(default_factory=Limits)
    removed: tuple[str, ...] = ()
    on_remove: OnRemove = OnRemove.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedBatch:
    """Batches that are observed and never created (R16).

    Attributes:
        ids: these batches.
        since: every batch created at or after this time.
        statuses: every batch in one of these statuses, in the provider's own words.
    """

    name: str
    provider: str
    source: Source
    ids: tuple[str, ...] = ()
    since: datetime | None = None
    statuses: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
