"""State that cannot be used: one error that says what helps, nothing sent, nothing changed.

Each case is a project that was applied and has one more batch to create, and one thing done to its files.
What a file store makes of such files in all their detail is in tests/stores.
"""

from __future__ import annotations

import json
import shutil
import zlib
from typing import TYPE_CHECKING, NamedTuple

import neighbour_town
import pytest
from neighbour_disks import READ_ONLY, room, without_rights
from neighbour_project import APPLY, Ended, Project, forget_requests, requests
from session import copy_example

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emulator_process import Emulator

town = neighbour_town.town
new_project = neighbour_town.new_project
service = neighbour_town.service
settled = neighbour_town.settled


_RESTORE = (
    "  next: Restore it from git, or delete it: the next plan then adopts the batches that exist and creates"
    " none of them again"
)
_NOT_OURS = (
    "  next: Put this project's own lockfile there, or none: the next plan then adopts the batches that"
    " exist. If the project was renamed, write its new name into reconciler.lock"
)
_NOT_THE_JOURNALS = (
    "  next: Put the journal's own lockfile back (git log has it). Only if this one is right, remove"
    " reconciler.lock.journal: the next apply is cold, and looks twice before it creates anything"
)
_BOTH_SIDES = (
    "  next: `git merge --abort`, then `reconciler lock merge --install` and merge again: git then merges"
    " lockfiles by itself. Or keep the entries of both sides, one a line and none twice, and remove the marks"
)
_WITNESS = (
    "  next: It is the only witness of creates whose reply was lost: restore it from a backup; or delete it,"
    " and the next apply is cold: it waits a settle time and looks twice before it creates anything"
)
_UPGRADE = "  next: Upgrade: pip install --upgrade batch-reconciler"
_ALLOW = "  next: Give this user access to it and to its folder"
_AUDIT = "  next: Free space or give access to the folder, then run the command again"
_OURS, _THEIRS = "OURS", "00000000-0000-4000-8000-000000000000"


class Case(NamedTuple):
    """What is done to the files, and what is said of it. ``OURS`` stands for the journal's lineage."""

    hurt: Callable[[Path], object]
    said: Sequence[str]
    without_rights: bool = False


def _lockfile(old: str, new: str) -> Callable[[Path], None]:
    def hurt(folder: Path) -> None:
        path = folder / "reconciler.lock"
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    return hurt


