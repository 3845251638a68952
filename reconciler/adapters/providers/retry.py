"""Reads, repeated while that may help (O6). Whatever changes something at the service never comes here.

Repeated are requests that were not sent, 408, 429, 5xx, resets and time-outs: at most five times, with
full jitter, and not at all once the run is to end. A Retry-After is obeyed; one that asks for more than ten
minutes ends the try instead. How all requests of a run slow down together is ``limiter``'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.adapters.providers.refusals import refusal
from reconciler.model.errors import GivenUpError, NotSentError, ServiceError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.adapters.providers.transport import Reply
    from reconciler.model.ports import Patience

#: How often one read is sent at most.
TRIES = 5

#: Seconds: the first wait is anything up to this, and each further one up to twice the one before.
FIRST_WAIT = 1.0

#: Seconds: what a wait without Retry-After never goes past.
LONGEST_WAIT = 30.0

#: Seconds: a Retry-After above it is not waited for.
LONGEST_RETRY_AFTER = 600.0


async def read(
    send: Callable[[], Awaitable[Reply]],
    *,
    patience: Patience,
    random: Callable[[], float],
    says: Callable[[Reply], bool | None] = lambda _: None,
) -> Reply:
    """Send until there is a reply that trying again would not change, and give that, refusals included.

    Args:
        send: sends the request once.
        patience: waits, and says when there is no more waiting.
        random: uniform in [0, 1).
        says: whether the service itself calls a refusal worth another try; None where it does not say.

    Raises:
        NotSentError: also the last try did not reach the service.
        RateLimitedError: also the last try met a 429, or the time to wait is too long.
        UnavailableError: also the last try met a 408, 5xx, reset or time-out.
        UnexpectedReplyError: the reply cannot be taken; trying again would not help.
    """
    tried = 0
    while True:
        tried += 1
        failure: ServiceError
        try:
            reply = await send()
        except GivenUpError:
            raise
        except (NotSentError, UnavailableError) as error:
            failure, retry_after = error, None
        else:
            if reply.ok or not _passing(reply.status, says(reply)):
                return reply
            failure, retry_after = refusal(reply), reply.retry_after
        wait = _wait(tried, retry_after, random())
        if tried == TRIES or wait is None or patience.over:
            failure.next = failure.next or f"Tried {tried} times; run the command again later"
            raise failure
        await patience.pause(wait)


def _passing(status: int, said: bool | None) -> bool:  # noqa: FBT001 - what the service said
    """Whether a refusal may pass. But for a 429, a service may say more of it than its status does."""
    usual = status in {408, 429} or 500 <= status < 600  # noqa: PLR2004 - HTTP's class of server errors
    return usual if said is None or status == 429 else said  # noqa: PLR2004 - HTTP's own


def _wait(tried: int, retry_after: float | None, random: float) -> float | None:
    """Seconds until the next try, or None when that is too long to wait for."""
    if retry_after is None:
        return random * min(LONGEST_WAIT, FIRST_WAIT * (1 << tried - 1))
    # Up to a second more, so that those who were told the same time do not come back together.
    return retry_after + random if retry_after <= LONGEST_RETRY_AFTER else None
