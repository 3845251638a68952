"""The world of the campaign: a service, projects and a clock, all of it a small and fast copy of the real.

Real are `reconciler.api`, its transport, its store and its files, the emulator's process and the sockets
between. Smaller are times, and this file is the one place where they are made smaller:

- the run's clock goes `PACE` times as fast as the machine's, through the parameter `clock` of `api.apply`. So
  settle time, waits, back-off, Retry-After and the age of a look keep their proportions, whatever their
  constants are called, and none of them is patched. The service's clock goes as fast (`--speed`).
- httpx knows no other clock than the machine's, so its time-outs, and the deadline of a request, are given as
  arguments to the two callables that `api.kinds` makes a connection with (`scaled`). The size of a
  page is patched there as well, so that a few batches fill several pages.

Which faults there are stands in `faults_cells`, what is done under them in `faults_round`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import httpx
import pytest
from emulator_process import Emulator, emulator

from reconciler.adapters.providers import connection, llamacloud

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

JSON: TypeAlias = Any

#: A second of the run and of the service in so many parts of a second of this machine.
PACE = 20

#: Real seconds. The real ones are 10, 60 and 120: by PACE they would be 0.5, 3 and 6.
CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 2.0
DEADLINE = 4.0
#: Where replies are late, the client shall not wait for them that long; by PACE, these are 6 s and 20 s.
SHORT_READ_TIMEOUT = 0.3
SHORT_DEADLINE = 1.0

#: Several over each directory, so that every look has other work in it as well.
CONFIGURATIONS = ("cfg-PARSE_AGENTIC", "cfg-PARSE_COST_EFFECTIVE", "cfg-fast", "cfg-slow")

BATCHES = "/api/v2/batches"
_PATIENCE = 30.0


class FastClock:
    """The port `Clock`, going `PACE` times as fast as the machine's."""

    def __init__(self) -> None:
        self._began, self._at = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=PACE * (time.monotonic() - self._at))

    def monotonic(self) -> float:
        return PACE * time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / PACE)


@contextlib.contextmanager
def scaled(*, impatient: bool, page_size: int) -> Iterator[None]:
    """Within this, connections have the campaign's time-outs, and listings pages of so many batches."""
    read_timeout, deadline = (SHORT_READ_TIMEOUT, SHORT_DEADLINE) if impatient else (READ_TIMEOUT, DEADLINE)
    connect = partial(connection.connect, connect_timeout=CONNECT_TIMEOUT, read_timeout=read_timeout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "connect", connect)
        patch.setattr(llamacloud, "LlamaCloud", partial(llamacloud.LlamaCloud, deadline=deadline))
        patch.setattr(llamacloud, "PAGE_SIZE", str(page_size))
        yield


class Work(NamedTuple):
    """What is asked for and what is live: a directory and a configuration."""

    directory: str
    configuration: str


class Service:
    """The emulator, as its owner sees it: no fault strikes what is asked of its administration."""

    def __init__(self, process: Emulator) -> None:
        self.url = process.url
        self.clock = FastClock()
        self._client = process.client
        self._batches = process.batches

    def storm(self, seed: int, faults: Sequence[JSON]) -> None:
        """Put faults in force, and count requests from here."""
        document = {"apiVersion": "reconciler/v1", "kind": "Faults", "seed": seed, "faults": list(faults)}
        self._client.put("/__admin/faults", json=document).raise_for_status()
        self._client.delete("/__admin/requests").raise_for_status()

    def calm(self) -> None:
        """Take all faults back; waits for a listener that one of them has closed."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._client.delete("/__admin/faults").raise_for_status()
            except httpx.TransportError:
                assert time.monotonic() < until, "the listener does not open again"
                time.sleep(0.01)
            else:
                return

    def count(self, **filters: str) -> int:
        """How many requests were received since the last storm began."""
        asked = self._client.get("/__admin/requests", params={**filters, "limit": "1"})
        return int(asked.raise_for_status().json()["total"])

    def requests(self, **filters: str) -> list[JSON]:
        """Those requests, the oldest first."""
        listed: list[JSON] = []
        after: int | None = 0
        while after is not None:
            asked = self._client.get("/__admin/requests", params={**filters, "limit": "1000", "after": after})
            page = asked.raise_for_status().json()
            listed += page["requests"]
            after = page["next_after"]
        return listed

    def duplicates(self, prefix: str) -> list[tuple[str, str]]:
        """Of each duplicate over these directories, the ids of the earlier batch and the later."""
        found = self._client.get("/__admin/duplicates", params={"limit": "1000"}).raise_for_status().json()
        assert len(found["duplicates"]) == found["count"], "more duplicates than can be asked for"
        return [
            (item["earlier"], item["batch"]["id"])
            for item in found["duplicates"]
            if item["batch"]["source_directory_id"].startswith(f"dir-{prefix}-")
        ]

    def live(self, prefix: str) -> list[tuple[str, Work]]:
        """Every batch over the directories of this prefix, with what it is. Faults strike this as well."""
        return [
            (item["id"], Work(item["source_directory_id"], item["config"]["job"]["configuration_id"]))
            for item in self._batches()
            if item["source_directory_id"].startswith(f"dir-{prefix}-")
        ]


@contextlib.contextmanager
def service(folder: Path, directories: Sequence[str]) -> Iterator[Service]:
    """A service of its own over these directories, a small file in each."""
    for name in directories:
        (folder / "documents" / name).mkdir(parents=True)
        (folder / "documents" / name / "a.txt").write_text("x")
    (folder / "configurations").mkdir()
    for name in ("fast", "slow"):
        saved = "type: parse_v2\nparameters: {tier: fast, version: latest}\n"
        (folder / "configurations" / f"{name}.yaml").write_text(saved)
    options = ("--speed", str(PACE), "--no-read", "--root", "documents", "--configurations", "configurations")
    with emulator(folder, *options, "--db", "emulator.db") as process:
        yield Service(process)


@dataclass(frozen=True)
class Place:
    """A project's folder over some directories of a service, all of them with each of some configurations."""

    folder: Path
    service: Service
    prefix: str
    directories: tuple[str, ...]
    configurations: tuple[str, ...] = CONFIGURATIONS

    @property
    def environ(self) -> dict[str, str]:
        return {"LLAMA_CLOUD_BASE_URL": self.service.url, "LLAMA_CLOUD_API_KEY": "llx-emulator"}

    @property
    def work(self) -> list[Work]:
        """What is desired."""
        return [Work(f"dir-{name}", cfg) for name in self.directories for cfg in self.configurations]

    def write(self, settle: int) -> None:
        """Write the project and its manifests; the settle time is in seconds of the run."""
        (self.folder / "batches").mkdir(parents=True)
        (self.folder / "reconciler.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: campaign}\nspec:\n"
            '  manifests: ["batches/*.yaml"]\n  providers:\n'
            f"    prod: {{type: llamacloud, settle: {settle}s}}\n"
        )
        listed = "".join(f"    - id: dir-{name}\n" for name in self.directories)
        for configuration in self.configurations:
            name = configuration.removeprefix("cfg-").lower().replace("_", "-")
            (self.folder / "batches" / f"{name}.yaml").write_text(
                f"apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {{name: {name}}}\nspec:\n"
                f"  provider: prod\n  job: {{type: parse_v2, configuration: {configuration}}}\n"
                f"  directories:\n{listed}"
            )


def names(prefix: str, count: int) -> tuple[str, ...]:
    """Names of so many directories."""
    return tuple(f"{prefix}-{number:04}" for number in range(count))
