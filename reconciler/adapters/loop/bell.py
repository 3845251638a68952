"""What wakes the loop: signal handlers and other threads ring, the loop's own thread waits.

A queue and not an event: a handler may run in the middle of this very thread's waiting, where an event's lock
is taken already.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.rounds import Why


class QueueBell:
    """Rings that nobody has waited for yet; each kind of them once, however often it was rung."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Why | None] = SimpleQueue()
        self._rung: set[Why | None] = set()

    def ring(self, why: Why | None) -> None:
        """Wake the loop; with None it only wakes. From any thread, and from signal handlers."""
        if why not in self._rung:
            self._rung.add(why)
            self._queue.put(why)

    def wait(self, seconds: float) -> frozenset[Why]:
        """Wait so long, or until somebody rings; gives what was rung since, nothing for none."""
        heard: set[Why] = set()
        timeout = max(seconds, 0.0)
        while True:
            try:
                why = self._queue.get(timeout=timeout) if timeout else self._queue.get_nowait()
            except Empty:
                return frozenset(heard)
            # What is rung before this line is heard with it; what is rung after it is in the queue.
            self._rung.discard(why)
            if why is not None:
                heard.add(why)
            timeout = 0.0
