"""examples/ci, run: from a request through its merge to "No changes", lockfile and audit log written back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from ci_world import EXAMPLES, GitHubRunner, GitLabRunner, World
from emulator_process import documents, emulator
from forge_stand import TOKEN, Forge, served

from reconciler.model.comment import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

_BIN = Path(sys.executable).parent
_ROOT = EXAMPLES.parents[1]


IN_A_FOLDER = (
    "test_from_requests_to_no_changes[gitlab]",
    "test_what_was_not_reviewed_is_not_applied_until_a_person_confirms_it[github]",
)


@pytest.fixture
def world(tmp_path: Path, quick: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    documents(tmp_path, "a", "b", "c", files=1)
    with (
        served(Forge(me="reconciler-bot" if request.param == "gitlab" else "github-actions[bot]")) as forge,
        emulator(tmp_path, "--root", "documents", "--no-read", quick=quick) as service,
    ):
        # The project is at the top of its repository, or in a folder.
        inside = "infra" if request.node.name in IN_A_FOLDER else "."
        yield World(tmp_path, service, forge, request.param, program=quick, inside=inside)


def digest_in(world: World, number: int, place: int = 0) -> str:
    mark = Mark.of(world.forge.bodies(number)[place])
    assert mark is not None
    return mark.digest


ON_GITHUB = pytest.mark.parametrize("world", ["github"], indirect=True)
ON_GITLAB = pytest.mark.parametrize("world", ["gitlab"], indirect=True)
ON_BOTH = pytest.mark.parametrize("world", ["github", "gitlab"], indirect=True)


def planned(world: World, number: int) -> tuple[int, str]:
    """The job for a request."""
    runner = (
        GitHubRunner(world).pull_request if world.service == "github" else GitLabRunner(world).merge_request
    )
    ran = runner(number)
    return ran.code, ran.said


def merged(world: World, commit: str) -> tuple[int, str]:
    """The job for a commit of the main branch."""
    runner = GitHubRunner(world).push if world.service == "github" else GitLabRunner(world).push
    ran = runner(commit)
    return ran.code, ran.said


def confirmed(world: World, digest: str) -> tuple[int, str]:
    """The job that a person starts."""
    if world.service == "github":
        ran = GitHubRunner(world).dispatch("reconciler-apply", digest=digest)
    else:
        ran = GitLabRunner(world).by_hand("apply confirmed", CONFIRM_DIGEST=digest)
    return ran.code, ran.said


def drifted(world: World) -> tuple[int, str]:
    """The job of the night."""
    if world.service == "github":
        ran = GitHubRunner(world).dispatch("reconciler-drift")
    else:
        ran = GitLabRunner(world).by_hand("drift")
    return ran.code, ran.said


@ON_BOTH
def test_from_requests_to_no_changes(world: World) -> None:
    world.propose(1, "invoices", "a")
    if world.service == "github":
        assert planned(world, 1)[0] == 0
    world.propose(1, "invoices", "a", "b")
    code, said = planned(world, 1)
    assert code == 0, said
    [comment] = world.forge.bodies(1)
    assert "**Plan: 2 to create (2 files).**" in comment
    assert Mark.of(comment) == Mark(
        project="documents", digest=digest_in(world, 1), commit=world.forge.heads[1]
    )
    world.propose(2, "receipts", "c")
    assert planned(world, 2)[0] == 0
    assert world.batches() == []

    # Merged at once: each job begins at its own commit, where the second lacks what the first recorded.
    commits = [world.merge(1), world.merge(2)]
    for commit in commits:
        code, said = merged(world, commit)
        assert code == 0, said
    assert world.batches() == ["dir-a", "dir-b", "dir-c"]
    assert world.recorded() == ["audit/", "reconciler.lock"]
    review, after = world.forge.bodies(1)
    assert review == comment
    assert "**Apply: 2 created.**" in after

    ran = world.afresh("reconciler plan && reconciler audit verify && git status --porcelain")
    assert ran.code == 0, ran.said
    assert ran.said.startswith("No changes. 3 batches as desired")
    code, said = drifted(world)
    assert code == 0, said
    # The first job, run once more: its manifests do not ask for what the second one recorded.
    before = world.git(world.remote, "rev-parse", "main")
    code, said = merged(world, commits[0])
    assert code == 4, said
    assert "1 to forget" in said
    assert world.git(world.remote, "rev-parse", "main") == before


@ON_BOTH
def test_what_was_not_reviewed_is_not_applied_until_a_person_confirms_it(world: World) -> None:
    world.propose(1, "invoices", "a", "b")
    assert planned(world, 1)[0] == 0
    world.emulator.create("dir-b")  # somebody else is quicker
    code, said = merged(world, world.merge(1))
    assert code == 4, said
    assert "what is to be done has changed since request 1 was reviewed" in said
    assert world.batches() == ["dir-b"]
    assert world.recorded() == []
    _, stopped = world.forge.bodies(1)
    assert "### Nothing was applied" in stopped
    assert "invoices/dir-b" in stopped

    found = re.search(r"with the digest `(sha256:[0-9a-f]{64})`", stopped)
    assert found
    code, said = confirmed(world, found[1])
    assert code == 0, said
    assert world.batches() == ["dir-a", "dir-b"]
    # The job of the newest commit, run once more: there is nothing left that would have to be reviewed.
    before = world.forge.bodies(1)
    code, said = merged(world, world.git(world.remote, "rev-parse", "main"))
    assert code == 0, said
    assert "No changes. 2 batches as desired" in said
    assert world.forge.bodies(1) == before


@ON_BOTH
def test_past_a_limit_nothing_is_applied_and_the_request_says_so(world: World) -> None:
    for number in range(4):
        documents(world.folder, f"more-{number}", files=1)
    world.propose(1, "invoices", *(f"more-{number}" for number in range(4)))
    code, said = planned(world, 1)
    assert code == 7, said
    assert "1 over the limit" in world.forge.bodies(1)[0]
    code, said = merged(world, world.merge(1))
    assert code == 7, said
    assert world.batches() == []
    assert "1 over the limit" in world.forge.bodies(1)[1]


@ON_GITHUB
def test_a_manifest_with_a_fault_is_commented_on_and_shows_no_plan(world: World) -> None:
    world.propose(1, "invoices", "a} # {")
    code, said = planned(world, 1)
    assert code == 1, said
    [comment] = world.forge.bodies(1)
    assert "### Validation" in comment
    assert digest_in(world, 1) == ""


@ON_GITHUB
def test_a_request_that_may_not_be_commented_on_has_its_plan_in_the_summary(world: World) -> None:
    world.propose(1, "invoices", "a")
    world.forge.fail("POST", "comments", 403, {"message": "Resource not accessible by integration"})
    code, said = planned(world, 1)
    assert code == 0, said
    assert "note: the page is in the job's summary instead" in said
    summary = world.folder / f"job-{world.jobs}-temp" / "summary.md"
    assert "Plan: 1 to create" in summary.read_text()


@ON_BOTH
def test_the_lockfile_is_pushed_also_where_the_apply_failed(world: World) -> None:
    world.propose(1, "invoices", "a", "b")
    assert planned(world, 1)[0] == 0
    fault = {"fault": "status", "status": 422, "nth": 2, "on": {"method": "POST", "path": "/api/v2/batches"}}
    world.emulator.client.post("/__admin/faults", json=fault).raise_for_status()
    code, said = merged(world, world.merge(1))
    assert code == 6, said
    assert len(world.batches()) == 1
    assert world.recorded() == ["audit/", "reconciler.lock"]
    assert "1 created" in world.forge.bodies(1)[1]


@ON_GITLAB
def test_a_cluster_applies_what_is_merged(world: World) -> None:
    world.propose(1, "invoices", "a")
    world.merge(1)
    code, said = in_cluster(world, "reconciler-apply")
    assert code == 0, said
    assert world.batches() == ["dir-a"]
    assert world.recorded() == ["audit/", "reconciler.lock"]
    world.emulator.create("dir-b")
    code, said = in_cluster(world, "reconciler-drift")
    assert code == 2, said


def in_cluster(world: World, name: str) -> tuple[int, str]:
    """One pod of a CronJob: its scripts and variables, with the container's own paths put elsewhere."""
    files = list(yaml.safe_load_all((EXAMPLES / "kubernetes" / "cronjob.yaml").read_text()))
    maps = {item["metadata"]["name"]: item["data"] for item in files if item["kind"] == "ConfigMap"}
    [job] = [item for item in files if item["metadata"]["name"] == name]
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "reconciler"}},
        {"secretRef": {"name": "reconciler-keys"}},
    ]
    scripts, work = world.folder / f"{name}-scripts", world.folder / f"{name}-work"
    for place in (scripts, work):
        place.mkdir()
    for script, text in maps["reconciler-scripts"].items():
        (scripts / script).write_text(text)
    own = {"REPOSITORY": str(world.remote), "WORK": str(work), "HOME": str(work), "GIT_TOKEN": TOKEN}
    sh, script = container["command"]
    command = f"exec {sh} {script.replace('/scripts', str(scripts))}"
    own |= {"PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}"}  # the command as it is installed
    ran = world.run(["sh", "-c"], command, work, maps["reconciler"] | own)
    return ran.code, ran.said


