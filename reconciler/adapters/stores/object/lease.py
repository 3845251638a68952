"""The lease: who may write, for how long, and when another may begin (C1). It knows nothing of the state.

No two clocks are ever compared. The holder goes by its own, from before its last renewal was sent; whoever
waits goes by the service's, which says when the lease was last written and what time it is now. A lease that
ran out is left alone for as long as a create of its holder may be under way: the time-out of a send, and the
settle time after it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.adapters.stores.object.bucket import ConflictError
from reconciler.adapters.stores.text import stamp
from reconciler.model.errors import LockHeldError, LockLostError, StateError

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.adapters.stores.object.bucket import Bucket

NAME = "lease.json"

_POLL = 0.5
# The service's times are whole seconds, and its machines need not agree to the last one.
MARGIN = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long what may take, in seconds.

    Attributes:
        lease: how long it lasts without a renewal.
        under_way: how long a send that had begun, and what it made, may take to show.
    """

    lease: float = 30.0
    under_way: float = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The lease object's content. Every write of it differs from every other: epoch and beat only rise."""

    epoch: int
    beat: int
    holder: str
    since: str
    lease: float
    under_way: float
    free: bool = False

    def text(self) -> bytes:
        """As the object has it."""
        return (json.dumps({"formatVersion": 1, **asdict(self)}, sort_keys=True) + "\n").encode()


def ticks() -> float:
    """Seconds of this machine, those included in which it was asleep."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class Lease:
    """A lease that is held. A thread of its own renews it; `confirm` asks no one."""

    def __init__(self, bucket: Bucket, written: Written, tag: str, begun: float) -> None:
        self._bucket, self._written, self._tag = bucket, written, tag
        self._until = begun + written.lease
        self._taken = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        """Of this lease; each has one more than that before it."""
        return self._written.epoch

    def confirm(self) -> None:
        """Make sure that the lease lasts still.

        Raises:
            LockLostError: it does not, or another has taken it.
        """
        if self._taken or ticks() >= self._until:
            raise LockLostError(
                "the lease ran out, or another has taken it",
                where=f"{self._bucket.shown}/{NAME}",
                why=f"{self._taken or 'it was not renewed in time'}; nothing was sent after that was seen",
                next="Run apply again; it looks before it creates",
            )

    def release(self) -> None:
        """Let another have it at once, if it is held still."""
        self._over.set()
        self._thread.join()
        if not self._taken:
            free = replace(self._written, free=True, beat=self._written.beat + 1)
            try:
                self._bucket.write(NAME, free.text(), over=self._tag)
            except (ConflictError, StateError):
                return  # it runs out by itself

    def _renew(self) -> None:
        pause = self._written.lease / 3
        while not self._over.wait(pause):
            begun = ticks()
            renewed = replace(self._written, beat=self._written.beat + 1)
            try:
                self._tag = self._bucket.write(NAME, renewed.text(), over=self._tag)
            except ConflictError:
                self._taken = "another session has taken it since"
                return
            except StateError as error:
                # It may have been written and may yet be: what stands there is known by the next try.
                pause = min(1.0, pause)
                self._recover(str(error.why))
            else:
                self._written, self._until, pause = renewed, begun + renewed.lease, renewed.lease / 3

    def _recover(self, why: str) -> None:
        """After a renewal whose outcome is not known: go on from what stands, if that is ours."""
        try:
            there = self._bucket.read(NAME)
        except StateError:
            return
        if there is None or _read(there.content, self._bucket).epoch != self.epoch:
            self._taken = f"another session has taken it since: {why}"
        else:
            self._tag, self._written = there.tag, _read(there.content, self._bucket)


def acquire(bucket: Bucket, terms: Terms, holder: str, timeout: float) -> Lease:
    """Take the lease, waiting up to so many seconds.

    Raises:
        LockHeldError: another held it all that time, or may have a create under way.
        StateError: the service cannot be used, or ignores conditions.
    """
    now, asked = bucket.probe(), ticks()
    deadline = asked + timeout
    while True:
        there = bucket.read(NAME)
        before = _read(there.content, bucket) if there else None
        time_there = now + timedelta(seconds=ticks() - asked)
        free_at = _free_at(before, there.changed) if before and there and not before.free else None
        if free_at is None or time_there >= free_at:
            taken = Written(
                epoch=before.epoch + 1 if before else 1,
                beat=0,
                holder=holder,
                since=stamp(time_there.replace(microsecond=0)),
                lease=terms.lease,
                under_way=terms.under_way,
            )
            begun = ticks()
            try:
                tag = bucket.write(NAME, taken.text(), over=there.tag if there else None)
            except ConflictError:
                if ticks() < deadline:
                    continue
                what, help_ = "the lock was taken by another in this moment", "Wait with --lock-timeout 10m"
                raise LockHeldError(what, where=bucket.shown, next=help_) from None
            return Lease(bucket, taken, tag, begun)
        assert before is not None
        if ticks() >= deadline:
            raise _held(bucket, before, (free_at - time_there).total_seconds())
        time.sleep(_POLL)


def _free_at(lease: Written, changed: datetime) -> datetime:
    return changed + timedelta(seconds=lease.lease + lease.under_way + MARGIN)


def _held(bucket: Bucket, lease: Written, left: float) -> LockHeldError:
    return LockHeldError(
        f"the lock is held by {lease.holder} since {lease.since}",
        where=f"{bucket.shown}/{NAME}",
        why=f"unless that renews its lease, it can be taken in {max(1, round(left)):,} s: a create of its may"
        " be under way until then",
        next="Wait with --lock-timeout 10m",
    )


def _read(content: bytes, bucket: Bucket) -> Written:
    try:
        document = json.loads(content)
        if document.pop("formatVersion") != 1:
            raise StateError(
                "the lease is one of a newer version",
                where=f"{bucket.shown}/{NAME}",
                next="Upgrade: pip install --upgrade batch-reconciler",
            )
        return Written(**document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateError(
            "the lease cannot be read",
            where=f"{bucket.shown}/{NAME}",
            next="Once nobody applies any more, delete that object",
        ) from error
