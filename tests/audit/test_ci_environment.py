"""Who, where and on what: from CI's variables, else git, else the operating system."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler.adapters.ci import environment
from reconciler.model.ports import Environment

if TYPE_CHECKING:
    from pathlib import Path

PATH = os.environ["PATH"]

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "ada",
    "GITHUB_TRIGGERING_ACTOR": "grace",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/documents",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_SHA": "c0ffee",
}
GITLAB = {
    "GITLAB_CI": "true",
    "GITLAB_USER_LOGIN": "ada",
    "CI_PIPELINE_URL": "https://gitlab.test/p/-/pipelines/7",
    "CI_JOB_URL": "https://gitlab.test/p/-/jobs/9",
    "CI_COMMIT_SHA": "c0ffee",
}
ATTEMPT = "https://github.com/acme/documents/actions/runs/77/attempts/2"


def without(variables: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in names}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (GITHUB, Environment("grace", "github-actions", ATTEMPT, "c0ffee", None)),
        (
            without(GITHUB, "GITHUB_TRIGGERING_ACTOR", "GITHUB_RUN_ATTEMPT"),
            Environment("ada", "github-actions", ATTEMPT.removesuffix("/attempts/2"), "c0ffee", None),
        ),
        (without(GITHUB, "GITHUB_RUN_ID"), Environment("grace", "github-actions", "", "c0ffee", None)),
        (GITLAB, Environment("ada", "gitlab-ci", "https://gitlab.test/p/-/jobs/9", "c0ffee", None)),
        (
            without(GITLAB, "CI_JOB_URL"),
            Environment("ada", "gitlab-ci", "https://gitlab.test/p/-/pipelines/7", "c0ffee", None),
        ),
        # Left over in a shell, without the runner that sets them.
        (
            without(GITHUB, "GITHUB_ACTIONS") | {"LOGNAME": "ada"},
            Environment(f"ada@{os.uname().nodename}", "os", "", "", None),
        ),
        ({"USER": "ada"}, Environment(f"ada@{os.uname().nodename}", "os", "", "", None)),
    ],
)
def test_without_git(variables: dict[str, str], expected: Environment, tmp_path: Path) -> None:
    nowhere = tmp_path / "bin"
    assert environment(variables | {"PATH": str(nowhere)}, tmp_path) == expected


def test_nothing_at_all_is_still_somebody(tmp_path: Path) -> None:
    found = environment({"PATH": str(tmp_path)}, tmp_path / "missing")
    assert found.actor.endswith(f"@{os.uname().nodename}")
    assert len(found.actor) > len(os.uname().nodename) + 1
    assert (found.actor_source, found.run, found.commit, found.dirty) == ("os", "", "", None)


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    folder = tmp_path / "work"
    folder.mkdir()
    variables = {"PATH": PATH, "HOME": str(tmp_path / "home")}
    commands = [
        ["init", "--quiet"],
        ["config", "user.name", "Ada Lovelace"],
        ["config", "user.email", "ada@example.test"],
        ["commit", "--quiet", "--allow-empty", "--message", "first"],
    ]
    for command in commands:
        subprocess.run(["git", "-C", str(folder), *command], check=True, env=variables)
    return folder, variables


def head(folder: Path) -> str:
    said = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True)
    return said.stdout.decode().strip()


def test_git_names_the_person_the_commit_and_what_differs(repository: tuple[Path, dict[str, str]]) -> None:
    folder, variables = repository
    clean = Environment("Ada Lovelace <ada@example.test>", "git", "", head(folder), False)
    inner = folder / "batches"
    assert environment(variables, folder) == clean
    inner.mkdir()
    (inner / "new.yaml").write_text("x")
    assert environment(variables, inner) == clean._replace(dirty=True)


@pytest.mark.parametrize(
    ("name", "tracked", "differs"),
    [
        ("reconciler.lock", True, False),
        ("reconciler.lock", False, False),
        ("reconciler.lock.journal", False, False),
        ("audit/1.jsonl", True, False),
        ("audit/2.jsonl", False, False),
        (".reconciler/local.db", False, False),
        ("my.plan", False, False),
        ("report.html", False, False),
        ("my.plan", True, True),  # somebody else's, and known to git
        ("batches/new.yaml", False, True),
        ("batches/deep/new.yaml", False, True),
        ("batches/new.yaml", True, True),
        ("reconciler.yaml", False, True),
        ("documents/a.pdf", True, True),
        ("../other/batches/new.yaml", True, False),  # another project of the repository
        ("../other/batches/new.yaml", False, False),
    ],
)
def test_what_this_tool_wrote_and_what_decides_nothing_is_no_difference(
    repository: tuple[Path, dict[str, str]], name: str, *, tracked: bool, differs: bool
) -> None:
    top, variables = repository
    folder = top / "pro[j]ect"
    folder.mkdir()
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if tracked:
        file.write_text("before")
        for command in (["add", "."], ["commit", "--quiet", "--message", "second"]):
            subprocess.run(["git", "-C", str(top), *command], check=True, env=variables)
    own = ("reconciler.lock", "reconciler.lock.journal", "audit", ".reconciler")
    decides = ("reconciler.yaml", "./batches/**/*.yaml")

    def dirty() -> bool | None:
        return environment(variables, folder, own=own, decides=decides).dirty

    assert dirty() is False
    file.write_text("after")
    assert dirty() is differs


def test_in_ci_git_still_says_what_differs(repository: tuple[Path, dict[str, str]]) -> None:
    folder, variables = repository
    found = environment(variables | GITHUB, folder)
    assert found == Environment("grace", "github-actions", ATTEMPT, "c0ffee", False)


def test_a_git_directory_named_by_the_environment_does_not_mislead(
    repository: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, variables = repository
    elsewhere = variables | {"GIT_DIR": str(tmp_path / "other"), "GIT_WORK_TREE": str(tmp_path)}
    assert environment(elsewhere, folder).commit == head(folder)


def test_a_repository_before_its_first_commit_has_no_commit(tmp_path: Path) -> None:
    variables = {"PATH": PATH, "HOME": str(tmp_path), "USER": "ada"}
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "new")], check=True, env=variables)
    found = environment(variables, tmp_path / "new")
    assert (found.commit, found.dirty) == ("", False)


def test_git_runs_no_program_of_the_repository_and_gets_no_secret(
    repository: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, variables = repository
    said = tmp_path / "said"
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\nenv > {said}\n")
    monitor.chmod(0o755)
    subprocess.run(["git", "-C", str(folder), "config", "core.fsmonitor", str(monitor)], check=True)
    environment(variables | {"LLAMA_CLOUD_API_KEY": "llx-1"}, folder)
    assert not said.exists()

    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\nenv >> {said}\n")
    program.chmod(0o755)
    environment({"PATH": f"{tmp_path}:{PATH}", "LLAMA_CLOUD_API_KEY": "llx-1"}, folder)
    assert "GIT_OPTIONAL_LOCKS=0" in said.read_text()
    assert "llx-1" not in said.read_text()


def test_a_git_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.adapters.ci.git.GIT_TIMEOUT", 0.05)
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    found = environment({"PATH": f"{tmp_path}:{PATH}", "USER": "ada"}, tmp_path)
    assert (found.actor_source, found.commit, found.dirty) == ("os", "", None)
