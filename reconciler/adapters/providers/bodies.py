"""A reply's body: unpacked here, and never larger than a client can take.

Whether a reply came, and what it says, is decided elsewhere.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from reconciler.adapters.providers.wording import one_line
from reconciler.model.errors import UnexpectedReplyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

#: Bytes of a reply, unpacked. A page of 100 batches has some 100 KB.
LARGEST_REPLY = 32 * 1024 * 1024

#: Bytes that are read of a refusal's text; the rest of it is left unread.
LARGEST_REFUSAL = 64 * 1024


async def body(response: httpx.Response, where: str) -> bytes:
    """The body of a reply, unpacked.

    A refusal's status stands even if its text is lost (C4): of that, what came is taken.

    Args:
        response: whose body is still to be read.
        where: the request, for errors.

    Raises:
        UnknownPackingError: it is packed otherwise than was asked for; its text is how.
        UnexpectedReplyError: it is larger than a client can take, or no gzip.
        httpx.HTTPError: it did not come.
    """
    if response.is_success:
        return await _whole(response, where)
    import httpx

    taken = bytearray()
    try:
        async for chunk in _unpacked(response, LARGEST_REFUSAL):
            taken += chunk
    except (httpx.HTTPError, OSError, zlib.error, UnknownPackingError):
        pass
    return bytes(taken[:LARGEST_REFUSAL])


async def _whole(response: httpx.Response, where: str) -> bytes:
    taken = bytearray()
    try:
        async for chunk in _unpacked(response, LARGEST_REPLY):
            taken += chunk
    except zlib.error as error:
        why = f"it is no gzip: {one_line(str(error))}"
        raise UnexpectedReplyError(
            "the reply cannot be unpacked", where=where, why=why, status=response.status_code
        ) from error
    if len(taken) > LARGEST_REPLY:
        raise UnexpectedReplyError(
            "the reply is too large",
            where=where,
            why=f"more than {LARGEST_REPLY // 1024 // 1024} MiB",
            status=response.status_code,
        )
    return bytes(taken)


class UnknownPackingError(Exception):
    """A Content-Encoding other than gzip."""


async def _unpacked(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """Chunks of the body, unpacked by hand so that a small one cannot become a huge one.

    Ends as soon as more than ``limit`` bytes were given.
    """
    if response.is_stream_consumed:
        # A transport that is no network, such as a test's, brings the body whole.
        yield response.content[: limit + 1]
        return
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise UnknownPackingError(response.headers["content-encoding"])
    unzip = None if encoding == "identity" else zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    given = 0
    async for packed in response.aiter_raw():
        left = limit + 1 - given
        chunk = packed[:left] if unzip is None else unzip.decompress(packed, left)
        given += len(chunk)
        yield chunk
        if given > limit:
            return
