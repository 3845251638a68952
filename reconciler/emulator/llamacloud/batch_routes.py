"""The routes of batches and of the jobs that they became."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator import paging
from reconciler.emulator.errors import Refused
from reconciler.emulator.llamacloud import replies
from reconciler.emulator.llamacloud.asking import after, apart, found, query_of, read_json_body
from reconciler.emulator.llamacloud.batches import Filters
from reconciler.emulator.llamacloud.bodies import BATCH_STATUSES, create_batch
from reconciler.emulator.llamacloud.folders import MAX_FILES
from reconciler.emulator.validation import short

if TYPE_CHECKING:
    import threading

    from starlette.requests import Request
    from starlette.responses import Response

    from reconciler.emulator.llamacloud.batches import Batch, Batches
    from reconciler.emulator.llamacloud.configurations import Configurations
    from reconciler.emulator.llamacloud.directories import Directories
    from reconciler.emulator.moments import Clock


class BatchRoutes:
    """The handlers, and what they answer from."""

    def __init__(
        self,
        *,
        project_id: str,
        directories: Directories,
        clock: Clock,
        configurations: Configurations,
        batches: Batches,
        wake: threading.Event,
    ) -> None:
        self._project_id = project_id
        self._directories = directories
        self._clock = clock
        self._configurations = configurations
        self._batches = batches
        self._wake = wake

    def table(self) -> list[Route]:
        """Give the routes."""
        return [
            Route("/api/v2/batches", self.batches, methods=["GET", "POST"]),
            Route("/api/v2/batches/{id}", self.get_batch, methods=["GET"]),
            Route("/api/v2/batches/{id}/cancel", self.cancel_batch, methods=["POST"]),
            Route("/api/v2/parse/{id}", self.get_parse_job, methods=["GET"]),
            Route("/api/v2/extract/{id}", self.get_extract_job, methods=["GET"]),
        ]

    async def batches(self, request: Request) -> Response:
        """One route for both methods, so that a 405 names them both."""
        return await (self.create_batch if request.method == "POST" else self.list_batches)(request)

    async def create_batch(self, request: Request) -> Response:
        """POST /api/v2/batches: a PENDING batch, once directory and configuration stand."""
        wanted = create_batch(await read_json_body(request))
        # A folder that was met before is found at once; whatever else it may be takes a look at all of them.
        now = self._clock()
        directory = self._directories.usable(wanted.directory_id, now, scan=False) or await apart(
            self._directories, self._directories.usable, wanted.directory_id, now
        )
        if directory is None:
            raise Refused(404, f"Directory {short(wanted.directory_id)} not found")
        configuration = self._configurations.for_create(wanted)
        # No more than so many are looked at, so this takes a moment even for a very large folder.
        count = self._directories.count_files(directory, most=MAX_FILES + 1)
        if not 1 <= count <= MAX_FILES:
            many = f"more than {MAX_FILES}" if count else "0"
            raise Refused(
                400,
                f"Directory {short(wanted.directory_id)} has {many} files;"
                f" a batch takes from 1 to {MAX_FILES}",
            )
        batch = self._batches.create(
            wanted,
            project_id=self._project_id,
            fields=configuration.fields,
            likeness=json.dumps([directory.shown, configuration.name]),
        )
        self._wake.set()
        return JSONResponse(replies.batch(batch, None))

    async def list_batches(self, request: Request) -> Response:
        """GET /api/v2/batches: newest first."""
        query = query_of(request)
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
        last_given = after(query, scope)
        query.finish()
        # One more than asked for shows whether there is a next page.
        rows = self._batches.page(
            filters, before=None if last_given is None else int(last_given), limit=size + 1
        )
        items = [replies.batch(batch, None) for batch in rows[:size]]
        token = paging.seal(scope, str(rows[size - 1].created)) if len(rows) > size else None
        return JSONResponse(replies.page(items, token))

    async def get_batch(self, request: Request) -> Response:
        """GET /api/v2/batches/{id}, with `expand=results`."""
        query = query_of(request)
        expand = query.choices("expand", ("results",))
        query.finish()
        batch = found("Batch", request, self._batch)
        results = self._batches.results(batch) if expand else None
        return JSONResponse(replies.batch(batch, results))

    async def cancel_batch(self, request: Request) -> Response:
        """POST /api/v2/batches/{id}/cancel: 409 when there is nothing left to cancel."""
        batch = found("Batch", request, lambda key: self._batches.cancel(key, self._project_id))
        return JSONResponse(replies.batch(batch, None))

    async def get_parse_job(self, request: Request) -> Response:
        """GET /api/v2/parse/{id}."""
        job = found("Job", request, lambda key: self._batches.job(key, "parse_v2", self._project_id))
        return JSONResponse(replies.parse_job(job))

    async def get_extract_job(self, request: Request) -> Response:
        """GET /api/v2/extract/{id}."""
        job = found("Job", request, lambda key: self._batches.job(key, "extract_v2", self._project_id))
        return JSONResponse(replies.extract_job(job))

    def _batch(self, batch_id: str) -> Batch | None:
        return self._batches.get(batch_id, self._project_id)
