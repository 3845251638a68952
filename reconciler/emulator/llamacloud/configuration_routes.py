"""The routes of product configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.llamacloud import bodies, replies
from reconciler.emulator.llamacloud.asking import after_mark, found, paged_by_mark, query_of, read_json_body
from reconciler.emulator.llamacloud.configurations import ConfigurationFilters

if TYPE_CHECKING:
    from starlette.requests import Request

    from reconciler.emulator.llamacloud.configurations import Configurations

_NO_CONTENT = 204


class ConfigurationRoutes:
    """The handlers, and what they answer from."""

    def __init__(self, configurations: Configurations) -> None:
        self._configurations = configurations

    def table(self) -> list[Route]:
        """Give the routes; one a path, so that a 405 names all its methods."""
        path = "/api/v1/beta/configurations"
        return [
            Route(path, self.configurations, methods=["GET", "POST"]),
            Route(f"{path}/{{id}}", self.configuration, methods=["GET", "PUT", "DELETE"]),
        ]

    async def configurations(self, request: Request) -> Response:
        """All methods of the list."""
        handler = self.save_configuration if request.method == "POST" else self.list_configurations
        return await handler(request)

    async def configuration(self, request: Request) -> Response:
        """All methods of one configuration."""
        match request.method:
            case "PUT":
                return await self.update_configuration(request)
            case "DELETE":
                return await self.delete_configuration(request)
            case _:
                return await self.get_configuration(request)

    async def save_configuration(self, request: Request) -> Response:
        """POST /api/v1/beta/configurations: an upsert on name and product type."""
        wanted = bodies.save_configuration(await read_json_body(request))
        return JSONResponse(replies.configuration(self._configurations.save(wanted)))

    async def list_configurations(self, request: Request) -> Response:
        """GET /api/v1/beta/configurations: the saved ones, by name and id. Presets are not listed."""
        query = query_of(request)
        filters = ConfigurationFilters(
            name=query.text("name"),  # In any order, and said how often, they are one filter.
            types=tuple(sorted(set(query.choices("product_type", bodies.PRODUCT_TYPES)))),
        )
        # Of each, the latest version is the only one that is kept.
        query.flag("latest_only")
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = ("configurations", filters.name, filters.types)
        last_given = after_mark(query, scope)
        query.finish()
        page, last = self._configurations.page(filters, last_given, size)
        return paged_by_mark(scope, [replies.configuration(item) for item in page], last)

    async def get_configuration(self, request: Request) -> Response:
        """GET /api/v1/beta/configurations/{id}: a saved one or a preset."""
        configuration = found("Configuration", request, self._configurations.get)
        return JSONResponse(replies.configuration(configuration))

    async def update_configuration(self, request: Request) -> Response:
        """PUT /api/v1/beta/configurations/{id}."""
        wanted = bodies.update_configuration(await read_json_body(request))
        configuration = found("Configuration", request, lambda key: self._configurations.update(key, wanted))
        return JSONResponse(replies.configuration(configuration))

    async def delete_configuration(self, request: Request) -> Response:
        """DELETE /api/v1/beta/configurations/{id}."""
        found("Configuration", request, self._configurations.delete)
        return Response(status_code=_NO_CONTENT)
