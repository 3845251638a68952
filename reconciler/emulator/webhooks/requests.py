"""What is POSTed: the body of an event, its signature, and the headers.

As the provider's page about webhooks has it: `event_id`, `event_type`, `timestamp` (Unix seconds, a
fraction among them) and `data`, with the headers User-Agent, X-Webhook-Event-ID and X-Webhook-Event-Type.
What `data` holds for a batch is said nowhere but for its `status`: here it is the batch as its create
answers with it, which is a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, assert_never

from reconciler.emulator.llamacloud import replies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.emulator.llamacloud.batches import Batch
    from reconciler.emulator.webhooks.configurations import Format

_MICROS_PER_SECOND = 1_000_000
_USER_AGENT = "llamaindex-webhook-service/1.0"


def body_of(event: str, event_id: str, batch: Batch, form: Format) -> bytes:
    """Give the body that tells of a batch's present status."""
    document = {
        "event_id": event_id,
        "event_type": event,
        "timestamp": batch.updated / _MICROS_PER_SECOND,
        "data": replies.batch(batch, None),
    }
    match form:
        case "json":
            return json.dumps(document).encode()
        case "string":
            # As the SDK has it of `string`: the payload is sent as a JSON text that holds JSON.
            return json.dumps(json.dumps(document)).encode()
        case _:
            assert_never(form)


def signature_of(body: bytes, secret: str) -> str:
    """Give the value of `LC-Signature` for a body as it is sent."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def headers_of(
    own: Iterable[tuple[str, str]], *, event: str, event_id: str, signature: str | None
) -> list[tuple[bytes, bytes]]:
    """Give the headers of a POST; the client's own never take the place of those that vouch for it."""
    set_here = {
        "Content-Type": "application/json",
        "X-Webhook-Event-ID": event_id,
        "X-Webhook-Event-Type": event,
        **({} if signature is None else {"LC-Signature": signature}),
    }
    taken = {name.lower() for name in set_here}
    kept = [(name, value.strip()) for name, value in own if name.lower() not in taken]
    if not any(name.lower() == "user-agent" for name, _ in kept):
        kept.append(("User-Agent", _USER_AGENT))
    return [(name.encode(), value.encode()) for name, value in (*set_here.items(), *kept)]
