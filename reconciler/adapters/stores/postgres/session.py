"""The state while its lock is held: every write is a transaction that begins by checking the epoch (C1).

The lock is the server's, of this connection's session; it is gone when the session is. The epoch is a row's:
who takes the lock raises it, and waits for that row behind any transaction of the session before. So whatever
a holder that has lost its session still has under way, nothing of it is written after another has begun.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.adapters.stores.journal import write_note
from reconciler.adapters.stores.lockfile import write_lock
from reconciler.adapters.stores.postgres.connection import explained, psycopg
from reconciler.adapters.stores.postgres.rows import bring, frame_of, read_frame, text_of, united
from reconciler.adapters.stores.postgres.seats import Seat, lock_number
from reconciler.adapters.stores.postgres.tables import VERSION
from reconciler.adapters.stores.postgres.turns import PostgresTurns
from reconciler.adapters.stores.succession import OpenIntents, second_intent, successor, with_recovered
from reconciler.adapters.stores.text import as_bytes, intent_to_json, settled_to_json
from reconciler.model.errors import LockLostError
from reconciler.model.intent import Closing, Intent, JournalState, Settled
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.adapters.stores.journal import Note
    from reconciler.adapters.stores.postgres.address import Address
    from reconciler.adapters.stores.postgres.connection import Connection
    from reconciler.adapters.stores.postgres.rows import Standing

_ALONE = Seat()

_AGAIN = "Run apply again; it looks before it creates"
_NOTE_INTENT = (
    "INSERT INTO intents (project, key, id, shard, epoch, intent)"
    " VALUES (%(project)s, %(key)s, %(id)s, %(shard)s, %(epoch)s, %(text)s)"
)
_NOTE_SETTLED = "DELETE FROM intents WHERE project = %(project)s AND id = %(id)s"
_NOTE_OUTCOME = (
    "INSERT INTO outcomes (project, shard, settled) VALUES (%(project)s, %(shard)s, %(text)s)"
    " RETURNING number"
)
#: What a plan was opened for is decided anew by whoever creates without it: what others share ends with that.
_WITHDRAW = "UPDATE joint SET plan = 'withdrawn' WHERE project = %(project)s AND plan <> 'withdrawn'"


class PostgresSession:
    """The state while its lock is held."""

    def __init__(
        self,
        address: Address,
        connection: Connection,
        *,
        epoch: int,
        pid: int,
        standing: Standing,
        seat: Seat = _ALONE,
    ) -> None:
        self._address, self._connection = address, connection
        self._seat = seat
        self._mine = {"project": address.project, "shard": seat.number, "epoch": epoch}
        self._pid = pid
        self._standing = standing.lock
        self._written = standing.written
        self._warm = standing.journal.warm
        self._open = OpenIntents(standing.journal.open)
        self._uncommitted = bool(standing.journal.recovered)
        self._withdrew = False
        # By their numbers, since a seat's can have been left by a shard of another count, of other keys.
        self._outcomes = list(standing.outcomes)
        # One connection, and notes come in a thread of their own.
        self._using = threading.RLock()
        self._lost: LockLostError | None = None
        self._turns: PostgresTurns | None = None
        self.idle = True
        self.lock = with_recovered(standing.lock, standing.journal.recovered)
        self.journal = standing.journal

    def confirm(self) -> None:
        """Ask the server whether this session is the one that took the lock, and no other has since.

        Raises:
            LockLostError: it is not, or the server does not answer.
        """
        with self._as_holder():
            row = self._connection.execute(
                "SELECT pg_backend_pid(), epoch FROM locks WHERE project = %(project)s AND shard = %(shard)s",
                self._mine,
            ).fetchone()
            if row != (self._pid, self._mine["epoch"]):
                raise self._taken(pooled=row is not None and row[1] == self._mine["epoch"])

    def note(self, notes: Sequence[Intent | Settled]) -> None:
        """Write notes in one transaction, and so with one sync (C3).

        Raises:
            LockLostError: the connection is gone, or another session has begun.
            StateError: they could not be written, or a second create of a key would be open.
        """
        opened = self._open.after(notes, self._address.shown)
        errors = psycopg().errors
        intents = [note for note in notes if isinstance(note, Intent)]
        with self._writing(warm=False):
            if intents and self._seat.number >= _ALONE.number and not self._withdrew:
                self._connection.execute(_WITHDRAW, self._mine)
            try:
                for note in notes:
                    self._note(note)
            except errors.UniqueViolation as error:  # a worker that shares the plan was quicker
                raise second_intent(intents[0].key, self._address.shown) from error
        self._open = opened
        self._withdrew |= bool(intents)
        self._uncommitted |= any(isinstance(note, Settled) and note.entry is not None for note in notes)

    def _note(self, note: Intent | Settled) -> None:
        run = self._connection.execute
        if isinstance(note, Intent):
            text = text_of(intent_to_json(note))
            run(_NOTE_INTENT, {**self._mine, "key": str(note.key), "id": note.id, "text": text})
            return
        run(_NOTE_SETTLED, {**self._mine, "id": note.intent})
        if note.entry is not None:
            row = run(_NOTE_OUTCOME, {**self._mine, "text": text_of(settled_to_json(note))}).fetchone()
            self._outcomes += row or ()

    def commit(self, lock: Lock) -> Lock:
        """Write the rows that differ, in one transaction, and give the lockfile back as it stands.

        Raises:
            LockLostError: the connection is gone, or another session has begun.
            StateError: it could not be written; what stood before stands.
        """
        if lock == Lock() and not self._written and not self._uncommitted:
            return lock
        lock = successor(lock, self._standing, lineage="", project=self._address.project)
        same = self._written and frame_of(lock) == frame_of(self._standing)
        if not same or self._uncommitted or lock.entries != self._standing.entries:
            with self._writing(warm=False):
                if self._seat.shared:
                    lock = self._beside_others(lock)
                before, shared = self._standing.entries, self._seat.shared
                bring(self._connection, self._address.project, lock, before, shared=shared)
                self._forget_outcomes()
            # The caller goes on changing its entries; the next commit is held against these.
            self._standing = replace(lock, entries=copy.copy(lock.entries))
            self._written, self._uncommitted = True, False
        self.lock = lock
        return lock

    def _beside_others(self, lock: Lock) -> Lock:
        """The lockfile with what others have written into its frame meanwhile; who comes next waits."""
        project = self._address.project
        number = lock_number(self._address.schema, f"{project}\0frame")
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))
        there = read_frame(self._connection, project, self._address.shown)
        changed = lock.serial != self._standing.serial
        return replace(united(self._standing, lock, there), serial=there.serial + changed)

    def close(self) -> None:
        """Close the journal, unless an intent is open: the next run is then warm (C2)."""
        if self._open:
            return
        with self._writing(warm=True):
            self._forget_outcomes()
        self._uncommitted = False

    def turn_book(self) -> PostgresTurns | None:
        """Where all who write beside this seat book the turns of their requests."""
        if self._seat.shared and self._turns is None:
            self._turns = PostgresTurns(self._address)
        return self._turns

    def end(self) -> None:
        """Let go of what the session has beside its connection."""
        if self._turns is not None:
            self._turns.end()

    def take_over(self, lock: Lock, journal: JournalState) -> None:
        """Stand in for another store, in one transaction; what stood is kept as a row of ``backups``."""
        here = {intent.id for intent in self.journal.open}
        intents = [intent for intent in journal.open if intent.id not in here]
        opened = self._open.after(intents, self._address.shown)
        with self._writing(warm=journal.warm):
            if self._written or self.journal != JournalState(warm=self.journal.warm):
                back_up(self._connection, self._address.project, self._standing, self.journal, "taken over")
            bring(self._connection, self._address.project, lock, self._standing.entries)
            self._forget_outcomes()
            for intent in intents:
                self._note(intent)
            for entry in journal.recovered:
                self._note(Settled("taken over", Closing.FOUND, entry=entry))
        self._standing, self._written, self._open = (
            replace(lock, entries=copy.copy(lock.entries)),
            True,
            opened,
        )
        self._uncommitted = bool(journal.recovered)
        self.lock = with_recovered(lock, journal.recovered)

    def keep(self, name: str, content: bytes) -> None:
        """Keep a run's audit file, a row a line. A line that is there is never written again."""
        lines = content.decode().split("\n")
        rows = [(self._address.project, name, number, line) for number, line in enumerate(lines) if line]
        with self._writing(warm=None), self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO audit (project, file, line, content) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                rows,
            )

    @contextlib.contextmanager
    def _writing(self, *, warm: bool | None) -> Iterator[None]:
        """A transaction that is this session's to write, or nothing.

        Args:
            warm: what the next run is to find; None leaves that.
        """
        with self._as_holder():
            with self._connection.transaction():
                mine = self._connection.execute(
                    "SELECT 1 FROM locks WHERE project = %(project)s AND shard = %(shard)s"
                    " AND epoch = %(epoch)s FOR SHARE",
                    self._mine,
                ).fetchone()
                if mine is None:
                    raise self._taken(pooled=False)
                if warm is not None and warm != self._warm:
                    self._connection.execute(
                        "UPDATE locks SET warm = %(warm)s WHERE project = %(project)s AND shard = %(shard)s"
                        " AND epoch = %(epoch)s",
                        {**self._mine, "warm": warm},
                    )
                yield
            self._warm = self._warm if warm is None else warm
            self.idle = False

    @contextlib.contextmanager
    def _as_holder(self) -> Iterator[None]:
        """The connection for this thread alone. Once the lock is lost it stays so, for the first reason."""
        with self._using:
            if self._lost is not None:
                raise self._lost
            try:
                with explained(self._address, self._connection, held=True):
                    yield
            except LockLostError as error:
                self._lost = error
                raise

    def _forget_outcomes(self) -> None:
        """What this session has noted or recovered is in the entries now, or was brought to nothing."""
        self._connection.execute(
            "DELETE FROM outcomes WHERE project = %(project)s AND number = ANY(%(outcomes)s)",
            {**self._mine, "outcomes": self._outcomes},
        )

    def _taken(self, *, pooled: bool) -> LockLostError:
        if pooled:
            return LockLostError(
                "the connection to the database changed under this run, and the lock is the old one's",
                where=self._address.shown,
                why="a pool that hands a connection to another after each transaction stands in between",
                next="Connect to the server itself, or to a pool in session mode; then run apply again",
            )
        return LockLostError(
            "another session has taken the lock since",
            where=self._address.shown,
            why="nothing was sent after that was seen",
            next=_AGAIN,
        )


def back_up(connection: Connection, project: str, lock: Lock, journal: JournalState, why: str) -> None:
    """Keep a state as it stands, in the texts that a file store has."""
    notes: list[Note] = [
        *journal.open,
        *(Settled("backup", Closing.FOUND, entry=entry) for entry in journal.recovered),
    ]
    connection.execute(
        "INSERT INTO backups (project, version, why, lockfile, journal) VALUES (%s, %s, %s, %s, %s)",
        (
            project,
            VERSION,
            why,
            as_bytes(write_lock(lock)).decode(),
            b"".join(write_note(note) for note in notes).decode(),
        ),
    )
