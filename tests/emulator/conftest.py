"""What a test of the stand-in opens is closed when the test is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.emulator.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def databases_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From Python 3.13 on, a connection that is left open is a warning, and a warning is an error."""
    made: list[Database] = []
    make = Database.__init__

    def make_and_remember(self: Database, path: Path) -> None:
        make(self, path)
        made.append(self)

    monkeypatch.setattr(Database, "__init__", make_and_remember)
    yield
    for database in made:
        database.close()
