"""SIGKILL at every step of an apply whose state is in a database, those of the database among them (C9).

As tests/kills has it for files: one create gets no reply though it takes effect, another a 429. The short
form dies at a sample of instants; ``pytest --long -s tests/stores/test_stores_kills.py`` at each. It does so
twice: where the next run is on the same machine, and where nothing of the dead one's folder is left but the
repository.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import killed_child
import killing_ground
import psycopg
import pytest
from killed_child import NEVER, Died, apply_and_die
from killing_ground import SHARE, Ground, History, ground

from reconciler.adapters.stores.postgres.address import address_of
from reconciler.adapters.stores.postgres.setup import initialise
from reconciler.adapters.stores.postgres.store import PostgresStore
from reconciler.api.stores import fetch_audit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import Server

#: In the short form, every so manieth instant.
STRIDE = 24


@dataclass
class SharedHistory(History):
    """One project, applied again and again, with its state in a schema that all histories share."""

    server: Server | None = field(default=None, kw_only=True)

    def _write(self) -> None:
        super()._write()
        file = self.folder / "reconciler.yaml"
        text = file.read_text().replace("name: kills", f"name: {self.name}")
        file.write_text(f"{text}  state: {{type: postgres, url: {{env: STATE_URL}}, schema: kills}}\n")

    @property
    def _url(self) -> str:
        assert self.server is not None
        return self.server.url()

    @property
    def shared(self) -> PostgresStore:
        return PostgresStore(address_of("kills", self.name, self._url, {}), "the test")

    @property
    def store(self) -> Any:  # noqa: ANN401 - the other kind of store
        return self.shared

    def apply(self, instant: int = NEVER, *, each: bool = True) -> Died:
        died = self.live(instant, each=each)
        self.created = any(name.startswith("after POST") for name in died.instants)
        self.told.append(f"killed at instant {instant}: " + ", ".join(died.instants[-3:]))
        assert not died.failure, "\n".join([*self.told, died.failure])
        return died

    def live(self, instant: int, *, each: bool = True) -> Died:
        environ = {**killing_ground._ENVIRON, "STATE_URL": self._url}
        return apply_and_die(self.project, instant, share=SHARE, environ=environ, each=each)

    def vanish(self) -> None:
        """What a runner that is gone takes with it: its audit files."""
        self.told.append("the machine is gone")
        shutil.rmtree(self.folder / "audit", ignore_errors=True)

    def normal(self) -> object:
        file = self.folder / "reconciler.lock"
        file.write_bytes(self.shared.read_lockfile())
        try:
            return super().normal()
        finally:
            file.unlink()
            fetch_audit(self.shared, self.folder / "audit")


class Cutter(killed_child._Reaper):
    """Ends the run's session with the database at the fatal instant, and lets the run go on."""

    url = ""
    project = ""
    busy = False

    def arm(self) -> None:
        self._one_at_a_time = threading.RLock()  # type: ignore[assignment] # what cuts asks questions itself
        super().arm()

    def reach(self, name: str) -> None:
        with self._one_at_a_time:
            if self.busy:  # this is our own question
                return
            self.say(f"{name}\n")
            if "database" not in name:
                return
            if self._left == 0:
                self.busy = True
                with contextlib.closing(psycopg.connect(self.url, autocommit=True)) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                        " WHERE application_name = %s",
                        (f"reconciler {self.project}",),
                    )
                self.busy = False
                self.say(f"{CUT}\n")
            self._left -= 1


CUT = "the session is ended"


@pytest.fixture(scope="module")
def there() -> Iterator[Ground]:
    with ground() as it:
        yield it


def _begin(there: Ground, server: Server) -> SharedHistory:
    there.histories += 1
    history = SharedHistory(there, f"h{there.histories:06}", server=server)
    there.service.client.put("/__admin/faults", json=killing_ground._FAULTS).raise_for_status()
    return history


@pytest.mark.parametrize("vanishing", [False, True], ids=["the same machine", "another machine"])
def test_c9_a_sigkill_at_any_instant_then_apply(
    there: Ground, postgres: Server, *, vanishing: bool, long: bool
) -> None:
    initialise(address_of("kills", "any", postgres.url(), {}))
    history = _begin(there, postgres)
    died = history.apply()
    normal = history.normal()
    history.check(normal)
    asked = sum("database" in name for name in died.instants)
    assert asked > 40, died.instants
    killed = 0
    instants = range(0, len(died.instants), 1 if long else STRIDE)
    for instant in instants:
        history = _begin(there, postgres)
        killed += history.apply(instant).killed
        if vanishing:
            history.vanish()
        history.apply()
        history.check(normal)
        history.end()
    print(f"{len(died.instants)} instants, {asked} of them at the database; {killed} kills")  # noqa: T201 - the campaign's counts
    # What is under way at once makes more or fewer instants: the last may not come.
    assert killed >= len(instants) * 0.8


def test_c1_a_session_that_ends_at_any_question_stops_its_holder_before_the_next_send(
    there: Ground, postgres: Server, monkeypatch: pytest.MonkeyPatch, *, long: bool
) -> None:
    """Of what follows the cut, one send at most: that whose look at the lock had just come back."""
    initialise(address_of("kills", "any", postgres.url(), {}))
    history = _begin(there, postgres)
    died = history.apply()
    normal = history.normal()
    history.check(normal)
    most = sum("database" in name for name in died.instants)
    monkeypatch.setattr(killed_child, "_Reaper", Cutter)
    monkeypatch.setattr(Cutter, "url", postgres.url())
    stopped = after = 0
    instants = range(0, most, 1 if long else STRIDE)
    for instant in instants:
        history = _begin(there, postgres)
        monkeypatch.setattr(Cutter, "project", history.name)
        cut = history.live(instant)
        story = "\n".join([history.name, f"cut at question {instant}", *cut.instants[-20:], cut.failure])
        if CUT in cut.instants:
            at = cut.instants.index(CUT)
            sends = [name for name in cut.instants[at:] if name.startswith("before POST")]
            looked = cut.instants[at - 1].startswith("after")
            assert len(sends) <= (1 if looked else 0), story
            after += len(sends)
            stopped += "LockLostError" in cut.failure or "StateError" in cut.failure
            assert not cut.failure or "the connection to the database was lost" in cut.failure, story
        history.apply()
        history.check(normal)
        history.end()
    print(f"{len(instants)} cuts: {stopped} runs stopped, {after} sends followed")  # noqa: T201 - the campaign's counts
    assert stopped > len(instants) * 0.8
