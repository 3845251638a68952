"""The middleware outside the application: enters every request in the journal, and lets faults strike.

Requests below `/__admin` go past it, so that no fault can lock its owner out.
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, assert_never

from reconciler.emulator.faults import bodies, lists
from reconciler.emulator.faults.active import ADMIN
from reconciler.emulator.faults.answers import NO_JSON, Answer, instead
from reconciler.emulator.faults.ends import Ends
from reconciler.emulator.faults.exchange import Exchange
from reconciler.emulator.faults.kinds import (
    ClockOff,
    Closed,
    Cut,
    Drip,
    Empty,
    EmptyPage,
    ExtraFields,
    Html,
    Inserted,
    Lag,
    Late,
    Nulls,
    Redirect,
    Refused,
    Reordered,
    RepeatedToken,
    Reset,
    Status,
    Timeout,
    Truncated,
    UnknownStatus,
)
from reconciler.emulator.faults.lines import line_of, until_gone
from reconciler.emulator.faults.nullable import nothing_nullable
from reconciler.emulator.moments import http_date

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from reconciler.emulator.faults.active import ActiveFaults, Struck
    from reconciler.emulator.faults.journal import Journal
    from reconciler.emulator.faults.kinds import Changed, Instead, Listed, Silent
    from reconciler.emulator.faults.lines import Line, Lines
    from reconciler.emulator.faults.nullable import Nullable
    from reconciler.emulator.moments import Clock

_LOG = logging.getLogger("reconciler.emulator")

_LEFT: Final = "the client left before its body was whole"
_TOO_LARGE: Final = "the body is too large to be kept for later: the fault did nothing"
_MAX_SHOWN: Final = 300
_NO_JSON: Final = "the answer is no JSON"
_NOTHING: Final = "the answer has nothing that this fault changes"
_MICROS_PER_HOUR: Final = 3_600_000_000


class Injector:
    """An ASGI application that stands before another one and does to its requests what the faults say.

    Args:
        app: The application.
        active: The faults in force.
        journal: Where requests are entered.
        clock: The service's clock.
        lines: How a request's connection is found; None when each brings its own (`InProcessTransport`).
        nullable: Which values may be null, by method and path (`nullable_in`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        active: ActiveFaults,
        journal: Journal,
        clock: Clock,
        lines: Lines | None = None,
        nullable: Nullable = nothing_nullable,
    ) -> None:
        self._app = app
        self._active = active
        self._journal = journal
        self._clock = clock
        self._lines = lines
        self._nullable = nullable
        self._pages = lists.Pages()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ends = Ends(receive, send)
        try:
            if path == ADMIN or path.startswith(f"{ADMIN}/"):
                await self._admin(scope, ends)
            else:
                await self._entered(scope, ends)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client and the owner are to be told
            await self._failed(scope, ends, error)

    async def _entered(self, scope: Scope, ends: Ends) -> None:
        """Serve one request that is entered in the journal."""
        exchange = Exchange(self._app, self._journal, scope, ends)
        struck = self._active.strike(scope["method"], scope["path"])
        try:
            if struck is None:
                await self._unstruck(exchange)
            else:
                exchange.record(fault=struck.entry)
                await self._struck(exchange, struck, line_of(scope, self._lines))
        except Exception:  # of whatever kind: the journal is to say what the client is told of it
            if not (ends.left or ends.gone or ends.begun):
                exchange.record(status=int(HTTPStatus.INTERNAL_SERVER_ERROR))
            raise
        finally:
            if ends.left:
                exchange.record(note=_LEFT, effect=False)
            exchange.log()

    async def _admin(self, scope: Scope, ends: Ends) -> None:
        await self._app(scope, ends.receive, ends.pass_on)
        await ends.release()

    async def _failed(self, scope: Scope, ends: Ends, error: Exception) -> None:
        """Answer for an application that raised, and tell its owner in one line."""
        name = type(error).__name__
        if ends.left:
            # Whoever reads a body that does not come is bound to raise.
            _LOG.debug("%s %a: %s", scope["method"], scope["path"], _LEFT, exc_info=error)
            return
        _LOG.error(
            "%s %a: the stand-in failed: %s: %a",
            scope["method"],
            scope["path"],
            name,
            str(error)[:_MAX_SHOWN],
        )
        _LOG.debug("how it failed", exc_info=error)
        if ends.over or ends.gone:
            return
        if ends.begun:
            line_of(scope, self._lines).close()
            await until_gone(ends.receive)
            return
        body = json.dumps({"detail": f"the stand-in failed: {name}"}).encode()
        headers = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
        await ends.send({"type": "http.response.start", "status": 500, "headers": list(headers)})
        await ends.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _unstruck(self, exchange: Exchange) -> None:
        repeats = self._pages.repeats(exchange.asked)
        if not repeats and not self._remembers(exchange):
            await exchange.pass_through()
            return
        answer = await exchange.perform(self._pages)
        page = lists.page_of(answer) if repeats else None
        if page is not None:
            exchange.record(note="the token came a second time: an earlier fault goes on")
            answer = answer.with_value(page.rewritten(page.items, exchange.asked.sent))
        await exchange.reply(answer)

    def _remembers(self, exchange: Exchange) -> bool:
        """Say whether this may be a page whose last item an `inserted` page will need."""
        method, path = exchange.scope["method"], exchange.scope["path"]
        entries = self._active.file.entries
        return method == "GET" and any(
            isinstance(entry.fault, Inserted) and entry.matches(method, path) for entry in entries
        )

    async def _struck(self, exchange: Exchange, struck: Struck, line: Line) -> None:
        after = struck.entry.when == "after"
        match struck.entry.fault:
            case Refused() | Reset() | Closed() | Timeout() as fault:
                await self._silent(exchange, fault, line, after=after)
            case Late() as fault:
                await self._late(exchange, fault, line)
            case Status() | Html() | Empty() | Redirect() as fault:
                await self._instead(exchange, fault, after=after)
            case Truncated() | ExtraFields() | UnknownStatus() | Nulls() | ClockOff() as fault:
                await self._changed(exchange, fault)
            case EmptyPage() | RepeatedToken() | Inserted() | Reordered() | Lag() as fault:
                await self._listed(exchange, struck, fault)
            case Cut():
                await self._cut(exchange, line)
            case Drip() as fault:
                await self._drip(exchange, fault, line)
            case never:
                assert_never(never)

    async def _silent(self, exchange: Exchange, fault: Silent, line: Line, *, after: bool) -> None:
        answer = await self._effect(exchange, after=after)
        if answer is _GONE:
            return
        match fault:
            case Reset():
                line.reset()
            case Closed():
                line.close()
            case Timeout():
                await line.hold(exchange.receive, fault.seconds)
            case Refused():
                # The listener closes first: who has the answer finds it closed.
                line.refuse(fault.seconds)
                if answer is not None:
                    await exchange.reply(answer)
                    return
                line.close()
            case _:
                assert_never(fault)
        await until_gone(exchange.receive)

    async def _late(self, exchange: Exchange, fault: Late, line: Line) -> None:
        if not await exchange.take_body(keep=True):
            return
        if not exchange.ends.whole:
            exchange.record(note=_TOO_LARGE)
            await exchange.pass_through()
            return
        await line.hold(exchange.waiting, fault.hold)
        await until_gone(exchange.waiting)
        await line.wait_afterwards(fault.delay)
        await exchange.perform(self._pages, afterwards=True)

    async def _instead(self, exchange: Exchange, fault: Instead, *, after: bool) -> None:
        if await self._effect(exchange, after=after) is not _GONE:
            await exchange.reply(instead(fault, exchange.scope, self._clock()))

    async def _effect(self, exchange: Exchange, *, after: bool) -> Answer | None:
        """Have the request carried out, or only read to its end; `_GONE` when there is no whole one."""
        if after:
            return await exchange.perform(self._pages)
        return None if await exchange.take_body(keep=False) else _GONE

    async def _changed(self, exchange: Exchange, fault: Changed) -> None:
        answer = await exchange.perform(self._pages)
        changed = self._change(exchange, fault, answer)
        if isinstance(changed, str):
            exchange.record(note=changed)
            changed = answer
        await exchange.reply(changed)

    def _change(self, exchange: Exchange, fault: Changed, answer: Answer) -> Answer | str:
        """Change an answer; words say why there was nothing to change."""
        if isinstance(fault, ClockOff):
            wrong = self._clock() + round(fault.hours * _MICROS_PER_HOUR)
            return answer.with_header(b"date", http_date(wrong).encode())
        value = answer.value()
        if value is NO_JSON:
            return _NO_JSON
        match fault:
            case Truncated():
                body = bodies.truncated(answer.body)
                return _NO_JSON if body is None else answer.with_body(body)
            case ExtraFields():
                changed = bodies.with_extra_fields(value)
            case UnknownStatus():
                changed = bodies.with_status(value, fault.value)
            case Nulls():
                paths = self._nullable(exchange.scope["method"], exchange.scope["path"])
                changed = bodies.with_nulls(value, paths)
            case _:
                assert_never(fault)
        return _NOTHING if changed is None else answer.with_value(changed)

    async def _listed(self, exchange: Exchange, struck: Struck, fault: Listed) -> None:
        asked, path = exchange.asked, exchange.scope["path"]
        previous = self._pages.last_before(path, asked.token)
        answer = await exchange.perform(self._pages, lists.size_upstream(fault, asked, previous))
        page = lists.page_of(answer) if exchange.scope["method"] == "GET" else None
        if page is None:
            exchange.record(note=lists.NO_PAGE)
        else:
            changed = lists.with_fault(struck, fault, asked, page, previous=previous, now=self._clock())
            if changed is None:
                exchange.record(note=_NOTHING)
            else:
                answer = answer.with_value(changed)
        await exchange.reply(answer)

    async def _cut(self, exchange: Exchange, line: Line) -> None:
        answer = await exchange.perform(self._pages)
        if not answer.body or exchange.scope["method"] == "HEAD":
            exchange.record(note=_NOTHING)
            await exchange.reply(answer)
            return
        await exchange.start(answer.with_body(answer.body))
        await exchange.send_part(answer.body[: len(answer.body) // 2], more=True)
        line.close()
        await until_gone(exchange.receive)

    async def _drip(self, exchange: Exchange, fault: Drip, line: Line) -> None:
        answer = await exchange.perform(self._pages)
        if not answer.body:
            exchange.record(note=_NOTHING)
            await exchange.reply(answer)
            return
        await exchange.start(answer.with_body(answer.body))
        for begin in range(0, len(answer.body), fault.bytes):
            if begin:
                await line.wait(fault.seconds)
            if line.gone:
                await until_gone(exchange.receive)
                return
            end = begin + fault.bytes
            await exchange.send_part(answer.body[begin:end], more=end < len(answer.body))


# What stands for no answer because there was no whole request.
_GONE: Final = Answer(status=0, headers=(), body=b"")
