"""The routes of source directories and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.llamacloud import bodies, replies
from reconciler.emulator.llamacloud.asking import (
    after_mark,
    apart,
    found,
    paged_by_mark,
    query_of,
    read_json_body,
)
from reconciler.emulator.llamacloud.directory_rows import DirectoryFilters
from reconciler.emulator.llamacloud.file_rows import FileFilters
from reconciler.emulator.llamacloud.upload_form import read_upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from reconciler.emulator.llamacloud.directories import Directories
    from reconciler.emulator.llamacloud.folders import Directory, DirectoryFile
    from reconciler.emulator.llamacloud.uploads import Upload

Arguments = ParamSpec("Arguments")
Item = TypeVar("Item")

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
        return self._reply(self._directories.create(bodies.create_directory(await read_json_body(request))))

    async def list_directories(self, request: Request) -> Response:
        """GET /api/v1/beta/directories: by name and id."""
        query = query_of(request)
        filters = DirectoryFilters(
            name=query.text("name"),
            # In any order, and said how often, they are one filter.
            types=tuple(
                sorted(
                    {
                        *query.choices("type", bodies.DIRECTORY_TYPES)[-1:],
                        *query.choices("types", bodies.DIRECTORY_TYPES),
                    }
                )
            ),
            include_deleted=query.flag("include_deleted"),
        )
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = ("directories", filters.name, filters.types, filters.include_deleted)
        last_given = after_mark(query, scope)
        query.finish()
        page, last = await self._apart(self._directories.page, filters, last_given, size)
        return paged_by_mark(scope, [replies.directory(item, self._project_id) for item in page], last)

    async def get_directory(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}."""
        return self._reply(await self._apart(self._directory, request))

    async def update_directory(self, request: Request) -> Response:
        """PATCH /api/v1/beta/directories/{id}."""
        wanted = bodies.update_directory(await read_json_body(request))
        return self._reply(
            await self._apart(found, "Directory", request, lambda key: self._directories.update(key, wanted))
        )

    async def delete_directory(self, request: Request) -> Response:
        """DELETE /api/v1/beta/directories/{id}: its files are gone with it."""
        await self._apart(found, "Directory", request, self._directories.delete)
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
        directory = await self._apart(self._directory, request)
        page, last = await self._apart(self._directories.page_files, directory, filters, last_given, size)
        return paged_by_mark(scope, [replies.directory_file(item, self._project_id) for item in page], last)

    async def upload_file(self, request: Request) -> Response:
        """POST /api/v1/beta/directories/{id}/files/upload."""
        # Before a long body is read for nothing, and again when it has been.
        await self._apart(self._usable, request)
        async with read_upload(request) as upload:
            file = await self._apart(self._take_in, request, upload)
        return self._file_reply(file)

    def _take_in(self, request: Request, upload: Upload) -> DirectoryFile:
        self._directories.refuse_taken(self._usable(request), upload.unique_id)
        kept = self._directories.keep(upload)
        return found("Directory", request, lambda key: self._directories.upload(key, upload, kept))

    async def get_file(self, request: Request) -> Response:
        """GET /api/v1/beta/directories/{id}/files/{file_id}."""
        query = query_of(request)
        query.choices("expand", ("download_url",))
        query.finish()
        return self._file_reply(await self._file(request, self._directories.file))

    async def update_file(self, request: Request) -> Response:
        """PATCH /api/v1/beta/directories/{id}/files/{file_id}."""
        wanted = bodies.update_file(await read_json_body(request))

        def update(directory: Directory, key: str) -> DirectoryFile | None:
            return self._directories.update_file(directory, key, wanted)

        return self._file_reply(await self._file(request, update))

    async def delete_file(self, request: Request) -> Response:
        """DELETE /api/v1/beta/directories/{id}/files/{file_id}."""
        await self._file(request, self._directories.delete_file)
        return Response(status_code=_NO_CONTENT)

    def _directory(self, request: Request) -> Directory:
        return found("Directory", request, self._directories.get)

    def _usable(self, request: Request) -> Directory:
        return found("Directory", request, self._directories.usable)

    async def _file(
        self, request: Request, do: Callable[[Directory, str], DirectoryFile | None]
    ) -> DirectoryFile:
        """Do something with the file that the path names."""

        def find() -> DirectoryFile:
            directory = self._directory(request)
            return found("File", request, lambda key: do(directory, key), "file_id")

        return await self._apart(find)

    async def _apart(
        self, work: Callable[Arguments, Item], *given: Arguments.args, **named: Arguments.kwargs
    ) -> Item:
        return await apart(self._directories, work, *given, **named)

    def _reply(self, directory: Directory) -> Response:
        return JSONResponse(replies.directory(directory, self._project_id))

    def _file_reply(self, file: DirectoryFile) -> Response:
        return JSONResponse(replies.directory_file(file, self._project_id))
