"""A project's state as rows, and back. What is read is read strictly, by the lockfile's own reader.

The lockfile without its entries stands in one row, each entry in one of its own. Nothing is written here but
what `bring` is given; whether it may be is the session's to know.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.adapters.stores.lockfile import read_lock, write_lock
from reconciler.adapters.stores.postgres.seats import Seat
from reconciler.adapters.stores.postgres.tables import VERSION
from reconciler.adapters.stores.shelf import Shelf
from reconciler.adapters.stores.text import (
    as_bytes,
    entry_from_json,
    entry_to_json,
    intent_from_json,
    read_key,
    settled_from_json,
)
from reconciler.model.canonical import canonical
from reconciler.model.errors import StateError
from reconciler.model.intent import JournalState
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from reconciler.adapters.stores.postgres.connection import Connection
    from reconciler.model.batch import Key
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry

    _Name = TypeVar("_Name", bound=Hashable)
    _Value = TypeVar("_Value")

_ALONE = Seat()

# From so many new entries on, COPY is quicker than a statement each.
_MANY = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """What the rows of a project say.

    Attributes:
        lock: the lockfile as it was committed, without what is to be recovered.
        written: whether there is one.
        journal: what earlier runs left.
        outcomes: the rows that the journal has it from, by their numbers.
    """

    lock: Lock
    written: bool
    journal: JournalState
    outcomes: tuple[int, ...] = ()


def check_version(connection: Connection, shown: str) -> None:
    """Make sure that the tables are of this version's format.

    Raises:
        StateError: they are older or newer.
    """
    version = read_version(connection)
    if version > VERSION:
        raise StateError(
            f"the tables are of format {version}, which is newer",
            where=shown,
            why=f"this version of reconciler knows formats up to {VERSION}",
            next="Upgrade: pip install --upgrade batch-reconciler",
        )
    if version < VERSION:
        raise StateError(
            f"the tables are of format {version}, which is older",
            where=shown,
            why=f"this version of reconciler works with format {VERSION}",
            next="Upgrade them, which keeps a backup of each state: reconciler state init",
        )


def read_version(connection: Connection) -> int:
    """The format of the tables; 0 for tables that were begun and hold none."""
    row = connection.execute("SELECT max(version) FROM format").fetchone()
    return row[0] if row and row[0] else 0


def read_state(
    connection: Connection, project: str, shown: str, seat: Seat = _ALONE, *, warm: bool | None = None
) -> Standing:
    """Everything that stands. The caller's transaction decides as of when.

    Args:
        connection: over which.
        project: whose.
        shown: what messages call the store.
        seat: of what is left to recover, that which is for this seat to look after.
        warm: whether the last who sat there left it in order; None to go by the row of who is alone.

    Raises:
        StateError: a row holds what this tool cannot have written.
    """
    lock = read_frame(connection, project, shown)
    written = bool(lock.lineage)
    entries = _read_entries(connection, project, shown)
    intents, recovered = read_left(connection, project, shown, seat)
    if warm is None:
        held = connection.execute(
            "SELECT warm FROM locks WHERE project = %s AND shard = 0", (project,)
        ).fetchone()
        warm = bool(held and held[0])
    journal = JournalState(tuple(intents), tuple(recovered.values()), warm and not intents and not recovered)
    return Standing(replace(lock, entries=entries), written, journal, tuple(recovered))


def read_frame(connection: Connection, project: str, shown: str) -> Lock:
    """The lockfile without its entries; the empty one where none was ever written.

    Raises:
        StateError: the row holds what this tool cannot have written.
    """
    row = connection.execute("SELECT lockfile FROM states WHERE project = %s", (project,)).fetchone()
    return read_lock(row[0], f"{shown}, table states") if row else Lock()


def read_left(
    connection: Connection, project: str, shown: str, seat: Seat
) -> tuple[list[Intent], dict[int, Entry]]:
    """What is left to recover that is for a seat to look after: open creates, and entries by their row.

    Raises:
        StateError: a row holds what this tool cannot have written.
    """
    intents: list[Intent] = []
    for name, by, text in connection.execute(
        "SELECT key, shard, intent FROM intents WHERE project = %s ORDER BY number", (project,)
    ):
        try:
            intent = intent_from_json(json.loads(text))
        except ValueError as error:
            raise _unreadable(f"{shown}, table intents, key {name}", error) from error
        if seat.has(intent.key, by):
            intents.append(intent)
    recovered: dict[int, Entry] = {}
    for number, by, text in connection.execute(
        "SELECT number, shard, settled FROM outcomes WHERE project = %s ORDER BY number", (project,)
    ):
        try:
            entry = settled_from_json(json.loads(text)).entry
        except ValueError as error:
            raise _unreadable(f"{shown}, table outcomes, number {number}", error) from error
        if entry and seat.has(entry.key, by):
            recovered[number] = entry
    return intents, recovered


def read_some(connection: Connection, project: str, shown: str, keys: Sequence[Key]) -> list[Entry]:
    """The entries of these keys, as they were committed, as far as there are any.

    Raises:
        StateError: a row holds what this tool cannot have written.
    """
    found = []
    for name, text in connection.execute(
        'SELECT key, entry FROM entries WHERE project = %s AND key = ANY(%s) ORDER BY key COLLATE "C"',
        (project, [str(key) for key in keys]),
    ):
        try:
            found.append(entry_from_json(read_key(name), json.loads(text)))
        except (ValueError, RecursionError) as error:
            raise _unreadable(f"{shown}, table entries, key {name}", error) from error
    return found


def _read_entries(connection: Connection, project: str, shown: str) -> Mapping[Key, Entry]:
    """Entries as a lockfile's lines: most of them are read when they are asked for."""
    rows = connection.execute(
        'SELECT key, entry FROM entries WHERE project = %s ORDER BY key COLLATE "C"', (project,)
    ).fetchall()
    shelf = Shelf()
    try:
        shelf.take(",\n".join([f"{canonical(name)}: {text}" for name, text in rows]))
        if len(shelf) == len(rows):  # else a row is no entry, but two
            return shelf
    except (ValueError, RecursionError):
        pass  # which one it is, is found below
    entries: dict[Key, Entry] = {}
    for name, text in rows:
        try:
            key = read_key(name)
            entries[key] = entry_from_json(key, json.loads(text))
        except (ValueError, RecursionError) as error:
            raise _unreadable(f"{shown}, table entries, key {name}", error) from error
    return entries


