"""What a signal means to a command: the first ends it cleanly (C8), the second at once."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from reconciler import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from reconciler.cli.console import Console


@contextlib.contextmanager
def stopping(
    out: Console, says: str = "", *, told: Callable[[int], None] = lambda _: None
) -> Iterator[api.Stop]:
    """Within this context, SIGINT and SIGTERM ask to stop.

    Args:
        out: where it is said.
        says: what is said at the first one, or "".
        told: called at the first one, in the signal's handler.
    """
    stop = api.Stop()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.over:
            raise KeyboardInterrupt(number)
        stop.request(number)
        told(number)
        if says:
            with contextlib.suppress(OSError):
                out.note(f"\n{says}")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
