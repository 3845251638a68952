"""The stores that hold to one contract, each in a place of its own. A further store is one more row here."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

from object_servers import CREDENTIALS
from store_values import NOON

from reconciler.adapters.stores.file import FileStore
from reconciler.adapters.stores.object.bucket import Bucket
from reconciler.adapters.stores.object.lease import Terms
from reconciler.adapters.stores.object.store import ObjectStore
from reconciler.adapters.stores.postgres.address import address_of
from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest
    from object_servers import Buckets
    from postgres_server import Server

    from reconciler.model.ports import Store

_NUMBERS = itertools.count(1)


class Reopen(Protocol):
    """Opens one store once more, as another process would."""

    def __call__(self, holder: str = "ada@desk") -> Store: ...


def _file(request: pytest.FixtureRequest) -> Reopen:
    folder: Path = request.getfixturevalue("tmp_path") / str(next(_NUMBERS))
    return lambda holder="ada@desk": FileStore(folder / "reconciler.lock", "reconciler.lock", holder, NOON)


def _postgres(request: pytest.FixtureRequest) -> Reopen:
    server: Server = request.getfixturevalue("postgres")
    address = address_of("shelf", f"project-{next(_NUMBERS)}", server.url(), {})
    initialise(address)
    return lambda holder="ada@desk": PostgresStore(address, holder)


def object_store(url: str, endpoint: str, holder: str, **terms: float) -> ObjectStore:
    """A store at a service of ours, which asks for no TLS and takes any key."""
    bucket = Bucket(url, "papers", {"endpoint": endpoint, **CREDENTIALS}, {"allow_http": True})
    return ObjectStore(bucket, "", holder, Terms(**terms))


def _object(request: pytest.FixtureRequest) -> Reopen:
    service: Buckets = request.getfixturevalue("buckets")
    url = service.new_url()
    return lambda holder="ada@desk": object_store(url, service.endpoint, holder)


STORES: Mapping[str, Callable[[pytest.FixtureRequest], Reopen]] = {
    "file": _file,
    "object": _object,
    "postgres": _postgres,
}
