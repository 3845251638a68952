"""The routes of source directories and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.llamacloud import bodies, replies
from reconciler.emulator.llamacloud.asking import after_mark, found, paged_by_mark, query_of, read
from reconciler.emulator.llamacloud.directory_rows import DirectoryFilters
from reconciler.emulator.llamacloud.file_rows import FileFilters
from reconciler.emulator.llamacloud.upload_form import read_upload

if TYPE_CHECKING:
    from starlette.requests import Request

    from reconciler.emulator.llamacloud.directories import Directories
    from reconciler.emulator.llamacloud.folders import Directory, DirectoryFile

_NO_CONTENT = 204


class DirectoryRoutes:
    """The handlers, and what they answer from."""

    def __init__(self, *, project_id: str, directories: Directories) -> None:
        self._project_id = project_id
        self._directories = directories

    def table(self) -> list[Route]:
        """Give the routes; one a path, so that a 405 names all its methods."""
        path = "/api/v1/beta/directories"
        one = ["GET", "PATCH", "DELETE"]
        return [
            Route(path, self.directories, methods=["GET", "POST"]),
            Route(f"{path}/{{id}}", self.directory, methods=one),
            Route(f"{path}/{{id}}/files", self.list_files, methods=["GET"]),
            Route(f"{path}/{{id}}/files/upload", self.upload_file, methods=["POST"]),
            Route(f"{path}/{{id}}/files/{{file_id}}", self.file, methods=one),
        ]

    async def directories(self, request: Request) -> Response:
        """All methods of the list."""
        return await (self.create_directory if request.method == "POST" else self.list_directories)(request)

    async def directory(self, request: Request) -> Response:
        """All methods of one directory."""
        match request.method:
            case "PATCH":
                return await self.update_directory(request)
            case "DELETE":
                return await self.delete_directory(request)
            case _:
                return await self.get_directory(request)

    async def file(self, request: Request) -> Response:
        """All methods of one file."""
        match request.method:
            case "PATCH":
                return await self.update_file(request)
            case "DELETE":
                return await self.delete_file(request)
            case _:
                return await self.get_file(request)

    async def create_directory(self, request: Request) -> Response:
        """POST /api/v1/beta/directories."""
        return self._reply(self._directories.create(bodies.create_directory(await read(request))))

    async def list_directories(self, request: Request) -> Response:
        """GET /api/v1/beta/directories: by name and id."""
        query = query_of(request)
        filters = DirectoryFilters(
            name=query.text("name"),
            types=query.choices("type", bodies.DIRECTORY_TYPES)[-1:]
            + query.choices("types", bodies.DIRECTORY_TYPES),
            include_deleted=query.flag("include_deleted"),
        )
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = ("directories", filters.name, filters.types, filters.include_deleted)
        last_given = after_mark(query, scope)
        query.finish()
        page, last = self._directories.page(filters, last_given, size)
        return paged_by_mark(scope, [replies.directory(item, self._project_id) for item in page], last)

    async def get_directory(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}."""
        return self._reply(self._directory(request))

    async def update_directory(self, request: Request) -> Response:
        """PATCH /api/v1/beta/directories/{id}."""
        wanted = bodies.update_directory(await read(request))
        return self._reply(found("Directory", request, lambda key: self._directories.update(key, wanted)))

    async def delete_directory(self, request: Request) -> Response:
        """DELETE /api/v1/beta/directories/{id}: its files are gone with it."""
        found("Directory", request, self._directories.delete)
        return Response(status_code=_NO_CONTENT)

    async def list_files(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}/files: by name and id."""
        query = query_of(request)
        filters = FileFilters(
            name=query.text("display_name"),
            part=query.text("display_name_contains"),
            unique_id=query.text("unique_id"),
            file_id=query.text("file_id"),
            updated_from=query.moment("updated_at_on_or_after"),
            updated_to=query.moment("updated_at_on_or_before"),
            include_deleted=query.flag("include_deleted"),
        )
        query.choices("expand", ("download_url",))
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = (
            "files",
            request.path_params["id"],
            filters.name,
            filters.part,
            filters.unique_id,
            filters.file_id,
            filters.updated_from,
            filters.updated_to,
            filters.include_deleted,
        )
        last_given = after_mark(query, scope)
        query.finish()
        page, last = self._directories.page_files(self._directory(request), filters, last_given, size)
        return paged_by_mark(scope, [replies.directory_file(item, self._project_id) for item in page], last)

    async def upload_file(self, request: Request) -> Response:
        """POST /api/v1/beta/directories/{id}/files/upload."""
        # Before a long body is read for nothing, and again when it has been.
        self._directory(request)
        async with read_upload(request) as upload:
            self._directories.refuse_taken(self._directory(request), upload.unique_id)
            kept = await run_in_threadpool(self._directories.keep, upload)
            file = found("Directory", request, lambda key: self._directories.upload(key, upload, kept))
        return self._file_reply(file)

    async def get_file(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}/files/{file_id}."""
        query = query_of(request)
        query.choices("expand", ("download_url",))
        query.finish()
        directory = self._directory(request)
        return self._file_reply(
            found("File", request, lambda key: self._directories.file(directory, key), "file_id")
        )

    async def update_file(self, request: Request) -> Response:
        """PATCH /api/v1/beta/directories/{id}/files/{file_id}."""
        wanted = bodies.update_file(await read(request))
        directory = self._directory(request)
        return self._file_reply(
            found(
                "File", request, lambda key: self._directories.update_file(directory, key, wanted), "file_id"
            )
        )

    async def delete_file(self, request: Request) -> Response:
        """DELETE /api/v1/beta/directories/{id}/files/{file_id}."""
        directory = self._directory(request)
        found("File", request, lambda key: self._directories.delete_file(directory, key), "file_id")
        return Response(status_code=_NO_CONTENT)

    def _directory(self, request: Request) -> Directory:
        return found("Directory", request, self._directories.get)

    def _reply(self, directory: Directory) -> Response:
        return JSONResponse(replies.directory(directory, self._project_id))

    def _file_reply(self, file: DirectoryFile) -> Response:
        return JSONResponse(replies.directory_file(file, self._project_id))
