"""`--changed-since` with the real git: which sets have changed, and what a plan of these leaves alone."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler import api
from reconciler.model.errors import SettingsError, StalePlanError
from reconciler.model.plan import ActionKind, Since
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: changed}
spec:
  manifests: ["batches/**/*.yaml", "more-*.yml"]
  providers: {local: {type: local, root: documents}}
"""
SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {{name: {name}, labels: {{team: {team}}}}}
spec:
  provider: local
  job: {{type: parse_v2, configuration: cfg-PARSE_AGENTIC}}
  directories: [{{name: {directory}}}]
"""


class Repo:
    """A project in a repository, with the environment that git gets."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
        home.mkdir()
        folder.mkdir(parents=True)

    def git(self, *words: str) -> str:
        names = ("-c", "user.name=Ada", "-c", "user.email=ada@test", "-c", "init.defaultBranch=main")
        done = subprocess.run(
            ["git", *names, *words], cwd=self.folder, env=self.environ, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def set(self, name: str, file: str = "", directory: str = "", team: str = "x") -> None:
        text = SET.format(name=name, directory=directory or name, team=team)
        self.write(file or f"batches/{name}.yaml", text)

    def commit(self, text: str = "x") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", text)
        return self.git("rev-parse", "HEAD")

    def since(self, ref: str = "main") -> Since | None:
        return api.plan(api.load(self.folder), changed_since=ref, environ=self.environ).since

    def sets(self, ref: str = "main") -> tuple[str, ...] | None:
        since = self.since(ref)
        assert since is not None
        return since.sets


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Three sets on main, and a branch of it that is checked out."""
    made = Repo(tmp_path / "clone" / "project", tmp_path / "home")
    made.git("init", "--quiet", "..")
    made.write("reconciler.yaml", PROJECT)
    made.write(".gitignore", ".reconciler/\n*.journal\n")
    for number in range(1, 5):
        made.write(f"documents/spare{number}/a.txt", str(number))
    for name in ("one", "two", "three"):
        made.set(name, team="y" if name == "three" else "x")
        made.write(f"documents/{name}/a.txt", name)
    made.commit()
    made.git("checkout", "--quiet", "-b", "work")
    return made


def test_nothing_has_changed(repo: Repo) -> None:
    plan = api.plan(api.load(repo.folder), changed_since="main", environ=repo.environ)
    assert plan.since == Since("main", repo.git("rev-parse", "main"), ())
    assert (plan.actions, plan.not_selected) == ((), 3)


def test_committed_staged_edited_and_untracked_manifests_have_changed(repo: Repo) -> None:
    repo.set("one", directory="spare1")
    repo.commit()
    assert repo.sets() == ("one",)
    repo.set("three", directory="spare3")
    assert repo.sets() == ("one", "three")
    repo.git("add", "--all")
    assert repo.sets() == ("one", "three")
    repo.set("four", "more-sets.yml", "spare4")
    assert repo.sets() == ("four", "one", "three")
    assert repo.sets("HEAD") == ("four", "three")


def test_a_manifest_is_a_document_and_not_its_file_or_its_comments(repo: Repo) -> None:
    repo.write("batches/one.yaml", "# why\n" + (repo.folder / "batches/one.yaml").read_text())
    assert repo.sets() == ()
    (repo.folder / "batches/two.yaml").rename(repo.folder / "more-two.yml")
    assert repo.sets() == ()
    text = (repo.folder / "batches/one.yaml").read_text()
    (repo.folder / "batches/one.yaml").unlink()
    repo.write("batches/three.yaml", f"{text}---\n" + SET.format(name="three", directory="three", team="z"))
    assert repo.sets() == ("three",)


def test_what_others_changed_since_is_not_ours(repo: Repo) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "main")
    repo.set("one", directory="spare1")
    repo.commit()
    repo.git("checkout", "--quiet", "work")
    repo.set("two", directory="spare2")
    assert repo.since() == Since("main", base, ("two",))


def test_a_changed_project_file_concerns_all_sets(repo: Repo) -> None:
    repo.write("reconciler.yaml", PROJECT + "  limits: {maxCreates: 9}\n")
    assert repo.sets() is None
    plan = api.plan(api.load(repo.folder), changed_since="main", environ=repo.environ)
    assert plan.count(ActionKind.CREATE) == 3
    repo.write("reconciler.yaml", f"# only a comment\n{PROJECT}")
    assert repo.sets() == ()


def test_what_a_gone_manifest_left_is_selected_and_all_else_is_left_alone(repo: Repo) -> None:
    """R10, R11: a set that is gone since has changed; one that was gone before has not."""
    api.apply(api.load(repo.folder), environ=repo.environ)
    (repo.folder / "batches/one.yaml").unlink()
    plan = api.plan(api.load(repo.folder), changed_since="main", environ=repo.environ)
    assert plan.since is not None
    assert plan.since.sets == ("one",)
    assert [(action.kind, action.address.set) for action in plan.actions] == [(ActionKind.FORGET, "one")]
    repo.git("checkout", "--quiet", "main")
    repo.git("rm", "--quiet", "batches/two.yaml")
    repo.git("commit", "--quiet", "--message", "two is gone")
    repo.set("three", directory="spare3")
    plan = api.plan(api.load(repo.folder), changed_since="HEAD", environ=repo.environ)
    assert {action.address.set for action in plan.actions} == {"one", "three"}
    applied = api.apply(api.load(repo.folder), changed_since="HEAD", environ=repo.environ)
    assert {result.action.address.set for result in applied.results} == {"one", "three"}
    left = api.plan(api.load(repo.folder), environ=repo.environ)
    assert [(action.kind, action.address.set) for action in left.actions if action.changes] == [
        (ActionKind.FORGET, "two")
    ]


def test_targets_leave_of_what_has_changed_what_they_name(repo: Repo) -> None:
    repo.set("one", directory="spare1", team="x")
    repo.set("three", directory="three", team="z")
    project = api.load(repo.folder)
    for targets, found in (
        (["team=x"], ["one"]),
        (["three"], ["three"]),
        (["two"], []),
        (["one", "two"], ["one"]),
    ):
        plan = api.plan(project, targets=targets, changed_since="main", environ=repo.environ)
        assert [action.address.set for action in plan.actions] == found, targets
        assert plan.targets == tuple(sorted(targets))


def test_a_saved_plan_brings_its_sets_and_git_is_not_asked_again(repo: Repo, tmp_path: Path) -> None:
    from reconciler.model.document import plan_document

    repo.set("one", directory="spare1")
    project = api.load(repo.folder)
    plan = api.plan(project, changed_since="main", environ=repo.environ)
    api.save_plan(tmp_path / "plan.json", plan_document(plan))
    saved = api.read_plan(tmp_path / "plan.json")
    assert saved.since == plan.since
    (repo.folder.parent / ".git").rename(repo.folder.parent / "git-no-more")
    applied = api.apply(project, saved=saved, environ=repo.environ)
    assert [(result.action.address.set, result.outcome) for result in applied.results] == [
        ("one", Outcome.CREATED)
    ]
    with pytest.raises(StalePlanError, match="applied already"):
        api.apply(project, saved=saved, environ=repo.environ)


def test_what_git_cannot_tell_is_one_error_with_what_to_do(repo: Repo, tmp_path: Path) -> None:
    def error(ref: str, folder: Path = repo.folder) -> SettingsError:
        with pytest.raises(SettingsError) as caught:
            api.plan(api.load(folder), changed_since=ref, environ=repo.environ)
        return caught.value

    for ref in ("nowhere", "", "--all", "main:reconciler.yaml", "-"):
        found = error(ref)
        assert found.what == f"there is no commit {ref!r} here"
        assert "`git fetch` may bring it" in found.next
    repo.git("checkout", "--quiet", "--orphan", "other")
    repo.commit("another beginning")  # the same words in the same second would be the same commit
    found = error("main")
    assert found.what == "'main' and what is checked out have no commit in common"
    assert (found.why, found.next) == ("", "Name a ref of this history")
    alone = Repo(tmp_path / "alone", tmp_path / "home2")
    alone.write("reconciler.yaml", PROJECT)
    alone.set("one")
    found = error("main", alone.folder)
    assert found.what.startswith("this folder is in no work tree of git")
    alone.git("init", "--quiet")
    assert error("HEAD", alone.folder).what.startswith("there is no commit yet")


def test_a_shallow_clone_is_told_to_fetch_the_rest(repo: Repo, tmp_path: Path) -> None:
    repo.set("one", directory="spare1")
    repo.commit()
    repo.git("checkout", "--quiet", "main")
    repo.set("two", directory="spare2")
    repo.commit()
    clone = Repo(tmp_path / "shallow", tmp_path / "home3")
    source = (repo.folder.parent).as_uri()
    clone.git("clone", "--quiet", "--depth=1", "--no-single-branch", "--branch=work", source, ".")
    with pytest.raises(SettingsError) as caught:
        api.plan(api.load(clone.folder / "project"), changed_since="origin/main", environ=clone.environ)
    assert caught.value.why == "the clone is shallow, and where they parted is not in it"
    assert caught.value.next.startswith("`git fetch --unshallow` brings the rest")
    with pytest.raises(SettingsError, match="git fetch --unshallow"):
        api.plan(api.load(clone.folder / "project"), changed_since="nowhere", environ=clone.environ)
    clone.git("fetch", "--quiet", "--unshallow")
    since = api.plan(
        api.load(clone.folder / "project"), changed_since="origin/main", environ=clone.environ
    ).since
    assert since is not None
    assert since.sets == ("one",)


def test_manifests_behind_symbolic_links_and_with_strange_names_are_found(repo: Repo) -> None:
    repo.set("one", "batches/tab\there/ö n\n.yaml", "one")
    (repo.folder / "batches/one.yaml").unlink()
    repo.set("linked", "real/linked.yaml", "spare4")
    (repo.folder / "more-linked.yml").symlink_to("real/linked.yaml")
    (repo.folder / "batches/two.yaml").unlink()
    repo.commit()
    assert repo.sets("HEAD") == ()
    repo.set("one", "batches/tab\there/ö n\n.yaml", "spare1")
    repo.set("linked", "real/linked.yaml", "spare2")
    assert repo.sets("HEAD") == ("linked", "one")


def test_an_unreadable_manifest_of_old_hides_no_change(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "main")
    repo.write("batches/one.yaml", "metadata: {name: one\n")
    repo.commit()
    repo.set("one")
    assert repo.sets("HEAD") == ("one",)
