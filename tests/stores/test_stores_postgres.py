"""PostgreSQL alone: whose writes count, what is written, and what its errors say (C1)."""

from __future__ import annotations

import contextlib
import os
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

import postgres_server
import postgres_world
import psycopg
import pytest

from reconciler.adapters.stores.postgres.address import Address, address_of
from reconciler.adapters.stores.postgres.store import PostgresStore
from reconciler.model.batch import Status
from reconciler.model.errors import LockHeldError, LockLostError, SettingsError, StateError
from reconciler.model.intent import Closing, Settled
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from postgres_world import World
    from store_values import Some

    from reconciler.adapters.stores.postgres.session import PostgresSession

world = postgres_world.world
some = postgres_world.some


# Whose writes count -------------------------------------------------------------------------------


def _confirm(session: PostgresSession, some: Some) -> None:
    session.confirm()


def _note(session: PostgresSession, some: Some) -> None:
    session.note([some.intent("late", "dir-7")])


def _commit(session: PostgresSession, some: Some) -> None:
    session.commit(some.lock(some.entry("dir-8")))


def _close(session: PostgresSession, some: Some) -> None:
    session.close()


def _keep(session: PostgresSession, some: Some) -> None:
    session.keep("run.jsonl", b"{}\n")


def _take_over(session: PostgresSession, some: Some) -> None:
    session.take_over(replace(some.lock(), lineage="x", serial=9), session.journal)


WRITES = [_note, _commit, _close, _keep, _take_over]


@pytest.mark.parametrize("act", [_confirm, *WRITES], ids=lambda act: act.__name__)
def test_a_session_that_was_ended_stops_its_holder(
    world: World, some: Some, act: Callable[[PostgresSession, Some], None]
) -> None:
    with world.store().hold(0) as session:
        session.note([some.intent()] if act is not _close else [])  # which then would do nothing
        before = world.store().read()
        assert world.server.terminate(world.schema) == 1
        with pytest.raises(LockLostError) as lost:
            act(session, some)
        # What the run does at its end meets the same, and it is the first reason that is told.
        with pytest.raises(LockLostError) as again:
            session.commit(some.lock(some.entry("dir-9")))
        assert again.value is lost.value
    assert str(lost.value).startswith(
        f"postgres schema {world.schema}, project papers: the connection to the database was lost while"
        " this run held its lock: terminating connection due to administrator command"
    )
    assert str(lost.value).endswith(
        "; nothing was sent after that was seen. Run apply again; it looks before it creates"
    )
    assert world.store().read() == before
    with world.store("bob@sofa").hold(2) as session:
        assert session.journal == before[1]


@pytest.mark.parametrize("act", [_confirm, *WRITES], ids=lambda act: act.__name__)
def test_once_another_has_begun_nothing_of_the_one_before_is_written(
    world: World, some: Some, act: Callable[[PostgresSession, Some], None]
) -> None:
    """The lock is gone and the connection is not: as behind a pool, or after a server's mistake."""
    with world.store().hold(0) as old:
        old.note([some.intent()] if act is not _close else [])
        old._connection.execute("SELECT pg_advisory_unlock_all()")
        with world.store("bob@sofa").hold(0) as new:
            before = world.store().read()
            with pytest.raises(LockLostError, match="another session has taken the lock since"):
                act(old, some)
            assert world.store().read() == before
            new.confirm()


def test_a_pool_that_hands_the_session_to_another_is_noticed(world: World, some: Some) -> None:
    with world.store().hold(0) as session:
        session._pid += 1
        with pytest.raises(LockLostError, match=r"stands in between.*or to a pool in session mode"):
            session.confirm()


def test_who_begins_waits_for_what_the_one_before_is_writing(world: World, some: Some) -> None:
    """The fence of a write is the row that the next holder has to change."""
    with world.store().hold(0) as old:
        old._connection.execute("SELECT pg_advisory_unlock_all()")
        with old._writing(warm=None):
            impatient = world.address(options="-c statement_timeout=200")
            with pytest.raises(StateError, match="took too long"), PostgresStore(impatient, "bob").hold(0):
                pass  # pragma: no cover - not reached


def test_two_workers_cannot_both_have_an_intent_of_one_key(world: World, some: Some) -> None:
    """Workers that share a plan have no session in common: the table itself refuses (C1)."""
    with world.store().hold(0) as session:
        world.server.run(
            f"INSERT INTO {world.schema}.intents (project, key, id, epoch, intent)"
            " VALUES ('papers', %s, 'theirs', 1, '{}')",
            str(some.key()),
        )
        with pytest.raises(StateError, match="a create of the same work is open already"):
            session.note([some.intent("other", "dir-2"), some.intent("ours")])
    assert world.rows("SELECT id FROM §intents") == [("theirs",)]


