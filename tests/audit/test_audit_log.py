"""The audit log: what is written, and what it follows."""

from __future__ import annotations

import json
import os
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from audit_written import StillClock, begin, faults, line, path, read, read_head, write
from jsonschema import Draft202012Validator

from reconciler import __version__
from reconciler.adapters.audit import AuditFolder
from reconciler.model.errors import StateError
from reconciler.model.ports import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = Path(__file__).parents[2] / "schemas" / "audit-line.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / "audit"


def test_a_run_is_a_header_and_a_line_per_action(folder: Path) -> None:
    head = write(folder, "run-1")
    header, first, second = read(path(folder, "run-1"))
    about = {"run": "run-1", "actor": "ada", "ciRun": "", "commit": "c0ffee", "dirty": True}
    assert header == {
        "kind": "run",
        "formatVersion": 1,
        "tool": f"reconciler {__version__}",
        "time": "2026-09-01T12:00:00Z",
        "actorSource": "git",
        "approver": "",
        "approverSource": "unknown",
        "heads": [],
        "prev": "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",  # of []
        "hash": header["hash"],
        **about,
    }
    assert first == {
        "kind": "action",
        "time": "2026-09-01T12:00:00.250000Z",
        "plan": "sha256:1",
        "action": "create",
        "address": "invoices/dir-1",
        "key": "e p dir-1 parse_v2 cfg-1",
        "batch": "bat-0",
        "outcome": "created",
        "why": "missing",
        "requestId": "req-1",
        "prev": header["hash"],
        "hash": first["hash"],
        **about,
    }
    assert second["prev"] == first["hash"]
    assert head == f"{path(folder, 'run-1').name}#{second['hash']}"
    assert faults(folder, [head]) == []


@pytest.mark.parametrize("letter", ["x", "\x01", "\U0001f600"], ids=ascii)
def test_no_text_from_outside_makes_a_line_too_long_to_be_read(folder: Path, letter: str) -> None:
    text = letter * 1_100_000
    log = AuditFolder(folder).begin(
        "run-1", Environment(text, "git", text, text, None, text), (), StillClock()
    )
    log.append(line(why=text, request_id=text))
    assert faults(folder, [log.close()]) == []
    header, action = read(path(folder, "run-1"))
    assert header["approver"] == action["why"] == action["actor"] == f"{letter * 8191}…"


def test_every_written_line_satisfies_the_schema(folder: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    write(folder, "run-2", [write(folder, "run-1")])
    hostile = AuditFolder(folder).begin("r\n3", Environment("", "", "", "", None), (), StillClock())
    hostile.append(line("\ud800\x00"))
    hostile.close()
    lines = [one for file in sorted(folder.iterdir()) for one in read(file)]
    assert len(lines) == 8
    assert [error.message for one in lines for error in validator.iter_errors(one)] == []
    assert not validator.is_valid(lines[0] | {"prev": "sha256:"})
    assert not validator.is_valid(lines[1] | {"surplus": 1})


def test_a_run_without_actions_leaves_nothing_behind(folder: Path) -> None:
    log = begin(folder, "run-1")
    assert (log.close(), log.close()) == ("", "")
    assert not folder.exists()
    assert faults(folder, []) == []


def test_a_closed_log_takes_no_more_lines_and_keeps_its_head(folder: Path) -> None:
    log = begin(folder, "run-1")
    log.append(line())
    head = log.close()
    assert log.close() == head
    with pytest.raises(ValueError, match="closed"):
        log.append(line())


def test_foreign_text_cannot_leave_its_line_or_move_a_cursor(folder: Path) -> None:
    log = begin(folder, "../run 1\n")
    log.append(line("bat\n{}\x1b[2J\x7f\x9b\u202e\u2028é\ud800"))
    head = log.close()
    file = folder / "20260901T120000Z-.._run_1_.jsonl"
    written = file.read_bytes()
    assert written.count(b"\n") == 2
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in written)
    assert read(file)[1]["batch"] == "bat\n{}\x1b[2J\x7f\x9b\u202e\u2028é\ud800"
    assert faults(folder, [head]) == []


# --- heads ---


