"""Who opens a database while another makes it sees it before or after, and never half of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from reconciler.emulator import database
from reconciler.emulator.database import Database
from reconciler.emulator.errors import DatabaseUnusableError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@pytest.mark.parametrize("question", ["application_id", "user_version", "sqlite_master"])
def test_a_database_that_is_made_between_two_questions_is_not_another_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.0)
    file = tmp_path / "x.db"
    file.touch()  # as its maker's first step leaves it
    opener = Database(file)
    connect = opener._connect
    asked: list[str] = []

    def make(statement: str) -> None:
        if question in statement and not asked:
            asked.append(statement)
            # It may have to wait for who reads; here it gives up.
            with contextlib.suppress(DatabaseUnusableError), Database(file).transaction():
                pass

    def traced(mode: str) -> sqlite3.Connection:
        connection = connect(mode)
        connection.set_trace_callback(make)
        return connection

    monkeypatch.setattr(opener, "_connect", traced)

    opener.reader()  # it raised: another program's database

    assert asked
    with opener.transaction() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == database.FORMAT
    opener.close()
