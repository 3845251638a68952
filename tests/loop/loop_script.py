"""A loop on virtual time: projects whose rounds take as long, and end as, a script says; a bell likewise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine_time import Time

from reconciler.engine.loop import Loop
from reconciler.engine.stop import Stop
from reconciler.model.rounds import Round, RoundEnded, RoundResult, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.schedule import Pace
    from reconciler.model.rounds import LoopEvent

UNCHANGED = RoundResult.UNCHANGED


@dataclass
class Script:
    """What happens when, in virtual seconds.

    Attributes:
        lasts: per project, how long its rounds take.
        ends: per project, what its rounds come to, one after the other; the last one stays.
        rings: who rings when.
        signal: when a signal comes.
        fetches: when fetching fails, and with what.
        held: what was held: when, which project, what for.
    """

    lasts: dict[str, float]
    ends: dict[str, Sequence[RoundResult]] = field(default_factory=dict)
    rings: list[tuple[float, Why]] = field(default_factory=list)
    signal: float | None = None
    fetches: Callable[[float], Exception | None] = lambda _: None
    chance: float = 0.0
    time: Time = field(default_factory=Time)
    stop: Stop = field(default_factory=Stop)
    held: list[tuple[float, str, Why]] = field(default_factory=list)
    unfetched: list[tuple[float, str]] = field(default_factory=list)
    told: list[LoopEvent] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)

    def run(self, pace: Pace, seconds: float) -> list[tuple[float, str, Why]]:
        """Let the loop run so long; gives the rounds that were held."""
        self.signal = seconds if self.signal is None else self.signal
        self.loop(pace).run()
        return self.held

    def loop(self, pace: Pace, rounds: int | None = None) -> Loop:
        return Loop(
            works=[_Work(self, name) for name in self.lasts],
            pace=pace,
            fetch=self._fetch,
            bell=_Bell(self),
            clock=self.time,
            chance=lambda: self.chance,
            stop=self.stop,
            tell=self.told.append,
            alive=lambda: self.naps.append(self.time.seconds),
            rounds=rounds,
        )

    def ended(self, name: str) -> list[RoundEnded]:
        return [event for event in self.told if isinstance(event, RoundEnded) and event.round.project == name]

    def go_on(self, seconds: float) -> None:
        """Let so many seconds go by. A signal is as sudden as any."""
        self.time.seconds += seconds
        if self.signal is not None and self.time.seconds >= self.signal:
            self.stop.request(15)

    def _fetch(self) -> None:
        error = self.fetches(self.time.seconds)
        if error is not None:
            raise error


@dataclass
class _Work:
    script: Script
    project: str

    def round(self, why: Why) -> Round:
        script = self.script
        before = sum(1 for _, name, _ in script.held if name == self.project)
        script.held.append((script.time.seconds, self.project, why))
        script.go_on(script.lasts[self.project])
        ends = script.ends.get(self.project, (UNCHANGED,))
        result = ends[min(before, len(ends) - 1)]
        return Round(project=self.project, folder=self.project, result=result, why=why)

    def unfetched(self, why: Why, error: Exception) -> Round:
        self.script.unfetched.append((self.script.time.seconds, self.project))
        return Round(
            project=self.project, folder=self.project, result=RoundResult.ERROR, why=why, error=error
        )


@dataclass
class _Bell:
    script: Script

    def wait(self, seconds: float) -> frozenset[Why]:
        """What was rung before is heard at once; else time jumps to the first ring, or to the end."""
        script, now = self.script, self.script.time.seconds
        moments = [when for when, _ in script.rings]
        if script.signal is not None:
            moments.append(script.signal)
        until = min((max(when, now) for when in moments), default=now + seconds)
        script.go_on(max(min(until, now + seconds) - now, 0.0))
        heard = {why for when, why in script.rings if when <= script.time.seconds}
        script.rings = [(when, why) for when, why in script.rings if when > script.time.seconds]
        return frozenset(heard)
