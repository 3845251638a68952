"""The project file: exactly one document of kind Project, and the values that it stands for."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.faults import Fault, placed
from reconciler.core.validate.formats import base_url, settle_time
from reconciler.core.validate.installed import NO_KINDS, foreign_faults, foreign_provider
from reconciler.core.validate.kinds import PROJECT, kind_faults
from reconciler.core.validate.limits import label_limits, limits_of, protections
from reconciler.core.validate.schema import Checker
from reconciler.core.validate.state import state_of
from reconciler.core.validate.windows import ONLY_UTC, Zones, closures_of, window_faults, windows_of
from reconciler.model.canonical import digest
from reconciler.model.project import (
    DEFAULT_SETTLE,
    LlamaCloudProvider,
    LocalProvider,
    ProjectFile,
    ProviderSpec,
    TalonicProvider,
)
from reconciler.model.secret import FromEnvironment
from reconciler.model.source import Diagnostic, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model.kind import Kinds
    from reconciler.model.source import Document


def validate_project(
    documents: Sequence[Document],
    schemas: Mapping[str, Mapping[str, Any]],
    *,
    file: str,
    kinds: Kinds = NO_KINDS,
    zones: Zones = ONLY_UTC,
) -> tuple[ProjectFile | None, tuple[Diagnostic, ...]]:
    """The project file's value, or what is wrong with it.

    Args:
        documents: the documents of the project file, of which there should be one.
        schemas: the JSON Schemas by kind.
        file: the project file's name, for when it has no document.
        kinds: the kinds of providers beside ours that the documents name, as far as they are installed.
        zones: the time zones that there are.

    Returns:
        The value, or None; and diagnostics, sorted. There is a value exactly if there is no error.
    """
    diagnostics: list[Diagnostic] = []
    projects: list[Document] = []
    for document in documents:
        faults = kind_faults(document)
        diagnostics += placed(document, faults)
        if document.value.get("kind") != PROJECT:
            if not faults:
                message = "the project file holds one Project: move this to a file that spec.manifests names"
                diagnostics += placed(document, [Fault(("kind",), message)])
        elif projects:
            message = f"a second Project; the first is at {projects[0].source}"
            diagnostics += placed(document, [Fault(("kind",), message)])
        else:
            projects.append(document)
            if not faults:
                diagnostics += placed(document, Checker(schemas[PROJECT]).faults(document.value))
                diagnostics += placed(document, foreign_faults(document.value, kinds))
                if not diagnostics:
                    diagnostics += placed(document, window_faults(document, zones))
    if not projects and not diagnostics:
        message = "the file holds no Project: `reconciler init` writes one to begin with"
        diagnostics.append(Diagnostic(Source(file), message))
    if diagnostics:
        return None, tuple(sorted(diagnostics))
    return _build(projects[0], kinds, zones), ()


def _spec(document: Document) -> Mapping[str, Any]:
    spec = document.value["spec"]
    assert isinstance(spec, dict), "the schema was checked"
    return spec


def _build(document: Document, kinds: Kinds, zones: Zones) -> ProjectFile:
    value: Mapping[str, Any] = document.value
    spec = _spec(document)
    limits = spec.get("limits", {})
    return ProjectFile(
        name=value["metadata"]["name"],
        source=document.source,
        manifests=tuple(spec["manifests"]),
        providers=MappingProxyType(
            {name: _provider(name, item, kinds) for name, item in spec["providers"].items()}
        ),
        state=state_of(spec.get("state", {})),
        limits=replace(
            limits_of(limits),
            labels=MappingProxyType(label_limits(limits)),
            protected=protections(spec.get("protect", ()), document.locate),
            windows=windows_of(spec, document.locate, zones),
            closures=closures_of(spec, document.locate, zones),
        ),
        policies=tuple(spec.get("policies", ())),
        drift_ignore=tuple(spec.get("drift", {}).get("ignore", ())),
        digest=digest(value),
        locate=document.locate,
    )


def _provider(name: str, spec: Mapping[str, Any], kinds: Kinds) -> ProviderSpec:
    match spec["type"]:
        case "local":
            return LocalProvider(name=name, root=spec["root"], configurations=spec.get("configurations"))
        case "llamacloud":
            return LlamaCloudProvider(
                name=name,
                project=spec.get("projectId"),
                organization=spec.get("organizationId"),
                base_url=_base_url(spec),
                api_key=_variable(spec),
                settle=settle_time(spec["settle"]).total_seconds() if "settle" in spec else DEFAULT_SETTLE,
                requests_per_second=spec.get("requestsPerSecond"),
            )
        case "talonic":
            return TalonicProvider(name=name, base_url=_base_url(spec), api_key=_variable(spec))
        case _:
            return foreign_provider(name, spec, kinds)


def _base_url(spec: Mapping[str, Any]) -> str | None:
    return base_url(spec["baseUrl"]) if "baseUrl" in spec else None


def _variable(spec: Mapping[str, Any]) -> FromEnvironment | None:
    return FromEnvironment(spec["apiKey"]["env"]) if "apiKey" in spec else None