def test_projects_of_a_schema_know_nothing_of_each_other(world: World, some: Some) -> None:
    with world.store(project="one").hold(0) as one, world.store(project="two").hold(0) as two:
        one.commit(some.lock())
        two.note([some.intent()])
        one.close()
    assert (world.store(project="one").read()[1].warm, world.store(project="two").read()[0]) == (True, Lock())
    assert len(world.store(project="two").read()[1].open) == 1


def test_the_holder_is_named_from_the_moment_that_it_has_signed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds the lock held by one that has not signed yet does not name the one before."""
    monkeypatch.setattr("reconciler.adapters.stores.postgres.store._TO_SIGN", 0.2)
    with world.store("ada@desk").hold(0):
        pass
    with contextlib.closing(world.server.connect()) as unsigned:
        from reconciler.adapters.stores.postgres.seats import lock_number

        unsigned.execute("SELECT pg_advisory_lock(%s)", (lock_number(world.schema, "papers"),))
        with pytest.raises(LockHeldError, match="held by another process"), world.store("bob").hold(0):
            pass  # pragma: no cover - not reached


# What is written ----------------------------------------------------------------------------------


def test_only_rows_that_differ_are_written(world: World, some: Some) -> None:
    entries = [some.entry(f"dir-{number}", f"bat-{number}") for number in range(20)]
    with world.store().hold(0) as session:
        session.commit(some.lock(*entries))
        before = dict(world.rows("SELECT key, xmin::text FROM §entries"))
        changed = some.entry("dir-3", "bat-3", status=Status.COMPLETED)
        session.commit(some.lock(*entries[:3], changed, *entries[5:], some.entry("dir-new")))
        after = dict(world.rows("SELECT key, xmin::text FROM §entries"))
    kept = {key for key in before if after.get(key) == before[key]}
    assert before.keys() - kept == {str(some.key("dir-3")), str(some.key("dir-4"))}
    assert after.keys() - kept == {str(some.key("dir-3")), str(some.key("dir-new"))}


def test_many_entries_go_in_and_come_out(world: World, some: Some) -> None:
    entries = [some.entry(f"dir {number} 50%\t\\N", f"bat-{number}") for number in range(700)]
    with world.store().hold(0) as session:
        written = session.commit(some.lock(*entries))
        more = [some.entry(f"dir-{number}", "x") for number in range(600)]
        again = session.commit(replace(written, entries={**written.entries, **some.lock(*more).entries}))
    assert world.store().read()[0] == again
    assert len(again.entries) == 1300


def test_names_from_outside_stand_in_rows_as_in_the_lockfile(world: World, some: Some) -> None:
    entry = some.entry()._replace(directory_name="a\x00b\ud800c\u202e\n")
    with world.store().hold(0) as session:
        session.note([replace(some.intent(), directory_name="\x00\ud800")])
        session.note([Settled("int-1", Closing.FOUND, "why\x00", entry)])
        session.commit(some.lock(entry))
    lock, _ = world.store().read()
    assert lock.entries[entry.key] == entry


def test_what_a_role_has_set_neither_weakens_a_commit_nor_ends_who_waits(world: World) -> None:
    world.server.run(f"CREATE ROLE hasty{world.schema} SUPERUSER LOGIN PASSWORD 'x'")
    world.server.run(f"ALTER ROLE hasty{world.schema} SET synchronous_commit = off")
    world.server.run(f"ALTER ROLE hasty{world.schema} SET idle_in_transaction_session_timeout = 9000")
    hasty = PostgresStore(world.address(url=world.server.url(f"hasty{world.schema}", "x")), "ada")
    with hasty.hold(0) as session:
        names = ("synchronous_commit", "idle_in_transaction_session_timeout", "search_path")
        said = [session._connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
        assert said == [("on",), ("0",), (f'"{world.schema}"',)]


def test_audit_files_are_kept_line_by_line_and_come_back_whole(world: World) -> None:
    first, whole = '{"a":"ü"}\n'.encode(), '{"a":"ü"}\n{"b":"\\u0000"}\n'.encode()
    with world.store().hold(0) as session:
        session.keep("run.jsonl", first)
        session.keep("run.jsonl", whole)
        session.keep("run.sig", b"{}\n")
    assert world.store().audit() == {"run.jsonl": whole, "run.sig": b"{}\n"}


def test_what_a_state_took_the_place_of_is_a_row_of_backups(world: World, some: Some) -> None:
    with world.store().hold(0) as session:
        session.commit(some.lock())
        before = world.store().read_lockfile().decode()
        session.take_over(Lock(lineage="other", serial=3), session.journal)
    assert world.rows("SELECT project, why, lockfile, journal FROM §backups") == [
        ("papers", "taken over", before, "")
    ]


# Getting there ------------------------------------------------------------------------------------

SECRET = "hunter2/é@:hunter2"


def _refusal(address: Address) -> StateError:
    with pytest.raises(StateError) as refused:
        PostgresStore(address, "ada").read()
    told = "".join(traceback.format_exception(refused.value)) + str(refused.value)
    assert "hunter2" not in told
    assert "hunter2" not in repr(address)
    return refused.value


def test_a_wrong_password_is_told_without_it(world: World) -> None:
    refused = _refusal(world.address(url=world.server.url(password="hunter2%2F%C3%A9%40%3Ahunter2")))
    assert refused.what == "the database does not accept the user or the password"


def test_a_server_that_is_not_there_is_told_with_its_place(world: World) -> None:
    refused = _refusal(world.address(url="postgresql://ada:hunter2@127.0.0.1:1/x", connect_timeout="2"))
    assert refused.what == "the database cannot be reached"
    assert 'server at "127.0.0.1", port 1 failed: Connection refused' in refused.why


def test_a_database_that_is_not_there(world: World) -> None:
    refused = _refusal(world.address(url=world.server.url(database="nowhere")))
    assert refused.what == "there is no such database or role"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hun@ter2@127.0.0.1/x",
        "postgresql://ada:hunter2/x@127.0.0.1/x",
        "postgresql://ada:hunter2%zz@127.0.0.1/x",
        "hunter2",
    ],
)
def test_a_connection_string_that_holds_a_password_as_it_is_repeats_nothing_of_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        address_of("finance", "papers", url, {}, from_variable="DATABASE_URL")
    told = "".join(traceback.format_exception(refused.value))
    assert "hun" not in told.replace(url, "")
    assert str(refused.value).startswith("DATABASE_URL: ")


def test_tls_is_asked_for_as_libpq_has_it(world: World, tmp_path: Path) -> None:
    if not world.server.tls:
        why = "this build of PostgreSQL has no TLS"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    certificate = str(world.server.certificate)
    sure = PostgresStore(world.address(sslmode="verify-full", sslrootcert=certificate), "ada")
    assert sure.read()[0] == Lock()
    with contextlib.closing(psycopg.connect(world.server.url(), sslmode="disable")) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert row == (False,)  # the server would do without: it is the client that asks
    other = tmp_path / "other.crt"
    (tmp_path / "data").mkdir()
    postgres_server._write_certificate(other, tmp_path / "data")
    refused = _refusal(world.address(sslmode="verify-full", sslrootcert=str(other)))
    assert refused.what == "there is no secure connection to the database"


def test_a_password_may_stand_in_a_passfile(world: World, tmp_path: Path) -> None:
    file = tmp_path / "pgpass"
    secret = postgres_server.PASSWORD.replace(":", "\\:")
    file.write_text(f"127.0.0.1:{world.server.port}:postgres:postgres:{secret}\n")
    file.chmod(0o600)
    url = f"postgresql://postgres@127.0.0.1:{world.server.port}/postgres"
    assert PostgresStore(world.address(url=url, passfile=str(file)), "ada").read()[0] == Lock()


def test_a_standby_can_be_planned_from_and_not_applied_to(world: World) -> None:
    standby = PostgresStore(world.address(options="-c default_transaction_read_only=on"), "ada")
    assert standby.read()[0] == Lock()
    with pytest.raises(StateError) as refused, standby.hold(0):
        pass  # pragma: no cover - not reached
    assert refused.value.what == "this server is a standby, and cannot be written to"


@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("entries", "entry", "table entries, key https://api.example prj-1 dir-1 parse_v2 cfg-1"),
        ("intents", "intent", "table intents, key https://api.example prj-1 dir-2 parse_v2 cfg-1"),
        ("outcomes", "settled", "table outcomes, number "),
    ],
)
def test_a_row_that_this_tool_has_not_written_is_named(
    world: World, some: Some, table: str, column: str, where: str
) -> None:
    with world.store().hold(0) as session:
        session.commit(some.lock())
        session.note([some.intent("one", "dir-2"), some.intent("two", "dir-3")])
        session.note([Settled("two", Closing.FOUND, entry=some.entry("dir-3"))])
    world.rows(f"UPDATE §{table} SET {column} = '{{}}'")
    with pytest.raises(StateError) as refused:
        world.store().read()
    assert where in refused.value.where
    with pytest.raises(StateError), world.store().hold(0):
        pass  # pragma: no cover - not reached
