"""Whether the loop is alive, and whether it is of use: what the probes of an orchestrator ask for.

Written by the loop's thread, read by the one that answers HTTP.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.events import Waiting
from reconciler.model.rounds import Called, Happening, RoundEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.rounds import LoopEvent

#: Seconds without a sign of life after which the process is taken for stuck. Each request of a plan or an
#: apply is bounded well below, and reported; waiting on purpose is added.
STUCK_AFTER = 1800.0

_NO_ROUND = "it had no round yet"


class Readiness(NamedTuple):
    """Whether the loop is of use, and what each project lacks, by its folder."""

    ready: bool
    reasons: Mapping[str, str]


class Pulse:
    """A loop's signs of life, and what each project lacked in its last round.

    Args:
        folders: the projects, as the command line has them.
        monotonic: the clock to go by.
        ending: whether a signal has asked to end.
    """

    def __init__(
        self, folders: tuple[str, ...], monotonic: Callable[[], float], ending: Callable[[], bool]
    ) -> None:
        self._monotonic = monotonic
        self._mutex = threading.Lock()
        self._until = monotonic() + STUCK_AFTER
        self._lacks = dict.fromkeys(folders, _NO_ROUND)
        self._ending = ending

    def beat(self, wait: float = 0.0) -> None:
        """Give a sign of life, and say for how long there will be no other."""
        with self._mutex:
            self._until = self._monotonic() + wait + STUCK_AFTER

    def heard(self, event: LoopEvent) -> None:
        """Hear what goes on."""
        match event:
            case Happening(event=Waiting(seconds=seconds)):
                self.beat(seconds)
                return
            case RoundEnded(round=done):
                with self._mutex:
                    self._lacks[done.folder] = done.lacks
            case Called():
                return  # from outside, and no sign of life
            case _:
                pass
        self.beat()

    @property
    def alive(self) -> bool:
        """Whether the last sign of life is not too long ago."""
        with self._mutex:
            return self._monotonic() <= self._until

    def readiness(self) -> Readiness:
        """Whether each project had a round and could be read in its last one.

        What a service, a lock or a limit has against a project is no reason: no other replica would fare
        better, and metrics tell of it.
        """
        with self._mutex:
            reasons = {folder: lacks for folder, lacks in sorted(self._lacks.items()) if lacks}
        if self._ending():
            reasons[""] = "it is ending"
        return Readiness(not reasons, reasons)