def test_a_run_follows_the_heads_that_the_lockfile_holds(folder: Path) -> None:
    first = write(folder, "run-1")
    second = write(folder, "run-2", [first])
    assert read(path(folder, "run-2"))[0]["heads"] == [first]
    assert faults(folder, [second]) == []


def test_two_branches_merge_into_a_union_of_files(folder: Path) -> None:
    root = write(folder, "run-1")
    branches = [write(folder, run, [root]) for run in ("run-3", "run-2")]
    merged = write(folder, "run-4", branches)
    assert read(path(folder, "run-4"))[0]["heads"] == sorted(branches)
    assert faults(folder, [merged]) == []


def test_a_killed_runs_file_is_followed_by_the_next_run(folder: Path) -> None:
    first = write(folder, "run-1")
    killed = begin(folder, "run-2", [first])
    killed.append(line())  # and never closed, so the lockfile does not know it
    torn = path(folder, "run-2")
    whole = torn.read_bytes()
    torn.write_bytes(whole + whole[-50:-1])
    second = read_head(torn, whole)
    third = write(folder, "run-3", [first])
    assert read(path(folder, "run-3"))[0]["heads"] == sorted([first, second])
    assert faults(folder, [third]) == []


def test_what_a_header_names_is_durable_before_the_header_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = begin(folder, "a" * 12)
    killed.append(line())  # and no close: nothing has made its file durable
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", lambda file: synced.append(os.fstat(file).st_ino))

    begin(folder, "b" * 12)

    assert synced == [path(folder, "a" * 12).stat().st_ino]


def test_a_file_cut_at_any_byte_stops_neither_the_next_run_nor_verifying(folder: Path) -> None:
    write(folder, "run-1", lines=1)
    file = path(folder, "run-1")
    whole = file.read_bytes()
    header_length = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        sound = whole[:length].rpartition(b"\n")[0] if length >= header_length else b""
        expected = [read_head(file, sound)] if sound else []
        head = write(folder, "run-2")
        assert read(path(folder, "run-2"))[0]["heads"] == expected, length
        assert faults(folder, [head]) == [], length
        path(folder, "run-2").unlink()


def test_a_last_line_longer_than_a_block_is_found(folder: Path) -> None:
    log = begin(folder, "run-1")
    log.append(line(why="x" * 20_000))
    head = log.close()
    write(folder, "run-2")
    assert read(path(folder, "run-2"))[0]["heads"] == [head]


# --- files that do not take it ---


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The operating system refuses to let files grow further, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


NEXT = "Free space or give access to the folder, then run the command again"


def test_a_disk_that_is_full_before_the_run_is_said_before_anything_is_sent(folder: Path) -> None:
    with files_no_larger_than(100), pytest.raises(StateError) as caught:
        begin(folder, "run-1")
    assert str(caught.value) == f"{folder}: the audit log cannot be written: File too large. {NEXT}"


def test_a_disk_that_fills_up_leaves_whole_lines_only(folder: Path) -> None:
    log = begin(folder, "run-1")
    file = path(folder, "run-1")
    with files_no_larger_than(300), pytest.raises(StateError) as caught:
        log.append(line("bat-0"))
    assert str(caught.value) == f"{file}: the audit log cannot be written: File too large. {NEXT}"
    assert not file.exists()

    log.append(line("bat-1"))
    before = file.read_bytes()
    with files_no_larger_than(len(before) + 20), pytest.raises(StateError):
        log.append(line("bat-2"))
    assert file.read_bytes() == before

    log.append(line("bat-3"))
    head = log.close()
    assert [one.get("batch") for one in read(file)] == [None, "bat-1", "bat-3"]
    assert faults(folder, [head]) == []


def test_a_place_where_no_folder_can_be_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError) as caught:
        begin(tmp_path / "file" / "audit", "run-1")
    where = tmp_path / "file" / "audit"
    assert str(caught.value) == f"{where}: the audit log cannot be written: Not a directory. {NEXT}"


def test_another_file_of_the_same_name_is_not_written_over(folder: Path) -> None:
    write(folder, "run-1")
    before = path(folder, "run-1").read_bytes()
    with pytest.raises(StateError, match="File exists"):
        begin(folder, "run-1").append(line())
    assert path(folder, "run-1").read_bytes() == before
