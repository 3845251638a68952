"""The routes of source directories and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator import paging
from reconciler.emulator.llamacloud import replies
from reconciler.emulator.llamacloud.asking import after, found, paged, query_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from reconciler.emulator.llamacloud.folders import Directory, Folders

_DIRECTORY_TYPES = ("user", "ephemeral", "index")


class DirectoryRoutes:
    """The handlers, and what they answer from."""

    def __init__(self, *, project_id: str, folders: Folders) -> None:
        self._project_id = project_id
        self._folders = folders

    def table(self) -> list[Route]:
        """Give the routes."""
        return [
            Route("/api/v1/beta/directories", self.list_directories, methods=["GET"]),
            Route("/api/v1/beta/directories/{id}", self.get_directory, methods=["GET"]),
            Route("/api/v1/beta/directories/{id}/files", self.list_files, methods=["GET"]),
        ]

    async def list_directories(self, request: Request) -> Response:
        """GET /api/v1/beta/directories: by name."""
        query = query_of(request)
        name = query.text("name")
        types = query.choices("type", _DIRECTORY_TYPES)[-1:] + query.choices("types", _DIRECTORY_TYPES)
        # Nothing here is ever deleted but in the file system, which forgets.
        query.flag("include_deleted")
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = ("directories", name, types)
        last_given = after(query, scope)
        query.finish()
        listed = [
            directory
            for directory in self._folders.directories()
            if name in {None, directory.shown} and (not types or "user" in types)
        ]
        page, last = paging.cut(listed, lambda directory: directory.name, last_given, size)
        return paged(scope, [replies.directory(item, self._project_id) for item in page], last)

    async def get_directory(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}."""
        directory = found("Directory", request, self._folders.directory)
        return JSONResponse(replies.directory(directory, self._project_id))

    async def list_files(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}/files: by name."""
        query = query_of(request)
        name, part = query.text("display_name"), query.text("display_name_contains")
        unique_id, file_id = query.text("unique_id"), query.text("file_id")
        low, high = query.moment("updated_at_on_or_after"), query.moment("updated_at_on_or_before")
        query.flag("include_deleted")
        size = query.integer("page_size", default=50, low=1, high=1_000)
        directory_id = request.path_params["id"]
        scope = ("files", directory_id, name, part, unique_id, file_id, low, high)
        last_given = after(query, scope)
        query.finish()
        directory: Directory = found("Directory", request, self._folders.directory)
        listed = [
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
        page, last = paging.cut(listed, lambda file: file.name, last_given, size)
        return paged(scope, [replies.directory_file(item, self._project_id) for item in page], last)
