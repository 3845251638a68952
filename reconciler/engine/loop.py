"""The loop that never sleeps: whose turn it is, one project after the other, until it is to end.

    what is due -> fetch, once for all of it -> a round each -> when each is due again -> wait, or be woken

No round overlaps another: there is one loop, and it holds them. What a round does is the work's own; a round
that goes wrong is a value, so that no project stops another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.schedule import Turn, after_round, hurried
from reconciler.model.rounds import FAILING, Ending, Looking, RoundBegan, RoundEnded, RoundResult, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.schedule import Pace
    from reconciler.engine.stop import Stop
    from reconciler.model.ports import Clock
    from reconciler.model.rounds import Bell, LoopListener, Round, Work

# So long at most goes by between two signs of life while nothing is to be done.
_NAP = 15.0


@dataclass(slots=True, kw_only=True)
class Loop:
    """A loop over some projects.

    Attributes:
        works: the projects, each once.
        fetch: has the newest manifests of all of them in place; raises where it cannot.
        chance: gives a number from 0 to 1.
        alive: called again and again, as a sign of life.
        rounds: how many rounds each project has; None for no end.
        last: each project's last round, in the order of the works.
    """

    works: Sequence[Work]
    pace: Pace
    fetch: Callable[[], None]
    bell: Bell
    clock: Clock
    chance: Callable[[], float]
    stop: Stop
    tell: LoopListener
    alive: Callable[[], None]
    rounds: int | None = None
    last: list[Round | None] = field(default_factory=list)
    _turns: list[Turn] = field(default_factory=list)
    _held: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Hold rounds until each project has had all of its own, or a signal comes."""
        now = self.clock.monotonic()
        self._turns = [Turn(now) for _ in self.works]
        self._held = [0 for _ in self.works]
        self.last = [None for _ in self.works]
        while self.stop.signal is None and self._left():
            self.alive()
            if due := self._due():
                self._hold(due)
            else:
                self._wait()
        if self.stop.signal is not None:
            self.tell(Ending(self.stop.signal))

    def _left(self) -> list[int]:
        """The projects that are to have another round."""
        return [at for at, held in enumerate(self._held) if self.rounds is None or held < self.rounds]

    def _due(self) -> list[int]:
        """Those whose turn it is; whoever waited longest comes first."""
        now = self.clock.monotonic()
        return sorted((at for at in self._left() if self._turns[at].due <= now), key=self._when)

    def _when(self, at: int) -> tuple[float, int]:
        return self._turns[at].due, at

    def _hold(self, due: Sequence[int]) -> None:
        error: Exception | None = None
        try:
            self.fetch()
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is each round's result
            error = failure
        for at in due:
            if self.stop.signal is not None:
                return  # what was fetched, or was not, is nobody's any more
            self._one(at, error)

    def _one(self, at: int, error: Exception | None) -> None:
        work, turn, began = self.works[at], self._turns[at], self.clock.monotonic()
        self.tell(RoundBegan(work.project, turn.why))
        self.alive()
        done = work.round(turn.why) if error is None else work.unfetched(turn.why, error)
        now = self.clock.monotonic()
        failed = done.result in FAILING
        turn = after_round(turn, self.pace, began=began, now=now, failed=failed, chance=self.chance())
        self._turns[at], self.last[at] = turn, done
        if done.result is not RoundResult.STOPPED:
            self._held[at] += 1
        self.alive()
        following = turn.due - now if at in self._left() else None
        self.tell(RoundEnded(done, turn.failures, following))

    def _wait(self) -> None:
        now = self.clock.monotonic()
        left = min(self._turns[at].due for at in self._left()) - now
        rung = self.bell.wait(min(left, _NAP))
        now = self.clock.monotonic()
        if Why.HANGUP in rung and self.stop.signal is None:
            self.tell(Looking())
        for why in sorted(rung):
            self._turns = [hurried(turn, self.pace, why, now) for turn in self._turns]
