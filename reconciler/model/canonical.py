"""One way to write a value down, so that equal values have equal bytes and equal digests (R1, R17)."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:  # noqa: ANN401 - whatever json can write
    """JSON with sorted keys and no spaces; characters outside ASCII stand as themselves.

    Raises:
        TypeError: the value holds something that JSON has no word for.
        ValueError: the value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:  # noqa: ANN401 - whatever json can write
    """``sha256:`` and the hexadecimal digest of the canonical text of a value."""
    # Half a surrogate pair is no character, but JSON lets a service send one in a name.
    return "sha256:" + hashlib.sha256(canonical(value).encode(errors="backslashreplace")).hexdigest()
