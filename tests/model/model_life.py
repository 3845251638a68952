"""One run of the real `apply` in the model: its steps, and at each step how the world may go on.

A run lives in virtual time on an event loop of its own, which never waits. At each step the world asks what
happens: nothing bad, unless the history says otherwise. The run is a function of the state that it begins
with and of the history's deviations, so it can be lived again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_promise import DISK_LIES, RENAMED, TWO_STORES
from model_service import Client, by_hand
from model_store import Disk, Journal, Session, hold
from model_time import Time
from model_values import ENDPOINT, PROJECT, Row, Scenario, State, desired, with_status

from reconciler.core.select import Selection
from reconciler.engine.apply import apply
from reconciler.engine.observe import Eyes
from reconciler.engine.run import Run
from reconciler.engine.stop import Stop
from reconciler.model.batch import Home, Key, Status
from reconciler.model.errors import LockHeldError, ReconcilerError
from reconciler.model.project import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reconciler.model.audit import AuditLine
    from reconciler.model.events import Event
    from reconciler.model.result import Applied

#: Which alternative is taken at which step; at every other step all goes well.
Deviations = tuple[tuple[int, int], ...]

#: Longer than anything takes to show up. A whole history stays within the hour that C10 looks back.
_PAUSE = 600.0


class Killed(BaseException):
    """The process is dead: nothing that it does from now on reaches the disk or the service."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One way in which the world may go on at a step, other than well.

    Attributes:
        fate: for whoever asked.
        do: what happens in the world meanwhile.
        breaks: the assumption that is broken by it, or "".
        ends: for the end of the process: the state that it leaves.
        faults: how many faults it counts for.
    """

    text: str
    fate: object = None
    do: Callable[[], None] | None = None
    breaks: str = ""
    ends: Callable[[], State] | None = None
    faults: int = 1


@dataclass
class Lived:
    """What one run came to: the state after it, and what its processes gave back, the first one first."""

    state: State
    ends: list[Applied | ReconcilerError | None]


class World:
    """The state while a run lives in it."""

    def __init__(
        self,
        scenario: Scenario,
        state: State,
        deviations: Deviations = (),
        *,
        watch: Callable[[int, list[Offer]], None] | None = None,
        listen: Callable[[float, str, str], None] | None = None,
    ) -> None:
        self.keys = scenario.keys
        self.begin = state
        self.rows = list(state.rows)
        journal = None if state.journal is None else Journal(state.journal, state.journal)
        self.disk = Disk(state.lockfile, state.lockfile, journal)
        self.broken = state.broken
        self.told = state.told
        self.people = state.people
        self.time = Time(state.now)
        self.processes: list[Process] = []
        self._steps = 0
        self._deviations = dict(deviations)
        self._last = deviations[-1][0] if deviations else -1
        self._watch = watch
        self._listen = listen

    @property
    def now(self) -> float:
        return self.time.seconds

    def live(self) -> Lived:
        """Let a run come to its end, whatever that is."""
        self.step(self._between, "", "before the run")
        died = self.now
        with self.time.loop() as loop:
            self.start("run", self.disk)
            for process in self.processes:  # grows while it is gone through
                assert process.task is not None
                with contextlib.suppress(Killed, asyncio.CancelledError, ReconcilerError):
                    loop.run_until_complete(process.task)
        died = max([process.ended for process in self.processes])
        ends = [process.result() for process in self.processes]
        for end in ends:
            if end is not None and not isinstance(end, ReconcilerError):
                self.told |= {name for finding in end.findings for name in finding.batches}
        return Lived(self.state(now=died), ends)

    def step(self, offers: Callable[[], list[Offer]], who: str, what: str) -> object:
        """Go on: well, or as the history says."""
        number = self._steps
        self._steps += 1
        chosen = self._deviations.get(number)
        if chosen is None:
            if self._watch is not None and number > self._last:
                self._watch(number, offers())
            return None
        offer = offers()[chosen]
        if self._listen:
            self._listen(self.now, who, f"! {what}: {offer.text}")
        if offer.breaks:
            self.broken |= {offer.breaks}
        if offer.do:
            offer.do()
        return offer.fate

    def tell(self, who: str, text: str) -> None:
        if self._listen:
            self._listen(self.now, who, text)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        first = self.processes[0].session if self.processes else None
        if row.sent != row.batch.key and first and self.disk.journal is not first.file:
            self.broken |= {RENAMED}

    def state(self, *, now: float | None = None, **changed: Any) -> State:  # noqa: ANN401 - fields of State
        """How things stand, for whoever comes after."""
        fields: dict[str, Any] = {
            "now": self.now if now is None else now,
            "rows": tuple(self.rows),
            "lockfile": self.disk.lockfile,
            "journal": None if self.disk.journal is None else self.disk.journal.lines,
            "broken": self.broken,
            "told": self.told,
            "people": self.people,
        }
        return State(**{**fields, **changed})

    def start(self, name: str, disk: Disk) -> None:
        process = Process(self, name, disk)
        self.processes.append(process)
        process.task = asyncio.get_event_loop_policy().get_event_loop().create_task(process.main())

    @property
    def alone(self) -> bool:
        return sum(1 for process in self.processes if not process.over) == 1

    @property
    def renamed(self) -> bool:
        """Whether the service calls a batch something else than what was sent (C9)."""
        return any(row.sent != row.batch.key for row in self.rows)

    def losses(self) -> Iterator[Offer]:
        """Files that somebody removes. The lock is on the journal."""
        if self.disk.lockfile is not None:
            yield Offer("the lockfile is lost", do=lambda: self._lose(self.disk.lose_lockfile))
        if self.disk.journal is not None:
            yield Offer("the journal is removed", do=lambda: self._lose(self.disk.lose_journal))
        if self.disk.lockfile is not None and self.disk.journal is not None:
            both = (self.disk.lose_lockfile, self.disk.lose_journal)
            yield Offer("lockfile and journal are lost", do=lambda: self._lose(*both))

    def _lose(self, *what: Callable[[], None]) -> None:
        if self.renamed:
            self.broken |= {RENAMED}
        for lose in what:
            lose()

    def others(self) -> Iterator[Offer]:
        """Another run that begins now and gets a lock; one at the same lock finds it held."""
        if len(self.processes) == 1:

            def takes_over() -> None:
                self._lose(self.disk.lose_journal)
                self.start("the other run", self.disk)

            def comes() -> None:
                self.start("the other checkout", Disk(self.disk.lockfile, self.disk.lockfile))

            yield Offer("the journal is removed, and another run begins", do=takes_over)
            yield Offer("a run begins in another checkout", do=comes, breaks=TWO_STORES)

    def meddling(self, directory: str) -> Iterator[Offer]:
        """What people may do at the service over a directory."""
        here = [key for key in self.keys if key.directory == directory]
        for key in here:
            if f"made {key.configuration}" not in self.people:
                text = "a person creates the same batch by hand"
                text += f" ({key.configuration})" if len(here) > 1 else ""
                yield Offer(text, do=lambda key=key: self._by_hand(key))  # type: ignore[misc]
        other = here[0]._replace(configuration="cfg-by-hand")
        if f"made {other.configuration}" not in self.people:
            text = "a person creates a batch of another configuration there"
            yield Offer(text, do=lambda: self._by_hand(other))
        running = [
            number
            for number, row in enumerate(self.rows)
            if row.sent in here and row.exists <= self.now and row.batch.status is Status.RUNNING
        ]
        if running and "cancelled" not in self.people:
            name = self.rows[running[-1]].batch.id
            yield Offer(f"a person cancels {name}", do=lambda: self._cancel(running[-1]))

    def _by_hand(self, key: Key) -> None:
        self.people |= {f"made {key.configuration}"}
        self.rows.append(by_hand(len(self.rows), key, self.now))

    def _cancel(self, number: int) -> None:
        self.people |= {"cancelled"}
        self.rows[number] = with_status(self.rows[number], Status.CANCELLED)

    def _between(self) -> list[Offer]:
        """What may happen before a run begins."""
        offers = list(self.losses())
        if self.begin.pending:
            offers.append(Offer("ten minutes go by", do=self._wait, faults=0))
        return offers

    def _wait(self) -> None:
        self.time.seconds += _PAUSE


class Process:
    """One apply."""

    def __init__(self, world: World, name: str, disk: Disk) -> None:
        self.world = world
        self.name = name
        self.disk = disk
        self.client = Client(self)
        self.session: Session | None = None
        self.task: asyncio.Task[Applied] | None = None
        self.ended = world.now
        self._dead = False

    @property
    def over(self) -> bool:
        return self._dead or (self.task is not None and self.task.done())

    async def main(self) -> Applied:
        session = self.session = hold(self.disk, self)
        try:
            return await self._apply(session)
        finally:
            if not self._dead:
                with contextlib.suppress(Killed):
                    session.leave()
                    self.ended = self.world.now
            session.file.holder = None

    async def _apply(self, session: Session) -> Applied:
        stop = Stop()
        stop.bind(self.world.time)
        run = Run(
            id=self.name,
            eyes=Eyes(
                {Home(ENDPOINT, PROJECT): self.client}, self.world.time, _unheard, len(self.world.keys)
            ),
            session=session,
            desired=desired(self.world.keys),
            audit=Ledger(self),
            stop=stop,
            random=lambda: 0.5,
            lock=session.lock,
        )
        return await apply(run, limits=Limits(), selection=Selection(), approve=lambda _: True)

    def result(self) -> Applied | ReconcilerError | None:
        """What it gave back; None when it was killed. Every other error is a defect, and raised."""
        assert self.task is not None
        if self._dead or self.task.cancelled():
            return None
        error = self.task.exception()
        if error is None:
            return self.task.result()
        if isinstance(error, ReconcilerError):
            return error
        raise error

    def alive(self) -> None:
        if self._dead:
            raise Killed

    def tell(self, text: str) -> None:
        self.world.tell(self.name, text)

    def request(self, what: str, fates: Sequence[tuple[object, str, str]], directory: str | None) -> object:
        """A step at the service; gives the fate of the request, None being the good one."""

        def offers() -> list[Offer]:
            some = [Offer(text, fate, breaks=breaks) for fate, text, breaks in fates]
            if directory is not None:
                some += self.world.meddling(directory)
                some += self.world.others()
            return some + self._deaths()

        self.alive()
        return self.world.step(offers, self.name, what)

    def store_step(self, what: str) -> None:
        """A step at the disk that has not begun."""
        self.alive()
        if self.session is not None and self.disk.journal is self.session.file:
            # At any step a second apply finds the lock held, and goes away without a trace.
            with contextlib.suppress(LockHeldError):
                hold(self.disk, self)
                raise AssertionError("two runs hold one lock")
        self.world.step(lambda: [*self.world.losses(), *self._deaths()], self.name, "before it " + what)

    def unsynced(self, what: str) -> None:
        """What was just written is there for every process, and not yet safe from a power failure."""
        self.tell(what)
        self.world.step(lambda: self._deaths(power=True), self.name, "before that is synced")

    def _deaths(self, *, power: bool = False) -> list[Offer]:
        world = self.world
        deaths = [Offer("the process is killed", do=self._die, ends=world.state if world.alone else None)]
        session = self.session
        if not world.alone or session is None or self.disk.journal is not session.file:
            return deaths
        if power:
            deaths.append(self._blackout("the power fails", session.file.synced))
        deaths.append(
            self._blackout("the power fails, and the journal is what it was", session.at_first, DISK_LIES)
        )
        return deaths

    def _blackout(self, text: str, lines: tuple[Any, ...], breaks: str = "") -> Offer:
        world, disk = self.world, self.disk
        lockfile = disk.lockfile_synced
        broken = {breaks} | ({RENAMED} if world.renamed else set()) if breaks else set()

        def end() -> State:
            return world.state(journal=lines, lockfile=lockfile, broken=world.broken | broken)

        def die() -> None:
            assert disk.journal is not None
            disk.journal.lines, disk.lockfile = lines, lockfile
            world.broken |= broken
            self._die()

        return Offer(text, do=die, ends=end)

    def _die(self) -> None:
        self._dead = True
        self.ended = self.world.now
        assert self.task is not None
        self.task.get_loop().call_soon(self.task.cancel)
        raise Killed


@dataclass
class Ledger:
    """The audit log: its end is a durable step, and what is in it decides nothing."""

    process: Process
    lines: list[AuditLine] = field(default_factory=list)

    def append(self, line: AuditLine) -> None:
        self.process.alive()

    def close(self) -> str:
        self.process.store_step("closes the audit log")
        return ""


def _unheard(event: Event) -> None:
    """Nobody listens."""
