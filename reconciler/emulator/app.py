"""The routes: from a request to a reply, through validation, the stores and the shapes of replies.

A handler validates everything, looks things up, and answers; what is wrong with a request is raised as
`Refused` and becomes a reply in one place. Before any handler, the gate checks the key and the project,
and gives every reply the `Date` that clients take as the service's clock.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator import paging, replies
from reconciler.emulator.batches import Filters
from reconciler.emulator.configurations import PRODUCT_TYPES
from reconciler.emulator.errors import EmulatorError, Refused
from reconciler.emulator.folders import MAX_FILES
from reconciler.emulator.moments import http_date
from reconciler.emulator.validation import BATCH_STATUSES, QueryReader, create_batch

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from reconciler.emulator.batches import Batch, Batches
    from reconciler.emulator.configurations import Configurations
    from reconciler.emulator.folders import Directory, Folders
    from reconciler.emulator.moments import Clock

Item = TypeVar("Item")

_MAX_BODY_BYTES = 1024 * 1024
_DIRECTORY_TYPES = ("user", "ephemeral", "index")


class Routes:
    """The handlers, and what they answer from."""

    def __init__(
        self,
        *,
        project_id: str,
        folders: Folders,
        configurations: Configurations,
        batches: Batches,
        wake: threading.Event,
    ) -> None:
        self._project_id = project_id
        self._folders = folders
        self._configurations = configurations
        self._batches = batches
        self._wake = wake

    def table(self) -> list[Route]:
        """Give all routes."""
        return [
            Route("/api/v2/batches", self.batches, methods=["GET", "POST"]),
            Route("/api/v2/batches/{id}", self.get_batch, methods=["GET"]),
            Route("/api/v2/batches/{id}/cancel", self.cancel_batch, methods=["POST"]),
            Route("/api/v2/parse/{id}", self.get_parse_job, methods=["GET"]),
            Route("/api/v2/extract/{id}", self.get_extract_job, methods=["GET"]),
            Route("/api/v1/beta/directories", self.list_directories, methods=["GET"]),
            Route("/api/v1/beta/directories/{id}", self.get_directory, methods=["GET"]),
            Route("/api/v1/beta/directories/{id}/files", self.list_files, methods=["GET"]),
            Route("/api/v1/beta/configurations", self.list_configurations, methods=["GET"]),
            Route("/api/v1/beta/configurations/{id}", self.get_configuration, methods=["GET"]),
            Route("/api/v1/projects", self.list_projects, methods=["GET"]),
        ]

    async def batches(self, request: Request) -> Response:
        """One route for both methods, so that a 405 names them both."""
        return await (self.create_batch if request.method == "POST" else self.list_batches)(request)

    async def create_batch(self, request: Request) -> Response:
        """POST /api/v2/batches: a PENDING batch, once directory and configuration stand."""
        wanted = create_batch(await _body(request))
        directory = self._folders.directory(wanted.directory_id)
        if directory is None:
            raise Refused(404, f"Directory {wanted.directory_id!a} not found")
        configuration = self._configurations.for_create(wanted)
        count = len(self._folders.files(directory))
        if not 1 <= count <= MAX_FILES:
            raise Refused(
                400,
                f"Directory {wanted.directory_id!a} has {count} files; a batch takes from 1 to {MAX_FILES}",
            )
        batch = self._batches.create(wanted, project_id=self._project_id, fields=configuration.fields)
        self._wake.set()
        return JSONResponse(replies.batch(batch, None))

    async def list_batches(self, request: Request) -> Response:
        """GET /api/v2/batches: newest first."""
        query = _query(request)
        filters = Filters(
            project_id=self._project_id,
            directory_id=query.text("source_directory_id"),
            status=query.choice("status", BATCH_STATUSES),
            created_from=query.moment("created_at_on_or_after"),
            created_to=query.moment("created_at_on_or_before"),
        )
        size = query.integer("page_size", default=50, low=1, high=100)
        scope = (
            "batches",
            filters.project_id,
            filters.directory_id,
            filters.status,
            filters.created_from,
            filters.created_to,
        )
        after = _after(query, scope)
        query.finish()
        # One more than asked for shows whether there is a next page.
        found = self._batches.page(filters, before=None if after is None else int(after), limit=size + 1)
        items = [replies.batch(batch, None) for batch in found[:size]]
        token = paging.seal(scope, str(found[size - 1].created)) if len(found) > size else None
        return JSONResponse(replies.page(items, token))

    async def get_batch(self, request: Request) -> Response:
        """GET /api/v2/batches/{id}, with `expand=results`."""
        query = _query(request)
        expand = query.choices("expand", ("results",))
        query.finish()
        batch = self._found("Batch", request, self._batch)
        results = self._batches.results(batch) if expand else None
        return JSONResponse(replies.batch(batch, results))

    async def cancel_batch(self, request: Request) -> Response:
        """POST /api/v2/batches/{id}/cancel: 409 when there is nothing left to cancel."""
        batch = self._found("Batch", request, lambda key: self._batches.cancel(key, self._project_id))
        return JSONResponse(replies.batch(batch, None))

    async def get_parse_job(self, request: Request) -> Response:
        """GET /api/v2/parse/{id}."""
        job = self._found("Job", request, lambda key: self._batches.job(key, "parse_v2", self._project_id))
        return JSONResponse(replies.parse_job(job))

    async def get_extract_job(self, request: Request) -> Response:
        """GET /api/v2/extract/{id}."""
        job = self._found("Job", request, lambda key: self._batches.job(key, "extract_v2", self._project_id))
        return JSONResponse(replies.extract_job(job))

    async def list_directories(self, request: Request) -> Response:
        """GET /api/v1/beta/directories: by name."""
        query = _query(request)
        name = query.text("name")
        types = query.choices("type", _DIRECTORY_TYPES)[-1:] + query.choices("types", _DIRECTORY_TYPES)
        # Nothing here is ever deleted but in the file system, which forgets.
        query.flag("include_deleted")
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = ("directories", name, types)
        after = _after(query, scope)
        query.finish()
        found = [
            directory
            for directory in self._folders.directories()
            if name in {None, directory.shown} and (not types or "user" in types)
        ]
        page, last = paging.cut(found, lambda directory: directory.name, after, size)
        return _page(scope, [replies.directory(item, self._project_id) for item in page], last)

    async def get_directory(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}."""
        directory = self._found("Directory", request, self._folders.directory)
        return JSONResponse(replies.directory(directory, self._project_id))

    async def list_files(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}/files: by name."""
        query = _query(request)
        name, part = query.text("display_name"), query.text("display_name_contains")
        unique_id, file_id = query.text("unique_id"), query.text("file_id")
        low, high = query.moment("updated_at_on_or_after"), query.moment("updated_at_on_or_before")
        query.flag("include_deleted")
        size = query.integer("page_size", default=50, low=1, high=1_000)
        directory_id = request.path_params["id"]
        scope = ("files", directory_id, name, part, unique_id, file_id, low, high)
        after = _after(query, scope)
        query.finish()
        directory: Directory = self._found("Directory", request, self._folders.directory)
        found = [
            file
            for file in self._folders.files(directory)
            if name in {None, file.shown}
            and (part is None or part in file.shown)
            # No file here has a unique id or a file id, so a filter by either matches none.
            and unique_id is None
            and file_id is None
            and (low is None or file.updated >= low)
            and (high is None or file.updated <= high)
        ]
        page, last = paging.cut(found, lambda file: file.name, after, size)
        return _page(scope, [replies.directory_file(item, self._project_id) for item in page], last)

    async def list_configurations(self, request: Request) -> Response:
        """GET /api/v1/beta/configurations: the saved ones, by id. Presets are not listed."""
        query = _query(request)
        name = query.text("name")
        types = query.choices("product_type", PRODUCT_TYPES)
        # A file is its own latest version, and no other is kept.
        query.flag("latest_only")
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = ("configurations", name, types)
        after = _after(query, scope)
        query.finish()
        saved = self._configurations.saved(name)
        found = [configuration for configuration in saved if not types or configuration.product_type in types]
        page, last = paging.cut(found, lambda configuration: configuration.id, after, size)
        return _page(scope, [replies.configuration(item) for item in page], last)

    async def get_configuration(self, request: Request) -> Response:
        """GET /api/v1/beta/configurations/{id}: a saved one or a preset."""
        configuration = self._found("Configuration", request, self._configurations.get)
        return JSONResponse(replies.configuration(configuration))

    async def list_projects(self, request: Request) -> Response:
        """GET /api/v1/projects: a bare list, of one."""
        name = _query(request).text("project_name")
        return JSONResponse([replies.project(self._project_id)] if name in {None, self._project_id} else [])

    def _batch(self, batch_id: str) -> Batch | None:
        return self._batches.get(batch_id, self._project_id)

    def _found(self, noun: str, request: Request, find: Callable[[str], Item | None]) -> Item:
        key: str = request.path_params["id"]
        item = find(key)
        if item is None:
            raise Refused(404, f"{noun} {key!a} not found")
        return item


class Gate:
    """What holds for every request: the key, the project, and a `Date` on every reply."""

    def __init__(self, app: ASGIApp, *, project_id: str, api_key: str | None, clock: Clock) -> None:
        self._app = app
        self._project_id = project_id
        self._expected = None if api_key is None else f"Bearer {api_key}".encode()
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on; date the reply either way."""

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Date"] = http_date(self._clock())
            await send(message)

        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send_dated)
        else:
            await _refuse(refusal)(scope, receive, send_dated)

    def _refusal(self, scope: Scope) -> Refused | None:
        if self._expected is not None:
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not hmac.compare_digest(given, self._expected):
                return Refused(401, "Invalid API key")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "project_id" and value != self._project_id for name, value in query):
            return Refused(403, "The project_id does not belong to this API key")
        return None


