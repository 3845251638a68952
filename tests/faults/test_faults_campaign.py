"""A seeded campaign: `apply` against `reconciler emulator` as a process, under every kind of fault.

Short: a few dozen creates under each kind and one mixture, over one service. Long (`--long -s`): at least
10,000 under each kind, before and after, and each mixture, in projects and services of their own; `-k` takes
up single ones, and the table at the end is Markdown. Times are scaled down: `faults_miniature` says how.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import pytest
from faults_cells import KINDS, MIXTURES, Cell, brief
from faults_miniature import CONFIGURATIONS, PACE, Place, Service, names, service
from faults_round import Tally, run_round

from reconciler.emulator.faults.kinds import KINDS as ALL_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Of a cell of the long form, at least; fewer are good for trying it out.
CREATES = int(os.environ.get("FAULTS_CREATES", "10000"))
#: Of a project of the long form: a large one, since each run waits for the settle time once or twice.
DIRECTORIES = 500
#: Of a cell of the short form.
FEW_CREATES = 16


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The cells of the form that was asked for."""
    if "cell" in metafunc.fixturenames:
        cells = (*KINDS, *MIXTURES) if metafunc.config.getoption("--long") else brief()
        metafunc.parametrize("cell", [pytest.param(cell, id=cell.name) for cell in cells])


@pytest.fixture(scope="module")
def table() -> Iterator[list[Tally]]:
    """Printed when the last cell is through."""
    tallies: list[Tally] = []
    yield tallies
    if tallies:
        print(f"\n\nA second of the run is 1/{PACE} s.\n\n{Tally.HEAD}")  # noqa: T201
        print("\n".join(tally.row() for tally in tallies))  # noqa: T201


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the short form, with directories for each cell."""
    directories = [name for cell in brief() for name in names(cell.name, FEW_CREATES)]
    with service(tmp_path_factory.mktemp("shared"), directories) as one:
        yield one


def test_nothing_is_twice_or_lost_and_two_calm_applies_complete_it(
    cell: Cell, tmp_path: Path, request: pytest.FixtureRequest, table: list[Tally], *, long: bool
) -> None:
    tally = Tally(cell.name)
    seed = zlib.crc32(cell.name.encode())
    if long:
        _long(cell, tmp_path, seed, tally)
    else:
        # Creates over one directory take turns, so that many over each are wanted only where pages matter.
        share = 4 if cell.page_size == 1 else 2
        directories = names(cell.name, FEW_CREATES // share)
        one = request.getfixturevalue("shared")
        place = Place(tmp_path, one, cell.name, directories, CONFIGURATIONS[:share])
        run_round(cell, place, seed, tally, most_runs=1)
    table.append(tally)
    print(f"\nseed {seed}: {tally.row()} {dict(sorted(tally.outcomes.items()))}", flush=True)  # noqa: T201
    assert tally.sends >= tally.creates
    assert tally.struck, "the faults never struck"


def _long(cell: Cell, folder: Path, seed: int, tally: Tally) -> None:
    """Project after project, each with a service and a seed of its own."""
    count = min(DIRECTORIES, CREATES // len(CONFIGURATIONS))
    number = 0
    while min(tally.creates, tally.stormy) < CREATES:
        here = folder / str(number)
        here.mkdir()
        directories = names("d", count)
        with service(here, directories) as own:
            place = Place(here / "project", own, "d", directories)
            run_round(cell, place, seed + number, tally, most_runs=2)
        assert tally.stormy, "nothing was sent in bad weather"
        number += 1


def test_every_kind_of_fault_has_a_cell() -> None:
    assert {cell.kind for cell in KINDS} == set(ALL_KINDS)
    assert all(cell.kind in {entry["fault"] for entry in cell.faults} for cell in KINDS)
