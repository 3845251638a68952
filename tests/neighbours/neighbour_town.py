"""One stand-in for a file of tests, and projects on it that know nothing of each other.

The fixtures are taken over by name: a second `conftest.py` would be a second module of that name to mypy.
"""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from emulator_process import Emulator, emulator
from neighbour_project import APPLY, Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    """The service, and the root of its directories."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "documents").mkdir()
    with emulator(folder, "--root", "documents", "--no-read") as service:
        yield service, folder / "documents"


@pytest.fixture
def service(town: tuple[Emulator, Path]) -> Emulator:
    return town[0]


@pytest.fixture(scope="module")
def new_project(town: tuple[Emulator, Path], quick: Path) -> Callable[..., Project]:
    """Makes a project in a folder: so many directories in one set, names that nobody else has."""
    service, documents = town

    def make(folder: Path, *, directories: int = 3, settle: str = "1s") -> Project:
        number = next(_NUMBERS)
        names = tuple(f"p{number}-{index}" for index in range(directories))
        project = Project(folder, service, {"papers": names}, settle, documents=documents, quick=quick)
        project.write()
        return project

    return make


@pytest.fixture(scope="module")
def settled(
    new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Project]:
    """Gives a copy of a project that was applied and then grew: one more batch is to be created."""
    original = new_project(tmp_path_factory.mktemp("settled") / "project", directories=2, settle="0s")
    assert original.run(*APPLY).code == 0
    (papers,) = original.sets.values()
    original.sets["more"] = (f"{papers[0]}-more",)
    original.write()

    def copy(folder: Path) -> Project:
        shutil.copytree(original.folder, folder)
        return replace(original, folder=folder)

    return copy
