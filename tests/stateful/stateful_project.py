"""The project whose life is lived: the engine's test world, with manifests as text and more ways to die.

Here is how a run is made, disturbed and ended. What is done when is the machine's choice, and what has to
hold is checked there.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from engine_time import Killed, Stuck
from engine_world import World
from stateful_disk import Disk
from stateful_manifests import Manifests, read
from stateful_service import CALM, TrueService, Weather

from reconciler.adapters.stores.journal import read_journal
from reconciler.engine.run import Run
from reconciler.engine.stop import Stop
from reconciler.model.errors import AuthenticationError, LockHeldError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path
    from typing import Any

    from reconciler.model.batch import Key
    from reconciler.model.desired import Desired
    from reconciler.model.intent import Intent
    from reconciler.model.result import Applied

_Result = TypeVar("_Result")

LOCKFILE, JOURNAL = "reconciler.lock", "reconciler.lock.journal"


class Project(World):
    """One project over one service, from its first apply to the end of the test."""

    service: TrueService

    def __init__(self, folder: Path, directories: tuple[str, ...], skew: int) -> None:
        super().__init__(folder)
        self.service = TrueService(self.time, directories, skew)
        self.manifests: Manifests = ()
        self.disk = Disk(folder)
        self.dead = False
        self.instants = 0
        self.at_instant: dict[int, Callable[[], None]] = {}
        self.after_create: Callable[[], None] | None = None

    @property
    def desired(self) -> Desired:
        return read(self.manifests)

    def begin(self, weather: Weather) -> None:
        self.service.begin(weather)

    def run_apply(self, *, approve: bool = True) -> Applied | None:
        """Apply to its end, or to the instant that kills it; None if it did not come to its end."""
        applied = None
        self.dead, self.instants, self.time.dying = False, 0, bool(self.at_instant)
        with self.disk.watching(self._reach):
            self.service.on_request = self._reach
            try:
                applied = self.apply(approve=approve)
            except (Killed, Stuck):
                assert self.dead
            except AuthenticationError:
                assert self.service.weather.locked_from is not None
            except StoppedError:
                assert self.stop is not None
                assert self.stop.over
            finally:
                self.service.on_request, self.time.dying = lambda _: None, False
                self.at_instant, self.after_create = {}, None
        if self.dead:
            self.disk.restore(self._remains)
            del self.ledger.lines[self._told :]
            return None
        return applied

    def kill(self) -> None:
        """At this instant the process dies."""
        self._die(self.disk.in_memory())

    def lose_power(self) -> None:
        """At this instant the machine dies."""
        self._die(self.disk.on_disk())

    def interrupt(self) -> None:
        """At this instant somebody presses Ctrl-C."""
        assert self.stop is not None
        self.stop.request(2)

    def is_locked_for_others(self) -> bool:
        """Whether another process that tries now is turned away (C1)."""
        try:
            with self._store().hold(0):
                return False
        except LockHeldError:
            return True

    def durable_intents(self) -> list[Intent]:
        """The open intents that a loss of power right now would leave."""
        return list(read_journal(self.disk.on_disk().get(JOURNAL, b""), JOURNAL).open)

    def by_hand(self, work: Callable[[Run], Coroutine[Any, Any, _Result]]) -> _Result:
        """`import` or `lock resolve`: a run like any other, for one piece of work."""
        self.runs += 1
        with self.disk.watching(lambda _: None), self._store().hold(0) as session:
            run = Run(
                id=f"run-{self.runs}",
                eyes=self._eyes(),
                session=session,
                desired=self.desired,
                audit=self.ledger,
                stop=Stop(),
                random=lambda: 0.5,
                lock=session.lock,
            )
            return self.time.run(work(run))  # type: ignore[no-any-return]

    def lose(self, name: str) -> None:
        """Somebody removes a file."""
        (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Assert that nothing within writes a file or anything at the service, and give back the time."""
        files, rows, then = self.disk.in_memory(), list(self.service.rows), self.time.seconds
        self.service.requests.clear()
        yield
        assert self.disk.in_memory() == files
        assert self.service.rows == rows
        assert not [what for what in self.service.requests if what.startswith(("create", "cancel"))]
        self.time.seconds = then

    def calm(self) -> None:
        self.begin(CALM)

    def _reach(self, name: str) -> None:
        """An instant of a run: before and after each request and each sync."""
        if self.dead:
            raise Killed
        number = self.instants
        self.instants += 1
        if happens := self.at_instant.get(number):
            happens()
        if name == "after create" and (happens := self.after_create):
            self.after_create = None
            happens()

    def _die(self, remains: dict[str, bytes]) -> None:
        self.dead, self._remains, self._told = True, remains, len(self.ledger.lines)
        raise Killed


def names_key(key: Key) -> str:
    """A key without what is the same for all."""
    return f"{key.directory} {key.configuration}"
