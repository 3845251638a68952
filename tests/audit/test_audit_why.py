"""Walking back from a batch: to the run that ordered it, also where another one found the batch."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from audit_written import NOON, WHO, StillClock, line

from reconciler.adapters.audit import AuditFolder
from reconciler.api.auditing import AuditPlace, why
from reconciler.render.audit_log import story_lines

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.audit import AuditLine


def run(folder: Path, name: str, actor: str, *lines: tuple[float, AuditLine]) -> None:
    who = WHO._replace(actor=actor, approver=f"{actor}'s", approver_source="approved-by")
    file = AuditFolder(folder).begin(name, who, (), StillClock())
    for after, told in lines:
        file.append(replace(told, time=NOON + timedelta(seconds=after)))
    file.close()


def test_what_another_run_found_leads_back_to_the_run_that_sent_it(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    lost = line("", outcome="unknown")
    elsewhere = line("", outcome="unknown", key="e p dir-2 parse_v2 cfg-1")
    absent = line("", action="resolve", outcome="absent", plan="")
    run(folder, "run-1", "ada", (1, lost))
    run(folder, "run-2", "bob", (2, absent), (3, elsewhere), (4, lost))
    run(folder, "run-3", "eve", (5, line("bat-1", action="resolve", outcome="found", plan="")))
    run(folder, "run-4", "ida", (6, lost), (7, line("bat-2")))

    story = why("bat-1", AuditPlace(copy=folder))

    assert [(told.run, told.action, told.outcome) for told in story.lines] == [
        ("run-2", "create", "unknown"),
        ("run-3", "resolve", "found"),
    ]
    assert [told.approver for told in story.lines] == ["bob's", "eve's"]
    (plan,) = {
        text.split("plan", 1)[1].strip() for text in story_lines(story) if text.startswith("  plan")
    } - {"sha256:1"}
    assert plan == "that of the run which sent the create; this one looked for its batch"
    assert [told.run for told in why("bat-2", AuditPlace(copy=folder)).lines] == ["run-4"]
