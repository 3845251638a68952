"""Globs over paths: `*` stands for any characters within a segment, `**` for any across segments.

All ways to match are followed at once, one step for each character of the path: so no pattern makes a
path of whatever length slow, as a regular expression with several stars would be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PATTERN: Final = 200


def glob_matches(pattern: str, path: str) -> bool:
    """Match a whole path."""
    return _glob(pattern).matches(path)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Glob:
    """A pattern, made ready.

    Bit n of a set of states stands for: the first n parts behind `start` have matched.

    Attributes:
        start: What stands before the first star.
        end: What stands behind the only star; None when there is another number of them.
        crosses: Whether the first star goes across segments.
        letters: For each character, the states in which the pattern has it next.
        within: The states in which it has `*` next.
        across: The states in which it has `**` next.
        size: How many parts there are behind `start`; the state in which all have matched.
    """

    start: str
    end: str | None
    crosses: bool
    letters: Mapping[str, int]
    within: int
    across: int
    size: int

    def matches(self, path: str) -> bool:
        if not path.startswith(self.start):
            return False
        if self.size == 0:
            return len(path) == len(self.start)
        rest = path[len(self.start) :]
        if self.end is None:
            return self._walk(rest)
        # One star, as most patterns have.
        middle = len(rest) - len(self.end)
        return middle >= 0 and rest.endswith(self.end) and (self.crosses or "/" not in rest[:middle])

    def _walk(self, rest: str) -> bool:
        stars = self.within | self.across
        # A star may stand for nothing. No two of them are neighbours.
        states = 1 | (1 & stars) << 1
        for character in rest:
            stay = self.across if character == "/" else stars
            states = (states & self.letters.get(character, 0)) << 1 | states & stay
            states |= (states & stars) << 1
            if not states:
                return False
        return bool(states >> self.size & 1)


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> _Glob:
    start, *parts = re.split(r"(\*+)", pattern)
    letters: dict[str, int] = {}
    within = across = size = 0
    for part in parts:
        if part.startswith("*"):
            # Whatever stands beside a `**` adds nothing to it.
            within, across = (within | 1 << size, across) if part == "*" else (within, across | 1 << size)
            size += 1
            continue
        for letter in part:
            letters[letter] = letters.get(letter, 0) | 1 << size
            size += 1
    one = len(parts) == 2  # noqa: PLR2004 - the star, and what stands behind it
    return _Glob(
        start=start,
        end=parts[1] if one else None,
        crosses=bool(across & 1),
        letters=letters,
        within=within,
        across=across,
        size=size,
    )
