"""`GET /__admin/webhooks`: what was told to whom, and what waits to be. No secret, no header's value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator.llamacloud.asking import query_of
from reconciler.emulator.moments import rfc3339

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from reconciler.emulator.webhooks.outbox import Listed, Outbox

_LIMIT = 100
_MOST = 1_000
_LAST = 10**11


class WebhookAdmin:
    """The route, and what it answers from."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [Route("/__admin/webhooks", self.webhooks, methods=["GET"])]

    async def webhooks(self, request: Request) -> Response:
        """GET /__admin/webhooks: the oldest first; `after` and `limit` page."""
        query = query_of(request)
        limit = query.integer("limit", default=_LIMIT, low=1, high=_MOST)
        after = query.integer("after", default=0, low=0, high=_LAST)
        query.finish()
        # One more than asked for shows whether there are more.
        found = self._outbox.page(after=after, limit=limit + 1)
        shown = found[:limit]
        following = shown[-1].number if len(found) > limit else None
        return JSONResponse({"webhooks": [_shown(each) for each in shown], "next_after": following})


def _shown(each: Listed) -> dict[str, object]:
    return {
        "number": each.number,
        "event": each.event,
        "event_id": each.event_id,
        "batch_id": each.batch_id,
        "url": each.url,
        "time": rfc3339(each.created),
        "state": each.state,
        "tries": each.tries,
        "status": each.status,
        "error": each.error,
        # What is due at once has no time.
        "next_try": rfc3339(each.next_try) if each.next_try else None,
    }
