"""``lock push`` on real repositories: clones that race, remotes that refuse or drop, what CI checks out.

Who comes first is decided by hooks, which let the other clone push at a moment that is known.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from two_clones import EMPTY, START, World, copied, entry, lock, make

from reconciler.adapters.git import push as pushing
from reconciler.adapters.stores.file import FileStore
from reconciler.api.pushing import push_lockfile
from reconciler.model.errors import LockHeldError, SettingsError, StateError

if TYPE_CHECKING:
    from pathlib import Path

    from two_clones import Clone

    from reconciler.model.errors import ReconcilerError
    from reconciler.model.pushed import Pushed

ONE, TWO, THREE = entry("dir-a", "bat-1"), entry("dir-b", "bat-2"), entry("dir-c", "bat-3")
FORKED = entry("dir-a", "bat-9")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("template") / "world")


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    return copied(template, tmp_path / "world")


def push(clone: Clone, **more: str) -> tuple[Pushed, list[float]]:
    """Push, and give how long it would have paused."""
    pauses: list[float] = []
    wanted = {"message": "", "remote": "origin", "branch": "", **more}
    pushed = push_lockfile(clone.folder, clone.environ, lock_timeout=0, sleep=pauses.append, **wanted)
    return pushed, pauses


def refused(clone: Clone, **more: str) -> ReconcilerError:
    """The error, after which the work tree is as it was and the last commit is still there."""
    before = clone.git("status", "--porcelain"), clone.git("rev-parse", "HEAD"), clone.lockfile.read_bytes()
    with pytest.raises((StateError, SettingsError)) as caught:
        push(clone, **more)
    after = clone.git("status", "--porcelain"), clone.git("rev-parse", "HEAD"), clone.lockfile.read_bytes()
    assert after[2] == before[2]
    if after[1] != before[1]:  # it was committed, and that is said
        assert clone.git("rev-parse", "HEAD^") == before[1]
        assert f"The lockfile stays committed here, in {after[1][:12]}" in caught.value.next
    else:
        assert after == before
    assert clone.git("worktree", "list").count("\n") == 0
    return caught.value


# Without a race ----------------------------------------------------------------------------------------


def test_only_the_lockfile_and_the_audit_log_go_and_what_is_staged_stays_staged(world: World) -> None:
    ada = world.ada
    ada.record(lock(ONE))
    (ada.top / "staged").write_text("staged")
    (ada.folder / "audit" / "notes.txt").write_text("mine")
    (ada.folder / "audit" / "ada-2.signed").write_text("signed")
    (ada.folder / "reconciler.yaml").write_text((ada.folder / "reconciler.yaml").read_text() + "# changed\n")
    ada.git("add", "staged")
    pushed, _ = push(ada)
    assert pushed.files == (
        "project/audit/ada-2.jsonl",
        "project/audit/ada-2.signed",
        "project/reconciler.lock",
    )
    assert world.remote.git("show", "--name-only", "--format=%an %s", "main").splitlines() == [
        "Ada Record the batches that stand in project/reconciler.lock",
        "",
        *pushed.files,
    ]
    assert ada.git("status", "--porcelain").splitlines() == [
        "M project/reconciler.yaml",
        "A  staged",
        "?? project/audit/notes.txt",
    ]
    assert pushed.commit == world.remote.git("rev-parse", "main") == ada.git("rev-parse", "HEAD")


def test_there_is_nothing_to_push_twice_nor_for_who_is_behind(world: World) -> None:
    world.ada.record(lock(ONE))
    assert push(world.ada)[0].commit
    for clone in (world.ada, world.bob):
        head = clone.git("rev-parse", "HEAD")
        assert push(clone)[0] == ("origin", "main", "", (), 0, "")
        assert clone.git("rev-parse", "HEAD") == head


def test_what_an_earlier_push_left_committed_goes_with_the_next(world: World) -> None:
    world.ada.record(lock(ONE))
    world.remote.hook("pre-receive", "exit 1")
    refused(world.ada)
    world.remote.hook("pre-receive", "exit 0")
    pushed, _ = push(world.ada)
    assert (pushed.files, pushed.commit) == ((), world.remote.git("rev-parse", "main"))
    assert world.there() == lock(ONE)


def test_a_file_of_the_audit_log_that_is_gone_is_not_committed_as_gone(world: World) -> None:
    world.ada.record(lock(ONE))
    push(world.ada)
    (world.ada.folder / "audit" / "ada-2.jsonl").unlink()
    world.ada.record(lock(ONE, TWO, serial=3))
    push(world.ada)
    assert "project/audit/ada-2.jsonl" in world.remote.git("ls-tree", "-r", "--name-only", "main")


# Races -------------------------------------------------------------------------------------------------


def test_who_comes_second_has_both_lockfiles_in_one(world: World) -> None:
    world.bob.record(lock(TWO, serial=5))
    push(world.bob)
    ada = world.ada
    ada.record(lock(ONE))
    (ada.top / "staged").write_text("staged")
    ada.git("add", "staged")
    pushed, pauses = push(ada)
    assert (pushed.rebased, pauses, pushed.note) == (1, [], "")
    assert world.there() == ada.read() == lock(ONE, TWO, serial=6)
    assert sorted(path.name for path in (ada.folder / "audit").iterdir()) == ["ada-2.jsonl", "bob-5.jsonl"]
    assert ada.git("status", "--porcelain") == "A  staged"
    assert ada.git("rev-parse", "HEAD", "main") == "\n".join([pushed.commit] * 2)
    assert ada.git("log", "--format=%an").splitlines() == ["Ada", "Bob", "Ada"]


def let_bob_push(world: World, times: int) -> None:
    """At the moment at which Ada's git has seen where the remote is and has sent nothing yet."""
    for number in range(times):
        world.bob.record(
            lock(*(entry(f"dir-{at}", f"bat-b{at}") for at in range(number + 1)), serial=number + 2)
        )
        world.bob.commit(f"bob's {number}")
        world.bob.git("tag", f"step-{number}")
    world.ada.hook(
        "pre-push",
        f"""\
n=$(cat '{world.bob.top}/.git/n' 2>/dev/null || echo 0)
if [ "$n" -lt {times} ]; then
  echo $((n + 1)) > '{world.bob.top}/.git/n'
  unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX
  git -C '{world.bob.top}' push --quiet origin "step-$n:refs/heads/main" || exit 1
fi""",
    )


