"""The two ends of a request, watched: whether its client is still there, and whether an answer has begun.

An answer with status 500 is kept until the application has returned. Starlette sends one before it hands
on what the application raised; then another one is sent instead.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Send


class Ends:
    """What a server gives an application for one request.

    Attributes:
        whole: Whether the request's body was read to its end.
        gone: Whether the server has said that nobody waits any more.
        left: Whether it said so while the body was not whole and no answer had begun.
        begun: Whether an answer has begun.
        over: Whether an answer was sent to its end.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self.whole = False
        self.gone = False
        self.left = False
        self.begun = False
        self.over = False
        self._receive = receive
        self._send = send
        self._kept: list[Message] = []

    async def receive(self) -> Message:
        """Hand on a message of the server."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.whole = not message.get("more_body", False)
        else:
            self.gone = True
            self.left = self.left or not (self.whole or self.begun or self._kept)
        return message

    async def pass_on(self, message: Message) -> None:
        """Hand on a message of the application, or keep it."""
        starts = message["type"] == "http.response.start"
        if self._kept or (starts and message["status"] == HTTPStatus.INTERNAL_SERVER_ERROR):
            self._kept.append(message)
        else:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """Send a message at once."""
        self.begun = True
        await self._send(message)
        self.over = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def release(self) -> None:
        """Send what was kept: the application has returned."""
        kept, self._kept = self._kept, []
        for message in kept:
            await self.send(message)
