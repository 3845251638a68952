"""Lines that are redrawn in place on a terminal: what `status --watch` shows.

The terminal itself clips what is wider than it is; what is higher loses lines above its last one, which is
the sum.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


class Frame:
    """The lines that stand on the terminal now."""

    def __init__(self) -> None:
        self._height = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Put these lines where the last ones were."""
        room = max(2, shutil.get_terminal_size().lines - 1)
        if len(lines) > room:
            left = len(lines) - room + 1
            lines = [*lines[: room - 2], f"  … {left:,} more lines", lines[-1]]
        back = f"\x1b[{self._height}F" if self._height else ""
        text = "".join(f"{line}\x1b[K\n" for line in lines)
        sys.stdout.write(f"{_NO_WRAP}{back}{text}\x1b[J{_WRAP}")
        sys.stdout.flush()
        self._height = len(lines)