def test_a_remote_that_moves_between_look_and_push_is_tried_again(world: World) -> None:
    let_bob_push(world, 2)
    world.ada.record(lock(ONE))
    pushed, pauses = push(world.ada)
    assert pushed.rebased == 2
    assert len(pauses) == 1
    assert all(0.2 <= seconds <= 1.2 for seconds in pauses)
    assert sorted(world.there().entries) == sorted(
        [ONE.key, *(entry(f"dir-{at}", "x").key for at in range(2))]
    )


def test_a_remote_that_always_moves_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "TRIES", 2)
    let_bob_push(world, 2)
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert error.what == "the branch main of origin moved each of 2 times"
    assert error.next.endswith("Run `reconciler lock push` again")


def test_two_batches_for_one_key_are_told_and_nothing_is_half_done(world: World) -> None:
    world.bob.record(lock(FORKED))
    push(world.bob)
    world.ada.record(lock(ONE, TWO))
    error = refused(world.ada)
    assert error.what == "two branches recorded different batches for the same work"
    assert "set/dir-a: ours has bat-1 (RUNNING, created" in error.why
    assert "theirs bat-9 (RUNNING, created" in error.why
    assert "`git pull --rebase origin main`" in error.next
    assert world.there() == lock(FORKED)


def test_other_commits_that_do_not_fit_stay_here(world: World) -> None:
    (world.bob.top / "notes").write_text("bob's")
    world.bob.record(lock(TWO))
    world.bob.commit()
    world.bob.git("push", "--quiet", "origin", "main")
    (world.ada.top / "notes").write_text("ada's")
    world.ada.git("add", "notes")
    world.ada.git("commit", "--quiet", "--message=notes")
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert (error.where, error.why) == ("notes", "notes changed on both sides")


def test_a_work_tree_that_cannot_follow_is_told_of(world: World) -> None:
    (world.bob.folder / "reconciler.yaml").write_text(
        "# bob's\n" + (world.bob.folder / "reconciler.yaml").read_text()
    )
    world.bob.commit()
    world.bob.git("push", "--quiet", "origin", "main")
    (world.ada.folder / "reconciler.yaml").write_text(
        (world.ada.folder / "reconciler.yaml").read_text() + "# ada's\n"
    )
    world.ada.record(lock(ONE))
    pushed, _ = push(world.ada)
    assert "this work tree stays at" in pushed.note
    assert "Run `git pull --rebase origin main` before the next apply" in pushed.note
    assert world.there() == lock(ONE)
    assert world.ada.git("status", "--porcelain") == "M project/reconciler.yaml"


def test_a_remote_with_another_past_is_not_merged(world: World) -> None:
    world.bob.lockfile.write_text(world.bob.lockfile.read_text().replace('"line"', '"other"'))
    world.bob.commit()
    world.bob.git("push", "--quiet", "origin", "main")
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert error.what == "the branches have lockfiles that do not have one past"


# Remotes that do not take it ---------------------------------------------------------------------------


