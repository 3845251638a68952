"""The face for a report: what stands and what would follow, the audit log beside it, and names of files.

It takes no lock and sends nothing but questions. One observation serves the status and the plan, so that
they cannot contradict each other.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.house import house_of
from reconciler.api.running import READING, run_to_end
from reconciler.api.stores import fetch_audit
from reconciler.engine.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.api.house import House
    from reconciler.model.events import Listener
    from reconciler.model.lock import Lock
    from reconciler.model.outcomes import BatchOutcomes
    from reconciler.model.plan import Plan
    from reconciler.model.ports import Clock
    from reconciler.model.project import Project
    from reconciler.model.report import Known, PlanShown, Report
    from reconciler.model.saved import SavedPlan
    from reconciler.model.status import StatusReport
    from reconciler.model.watched import FileOutcome


def report(
    project: Project,
    *,
    saved: SavedPlan | None = None,
    offline: bool = False,
    failed_files: bool = False,
    parallelism: int = READING,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Report:
    """Everything that there is to show of a project.

    Args:
        project: as `load` gives it.
        saved: a plan to show instead of the one that is made now, as `read_plan` gives it.
        offline: ask no service: what the lockfile and the audit log say is all.
        failed_files: ask for the names of files that failed, a request for each file of their batches. What
            is counted thereby is recorded, as `results` does.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        ManifestError, SettingsError, StateError, ServiceError: as for `plan`; offline, no ServiceError.
    """
    from reconciler.api import standing
    from reconciler.core.report import as_recorded, plan_shown, report_of

    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    plan: Plan | None = None
    if offline:
        lock, journal = house.store().read()
        status = as_recorded(lock, journal.open, house.clock.now())
    else:
        status, plan = run_to_end(standing.status_and_plan(house, Stop()))
        lock, _ = house.store().read()
    known = _told(house)
    if failed_files and not offline:
        known = _with_files(house, known, status, lock)
    shown: PlanShown | None = None
    if saved is not None:
        shown = _saved(saved, plan, lock)
    elif plan is not None:
        shown = plan_shown(plan)
    return report_of(project.file.name, status, lock, known, looked=not offline, plan=shown)


def _saved(saved: SavedPlan, plan: Plan | None, lock: Lock) -> PlanShown:
    """A saved plan, and why it may not be applied any more, as far as that can be told from here."""
    from reconciler.core.report import saved_plan_shown
    from reconciler.core.saved import staleness

    if plan is not None and not saved.targets and saved.since is None:
        return saved_plan_shown(saved, staleness(saved, plan, lock))
    applied = bool(lock.plan) and lock.plan == saved.own
    return saved_plan_shown(saved, "it was applied already, and a plan is for one apply" if applied else "")


def _told(house: House) -> Known:
    from reconciler.adapters.audit import Reading
    from reconciler.model.report import Known

    folder = Path(house.project.folder) / "audit"
    fetch_audit(house.store(), folder)
    reading = Reading(folder)
    told = tuple(reading.told())
    return Known(told=told, lines=reading.lines, unread=reading.unread)


def _with_files(house: House, known: Known, status: StatusReport, lock: Lock) -> Known:
    """Ask for the files of recorded batches of which some came to nothing."""
    from reconciler.api.outcomes import Wish

    recorded = {item.id for entry in lock.entries.values() for item in entry.batches}
    recorded |= {item.id for item in lock.tracked}
    batches = [row.batch for row in status.rows if row.files and row.files.failed and row.batch in recorded]
    failed: dict[str, tuple[FileOutcome, ...]] = {}
    why: dict[str, str] = {}

    def take(read: BatchOutcomes) -> None:
        failed[read.batch] = read.files or ()
        if read.why:
            why[read.batch] = read.why

    if batches:
        run_to_end(house.results(Wish(batches=batches, failed=True), take))
    return replace(known, failed=failed, unread_files=why, files_asked=True)
