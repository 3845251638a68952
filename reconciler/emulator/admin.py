"""What only a stand-in can tell: its clock, and which batches are there twice. And what it is.

These routes need no key: they are for whoever runs the stand-in, and it listens to this machine alone
unless told otherwise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator.errors import EmulatorError, Fault, Invalid, Refused
from reconciler.emulator.llamacloud import replies
from reconciler.emulator.llamacloud.asking import read
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
    from reconciler.emulator.moments import Micros

_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)", re.ASCII)
_FASTEST = 1_000_000

# A batch whose key an earlier one has that neither failed nor was cancelled: what was paid for twice.
_DUPLICATES = """
SELECT later.*, earlier.id AS earlier_id FROM batches AS later JOIN batches AS earlier
ON earlier.directory_id = later.directory_id AND earlier.created_us < later.created_us
AND earlier.project_id = later.project_id AND earlier.job_type = later.job_type
AND earlier.configuration_id = later.configuration_id
WHERE earlier.status NOT IN ('FAILED', 'CANCELLED')
ORDER BY later.created_us, earlier.created_us
"""


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
                ],
            }
        )

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json: the contract."""
        del request
        return JSONResponse(schema("openapi"))

    async def clock(self, request: Request) -> Response:
        """GET and POST /__admin/clock: `{"advance": "90s"}`, `{"speed": 60}` or both."""
        if request.method == "POST":
            speed, ahead = _clock_changes(await read(request))
            if speed is not None:
                self._clock.run_at(speed)
            if ahead is not None:
                self._clock.advance(ahead)
            self._wake.set()
        return JSONResponse({"now": rfc3339(self._clock()), "speed": self._clock.speed})

    async def duplicates(self, request: Request) -> Response:
        """GET /__admin/duplicates: batches whose key an earlier one has, with the ids of those."""
        del request
        connection = self._database.reader()
        assert connection is not None
        listed: dict[str, replies.Reply] = {}
        for row in connection.execute(_DUPLICATES):
            batch = replies.batch(read_batch(row), None)
            entry = listed.setdefault(row["id"], {"batch": batch, "earlier": []})
            earlier = entry["earlier"]
            assert isinstance(earlier, list)
            earlier.append(row["earlier_id"])
        return JSONResponse({"count": len(listed), "duplicates": list(listed.values())})


def make_app(routes: Sequence[Route]) -> Starlette:
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
        exception_handlers={Refused: refused, HTTPException: refused, EmulatorError: refused},
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
