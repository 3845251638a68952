"""One request on its way through: its body, the application's answer to it, and its line in the journal."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from reconciler.emulator.faults.answers import Catcher
from reconciler.emulator.faults.journal import MAX_BODY
from reconciler.emulator.faults.kinds import kind_name
from reconciler.emulator.faults.lists import asked, page_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

    from reconciler.emulator.faults.answers import Answer
    from reconciler.emulator.faults.ends import Ends
    from reconciler.emulator.faults.journal import Journal
    from reconciler.emulator.faults.lists import Pages

_LOG = logging.getLogger("reconciler.emulator")

MAX_HELD: Final = 256 * 1024 * 1024


def _took_effect(status: int | None) -> bool:
    """Say whether a request did what it asked for: what the application refused did nothing."""
    return status is not None and status < HTTPStatus.BAD_REQUEST


class Exchange:
    """One request. What becomes of it is entered in the journal as it happens."""

    def __init__(self, app: ASGIApp, journal: Journal, scope: Scope, ends: Ends) -> None:
        self.scope = scope
        self.asked = asked(scope)
        self._app = app
        self._journal = journal
        self.ends = ends
        self._kept: bytearray | None = bytearray()
        self._size = 0
        self._replay: list[Message] = []
        self._received = journal.begin(scope["method"], scope["path"], self.asked.pairs)

    def record(self, **facts: Any) -> None:  # noqa: ANN401 - fields of Received
        """Enter facts about this request in the journal."""
        self._received = self._journal.update(self._received, **facts)

    def log(self) -> None:
        """Write one line about this request to the log, for whoever watches the service."""
        if not _LOG.isEnabledFor(logging.INFO):
            return
        entry = self._received.fault
        struck = () if entry is None else (kind_name(entry.fault), *((entry.when,) if entry.when else ()))
        query = f"?{urlencode(self._received.query)}" if self._received.query else ""
        _LOG.info(
            "%s %s%s: %s%s%s",
            *(self._received.method, self._received.path, query),
            "no reply" if self._received.status is None else self._received.status,
            f", fault {' '.join(struck)}" if struck else "",
            ", not carried out" if struck and not self._received.effect else "",
        )

    async def receive(self) -> Message:
        """Hand on a message of the server, and keep what the journal shows of it."""
        if self._replay:
            return self._replay.pop(0)
        message = await self.ends.receive()
        if message["type"] == "http.request":
            self._keep(message.get("body", b""))
        return message

    async def take_body(self, *, keep: bool) -> bool:
        """Read the body to its end. False when the client left before.

        Args:
            keep: Hand it on to the application later. What is larger than 256 MiB is not read to its end.
        """
        kept: list[Message] = []
        size = 0
        while not self.ends.whole and not self.ends.left:
            message = await self.receive()
            size += len(message.get("body", b""))
            if keep:
                kept.append(message)
                if size > MAX_HELD:
                    break
        self._replay = kept
        self._enter_body()
        return not self.ends.left

    async def send(self, message: Message) -> None:
        """Hand on a message of the application."""
        if message["type"] == "http.response.start" and not self.ends.left:
            self.record(status=message["status"])
        await self.ends.pass_on(message)

    async def pass_through(self) -> None:
        """Let the application answer for itself."""
        try:
            await self._app(self.asked.scope(self.scope), self.receive, self.send)
        finally:
            self._enter_body()
        self.record(effect=_took_effect(self._received.status))
        await self.ends.release()

    async def perform(self, pages: Pages, size: int | None = None, *, afterwards: bool = False) -> Answer:
        """Have the application carry the request out, and catch its answer.

        Args:
            pages: Where the last item of a page is remembered.
            size: How many items to ask for, when that is not what the client did.
            afterwards: The client has left; the application does not hear of that.
        """
        catcher = Catcher()
        receive = self._receive_afterwards if afterwards else self.receive
        try:
            await self._app(self.asked.scope(self.scope, size), receive, catcher.send)
        finally:
            self._enter_body()
        answer = catcher.answer()
        self.record(effect=_took_effect(answer.status))
        page = page_of(answer) if self.scope["method"] == "GET" else None
        if page is not None:
            pages.remember(self.scope["path"], page)
        return answer

    async def reply(self, answer: Answer) -> None:
        """Send a whole answer."""
        await self.start(answer)
        await self.send_part(answer.body, more=False)

    async def start(self, answer: Answer) -> None:
        """Send an answer's status and headers."""
        self.record(status=answer.status)
        await self.ends.send(
            {"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)}
        )

    async def send_part(self, part: bytes, *, more: bool) -> None:
        """Send a piece of an answer's body."""
        await self.ends.send({"type": "http.response.body", "body": part, "more_body": more})

    async def waiting(self) -> Message:
        """Hand on the server's next message, past a body that is kept for later."""
        return await self.ends.receive()

    async def _receive_afterwards(self) -> Message:
        if self._replay:
            return self._replay.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size >= MAX_BODY:
            self._kept = None
        elif self._kept is not None:
            self._kept += part

    def _enter_body(self) -> None:
        if self._received.body_bytes != self._size:
            self.record(body=None if self._kept is None else bytes(self._kept), body_bytes=self._size)
