"""One round of the campaign: applies in bad weather, then in calm weather, and what has to hold after each.

Held is the promise itself (`docs/rules.md`, R1, R8, C2 to C7): no key has two batches, every key has one that
the lockfile records, no batch is unknown to it, and two applies in calm weather are enough for that.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faults_miniature import BATCHES, Place, Work, scaled

from reconciler import ActionKind, ReconcilerError, api
from reconciler.cli.exits import of_apply, of_error

if TYPE_CHECKING:
    from faults_cells import Cell

    from reconciler import Applied

_MOST_CALM = 2


@dataclass
class Tally:
    """What a cell came to; a row of the table.

    Attributes:
        creates: what was desired, and is there once.
        sends: POSTs that the service received.
        stormy: those among them that it received in bad weather.
    """

    name: str
    creates: int = 0
    sends: int = 0
    stormy: int = 0
    struck: int = 0
    duplicates: int = 0
    lost: int = 0
    applies: int = 0
    seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    HEAD = (
        "| faults | creates | POSTs received | in bad weather | requests struck | duplicates | lost"
        " | calm applies needed, at most | seconds | exits of the runs in bad weather |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )

    def row(self) -> str:
        ends = ", ".join(f"{count} times {end}" for end, count in sorted(self.ends.items()))
        return (
            f"| {self.name} | {self.creates:,} | {self.sends:,} | {self.stormy:,} | {self.struck:,} |"
            f" {self.duplicates} | {self.lost} | {self.applies} | {self.seconds:,.0f} | {ends} |"
        )


def run_round(cell: Cell, place: Place, seed: int, tally: Tally, *, most_runs: int) -> None:
    """Go through one project under a cell's faults, and hold what came of it against the promise.

    With more than one run in bad weather, some begin with what another one left open (C7).
    """
    dice = random.Random(seed)
    began = time.monotonic()
    place.write(cell.settle)
    here = f"{cell.name}, seed {seed}, {len(place.directories)} directories, {place.folder}"
    place.service.storm(dice.randrange(1 << 30), cell.faults)
    with scaled(impatient=cell.impatient, page_size=cell.page_size):
        for run in range(2 if cell.forgetful else dice.randint(1, most_runs)):
            if run and cell.forgetful:
                forget(place)
            end = _apply(place, dice.choice((3, 8, 8, 16)), tally, here)
            tally.ends[f"exit {end}"] += 1
            check_nothing_twice(place, here)
        tally.stormy += place.service.count(method="POST", path=BATCHES)
        tally.struck += place.service.count(fault="any")
        place.service.calm()
        needed = _until_complete(place, tally, here)
    tally.applies = max(tally.applies, needed)
    tally.sends += place.service.count(method="POST", path=BATCHES)
    tally.creates += len(place.work)
    check_nothing_lost(place, here)
    tally.seconds += time.monotonic() - began


def _until_complete(place: Place, tally: Tally, here: str) -> int:
    """Apply in calm weather until a plan has nothing to do; gives how often that was."""
    for needed in range(_MOST_CALM + 1):
        plan = api.plan(api.load(place.folder), environ=place.environ, clock=place.service.clock)
        left = [action for action in plan.actions if action.kind is not ActionKind.KEEP]
        if not left:
            return needed
        assert needed < _MOST_CALM, f"{here}: after {needed} applies in calm weather: {left[:3]}"
        _apply(place, 8, tally, here)
        check_nothing_twice(place, here)
    raise AssertionError("the loop returns or fails")


def _apply(place: Place, parallelism: int, tally: Tally, here: str) -> int:
    """One apply, as a user's process would do it; gives its exit code."""
    try:
        applied = run_apply(place, parallelism)
    except ReconcilerError as error:  # an end like any other; whatever else is raised fails the campaign
        tally.outcomes[type(error).__name__] += 1
        return of_error(error)
    tally.outcomes.update(result.outcome.value for result in applied.results)
    assert applied.findings == (), f"{here}: {applied.findings}"
    return of_apply(applied)


def forget(place: Place) -> None:
    """Lose what the runs have recorded, if one has."""
    for name in ("reconciler.lock", "reconciler.lock.journal"):
        (place.folder / name).unlink(missing_ok=True)


def run_apply(place: Place, parallelism: int) -> Applied:
    """One apply of the library, with the campaign's clock."""
    return api.apply(
        api.load(place.folder), environ=place.environ, clock=place.service.clock, parallelism=parallelism
    )


def check_nothing_twice(place: Place, here: str) -> None:
    """No duplicate that the service knows of."""
    twice = place.service.duplicates(place.prefix)
    if twice:
        place.service.calm()
        works = {work for name, work in place.service.live(place.prefix) if name in twice[0]}
        raise AssertionError(f"{here}: twice: {twice}\n{_story(place, works)}")


def check_nothing_lost(place: Place, here: str) -> None:
    """Every desired key has its one batch, and the lockfile has exactly what is live."""
    live = place.service.live(place.prefix)
    counted = [work for work, count in Counter(work for _, work in live).items() if count > 1]
    assert not counted, f"{here}: twice by our own count: {counted[:3]}"
    missing = set(place.work) - {work for _, work in live}
    assert not missing, f"{here}: never made: {sorted(missing)[:3]}"
    assert recorded(place) == sorted((name, work, True) for name, work in live), f"{here}: recorded otherwise"


def recorded(place: Place) -> list[tuple[str, Work, bool]]:
    """Every batch of the lockfile as it lies there, and whether it is the one that stands."""
    lock = json.loads((place.folder / "reconciler.lock").read_text())
    return sorted(
        (batch["id"], Work(*key.split(" ")[2::2]), batch["id"] == entry["current"])
        for key, entry in lock["entries"].items()
        for batch in entry["batches"]
    )


def _story(place: Place, works: set[Work]) -> str:
    """What the service was asked about these, to tell a wrong decision from a machine that stood still."""
    directories = {work.directory for work in works}
    lines = []
    for request in place.service.requests(path=BATCHES):
        of_list = dict(request["query"]).get("source_directory_id")
        of_create = (request["body"] or {}).get("source_directory_id")
        if directories & {of_list, of_create}:
            lines.append(
                "  " + " ".join(str(request[n]) for n in ("time", "method", "status", "effect", "fault"))
            )
    return "\n".join(lines)
