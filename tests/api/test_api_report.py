"""A report as the library gives it: on the embedded service, with files' names, a saved plan, and offline."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from session import EXAMPLES

from reconciler import api, apply, load
from reconciler.model.plan import ActionKind
from reconciler.model.saved import SavedAction, SavedPlan
from reconciler.model.status import Health, Sync

if TYPE_CHECKING:
    from reconciler.model.plan import Plan
    from reconciler.model.project import Project

_RECEIPTS = "receipts/dir-receipts"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    ignored = shutil.ignore_patterns("reconciler.lock*", "audit", ".reconciler")
    shutil.copytree(EXAMPLES / "quickstart", tmp_path / "project", ignore=ignored)
    return load(tmp_path / "project")


def _saved(plan: Plan) -> SavedPlan:
    return SavedPlan(
        file="plan.json",
        own="own",
        digest=plan.digest,
        lineage=plan.lineage,
        state=plan.state,
        manifests=plan.manifests,
        targets=(),
        actions=tuple(
            SavedAction(action.kind, str(action.address), str(action.key), action.reason.code)
            for action in plan.actions
        ),
    )


def test_a_report_tells_what_stands_who_did_it_and_what_would_follow(project: Project) -> None:
    before = api.report(project, environ={})
    assert [story.row.health for story in before.stories] == [Health.MISSING] * 3
    assert before.plan
    assert [item.kind for item in before.plan.actions] == ["create"] * 3
    assert before.runs == ()
    saved = _saved(api.plan(project, environ={}))

    applied = apply(project, environ={"USER": "ada"})
    told = api.report(project, saved=saved, failed_files=True, environ={})
    assert told.looked
    assert told.plan
    assert told.plan.stale == "a lockfile has come since"
    assert [(ran.did, len(told.runs)) for ran in told.runs] == [({"created": 3}, 1)]
    stories = {str(story.row.address): story for story in told.stories}
    assert stories[_RECEIPTS].row.sync is Sync.SYNCED
    created = {str(result.action.address): result.batch for result in applied.results}
    for address, story in stories.items():
        batch = created[address]
        assert batch
        assert story.recorded
        assert (story.row.batch, story.recorded.id) == (batch.id, batch.id)
        assert [(line.batch, line.outcome, line.plan) for line in story.lines] == [
            (batch.id, "created", applied.plan.digest)
        ]
    failed = {address: [item.name for item in story.failed] for address, story in stories.items()}
    assert failed == {
        "invoices/dir-invoices-2026-09": [],
        "invoices/dir-invoices-2026-10": ["northwind-1011-damaged.pdf"],
        _RECEIPTS: [],
    }


def test_offline_no_service_is_asked_and_the_rest_is_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(project, environ={})
    looked = api.report(project, environ={})

    def nobody(*_: object, **__: object) -> None:
        raise AssertionError("a service was connected")

    monkeypatch.setattr("reconciler.api.services.Services.connected", nobody)
    with pytest.raises(AssertionError):
        api.report(project, environ={})
    offline = api.report(project, offline=True, environ={})
    assert (offline.looked, offline.plan) == (False, None)
    assert offline.runs == looked.runs
    for one, other in zip(offline.stories, looked.stories, strict=True):
        assert (one.row.batch, one.row.health, one.lines) == (other.row.batch, other.row.health, other.lines)
        assert one.row.sync is Sync.UNKNOWN


def test_the_status_and_the_plan_of_a_report_are_one_observation(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.engine.propose import propose

    seen: list[object] = []

    async def counting(*arguments: object, **named: object) -> object:
        seen.append(arguments)
        return await propose(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("reconciler.engine.standing.propose", counting)
    told = api.report(project, environ={})
    assert len(seen) == 1
    assert told.plan
    assert {item.kind for item in told.plan.actions} == {ActionKind.CREATE}


def test_what_a_policy_says_of_the_plan_stands_beside_it(project: Project) -> None:
    folder = Path(project.folder)
    (folder / "policies").mkdir()
    (folder / "policies" / "costs.json").write_text(
        '{"properties": {"summary": {"properties": {"create": {"maximum": 2, "errorMessage": "ask first"}}}}}'
    )
    file = folder / "reconciler.yaml"
    file.write_text(file.read_text().replace("spec:\n", 'spec:\n  policies: ["policies/*.json"]\n', 1))
    told = api.report(load(folder), environ={})
    assert told.plan
    assert told.plan.held == ("summary.create: ask first (policies/costs.json)",)
