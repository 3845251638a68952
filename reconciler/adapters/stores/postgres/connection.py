"""Speaking to the server: opening a connection, and what its errors mean to a person. It knows no table."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler.model.errors import LockLostError, SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg as psycopg_module

    from reconciler.adapters.stores.postgres.address import Address

    Connection: TypeAlias = psycopg_module.Connection[tuple[Any, ...]]

_INIT = "Make them: reconciler state init"
_GRANTS = "`reconciler state init --print-sql --plan-role ROLE --apply-role ROLE` prints the grants"
_AGAIN = "Run apply again; it looks before it creates"

_SETTINGS = {
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "60s",
    "synchronous_commit": "on",
    "tcp_keepalives_count": "3",
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_user_timeout": "40000",
}

# What libpq says of a connection that did not come about, in words of it, and what helps. The first fits.
_REFUSALS = (
    (
        ("password authentication failed", "no password supplied", "authentication failed"),
        "the database does not accept the user or the password",
        "Check the connection string; a password may also stand in PGPASSWORD or a passfile",
    ),
    (
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        "the database does not let this user in from here",
        "Have pg_hba.conf allow it; where it wants TLS, set sslmode to verify-full",
    ),
    (
        ("certificate", "SSL", "root.crt", "server does not support"),
        "there is no secure connection to the database",
        "sslmode and sslrootcert of state say what is asked of the server",
    ),
    (("does not exist",), "there is no such database or role", "Check the connection string"),
    (
        ("too many clients", "remaining connection slots", "too many connections"),
        "the database takes no more connections",
        "Wait, or raise its max_connections",
    ),
    (
        ("session is read-only", "session is not read-only", "is in hot standby", "not a primary"),
        "this server is a standby, and cannot be written to",
        "Name the primary in the connection string, or all hosts: postgresql://a,b/database",
    ),
)


def psycopg() -> Any:  # noqa: ANN401 - a module
    """The package.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import psycopg as module
        import psycopg.conninfo
    except ImportError as error:
        raise SettingsError(
            "state in PostgreSQL needs psycopg",
            next="Install it: pip install 'batch-reconciler[postgres]'",
        ) from error
    return module


def connect(address: Address, *, write: bool) -> Connection:
    """Open a connection, with everything set that durability and the schema depend on.

    Args:
        address: of what.
        write: whether it is to be written to, so that of several hosts the primary is meant.

    Raises:
        StateError: there is none to be had; it says why, without the password.
    """
    module = psycopg()
    parameters = dict(address.parameters)
    if write:
        parameters.setdefault("target_session_attrs", "read-write")
    try:
        connection: Connection = module.connect(**parameters, autocommit=True)
    except module.Error as error:
        raise _refused(address, str(error)) from None  # its traceback shows what it was called with
    try:
        with explained(address, connection):
            _prepare(connection, address.schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: Connection, schema: str) -> None:
    """Settings of this session, whatever the role's or the database's are.

    A commit that returns is on disk (C3), also where the role has switched that off. The server notices a
    client that vanished within a minute, so that its lock is free again, and never ends one for being idle:
    a run may wait for hours for its batches. What an older server does not know is left out.
    """
    from reconciler.adapters.stores.postgres.tables import quoted

    settings = {**_SETTINGS, "search_path": quoted(schema)}
    connection.execute(
        "SELECT set_config(name, value, false) FROM pg_settings"
        " JOIN unnest(%s::text[], %s::text[]) AS wanted (setting_name, value) ON name = setting_name"
        " WHERE name <> 'synchronous_commit' OR setting IN ('off', 'local')",
        (list(settings), list(settings.values())),
    )


def _refused(address: Address, said: str) -> StateError:
    said = address.redacted(said)
    for words, what, help_ in _REFUSALS:
        if any(word in said for word in words):
            return StateError(what, where=address.shown, why=said, next=help_)
    return StateError(
        "the database cannot be reached",
        where=address.shown,
        why=said,
        next="Check the connection string and that the server runs",
    )


@contextlib.contextmanager
def explained(address: Address, connection: Connection, *, held: bool = False) -> Iterator[None]:
    """Map what the server or the connection says.

    Args:
        address: of what.
        connection: over which.
        held: whether the lock is held by this session, which ends with it.

    Raises:
        LockLostError: the connection is gone that held the lock.
        StateError: everything else.
    """
    module = psycopg()
    try:
        yield
    except module.Error as error:
        said = address.redacted(error.diag.message_primary or str(error))
        if connection.closed or connection.broken:
            raise _lost(address, said, held=held) from error
        raise _mapped(address, connection, error, said) from error


def _lost(address: Address, said: str, *, held: bool) -> StateError:
    if held:
        return LockLostError(
            "the connection to the database was lost while this run held its lock",
            where=address.shown,
            why=f"{said}; nothing was sent after that was seen",
            next=_AGAIN,
        )
    return StateError(
        "the connection to the database was lost", where=address.shown, why=said, next="Run it again"
    )


def _mapped(address: Address, connection: Connection, error: Any, said: str) -> StateError:  # noqa: ANN401 - psycopg.Error
    errors = psycopg().errors
    match error:
        case errors.UndefinedTable() | errors.InvalidSchemaName() if not _shut_out(address, connection):
            what, help_ = f"there are no tables of reconciler in the schema {address.schema}", _INIT
        case errors.InsufficientPrivilege() | errors.UndefinedTable() | errors.InvalidSchemaName():
            what, help_ = "the database does not let this role do that", _GRANTS
        case errors.ReadOnlySqlTransaction():
            what, help_ = "the database cannot be written to", "Name the primary in the connection string"
        case errors.LockNotAvailable() | errors.QueryCanceled():
            what, help_ = "the database took too long", "Run it again"
        case errors.DiskFull() | errors.OutOfMemory():
            what, help_ = "the database has no room left", "Make room there, and run it again"
        case errors.UndefinedColumn() | errors.UndefinedObject():
            what, help_ = "the tables are not those of this version", "Upgrade them: reconciler state init"
        case _:
            what, help_ = "the database refused", "Run it again; with --log-level debug it says more"
    return StateError(what, where=address.shown, why=said, next=help_)


def _shut_out(address: Address, connection: Connection) -> bool:
    """Whether the schema is there and not for this role: its tables then look as if there were none."""
    module = psycopg()
    try:
        row = connection.execute(
            "SELECT 1 FROM pg_namespace WHERE nspname = %s AND NOT has_schema_privilege(oid, 'USAGE')",
            (address.schema,),
        ).fetchone()
    except module.Error:  # within a transaction that has failed
        return False
    return row is not None
