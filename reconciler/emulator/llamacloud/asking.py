"""What every handler does with a request: read its query and body, find what it names, cut a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from reconciler.emulator import paging
from reconciler.emulator.errors import Refused
from reconciler.emulator.llamacloud import replies
from reconciler.emulator.validation import QueryReader, short

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from reconciler.emulator.llamacloud.directories import Directories
    from reconciler.emulator.llamacloud.directory_rows import Mark

Item = TypeVar("Item")
Arguments = ParamSpec("Arguments")

_MAX_BODY_BYTES = 1024 * 1024


async def read(request: Request) -> bytes:
    """Give a request's body.

    Raises:
        Refused: 413, when it is too large.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise Refused(413, f"The body is larger than {_MAX_BODY_BYTES} bytes")
    return body


async def read_json_body(request: Request) -> bytes:
    """Give a request's body that should be JSON.

    Raises:
        Refused: 415, when its headers say that it is something else; 413, when it is too large.
    """
    kinds = request.headers.getlist("content-type")
    if len(kinds) != 1 or not _says_json(kinds[0]):
        raise Refused(415, "Content-Type should be application/json, in UTF-8")
    codings = ",".join(request.headers.getlist("content-encoding")).split(",")
    if not all(coding.strip().lower() in {"", "identity"} for coding in codings):
        raise Refused(415, "Content-Encoding should be identity")
    return await read(request)


def _says_json(content_type: str) -> bool:
    kind, *parameters = content_type.split(";")
    named = (parameter.partition("=") for parameter in parameters)
    charsets = {
        value.strip().strip('"').lower() for name, _, value in named if name.strip().lower() == "charset"
    }
    return kind.strip().lower() == "application/json" and charsets <= {"utf-8"}


async def apart(
    directories: Directories,
    work: Callable[Arguments, Item],
    *given: Arguments.args,
    **named: Arguments.kwargs,
) -> Item:
    """Do something that may read whole folders, in another thread, while this one answers others."""

    def do() -> Item:
        try:
            return work(*given, **named)
        finally:
            # Threads of the pool end when there is little to do, and would leave their connections open.
            directories.release()

    return await run_in_threadpool(do)


def query_of(request: Request) -> QueryReader:
    """Give a request's query, to be read parameter by parameter."""
    return QueryReader(request.query_params.multi_items())


def after(query: QueryReader, scope: Sequence[object]) -> str | None:
    """Give what the page token says to go on after; None for the first page. A bad token is a fault."""
    token = query.text("page_token")
    if token is None:
        return None
    last = paging.unseal(scope, token)
    if last is None:
        query.refuse_token()
    return last


def after_mark(query: QueryReader, scope: Sequence[object]) -> Mark | None:
    """Give the name and id that the page token says to go on after, as `after` does."""
    last = after(query, scope)
    if last is None:
        return None
    # No name has a NUL.
    name, _, key = last.partition("\0")
    return name, key


def paged_by_mark(scope: Sequence[object], items: Sequence[replies.Reply], last: Mark | None) -> Response:
    """Answer with one page of a list by name and id, as `paged` does."""
    token = None if last is None else paging.seal(scope, "\0".join(last))
    return JSONResponse(replies.page(items, token))


def found(noun: str, request: Request, find: Callable[[str], Item | None], parameter: str = "id") -> Item:
    """Give what the id in the path names.

    Raises:
        Refused: 404, when there is no such thing.
    """
    key: str = request.path_params[parameter]
    item = find(key)
    if item is None:
        raise Refused(404, f"{noun} {short(key)} not found")
    return item
