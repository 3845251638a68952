"""`reconciler comment` as it is typed, against both services."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from forge_stand import BOT, TOKEN, Forge, environment, served
from hostile_runs import Ran, run

from reconciler.model.comment import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCS = Path(__file__).parents[2] / "docs" / "ci.md"

HEAD, MERGED = "c0ffee00" * 5, "deadbeef" * 5
PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: documents}
spec:
  manifests: ["batches/*.yaml"]
  providers: {local: {type: local, root: documents}}
"""
SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {name: invoices}
spec:
  provider: local
  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}
  directories: [{id: dir-a}]
"""


@pytest.fixture
def forge() -> Iterator[Forge]:
    with served(Forge()) as stand:
        stand.open(7, HEAD)
        stand.merges[MERGED] = 7
        yield stand


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "batches").mkdir()
    (tmp_path / "documents" / "a").mkdir(parents=True)
    (tmp_path / "documents" / "a" / "1.txt").write_text("x")
    (tmp_path / "reconciler.yaml").write_text(PROJECT)
    (tmp_path / "batches" / "invoices.yaml").write_text(SET)
    (tmp_path / "page.md").write_text("### A page\n")
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY", "CI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def in_request(forge: Forge, folder: Path, patch: pytest.MonkeyPatch, service: str = "github") -> None:
    """Have this be a job for request 7."""
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": HEAD}}}))
    there = environment(forge, service, number=7, GITHUB_EVENT_PATH=str(event), CI_COMMIT_SHA=HEAD)
    for name, value in there.items():
        patch.setenv(name, value)


def after_merge(forge: Forge, patch: pytest.MonkeyPatch, service: str = "github") -> None:
    """Have this be a job for the push that merged it."""
    patch.delenv("GITHUB_EVENT_PATH", raising=False)
    patch.delenv("CI_MERGE_REQUEST_IID", raising=False)
    more = {"GITHUB_EVENT_NAME": "push", "GITHUB_SHA": MERGED, "CI_COMMIT_SHA": MERGED}
    for name, value in (environment(forge, service) | more).items():
        patch.setenv(name, value)


def plan(folder: Path) -> Ran:
    return run(folder, "plan", "--out", "p.plan", "--markdown-into", "plan.md")


def marks(forge: Forge) -> list[Mark | None]:
    return [Mark.of(body) for body in forge.bodies(7)]


def digest(folder: Path, name: str = "p.plan") -> str:
    return str(json.loads((folder / name).read_text())["digest"])


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_from_the_review_to_the_merge(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    in_request(forge, folder, monkeypatch, service)
    assert plan(folder).code == 0
    said = run(folder, "comment", "plan.md", "--plan", "p.plan")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(
        f"Comment on request 7 of {'acme/documents' if service == 'github' else '5'}: created"
    )
    assert (
        run(folder, "comment", "plan.md", "--plan", "p.plan").out.partition(": ")[2].startswith("unchanged")
    )
    assert marks(forge) == [Mark(project="documents", digest=digest(folder), commit=HEAD)]
    assert "**Plan: 1 to create (1 file).**" in forge.bodies(7)[0]

    after_merge(forge, monkeypatch, service)
    assert plan(folder).code == 0
    said = run(folder, "comment", "plan.md", "--plan", "p.plan", "--check-reviewed")
    assert (said.code, said.out, said.err) == (0, "This plan was reviewed.\n", "")
    assert len(forge.bodies(7)) == 1


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_where_the_plan_is_another_one_the_request_says_so_and_the_exit_code(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    in_request(forge, folder, monkeypatch, service)
    plan(folder)
    run(folder, "comment", "plan.md", "--plan", "p.plan")
    reviewed = digest(folder)
    (folder / "batches" / "invoices.yaml").write_text(SET.replace("dir-a", "dir-b"))
    shutil.copytree(folder / "documents" / "a", folder / "documents" / "b")
    after_merge(forge, monkeypatch, service)
    plan(folder)
    said = run(folder, "comment", "plan.md", "--plan", "p.plan", "--check-reviewed")
    assert said.code == 4
    why = f"what is to be done has changed since request 7 was reviewed: {reviewed} was shown"
    assert why in said.err
    assert f"reconciler apply --confirm {digest(folder)}" in said.err
    review, stopped = forge.bodies(7)
    assert Mark.of(review) == Mark(project="documents", digest=reviewed, commit=HEAD)
    assert Mark.of(stopped) == Mark(project="documents", id="merge")
    told = why.replace(reviewed, f"`{reviewed}`")
    for part in ("### Nothing was applied", told, f"`{digest(folder)}`", "invoices/dir-b"):
        assert part in stopped
    run(folder, "comment", "plan.md", "--plan", "p.plan", "--check-reviewed")
    assert forge.bodies(7) == [review, stopped]


def test_where_it_cannot_even_be_said_the_exit_code_stays(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(folder)
    after_merge(forge, monkeypatch)
    forge.fail("POST", "comments", 403, {"message": "no"})
    said = run(folder, "comment", "plan.md", "--plan", "p.plan", "--check-reviewed")
    assert said.code == 4
    assert "has no comment of this project" in said.err
    assert "cannot be commented on" in said.err


def test_an_error_of_the_service_is_no_review(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(folder)
    after_merge(forge, monkeypatch)
    forge.fail("GET", "commits", 404, {})
    assert run(folder, "comment", "plan.md", "--plan", "p.plan", "--check-reviewed").code == 1


def test_a_plan_that_did_not_come_to_be_leaves_a_comment_without_one(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_request(forge, folder, monkeypatch)
    (folder / "batches" / "invoices.yaml").write_text("kind: Nothing\n")
    assert plan(folder).code == 1
    said = run(folder, "comment", "plan.md", "--plan", "p.plan")
    assert said.code == 0
    assert "there is no plan p.plan" in said.err
    assert marks(forge) == [Mark(project="documents", commit=HEAD)]
    assert "Validation" in forge.bodies(7)[0]


def test_a_plan_that_was_edited_is_not_believed(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_request(forge, folder, monkeypatch)
    plan(folder)
    path = folder / "p.plan"
    path.write_text(path.read_text().replace('"missing"', '"failed"'))
    said = run(folder, "comment", "plan.md", "--plan", "p.plan")
    assert said.code == 1
    assert "changed after it was written" in said.err
    assert forge.asked == []


def test_a_page_from_standard_input(forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    from types import SimpleNamespace

    in_request(forge, folder, monkeypatch)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"From \xff elsewhere\x00.\n")))
    assert run(folder, "comment", "-", "--id", "notes").code == 0
    assert forge.bodies(7) == [
        f"{Mark(project='documents', id='notes', commit=HEAD).line()}\nFrom \ufffd elsewhere.\n"
    ]


def test_the_summary_where_it_cannot_be_commented(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_request(forge, folder, monkeypatch)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    (folder / "summary.md").write_text("Before.\n")
    forge.fail("POST", "comments", 403, {"message": "Resource not accessible by integration"}, times=2)
    assert run(folder, "comment", "page.md").code == 1
    said = run(folder, "comment", "page.md", "--or-summary")
    assert said.code == 0
    assert "request 7 cannot be commented on" in said.err
    assert (folder / "summary.md").read_text() == "Before.\n### A page\n\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["page.md"], 1, "neither GitHub Actions nor GitLab CI"),
        (["nowhere.md", "--service", "github"], 1, "nowhere.md: the page cannot be read"),
        (["empty.md"], 1, "there is nothing to comment"),
        (["page.md", "--check-reviewed"], 64, "--check-reviewed needs --plan"),
        (["page.md", "--check-reviewed", "--plan", "no.plan"], 1, "the plan cannot be read"),
        (["page.md", "--id", "a b"], 64, "an id has letters"),
        (["page.md", "--number", "0"], 64, "not in the range"),
        (["page.md", "--token-env", TOKEN, "--service", "github"], 1, "takes the name of a variable"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told(folder: Path, words: list[str], code: int, says: str) -> None:
    (folder / "empty.md").write_text(" \n")
    said = run(folder, "comment", *words)
    assert said.code == code
    assert says in said.err
    assert "ghs_marked" not in said.err


def test_the_token_is_nowhere(forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_request(forge, folder, monkeypatch)
    forge.say(7, BOT, "x")
    said = [run(folder, "comment", "page.md", "--log-level", "debug")]
    for status in (401, 403, 404, 422, 302):
        forge.fail("GET", "comments", status, {"message": f"no {TOKEN}"}, headers={"Location": f"/{TOKEN}"})
        said.append(run(folder, "comment", "page.md", "--log-level", "debug"))
    assert [ran.code for ran in said] == [0, 1, 1, 1, 1, 1]
    assert TOKEN[4:] not in "".join(ran.said for ran in said)
    assert not [
        path for path in folder.rglob("*") if path.is_file() and TOKEN[4:].encode() in path.read_bytes()
    ]


def test_the_commands_of_the_documentation_do_what_it_says(
    forge: Forge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_request(forge, folder, monkeypatch)
    section = _DOCS.read_text().split("\n## reconciler comment\n")[1]
    [block] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for line in block.splitlines():
        program, *words = shlex.split(line)
        assert (program, run(folder, *words).code) == ("reconciler", 0)
    assert marks(forge) == [Mark(project="documents", digest=digest(folder, "reviewed.plan"), commit=HEAD)]
