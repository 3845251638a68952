"""The outbox: what is to be told of batches, kept until it is told.

    waiting ──claim──► sending ──2xx──► sent
       ▲                  ├──else, and tries are left──► waiting
       │                  └──else──────────────────────► failed
       └──recover, when a new sender begins

A row is written in the transaction that changes the batch, so that neither is there without the other.
Each is claimed before it is sent, so that it is sent once as a rule; when a sender dies before it could
note the end, it is sent again: at least once. Secrets and headers stay in this database.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.emulator.webhooks.configurations import EVENT_OF
from reconciler.emulator.webhooks.requests import body_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from reconciler.emulator.database import Database
    from reconciler.emulator.llamacloud.batches import Batch
    from reconciler.emulator.moments import Micros
    from reconciler.emulator.webhooks.configurations import Webhook

# What is new is due at 0, so before what was tried already.
_DUE = """
SELECT number FROM webhook_deliveries JOIN webhooks USING (batch_us, position)
WHERE due_us <= ? AND authority NOT IN (SELECT value FROM json_each(?)) ORDER BY due_us, number LIMIT 1
"""
_CLAIM = """
UPDATE webhook_deliveries SET state = 'sending', due_us = NULL, tries = tries + 1
WHERE number = ? AND state = 'waiting'
"""
_CLAIMED = """
SELECT webhook_deliveries.*, url, authority, headers, secret
FROM webhook_deliveries JOIN webhooks USING (batch_us, position) WHERE number = ?
"""
# Of what is no longer to be sent, the body is not needed.
_SETTLE = """
UPDATE webhook_deliveries SET state = ?, due_us = ?, status = ?, error = ?,
body = CASE WHEN ? THEN body ELSE x'' END WHERE number = ?
"""
_PAGE = """
SELECT webhook_deliveries.*, url, id AS batch_id FROM webhook_deliveries
JOIN webhooks USING (batch_us, position) JOIN batches ON batch_us = batches.created_us
WHERE number > ? ORDER BY number LIMIT ?
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One event for one webhook, claimed. `tries` counts the one that is to come."""

    number: int
    event: str
    event_id: str
    body: bytes
    url: str
    authority: str
    tries: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    secret: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One event for one webhook, as far as it may be shown.

    Attributes:
        state: waiting, sending, sent or failed.
        status: that of the last answer, if there was one.
        error: why the last try had none, if it had not.
        next_try: the earliest, by the machine's clock; 0 for as soon as can be.
    """

    number: int
    event: str
    event_id: str
    batch_id: str
    url: str
    created: Micros
    state: str
    tries: int
    status: int | None
    error: str | None
    next_try: Micros | None


class Outbox:
    """The outbox of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, connection: sqlite3.Connection, batch: Batch, webhooks: Sequence[Webhook]) -> None:
        """Keep whom to tell of a new batch, and tell them, within the transaction that makes it."""
        connection.executemany(
            "INSERT INTO webhooks (batch_us, position, url, authority, events, headers, format, secret)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(batch.created, position, webhook.url, webhook.authority),
                    *(json.dumps(webhook.events), json.dumps(webhook.headers)),
                    *(webhook.format, webhook.secret),
                )
                for position, webhook in enumerate(webhooks)
            ],
        )
        if webhooks:
            self.tell(connection, batch)

    def tell(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Tell whoever asked for it of a batch's new status, within the transaction that changes it."""
        event = EVENT_OF.get(batch.status)
        if event is None:
            return
        asked = connection.execute(
            "SELECT position, format FROM webhooks WHERE batch_us = ?"
            " AND ? IN (SELECT value FROM json_each(events)) ORDER BY position",
            (batch.created, event),
        ).fetchall()
        event_id = str(uuid.uuid4())
        connection.executemany(
            "INSERT INTO webhook_deliveries"
            " (event_id, event, batch_us, position, body, created_us, state, due_us, tries)"
            " VALUES (?, ?, ?, ?, ?, ?, 'waiting', 0, 0)",
            [
                (
                    *(event_id, event, batch.created, row["position"]),
                    *(body_of(event, event_id, batch, row["format"]), batch.updated),
                )
                for row in asked
            ],
        )

    def recover(self) -> None:
        """Make everything due that is not told yet. For the one sender, when it begins."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE webhook_deliveries SET state = 'waiting', due_us = 0"
                " WHERE state IN ('waiting', 'sending')"
            )

    def claim(self, now: Micros, *, without: Collection[str]) -> Delivery | None:
        """Take what is due the longest; None when nothing is.

        Args:
            now: By the machine's clock.
            without: The authorities that nothing is to be sent to now.
        """
        reader = self._database.reader()
        # Looked at first: a transaction is a turn to write, and most looks find nothing.
        due = None if reader is None else reader.execute(_DUE, (now, json.dumps(sorted(without)))).fetchone()
        if due is None:
            return None
        with self._database.transaction() as connection:
            if not connection.execute(_CLAIM, (due["number"],)).rowcount:
                return None
            row = connection.execute(_CLAIMED, (due["number"],)).fetchone()
        return Delivery(
            number=row["number"],
            event=row["event"],
            event_id=row["event_id"],
            body=row["body"],
            url=row["url"],
            authority=row["authority"],
            tries=row["tries"],
            headers=tuple((name, value) for name, value in json.loads(row["headers"])),
            secret=row["secret"],
        )

    def sent(self, delivery: Delivery, status: int) -> None:
        """Note that a delivery was taken."""
        self._settle(delivery, "sent", due=None, status=status, error=None)

    def failed(
        self, delivery: Delivery, *, status: int | None, error: str | None, due: Micros | None
    ) -> None:
        """Note that a delivery was not taken.

        Args:
            delivery: Which one.
            status: What was answered, if anything was.
            error: What happened, if nothing was.
            due: When to try again, by the machine's clock; None for never.
        """
        state = "failed" if due is None else "waiting"
        self._settle(delivery, state, due=due, status=status, error=error)

    def idle(self) -> bool:
        """Say whether there is nothing left to send."""
        reader = self._database.reader()
        left = "SELECT 1 FROM webhook_deliveries WHERE state IN ('waiting', 'sending') LIMIT 1"
        return reader is None or reader.execute(left).fetchone() is None

    def page(self, *, after: int, limit: int) -> list[Listed]:
        """Give up to `limit` deliveries, the oldest first, those numbered above `after`."""
        reader = self._database.reader()
        if reader is None:
            return []
        return [
            Listed(
                number=row["number"],
                event=row["event"],
                event_id=row["event_id"],
                batch_id=row["batch_id"],
                url=row["url"],
                created=row["created_us"],
                state=row["state"],
                tries=row["tries"],
                status=row["status"],
                error=row["error"],
                next_try=row["due_us"],
            )
            for row in reader.execute(_PAGE, (after, limit))
        ]

    def _settle(
        self, delivery: Delivery, state: str, *, due: Micros | None, status: int | None, error: str | None
    ) -> None:
        with self._database.transaction() as connection:
            connection.execute(_SETTLE, (state, due, status, error, due is not None, delivery.number))
