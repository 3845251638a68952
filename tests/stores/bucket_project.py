"""A project on the stand-in whose state is in a bucket; its commands are real processes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neighbour_project import Project
from object_servers import CREDENTIALS
from store_shelf import object_store

if TYPE_CHECKING:
    from reconciler.adapters.stores.object.store import ObjectStore
    from reconciler.model.intent import JournalState
    from reconciler.model.lock import Lock


@dataclass
class BucketProject(Project):
    """The same as in tests/neighbours, with ``state`` in a bucket."""

    endpoint: str = field(default="", kw_only=True)
    url: str = field(default="", kw_only=True)

    def write(self) -> None:
        super().write()
        file = self.folder / "reconciler.yaml"
        document: dict[str, Any] = json.loads(file.read_text())
        document["spec"]["state"] = {"type": "object", "url": self.url, "endpoint": self.endpoint}
        file.write_text(json.dumps(document, indent=2) + "\n")

    @property
    def environment(self) -> dict[str, str]:
        names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        given = {names[name]: value for name, value in CREDENTIALS.items() if name in names}
        return {**super().environment, **given, "AWS_REGION": "us-east-1"}

    @property
    def store(self) -> ObjectStore:
        store = object_store(self.url, self.endpoint, "the test")
        bucket = type(store.bucket)(
            self.url, "neighbours", {"endpoint": self.endpoint, **CREDENTIALS}, {"allow_http": True}
        )
        return type(store)(bucket, "neighbours", "the test", store.terms)

    def state(self) -> tuple[Lock, JournalState]:
        return self.store.read()