def test_a_protected_branch_is_told_of_in_the_remotes_words(world: World) -> None:
    world.remote.hook("pre-receive", "echo 'GH006: Protected branch update failed for main.' >&2; exit 1")
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert error.what == "origin did not accept the push to main"
    assert error.why == (
        "[remote rejected] (pre-receive hook declined): GH006: Protected branch update failed for main."
    )
    assert "open a pull request" in error.next
    assert world.there() == EMPTY


def test_a_remote_that_accepts_and_drops_is_found_out(world: World) -> None:
    world.remote.hook("post-receive", 'while read old new ref; do git update-ref "$ref" "$old"; done')
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert error.what == "origin accepted the push, and its branch main does not have it"
    assert world.there() == EMPTY


def test_a_push_whose_reply_is_lost_is_known_by_looking(world: World) -> None:
    world.remote.hook("post-receive", "kill -9 $PPID")  # all is done by then but the answer
    world.ada.record(lock(ONE))
    pushed, _ = push(world.ada)
    assert pushed.commit == world.remote.git("rev-parse", "main")


def test_a_remote_that_is_gone_is_named_without_its_password(world: World) -> None:
    address = "https://ada:tok3n-s3cret@127.0.0.1:9/gone.git"
    world.ada.git("remote", "set-url", "origin", address)
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert error.where == "https://[redacted]@127.0.0.1:9/gone.git"
    assert "tok3n-s3cret" not in f"{error}"
    assert "127.0.0.1" in error.why


# What stands in the way --------------------------------------------------------------------------------


def test_git_does_not_know_who_commits(world: World) -> None:
    world.ada.git("config", "--unset", "user.name")
    world.ada.git("config", "user.useConfigOnly", "true")
    world.ada.git("config", "--unset", "user.email")
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert error.what == "git does not know who commits here"
    assert "git config user.name" in error.next


def test_there_is_no_such_remote(world: World) -> None:
    error = refused(world.ada, remote="upstream")
    assert (error.what, error.why) == ("there is no remote 'upstream'", "the repository has origin")


def test_a_hook_of_the_clone_refuses_the_commit_and_nothing_is_left_of_it(world: World) -> None:
    world.ada.hook("pre-commit", "echo 'no commits on Fridays' >&2; exit 1")
    world.ada.record(lock(ONE))
    error = refused(world.ada)
    assert (error.what, error.why) == ("the lockfile could not be committed", "no commits on Fridays")


@pytest.mark.parametrize("name", ["reconciler.lock", "audit/ada-2.jsonl"])
@pytest.mark.parametrize("staged", [True, False], ids=["staged", "not staged"])
def test_what_a_hook_makes_of_the_files_is_not_pushed(world: World, name: str, staged: bool) -> None:  # noqa: FBT001 - two cases
    there = world.remote.git("rev-parse", "main")
    add = f"git add project/{name}" if staged else "true"
    world.ada.hook("pre-commit", f"echo >> project/{name}; {add}; echo x > other; git add other")
    world.ada.record(lock(ONE))
    content = (world.ada.folder / name).read_bytes()
    if not staged:
        push(world.ada)
        assert world.there() == lock(ONE)
    else:
        with pytest.raises(StateError, match=f"a hook of the repository changed project/{name} while"):
            push(world.ada)
        assert world.remote.git("rev-parse", "main") == world.ada.git("rev-parse", "HEAD") == there
        world.ada.hook("pre-commit", "exit 0")
        push(world.ada)
    assert (world.ada.folder / name).read_bytes() == content
    shown = world.remote.git("show", f"main:project/{name}")
    assert shown.encode() == content.strip()
    assert world.ada.git("status", "--porcelain", "project") == ""


def test_the_first_commit_of_a_repository_is_taken_back_as_well(world: World) -> None:
    world.ada.git("checkout", "--quiet", "--orphan", "new")
    world.ada.git("rm", "--quiet", "-r", "--cached", ".")
    world.ada.hook("pre-commit", "echo >> project/reconciler.lock; git add project/reconciler.lock")
    world.ada.record(lock(ONE))
    before = world.ada.git("status", "--porcelain")
    with pytest.raises(StateError, match="a hook of the repository changed"):
        push(world.ada)
    assert world.ada.git("status", "--porcelain") == before
    world.ada.git("rev-parse", "--verify", "HEAD", fails=True)


def test_a_merge_is_under_way(world: World) -> None:
    world.ada.git("checkout", "--quiet", "-b", "side")
    (world.ada.top / "x").write_text("x")
    world.ada.commit()
    world.ada.git("checkout", "--quiet", "main")
    world.ada.git("merge", "--quiet", "--no-ff", "--no-commit", "side")
    error = refused(world.ada)
    assert error.what == "a merge is under way"


