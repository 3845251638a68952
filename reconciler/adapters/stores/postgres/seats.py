"""Who may work on a project at once, and what each finds when it begins (C1, C2).

Whoever writes a project's state has a *seat*: 0 alone, or one of many beside each other. Each seat has an
advisory lock of its own. Beside it stands the project's lock, which who works alone holds for itself and all
others share. So of one seat there is never a second holder, and nobody is beside who works alone.

Nothing here waits or reads the state; `store` does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from reconciler.adapters.stores.text import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from reconciler.adapters.stores.postgres.connection import Connection
    from reconciler.model.batch import Key
    from reconciler.model.shard import Shard

#: The seat of who has the whole project to itself.
ALONE = 0

_HELD = (
    "SELECT (classid::bigint << 32) | objid::bigint, pid, mode = 'ExclusiveLock' FROM pg_locks"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_ROWS = "SELECT shard, shards, holder, pid, since, warm FROM locks WHERE project = %s ORDER BY shard"
_BEGIN = (
    "INSERT INTO locks (project, shard, shards, epoch, holder, pid, warm)"
    " VALUES (%(project)s, %(seat)s, %(count)s, 1, %(holder)s, pg_backend_pid(), %(warm)s)"
    " ON CONFLICT (project, shard) DO UPDATE SET shards = excluded.shards, epoch = locks.epoch + 1,"
    " holder = excluded.holder, pid = excluded.pid, since = clock_timestamp(), warm = excluded.warm"
    " RETURNING epoch, pid"
)
#: Where a shard of another count did not leave in order, who sits down there next leaves that to be known: it
#: had keys that this seat has not.
_KEEP_DOUBT = (
    "INSERT INTO locks (project, shard, shards, epoch, holder, pid, since, warm)"
    " SELECT project, 0, 1, 0, holder, pid, since, false FROM locks"
    " WHERE project = %(project)s AND shard = %(seat)s AND shards <> %(count)s AND NOT warm"
    " ON CONFLICT (project, shard) DO UPDATE SET warm = false,"
    " since = greatest(locks.since, excluded.since)"
)


@dataclass(frozen=True, slots=True)
class Seat:
    """Where somebody who writes a project's state sits.

    Attributes:
        number: 0 alone; from 1 on a shard's; from -1 down one of a worker that shares a plan.
        shard: the share of the keys that it writes, where that is known beforehand.
    """

    number: int = ALONE
    shard: Shard | None = None

    @property
    def shared(self) -> bool:
        """Whether others write beside it."""
        return self.number != ALONE

    @property
    def of(self) -> int:
        """Of how many it is one, as its row has it; 0 where that is not fixed."""
        return self.shard.count if self.shard else (0 if self.shared else 1)

    def has(self, key: Key, seat: int) -> bool:
        """Whether an open create, or one's outcome, is for this seat to look after.

        Args:
            key: of which work.
            seat: the one that wrote it. Of shards it does not count: when they were cut otherwise, another
                had the key.
        """
        if not self.shared:
            return True
        return self.shard.has(key) if self.shard else seat == self.number


def shard_seat(shard: Shard) -> Seat:
    """The seat of a shard."""
    return Seat(shard.index, shard)


class Row(NamedTuple):
    """What the table says of a seat."""

    number: int
    of: int
    holder: str
    pid: int
    since: datetime
    warm: bool

    @property
    def shown(self) -> str:
        """Who it is, for messages."""
        if self.number > ALONE:
            what = f" (shard {self.number}/{self.of})"
        else:
            what = " (it shares a plan)" if self.number < ALONE else ""
        return f"{self.holder}{what} since {stamp(self.since)}"


def lock_number(schema: str, project: str, seat: int | None = None) -> int:
    """The number of an advisory lock, the same for everybody: a project's, or one of its seats'."""
    name = f"reconciler\0{schema}\0{project}\0{ALONE if seat is None else f'seat {seat}'}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


def rows_of(connection: Connection, project: str) -> list[Row]:
    """What stands about the seats of a project, taken or not."""
    return [Row(*row) for row in connection.execute(_ROWS, (project,))]


def taken(connection: Connection, schema: str, project: str, rows: Iterable[Row]) -> list[Row]:
    """Of these, the seats that somebody sits on now, as the locks say."""
    held = {(number, pid): alone for number, pid, alone in connection.execute(_HELD)}
    whole = lock_number(schema, project)
    return [
        row
        for row in rows
        if (
            held.get((whole, row.pid), False)
            if row.number == ALONE
            else (lock_number(schema, project, row.number), row.pid) in held
        )
    ]


def in_the_way(seat: Seat, others: Iterable[Row]) -> Row | None:
    """Of those who sit there, one beside whom nobody may sit on this seat.

    Shards of one count have no key in common, nor have workers that claim what they do. Anything else may.
    """
    return next(
        (
            row
            for row in others
            if row.number != seat.number
            and not (seat.shared and (row.number > ALONE) == (seat.number > ALONE) and row.of == seat.of)
        ),
        None,
    )


def is_warm(seat: Seat, rows: Sequence[Row], others: Iterable[Row]) -> bool:
    """C2: whether all who wrote this seat's keys left in order, or somebody in order came after them.

    Args:
        seat: about to be sat on.
        rows: what stands about all seats.
        others: those of them that are taken. Beside a shard they have other keys.
    """
    known = [since for since in (_in_order(rows, seat.number, seat.of), *_all_in_order(rows)) if since]
    if not known:
        return False
    beside = {row.number for row in others}
    return not any(
        row.since > max(known)
        for row in rows
        if not row.warm
        and row.number not in beside
        and not (seat.shared and row.number not in (ALONE, seat.number) and row.of == seat.of)
    )


def _in_order(rows: Iterable[Row], number: int, of: int) -> datetime | None:
    """Since when a seat's keys are known to be in order, by its own row."""
    return next((row.since for row in rows if row.warm and (row.number, row.of) == (number, of)), None)


def _all_in_order(rows: Sequence[Row]) -> Iterator[datetime | None]:
    """The same of all keys: by who was alone, and by each full number of shards."""
    yield _in_order(rows, ALONE, 1)
    for of in {row.of for row in rows if row.number > ALONE}:
        each = [_in_order(rows, index, of) for index in range(1, of + 1)]
        yield min((since for since in each if since), default=None) if all(each) else None


def begin(connection: Connection, project: str, seat: Seat, holder: str, *, warm: bool) -> tuple[int, int]:
    """Sit down: from now on the seat's epoch is another. Gives it, and this connection's process."""
    given = {"project": project, "seat": seat.number, "count": seat.of, "holder": holder, "warm": warm}
    connection.execute(_KEEP_DOUBT, given)
    row = connection.execute(_BEGIN, given).fetchone()
    assert row is not None
    return row[0], row[1]
