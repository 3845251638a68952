"""One result in every format: which function of `render` makes which; each is called when it is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler import __version__, api, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.model.batch import Address
    from reconciler.model.drift import Drift
    from reconciler.model.plan import Plan
    from reconciler.model.project import Project
    from reconciler.model.result import Applied
    from reconciler.model.source import Diagnostic, Source
    from reconciler.model.status import StatusReport
    from reconciler.render.page import Page
    from reconciler.render.remarks import Remark


def _nowhere(_: Address, __: str) -> Source | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A result that can be shown in every format.

    Attributes:
        lines: for people, with colour or without; None where they were said already.
        document: the JSON document.
        page: in Markdown.
        events: what the stream of events ends with.
        remarks: what belongs beside a manifest's line.
        outputs: what following steps of a workflow decide by.
        place: where a manifest asks for an address.
        junit: as JUnit's XML, where there is that.
        sarif: as SARIF, likewise; given the project's folder within the repository.
    """

    lines: Callable[[bool], Iterable[str]] | None
    document: Callable[[], Mapping[str, Any]]
    page: Callable[[], Page]
    events: Callable[[], Iterable[dict[str, Any]]]
    remarks: Callable[[], Iterable[Remark]]
    outputs: Callable[[], Mapping[str, str]]
    place: Callable[[Address, str], Source | None] = field(default=_nowhere)
    junit: Callable[[], str] | None = None
    sarif: Callable[[str], object] | None = None


def plan_view(project: Project, plan: Plan, *, verbose: bool) -> View:
    """A plan."""
    from reconciler.model.document import plan_document

    return View(
        lines=lambda colour: render.text.plan_lines(plan, verbose=verbose, colour=colour),
        document=lambda: plan_document(plan),
        page=lambda: render.markdown.plan_page(plan, project.file.name),
        events=lambda: render.events.plan_events(plan),
        remarks=lambda: render.remarks.plan_remarks(plan),
        outputs=lambda: render.github.plan_outputs(plan),
        place=api.places(project, plan.selected),
    )


def applied_view(project: Project, applied: Applied) -> View:
    """What an apply came to. Its lines are said as it goes by."""
    return View(
        lines=None,
        document=lambda: render.json.applied_document(applied),
        page=lambda: render.markdown.applied_page(applied, project.file.name),
        events=lambda: render.events.applied_events(applied),
        remarks=lambda: render.remarks.applied_remarks(applied),
        outputs=lambda: render.github.applied_outputs(applied),
        place=api.places(project, applied.plan.selected),
    )


def status_view(project: Project, report: StatusReport) -> View:
    """What stands."""
    return View(
        lines=lambda colour: render.status.status_lines(report, colour=colour),
        document=lambda: render.status.status_document(report),
        page=lambda: render.markdown.status_page(report, project.file.name),
        events=lambda: render.events.status_events(report),
        remarks=lambda: render.remarks.status_remarks(report),
        outputs=lambda: render.github.status_outputs(report),
        place=api.places(project),
    )


def drift_view(project: Project, found: Drift, *, verbose: bool) -> View:
    """What drifted."""
    return View(
        lines=lambda colour: render.drift.drift_lines(found, verbose=verbose, colour=colour),
        document=lambda: render.drift.drift_document(found, verbose=verbose),
        page=lambda: render.markdown.drift_page(found, project.file.name, verbose=verbose),
        events=lambda: render.events.drift_events(found, verbose=verbose),
        remarks=lambda: render.remarks.drift_remarks(found),
        outputs=lambda: render.github.drift_outputs(found),
        place=api.places(project),
    )


def diagnostics_view(diagnostics: Sequence[Diagnostic]) -> View:
    """What is to be said about the files. For people it is an error or two, which is said elsewhere."""
    return View(
        lines=None,
        document=lambda: render.json.diagnostics_document(diagnostics),
        page=lambda: render.markdown.diagnostics_page(diagnostics),
        events=lambda: [
            *render.events.diagnostics_events(diagnostics),
            render.events.validated_event(diagnostics),
        ],
        remarks=lambda: render.remarks.diagnostics_remarks(diagnostics),
        outputs=lambda: render.github.diagnostics_outputs(diagnostics),
        junit=lambda: render.junit.junit_text(diagnostics),
        sarif=lambda prefix: render.sarif.sarif_document(diagnostics, __version__, prefix),
    )
