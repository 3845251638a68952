"""Whole-process figures: time and memory of commands as a user starts them.

    python benchmarks/run.py [--runs 5] [--largest 100000]

Each command runs in turn with ``python -c pass``, its floor, in the same environment, so that what the
machine does meanwhile happens to both. Shown are medians, and the ratio to the floor pair by pair. For
the cost over size, the exponent is that of the power law between the smallest and the largest size.

Compile the package first (an ordinary ``pip install`` does), or every run pays for it anew.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_FLOOR = [sys.executable, "-c", "pass"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One run of one command."""

    seconds: float
    mebibytes: float


def measure(command: list[str], folder: Path, expected: int = 0) -> Figure:
    """Run a command once; its peak memory is that of its largest process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECONCILER_")}
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != expected:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}, not {expected}")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Figure(seconds, usage.ru_maxrss / unit)


def pairs(command: list[str], folder: Path, runs: int, expected: int = 0) -> tuple[Figure, float]:
    """The medians of a command over several runs, and of its ratio to the floor, in turn with it."""
    measure(command, folder, expected)
    figures, ratios = [], []
    for _ in range(runs):
        floor = measure(_FLOOR, folder)
        figures.append(measure(command, folder, expected))
        ratios.append(figures[-1].seconds / floor.seconds)
    middle = Figure(
        statistics.median(figure.seconds for figure in figures),
        statistics.median(figure.mebibytes for figure in figures),
    )
    return middle, statistics.median(ratios)


def recorded_project(folder: Path, size: int) -> None:
    """A project that desires so many batches in one manifest, all of them recorded as COMPLETED."""
    from reconciler.adapters.stores.lockfile import write_lock
    from reconciler.model.batch import Address, JobType, Key, Status
    from reconciler.model.lock import Entry, Evidence, Lock, Origin, Recorded

    (folder / "batches").mkdir(parents=True)
    (folder / "documents").mkdir()
    (folder / "reconciler.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: many}\nspec:\n"
        '  manifests: ["batches/*.yaml"]\n  providers:\n    local: {type: local, root: documents}\n'
    )
    directories = [f"dir-{index:08x}-bbbb-4ccc-8ddd-eeeeeeeeeeee" for index in range(size)]
    head = (
        "apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {name: many}\nspec:\n  provider: local\n"
        "  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}\n  directories:\n"
    )
    lines = "".join(f"    - id: {directory}\n" for directory in directories)
    (folder / "batches" / "many.yaml").write_text(head + lines)
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    entries = {}
    for index, directory in enumerate(directories):
        key = Key("local:documents", "prj-local", directory, JobType.PARSE_V2, "cfg-PARSE_AGENTIC")
        name = f"bat-{index:08x}-bbbb-4ccc-8ddd-eeeeeeeeeeee"
        batch = Recorded(
            name, Status.COMPLETED, Origin.CREATED, moment, moment, moment, evidence=Evidence("missing")
        )
        entries[key] = Entry(key=key, address=Address("many", directory), current=name, batches=(batch,))
    lock = Lock(lineage="00000000-0000-4000-8000-000000000000", serial=1, entries=entries)
    (folder / "reconciler.lock").write_text(write_lock(lock))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--largest", type=int, default=100_000)
    options.add_argument("--make", nargs=2, metavar=("SIZE", "FOLDER"), help="only write such a project")
    chosen = options.parse_args()
    if chosen.make:
        recorded_project(Path(chosen.make[1]), int(chosen.make[0]))
        return
    reconciler = [sys.executable, "-m", "reconciler"]
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{'command':44} {'seconds':>8} {'MiB':>6} {'x floor':>8}")

    def row(name: str, command: list[str], folder: Path, expected: int = 0) -> Figure:
        figure, ratio = pairs(command, folder, chosen.runs, expected)
        print(f"{name:44} {figure.seconds:8.3f} {figure.mebibytes:6.0f} {ratio:8.2f}", flush=True)
        return figure

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        row("python -c pass", _FLOOR, work)
        row("python -m reconciler --version", [*reconciler, "--version"], work)
        quickstart = work / "quickstart"
        ignored = shutil.ignore_patterns("reconciler.lock*", "audit", ".reconciler")
        shutil.copytree(_ROOT / "examples" / "quickstart", quickstart, ignore=ignored)
        row("plan, quickstart, 3 to create", [*reconciler, "plan"], quickstart)
        measure([*reconciler, "apply", "--auto-approve"], quickstart)
        row("plan, quickstart, no changes", [*reconciler, "plan"], quickstart)
        seconds = {}
        for size in (1_000, 10_000, 100_000):
            if size <= chosen.largest:
                folder = work / str(size)
                # In a process of its own: a child's peak memory starts with what its parent had.
                subprocess.run([sys.executable, __file__, "--make", str(size), str(folder)], check=True)
                row(f"validate, {size:,} desired", [*reconciler, "validate"], folder)
                seconds[size] = row(
                    f"plan, {size:,} desired, all recorded", [*reconciler, "plan"], folder
                ).seconds
        small, large = min(seconds), max(seconds)
        if small != large:
            exponent = math.log(seconds[large] / seconds[small]) / math.log(large / small)
            print(f"cost of plan from {small:,} to {large:,}: size to the power of {exponent:.2f}")


if __name__ == "__main__":
    main()
