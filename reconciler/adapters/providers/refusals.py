"""What a reply that is not a success means: its status as a class of the error tree, its body as a line.

LlamaCloud publishes no schema for errors. Taken are ``detail`` as a string, an object or a list of
``{loc, msg, type}``, other usual fields, and bodies that are no JSON at all. Whether a create that met
such a reply may be sent again is not decided here (C4 is kept in ``llamacloud.create``).
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from reconciler.adapters.providers.wording import one_line
from reconciler.model.errors import (
    AuthenticationError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PaymentError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)

if TYPE_CHECKING:
    from reconciler.adapters.providers.transport import Reply

#: Fields that error bodies put their sentence in, the likeliest first.
_SENTENCES = ("detail", "message", "msg", "error_message", "error", "title", "code")


def refusal(reply: Reply) -> ServiceError:
    """The error that a reply stands for; the caller raises it."""
    why = detail(reply)
    kind: type[ServiceError]
    match reply.status:
        case 401:
            return AuthenticationError(
                "the service does not accept the key (401)",
                where=reply.where,
                why=why,
                next="Check that the key belongs to this region and project",
                status=401,
                request_id=reply.request_id,
            )
        case 429:
            return RateLimitedError(
                f"too many requests (429): {why}",
                retry_after=reply.retry_after,
                where=reply.where,
                request_id=reply.request_id,
            )
        case status if 300 <= status < 400:  # noqa: PLR2004 - HTTP's class of redirects
            kind, what = UnexpectedReplyError, f"the service redirects elsewhere ({status})"
            why = f"to {reply.location}, and redirects are not followed" if reply.location else why
        case status:
            kind, what = _kind(status)
    return kind(what, where=reply.where, why=why, status=reply.status, request_id=reply.request_id)


def _kind(status: int) -> tuple[type[ServiceError], str]:
    match status:
        case 402:
            return PaymentError, "the account's plan or credits do not cover this (402)"
        case 403:
            return ForbiddenError, "the key may not do this (403)"
        case 404:
            return NotFoundError, "the service does not know it (404)"
        case 408:
            return UnavailableError, "the service gave up waiting (408)"
        case _ if 400 <= status < 500:  # noqa: PLR2004 - HTTP's class of client errors
            return InvalidRequestError, f"the service refused the request ({status})"
        case _ if 500 <= status < 600:  # noqa: PLR2004 - HTTP's class of server errors
            return UnavailableError, f"the service failed ({status})"
        case _:
            return UnexpectedReplyError, f"the service answered with a status that says nothing ({status})"


def detail(reply: Reply) -> str:
    """What the service said, in one readable line; the status in words when it said nothing."""
    try:
        said = _sentence(json.loads(reply.body))
    except (ValueError, RecursionError):
        said = reply.body.decode("utf-8", "replace")
    return one_line(said) or reply.reason or _standard_reason(reply.status)


def _standard_reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _sentence(value: object) -> str:
    match value:
        case str():
            return value
        case dict():
            for name in _SENTENCES:
                if value.get(name):
                    return _sentence(value[name])
            return json.dumps(value, ensure_ascii=False)
        case list() if value and all(isinstance(item, dict) and "msg" in item for item in value):
            return "; ".join(_fault(item) for item in value[:20])
        case None:
            return ""
        case _:
            return json.dumps(value, ensure_ascii=False)


def _fault(item: dict[str, object]) -> str:
    """One ``{loc, msg, type}`` of a 422, as ``body.config.job.type: field required``."""
    match item.get("loc"):
        case list() as steps if steps:
            return f"{'.'.join(str(step) for step in steps[:20])}: {item['msg']}"
        case _:
            return str(item["msg"])
