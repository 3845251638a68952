"""Pages and their tokens: where a listing goes on, not how it is filtered.

A token holds the key of the last item given (a keyset, not an offset), so that items which arrive
while a client pages move nothing: each item that stood there at the first page is given exactly once.
It is signed together with the list and its filters. The key of the signature is fixed: it shows a
token that was altered, cut or taken from another list, and protects no secret, because a page gives
nothing that the same caller could not ask for. So a token outlives a restart, and needs no database.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEY = b"reconciler emulator page token 1"
_SIGNATURE_BYTES = 16


def seal(scope: Sequence[object], last: str) -> str:
    """Make the token that goes on after `last` in the list that `scope` (its name and filters) names."""
    raw = last.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(_sign(scope, raw) + raw).decode().rstrip("=")


def unseal(scope: Sequence[object], token: str) -> str | None:
    """Give the key that a token goes on after; None when it was not made for this list and filters."""
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    signature, raw = sealed[:_SIGNATURE_BYTES], sealed[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(scope, raw)):
        return None
    # Base64 lets the last character vary without changing the bytes; a token has one spelling.
    last = raw.decode("utf-8", "surrogatepass")
    return last if seal(scope, last) == token else None


def _sign(scope: Sequence[object], raw: bytes) -> bytes:
    message = json.dumps(scope, sort_keys=True).encode() + b"\0" + raw
    return hmac.digest(_KEY, message, hashlib.sha256)[:_SIGNATURE_BYTES]
