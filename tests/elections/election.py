"""Contenders for one lock, each of whom loses it by force as soon as it leads, and a witness outside.

A leader does what a run does: it notes an intent, looks at the lock, acts, and notes what came of it. Where
in that it loses the lock goes round; it then goes on as one that knows nothing of it. What may never be: two
that act at once, an epoch that does not rise, an accepted note that the next leader does not find, and a late
write that is not refused. Of time the witness knows only what comes before what.

The one place where no loss is forced is between the look at the lock and the act: what happens there is in
test_elections_frozen.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from store_values import Some

from reconciler.model.errors import LockHeldError, LockLostError
from reconciler.model.intent import Closing, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.model.lock import Lock
    from reconciler.model.ports import Store

#: Where a leader may lose its lock: before its note, before its look, in its act, before it notes what came
#: of that, before it commits, and before it closes the journal.
POINTS = ("idle", "noted", "acting", "acted", "settled", "committed")

#: Seconds after which what is bound to come never will.
_NEVER = 120.0
_SOME = Some()


class Polity(Protocol):
    """A store that can be contended for, and how its holder loses it."""

    def open(self, who: str) -> Store:
        """The store, as one contender has it."""
        ...

    def epoch(self, session: Any) -> int:  # noqa: ANN401 - each store's own
        """Of a session: it rises with each."""
        ...

    def depose(self, session: Any, draw: random.Random) -> str:  # noqa: ANN401 - each store's own
        """Have it lose the lock, and not know; gives how."""
        ...

    def depose_within(self, session: Any, world: World) -> None:  # noqa: ANN401 - each store's own
        """Have it lose the lock within its act, and give others every chance to act meanwhile."""
        ...

    def depose_after(self) -> None:
        """Let the next one be elected, now that the act is over."""
        ...

    def blind(self, session: Any) -> bool:  # noqa: ANN401 - each store's own
        """Have it believe that its last look was good, if looking asks nobody; whether that is so."""
        ...


@dataclass
class World:
    """The witness: who was elected, who acts, and what is to be found by whom.

    Attributes:
        left: how many are to lose the lock yet.
        epochs: of all that were elected, in order.
        noted: the ids of intents that were accepted and not settled.
        recorded: the directories of all batches whose outcome was accepted.
        counts: what happened how often.
        faults: whatever may never be.
    """

    polity: Polity
    seed: int
    left: int
    epochs: list[int] = field(default_factory=list)
    noted: set[str] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)
    acting: set[tuple[str, int]] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    over: bool = False
    turn: threading.Condition = field(default_factory=threading.Condition)

    def elected(self, who: str, epoch: int, found: set[str], there: set[str]) -> bool:
        """One more leads; whether it is to lose the lock."""
        with self.turn:
            if self.epochs and epoch <= self.epochs[-1]:
                self.fault(f"{who} leads in epoch {epoch} after {self.epochs[-1]}")
            if found != self.noted:
                self.fault(f"{who} in epoch {epoch} found {sorted(found)} open, and not {sorted(self.noted)}")
            if there != self.recorded:
                self.fault(
                    f"{who} in epoch {epoch}: {sorted(there ^ self.recorded)} is not recorded as it was"
                )
            self.epochs.append(epoch)
            self.left -= 1
            self.turn.notify_all()
            return self.left >= 0

    @contextlib.contextmanager
    def act(self, who: str, epoch: int) -> Iterator[None]:
        """What nobody else may do at the same time."""
        with self.turn:
            if self.acting:
                self.fault(f"{who} acts in epoch {epoch} while {sorted(self.acting)} does")
            self.acting.add((who, epoch))
            self.counts["acts"] += 1
        try:
            yield
        finally:
            with self.turn:
                self.acting.discard((who, epoch))
                self.turn.notify_all()

    def settle(self) -> None:
        """What is under way takes effect within the settle time: who waits for that sees all of it."""
        with self.turn:
            begun = set(self.acting)
            self.wait(lambda: not (begun & self.acting), "what was under way has settled")

    def next_one(self, epoch: int) -> None:
        """Wait until another leads."""
        with self.turn:
            self.wait(lambda: self.over or self.epochs[-1] > epoch, f"another leads after epoch {epoch}")

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        if not self.turn.wait_for(holds, _NEVER):
            self.fault(f"it never came to this: {what}")

    def fault(self, what: str) -> None:
        self.faults.append(f"seed {self.seed}: {what}")
        self.over = True
        self.turn.notify_all()


def contend(world: World, who: str) -> None:
    """Lead, be deposed, and try again until there was enough of that."""
    draw = random.Random(f"{world.seed} {who}")
    while not world.over:
        try:
            with world.polity.open(who).hold(5.0) as session:
                if not world.over:
                    _lead(world, session, who, draw)
        except (LockHeldError, LockLostError):
            continue
        except BaseException as error:
            with world.turn:
                world.fault(f"{who}: {type(error).__name__}: {error}")
            raise


def _lead(world: World, session: Any, who: str, draw: random.Random) -> None:  # noqa: ANN401 - each store's own
    """One leadership, from its election to its loss."""
    epoch = world.polity.epoch(session)
    found = session.journal.open
    there = {key.directory for key in session.lock.entries}
    deposed = world.elected(who, epoch, {intent.id for intent in found}, there)
    if found:  # C7: what the one before may have under way comes first
        world.settle()
        session.note([Settled(intent.id, Closing.ABSENT) for intent in found])
        world.noted.clear()
    if not deposed:
        with world.turn:
            world.over = True
            world.turn.notify_all()
        return
    point = POINTS[epoch % len(POINTS)]
    world.counts[point] += 1
    leadership = _Leadership(world, session, who, epoch, draw)
    for _ in range(draw.randrange(2)):
        leadership.work("")
    leadership.work(point)
    world.next_one(epoch)
    leadership.late()


@dataclass
class _Leadership:
    """What one leader does, up to the loss of its lock and after it."""

    world: World
    session: Any
    who: str
    epoch: int
    draw: random.Random
    number: int = 0
    open: bool = False

    def __post_init__(self) -> None:
        self.lock: Lock = self.session.lock

    def work(self, point: str) -> None:
        """One piece of work; the lock is lost at a point of it, if one is given."""
        self.number += 1
        name = f"{self.who}-{self.epoch}-{self.number}"
        directory = f"dir-{name}"
        if self._lost(point, "idle"):
            return
        self.session.note([_SOME.intent(name, directory)])
        self.world.noted.add(name)
        self.open = True
        if self._lost(point, "noted"):
            return
        self.session.confirm()
        with self.world.act(self.who, self.epoch):
            if point == "acting":
                self.world.polity.depose_within(self.session, self.world)
        if point == "acting":
            self.world.polity.depose_after()
        if point == "acting" or self._lost(point, "acted"):
            return
        entry = _SOME.entry(directory, f"bat-{name}")
        self.session.note([Settled(name, Closing.CREATED, entry=entry)])
        self.world.noted.discard(name)
        self.open = False
        self.world.recorded.add(directory)
        self.lock = replace(self.lock, entries={**self.lock.entries, entry.key: entry})
        if self._lost(point, "settled"):
            return
        self.lock = self.session.commit(self.lock)
        self._lost(point, "committed")

    def _lost(self, point: str, here: str) -> bool:
        if point == here:
            how = self.world.polity.depose(self.session, self.draw)
            self.world.counts[how] += 1
        return point == here

    def late(self) -> None:
        """Once another leads, nothing of this one is let through: neither an act nor a write."""
        entry = _SOME.entry("dir-late", f"bat-late-{self.epoch}")
        writes: dict[str, Callable[[], object]] = {
            "act": self.session.confirm,
            "note": lambda: self.session.note([_SOME.intent(f"late-{self.epoch}", "dir-late")]),
            "commit": lambda: self.session.commit(_SOME.lock(entry)),
            "close": self.session.close,
        }
        if self.draw.random() < 0.5 and self.world.polity.blind(self.session):
            self.world.counts["blind"] += 1
            del writes["act"]
        if self.open:
            del writes["close"]  # with an intent open, there is nothing to close
        self.world.counts["late"] += len(writes)
        # Whichever comes first: what it learns makes the others easier.
        names = sorted(writes)
        for name in names[self.epoch % len(names) :] + names[: self.epoch % len(names)]:
            try:
                writes[name]()
            except LockLostError:
                self.world.counts["refused"] += 1
            else:
                with self.world.turn:
                    self.world.fault(f"{self.who}'s {name} of epoch {self.epoch} was let through")


def elections(polity: Polity, *, seed: int, forced: int, contenders: int) -> World:
    """So many forced elections among so many contenders, each in a thread of its own."""
    world = World(polity, seed, forced)
    threads = [
        threading.Thread(target=contend, args=(world, f"contender-{number}"), daemon=True)
        for number in range(contenders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return world
