"""A schema of its own on the tests' PostgreSQL, for the files of tests that look at rows and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from store_values import Some

from reconciler.adapters.stores.postgres.address import Address, address_of
from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.store import PostgresStore

if TYPE_CHECKING:
    from postgres_server import Server


class World(NamedTuple):
    """A schema of its own."""

    server: Server
    schema: str

    def address(self, project: str = "papers", url: str = "", **options: str) -> Address:
        return address_of(self.schema, project, url or self.server.url(), options)

    def store(self, holder: str = "ada@desk", project: str = "papers") -> PostgresStore:
        return PostgresStore(self.address(project), holder)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.server.run(query.replace("§", f"{self.schema}."), *values)


@pytest.fixture
def world(postgres: Server) -> World:
    made = World(postgres, postgres.new_schema())
    initialise(made.address())
    return made


@pytest.fixture
def some() -> Some:
    return Some()