def test_the_lockfile_is_no_lockfile(world: World) -> None:
    world.ada.lockfile.write_text("<<<<<<< ours\n")
    assert "git's conflict marks are in it" in refused(world.ada).what
    world.ada.lockfile.unlink()
    with pytest.raises(StateError, match="there is no lockfile yet"):
        push(world.ada)


def test_git_ignores_the_lockfile(world: World) -> None:
    world.ada.git("rm", "--quiet", "--cached", "project/reconciler.lock")
    (world.ada.folder / ".gitignore").write_text("reconciler.lock*\n")
    assert refused(world.ada).what == "git ignores project/reconciler.lock"


def test_git_ignores_the_audit_log(world: World) -> None:
    (world.ada.top / ".gitignore").write_text("*.jsonl\n")
    world.ada.record(lock(ONE))
    assert refused(world.ada).what == "git ignores project/audit/ada-2.jsonl"


def test_the_audit_log_is_elsewhere(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (world.ada.folder / "audit").symlink_to(tmp_path / "elsewhere")
    world.ada.record(lock(ONE))
    assert refused(world.ada).what == "audit is a link"


def test_a_link_in_the_audit_log_that_leads_nowhere_is_no_defect(world: World) -> None:
    world.ada.record(lock(ONE))
    (world.ada.folder / "audit" / "x.jsonl").symlink_to("nowhere")
    push(world.ada)
    assert world.there() == lock(ONE)


def test_a_run_holds_the_lock(world: World) -> None:
    world.ada.record(lock(ONE))
    store = FileStore(world.ada.lockfile, "reconciler.lock", "a run", START)
    with store.hold(0), pytest.raises(LockHeldError, match="the lock is held by a run"):
        push(world.ada)


# What CI checks out ------------------------------------------------------------------------------------


def test_a_detached_head_is_pushed_to_the_branch_that_is_named_and_follows_it(world: World) -> None:
    world.bob.record(lock(TWO))
    push(world.bob)
    world.ada.git("checkout", "--quiet", "--detach")
    world.ada.record(lock(ONE))
    world.ada.push("main")
    assert world.there() == lock(ONE, TWO, serial=3)
    assert world.ada.git("rev-parse", "HEAD") == world.remote.git("rev-parse", "main")
    assert world.ada.git("status", "--porcelain", "--branch") == "## HEAD (no branch)"


@pytest.mark.parametrize(
    "environ",
    [
        {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/team/x"},
        {"GITLAB_CI": "true", "CI_COMMIT_BRANCH": "team/x"},
    ],
)
def test_a_detached_head_goes_to_the_branch_that_the_pipeline_runs_for(
    world: World, environ: dict[str, str]
) -> None:
    world.ada.git("checkout", "--quiet", "--detach")
    world.ada.record(lock(ONE))
    assert world.ada.push(**environ).branch == "team/x"
    assert world.there("team/x") == lock(ONE)


def test_a_detached_head_of_a_pull_request_wants_a_branch(world: World) -> None:
    world.ada.git("checkout", "--quiet", "--detach")
    world.ada.record(lock(ONE))
    with pytest.raises(SettingsError) as caught:
        world.ada.push(GITHUB_ACTIONS="true", GITHUB_REF="refs/pull/7/merge")
    assert caught.value.next == "Name the branch with --branch"


def test_a_shallow_clone_merges_too(world: World) -> None:
    clone = world.ada
    clone.git("clone", "--quiet", "--depth=1", f"file://{world.remote.top}", "shallow")
    shallow = replace(clone, top=clone.top / "shallow")
    shallow.git("config", "user.name", "Cleo")
    shallow.git("config", "user.email", "cleo@example.com")
    for stands in (lock(TWO), lock(TWO, THREE, serial=3)):
        world.bob.record(stands)
        push(world.bob)
    shallow.record(lock(ONE))
    assert push(shallow)[0].rebased == 1
    assert world.there() == lock(ONE, TWO, THREE, serial=4)


def test_keys_of_services_and_of_the_audit_log_do_not_reach_hooks_and_prompts_do_not_wait(
    world: World,
) -> None:
    seen = world.ada.top / ".git" / "seen"
    session = "import os; print('session', os.getsid(0))"
    world.ada.hook("pre-commit", f"env > '{seen}'\n'{sys.executable}' -c \"{session}\" >> '{seen}'")
    world.ada.record(lock(ONE))
    world.ada.push(
        LLAMA_CLOUD_API_KEY="llx-secret", RECONCILER_AUDIT_KEY="signs-all", GIT_TRACE="1", OTHER="kept"
    )
    text = seen.read_text()
    assert "llx-secret" not in text
    assert "signs-all" not in text
    assert "GIT_TRACE" not in text
    assert {"OTHER=kept", "GIT_TERMINAL_PROMPT=0"} <= set(text.splitlines())
    assert f"session {os.getsid(0)}" not in text  # a terminal belongs to its session: there is none to ask on
