"""``lock merge`` as git calls it: real merges and rebases of two clones, and files that are no lockfiles."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from two_clones import EMPTY, Clone, World, copied, entry, lock, make

from reconciler import api
from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.model.errors import SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make(tmp_path_factory.mktemp("template") / "world")
    api.install_merge_driver(world.ada.folder, environ=world.ada.environ)
    world.ada.commit("attributes")
    world.ada.git("push", "--quiet", "origin", "main")
    return world


@pytest.fixture
def ada(template: World, tmp_path: Path) -> Clone:
    """A clone with the driver, in which ``git`` finds this very `reconciler`."""
    clone = copied(template, tmp_path / "world").ada
    scripts = Path(sys.executable).parent
    return Clone(clone.top, {**clone.environ, "PATH": f"{scripts}:{clone.environ['PATH']}"})


def two_branches(clone: Clone, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """``main`` and ``side``, which differ by one commit each; ``main`` is checked out."""
    clone.git("checkout", "--quiet", "-b", "side")
    theirs()
    clone.commit("theirs")
    clone.git("checkout", "--quiet", "main")
    ours()
    clone.commit("ours")


ONE, TWO = entry("dir-a", "bat-1"), entry("dir-b", "bat-2")
FORKED = entry("dir-a", "bat-9")


@pytest.mark.parametrize("command", ["merge", "rebase"])
def test_git_merges_and_rebases_two_branches_without_a_word(ada: Clone, command: str) -> None:
    two_branches(ada, lambda: ada.record(lock(ONE)), lambda: ada.record(lock(TWO, serial=3)))
    ada.git(command, "--quiet", "side")
    assert ada.read() == lock(ONE, TWO, serial=4)
    assert sorted(path.name for path in (ada.folder / "audit").iterdir()) == ["ada-2.jsonl", "ada-3.jsonl"]
    assert ada.git("status", "--porcelain") == ""


@pytest.mark.parametrize("command", ["merge", "rebase"])
def test_two_batches_for_one_key_stop_git_with_words_and_a_file_that_no_command_takes(
    ada: Clone, command: str
) -> None:
    two_branches(ada, lambda: ada.record(lock(ONE, TWO)), lambda: ada.record(lock(FORKED, serial=3)))
    said = ada.git(command, "side", fails=True)
    assert "project/reconciler.lock: two branches recorded different batches for the same work" in said
    for told in ("set/dir-a", "bat-1 (RUNNING, created", "bat-9 (RUNNING, created", "git merge --continue"):
        assert told in said
    with pytest.raises(StateError, match=f"a {command} is under way"):
        ada.push()
    text = ada.lockfile.read_text()
    with pytest.raises(StateError, match="git's conflict marks are in it"):
        read_lock(text, "f")
    # Whoever keeps one of the two lines, as the words say, has a lockfile with every batch.
    lines = text.split("\n")
    at = lines.index("<<<<<<< ours")
    assert (lines[at + 2], lines[at + 4]) == ("=======", ">>>>>>> theirs")
    for kept in (1, 3):
        whole = read_lock("\n".join([*lines[:at], lines[at + kept], *lines[at + 5 :]]), "f")
        assert {item.id for item in whole.entries[ONE.key].batches} == {"bat-1", "bat-9"}
        assert whole.entries[TWO.key] == TWO


def test_both_branches_added_the_first_lockfile(ada: Clone) -> None:
    ada.lockfile.unlink()
    ada.commit("none yet")
    two_branches(ada, lambda: ada.record(lock(ONE)), lambda: ada.record(lock(TWO, serial=3)))
    ada.git("merge", "--quiet", "side")
    assert ada.read() == lock(ONE, TWO, serial=4)


def test_installing_adds_lines_once_and_leaves_others_as_they_are(template: World, tmp_path: Path) -> None:
    clone = copied(template, tmp_path / "world").bob
    file = clone.folder / ".gitattributes"
    file.write_bytes(b"*.pdf binary\r\n# \xff, without an end")
    done = api.install_merge_driver(clone.folder, environ=clone.environ)
    assert file.read_bytes() == (
        b"*.pdf binary\r\n# \xff, without an end\n/reconciler.lock merge=reconciler -text\n/audit/* -text\n"
    )
    assert clone.git("config", "merge.reconciler.driver") == "reconciler lock merge %O %A %B %P"
    assert len(done) == 5
    assert api.install_merge_driver(clone.folder, environ=clone.environ) == ()


def test_installing_wants_a_work_tree(template: World, tmp_path: Path) -> None:
    shutil.copy(template.ada.folder / "reconciler.yaml", tmp_path)
    environ = {**template.ada.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    with pytest.raises(SettingsError, match="in no work tree of git"):
        api.install_merge_driver(tmp_path, environ=environ)
    assert [path.name for path in tmp_path.iterdir()] == ["reconciler.yaml"]


# Three files, without git ------------------------------------------------------------------------------


def files(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / name for name in ("base", "ours", "theirs")]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def refused(paths: list[Path]) -> StateError:
    """The error, after which nobody can take the file for a lockfile."""
    with pytest.raises(StateError) as caught:
        api.merge_lock(*paths, shown="reconciler.lock")
    with pytest.raises(StateError, match="git's conflict marks are in it"):
        read_lock(paths[1].read_text(), "f")
    return caught.value


@pytest.mark.parametrize("damaged", ["", "{", "[]", write_lock(EMPTY).replace("serial", "cereal")])
@pytest.mark.parametrize("side", [1, 2])
def test_a_side_that_is_no_lockfile_is_refused(tmp_path: Path, damaged: str, side: int) -> None:
    texts = [write_lock(EMPTY), write_lock(lock(ONE)), write_lock(lock(TWO))]
    texts[side] = damaged
    error = refused(files(tmp_path, *texts))
    assert error.where.startswith(f"reconciler.lock ({['ours', 'theirs'][side - 1]})")
    assert error.next.startswith("Take the other side of reconciler.lock whole")


def test_two_lockfiles_without_one_past_are_refused_whole(tmp_path: Path) -> None:
    other = write_lock(lock(TWO)).replace('"line"', '"other"')
    paths = files(tmp_path, "", write_lock(lock(ONE)), other)
    assert refused(paths).why == (
        "ours is of lineage line and theirs of other: each was begun by an apply of its own"
    )
    assert paths[1].read_text() == f"<<<<<<< ours\n{write_lock(lock(ONE))}=======\n{other}>>>>>>> theirs\n"


def test_a_base_that_is_in_conflict_itself_drops_nothing(tmp_path: Path) -> None:
    paths = files(tmp_path, "<<<<<<< ours\n", write_lock(lock(ONE)), write_lock(lock(TWO)))
    assert "all is kept" in api.merge_lock(*paths, shown="reconciler.lock")
    assert read_lock(paths[1].read_text(), "f") == lock(ONE, TWO, serial=3)


def test_a_driver_that_is_killed_midway_leaves_conflict_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    paths = files(tmp_path, write_lock(EMPTY), write_lock(lock(ONE)), write_lock(lock(TWO)))
    monkeypatch.setattr("reconciler.api.merging.merge", killed)
    with pytest.raises(KeyboardInterrupt):
        api.merge_lock(*paths)
    with pytest.raises(StateError, match="git's conflict marks are in it"):
        read_lock(paths[1].read_text(), "f")
