"""Every line of a log of three runs is tried: edited, dropped, swapped, doubled, cut at, and rewritten from.

What the hashes cannot show, the lockfile's heads do, and what is rewritten with these, a signed checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from audit_written import LOCKFILE, NOON, WHO, StillClock, forge, line, path, read, write

from reconciler.adapters.audit import AuditFolder, generate, read_public_key, signed_heads, signer_of, verify
from reconciler.adapters.audit.lines import sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from reconciler.model.audit import AuditFault

RUNS = ("run-1", "run-2", "run-3")

Lines = list[bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / "audit"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    generate(tmp_path / "key")
    return tmp_path / "key"


def three_runs(folder: Path) -> list[str]:
    """Each follows the one before; gives what the lockfile then holds."""
    heads: list[str] = []
    for run in RUNS:
        heads = [write(folder, run, heads, lines=3)]
    return heads


def places(folder: Path) -> Iterator[tuple[Path, int, Lines]]:
    for run in RUNS:
        file = path(folder, run)
        lines = file.read_bytes().splitlines(keepends=True)
        yield from ((file, number, lines) for number in range(1, len(lines) + 1))


def found(folder: Path, heads: Sequence[str]) -> tuple[AuditFault, ...]:
    return verify(folder, heads, LOCKFILE).faults


def edited(lines: Lines, at: int) -> Lines:
    return [*lines[: at - 1], lines[at - 1].replace(b'"ada"', b'"eve"'), *lines[at:]]


def dropped(lines: Lines, at: int) -> Lines:
    return [*lines[: at - 1], *lines[at:]]


def swapped(lines: Lines, at: int) -> Lines:
    return [*lines[: at - 1], *reversed(lines[at - 1 : at + 1]), *lines[at + 1 :]]


def doubled(lines: Lines, at: int) -> Lines:
    return [*lines[:at], lines[at - 1], *lines[at:]]


def cut(lines: Lines, at: int) -> Lines:
    return lines[: at - 1]


# Where the fault is said to be: at the line itself, or where the first wrong one then stands.
WHERE: dict[Callable[[Lines, int], Lines], int] = {edited: 0, dropped: 0, swapped: 0, doubled: 1, cut: 0}


@pytest.mark.parametrize("spoil", WHERE, ids=lambda spoil: spoil.__name__)
def test_whatever_is_done_to_any_line_is_found_and_named(
    folder: Path, spoil: Callable[[Lines, int], Lines]
) -> None:
    heads = three_runs(folder)
    assert found(folder, heads) == ()
    tried = 0
    for file, number, lines in places(folder):
        spoilt = spoil(lines, number)
        if spoilt == lines:
            continue  # the last line has no next one to be swapped with
        tried += 1
        file.write_bytes(b"".join(spoilt))
        faults = found(folder, heads)
        named = {(fault.file, fault.line) for fault in faults}
        assert (f"audit/{file.name}", number + WHERE[spoil]) in named, (spoil.__name__, file.name, number)
        file.write_bytes(b"".join(lines))
    assert tried == (9 if spoil is swapped else 12)


def test_a_line_with_right_hashes_behind_the_end_that_the_lockfile_names_is_found(folder: Path) -> None:
    heads = three_runs(folder)
    file = path(folder, RUNS[-1])
    content = file.read_bytes()
    last = read(file)[-1]
    forged = {**last, "prev": last["hash"], "action": "forget", "outcome": "forgotten"}
    file.write_bytes(content + sealed(forged).text)
    (fault,) = found(folder, heads)
    assert (fault.file, fault.line) == (f"audit/{file.name}", 5)
    assert fault.what == "from here on, lines were added after the end that reconciler.lock:6 names"


def test_a_file_under_another_name_is_found(folder: Path) -> None:
    heads = three_runs(folder)
    for run in RUNS:
        copy = folder / f"20260901T120001Z-{run}.jsonl"
        copy.write_bytes(path(folder, run).read_bytes())
        (fault,) = found(folder, heads)
        assert (
            str(fault) == f'audit/{copy.name}:1: has the header of another file: "{path(folder, run).name}"'
        )
        copy.unlink()
    # Two that change places lack what each is named for, and say whose they are.
    one, two = path(folder, "run-1"), path(folder, "run-2")
    contents = one.read_bytes(), two.read_bytes()
    two.write_bytes(contents[0])
    one.write_bytes(contents[1])
    whats = {(fault.file, fault.what.split(":")[0]) for fault in found(folder, heads)}
    other = "has the header of another file"
    assert {(f"audit/{one.name}", other), (f"audit/{two.name}", other)} <= whats


def test_a_whole_file_that_goes_is_found(folder: Path) -> None:
    heads = three_runs(folder)
    for run in RUNS:
        file = path(folder, run)
        content = file.read_bytes()
        file.unlink()
        assert [fault.file for fault in found(folder, heads)] == [f"audit/{file.name}"]
        file.write_bytes(content)


def test_a_rewritten_chain_is_found_by_the_lockfile_and_with_it_rewritten_too_by_a_checkpoint(
    folder: Path, key: Path
) -> None:
    heads = three_runs(folder)
    signer = signer_of({"RECONCILER_AUDIT_KEY": str(key)})
    assert signer is not None
    checkpoint, _ = AuditFolder(folder).checkpoint(signer, NOON)
    public = [read_public_key(key.with_name("key.pub"))]
    kept = {file: file.read_bytes() for file in folder.iterdir()}

    def with_key(heads: Sequence[str]) -> tuple[AuditFault, ...]:
        signed, faults = signed_heads(folder, (), public)
        assert faults == []
        return verify(folder, heads, LOCKFILE, signed=signed).faults

    assert with_key(heads) == ()
    last = f"audit/{path(folder, RUNS[-1]).name}"
    for file, number, _ in places(folder):
        forged = forge(folder, file, number, heads)
        story = (file.name, number)
        # The hashes are right, but the line that the lockfile names is gone.
        assert [(fault.file, fault.line) for fault in found(folder, heads)] == [(last, 5)], story
        # Whoever rewrites the lockfile as well is not found without a signature.
        assert found(folder, forged) == (), story
        faults = with_key(forged)
        assert any(
            fault.what.startswith(f"is missing: audit/{checkpoint.name}:1 names") for fault in faults
        ), faults
        # No line of the forged log is vouched for.
        assert [(fault.file, fault.line) for fault in faults if "no signature vouches" in fault.what] == [
            (f"audit/{path(folder, run).name}", 1) for run in RUNS
        ]
        for there, content in kept.items():
            there.write_bytes(content)
    assert with_key(heads) == ()


def test_each_run_signs_its_head_and_what_follows_without_a_key_is_not_vouched_for(
    folder: Path, key: Path
) -> None:
    signer = signer_of({"RECONCILER_AUDIT_KEY": key.read_text()})
    heads = [write(folder, "run-1")]  # before there was a key
    log = AuditFolder(folder).begin("run-2", WHO, heads, StillClock(), signer)
    log.append(line())
    heads = [log.close()]
    signed, faults = signed_heads(folder, (), [read_public_key(key.with_name("key.pub"))])
    assert faults == []
    assert [item.heads for item in signed] == [tuple(heads)]
    assert verify(folder, heads, LOCKFILE, signed=signed).faults == ()

    heads = [write(folder, "run-3", heads)]
    (fault,) = verify(folder, heads, LOCKFILE, signed=signed).faults
    name = f"audit/{path(folder, 'run-3').name}"
    assert (fault.file, fault.line, fault.what) == (
        name,
        1,
        "from here on, no signature vouches for the file",
    )

    late = path(folder, "run-2")
    late.write_bytes(late.read_bytes() + b"{}\n")  # behind the signed head
    faults_now = verify(folder, heads, LOCKFILE, signed=signed).faults
    assert f"audit/{late.name}:3: from here on, no signature vouches for the file" in map(str, faults_now)