def _unreadable(where: str, error: Exception) -> StateError:
    return StateError(
        f"a row cannot be read: {error}",
        where=where,
        why="this tool has not written it so",
        next="Put it right, or push a backup of the state: reconciler state push FILE",
    )


def bring(
    connection: Connection, project: str, lock: Lock, before: Mapping[Key, Entry], *, shared: bool = False
) -> None:
    """Bring the rows from the entries that stand to a lockfile, row by row: only what differs is written.

    Args:
        connection: over which.
        project: whose.
        lock: what is to stand.
        before: what was found. With ``shared``, another may have written an entry since, and gone.
        shared: whether others write beside this.
    """
    changed = [(key, entry) for key, entry in lock.entries.items() if before.get(key) != entry]
    gone = [str(key) for key in before if key not in lock.entries]
    new = sorted(
        (project, str(key), text_of(entry_to_json(entry))) for key, entry in changed if key not in before
    )
    other = sorted(
        (text_of(entry_to_json(entry)), project, str(key)) for key, entry in changed if key in before
    )
    if gone:
        connection.execute("DELETE FROM entries WHERE project = %s AND key = ANY(%s)", (project, gone))
    with connection.cursor() as cursor:
        if other:
            cursor.executemany("UPDATE entries SET entry = %s WHERE project = %s AND key = %s", other)
        if shared or len(new) < _MANY:
            cursor.executemany(
                "INSERT INTO entries (project, key, entry) VALUES (%s, %s, %s)"
                " ON CONFLICT (project, key) DO UPDATE SET entry = excluded.entry",
                new,
            )
        else:
            with cursor.copy("COPY entries (project, key, entry) FROM STDIN") as copy:
                for row in new:
                    copy.write_row(row)
    connection.execute(
        "INSERT INTO states (project, lineage, serial, lockfile) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (project) DO UPDATE SET lineage = excluded.lineage, serial = excluded.serial,"
        " lockfile = excluded.lockfile",
        (project, lock.lineage, lock.serial, frame_of(lock)),
    )


def united(before: Lock, mine: Lock, there: Lock) -> Lock:
    """What is to stand beside the entries where others write too: what this seat changed, else what is there.

    A head that somebody has added since stays; those that this seat's audit file goes on from do not.

    Args:
        before: as this seat found it.
        mine: as this seat would have it.
        there: as it is by now.
    """
    pins = _three_way(
        *({pin[:4]: pin for pin in lock.pins} for lock in (before, mine, there)),
    )
    return replace(
        mine,
        lineage=there.lineage or mine.lineage,
        plan=mine.plan if mine.plan != before.plan else there.plan,
        heads=tuple(
            sorted(({*mine.heads} - {*before.heads}) | ({*there.heads} - ({*before.heads} - {*mine.heads})))
        ),
        projects=_three_way(before.projects, mine.projects, there.projects),
        sets=_three_way(before.sets, mine.sets, there.sets),
        tracked=_three_way(before.tracked, mine.tracked, there.tracked),
        pins=tuple(sorted(pins.values())),
    )


def _three_way(
    before: Mapping[_Name, _Value], mine: Mapping[_Name, _Value], there: Mapping[_Name, _Value]
) -> dict[_Name, _Value]:
    changed = {name for name in {*before, *mine} if before.get(name) != mine.get(name)}
    kept = {name: value for name, value in there.items() if name not in changed}
    return kept | {name: mine[name] for name in changed if name in mine}


def frame_of(lock: Lock) -> str:
    """The lockfile without its entries."""
    return as_bytes(write_lock(replace(lock, entries={}))).decode()


def text_of(document: dict[str, Any]) -> str:
    """A document as a row holds it: nothing that cannot be printed, as in the lockfile."""
    return as_bytes(canonical(document)).decode()
