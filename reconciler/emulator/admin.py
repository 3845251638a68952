"""What only a stand-in can tell: its clock, and which batches are there twice. And what it is.

These routes need no key: they are for whoever runs the stand-in, and it listens to this machine alone
unless told otherwise.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator.errors import ClockRangeError, EmulatorError, Fault, Invalid, Refused
from reconciler.emulator.gates import Dated
from reconciler.emulator.llamacloud import replies
from reconciler.emulator.llamacloud.asking import query_of, read
from reconciler.emulator.llamacloud.batches import read_batch
from reconciler.emulator.moments import rfc3339
from reconciler.emulator.schemas import schema
from reconciler.emulator.validation import read_body

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from reconciler.emulator.clock import KeptClock
    from reconciler.emulator.database import Database
    from reconciler.emulator.moments import Clock, Micros

_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)", re.ASCII)
_FASTEST = 1_000_000

_MOST_DUPLICATES = 1_000

# Documents that are being read hold no moment.
_READING = "SELECT 1 FROM batches WHERE status = 'RUNNING' AND due_us IS NULL LIMIT 1"
_NEXT_DUE = """
SELECT min(due_us) FROM (SELECT min(due_us) AS due_us FROM batches WHERE due_us IS NOT NULL
UNION ALL SELECT min(due_us) FROM talonic_batches WHERE due_us IS NOT NULL)
"""
# How long a clock that was moved waits for what became due, and between two looks; in real seconds.
_PATIENCE = 30.0
_GLANCE = 0.01


class AdminRoutes:
    """The handlers, and what they answer from."""

    def __init__(self, database: Database, clock: KeptClock, wake: threading.Event) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    def table(self) -> list[Route]:
        """Give the routes."""
        return [
            Route("/", self.greet, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/__admin/clock", self.clock, methods=["GET", "POST"]),
            Route("/__admin/duplicates", self.duplicates, methods=["GET"]),
        ]

    async def greet(self, request: Request) -> Response:
        """GET /: what this is, for people who open it in a browser."""
        del request
        return JSONResponse(
            {
                "service": "reconciler emulator: a stand-in of LlamaCloud's and Talonic's batch APIs",
                "openapi": "/openapi.json",
                "admin": [
                    "/__admin/health",
                    "/__admin/clock",
                    "/__admin/duplicates",
                    "/__admin/faults",
                    "/__admin/requests",
                    "/__admin/webhooks",
                ],
            }
        )

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json: the contract."""
        del request
        return JSONResponse(schema("openapi"))

    async def clock(self, request: Request) -> Response:
        """GET and POST /__admin/clock: `{"advance": "90s"}`, `{"speed": 60}` or both.

        A clock that was moved answers when everything that became due has been done, so that whoever steps
        it sees the same each time; or, with `settled` false, when that takes too long.
        """
        settled = True
        if request.method == "POST":
            if "origin" in request.headers:
                raise Refused(403, "A web page may not change this")
            speed, ahead = _clock_changes(await read(request))
            try:
                if speed is not None:
                    self._clock.run_at(speed)
                if ahead is not None:
                    self._clock.advance(ahead)
            except ClockRangeError as error:
                raise Refused(422, [Fault(loc=["body", "advance"], msg=str(error), type="range")]) from error
            self._wake.set()
            settled = await self._settled(self._clock())
        return JSONResponse({"now": rfc3339(self._clock()), "speed": self._clock.speed, "settled": settled})

    async def _settled(self, now: Micros) -> bool:
        """Wait until nothing is due that was due by now; say whether it came to that."""
        for _ in range(int(_PATIENCE / _GLANCE)):
            connection = self._database.reader()
            assert connection is not None
            (due,) = connection.execute(_NEXT_DUE).fetchone()
            reading = connection.execute(_READING).fetchone()
            if reading is None and (due is None or due > now):
                return True
            await asyncio.sleep(_GLANCE)
        return False

    async def duplicates(self, request: Request) -> Response:
        """GET /__admin/duplicates: batches whose key an earlier one has, with the first of those."""
        query = query_of(request)
        limit = query.integer("limit", default=100, low=1, high=_MOST_DUPLICATES)
        query.finish()
        return JSONResponse(await run_in_threadpool(self._duplicates, limit))

    def _duplicates(self, limit: int) -> replies.Reply:
        connection = self._database.reader()
        assert connection is not None
        try:
            rows = connection.execute("SELECT * FROM duplicates ORDER BY created_us LIMIT ?", (limit,))
            listed = [
                {"batch": replies.batch(read_batch(row), None), "earlier": row["earlier_id"]} for row in rows
            ]
            (count,) = connection.execute("SELECT count(*) FROM duplicates").fetchone()
        finally:
            # A thread of the pool ends when it has had nothing to do, and would leave its connection open.
            self._database.release()
        return {"count": count, "duplicates": listed}


def make_app(routes: Sequence[Route], *, clock: Clock) -> Starlette:
    """Give the application of all paths that belong to no service."""

    async def refused(request: Request, error: Exception) -> Response:
        del request
        match error:
            case Refused(status=status, detail=detail):
                return JSONResponse({"detail": detail}, status_code=status)
            case HTTPException(status_code=status, detail=detail, headers=headers):
                return JSONResponse({"detail": detail}, status_code=status, headers=headers)
            case _:
                return JSONResponse({"detail": str(error)}, status_code=503)

    app = Starlette(
        routes=list(routes),
        middleware=[Middleware(Dated, clock=clock)],
        exception_handlers=dict.fromkeys((Refused, HTTPException, EmulatorError, sqlite3.Error), refused),
    )
    app.router.redirect_slashes = False
    return app


def _clock_changes(body: bytes) -> tuple[float | None, Micros | None]:
    """Read the speed and the advance that are asked for.

    Raises:
        Invalid: with every fault of the body.
    """
    document = read_body(body)
    document.allow("speed", "advance")
    speed, advance = document.fields.get("speed"), document.fields.get("advance")
    if speed is not None and (
        isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 <= speed <= _FASTEST
    ):
        document.faults.append(
            Fault(
                loc=["body", "speed"],
                msg=f"Input should be a number from 0 to {_FASTEST}: times the machine's clock",
                type="speed",
            )
        )
    found = _DURATION.fullmatch(advance) if isinstance(advance, str) else None
    if advance is not None and found is None:
        document.faults.append(
            Fault(
                loc=["body", "advance"],
                msg="Input should be a duration such as '500ms', '90s', '10m', '2h' or '1d'",
                type="duration",
            )
        )
    if document.known and not document.fields:
        raise Invalid([Fault(loc=["body"], msg="Give `speed`, `advance` or both", type="missing")])
    document.finish()
    assert speed is None or isinstance(speed, int | float)
    return speed, None if found is None else int(found[1]) * _UNITS[found[2]]
