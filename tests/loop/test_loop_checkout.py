"""A checkout follows its ref wherever that goes, is exactly what was pushed, and belongs to nobody else."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loop_remote import Remote

from reconciler.adapters.git.checkout import Checkout
from reconciler.adapters.git.program import git_in
from reconciler.model.errors import SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


@pytest.fixture
def follow(tmp_path: Path, remote: Remote) -> Iterator[Callable[..., Checkout]]:
    made: list[Checkout] = []

    def follow(ref: str = "main", address: str = "", into: str = "work/checkout") -> Checkout:
        folder = tmp_path / into
        made.append(Checkout(git_in(folder, os.environ), folder, address or remote.address, ref))
        return made[-1]

    yield follow
    for checkout in made:
        checkout.close()


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in files
        if ".git" not in path.relative_to(folder).parts
    }


def test_it_follows_a_branch(remote: Remote, follow: Callable[..., Checkout]) -> None:
    checkout = follow()
    first = remote.push({"a/one": "1", "a/two": "2"})
    assert checkout.update() == checkout.commit == first
    assert tree(checkout.folder) == {"a/one": "1", "a/two": "2"}
    second = remote.push({"a/one": None, "b/three": "3"})
    assert checkout.update() == second
    assert tree(checkout.folder) == {"a/two": "2", "b/three": "3"}
    assert checkout.update() == second


def test_it_follows_a_branch_that_was_pushed_over(remote: Remote, follow: Callable[..., Checkout]) -> None:
    checkout = follow()
    remote.push({"a": "1"})
    remote.push({"a": "2", "secret": "oh no"})
    checkout.update()
    remote.git("reset", "--quiet", "--hard", "HEAD~1")
    other = remote.push({"a": "3"}, amend=True)
    assert checkout.update() == other
    assert tree(checkout.folder) == {"a": "3"}


def test_it_follows_a_tag_that_moves_a_commit_and_the_remotes_own_choice(
    remote: Remote, follow: Callable[..., Checkout]
) -> None:
    first = remote.push({"a": "1"})
    remote.git("tag", "--annotate", "-m", "release", "v1")
    remote.git("push", "--quiet", remote.address, "v1")
    checkout = follow("v1")
    assert checkout.update() == first
    second = remote.push({"a": "2"})
    remote.git("tag", "--annotate", "--force", "-m", "release", "v1")
    remote.git("push", "--quiet", "--force", remote.address, "v1")
    assert checkout.update() == second
    remote.git("symbolic-ref", "HEAD", "refs/heads/main", where=remote.folder / "remote.git")
    assert follow("HEAD", into="head").update() == second
    assert follow(second, into="commit").update() == second


def test_its_history_does_not_come_with_it(remote: Remote, follow: Callable[..., Checkout]) -> None:
    for number in range(5):
        remote.push({"a": str(number)})
    checkout = follow(address=f"file://{remote.address}")
    checkout.update()
    assert remote.git("rev-list", "--count", "HEAD", where=checkout.folder) == "1"


def test_what_somebody_left_in_it_is_gone_but_for_what_runs_leave(
    remote: Remote, follow: Callable[..., Checkout]
) -> None:
    checkout = follow()
    remote.push({"p/batches/a.yaml": "a", ".gitignore": "*.tmp\n"})
    checkout.update()
    for name in ("p/batches/stray.yaml", "p/stray.tmp", "p/audit/1.jsonl", "p/.reconciler/local.db"):
        (checkout.folder / name).parent.mkdir(exist_ok=True)
        (checkout.folder / name).write_text("x")
    (checkout.folder / "p/batches/a.yaml").write_text("edited")
    checkout.update()
    assert tree(checkout.folder) == {
        ".gitignore": "*.tmp\n",
        "p/.reconciler/local.db": "x",
        "p/audit/1.jsonl": "x",
        "p/batches/a.yaml": "a",
    }


@pytest.mark.parametrize("ref", ["nowhere", "0" * 40])
def test_a_ref_that_is_not_there_is_an_error_and_nothing_is_checked_out(
    remote: Remote, follow: Callable[..., Checkout], ref: str
) -> None:
    remote.push({"a": "1"})
    checkout = follow(ref)
    with pytest.raises(StateError, match="the manifests cannot be fetched") as raised:
        checkout.update()
    assert raised.value.where == f"{remote.address} {ref}"
    assert checkout.commit == ""


def test_a_remote_that_goes_away_leaves_no_commit_to_go_by(
    remote: Remote, follow: Callable[..., Checkout]
) -> None:
    checkout = follow()
    remote.push({"a": "1"})
    checkout.update()
    (remote.folder / "remote.git").rename(remote.folder / "elsewhere")
    with pytest.raises(StateError):
        checkout.update()
    assert checkout.commit == ""


def test_what_is_secret_in_an_address_is_in_no_message(follow: Callable[..., Checkout]) -> None:
    checkout = follow(address="https://someone:hunter2-hunter2@127.0.0.1:1/x")
    with pytest.raises(StateError) as raised:
        checkout.update()
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in checkout.shown


@pytest.mark.parametrize(("address", "ref"), [("--upload-pack=x", "main"), ("", "main")])
def test_what_git_would_take_for_an_option_is_no_remote(
    follow: Callable[..., Checkout], tmp_path: Path, address: str, ref: str
) -> None:
    with pytest.raises(SettingsError, match="is no address"):
        Checkout(git_in(tmp_path, os.environ), tmp_path, address, ref)


@pytest.mark.parametrize("ref", ["", "-x", "+main", "main:main", "main other", "ma*n", "main\n"])
def test_what_git_would_take_for_more_than_a_ref_is_none(follow: Callable[..., Checkout], ref: str) -> None:
    with pytest.raises(SettingsError, match="is no ref"):
        follow(ref)


def test_a_folder_of_somebody_elses_is_left_alone(remote: Remote, follow: Callable[..., Checkout]) -> None:
    remote.push({"a": "1"})
    for says, name in (("something else", "full"), ("a repository of its own", "clone")):
        (remote.folder / name).mkdir(exist_ok=True)
        (remote.folder / name / "mine").write_text("mine")
        with pytest.raises(SettingsError, match="cannot be used for the checkout") as raised:
            follow(into=name).update()
        assert says in raised.value.why
        assert (remote.folder / name / "mine").read_text() == "mine"


def test_two_processes_do_not_share_a_checkout(remote: Remote, follow: Callable[..., Checkout]) -> None:
    first = remote.push({"a": "1"})
    one, other = follow(), follow()
    one.update()
    with pytest.raises(SettingsError) as raised:
        other.update()
    assert raised.value.why == "another process follows a ref there"
    one.close()
    assert other.update() == first


@pytest.mark.parametrize("left", ["index.lock", "shallow.lock", "HEAD"])
def test_what_a_killed_git_left_is_in_nobodys_way(
    remote: Remote, follow: Callable[..., Checkout], left: str
) -> None:
    """A pod's volume outlives its containers."""
    one = follow()
    remote.push({"a": "1"})
    one.update()
    one.close()
    path = one.folder / ".git" / left
    if left == "HEAD":  # killed before it was made
        path.unlink()
    else:
        path.write_text("")
    second = remote.push({"a": "2"})
    assert follow().update() == second


