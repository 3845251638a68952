"""What holds for every test: properties are about results, never about how fast a busy machine is.

Properties that state no number of examples try `FEW`, and `MANY` with `--long`; each run draws others, so
what few do not find on one day they find on another.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import forked_reconciler
import object_servers
import postgres_server
import pytest
from hypothesis import HealthCheck, settings
from one_authority import one_authority

from reconciler.emulator.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW, MANY = 50, 1000

_ANY_MACHINE = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),  # CI says the same of the same commit twice
)
settings.register_profile("any-machine", _ANY_MACHINE, max_examples=FEW)
settings.register_profile("long", _ANY_MACHINE, max_examples=MANY)
settings.load_profile("any-machine")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("long"):
        settings.load_profile("long")
    if sys.dont_write_bytecode:
        # Else each worker rewrites the asserts of all these files each time, for ten seconds. Whoever wants
        # no bytecode wants none in the tree: it goes where caches are.
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        sys.pycache_prefix = str(Path(cache) / "batch-reconciler" / "tests")
        sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """CONTRIBUTING.md says what the long forms are for and how long they take."""
    parser.addoption("--long", action="store_true", help="the campaigns in their long form")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a campaign is to go through everything, for minutes or hours, and not through a sample."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session", autouse=True)
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        file = one_authority(tmp_path_factory.mktemp("authority"))
        patch.setattr(certifi, "where", lambda: file)
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def quick(authority: None) -> Iterator[Path]:
    """A folder with a `reconciler` that starts at once, for all tests of this process."""
    with forked_reconciler.forked() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """A PostgreSQL server, one for all tests of this process; each takes a schema of its own."""
    with postgres_server.server() as server:
        yield server


@pytest.fixture(scope="session")
def buckets() -> Iterator[object_servers.Buckets]:
    """moto's S3 server, one for all tests of this process; each takes a path of its own."""
    with object_servers.moto() as service:
        yield service


@pytest.fixture(autouse=True)
def databases_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From Python 3.13 on, a connection that is left open is a warning, and a warning is an error."""
    made: list[Database] = []
    make = Database.__init__

    def make_and_remember(self: Database, path: Path) -> None:
        make(self, path)
        made.append(self)

    monkeypatch.setattr(Database, "__init__", make_and_remember)
    yield
    for database in made:
        database.close()
