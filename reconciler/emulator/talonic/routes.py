"""The routes of batches, sources and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator import paging
from reconciler.emulator.errors import Fault, Refused
from reconciler.emulator.talonic import replies
from reconciler.emulator.talonic.documents import SOURCE_ID
from reconciler.emulator.talonic.upload import read_upload
from reconciler.emulator.validation import QueryReader, short

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from reconciler.emulator.moments import Micros
    from reconciler.emulator.talonic.batches import Batch, Batches, Order
    from reconciler.emulator.talonic.documents import Document, Documents

Found = TypeVar("Found")
Row = TypeVar("Row", "Batch", "Document")


class TalonicRoutes:
    """The handlers, and what they answer from; `wake` is set when something new may fall due."""

    def __init__(self, *, batches: Batches, documents: Documents, wake: threading.Event) -> None:
        self._batches = batches
        self._documents = documents
        self._wake = wake

    def table(self) -> list[Route]:
        """Give the routes; one a path, so that a 405 names all of its methods."""
        return [
            Route("/v1/batches", self.list_batches, methods=["GET"]),
            Route("/v1/batches/{id}", self.get_batch, methods=["GET"]),
            Route("/v1/batches/{id}/sync", self.sync_batch, methods=["POST"]),
            Route("/v1/batches/{id}/cancel", self.cancel_batch, methods=["POST"]),
            Route("/v1/sources", self.list_sources, methods=["GET"]),
            Route("/v1/sources/{id}", self.get_source, methods=["GET"]),
            Route("/v1/sources/{id}/documents", self.source_documents, methods=["GET", "POST"]),
            Route("/v1/documents/{id}", self.get_document, methods=["GET"]),
        ]

    async def list_batches(self, request: Request) -> Response:
        """GET /v1/batches: by their time of creation, the newest first unless asked otherwise."""
        asked = _Page("talonic batches", request)
        rows = self._batches.page(order=asked.order, after=asked.after, limit=asked.limit + 1)
        return asked.answer(rows, replies.batch, self._batches.total())

    async def get_batch(self, request: Request) -> Response:
        """GET /v1/batches/{id}, with items once they ended."""
        batch = _found("Batch", request, self._batches.get)
        return JSONResponse(replies.batch_detail(batch, self._batches.items(batch)))

    async def sync_batch(self, request: Request) -> Response:
        """POST /v1/batches/{id}/sync: the batch as it is after a look at the provider."""
        return JSONResponse(replies.batch(_found("Batch", request, self._batches.sync)))

    async def cancel_batch(self, request: Request) -> Response:
        """POST /v1/batches/{id}/cancel: 400 when there is nothing left to cancel."""
        return JSONResponse(replies.batch(_found("Batch", request, self._batches.cancel)))

    async def list_sources(self, request: Request) -> Response:
        """GET /v1/sources: the one there is, always on the first page."""
        asked = _Page("talonic sources", request)
        source = replies.source(self._documents.total())
        return JSONResponse(replies.page([source], total=1, limit=asked.limit, next_cursor=None))

    async def get_source(self, request: Request) -> Response:
        """GET /v1/sources/{id}."""
        _found("Source", request, _known_source)
        return JSONResponse(replies.source(self._documents.total()))

    async def source_documents(self, request: Request) -> Response:
        """GET or POST /v1/sources/{id}/documents."""
        _found("Source", request, _known_source)
        return await (self.ingest if request.method == "POST" else self.list_documents)(request)

    async def ingest(self, request: Request) -> Response:
        """Take in files: one is answered with its object, several with a list of theirs in `data`."""
        taken = [replies.ingested(one) for one in self._documents.ingest(await read_upload(request))]
        self._wake.set()
        return JSONResponse(taken[0] if len(taken) == 1 else {"data": taken})

    async def list_documents(self, request: Request) -> Response:
        """List documents by their time of creation, the newest first unless asked otherwise."""
        asked = _Page("talonic documents", request)
        rows = self._documents.page(order=asked.order, after=asked.after, limit=asked.limit + 1)
        return asked.answer(rows, replies.document, self._documents.total())

    async def get_document(self, request: Request) -> Response:
        """GET /v1/documents/{id}."""
        return JSONResponse(replies.document(_found("Document", request, self._documents.get)))


class _Page:
    """What a request asks of a list: how many, in which order, after which one.

    Raises:
        Refused: 400, with everything that is wrong.
    """

    def __init__(self, name: str, request: Request) -> None:
        query = QueryReader(request.query_params.multi_items())
        self.limit = query.integer("limit", default=20, low=1, high=100)
        self.order: Order = "asc" if query.choice("order", ("asc", "desc")) == "asc" else "desc"
        self._scope: Sequence[object] = (name, self.order)
        self.after: Micros | None = None
        cursor = query.text("cursor")
        if cursor is not None:
            last = paging.unseal(self._scope, cursor)
            if last is None:
                message = "Cursor is not valid for this list and order"
                query.faults.append(Fault(loc=["query", "cursor"], msg=message, type="cursor"))
            else:
                self.after = int(last)
        if query.faults:
            raise Refused(400, "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in query.faults))

    def answer(self, rows: Sequence[Row], shape: Callable[[Row], replies.Reply], total: int) -> Response:
        """Answer with a page; of `rows` there is one more than asked for when another page follows."""
        page = rows[: self.limit]
        more = len(rows) > self.limit
        cursor = paging.seal(self._scope, str(page[-1].created)) if more else None
        data = [shape(row) for row in page]
        return JSONResponse(replies.page(data, total=total, limit=self.limit, next_cursor=cursor))


def _known_source(source_id: str) -> str | None:
    return source_id if source_id == SOURCE_ID else None


def _found(noun: str, request: Request, find: Callable[[str], Found | None]) -> Found:
    key: str = request.path_params["id"]
    found = find(key)
    if found is None:
        raise Refused(404, f"{noun} {short(key)} not found")
    return found