def test_a_checkout_within_another_work_tree_leaves_that_alone(
    remote: Remote, follow: Callable[..., Checkout]
) -> None:
    commit = remote.push({"a": "1"})
    checkout = follow(into="clone/.reconciler/checkout")
    (remote.clone / "mine").write_text("mine")
    assert checkout.update() == commit
    (checkout.folder / ".git" / "HEAD").unlink()  # git would go up from here, were it let
    with pytest.raises(StateError):
        checkout.update()
    assert (remote.clone / "mine").read_text() == "mine"
    assert remote.git("status", "--porcelain") == "?? .reconciler/\n?? mine"


def test_hooks_do_not_run_in_a_checkout(
    remote: Remote, follow: Callable[..., Checkout], tmp_path: Path
) -> None:
    checkout = follow()
    remote.push({"a": "1"})
    checkout.update()
    hook = checkout.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'hooked'}\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    remote.push({"a": "2"})
    checkout.update()
    assert not (tmp_path / "hooked").exists()


def test_c8_a_git_that_hangs_is_ended_when_nobody_wants_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program that it hands over to never answers, as a host behind a dead route."""
    started = tmp_path / "started"
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {started}.tmp && mv {started}.tmp {started}\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(slow))
    git = replace(git_in(tmp_path / "checkout", os.environ), over=started.exists)
    checkout = Checkout(git, tmp_path / "checkout", "ssh://nowhere.test/x", "main")
    with pytest.raises(StateError, match="git fetch was ended"):
        checkout.update()
    checkout.close()
    number = int(started.read_text())
    while _runs(number):
        time.sleep(0.01)


def _runs(number: int) -> bool:
    """Whether a process is still there, other than as a name."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
