"""reconciler in a process that counts how often it makes something durable.

    python benchmarks/counted.py FILE ARGUMENTS...

runs `reconciler ARGUMENTS...` and leaves in FILE how many times it called ``os.fsync`` and ``os.fdatasync``.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def counting(sync: Callable[[int], None], count: Callable[[], int]) -> Callable[[int], None]:
    """The same call, counted; `itertools.count` is exact in threads as well."""

    def counted(fd: int) -> None:
        count()
        sync(fd)

    return counted


def main() -> int:
    """Count, and run; gives reconciler's exit code."""
    file = Path(sys.argv[1]).absolute()
    numbers = itertools.count()
    os.fsync = counting(os.fsync, numbers.__next__)  # type: ignore[assignment]  # counted, for as long as the process lasts
    if sys.platform == "linux":
        os.fdatasync = counting(os.fdatasync, numbers.__next__)  # type: ignore[assignment]  # counted, for as long as the process lasts
    from reconciler.__main__ import main as reconcile

    sys.argv = ["reconciler", *sys.argv[2:]]
    try:
        return reconcile()
    finally:
        file.write_text(str(next(numbers)))


if __name__ == "__main__":
    sys.exit(main())
