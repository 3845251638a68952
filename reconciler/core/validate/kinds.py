"""What a document is: its ``apiVersion`` and ``kind``, judged before anything else in it is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.core.validate.faults import Fault
from reconciler.core.validate.words import kind_of, meant, shown

if TYPE_CHECKING:
    from reconciler.model.source import Document

API_VERSION = "reconciler/v1"
PROJECT = "Project"
BATCH_SET = "BatchSet"
TRACKED_BATCH = "TrackedBatch"
KINDS = (BATCH_SET, PROJECT, TRACKED_BATCH)

_VERSION = re.compile(r"reconciler/v([0-9]{1,9})")


def kind_faults(document: Document) -> list[Fault]:
    """Why the document's kind or version is none that this release reads; empty if it is one."""
    return [*_version_faults(document), *_unknown_kind(document)]


def _version_faults(document: Document) -> list[Fault]:
    version = document.value.get("apiVersion")
    if version == API_VERSION:
        return []
    path = ("apiVersion",)
    if "apiVersion" not in document.value:
        return [Fault((), f"the key 'apiVersion' is missing: begin with 'apiVersion: {API_VERSION}'")]
    if not isinstance(version, str):
        return [Fault(path, f"expected {API_VERSION!r}, got {kind_of(version)}")]
    number = _VERSION.fullmatch(version)
    if number is not None and int(number[1]) > 1:
        message = (
            f"{shown(version)} is newer than this release, which reads {API_VERSION!r}: upgrade reconciler"
        )
        return [Fault(path, message)]
    return [Fault(path, f"{shown(version)} is not known: this release reads {API_VERSION!r}")]


def _unknown_kind(document: Document) -> list[Fault]:
    kind = document.value.get("kind")
    if kind in KINDS:
        return []
    if "kind" not in document.value:
        return [Fault((), f"the key 'kind' is missing; known here: {', '.join(map(repr, KINDS))}")]
    if not isinstance(kind, str):
        return [Fault(("kind",), f"expected the name of a kind, got {kind_of(kind)}")]
    return [Fault(("kind",), f"{shown(kind)} is no kind{meant(kind, KINDS)}")]