def _content(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def hurt(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return hurt


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def hurt(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return hurt


def _mode(name: str, mode: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).chmod(mode)


def _of_another_project(folder: Path) -> None:
    """A lockfile from elsewhere under the same name: another lineage, another service."""
    lock = json.loads((folder / "reconciler.lock").read_text())
    entry = next(iter(lock["entries"].values()))
    lock |= {"lineage": _THEIRS, "projects": {}, "sets": {}, "heads": []}
    lock["entries"] = {"https://api.example prj-1 dir-1 parse_v2 cfg-1": entry}
    (folder / "reconciler.lock").write_text(json.dumps(lock))


def _newer_note(journal: bytes) -> bytes:
    text = b'{"note":"leased","until":"2027-01-01T00:00:00Z"}'
    return journal + b"%08x %s\n" % (zlib.crc32(text), text)


_CASES = {
    "lockfile of a newer version": Case(
        _lockfile('"lockVersion": 1', '"lockVersion": 2,\n"shards": {}'),
        [
            "Error: reconciler.lock:2: lockVersion 2 is not known",
            "  why: this version of reconciler reads lockVersion 1",
            _UPGRADE,
        ],
    ),
    "lockfile of a project of another name": Case(
        _lockfile('"project": "neighbours"', '"project": "theirs"'),
        [
            "Error: reconciler.lock: the lockfile belongs to another project",
            "  why: it says project 'theirs', and reconciler.yaml is that of 'neighbours'",
            _NOT_OURS,
        ],
    ),
    "lockfile of another lineage": Case(
        _of_another_project,
        [
            "Error: reconciler.lock: the lockfile is not the one that the journal beside it belongs to",
            f"  why: it is of lineage {_THEIRS}, and reconciler.lock.journal of {_OURS}",
            _NOT_THE_JOURNALS,
        ],
    ),
    "lockfile with git's conflict marks": Case(
        _lockfile('"serial"', '<<<<<<< HEAD\n"serial"'),
        [
            "Error: reconciler.lock:5: git's conflict marks are in it",
            _BOTH_SIDES,
        ],
    ),
    "lockfile with a byte order mark": Case(
        _content("reconciler.lock", lambda content: b"\xef\xbb\xbf" + content),
        [
            "Error: reconciler.lock:1:1: it begins with a byte order mark",
            "  why: an editor put it there; this tool writes none",
            "  next: Save it as UTF-8 without one, or restore it from git",
        ],
    ),
    "lockfile that is cut off": Case(
        _content("reconciler.lock", lambda content: content[:40]),
        [
            "Error: reconciler.lock:3:12: not valid JSON: Unterminated string starting at",
            _RESTORE,
        ],
    ),
    "lockfile that is empty": Case(
        _content("reconciler.lock", lambda _: b""),
        [
            "Error: reconciler.lock: the lockfile is empty",
            "  next: Restore it from git, or delete it",
        ],
    ),
    "folder in the lockfile's place": Case(
        _instead("reconciler.lock", lambda path: path.mkdir()),
        [
            "Error: reconciler.lock: cannot read the state",
            "  why: is a directory",
            "  next: Move the folder away: a file belongs there",
        ],
    ),
    "lockfile that is a link to nowhere": Case(
        _instead("reconciler.lock", lambda path: path.symlink_to("nowhere.lock")),
        [
            "Error: reconciler.lock: the lockfile is a symbolic link",
            "  why: it is replaced by renaming, and its lock is beside it: neither follows a link",
            "  next: Name the file itself as state.path in reconciler.yaml",
        ],
    ),
    "lockfile that may not be read": Case(
        _mode("reconciler.lock", 0),
        [
            "Error: reconciler.lock: cannot read the state",
            "  why: permission denied",
            _ALLOW,
        ],
        without_rights=True,
    ),
    "folder in the journal's place": Case(
        _instead("reconciler.lock.journal", lambda path: path.mkdir()),
        [
            "Error: reconciler.lock.journal: cannot write the state",
            "  why: is a directory",
            "  next: Move the folder away: a file belongs there",
        ],
    ),
    "journal of garbage": Case(
        _content("reconciler.lock.journal", lambda content: content + b"\0garbage\n"),
        [
            "Error: reconciler.lock.journal:3: the journal is damaged: the checksum does not fit the line",
            _WITNESS,
        ],
    ),
    "journal with a note of a newer version": Case(
        _content("reconciler.lock.journal", _newer_note),
        [
            "Error: reconciler.lock.journal:3: a note of the kind 'leased' is not known",
            "  why: its checksum fits, so a newer version of reconciler wrote it",
            _UPGRADE,
        ],
    ),
    "journal that may not be written": Case(
        _mode("reconciler.lock.journal", 0o444),
        [
            "Error: reconciler.lock.journal: cannot write the state",
            "  why: permission denied",
            _ALLOW,
        ],
        without_rights=True,
    ),
    "file in the audit log's place": Case(
        _instead("audit", lambda path: path.write_text("a note to self\n")),
        ["Error: FOLDER/audit: the audit log cannot be written", "  why: Not a directory", _AUDIT],
    ),
    "audit log that is a link to nowhere": Case(
        _instead("audit", lambda path: path.symlink_to("nowhere")),
        ["Error: FOLDER/audit: the audit log cannot be written", "  why: No such file or directory", _AUDIT],
    ),
    "audit log that may not be written": Case(
        _mode("audit", 0o555),
        ["Error: FOLDER/audit: the audit log cannot be written", "  why: Permission denied", _AUDIT],
        without_rights=True,
    ),
}


@pytest.mark.parametrize("name", _CASES)
def test_what_cannot_be_used_is_one_error_and_nothing_is_sent_or_changed(
    settled: Callable[[Path], Project], service: Emulator, tmp_path: Path, name: str
) -> None:
    case = _CASES[name]
    project = settled(tmp_path / "project")
    lineage = json.loads((project.folder / "reconciler.lock").read_text())["lineage"]
    case.hurt(project.folder)
    before = project.bytes()
    forget_requests(service)
    refused = project.run(*APPLY, wrap=without_rights() if case.without_rights else ())
    said = [line.replace(_OURS, lineage).replace("FOLDER", str(project.folder)) for line in case.said]
    assert refused == Ended(1, said)
    assert requests(service) == []
    assert project.bytes() == before


def test_an_audit_log_on_a_read_only_file_system_is_found_out_before_any_request(
    settled: Callable[[Path], Project], service: Emulator, tmp_path: Path
) -> None:
    project = settled(tmp_path / "project")
    before = project.bytes()
    with room(READ_ONLY, project.folder / "audit") as there:
        project.wrap = there.enter
        forget_requests(service)
        said = f"Error: {project.folder}/audit: the audit log cannot be written"
        assert project.run(*APPLY) == Ended(1, [said, "  why: Read-only file system", _AUDIT])
        assert requests(service) == []
    assert project.bytes() == before


_EMBEDDED: dict[str, Case] = {
    "folder that may not be written": Case(
        lambda folder: (folder / ".reconciler").mkdir(mode=0o555),
        ["permission denied"],
        without_rights=True,
    ),
    "file in the folder's place": Case(
        lambda folder: (folder / ".reconciler").write_text("a note to self\n"), ["not a directory"]
    ),
}


@pytest.mark.parametrize("name", _EMBEDDED)
def test_an_embedded_service_that_can_keep_nothing_is_one_error_and_plan_works(
    tmp_path: Path, name: str
) -> None:
    case = _EMBEDDED[name]
    copy_example("quickstart", tmp_path / "project")
    case.hurt(tmp_path / "project")
    project = Project(tmp_path / "project", None, {})
    wrap = without_rights() if case.without_rights else ()
    before = project.bytes()
    assert project.run("plan", wrap=wrap).lines[-1] == "Plan: 3 to create (9 files)."
    assert project.run(*APPLY, wrap=wrap) == Ended(
        1,
        [
            "Error: .reconciler/local.db: the embedded service cannot write to its database",
            f"  why: {case.said[0]}",
            "  next: Free some space, or give this user access to the folder and all that is in it",
        ],
    )
    # An empty file, as the lock needs one: a journal is never removed.
    assert project.bytes() == before | {"reconciler.lock.journal": b""}


def test_a_lockfile_with_the_line_ends_of_another_system_is_read_and_written_with_ours(
    settled: Callable[[Path], Project], tmp_path: Path
) -> None:
    """As git may check it out: the same JSON, so no error; another digest, so a cold run (C2)."""
    project = settled(tmp_path / "project")
    path = project.folder / "reconciler.lock"
    ours, lock = path.read_bytes(), project.state()[0]
    path.write_bytes(ours.replace(b"\n", b"\r\n"))
    assert project.state()[0] == lock
    assert not project.state()[1].warm
    assert project.run(*APPLY, "--target", "papers") == Ended(
        0, ["No changes. 2 batches as desired, 2 of them still running. 1 desired batch not selected."]
    )
    assert path.read_bytes() == ours
    assert project.state()[1].warm
