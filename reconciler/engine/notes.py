"""Group commit: notes of concurrent creates that wait for one sync share the next one (C3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.intent import Intent, Settled
    from reconciler.model.ports import Session


class Notes:
    """The journal as the creates of one run see it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[tuple[Intent | Settled, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, note: Intent | Settled) -> None:
        """Write a note; it is durable when this returns.

        Raises:
            StateError: it could not be made durable.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((note, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        await written

    async def quiet(self) -> None:
        """Wait for the sync that is under way, if one is: whoever waited for it may be gone by now."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    async def _write_all(self) -> None:
        """Write what waits, with one sync, until nothing waits. A sync blocks, so it has a thread."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._session.note, [note for note, _ in waiting])
            except Exception as error:  # noqa: BLE001 - whoever waits for the note has to hear of it
                for _, written in waiting:
                    if not written.done():
                        written.set_exception(error)
            else:
                for _, written in waiting:
                    if not written.done():
                        written.set_result(None)
        self._writer = None
