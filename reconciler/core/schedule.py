"""When a project's next round is due: the interval, spread a little; longer after failures; sooner on a hint.

Times are seconds of a clock that only grows. Chance comes in as a number, from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.model.rounds import Why

#: The longest that a failing project waits for its next round, unless its interval is longer.
LONGEST = 900.0

# A hint is followed so long after the last round, at the latest: what comes in a flood is then one round.
_GAP = 5.0

# A failing project waits for so much of the time that it may wait, at least.
_LEAST = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How often.

    Attributes:
        interval: seconds between the beginnings of a project's rounds.
        jitter: which share of that may come on top, so that many loops do not ask at once.
    """

    interval: float
    jitter: float = 0.0

    @property
    def gap(self) -> float:
        """How long after a round the next one may follow a hint."""
        return min(_GAP, self.interval / 10)


@dataclass(frozen=True, slots=True)
class Turn:
    """A project's place in time.

    Attributes:
        due: when its next round is.
        why: what for.
        ended: when its last one ended; None before the first.
        failures: how many have failed in a row.
    """

    due: float
    why: Why = Why.START
    ended: float | None = None
    failures: int = 0


def after_round(turn: Turn, pace: Pace, *, began: float, now: float, failed: bool, chance: float) -> Turn:
    """The turn after a round.

    A round that took longer than the interval is followed at once, and never overtaken. After failures the
    time doubles, up to a bound; half of it is left to chance, so that loops that failed together part.

    Args:
        turn: before it.
        pace: how often.
        began: when the round began.
        now: when it has ended.
        failed: whether it counts as a failure.
        chance: from 0 to 1.
    """
    if not failed:
        wait = pace.interval * (1 + pace.jitter * chance)
        return Turn(max(began + wait, now), Why.INTERVAL, now)
    failures = turn.failures + 1
    # An exponent that grew with a failure of weeks would be no number any more.
    wait = min(pace.interval * 2.0 ** min(failures - 1, 60), max(LONGEST, pace.interval))
    if failures > 1:
        wait *= _LEAST + (1 - _LEAST) * chance
    return Turn(now + max(wait, pace.interval), Why.RETRY, now, failures)


def hurried(turn: Turn, pace: Pace, why: Why, now: float) -> Turn:
    """The turn after somebody said that there is something to see.

    A person is followed at once. A hint is, once a moment has passed since the last round; where rounds
    fail it is not: it may come from whoever makes them fail.
    """
    if why is Why.HANGUP:
        return replace(turn, due=min(turn.due, now), why=Why.HANGUP)
    if turn.failures or turn.ended is None:
        return turn
    due = max(now, turn.ended + pace.gap)
    return replace(turn, due=due, why=why) if due < turn.due else turn