def make_app(routes: Routes, *, project_id: str, api_key: str | None, clock: Clock) -> Starlette:
    """Put the routes behind the gate, and turn refusals into replies."""

    async def refused(request: Request, error: Exception) -> Response:
        del request
        match error:
            case Refused():
                return _refuse(error)
            case HTTPException():
                return _refuse(Refused(error.status_code, error.detail), error.headers)
            case _:
                # A database that is locked, full or not ours: nothing was done, and it may pass.
                return _refuse(Refused(503, str(error)))

    app = Starlette(
        routes=routes.table(),
        middleware=[Middleware(Gate, project_id=project_id, api_key=api_key, clock=clock)],
        exception_handlers={Refused: refused, HTTPException: refused, EmulatorError: refused},
    )
    # A redirected POST would be sent twice; the documented paths have no slash at the end.
    app.router.redirect_slashes = False
    return app


def _refuse(refusal: Refused, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"detail": refusal.detail}, status_code=refusal.status, headers=headers)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise Refused(413, f"The body is larger than {_MAX_BODY_BYTES} bytes")
    return body


def _query(request: Request) -> QueryReader:
    return QueryReader(request.query_params.multi_items())


def _after(query: QueryReader, scope: Sequence[object]) -> str | None:
    token = query.text("page_token")
    if token is None:
        return None
    after = paging.unseal(scope, token)
    if after is None:
        query.refuse_token()
    return after


def _page(scope: Sequence[object], items: Sequence[replies.Reply], last: str | None) -> Response:
    return JSONResponse(replies.page(items, None if last is None else paging.seal(scope, last)))
