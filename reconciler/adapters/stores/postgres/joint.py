"""One saved plan that any number of workers carry out together: its rows, and who has claimed them (C1, C5).

Whoever comes first, alone, writes down what is to be created (`offer`); from then on workers sit beside each
other and claim rows, each of which is one directory's. A worker that is gone leaves its seat, and on it what
it had claimed and what it had open. Another takes all of that over (`take_over_abandoned`), looks for what
became of it, and goes on.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from reconciler.adapters.stores.postgres.rows import read_left, read_some
from reconciler.adapters.stores.postgres.seats import Seat, lock_number
from reconciler.adapters.stores.postgres.session import PostgresSession
from reconciler.adapters.stores.text import read_key
from reconciler.model.batch import Address
from reconciler.model.intent import JournalState
from reconciler.model.joint import Claim, Task
from reconciler.model.plan import Reason, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from reconciler.adapters.stores.postgres.connection import Connection
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry, Lock

_CLAIM = (
    "WITH free AS (SELECT number FROM work WHERE project = %(project)s AND seat IS NULL"
    " ORDER BY number LIMIT %(most)s FOR UPDATE SKIP LOCKED)"
    " UPDATE work SET seat = %(shard)s FROM free WHERE work.number = free.number"
    " RETURNING work.number, work.task"
)
_CLAIMED = "SELECT number, task FROM work WHERE project = %(project)s AND seat = %(seat)s"
_DONE = "DELETE FROM work WHERE project = %(project)s AND seat = %(shard)s AND number = ANY(%(done)s)"
_LEFT_BEHIND = (
    "SELECT seat FROM (SELECT seat FROM work WHERE project = %(project)s"
    " UNION SELECT shard FROM intents WHERE project = %(project)s"
    " UNION SELECT shard FROM outcomes WHERE project = %(project)s) AS seats"
    " WHERE seat < 0 AND seat <> %(shard)s ORDER BY seat DESC"
)
_TAKE = (
    "UPDATE locks SET epoch = epoch + 1 WHERE project = %(project)s AND shard = %(seat)s",
    "UPDATE intents SET shard = %(shard)s WHERE project = %(project)s AND shard = %(seat)s",
    "UPDATE outcomes SET shard = %(shard)s WHERE project = %(project)s AND shard = %(seat)s",
    "UPDATE work SET seat = %(shard)s WHERE project = %(project)s AND seat = %(seat)s",
)


def offered(connection: Connection, project: str) -> str:
    """The plan whose creates are offered, or ""."""
    row = connection.execute("SELECT plan FROM joint WHERE project = %s", (project,)).fetchone()
    return row[0] if row else ""


def free_seat(connection: Connection, schema: str, project: str) -> Seat:
    """The first seat that nobody sits on; from now on this connection's session does."""
    number = -1
    while True:
        lock = lock_number(schema, project, number)
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone()
        if row and row[0]:
            return Seat(number)
        number -= 1


class OpeningSession(PostgresSession):
    """The state as it is for who is alone with it, and is to let others in."""

    def offer(self, plan: str, work: Iterable[Sequence[Task]]) -> None:
        """Write down what is to be created, a row a directory, in place of what was offered before.

        Raises:
            LockLostError, StateError: as for `note`.
        """
        project = self._address.project
        with self._writing(warm=False):
            self._connection.execute("DELETE FROM work WHERE project = %s", (project,))
            self._connection.execute(
                "INSERT INTO joint (project, plan) VALUES (%s, %s)"
                " ON CONFLICT (project) DO UPDATE SET plan = excluded.plan, opened_at = now()",
                (project, plan),
            )
            with (
                self._connection.cursor() as cursor,
                cursor.copy("COPY work (project, task) FROM STDIN") as copy,
            ):
                for tasks in work:
                    copy.write_row((project, _written(tasks)))


