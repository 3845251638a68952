"""One process and what it took, and several that take turns: what the benchmarks of whole processes share.

What is run, and against which server, is the benchmarks' own business. The parent that measures has to stay
small: a child's peak memory starts with what its parent had.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run of one process took.

    Attributes:
        seconds: by the wall.
        cpu: seconds in the process and in the system for it, whatever else the machine did.
        mebibytes: its peak memory.
        requests: by kind, as the server counted them.
    """

    seconds: float
    cpu: float
    mebibytes: float
    requests: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to get some work done.

    Attributes:
        name: who does it.
        prepare: called before each run, and not measured.
        check: called after each run, and not measured; it raises when the work was not done.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], object] = lambda: None
    check: Callable[[], object] = lambda: None


def surroundings(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without reconciler's own settings, and with some more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECONCILER_")}
    return kept | dict(more)


def measure(way: Way, counts: Callable[[], Mapping[str, int]] = dict) -> Figure:
    """Run it once.

    Args:
        way: what to run.
        counts: gives what was asked since it was called last.
    """
    way.prepare()
    counts()
    with tempfile.TemporaryFile() as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            way.command,
            cwd=way.folder,
            env=surroundings(way.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(way.command)[:300]} ended with {process.returncode}:\n{said}")
    requests = dict(counts())
    way.check()
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Figure(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, requests)


def in_turn(
    ways: Sequence[Way], rounds: int, counts: Callable[[], Mapping[str, int]] = dict, *, warm: bool = True
) -> list[list[Figure]]:
    """Run them one after the other, so many rounds; what the machine does meanwhile happens to all.

    Gives the figures by way. With ``warm``, one more round is run before, which does not count.
    """
    if warm:
        for way in ways:
            measure(way, counts)
    figures: list[list[Figure]] = [[] for _ in ways]
    for _ in range(rounds):
        for index, way in enumerate(ways):
            figures[index].append(measure(way, counts))
    return figures


def middle(figures: Iterable[Figure]) -> Figure:
    """The median of each; the requests of the run that made the most."""
    runs = list(figures)
    return Figure(
        statistics.median(figure.seconds for figure in runs),
        statistics.median(figure.cpu for figure in runs),
        statistics.median(figure.mebibytes for figure in runs),
        max((figure.requests for figure in runs), key=lambda requests: sum(requests.values())),
    )


def ratio(figures: Iterable[Figure], floors: Iterable[Figure], of: Callable[[Figure], float]) -> float:
    """The median of the ratio to the floor, pair by pair."""
    pairs = zip(figures, floors, strict=True)
    return statistics.median(of(figure) / max(of(floor), 1e-4) for figure, floor in pairs)
