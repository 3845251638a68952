"""LlamaCloud's application: all routes behind a gate, and every refusal as a reply.

A handler validates everything, looks things up, and answers; what is wrong with a request is raised as
`Refused` and becomes a reply in one place. Before any handler, the gate checks the key and the project,
and gives every reply the `Date` that clients take as the service's clock.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator.errors import EmulatorError, Refused
from reconciler.emulator.gates import by_segments, dated, has_key
from reconciler.emulator.llamacloud import replies
from reconciler.emulator.llamacloud.asking import found, query_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from reconciler.emulator.moments import Clock


class ProjectRoutes:
    """The handlers of the one project there is."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id

    def table(self) -> list[Route]:
        """Give the routes."""
        return [
            Route("/api/v1/projects", self.list_projects, methods=["GET"]),
            Route("/api/v1/projects/{id}", self.get_project, methods=["GET"]),
        ]

    async def list_projects(self, request: Request) -> Response:
        """GET /api/v1/projects: a bare list, of one."""
        name = query_of(request).text("project_name")
        return JSONResponse([replies.project(self._project_id)] if name in {None, self._project_id} else [])

    async def get_project(self, request: Request) -> Response:
        """GET /api/v1/projects/{id}."""
        known = found("Project", request, lambda key: key if key == self._project_id else None)
        return JSONResponse(replies.project(known))


class Gate:
    """What holds for every request: the key, the project, and a `Date` on every reply."""

    def __init__(self, app: ASGIApp, *, project_id: str, api_key: str | None, clock: Clock) -> None:
        self._app = app
        self._project_id = project_id
        self._api_key = api_key
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on; date the reply either way."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(by_segments(scope), receive, dated(send, self._clock))
        else:
            await refused_reply(refusal)(scope, receive, dated(send, self._clock))

    def _refusal(self, scope: Scope) -> Refused | None:
        if self._api_key is not None and not has_key(scope, self._api_key):
            return Refused(401, "Invalid API key")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "project_id" and value != self._project_id for name, value in query):
            return Refused(403, "The project_id does not belong to this API key")
        return None


def make_app(routes: Sequence[Route], *, project_id: str, api_key: str | None, clock: Clock) -> Starlette:
    """Put the routes behind the gate, and turn refusals into replies."""

    async def refused(request: Request, error: Exception) -> Response:
        del request
        match error:
            case Refused():
                return refused_reply(error)
            case HTTPException():
                # Starlette lists a set, whose order hangs on the hash seed of the process.
                marks = {
                    name: ", ".join(sorted(value.split(", ")))
                    for name, value in (error.headers or {}).items()
                }
                return refused_reply(Refused(error.status_code, error.detail), marks)
            case _:
                # A database that is locked, full or not ours: nothing was done, and it may pass.
                return refused_reply(Refused(503, str(error)))

    for route in routes:
        # Starlette adds it to each GET; the service that this stands in for has no HEAD.
        (route.methods or set()).discard("HEAD")
    app = Starlette(
        routes=list(routes),
        middleware=[Middleware(Gate, project_id=project_id, api_key=api_key, clock=clock)],
        exception_handlers=dict.fromkeys((Refused, HTTPException, EmulatorError, sqlite3.Error), refused),
    )
    # A redirected POST would be sent twice; the documented paths have no slash at the end.
    app.router.redirect_slashes = False
    return app


def refused_reply(refusal: Refused, headers: Mapping[str, str] | None = None) -> Response:
    """Give the reply that a refusal becomes."""
    return JSONResponse({"detail": refusal.detail}, status_code=refusal.status, headers=headers)
