"""C8's wish to stop, at moments when there is nobody left to hear it."""

from __future__ import annotations

import asyncio

from engine_time import Time

from reconciler.engine.stop import Stop


def test_c8_a_signal_after_the_loop_has_ended_is_no_error() -> None:
    stop = Stop()

    async def work() -> None:
        stop.bind(Time())

    asyncio.run(work())

    stop.request(2)  # as the handler does while the state is being let go
    assert stop.signal == 2
