"""What one round does, on real projects with the embedded service: when it applies, and when it does not."""

from __future__ import annotations

import contextlib
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from loop_remote import Remote
from session import EXAMPLES, copy_example

from reconciler import api
from reconciler.adapters.stores.file import FileStore
from reconciler.api.looping import Hub, LoopSettings, run_loop
from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.events import Done, Planned
from reconciler.model.intent import Intent, JournalState
from reconciler.model.lock import Evidence
from reconciler.model.rounds import (
    Began,
    Fetched,
    Happening,
    LoopEvent,
    Paused,
    Round,
    RoundBegan,
    RoundEnded,
    RoundResult,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.model.lock import Lock
    from reconciler.model.plan import Plan
    from reconciler.model.project import Project

INVOICES = "batches/invoices.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy_example("quickstart", tmp_path / "quickstart")
    return tmp_path / "quickstart"


def store(project: Path) -> FileStore:
    return FileStore(project / "reconciler.lock", "reconciler.lock", "the test", datetime.now(UTC))


def recorded(project: Path) -> Lock:
    return store(project).read()[0]


def rounds(
    *projects: Path | str,
    tell: Callable[[LoopEvent], None] = lambda _: None,
    **settings: Any,  # noqa: ANN401 - settings by their names
) -> list[Round]:
    """One round of each, unless it is said otherwise; the last ones."""
    told = LoopSettings(
        projects=tuple(str(project) for project in projects), **({"rounds": 1, "approved": True} | settings)
    )
    return list(run_loop(told, Hub(), stop=api.Stop(), tell=tell))


def test_a_round_applies_and_the_next_has_nothing_to_do(project: Path) -> None:
    told: list[LoopEvent] = []
    [done] = rounds(project, tell=told.append)
    assert (done.project, done.result, done.because) == ("quickstart", RoundResult.APPLIED, "changes")
    assert done.applied is not None
    assert len(done.applied.results) == len(recorded(project).entries) == 3
    assert told[0] == Began((str(project),), 60.0, approved=True, listening="")
    assert told[1] == RoundBegan(str(project), Why.START)
    ended = told[-1]
    assert isinstance(ended, RoundEnded)
    assert ended.round == done
    assert {event.project for event in told if isinstance(event, Happening)} == {"quickstart"}

    before = (project / "reconciler.lock").read_bytes()
    [done] = rounds(project)
    assert (done.result, done.applied, done.because) == (RoundResult.UNCHANGED, None, "")
    assert (project / "reconciler.lock").read_bytes() == before


def test_r10_what_a_set_says_of_a_batch_that_it_may_lose_is_recorded_when_it_changes(project: Path) -> None:
    rounds(project)
    path = project / INVOICES
    path.write_text(path.read_text().replace("spec:\n", "spec:\n  onRemove: cancel\n", 1))
    [done] = rounds(project)
    assert (done.result, done.because) == (RoundResult.APPLIED, "manifests")
    entries = recorded(project).entries.values()
    assert {str(e.on_remove) for e in entries if e.address.set == "invoices"} == {"cancel"}
    assert rounds(project)[0].result is RoundResult.UNCHANGED


def open_intent(project: Path) -> None:
    """What a run leaves that is killed right after it has noted what it is about to send (C3)."""
    plan = api.plan(api.load(project))
    action = plan.actions[0]
    intent = Intent(
        id="open",
        key=action.key,
        address=action.address,
        known=frozenset(),
        evidence=Evidence("missing"),
        at=datetime.now(UTC),
        run="killed",
    )
    with store(project).hold(0) as session:
        session.note([intent])


def test_c7_what_a_killed_run_left_open_is_seen_to_first(project: Path) -> None:
    open_intent(project)
    for approved, result in ((False, RoundResult.OBSERVED), (True, RoundResult.APPLIED)):
        [done] = rounds(project, approved=approved)
        assert (done.result, done.because) == (result, "creates whose outcome is not known")
    assert store(project).read()[1] == JournalState(warm=True)
    assert len(recorded(project).entries) == 3


def test_c7_a_limit_is_not_in_the_way_of_seeing_to_what_was_left_open(project: Path) -> None:
    file = project / "reconciler.yaml"
    file.write_text(file.read_text().replace("spec:\n", "spec:\n  limits: {maxCreates: 1}\n", 1))
    open_intent(project)
    [done] = rounds(project)
    assert (done.result, done.unresolved) == (RoundResult.REFUSED, 1)
    assert store(project).read()[1].open == ()


def test_c1_a_round_without_anything_to_do_takes_no_lock(project: Path) -> None:
    rounds(project)
    with store(project).hold(0):
        [done] = rounds(project)
    assert done.result is RoundResult.UNCHANGED


def test_c1_who_finds_the_lock_held_stands_by_and_is_ready_all_the_same(project: Path) -> None:
    with store(project).hold(0):
        [done] = rounds(project)
        assert (done.result, done.lacks) == (RoundResult.STANDBY, "")
        assert "holds the lock" in str(done.error) or "is held" in str(done.error)
    assert recorded(project).entries == {}
    [done] = rounds(project)
    assert done.result is RoundResult.APPLIED


def test_without_approval_it_only_looks(project: Path) -> None:
    [done] = rounds(project, approved=False)
    assert (done.result, done.because, done.applied) == (RoundResult.OBSERVED, "changes", None)
    assert not (project / "reconciler.lock").exists()
    assert not (project / "audit").exists()


def test_while_the_pause_file_is_there_nothing_is_applied(project: Path, tmp_path: Path) -> None:
    told: list[LoopEvent] = []
    pause = tmp_path / "pause"
    pause.touch()
    [done] = rounds(project, pause=pause, tell=told.append)
    assert (done.result, done.applied) == (RoundResult.PAUSED, None)
    assert not (project / "reconciler.lock").exists()
    assert Paused(paused=True, file=str(pause)) in told
    pause.unlink()
    assert rounds(project, pause=pause)[0].result is RoundResult.APPLIED


def test_a_pause_that_comes_while_it_plans_is_seen_before_anything_is_sent(
    project: Path, tmp_path: Path
) -> None:
    pause = tmp_path / "pause"
    plans = 0

    def tell(event: LoopEvent) -> None:
        nonlocal plans
        if isinstance(event, Happening) and isinstance(event.event, Planned):
            plans += 1
            pause.touch()  # the plan under the lock is made, and nothing was asked yet

    [done] = rounds(project, pause=pause, tell=tell)
    assert (done.result, plans) == (RoundResult.PAUSED, 1)
    assert recorded(project).entries == {}


def test_a_pause_file_that_cannot_be_looked_for_may_be_there(project: Path, tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    assert rounds(project, pause=tmp_path / "round" / "pause")[0].result is RoundResult.PAUSED
    assert rounds(project, pause=tmp_path / "nowhere" / "pause")[0].result is RoundResult.APPLIED


def test_a_pause_file_that_leads_nowhere_is_there(project: Path, tmp_path: Path) -> None:
    """As mounted ones are links, and for a moment of an update to nothing."""
    (tmp_path / "pause").symlink_to("nowhere")
    assert rounds(project, pause=tmp_path / "pause")[0].result is RoundResult.PAUSED


def test_a_broken_project_stops_no_other(project: Path, tmp_path: Path) -> None:
    broken, gone = tmp_path / "broken", tmp_path / "gone"
    shutil.copytree(project, broken)
    (broken / INVOICES).write_text("kind: [")
    first, second, third = rounds(broken, gone, project)
    assert (first.project, first.result, first.lacks) == (
        *(str(broken), RoundResult.ERROR),
        "its manifests cannot be read",
    )
    assert isinstance(first.error, ManifestError)
    assert (second.result, second.lacks) == (RoundResult.ERROR, "its manifests cannot be read")
    assert (third.project, third.result) == ("quickstart", RoundResult.APPLIED)


def test_a_defect_in_one_project_stops_no_other(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(project, other)
    right = api.plan

    def plan(there: Project, **more: Any) -> Plan:  # noqa: ANN401 - whatever `plan` takes
        if there.folder == str(other):
            raise ZeroDivisionError
        return right(there, **more)

    monkeypatch.setattr("reconciler.api.rounds.plan", plan)
    first, second = rounds(other, project)
    assert (first.result, type(first.error), first.lacks) == (RoundResult.ERROR, ZeroDivisionError, "")
    assert second.result is RoundResult.APPLIED


def test_r15_a_plan_past_a_limit_is_refused_without_the_lock(project: Path) -> None:
    file = project / "reconciler.yaml"
    file.write_text(file.read_text().replace("spec:\n", "spec:\n  limits: {maxCreates: 1}\n", 1))
    with store(project).hold(0):
        [done] = rounds(project)
    assert done.result is RoundResult.REFUSED
    assert "maxCreates is 1 and the plan has 3" in str(done.error)
    assert recorded(project).entries == {}


def test_a_batch_that_goes_on_only_while_somebody_is_there_is_gone_on_with(project: Path) -> None:
    """The embedded service's: an apply that was stopped left it, and nothing else is to be done."""
    stop, made = api.Stop(), []

    def interrupt(event: object) -> None:
        if isinstance(event, Done):
            made.append(event)
            if len(made) == 3:
                stop.request(15)

    api.apply(api.load(project), listen=interrupt, stop=stop)
    running = [entry for entry in recorded(project).entries.values() if not entry.recorded.status.terminal]
    assert running
    [done] = rounds(project)
    assert done.result is RoundResult.APPLIED
    assert done.because == "batches that go on only while somebody is there"
    statuses = {entry.recorded.status.value for entry in recorded(project).entries.values()}
    assert statuses == {"COMPLETED"}


def test_c8_an_apply_whose_time_is_up_ends_its_round_and_not_the_loop(project: Path) -> None:
    stop, ended = api.Stop(), []

    def tell(event: LoopEvent) -> None:
        if isinstance(event, RoundEnded):
            ended.append((event.round.result, event.failures, stop.over))

    settings = LoopSettings(projects=(str(project),), approved=True, timeout=0.0, rounds=2, interval=0.01)
    run_loop(settings, Hub(), stop=stop, tell=tell)
    assert ended == [(RoundResult.TIMED_OUT, 1, False), (RoundResult.TIMED_OUT, 2, False)]


def test_a_signal_while_it_plans_ends_the_round_before_anything_is_sent(project: Path) -> None:
    stop, ended = api.Stop(), []

    def tell(event: LoopEvent) -> None:
        if isinstance(event, RoundBegan):
            stop.request(15)
        if isinstance(event, RoundEnded):
            ended.append(event.round)

    settings = LoopSettings(projects=(str(project),), approved=True)
    run_loop(settings, Hub(), stop=stop, tell=tell)
    assert [done.result for done in ended] == [RoundResult.STOPPED]
    assert not (project / "reconciler.lock").exists()


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    """A repository with the quickstart in a folder."""
    made = Remote(tmp_path / "git")
    shutil.copytree(
        EXAMPLES / "quickstart",
        made.clone / "finance",
        ignore=shutil.ignore_patterns("reconciler.lock*", "audit", ".reconciler"),
    )
    return made


@pytest.fixture(autouse=True)
def _no_git_around(tmp_path: Path) -> None:
    (tmp_path / "git").mkdir()


def test_a_file_in_a_checkout_is_no_place_for_state(remote: Remote, tmp_path: Path) -> None:
    remote.push({})
    told: list[LoopEvent] = []
    [done] = rounds(
        "finance", remote=remote.address, ref="main", into=tmp_path / "checkout", tell=told.append
    )
    assert done.result is RoundResult.ERROR
    assert isinstance(done.error, SettingsError)
    assert done.error.what.startswith("the state of this project is a file, and its manifests are fetched")
    assert done.error.where.startswith("reconciler.yaml:")
    assert done.commit == remote.git("rev-parse", "HEAD")
    assert Fetched("main", done.commit, "") in told


def test_what_cannot_be_fetched_is_not_planned_from_what_was_there(remote: Remote, tmp_path: Path) -> None:
    remote.push({})
    where: dict[str, Any] = {"remote": remote.address, "ref": "main", "into": tmp_path / "checkout"}
    rounds("finance", **where)
    (remote.folder / "remote.git").rename(remote.folder / "away")
    [done] = rounds("finance", **where)
    assert (done.result, done.lacks) == (RoundResult.ERROR, "its manifests cannot be fetched")
    assert (done.plan, done.commit) == (None, "")
    assert "the manifests cannot be fetched" in str(done.error)


def test_git_gets_neither_the_services_keys_nor_the_webhooks_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, asks = tmp_path / "seen", tmp_path / "asks"
    asks.write_text(f"#!/bin/sh\nenv > {seen}\nexit 1\n")
    asks.chmod(0o755)
    secrets = ("LLAMA_CLOUD_API_KEY", "TALONIC_API_KEY", "RECONCILER_AUDIT_KEY", "HOOK")
    for name in (*secrets, "GIT_TOKEN"):
        monkeypatch.setenv(name, f"the-value-of-{name}")
    monkeypatch.setenv("GIT_SSH", str(asks))
    [done] = rounds(
        ".",
        remote="ssh://nowhere.test/x",
        into=tmp_path / "checkout",
        secret_env="HOOK",
        listen=("127.0.0.1", 0),
    )
    assert done.lacks == "its manifests cannot be fetched"
    assert [name for name in secrets if f"the-value-of-{name}" in seen.read_text()] == []
    assert "the-value-of-GIT_TOKEN" in seen.read_text()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"projects": ("a", "./a/")}, "'a' is there twice"),
        ({"projects": ("../a",), "remote": "x"}, "'../a' is not in the checkout"),
        ({"projects": ("/a",), "remote": "x"}, "'/a' is not in the checkout"),
        ({"secret_env": "HOOK"}, "the loop does not listen"),
        ({"secret_env": "HOOK", "listen": ("127.0.0.1", 0)}, "HOOK is not set"),
        ({"listen": ("a host", 0)}, "no such address"),
    ],
)
def test_what_cannot_begin_is_said_at_once(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as raised, contextlib.ExitStack():
        run_loop(LoopSettings(**settings), Hub(), stop=api.Stop(), tell=lambda _: None)
    assert says in str(raised.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    settings = LoopSettings(listen=("127.0.0.1", 0))
    with pytest.raises(SettingsError) as raised:
        run_loop(settings, Hub(), stop=api.Stop(), tell=lambda _: None)
    assert raised.value.next == "Install it: pip install 'batch-reconciler[run]'"
