"""The audit log: what is written, what it follows, and which changes verifying sees."""

from __future__ import annotations

import json
import os
import resource
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from reconciler import __version__
from reconciler.adapters.audit import AuditFile, AuditFolder, verify
from reconciler.model.audit import AuditLine
from reconciler.model.errors import StateError
from reconciler.model.ports import AuditLog, Environment
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
WHO = Environment("ada", "git", "", "c0ffee", True)
LOCKFILE = Source("reconciler.lock", 6)
SCHEMA = Path(__file__).parents[2] / "schemas" / "audit-line.json"


class StillClock:
    """Noon."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        pass


def line(batch: str = "bat-1", **changes: str) -> AuditLine:
    texts = {
        "action": "create",
        "address": "invoices/dir-1",
        "key": "e p dir-1 parse_v2 cfg-1",
        "outcome": "created",
        "why": "missing",
        "plan": "sha256:1",
        "request_id": "req-1",
    }
    return AuditLine(time=NOON + timedelta(milliseconds=250), batch=batch, **texts | changes)


def begin(folder: Path, run: str, heads: Sequence[str] = ()) -> AuditFile:
    return AuditFolder(folder).begin(run, WHO, heads, StillClock())


def write(folder: Path, run: str, heads: Sequence[str] = (), lines: int = 2) -> str:
    """A whole run; gives its head."""
    log: AuditLog = begin(folder, run, heads)
    for number in range(lines):
        log.append(line(f"bat-{number}"))
    return log.close()


def path(folder: Path, run: str) -> Path:
    return folder / f"20260901T120000Z-{run}.jsonl"


def read(file: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in file.read_text().splitlines()]


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


def read_head(file: Path, whole: bytes) -> str:
    return f"{file.name}#{json.loads(whole.splitlines()[-1])['hash']}"


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


# --- verifying ---

LOST = "names a line that is not there; the end was cut off, or all was written anew"


def faults(folder: Path, heads: Sequence[str]) -> list[str]:
    return [str(fault) for fault in verify(folder, heads, LOCKFILE).faults]


def rewrite(file: Path, lines: Sequence[bytes]) -> None:
    file.write_bytes(b"".join(lines))


def test_a_flipped_byte_in_any_place_is_seen_and_its_line_is_named(folder: Path) -> None:
    head = write(folder, "run-1", [write(folder, "run-0")], lines=2)
    file = path(folder, "run-1")
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        number = whole[:position].count(b"\n") + 1
        found = faults(folder, [head])
        assert any(fault.startswith(f"audit/{file.name}:{number}: ") for fault in found), (position, found)


def test_edited_dropped_moved_and_cut_lines(folder: Path) -> None:
    root = write(folder, "run-1", lines=3)
    head = write(folder, "run-2", [root])
    file = path(folder, "run-1")
    name = f"audit/{file.name}"
    header, one, two, three = lines = file.read_bytes().splitlines(keepends=True)
    here = f"audit/{path(folder, 'run-2').name}:1"
    lost = f"is missing: {here} {LOST}"
    moved = "does not follow the line before it: lines were dropped, moved or put in between"
    changed = "was changed after it was written: its hash does not fit"
    none = "is not a line of an audit log"
    table: list[tuple[list[bytes], list[str]]] = [
        (lines, []),
        ([header, one, two.replace(b"bat-1", b"bat-7"), three], [f"{name}:3: {changed}"]),
        ([header, one.replace(b'":"', b'": "', 1), two, three], [f"{name}:2: {none}"]),
        ([header, one, three], [f"{name}:3: {moved}"]),
        ([header, two, one, three], [f"{name}:2: {moved}", f"{name}:3: {moved}", f"{name}:4: {moved}"]),
        ([header, one, one, two, three], [f"{name}:3: {moved}"]),
        ([header, one, two], [f"{name}:4: {lost}"]),
        ([header, one, two, three[:-1]], [f"{name}:4: {lost}"]),
        ([header], [f"{name}:2: {lost}"]),
        ([], [f"{name}:1: {lost}"]),
        ([one, two, three], [f"{name}:1: is not a header, so the lines before it were dropped"]),
        (
            [header, one, two, three, header],
            [
                f"{name}:5: {moved}",
                f"{name}:5: is a header, and only the first line can be one",
            ],
        ),
        ([b"\xff\xfe", *lines], [f"{name}:1: {none}"]),
        ([header, b"[" * 100_000 + b"\n", one, two, three], [f"{name}:2: {none}"]),
        # The line that is named may be the one that was changed: one damage is one fault.
        ([header, one, two, three.replace(b"bat-2", b"bat-7")], [f"{name}:4: {changed}"]),
        ([header, one, two, three[:-1] + b" "], [f"{name}:4: {none}"]),
        # Elsewhere it is another one.
        ([header, one.replace(b"bat-0", b"bat-7"), two], [f"{name}:2: {changed}", f"{name}:4: {lost}"]),
    ]
    for spoilt, expected in table:
        rewrite(file, spoilt)
        assert faults(folder, [head]) == expected
    file.unlink()
    assert faults(folder, [head]) == [f"{name}:1: there is no such file, and {here} names a line of it"]


def test_a_changed_header_does_not_have_sound_files_blamed(folder: Path) -> None:
    root = write(folder, "run-1")
    head = write(folder, "run-2", [root])
    file = path(folder, "run-2")
    header, *rest = file.read_bytes().splitlines(keepends=True)
    rewrite(file, [header.replace(b"run-1.jsonl", b"run-7.jsonl"), *rest])
    assert faults(folder, [head]) == [
        f"audit/{file.name}:1: names other heads than it was written with",
        f"audit/{file.name}:1: was changed after it was written: its hash does not fit",
    ]


def test_a_forged_line_with_a_hash_of_its_own_breaks_the_chain(folder: Path, tmp_path: Path) -> None:
    head = write(folder, "run-1", lines=3)
    forged = AuditFolder(tmp_path / "forged").begin("run-1", WHO, (), StillClock())
    for batch in ("bat-0", "bat-9", "bat-2"):
        forged.append(line(batch))
    forged.close()
    file = path(folder, "run-1")
    lines = file.read_bytes().splitlines(keepends=True)
    other = path(tmp_path / "forged", "run-1").read_bytes().splitlines(keepends=True)
    rewrite(file, [*lines[:2], other[2], lines[3]])
    moved = "does not follow the line before it: lines were dropped, moved or put in between"
    assert faults(folder, [head]) == [f"audit/{file.name}:4: {moved}"]
    rewrite(file, other)
    assert faults(folder, [head]) == [f"audit/{file.name}:5: is missing: reconciler.lock:6 {LOST}"]


def test_a_head_that_is_none_and_one_whose_file_is_gone(folder: Path) -> None:
    assert faults(folder, ["../x#1", f"run.jsonl#sha256:{'0' * 64}"]) == [
        "audit/run.jsonl:1: there is no such file, and reconciler.lock:6 names a line of it",
        'reconciler.lock:6: "../x#1" is not a head of the form FILE#HASH',
    ]


def test_what_two_name_and_is_lost_is_one_fault(folder: Path) -> None:
    root = write(folder, "run-1")
    head = write(folder, "run-2", [root])
    path(folder, "run-1").unlink()
    (fault,) = faults(folder, [head, root])
    by = f"audit/{path(folder, 'run-2').name}:1 and reconciler.lock:6"
    assert fault == f"audit/{path(folder, 'run-1').name}:1: there is no such file, and {by} name a line of it"


# --- the way out of a fault ---


def ways_out(folder: Path, heads: Sequence[str]) -> list[str]:
    return [fault.next for fault in verify(folder, heads, LOCKFILE).faults]


RESTORE = (
    "`git log -p -- {0}` shows who changed it, and `git diff -- {0}` what no commit has yet; restore it with"
    " `git checkout COMMIT -- {0}`"
)
COPY = "If no commit has that line, copy the file from the machine that ran it; if a crash took it there,"


def test_a_changed_file_is_restored_from_git(folder: Path) -> None:
    head = write(folder, "run-1")
    file = path(folder, "run-1")
    file.write_bytes(file.read_bytes().replace(b"bat-0", b"bat-7"))
    assert ways_out(folder, [head]) == [RESTORE.format(f"audit/{file.name}")]
    assert ways_out(folder, ["x"])[1:] == [RESTORE.format("reconciler.lock")]


def test_an_end_that_a_crash_took_is_no_longer_named_and_the_next_run_follows_what_is_left(
    folder: Path,
) -> None:
    head = write(folder, "run-1")
    file = path(folder, "run-1")
    file.write_bytes(file.read_bytes()[:-1])

    (way_out,) = ways_out(folder, [head])
    assert way_out == (
        f'{RESTORE.format(f"audit/{file.name}")}. {COPY} take "{head}" out of "heads" in reconciler.lock:6,'
        " and the next run follows what is left"
    )

    assert faults(folder, []) == []
    following = write(folder, "run-2", [])
    left = file.read_bytes().rpartition(b"\n")[0]
    assert read(path(folder, "run-2"))[0]["heads"] == [read_head(file, left)]
    assert faults(folder, [following]) == []


def test_an_end_that_a_later_run_names_stays_a_fault_if_nobody_has_it(folder: Path) -> None:
    head = write(folder, "run-2", [write(folder, "run-1")])
    path(folder, "run-1").unlink()
    (way_out,) = ways_out(folder, [head])
    assert way_out == (
        f"{RESTORE.format('audit/' + path(folder, 'run-1').name)}. {COPY} it is lost: say so in a commit."
        " This fault then stays, and plan and apply do not mind it"
    )


def test_a_file_of_a_newer_version_wants_an_upgrade(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.adapters.audit.log.FORMAT_VERSION", 2)
    head = write(folder, "run-1")
    monkeypatch.undo()
    assert ways_out(folder, [head]) == ["Upgrade: pip install --upgrade batch-reconciler"]


def test_a_format_of_the_future_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.adapters.audit.log.FORMAT_VERSION", 2)
    head = write(folder, "run-1")
    monkeypatch.undo()
    assert faults(folder, [head]) == [
        f"audit/{path(folder, 'run-1').name}:1: has format version 2; this tool knows 1"
    ]


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