def test_every_file_is_held_against_its_schema() -> None:
    judged = [
        ("vendor.github-workflows", sorted((EXAMPLES / "github" / "workflows").glob("*.yml"))),
        ("vendor.github-actions", [EXAMPLES / "github" / "actions" / "reconciler" / "action.yml"]),
        ("vendor.gitlab-ci", [EXAMPLES / "gitlab" / ".gitlab-ci.yml"]),
    ]
    for schema, files in judged:
        transform = ("--data-transform", "gitlab-ci") if schema == "vendor.gitlab-ci" else ()
        done = subprocess.run(
            [_BIN / "check-jsonschema", "--builtin-schema", schema, *transform, *files],
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    done = subprocess.run(
        [_BIN / "kubernetes-validate", "--strict", EXAMPLES / "kubernetes" / "cronjob.yaml"],
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("passed for resource cronjob/") == 2


def test_one_apply_runs_at_a_time_and_no_other_takes_its_place() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github" / "workflows" / "reconciler-apply.yml").read_text())
    assert workflow["concurrency"] == {"group": "reconciler-apply", "cancel-in-progress": False}
    applies = yaml.safe_load((EXAMPLES / "gitlab" / ".gitlab-ci.yml").read_text())[".apply"]
    assert (applies["resource_group"], applies["interruptible"]) == ("reconciler", False)
    files = yaml.safe_load_all((EXAMPLES / "kubernetes" / "cronjob.yaml").read_text())
    jobs = [item["spec"] for item in files if item["kind"] == "CronJob"]
    assert [job["concurrencyPolicy"] for job in jobs] == ["Forbid", "Forbid"]
    assert [job["jobTemplate"]["spec"]["backoffLimit"] for job in jobs] == [0, 0]


def test_every_file_installs_this_version() -> None:
    from reconciler import __version__

    found = {
        version
        for path in sorted(EXAMPLES.rglob("*"))
        if path.is_file()
        for version in re.findall(r"(?:batch-reconciler==|/reconciler:)([^\s\"]+)", path.read_text())
    }
    assert found == {__version__}


def test_the_hooks_run_where_a_project_is(tmp_path: Path) -> None:
    hooks = yaml.safe_load((_ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == ["reconciler-validate", "reconciler-audit-verify"]
    shutil.copytree(
        _ROOT / "examples" / "quickstart", tmp_path / "p", ignore=shutil.ignore_patterns(".reconciler")
    )
    for hook in hooks:
        assert (hook["language"], hook["pass_filenames"]) == ("python", False)
        done = subprocess.run(
            f"{_BIN}/{hook['entry']}",
            shell=True,
            cwd=tmp_path / "p",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "p" / "batches" / "receipts.yaml").write_text("kind: Nothing\n")
    failed = subprocess.run(
        [_BIN / "reconciler", "validate"], cwd=tmp_path / "p", capture_output=True, check=False
    )
    assert failed.returncode == 1
    matches = [
        name
        for name in ("reconciler.yaml", "batches/a.yml", "audit/x.jsonl")
        if re.search(hooks[0]["files"], name)
    ]
    assert matches == ["reconciler.yaml", "batches/a.yml"]
    assert re.search(hooks[1]["files"], "infra/audit/20260101T000000Z-0.jsonl")
