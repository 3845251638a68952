"""Shared state that cannot be used, as who runs a command sees it: one error, an exit code, nothing changed.

What each error says of each cause is the adapters' own tests' business; these are whole commands, and golden.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

import neighbour_town
import object_servers
import pytest
from bucket_project import BucketProject
from forked_reconciler import forked
from frozen_child import UNDISTURBED
from frozen_holder import Ground, zygote
from neighbour_project import Ended
from shared_project import shared_project

from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.tables import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator_process import Emulator
    from neighbour_project import Project
    from postgres_server import Server
    from shared_project import SharedProject

town = neighbour_town.town

COMMANDS = (("plan",), ("apply", "--auto-approve"))


@pytest.fixture(scope="module")
def bin_() -> Iterator[Path]:
    with forked() as folder:
        yield folder


@pytest.fixture(scope="module")
def line() -> Iterator[Path]:
    with zygote() as there:
        yield there


class Refused(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    text: str


def _run(bin_: Path, project: Project, *words: str, **environ: str) -> Refused:
    done = subprocess.run(
        [bin_ / "reconciler", "--chdir", project.folder, *words],
        env=project.environment | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Refused(done.returncode, done.stdout)


def _refuses(
    bin_: Path,
    project: Project,
    expected: str,
    *,
    commands: tuple[tuple[str, ...], ...] = COMMANDS,
    **environ: str,
) -> None:
    """Both a plan and an apply say exactly this, and neither changes anything."""
    before = project.bytes()
    for words in commands:
        assert _run(bin_, project, *words, **environ) == Refused(1, expected), words
    assert project.bytes() == before
    assert all(ids == [] for ids in project.live().values())


# A database ---------------------------------------------------------------------------------------


@pytest.fixture
def shared(town: tuple[Emulator, Path], postgres: Server, tmp_path: Path) -> SharedProject:
    service, documents = town
    return shared_project(tmp_path / "project", service, documents, postgres, directories=1)


def test_a_database_that_cannot_be_reached(bin_: Path, shared: SharedProject) -> None:
    expected = f"""\
Error: postgres schema {shared.schema}, project neighbours: the database cannot be reached
  why: connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused \
Is the server running on that host and accepting TCP/IP connections?
  next: Check the connection string and that the server runs
"""
    _refuses(bin_, shared, expected, STATE_URL="postgresql://ada:hunter2@127.0.0.1:1/x")


def test_a_wrong_password(bin_: Path, shared: SharedProject, postgres: Server) -> None:
    expected = f"""\
Error: {shared.store.shown}: the database does not accept the user or the password
  why: connection failed: connection to server at "127.0.0.1", port {postgres.port} failed: \
FATAL: password authentication failed for user "postgres"
  next: Check the connection string; a password may also stand in PGPASSWORD or a passfile
"""
    _refuses(bin_, shared, expected, STATE_URL=postgres.url(password="hunter2"))


def test_tables_of_a_newer_version(bin_: Path, shared: SharedProject, postgres: Server) -> None:
    postgres.run(f"INSERT INTO {shared.schema}.format (version, tool) VALUES (99, 'a later one')")
    expected = f"""\
Error: postgres schema {shared.schema}, project neighbours: the tables are of format 99, which is newer
  why: this version of reconciler knows formats up to {VERSION}
  next: Upgrade: pip install --upgrade batch-reconciler
"""
    _refuses(bin_, shared, expected, commands=(*COMMANDS, ("state", "init")))


def test_no_tables(bin_: Path, shared: SharedProject, postgres: Server) -> None:
    postgres.run(f"DROP SCHEMA {shared.schema} CASCADE")
    expected = f"""\
Error: postgres schema {shared.schema}, project neighbours: there are no tables of reconciler in the schema \
{shared.schema}
  why: relation "format" does not exist
  next: Make them: reconciler state init
"""
    _refuses(bin_, shared, expected)


def test_a_role_that_may_plan_and_not_apply(bin_: Path, shared: SharedProject, postgres: Server) -> None:
    role = f"planner_{shared.schema}"
    postgres.run(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    initialise(shared.store.address, planner=role)
    url = postgres.url(role, "x")
    assert _run(bin_, shared, "plan", STATE_URL=url).code == 0
    expected = f"""\
Error: postgres schema {shared.schema}, project neighbours: the database does not let this role do that
  why: permission denied for table locks
  next: `reconciler state init --print-sql --plan-role ROLE --apply-role ROLE` prints the grants
"""
    _refuses(bin_, shared, expected, commands=COMMANDS[1:], STATE_URL=url)


def test_a_connection_that_is_lost_in_the_middle_of_an_apply(
    line: Path, town: tuple[Emulator, Path], postgres: Server, tmp_path: Path
) -> None:
    """The service has answered, and the note of that is refused: what was made is named, and found again."""
    service, documents = town
    ground = Ground(line, service, documents, tmp_path, server=postgres)
    project = ground.project()
    first, second = project.directories
    cut = ground.begin(project, "after POST /api/v2/batches")
    assert cut.frozen()
    assert ground.end_session(project)
    cut.wake()
    (made,) = project.live()[first]
    assert cut.ended()[0] == Ended(
        3,
        f"""\
