"""The routes of product configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator import paging
from reconciler.emulator.llamacloud import replies
from reconciler.emulator.llamacloud.asking import after, found, paged, query_of
from reconciler.emulator.llamacloud.configurations import PRODUCT_TYPES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from reconciler.emulator.llamacloud.configurations import Configurations


class ConfigurationRoutes:
    """The handlers, and what they answer from."""

    def __init__(self, configurations: Configurations) -> None:
        self._configurations = configurations

    def table(self) -> list[Route]:
        """Give the routes."""
        return [
            Route("/api/v1/beta/configurations", self.list_configurations, methods=["GET"]),
            Route("/api/v1/beta/configurations/{id}", self.get_configuration, methods=["GET"]),
        ]

    async def list_configurations(self, request: Request) -> Response:
        """GET /api/v1/beta/configurations: the saved ones, by id. Presets are not listed."""
        query = query_of(request)
        name = query.text("name")
        types = query.choices("product_type", PRODUCT_TYPES)
        # A file is its own latest version, and no other is kept.
        query.flag("latest_only")
        size = query.integer("page_size", default=50, low=1, high=1_000)
        scope = ("configurations", name, types)
        last_given = after(query, scope)
        query.finish()
        saved = self._configurations.saved(name)
        listed = [
            configuration for configuration in saved if not types or configuration.product_type in types
        ]
        page, last = paging.cut(listed, lambda configuration: configuration.id, last_given, size)
        return paged(scope, [replies.configuration(item) for item in page], last)

    async def get_configuration(self, request: Request) -> Response:
        """GET /api/v1/beta/configurations/{id}: a saved one or a preset."""
        configuration = found("Configuration", request, self._configurations.get)
        return JSONResponse(replies.configuration(configuration))