class JointSession(PostgresSession):
    """The state as one of the workers that share a plan sees it."""

    def __init__(self, *args: Any, **given: Any) -> None:  # noqa: ANN401 - as for who is alone
        super().__init__(*args, **given)
        self._taken_over: dict[int, Entry] = {}

    def inherited(self) -> list[Claim]:
        """What whoever sat here before had claimed. What it had open is in the journal.

        Raises:
            LockLostError: as for `claim`.
        """
        with self._as_holder(), self._connection.transaction():
            rows = self._connection.execute(_CLAIMED, {**self._mine, "seat": self._mine["shard"]}).fetchall()
            return self._claims(rows)

    def claim(self, most: int, done: Sequence[int]) -> list[Claim]:
        """Have so many rows that nobody else has, and be rid of those that are done.

        Raises:
            LockLostError: the connection is gone, or another session has taken this seat over.
        """
        given = {**self._mine, "most": most, "done": list(done)}
        with self._writing(warm=False):
            if done:
                self._connection.execute(_DONE, given)
            rows = self._connection.execute(_CLAIM, given).fetchall() if most else []
            return self._claims(rows)

    def take_over_abandoned(self) -> tuple[JournalState, list[Claim]]:
        """Have what workers that are gone had open, had recorded and had claimed.

        Raises:
            LockLostError: as for `claim`.
        """
        open_: list[Intent] = []
        recovered: list[Entry] = []
        claims: list[Claim] = []
        with contextlib.closing(self._abandoned()) as seats:
            for seat in seats:
                given = {**self._mine, "seat": seat.number}
                with self._writing(warm=False):
                    project, shown = self._address.project, self._address.shown
                    intents, entries = read_left(self._connection, project, shown, seat)
                    rows = self._connection.execute(_CLAIMED, given).fetchall()
                    claims += self._claims(rows)
                    for statement in _TAKE:
                        self._connection.execute(statement, given)
                self._open = self._open.after(intents, shown)
                self._taken_over |= entries
                self._uncommitted |= bool(entries)
                open_ += intents
                recovered += entries.values()
        if open_ or recovered:
            self.journal = JournalState((*self.journal.open, *open_), self.journal.recovered)
        return JournalState(tuple(open_), tuple(recovered)), claims

    def commit(self, lock: Lock) -> Lock:
        """As for who is alone. Of what was taken over, only what the lockfile has is forgotten elsewhere.

        A run that is stopped at once may never have heard of the rest.
        """
        for number, entry in list(self._taken_over.items()):
            there = lock.entries.get(entry.key)
            if there and {item.id for item in entry.batches} <= {item.id for item in there.batches}:
                self._outcomes.append(number)
        return super().commit(lock)

    def _abandoned(self) -> Generator[Seat]:
        """The seats of workers that are gone and have left something, each while nobody can sit on it."""
        with self._as_holder():
            rows = self._connection.execute(_LEFT_BEHIND, self._mine).fetchall()
        for (number,) in rows:
            lock = lock_number(self._address.schema, self._address.project, number)
            with self._as_holder():
                row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone()
            if row and row[0]:
                try:
                    yield Seat(number)
                finally:
                    with self._as_holder():
                        self._connection.execute("SELECT pg_advisory_unlock(%s)", (lock,))

    def left(self) -> int:
        """How many rows are not done, whoever has them."""
        with self._as_holder():
            row = self._connection.execute(
                "SELECT count(*) FROM work WHERE project = %(project)s", self._mine
            ).fetchone()
            return row[0] if row else 0

    def leave(self, done: Sequence[int]) -> None:
        """Give back what was claimed and is not done; if nothing is left at all, the plan is through.

        Beside a create that is still open here, or one that was recorded and did not get into the lockfile,
        nothing is given back: who takes that over shall have all of it, and nobody who does not know of it
        (C5, C9).
        """
        given = {**self._mine, "done": list(done)}
        with self._writing(warm=None):
            self._connection.execute(_DONE, given)
            self._connection.execute(
                "UPDATE work SET seat = NULL WHERE project = %(project)s AND seat = %(shard)s"
                " AND NOT EXISTS (SELECT FROM intents WHERE project = %(project)s AND shard = %(shard)s)"
                " AND NOT EXISTS (SELECT FROM outcomes WHERE project = %(project)s AND shard = %(shard)s)",
                given,
            )
            self._connection.execute(
                "DELETE FROM joint WHERE project = %(project)s"
                " AND NOT EXISTS (SELECT FROM work WHERE project = %(project)s)",
                given,
            )

    def _claims(self, rows: Iterable[tuple[int, str]]) -> list[Claim]:
        """Rows as values, with what stands by now of their keys: another may have had them before."""
        claims = {number: _read(text) for number, text in sorted(rows)}
        keys = [task.key for tasks in claims.values() for task in tasks]
        found = read_some(self._connection, self._address.project, self._address.shown, keys)
        entries = {entry.key: entry for entry in found}
        return [
            Claim(number, tasks, tuple(entries[task.key] for task in tasks if task.key in entries))
            for number, tasks in claims.items()
        ]


def _written(tasks: Sequence[Task]) -> str:
    return json.dumps(
        [[str(task.key), str(task.address), task.reason.code, task.reason.text, *task[3:]] for task in tasks]
    )


def _read(text: str) -> tuple[Task, ...]:
    return tuple(
        Task(read_key(key), Address.parse(address), Reason(ReasonCode(code), why), *more)
        for key, address, code, why, *more in json.loads(text)
    )
