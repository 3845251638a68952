"""An audit file that is cut or has a flipped bit shows when it is verified, and where.

What names a file's last line is the lockfile, or the header of the run that followed; until one of them does,
whole lines can be cut off the end of a killed run's file unseen.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from memory_folder import memory_folder
from rotting_state import State

from reconciler.adapters.audit import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    assert faults(state) == ()
    return found


def faults(state: State) -> tuple[str, ...]:
    return verify(state.audit, state.world.lock.heads)


def test_a_file_cut_at_any_byte_shows_because_the_lockfile_or_the_next_run_names_its_end(
    state: State,
) -> None:
    killed, followed = files(state)
    for file, by in (
        (killed, f"{followed}:1: names a line of {killed}"),
        (followed, "the lockfile: names a"),
    ):
        whole, heads = file.read_bytes(), state.world.lock.heads
        for size in range(len(whole)):
            file.write_bytes(whole[:size])
            assert any(fault.startswith(by) for fault in verify(state.audit, heads)), (file, size)
        file.write_bytes(whole)


def test_a_flipped_bit_in_any_line_shows_at_its_line(state: State, long: bool) -> None:  # noqa: FBT001 - a fixture
    dice = random.Random(SEED)
    count = 0
    for file in files(state):
        whole = file.read_bytes()
        breaks = [at for at, byte in enumerate(whole) if byte == 0x0A]
        for at in range(len(whole)) if long else sorted({*breaks, *dice.sample(range(len(whole)), 200)}):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << dice.randrange(8)]) + whole[at + 1 :])
            here = f"{file}:{whole[:at].count(10) + 1}: "
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
            assert faults(state) == (), size
