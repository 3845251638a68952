"""Calls of LlamaCloud's webhooks, held against their signature: a hint that there is something to see.

``LC-Signature: sha256=HEX`` is the HMAC-SHA256 of the body, byte for byte, under the webhook's signing
secret. The body names its event and when that was; both are taken from there alone, since nothing else is
signed. Whatever a call says, a round finds out for itself: one that is sent again, or that somebody recorded,
does at most what an early round does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError
from reconciler.model.rounds import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Bytes of a body; the events of batches have less than two thousand.
LARGEST_BODY = 64 * 1024

#: Seconds by which an event's time may differ from ours.
TOLERANCE = 300.0

#: A shorter secret is found by trying.
SHORTEST_SECRET = 8

# So many events are remembered; each is told of up to five times, within seconds.
_REMEMBERED = 4096

_PREFIX = "sha256="
_LARGEST_FILE = 64 * 1024


class Webhook:
    """Judges calls.

    Args:
        secrets: gives those that are good now; several while one takes the other's place.
        now: the time, in seconds since 1970.
    """

    def __init__(self, secrets: Callable[[], tuple[bytes, ...]], now: Callable[[], float]) -> None:
        self._secrets, self._now = secrets, now
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._mutex = threading.Lock()

    def judge(self, body: bytes, signature: str | None) -> Verdict:
        """What to think of a call."""
        if not signature:
            return Verdict.UNSIGNED
        if not self._genuine(body, signature):
            return Verdict.FORGED
        event, time = _read(body)
        if time is not None and abs(self._now() - time) > TOLERANCE:
            return Verdict.STALE
        return Verdict.REPEATED if event and self._known(event) else Verdict.ACCEPTED

    def _genuine(self, body: bytes, signature: str) -> bool:
        given = signature.strip()
        found = False
        for secret in self._secrets():
            right = _PREFIX + hmac.new(secret, body, hashlib.sha256).hexdigest()
            # All of them are tried, and each takes its time whatever is wrong.
            found |= hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))
        return found

    def _known(self, event: str) -> bool:
        with self._mutex:
            known = event in self._seen
            self._seen[event] = None
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            return known


def _read(body: bytes) -> tuple[str, float | None]:
    """The event's name and time, as far as a body has them; what is written as a text is read once more."""
    try:
        told = json.loads(body)
        told = json.loads(told) if isinstance(told, str) else told
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(told, dict):
        return "", None
    event, time = told.get("event_id"), told.get("timestamp")
    if not isinstance(time, int | float) or isinstance(time, bool):
        time = None
    return event if isinstance(event, str) else "", time


def secret_of(environ: Mapping[str, str], variable: str) -> tuple[bytes, ...]:
    """The signing secret that stands in a variable.

    Raises:
        SettingsError: it is not set, or too short.
    """
    value = environ.get(variable, "")
    if not value:
        raise SettingsError(
            f"the environment variable {variable} is not set",
            where="--webhook-secret-env",
            why="the webhook's signing secret stands there",
        )
    return _checked([value], variable)


class SecretFile:
    """Signing secrets in a file, one a line; it is read again when it has changed, as mounted ones do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[object, tuple[bytes, ...]] = (None, ())
        self._reload()

    def __call__(self) -> tuple[bytes, ...]:
        """The secrets that are good now; those of before where the file cannot be used any more."""
        try:
            self._reload()
        except SettingsError:
            return self._read[1]
        return self._read[1]

    def _reload(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._read[0]:
                return
            with self._path.open("rb") as file:
                content = file.read(_LARGEST_FILE)
        except OSError as error:
            raise SettingsError(
                "the webhook's signing secret cannot be read",
                where=str(self._path),
                why=error.strerror or str(error),
            ) from error
        lines = content.decode("utf-8", "surrogateescape").splitlines()
        self._read = stamp, _checked([line.strip() for line in lines if line.strip()], str(self._path))


def _checked(values: list[str], where: str) -> tuple[bytes, ...]:
    if not values or any(len(value) < SHORTEST_SECRET for value in values):
        raise SettingsError(
            "the webhook's signing secret is missing or short",
            where=where,
            why=f"who can guess it can wake the loop; it should have {SHORTEST_SECRET} characters or more",
        )
    return tuple(value.encode("utf-8", "surrogateescape") for value in values)
