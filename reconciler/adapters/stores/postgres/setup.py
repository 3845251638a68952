"""Making the tables, and carrying them from an older format to this one (`state init`).

One transaction that either all of it happens in or nothing. Before tables are changed, each project's state
is kept in ``backups``, and every epoch is raised: a run that is under way stops before its next send.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.adapters.stores.postgres import tables
from reconciler.adapters.stores.postgres.connection import connect, explained
from reconciler.adapters.stores.postgres.rows import check_version, read_state, read_version
from reconciler.adapters.stores.postgres.seats import lock_number
from reconciler.adapters.stores.postgres.session import back_up
from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from reconciler.adapters.stores.postgres.address import Address
    from reconciler.adapters.stores.postgres.connection import Connection

# What the server calls a GRANT that granted nothing.
_NOT_GRANTED = "01007"


def initialise(address: Address, *, planner: str = "", applier: str = "") -> list[str]:
    """Make the schema, its tables and grants, as far as they are missing; says what was done.

    Args:
        address: the database and its schema.
        planner: a role that is to be able to plan, or "".
        applier: a role that is to be able to apply, or "".

    Raises:
        StateError: the database cannot be used, or its tables are newer.
    """
    connection = connect(address, write=True)
    done: list[str] = []
    with closing(connection), explained(address, connection), connection.transaction():
        number = lock_number(address.schema, "\0the tables")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))
        if not _has(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", address.schema):
            connection.execute(_literal(f"CREATE SCHEMA {tables.quoted(address.schema)}"))
            done.append(f"Made the schema {address.schema}.")
        done += _bring_up(connection, address)
        done += _grant(connection, address, tables.grants(address.schema, planner, applier))
    return done


def _grant(connection: Connection, address: Address, statements: list[str]) -> list[str]:
    """Grant, and make sure that it was: who may not grant is only warned by the server."""
    warned: list[str | None] = []
    connection.add_notice_handler(lambda notice: warned.append(notice.sqlstate))
    for statement in statements:
        connection.execute(_literal(statement))
    if _NOT_GRANTED in warned:
        raise StateError(
            "the database does not let this role grant anything",
            where=address.shown,
            next="Have the owner of the schema do it: `reconciler state init --print-sql` prints the grants",
        )
    return ["Granted what planning and applying need: --print-sql shows it."] if statements else []


def _bring_up(connection: Connection, address: Address) -> list[str]:
    version = 0
    if _has(connection, "SELECT to_regclass(%s)", f"{tables.quoted(address.schema)}.format"):
        version = read_version(connection)
        if version > tables.VERSION:
            check_version(connection, address.shown)
    if version == tables.VERSION:
        return []
    kept = _keep_all(connection, version) if version else 0
    for index in range(version, tables.VERSION):
        connection.execute(_literal(tables.SCRIPTS[index]))
        connection.execute(
            "INSERT INTO format (version, tool) VALUES (%s, %s)", (index + 1, f"reconciler {__version__}")
        )
    if not version:
        return [f"Made the tables, of format {tables.VERSION}."]
    states = f"{kept:,} state{'' if kept == 1 else 's'}"
    return [f"Brought the tables from format {version} to {tables.VERSION}; {states} kept in backups."]


def _keep_all(connection: Connection, version: int) -> int:
    """Stop whoever holds a lock, and keep every state as it stands in the old format."""
    connection.execute("UPDATE locks SET epoch = epoch + 1, warm = false")
    projects = [row[0] for row in connection.execute("SELECT project FROM locks ORDER BY project")]
    for project in sorted(set(projects)):
        standing = read_state(connection, project, project)
        why = f"before the step from format {version}"
        back_up(connection, project, standing.lock, standing.journal, why)
    return len(set(projects))


def _has(connection: Connection, query: str, name: str) -> bool:
    row = connection.execute(_literal(query), (name,)).fetchone()
    return row is not None and row[0] is not None


def _literal(text: str) -> bytes:
    """A statement that is not a literal of the code: made of scripts of ours and quoted names."""
    return text.encode()
