"""The library as a script uses it: load, plan, apply, and what they refuse."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from reconciler import ActionKind, ManifestError, Outcome, SettingsError, apply, load, plan
from reconciler.api import Stop
from reconciler.api.services import Services
from reconciler.model import events
from reconciler.model.manifest import InlineWebhook

_QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("reconciler.lock*", "audit", ".reconciler")
    shutil.copytree(_QUICKSTART, tmp_path / "project", ignore=ignored)
    return tmp_path / "project"


def test_a_script_plans_and_applies_until_nothing_is_left(folder: Path) -> None:
    seen: list[events.Event] = []
    project = load(folder)
    before = plan(project)
    applied = apply(project, listen=seen.append)
    after = plan(project)
    assert [action.kind for action in before.actions] == [ActionKind.CREATE] * 3
    assert {result.outcome for result in applied.results} == {Outcome.CREATED}
    assert applied.failed_files == 1
    assert [event.file for event in seen if isinstance(event, events.FileFailed)] == [
        "northwind-1011-damaged.pdf"
    ]
    assert not after.changes
    assert [action.kind for action in after.actions] == [ActionKind.KEEP] * 3


def test_a_plan_that_is_not_approved_changes_nothing(folder: Path) -> None:
    applied = apply(load(folder), approve=lambda _: False)
    assert applied.results == ()
    assert not (folder / "reconciler.lock").exists()
    assert not (folder / "audit").exists()


def test_it_works_where_an_event_loop_runs_already(folder: Path) -> None:
    async def cell() -> int:
        return len(plan(load(folder)).actions)

    assert asyncio.run(cell()) == 3


def test_faults_are_raised_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "reconciler.yaml").write_text("kind: Projekt\n")
    with pytest.raises(ManifestError) as raised:
        load(tmp_path)
    assert [str(item) for item in raised.value.diagnostics] == str(raised.value).splitlines()
    assert len(raised.value.diagnostics) == 2


def test_a_local_provider_without_its_folder_or_its_extra_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load(folder)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "liteparse", None)
        with pytest.raises(SettingsError) as raised:
            plan(project)
    assert raised.value.next == "Install it: pip install 'batch-reconciler[local]'"
    (folder / "documents").rename(folder / "elsewhere")
    with pytest.raises(SettingsError, match="the folder documents of provider local does not exist"):
        plan(project)


_WEBHOOKS = """\
  webhooks:
    - whc-1
    - webhook_url: https://hooks.example.com/reconciler
      webhook_events: [batch.success, batch.error]
      webhook_headers: {X-Team: finance, X-Token: {env: HOOK_TOKEN}}
      webhook_signing_secret: {env: HOOK_SECRET}
"""


def test_webhooks_are_sent_in_the_api_s_words_with_their_secrets(folder: Path) -> None:
    with (folder / "batches" / "receipts.yaml").open("a") as file:
        file.write(_WEBHOOKS)
    project = load(folder)
    environ = {"HOOK_TOKEN": "t-1", "HOOK_SECRET": "s-1"}
    services = Services(project, environ, clock=_no_clock, listen=print, at_once=1, stop=Stop())  # type: ignore[arg-type]
    assert services.webhooks() == {
        "invoices": (),
        "receipts": (
            "whc-1",
            {
                "webhook_url": "https://hooks.example.com/reconciler",
                "webhook_events": ["batch.success", "batch.error"],
                "webhook_headers": {"X-Team": "finance", "X-Token": "t-1"},
                "webhook_signing_secret": "s-1",
            },
        ),
    }
    (hook,) = (hook for hook in project.sets[1].webhooks if isinstance(hook, InlineWebhook))
    assert "s-1" not in repr(hook)
    with pytest.raises(ManifestError, match="HOOK_SECRET is not set"):
        plan(project, environ={})
    assert {result.outcome for result in apply(project, environ=environ).results} == {Outcome.CREATED}


def _no_clock() -> None:
    """Webhooks need no time."""
