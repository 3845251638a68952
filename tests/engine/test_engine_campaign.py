"""Seeded campaigns: many creates under all faults at once, within what the settle time promises."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from engine_world import SETTLE, Fault, Lost, World

from reconciler.model.errors import UnavailableError
from reconciler.model.intent import NotSent, Rejected, Throttled
from reconciler.model.result import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.batch import Key
    from reconciler.model.ports import Listing, Page

#: What the runs of a seed came to altogether. The seed is in each test's name.
WORLDS, LONG_WORLDS, DIRECTORIES = 18, 200, 40


def draw(dice: random.Random, lag: float, trouble: float) -> Fault:
    """One create's fate: an effect and its listing take no longer than the settle time together."""
    if dice.random() >= trouble:
        return None
    late = dice.choice([0.0, dice.uniform(0, SETTLE - lag), SETTLE - lag])
    fates: list[Fault] = [
        Lost(0.0),
        Lost(late),
        Lost(None),
        NotSent("no connection"),
        Throttled(dice.choice([None, 0.0, 3.0, 90.0]), "429"),
        Rejected(422, "no", final=False),
    ]
    return dice.choice(fates)


def troubled(folder: Path, dice: random.Random) -> World:
    """A world with a weather of its own."""
    folder.mkdir()
    world = World(folder, DIRECTORIES)
    world.at_once = dice.choice([1, 3, 8, 20])
    service = world.service
    service.lag = dice.choice([0.0, dice.uniform(0, SETTLE), SETTLE])
    service.page_size = dice.choice([1, 7, 100])
    trouble, blind = dice.choice([0.05, 0.3, 0.7]), dice.choice([0.0, 0.02, 0.1, 0.5])
    service.fault = lambda _: draw(dice, service.lag, trouble)

    def on_request(_: str) -> None:
        service.latency = dice.choice([0.0, 0.05, 0.5, 2.0])

    def on_list(listing: Listing, _: str | None, page: Page) -> Page:
        if dice.random() < (blind if listing.directory else blind / 20):
            raise UnavailableError("503", status=503)
        return page

    service.on_request, service.on_list = on_request, on_list
    return world


def calm(world: World) -> None:
    world.service.on_request = lambda _: None
    world.service.on_list = lambda _, __, page: page
    world.service.fault = _no_fault


def _no_fault(_: Key) -> Fault:
    return None


def check_complete(world: World) -> None:
    """Nothing twice, nothing lost, everything recorded and closed."""
    assert world.batches_per_directory() == dict.fromkeys(world.names, 1)
    assert {key.directory: entry.current for key, entry in world.lock.entries.items()} == {
        batch.key.directory: batch.id for batch in world.service.existing()
    }
    assert world.journal.open == ()


@pytest.mark.parametrize("seed", [20261001, 20261002])
def test_under_all_faults_nothing_is_twice_or_lost_and_two_more_applies_complete_it(
    tmp_path: Path, seed: int, *, long: bool
) -> None:
    worlds = LONG_WORLDS if long else WORLDS
    dice = random.Random(seed)
    outcomes: Counter[Outcome] = Counter()
    creates = sends = 0
    for number in range(worlds):
        world = troubled(tmp_path / str(number), dice)
        for _ in range(dice.randint(1, 3)):
            applied = world.apply()
            outcomes.update(r.outcome for r in applied.results)
            assert applied.findings == ()
            assert max(world.batches_per_directory().values()) <= 1
        calm(world)
        for _ in range(2):
            applied = world.apply()
            outcomes.update(r.outcome for r in applied.results)
            assert applied.findings == ()
        check_complete(world)
        assert not world.plan().changes
        creates += DIRECTORIES
        sends += world.service.count("create")
    print(f"seed {seed}: {creates} creates, {sends} sends, 0 twice, 0 lost; {dict(outcomes)}")  # noqa: T201
    assert creates == worlds * DIRECTORIES
    assert sends > creates
    assert outcomes.keys() == {
        Outcome.CREATED,
        Outcome.FOUND,
        Outcome.REJECTED,
        Outcome.FAILED,
        Outcome.UNKNOWN,
        Outcome.UNSEEN,
    }


@pytest.mark.parametrize("seed", [20261003])
def test_under_all_faults_and_kills_nothing_is_twice_or_lost(
    tmp_path: Path, seed: int, *, long: bool
) -> None:
    dice = random.Random(seed)
    worlds, killed = 1000 if long else 150, 0
    for number in range(worlds):
        world = troubled(tmp_path / str(number), dice)
        world.names = world.names[: dice.randint(1, 6)]
        for _ in range(dice.randint(1, 3)):
            instant = dice.randrange(120)
            killed += len(world.die_at(instant)) > instant
            assert max(world.batches_per_directory().values()) <= 1
        calm(world)
        for _ in range(2):
            assert world.apply().findings == ()
        check_complete(world)
    print(f"seed {seed}: {killed} kills, 0 twice, 0 lost")  # noqa: T201
    assert killed > worlds / 2
