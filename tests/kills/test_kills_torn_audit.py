"""An audit file that is cut or has a flipped bit shows when it is verified, and where, and what helps.

What names a file's last line is the lockfile, or the header of the run that followed; until one of them does,
whole lines can be cut off the end of a killed run's file unseen.
"""

from __future__ import annotations

import itertools
import random
import re
from typing import TYPE_CHECKING

import pytest
from memory_folder import memory_folder
from rotting_state import State

from reconciler.adapters.audit import verify
from reconciler.cli.main import cli
from reconciler.model.source import Source
from reconciler.render.audit import verified_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SEED = 13


@pytest.fixture
def state() -> Iterator[State]:
    """A killed run's file, and that of the run that recovered what it had left."""
    with memory_folder() as folder:
        made = State(folder / "it", killed=True)
        made.apply()
        yield made


def files(state: State) -> list[Path]:
    found = sorted(state.audit.iterdir())
    assert len(found) == 2
    assert faults(state) == []
    return found


def faults(state: State, heads: Sequence[str] | None = None) -> list[str]:
    """What `audit verify` would print is looked at as well."""
    heads = state.world.lock.heads if heads is None else heads
    verified = verify(state.audit, heads, Source("state/reconciler.lock", 5))
    assert_told(list(verified_lines(verified)), len(verified.faults))
    return [str(fault) for fault in verified.faults]


FAULT = re.compile(r"(audit/[\w-]+\.jsonl|state/reconciler\.lock):[1-9]\d*: \S.*")
NEXT = re.compile(r"  next: `git log -p -- \S+` .* `git checkout COMMIT -- \S+`.*")
CLOSING = re.compile(r"Audit log: [12] files?, \d+ lines?, (no|[1-9]\d*) faults?\.")


def assert_told(printed: Sequence[str], count: int) -> None:
    """As many faults, each with its file and line; what helps, what would have shown, the closing line."""
    assert [bool(FAULT.fullmatch(line)) for line in printed[:count]] == [True] * count, printed
    *ways_out, cut, rewritten, closing = printed[count:]
    assert (cut[:9], rewritten[:5]) == ("A cut end", "A log"), printed
    assert (match := CLOSING.fullmatch(closing)), printed
    assert match[1] == (str(count) if count else "no"), printed
    assert bool(ways_out) == bool(count), printed
    assert all(NEXT.fullmatch(line) for line in ways_out), printed


def test_a_file_cut_at_any_byte_shows_because_the_lockfile_or_the_next_run_names_its_end(
    state: State,
) -> None:
    killed, followed = files(state)
    for file, by in (
        (killed, f"audit/{followed.name}:1"),
        (followed, "state/reconciler.lock:5"),
    ):
        whole, heads = file.read_bytes(), state.world.lock.heads
        for size in range(len(whole)):
            file.write_bytes(whole[:size])
            lost = f"audit/{file.name}:{whole[:size].count(10) + 1}: is missing: {by} names a line"
            (fault,) = faults(state, heads)
            assert fault.startswith(lost), (file, size)
        file.write_bytes(whole)


def test_a_flipped_bit_in_any_line_shows_at_its_line(state: State, long: bool) -> None:  # noqa: FBT001 - a fixture
    dice = random.Random(SEED)
    count = 0
    for file in files(state):
        whole = file.read_bytes()
        breaks = [at for at, byte in enumerate(whole) if byte == 0x0A]
        for at in range(len(whole)) if long else sorted({*breaks, *dice.sample(range(len(whole)), 200)}):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << dice.randrange(8)]) + whole[at + 1 :])
            here = f"audit/{file.name}:{whole[:at].count(10) + 1}: "
            assert any(fault.startswith(here) for fault in faults(state)), (f"seed {SEED}", file, at)
            count += 1
        file.write_bytes(whole)
    print(f"{count} flips, seed {SEED}")  # noqa: T201 - the counts


def test_the_next_run_goes_on_behind_a_killed_runs_torn_line() -> None:
    with memory_folder() as folder:
        state = State(folder / "it", killed=True)
        (killed,) = state.audit.iterdir()
        whole = killed.read_bytes()
        for size in range(0, len(whole) + 1, 37):
            state.put_back(killed, whole[:size])
            state.apply()
            assert faults(state) == [], size


def test_a_killed_runs_torn_end_is_no_fault_while_nobody_names_it() -> None:
    with memory_folder() as folder:
        state = State(folder / "it", killed=True)
        (killed,) = state.audit.iterdir()
        whole = killed.read_bytes()
        for size in range(len(whole) + 1):
            killed.write_bytes(whole[:size])
            assert faults(state) == [], size


PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: rot}
spec:
  manifests: ["batches/*.yaml"]
  providers: {local: {type: local, root: documents}}
  state: {type: file, path: state/reconciler.lock}
"""


def test_the_command_tells_a_flip_in_every_line_and_a_cut_of_every_line(
    state: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = state.audit.parent
    (project / "reconciler.yaml").write_text(PROJECT)  # and no manifest
    monkeypatch.chdir(project)
    dice = random.Random(SEED)

    def said() -> list[str]:
        code = cli.main(["audit", "verify"], prog_name="reconciler", standalone_mode=False)
        out, err = capsys.readouterr()
        printed = out.splitlines()
        count = sum(bool(FAULT.fullmatch(line)) for line in printed)
        assert (code, err) == (1 if count else 0, "")
        assert_told(printed, count)
        return printed

    for file in files(state):
        whole = file.read_bytes()
        starts = [0, *(at + 1 for at, byte in enumerate(whole) if byte == 0x0A)]
        for number, (start, end) in enumerate(itertools.pairwise(starts), 1):
            for at in (start, dice.randrange(start, end), end - 1):
                file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << dice.randrange(8)]) + whole[at + 1 :])
                here = f"audit/{file.name}:{number}: "
                assert any(line.startswith(here) for line in said()), (f"seed {SEED}", file, at)
                file.write_bytes(whole[:at])
                assert said()[0].startswith(f"{here}is missing: "), (file, at)
        file.write_bytes(whole)
    assert said()[-1:] == ["Audit log: 2 files, 6 lines, no faults."]
