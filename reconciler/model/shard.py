"""A stable share of all keys, for one of several workers (C1)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.batch import Key

#: More shares than that have nothing to do even at a million directories.
MOST_SHARDS = 1000


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` shares of all keys, written ``3/16``.

    Whose share a key is depends on its directory alone, by a digest that no version may change: creates over
    one directory take turns and explain each other's batches (C3, C5), so they are one worker's.

    Attributes:
        index: from 1 to ``count``.
        count: how many shares there are.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``3/16``.

        Raises:
            ValueError: it is none.
        """
        index, slash, count = text.partition("/")
        if slash and index.isdecimal() and count.isdecimal() and text.isascii():
            shard = cls(int(index), int(count))
            if 1 <= shard.index <= shard.count <= MOST_SHARDS:
                return shard
        raise ValueError(f"{text!r} is no shard such as 3/16: the third of sixteen, {MOST_SHARDS:,} at most")

    def has(self, key: Key) -> bool:
        """Whether a key is of this share."""
        place = "\0".join(key[:3]).encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.sha256(place).digest()[:8])
        return number % self.count == self.index - 1

    def part(self, whole: int) -> int:
        """This share of a limit, so that all shares together keep it (R15)."""
        return whole // self.count + (self.index <= whole % self.count)
