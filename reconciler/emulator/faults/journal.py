"""What was received, and what was done with it: the newest requests, within bounds.

Headers are never kept: they hold the key. A body is kept as bytes and decoded when it is shown, without
the secrets of webhooks.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from reconciler.emulator.faults.kinds import kind_name
from reconciler.emulator.moments import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.emulator.faults.active import Entry
    from reconciler.emulator.moments import Clock, Micros

# A decoded JSON value.
JSON: TypeAlias = Any

MAX_BODY: Final = 64 * 1024
_MAX_REQUESTS = 100_000
_MAX_BYTES = 128 * 1024 * 1024
# What one request costs besides its path, query and body, roughly.
_OVERHEAD = 500
_HIDDEN: Final = "[hidden]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One request.

    Attributes:
        number: Its place among all requests since the start, from 1.
        time: When its first byte was handed over, by the service's clock.
        method: Its method.
        path: Its path, decoded.
        query: Its query as name and value pairs, in order.
        body: Its body; None when that was 64 KiB or more.
        body_bytes: How many bytes of it arrived.
        status: The status of the answer; None when there was none, or not yet.
        fault: The entry that struck it, if one did.
        effect: Whether the application carried it out.
        note: What else is to be known, such as that a fault found nothing to change.
    """

    number: int
    time: Micros
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: bytes | None = b""
    body_bytes: int = 0
    status: int | None = None
    fault: Entry | None = None
    effect: bool = False
    note: str | None = None

    def shown(self) -> dict[str, JSON]:
        """Give it as JSON."""
        fault = self.fault
        return {
            "number": self.number,
            "time": rfc3339(self.time),
            "method": self.method,
            "path": self.path,
            "query": [list(pair) for pair in self.query],
            "body": self._shown_body(),
            "status": self.status,
            "fault": None
            if fault is None
            else {"kind": kind_name(fault.fault), "when": fault.when, "name": fault.name},
            "effect": self.effect,
            "note": self.note,
        }

    @property
    def cost(self) -> int:
        """How much memory it takes, roughly."""
        text = len(self.path) + sum(len(name) + len(value) for name, value in self.query)
        return _OVERHEAD + text + len(self.body or b"")

    def _shown_body(self) -> JSON:
        if self.body_bytes == 0:
            return None
        try:
            value = _without_secrets(json.loads(self.body or b""))
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        # Not JSON, nested too deeply, or with a lone surrogate that no reply could carry.
        except (ValueError, RecursionError):
            return {"bytes": self.body_bytes}
        return value


def _without_secrets(value: JSON) -> JSON:
    """Hide, wherever they stand, what signs a webhook's calls and what its headers hold."""
    match value:
        case dict():
            return {key: _hidden(key, inner) for key, inner in value.items()}
        case list():
            return [_without_secrets(inner) for inner in value]
        case _:
            return value


def _hidden(key: str, value: JSON) -> JSON:
    if key not in {"webhook_signing_secret", "webhook_headers"}:
        return _without_secrets(value)
    if key == "webhook_headers" and isinstance(value, dict):
        return dict.fromkeys(value, _HIDDEN)
    return None if value is None else _HIDDEN


class Journal:
    """The newest requests. One event loop uses it; it has no lock.

    Args:
        clock: The service's clock.
        limit: How many requests are kept at most.
        limit_bytes: How much memory they take at most, roughly.
    """

    def __init__(self, clock: Clock, *, limit: int = _MAX_REQUESTS, limit_bytes: int = _MAX_BYTES) -> None:
        self._clock = clock
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[int, Received] = OrderedDict()
        self._cost = 0
        self._last = 0

    @property
    def total(self) -> int:
        """How many requests there were since the start, also those no longer kept."""
        return self._last

    def begin(self, method: str, path: str, query: tuple[tuple[str, str], ...]) -> Received:
        """Enter a request that has just come."""
        self._last += 1
        received = Received(number=self._last, time=self._clock(), method=method, path=path, query=query)
        self._kept[received.number] = received
        self._cost += received.cost
        self._trim()
        return received

    def update(self, received: Received, **changes: JSON) -> Received:
        """Enter what has become of a request; nothing if it is no longer kept."""
        changed = replace(received, **changes)
        if received.number in self._kept:
            self._kept[received.number] = changed
            self._cost += changed.cost - received.cost
            self._trim()
        return changed

    def clear(self) -> None:
        """Forget all requests; the numbers go on."""
        self._kept.clear()
        self._cost = 0

    def __iter__(self) -> Iterator[Received]:
        """Give the requests that are kept, the oldest first."""
        return iter(list(self._kept.values()))

    def _trim(self) -> None:
        while len(self._kept) > self._limit or (self._cost > self._limit_bytes and self._kept):
            self._cost -= self._kept.popitem(last=False)[1].cost
