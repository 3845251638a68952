"""Verifying the audit log: which changes show, in which file and line, and what is advised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from audit_written import LOCKFILE, WHO, StillClock, faults, line, path, read, read_head, write

from reconciler.adapters.audit import AuditFolder, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOST = "names a line that is not there; the end was cut off, or all was written anew"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / "audit"


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
