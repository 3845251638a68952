"""`reconciler state`: moving, taking out, putting in; what stands in the way, and what is left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from store_values import NOON, Some

from reconciler import api
from reconciler.adapters.stores.file import FileStore
from reconciler.adapters.stores.lockfile import write_lock
from reconciler.adapters.stores.postgres.address import address_of
from reconciler.adapters.stores.postgres.store import PostgresStore
from reconciler.model.errors import LockHeldError, ManifestError, SettingsError, StateError
from reconciler.model.intent import Closing, JournalState, Settled

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Server

FILE = "{type: file, path: reconciler.lock}"


@dataclass
class Place:
    """A project in a folder, and the two stores that its state can be in."""

    folder: Path
    server: Server
    schema: str

    def write(self, state: dict[str, Any]) -> None:
        spec = {"manifests": ["batches/*"], "providers": {"here": {"type": "local", "root": "documents"}}}
        document = {
            "apiVersion": "reconciler/v1",
            "kind": "Project",
            "metadata": {"name": "papers"},
            "spec": {**spec, "state": state},
        }
        (self.folder / "reconciler.yaml").write_text(json.dumps(document, indent=2))

    @property
    def spec(self) -> dict[str, Any]:
        return {"type": "postgres", "url": {"env": "STATE_URL"}, "schema": self.schema}

    @property
    def environ(self) -> dict[str, str]:
        return {"STATE_URL": self.server.url()}

    @property
    def file(self) -> FileStore:
        return FileStore(self.folder / "reconciler.lock", "reconciler.lock", "ada", NOON, "papers")

    @property
    def database(self) -> PostgresStore:
        return PostgresStore(address_of(self.schema, "papers", self.server.url(), {}), "ada")

    def migrate(self, *, source: str = "", target: str = "") -> api.Moved:
        return api.migrate_state(self.folder, source=source, target=target, environ=self.environ)

    def push(self, name: str = "pushed.lock", *, force: bool = False) -> api.Moved:
        return api.push_state(self.folder / name, self.folder, force=force, environ=self.environ)


@pytest.fixture
def place(postgres: Server, tmp_path: Path) -> Place:
    made = Place(tmp_path, postgres, postgres.new_schema())
    made.write(made.spec)
    api.init_state(made.folder, environ=made.environ)
    return made


@pytest.fixture
def some() -> Some:
    return Some()


def test_a_state_moves_there_and_back_with_everything_that_is_open(place: Place, some: Some) -> None:
    recovered = some.entry("dir-3", "bat-3")
    with place.file.hold(0) as session:
        session.commit(replace(some.lock(), heads=("run.jsonl#sha256:1",), sets={"invoices": "sha256:1"}))
        session.note([some.intent("open", "dir-2"), some.intent("back", "dir-3")])
        session.note([Settled("back", Closing.CREATED, entry=recovered)])
    (place.folder / "audit").mkdir()
    (place.folder / "audit" / "run.jsonl").write_text("{}\n")
    before, text = place.file.read(), place.file.read_lockfile()
    assert before[1] == JournalState((some.intent("open", "dir-2"),), (recovered,))

    moved = place.migrate(source=FILE)
    assert moved == ("reconciler.lock", place.database.shown, 1, 1, 1, True)
    assert place.database.read() == before
    assert place.database.read_lockfile() == text
    assert place.database.audit() == {"run.jsonl": b"{}\n"}
    assert (place.file.read(), place.file.read_lockfile()) == (before, text)  # as it was

    (place.folder / "audit" / "run.jsonl").unlink()
    place.migrate(target="{type: file, path: elsewhere.lock}")
    there = FileStore(place.folder / "elsewhere.lock", "elsewhere.lock", "ada", NOON, "papers")
    assert (there.read(), there.read_lockfile()) == (before, text)
    assert (place.folder / "audit" / "run.jsonl").read_text() == "{}\n"


def test_a_warm_state_stays_warm_wherever_it_goes(place: Place, some: Some) -> None:
    with place.file.hold(0) as session:
        session.commit(some.lock())
        session.close()
    place.migrate(source=FILE)
    assert place.database.read()[1].warm
    place.migrate(target="{type: file, path: elsewhere.lock}")
    there = FileStore(place.folder / "elsewhere.lock", "elsewhere.lock", "ada", NOON)
    assert there.read()[1].warm


def test_moving_again_brings_what_has_changed_since(place: Place, some: Some) -> None:
    for entries in ((), (some.entry("dir-9"),)):
        with place.file.hold(0) as session:
            session.commit(some.lock(some.entry(), *entries))
        assert place.migrate(source=FILE).serial == 1 + len(entries)
    assert place.database.read()[0] == place.file.read()[0]


def test_a_state_does_not_take_the_place_of_another_or_of_a_newer_one(place: Place, some: Some) -> None:
    with place.file.hold(0) as session:
        session.commit(some.lock())
    place.migrate(source=FILE)
    with place.database.hold(0) as session:
        session.commit(replace(session.lock, entries={}))
    with pytest.raises(StateError, match="what stands there is newer: its serial is 2, and this one's 1"):
        place.migrate(source=FILE)
    (place.folder / "reconciler.lock").unlink()
    (place.folder / "reconciler.lock.journal").unlink()
    with place.file.hold(0) as session:
        session.commit(some.lock())
    with pytest.raises(StateError, match="another state stands there: it is of lineage"):
        place.migrate(source=FILE)
    assert len(place.database.read()[0].entries) == 0


def test_nothing_moves_while_either_is_held_or_where_there_is_nothing(place: Place, some: Some) -> None:
    with pytest.raises(StateError, match="there is no state to move"):
        place.migrate(source=FILE)
    assert not (place.folder / "reconciler.lock.journal").exists()
    with place.file.hold(0) as session:
        session.commit(some.lock())
        with pytest.raises(LockHeldError, match=r"reconciler\.lock\.journal: the lock is held by ada"):
            place.migrate(source=FILE)
    with place.database.hold(0), pytest.raises(LockHeldError, match=r"postgres schema .* held by ada since"):
        place.migrate(source=FILE)
    place.migrate(source=FILE)


def test_creates_that_are_open_there_alone_are_not_lost_by_moving(place: Place, some: Some) -> None:
    with place.file.hold(0) as session:
        session.commit(some.lock())
    place.migrate(source=FILE)
    with place.database.hold(0) as session:
        session.note([some.intent("theirs")])
    with pytest.raises(StateError, match=r"open there that are not here: 1\. Run apply first"):
        place.migrate(source=FILE)
    with place.database.hold(0) as session:
        session.note([Settled("theirs", Closing.CREATED, entry=some.entry())])
    with pytest.raises(StateError, match="the last run did not come to its end"):
        place.migrate(source=FILE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{type: nowhere}", r"--from: state\.type: expected 'file', 'postgres' or 'object', got 'nowhere'"),
        ("{type: file, paht: x}", r"--from: state\.paht: unknown key 'paht': did you mean 'path'\?"),
        ("[1, 2", "--from: "),
        ("3", "--from: state: expected a mapping, got a number"),
        (
            "{type: postgres, url: 'postgresql://a:hunter2@b/c'}",
            r"--from: state\.url: a password does not stand",
        ),
    ],
)
def test_a_place_that_is_none_is_a_usage_of_the_same_schema(place: Place, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        place.migrate(source=text)
    assert "hunter2" not in str(refused.value)


def test_the_same_place_twice_is_no_move(place: Place) -> None:
    with pytest.raises(SettingsError, match="both are the same place"):
        place.migrate(source=json.dumps(place.spec))


def test_what_was_pulled_can_be_pushed_once_it_is_newer(place: Place, some: Some) -> None:
    with pytest.raises(StateError, match="there is no state yet"):
        api.pull_state(place.folder, environ=place.environ)
    with place.database.hold(0) as session:
        session.commit(some.lock())
        session.note([some.intent("open", "dir-2")])
    pulled = api.pull_state(place.folder, environ=place.environ)
    assert (pulled.text, pulled.left) == (place.database.read_lockfile(), 1)
    pushed = place.folder / "pushed.lock"
    pushed.write_bytes(pulled.text)
    assert not place.push().changed

    lock = place.database.read()[0]
    pushed.write_text(write_lock(replace(lock, entries={})))
    with pytest.raises(StateError, match=r"as new or newer: its serial is 1, and this one's 1.*--force"):
        place.push()
    pushed.write_text(write_lock(replace(lock, entries={}, serial=2)))
    assert place.push() == (str(pushed), place.database.shown, 0, 1, 2, True)
    assert place.database.read() == (
        replace(lock, entries={}, serial=2),
        JournalState((some.intent("open", "dir-2"),)),
    )
    ((why, kept),) = place.server.run(f"SELECT why, lockfile FROM {place.schema}.backups")
    assert (why, kept) == ("taken over", pulled.text.decode())


def test_an_older_state_or_another_ones_is_pushed_by_force_alone(place: Place, some: Some) -> None:
    with place.database.hold(0) as session:
        first = session.commit(some.lock())
        session.commit(some.lock(some.entry(), some.entry("dir-2")))
        session.close()
    pushed = place.folder / "pushed.lock"
    pushed.write_text(write_lock(first))
    with pytest.raises(StateError, match="as new or newer"):
        place.push()
    assert place.push(force=True).serial == 3  # it only ever rises
    assert not place.database.read()[1].warm  # what it does not know of has to be seen absent twice (C2)
    pushed.write_text(write_lock(replace(first, lineage="another")))
    with pytest.raises(StateError, match="another state stands there: it is of lineage"):
        place.push()
    assert place.push(force=True).changed
    assert place.database.read()[0].lineage == "another"


def test_a_lockfile_of_another_project_or_none_at_all_is_not_pushed(place: Place, some: Some) -> None:
    pushed = place.folder / "pushed.lock"
    pushed.write_text(write_lock(replace(some.lock(), lineage="x", project="theirs")))
    with pytest.raises(StateError, match="belongs to another project: it says project 'theirs'"):
        place.push(force=True)
    pushed.write_text("<<<<<<< ours\n")
    with pytest.raises(StateError, match="conflict marks"):
        place.push(force=True)
    with pytest.raises(SettingsError, match="the lockfile cannot be read: no such file"):
        place.push("nowhere.lock")
    assert place.database.read_lockfile() == b""


def test_a_file_is_pushed_to_and_pulled_from_as_well_and_keeps_what_it_was(place: Place, some: Some) -> None:
    place.write({"type": "file"})
    with place.file.hold(0) as session:
        lock = session.commit(some.lock())
    before = place.file.read_lockfile()
    assert api.pull_state(place.folder).text == before
    (place.folder / "pushed.lock").write_text(write_lock(replace(lock, entries={}, serial=5)))
    assert place.push().serial == 5
    assert place.file.read()[0].serial == 5
    assert (place.folder / "reconciler.lock.backup").read_bytes() == before


def test_a_store_of_files_needs_no_preparation(place: Place) -> None:
    place.write({"type": "file"})
    for use in (api.init_state, api.state_sql):
        with pytest.raises(SettingsError, match="needs no preparation"):
            use(place.folder)


def test_a_password_in_a_manifest_is_a_fault_at_its_line(place: Place) -> None:
    place.write({"type": "postgres", "url": "postgresql://ada:hunter2@db/papers"})
    with pytest.raises(ManifestError) as refused:
        api.pull_state(place.folder)
    assert str(refused.value) == (
        "reconciler.yaml:19:14: spec.state.url: a password does not stand in a manifest: use {env: VARIABLE},"
        " or passfile"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db.example.com/papers",
        "postgresql://ada@db.example.com:5432/papers?sslmode=verify-full",
        "postgres://a.example,b.example/papers",
    ],
)
def test_a_url_without_a_password_may_stand_in_a_manifest(place: Place, url: str) -> None:
    place.write({"type": "postgres", "url": url, "schema": "finance"})
    assert 'CREATE SCHEMA IF NOT EXISTS "finance"' in api.state_sql(place.folder)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:p/w@db/x",
        "postgresql://ada:p@w@db/x",
        "postgresql://db/x?password=pw",
        "postgresql://db/x?sslpassword=pw",
        "host=db password=pw",
        "mysql://db/x",
        "postgresql://ada: pw@db/x",
    ],
)
def test_other_urls_are_faults_and_are_not_repeated(place: Place, url: str) -> None:
    place.write({"type": "postgres", "url": url})
    with pytest.raises(ManifestError) as refused:
        api.pull_state(place.folder)
    assert "pw" not in str(refused.value)
    assert "p@w" not in str(refused.value)


def test_a_variable_that_is_not_set_is_said_when_validating_and_when_it_is_needed(place: Place) -> None:
    said = [str(item) for item in api.validate(place.folder, environ={})]
    assert said[-1] == (
        "reconciler.yaml:20:16: warning: the environment variable STATE_URL is not set:"
        " the state's connection string stands there"
    )
    with pytest.raises(SettingsError, match="the environment variable STATE_URL is not set"):
        api.pull_state(place.folder, environ={})
