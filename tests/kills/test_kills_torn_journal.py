"""A journal cut at any byte is read up to its last whole line; with a flipped bit it is an error (C3, C9).

What a cut takes with it a crash would have taken: apply then finds out from the service, and creates nothing
twice.
"""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

import pytest
from memory_folder import memory_folder
from rotting_state import State

from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 11


@pytest.fixture(params=["closed", "killed"])
def state(request: pytest.FixtureRequest) -> Iterator[State]:
    with memory_folder() as folder:
        yield State(folder / "it", killed=request.param == "killed")


def test_a_killed_run_leaves_an_open_intent_and_a_settled_one() -> None:
    with memory_folder() as folder:
        journal = State(folder / "it", killed=True).world.journal
    assert [intent.key.directory for intent in journal.open] == ["dir-002"]
    assert [entry.key.directory for entry in journal.recovered] == ["dir-001"]


def told(lines: list[bytes]) -> tuple[set[str], set[str]]:
    """The ids of open intents and the keys of recovered entries, by the notes alone."""
    intents: set[str] = set()
    recovered: set[str] = set()
    for line in lines:
        note = json.loads(line.partition(b" ")[2])
        match note["note"]:
            case "intent":
                intents.add(note["id"])
            case "settled":
                intents.discard(note["intent"])
                recovered |= {note["key"]} if "entry" in note else set()
            case "committed":
                recovered.clear()
            case "closed":
                intents.clear()
                recovered.clear()
    return intents, recovered


def test_c9_a_journal_cut_at_any_byte_loses_its_torn_line_alone(state: State) -> None:
    world = state.world
    whole = world.journal_file.read_bytes()
    for size in range(len(whole) + 1):
        world.journal_file.write_bytes(whole[:size])
        journal = world.journal
        intents, recovered = told(whole[:size].split(b"\n")[:-1])
        assert {intent.id for intent in journal.open} == intents, size
        assert {str(entry.key) for entry in journal.recovered} == recovered, size


def test_c9_an_apply_after_any_cut_creates_nothing_twice_and_loses_nothing(state: State) -> None:
    """All cuts within a line are read as one; so one of each is applied, and the one right behind it."""
    whole = state.world.journal_file.read_bytes()
    breaks = [at + 1 for at, byte in enumerate(whole) if byte == 0x0A]
    for size in sorted({0, *breaks, *(at - 1 for at in breaks), *(at + 9 for at in breaks[:-1])}):
        world = state.put_back(state.world.journal_file, whole[:size])
        state.apply()
        assert world.batches_per_directory() == dict.fromkeys(world.names, 1), size
        live = {batch.key: batch.id for batch in world.service.existing()}
        assert {key: entry.current for key, entry in world.lock.entries.items()} == live, size
        assert (world.journal.open, world.journal.recovered) == ((), ()), size


def test_a_flipped_bit_of_a_journal_is_an_error_at_its_line_and_nothing_is_sent(
    state: State,
    long: bool,  # noqa: FBT001 - a fixture
) -> None:
    dice = random.Random(SEED)
    file = state.world.journal_file
    whole = file.read_bytes()
    breaks = [at for at, byte in enumerate(whole) if byte == 0x0A]
    places = range(len(whole)) if long else sorted({*breaks, 0, *dice.sample(range(len(whole)), 60)})
    for at in places:
        flipped = bytes([whole[at] ^ 1 << dice.randrange(8)])
        world = state.put_back(file, whole[:at] + flipped + whole[at + 1 :])
        before = state.files()
        line = whole[:at].count(b"\n") + 1
        here = rf"^reconciler\.lock\.journal:{line}: the journal is damaged: .*\. It is the only witness"
        story = f"seed {SEED}: byte {at} of {len(whole)} is {flipped!r}"
        for use in (lambda world=world: world.journal, world.plan, world.apply):
            with pytest.raises(StateError) as caught:
                use()
            assert re.search(here, str(caught.value)), story
        assert state.files() == before, story
        assert world.service.requests == [], story
    print(f"{len(places)} flips, seed {SEED}")  # noqa: T201 - the counts