papers
  + papers/{first}  {first[4:]}  parse_v2 cfg-PARSE_AGENTIC  1 file  no such batch exists
  + papers/{second}  {second[4:]}  parse_v2 cfg-PARSE_AGENTIC  1 file  no such batch exists

Plan: 2 to create (2 files).
warning: papers/{first}: {made} was created, and could not be written down; the next apply looks for it
Error: {project.store.shown}: the connection to the database was lost while this run held its lock
  why: terminating connection due to administrator command; nothing was sent after that was seen
  next: Run apply again; it looks before it creates
""".splitlines(),
    )
    again = ground.begin(project, UNDISTURBED).ended()[0]
    assert (again.code, again.lines[-1]) == (0, "Apply: 1 created."), again
    project.assert_whole()


# A bucket -----------------------------------------------------------------------------------------


@pytest.fixture
def small() -> Iterator[tuple[object_servers.Buckets, object_servers.Small]]:
    with object_servers.small() as there:
        yield there


@pytest.fixture
def bucket(
    town: tuple[Emulator, Path], small: tuple[object_servers.Buckets, object_servers.Small], tmp_path: Path
) -> BucketProject:
    service, documents = town
    buckets, _ = small
    url = buckets.new_url()
    name = f"refused-{url.rpartition('-')[2]}"
    project = BucketProject(
        tmp_path / "project",
        service,
        {"papers": (name,)},
        "0s",
        documents=documents,
        endpoint=buckets.endpoint,
        url=url,
    )
    project.write()
    return project


_GRANTS = (
    "They need to get, put, list and delete objects below that path, and come from the environment, such as"
    " AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS or AZURE_STORAGE_ACCOUNT_KEY"
)


_CANNOT = {
    403: ("the object store does not let these credentials do that", "AccessDenied: said the store", _GRANTS),
    "skewed": (
        "the clock of this machine is off",
        "RequestTimeTooSkewed: said the store",
        "Set it, as by NTP: the service's signatures depend on it, though leases do not",
    ),
    "drop": (
        "the object store cannot be reached",
        "HTTP error: error sending request",
        "Check state.url and the network; run it again",
    ),
}


@pytest.mark.parametrize("whim", _CANNOT)
def test_a_bucket_that_cannot_be_used(
    bin_: Path,
    bucket: BucketProject,
    small: tuple[object_servers.Buckets, object_servers.Small],
    whim: str | int,
) -> None:
    what, why, help_ = _CANNOT[whim]
    small[1].whim = lambda method, key: whim
    place = f"{bucket.url}/neighbours"
    rest = f"{what}\n  why: {why}\n  next: {help_}\n"
    _refuses(bin_, bucket, f"Error: {place}/journal: {rest}", commands=COMMANDS[:1])
    _refuses(bin_, bucket, f"Error: {place}: {rest}", commands=COMMANDS[1:])
    assert small[1].objects == {}


def test_a_bucket_that_is_not_there(
    bin_: Path, bucket: BucketProject, small: tuple[object_servers.Buckets, object_servers.Small]
) -> None:
    small[1].whim = lambda method, key: 404
    expected = f"""\
Error: {bucket.url}/neighbours: there is no such bucket
  why: NoSuchBucket: said the store
  next: Make it, or correct state.url
"""
    _refuses(bin_, bucket, expected)


def test_objects_of_a_newer_version(
    bin_: Path, bucket: BucketProject, small: tuple[object_servers.Buckets, object_servers.Small]
) -> None:
    journal = f"{bucket.url.removeprefix('s3:/')}/neighbours/journal"
    small[1].objects[journal] = (b'{"formatVersion": 2}\n', 0.0)
    expected = f"""\
Error: {bucket.url}/neighbours/journal: this object is of a newer version
  next: Upgrade: pip install --upgrade batch-reconciler
"""
    _refuses(bin_, bucket, expected)


@pytest.mark.parametrize("ahead", [3600.0, -3600.0], ids=["ahead", "behind"])
def test_a_service_whose_clock_is_an_hour_off_does_no_harm(
    bin_: Path,
    bucket: BucketProject,
    small: tuple[object_servers.Buckets, object_servers.Small],
    ahead: float,
) -> None:
    small[1].ahead = ahead
    done = _run(bin_, bucket, "apply", "--auto-approve")
    assert (done.code, done.text.splitlines()[-1]) == (0, "Apply: 1 created."), done
    again = _run(bin_, bucket, "apply", "--auto-approve")
    assert again.text.startswith("No changes."), again
