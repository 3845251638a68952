"""PostgreSQL's tables: how they come to be and to the next format, and who may do what with them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import postgres_world
import psycopg
import pytest

from reconciler.adapters.stores.postgres import tables
from reconciler.adapters.stores.postgres.address import address_of
from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.store import PostgresStore
from reconciler.model.errors import LockLostError, StateError
from reconciler.model.intent import Closing, JournalState, Settled
from reconciler.model.joint import Task
from reconciler.model.plan import Reason, ReasonCode
from reconciler.model.shard import Shard

if TYPE_CHECKING:
    from postgres_server import Server
    from postgres_world import World
    from store_values import Some


world = postgres_world.world
some = postgres_world.some

MISSING = Reason(ReasonCode.MISSING, "no such batch exists")


# The format ---------------------------------------------------------------------------------------


def test_tables_are_made_once(world: World) -> None:
    assert initialise(world.address()) == []
    schema = world.server.new_schema()
    assert initialise(address_of(schema, "papers", world.server.url(), {})) == [
        f"Made the schema {schema}.",
        f"Made the tables, of format {tables.VERSION}.",
    ]


def test_without_tables_the_message_says_how_to_get_them(postgres: Server) -> None:
    store = PostgresStore(address_of("nowhere", "papers", postgres.url(), {}), "ada")
    for use in (store.read, store.read_lockfile, store.audit, lambda: store.hold(0).__enter__()):
        with pytest.raises(StateError) as refused:
            use()
        assert str(refused.value) == (
            "postgres schema nowhere, project papers: there are no tables of reconciler in the schema"
            ' nowhere: relation "format" does not exist. Make them: reconciler state init'
        )


def test_tables_of_a_newer_version_are_refused_and_left_alone(world: World) -> None:
    newer = tables.VERSION + 1
    world.rows(f"INSERT INTO §format (version, tool) VALUES ({newer}, 'the future')")
    for use in (
        world.store().read,
        lambda: world.store().hold(0).__enter__(),
        lambda: initialise(world.address()),
    ):
        with pytest.raises(StateError) as refused:
            use()
        assert refused.value.what == f"the tables are of format {newer}, which is newer"
        assert refused.value.next == "Upgrade: pip install --upgrade batch-reconciler"


def test_a_step_to_a_newer_format_keeps_each_state_and_stops_who_applies(
    world: World, some: Some, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tables.VERSION
    with world.store().hold(0) as session:
        session.commit(some.lock())
        session.note([some.intent("open", "dir-2")])
    before = world.store().read_lockfile().decode()
    with world.store().hold(0) as session:
        monkeypatch.setattr(tables, "SCRIPTS", (*tables.SCRIPTS, "ALTER TABLE entries ADD COLUMN more text"))
        monkeypatch.setattr(tables, "VERSION", old + 1)
        assert initialise(world.address()) == [
            f"Brought the tables from format {old} to {old + 1}; 1 state kept in backups."
        ]
        with pytest.raises(LockLostError):
            session.confirm()
    ((version, why, lockfile, journal),) = world.rows("SELECT version, why, lockfile, journal FROM §backups")
    assert (version, why, lockfile) == (old, f"before the step from format {old}", before)
    assert '"id":"open"' in str(journal)
    assert world.rows("SELECT max(version) FROM §format") == [(old + 1,)]


def test_tables_of_the_first_format_are_brought_to_this_one_with_what_they_hold(
    world: World, some: Some
) -> None:
    with world.store().hold(0) as session:
        session.commit(some.lock())
        session.note([some.intent("open", "dir-2")])
    before = world.store().read()
    # What the second format brought is taken away again.
    world.rows("DROP TABLE §joint, §work, §turns")
    world.rows("DELETE FROM §format")
    world.rows("INSERT INTO §format (version, tool) VALUES (1, 'the past')")
    with pytest.raises(StateError, match=r"format 1, which is older.*reconciler state init"):
        world.store().read()
    assert initialise(world.address()) == [
        f"Brought the tables from format 1 to {tables.VERSION}; 1 state kept in backups."
    ]
    assert world.store().read() == before


def test_older_tables_are_refused_with_the_command_that_upgrades_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.adapters.stores.postgres.rows.VERSION", tables.VERSION + 1)
    with pytest.raises(StateError, match=r"older.*reconciler state init"):
        world.store().read()


def test_a_step_that_fails_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tables.VERSION
    monkeypatch.setattr(tables, "SCRIPTS", (*tables.SCRIPTS, "DROP TABLE outcomes; SELECT 1/0"))
    monkeypatch.setattr(tables, "VERSION", old + 1)
    with pytest.raises(StateError, match="division by zero"):
        initialise(world.address())
    assert world.rows("SELECT count(*) FROM §outcomes") == [(0,)]
    assert world.rows("SELECT max(version) FROM §format") == [(old,)]


# Who may do what ----------------------------------------------------------------------------------


@pytest.fixture
def roles(world: World) -> tuple[PostgresStore, PostgresStore]:
    """A store as one that may plan sees it, and as one that may apply does."""
    stores = []
    names = [f"{word}_{world.schema}" for word in ("planner", "applier")]
    for name in names:
        world.server.run(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
        stores.append(PostgresStore(world.address(url=world.server.url(name, "x")), name))
    world.server.run("REVOKE TEMPORARY ON DATABASE postgres FROM public")
    initialise(world.address(), planner=names[0], applier=names[1])
    return stores[0], stores[1]


def test_who_plans_needs_select_and_can_do_no_more(
    world: World, some: Some, roles: tuple[PostgresStore, PostgresStore]
) -> None:
    planner, applier = roles
    with applier.hold(0) as session:
        session.note([some.intent()])
        session.note([Settled("int-1", Closing.CREATED, entry=some.entry())])
        session.commit(some.lock(*(some.entry(f"dir-{number}") for number in range(600))))
        session.commit(some.lock())
        session.keep("run.jsonl", b"{}\n")
        session.take_over(replace(some.lock(), lineage="other", serial=7), session.journal)
        session.close()
    assert planner.read() == world.store().read()
    assert planner.audit() == {"run.jsonl": b"{}\n"}
    with pytest.raises(StateError) as refused, planner.hold(0):
        pass  # pragma: no cover - not reached
    assert refused.value.what == "the database does not let this role do that"
    assert refused.value.why == "permission denied for table locks"
    assert refused.value.next.startswith("`reconciler state init --print-sql --plan-role ROLE")


def test_who_applies_may_work_beside_others_and_who_plans_may_see_it(
    world: World, some: Some, roles: tuple[PostgresStore, PostgresStore]
) -> None:
    planner, applier = roles
    with applier.hold_shard(Shard(1, 2), 0) as shard:
        book = shard.turn_book()
        assert book is not None
        assert book.book("cloud", 1, 1.0)[1] == 0.0
        book.close("cloud", 1)
    tasks = [Task(some.key(name), some.entry(name).address, MISSING) for name in ("dir-1", "dir-2")]
    with applier.hold_to_open(0) as opening:
        opening.offer("sha256:plan", [[task] for task in tasks])
        opening.commit(replace(some.lock(), plan="sha256:plan"))
    assert planner.joint() == ("sha256:plan", "sha256:plan")
    with applier.hold_joint(0) as first:
        assert [claim.tasks[0].key for claim in first.claim(1, ())] == [tasks[0].key]
        first.note([some.intent()])
    with applier.hold_joint(0) as second:
        assert [claim.number for claim in second.inherited()] == [1]
        with applier.hold_joint(0) as third:
            assert third.take_over_abandoned() == (JournalState(), [])
            (claim,) = third.claim(5, ())
            third.leave([claim.number])
        second.note([Settled("int-1", Closing.CREATED, entry=some.entry())])
        second.commit(replace(second.lock, entries=some.lock().entries))
        second.leave([1])
    assert planner.joint() == ("", "sha256:plan")
    assert world.rows("SELECT count(*) FROM §work") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE §entries",
        "TRUNCATE §entries",
        "ALTER TABLE §entries ADD COLUMN more text",
        "DELETE FROM §audit",
        "UPDATE §audit SET content = ''",
        "DELETE FROM §backups",
        "UPDATE §format SET version = 9",
        "CREATE TABLE §mine (x int)",
        "DROP SCHEMA § CASCADE",
    ],
)
def test_who_applies_cannot_drop_alter_or_rewrite_what_was_audited(
    world: World, roles: tuple[PostgresStore, PostgresStore], statement: str
) -> None:
    _, applier = roles
    text = statement.replace("§ ", f"{world.schema} ").replace("§", f"{world.schema}.")
    connection = psycopg.connect(world.server.url(applier.holder, "x"))
    with contextlib.closing(connection), pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(text.encode())


def test_who_may_not_grant_is_not_told_that_it_has(
    world: World, roles: tuple[PostgresStore, PostgresStore]
) -> None:
    planner, applier = roles
    with pytest.raises(StateError, match="does not let this role grant anything"):
        initialise(applier.address, applier=planner.holder)
    with pytest.raises(StateError, match="permission denied for table locks"), planner.hold(0):
        pass  # pragma: no cover - not reached


def test_a_role_without_any_grant_is_told_of_grants_and_not_of_missing_tables(world: World) -> None:
    world.server.run(f"CREATE ROLE nobody_{world.schema} LOGIN PASSWORD 'x'")
    store = PostgresStore(world.address(url=world.server.url(f"nobody_{world.schema}", "x")), "ada")
    with pytest.raises(StateError, match="does not let this role do that"):
        store.read()


def test_the_printed_sql_makes_what_init_makes(world: World) -> None:
    schema = world.server.new_schema()
    with contextlib.closing(world.server.connect()) as connection:
        connection.execute(tables.script(schema, "", "").encode())
    assert initialise(address_of(schema, "papers", world.server.url(), {})) == []
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, 2"
    )
    assert world.server.run(columns, schema) == world.server.run(columns, world.schema)
