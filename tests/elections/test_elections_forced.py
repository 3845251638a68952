"""Elections that are forced: two leaders never act at once, whatever took the lock from the one before (C1).

About forty in the short form, a thousand with ``pytest --long -s tests/elections/test_elections_forced.py``:
over PostgreSQL the server ends sessions or takes the lock from one that lives, over moto's S3 leases run out
by a clock that is moved on, and over files holders are killed. A failing case names its seed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import killed_contender
import object_servers
from election import POINTS, World, elections
from store_shelf import object_store

from reconciler.adapters.stores.object import lease as leases
from reconciler.adapters.stores.postgres.address import address_of
from reconciler.adapters.stores.postgres.seats import lock_number
from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.store import PostgresStore
from reconciler.model.errors import LockHeldError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    import pytest
    from object_servers import Buckets
    from postgres_server import Server

    from reconciler.adapters.stores.object.session import ObjectSession
    from reconciler.adapters.stores.object.store import ObjectStore
    from reconciler.adapters.stores.postgres.address import Address
    from reconciler.adapters.stores.postgres.session import PostgresSession

SEED = 20261122


@dataclass
class Sessions:
    """PostgreSQL: the server ends the holder's session, or its lock is released behind its back."""

    server: Server
    address: Address

    def open(self, who: str) -> PostgresStore:
        return PostgresStore(self.address, who)

    def epoch(self, session: PostgresSession) -> int:
        epoch = session._mine["epoch"]
        assert isinstance(epoch, int)
        return epoch

    def depose(self, session: PostgresSession, draw: random.Random) -> str:
        if self.epoch(session) // len(POINTS) % 2:
            # As a pool does that resets a session before it hands it on.
            number = lock_number(self.address.schema, self.address.project)
            assert session._connection.execute("SELECT pg_advisory_unlock(%s)", (number,)).fetchone() == (
                True,
            )
            return "lock taken"
        assert self.server.run("SELECT pg_terminate_backend(%s, 10000)", session._pid) == [(True,)]
        return "session ended"

    def depose_within(self, session: PostgresSession, world: World) -> None:
        """The next one is elected within this act, and has to let it settle before it acts itself."""
        assert self.server.run("SELECT pg_terminate_backend(%s, 10000)", session._pid) == [(True,)]
        world.counts["session ended"] += 1
        world.next_one(self.epoch(session))

    def depose_after(self) -> None:
        pass

    def blind(self, session: PostgresSession) -> bool:
        return False


@dataclass
class Leases:
    """moto's S3: the holder freezes, and the clock that it and the service go by is moved on meanwhile."""

    buckets: Buckets
    url: str
    ahead: Path

    def open(self, who: str) -> ObjectStore:
        return object_store(self.url, self.buckets.endpoint, who)

    def epoch(self, session: ObjectSession) -> int:
        return session._lease.epoch

    def depose(self, session: ObjectSession, draw: random.Random) -> str:
        self._freeze(session)
        terms = leases.Terms()
        self._move_on(terms.lease + terms.under_way + leases.MARGIN + draw.random())
        return "lease over"

    def depose_within(self, session: ObjectSession, world: World) -> None:
        """An act lasts for as long as a send can, after its lease; nobody is elected before it is over."""
        self._freeze(session)
        terms = leases.Terms()
        self._move_on(terms.lease + terms.under_way - 1)
        with contextlib.suppress(LockHeldError), self.open("too early").hold(0):
            pass
        there = session._bucket.read(leases.NAME)
        if there is None or json.loads(there.content)["epoch"] != self.epoch(session):
            world.faults.append(f"seed {world.seed}: another leads while {self.epoch(session)} may act")
        world.counts["lease over"] += 1

    def depose_after(self) -> None:
        self._move_on(1 + leases.MARGIN)

    def blind(self, session: ObjectSession) -> bool:
        session._lease._until = float("inf")
        return True

    def _freeze(self, session: ObjectSession) -> None:
        session._lease._over.set()
        session._lease._thread.join()

    def _move_on(self, seconds: float) -> None:
        later = self.ahead.with_suffix(".later")
        later.write_text(str(float(self.ahead.read_text()) + seconds))
        later.replace(self.ahead)  # whoever reads it reads all of it


def _told(kind: str, world: World, forced: int) -> str:
    counts = ", ".join(f"{world.counts[name]} {name}" for name in sorted(world.counts))
    return f"{kind}: seed {world.seed}, {forced} forced elections, epochs 1 to {world.epochs[-1]}; {counts}"


def _check(kind: str, world: World, forced: int) -> None:
    print(_told(kind, world, forced))  # noqa: T201 - the figures of a campaign
    assert world.faults == [], "\n".join(world.faults)
    assert len(world.epochs) == forced + 1
    assert sum(world.counts[point] for point in POINTS) == forced
    assert world.counts["refused"] == world.counts["late"] >= 2 * forced
    assert world.counts["acts"] > 0


def test_postgres_no_two_leaders_act_at_once(postgres: Server, *, long: bool) -> None:
    address = address_of("elections", "papers", postgres.url(), {})
    initialise(address)
    forced = 400 if long else 16
    world = elections(Sessions(postgres, address), seed=SEED, forced=forced, contenders=8)
    _check("postgres", world, forced)


def test_object_no_two_leaders_act_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, long: bool
) -> None:
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    ticks: Callable[[], float] = leases.ticks
    monkeypatch.setattr(leases, "ticks", lambda: ticks() + float(ahead.read_text()))
    monkeypatch.setattr(leases, "_POLL", 0.05)
    forced = 300 if long else 12
    with object_servers.moto(ahead) as buckets:
        polity = Leases(buckets, buckets.new_url(), ahead)
        world = elections(polity, seed=SEED, forced=forced, contenders=4)
    _check("object", world, forced)


def test_file_no_two_leaders_act_at_once(tmp_path: Path, *, long: bool) -> None:
    """Leaders are processes that die by SIGKILL; the next one's lock is the kernel's word that they have."""
    forced, contenders = (300, 8) if long else (12, 8)
    here = Path(killed_contender.__file__)
    shared = os.pathsep.join(str(here.parent.parent / name) for name in ("elections", "stores"))
    command = [sys.executable, str(here), str(tmp_path), str(SEED), str(forced), str(contenders)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": shared})
    told = [line.split()[1:] for line in (tmp_path / "told").read_text().splitlines()]
    story = "\n".join([f"seed {SEED}", *(" ".join(words) for words in told)])
    counts = Counter("dies " + words[1] if words[0] == "dies" else words[0] for words in told)
    print(f"file: seed {SEED}, {counts['leads']} leaders, all killed; {dict(sorted(counts.items()))}")  # noqa: T201 - the figures of a campaign
    opened, settled, serial = "-", 0, 0
    for what, *rest in told:
        match what:
            case "leads":  # what the one before was told is durable, and nothing else, is found
                assert rest[:2] == [opened, str(settled)], story
                assert int(rest[2]) >= serial, story
                serial = int(rest[2])
            case "cleared":
                opened = "-"
            case "noted":
                opened = rest[0]
            case "begin":
                assert rest[1] in {"nobody", "dead"}, story
            case "settled":
                opened, settled = "-", settled + 1
    assert counts["leads"] == forced
    assert counts["begin"] > 0
