"""What long files cost: a lockfile of 100,000 entries changed in one place, an audit log of a million lines.

    python benchmarks/files.py [--entries 100000] [--lines 1000000] [--runs 5]

The lockfile is read from disk, one entry of it replaced, and all of it written and made durable again, as a
session of `reconciler apply` does it. The log is verified with every line's digest and chain, in a process of
its own. Printed are medians, by the wall and of the processor, with what is wanted.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from run import recorded_project

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOCKFILE = "reconciler.lock"

#: Lines of one file of the log: what an apply of so many batches writes.
_A_RUN = 10_000


#: When something was, by the wall and by the processor.
Moment = tuple[float, float]


def moment() -> Moment:
    """Now."""
    return time.perf_counter(), time.process_time()


def since(begun: Moment, ended: Moment) -> Moment:
    """How long it took."""
    return ended[0] - begun[0], ended[1] - begun[1]


def middle(runs: Sequence[Moment]) -> str:
    """The medians, as cells of a table."""
    return " | ".join(f"{statistics.median(run[part] for run in runs):.2f}" for part in range(2))


def lockfile(folder: Path) -> tuple[Moment, Moment, Moment]:
    """What it takes to read a lockfile, to write it with one entry changed, and both."""
    from reconciler.adapters.stores.lockfile import read_lock, write_lock

    path = folder / _LOCKFILE
    begun = moment()
    lock = read_lock(path.read_bytes().decode(), _LOCKFILE)
    read = moment()
    key = next(iter(lock.entries))
    changed = lock.entries[key]._replace(directory_name="changed")
    lock.entries[key] = changed  # type: ignore[index]  # a shelf, as a session changes it
    with (folder / "new").open("wb") as file:
        file.write(write_lock(lock).encode())
        file.flush()
        os.fsync(file.fileno())
    (folder / "new").replace(path)
    written = moment()
    return since(begun, read), since(read, written), since(begun, written)


def audit_log(folder: Path, lines: int) -> str:
    """An audit log of so many lines in files of an apply each; gives its head."""
    from reconciler.adapters.audit.lines import as_text, digest, sealed, stamp

    folder.mkdir()
    heads: list[str] = []
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    about = {"actor": "Ada <ada@example.test>", "ciRun": "https://ci.test/1", "commit": "c0ffee00" * 5}
    for number in range(-(-lines // _A_RUN)):
        at = begun + timedelta(hours=number)
        shared = {"run": f"{number:012x}", **about, "dirty": False}
        opening = {"kind": "run", "formatVersion": 1, "tool": "reconciler 0.1.0", "time": stamp(at), **shared}
        line = sealed(
            {
                **opening,
                "actorSource": "github-actions",
                "heads": heads,
                "prev": digest(as_text(heads)),
            }
        )
        written = [line.text]
        for index in range(1, min(_A_RUN, lines - number * _A_RUN)):
            directory = f"dir-aaaaaaaa-bbbb-4ccc-8ddd-{number * _A_RUN + index:012x}"
            action = {"kind": "action", "time": stamp(at + timedelta(milliseconds=index)), **shared}
            line = sealed(
                {
                    **action,
                    "plan": "sha256:" + "a" * 64,
                    "action": "create",
                    "address": f"invoices/{directory}",
                    "key": f"https://service.test prj-1 {directory} parse_v2 cfg-1",
                    "batch": directory.replace("dir", "bat"),
                    "outcome": "created",
                    "why": "missing: no such batch exists",
                    "requestId": f"req-{index}",
                    "prev": line.hash,
                }
            )
            written.append(line.text)
        name = f"{at:%Y%m%dT%H%M%SZ}-{number:012x}.jsonl"
        (folder / name).write_bytes(b"".join(written))
        heads = [f"{name}#{line.hash}"]
    return heads[0]


def verified(folder: Path, head: str) -> tuple[Moment, int]:
    """What it takes to verify a log, and its lines."""
    from reconciler.adapters.audit.chains import verify

    begun = moment()
    found = verify(folder, [head])
    if found.faults:
        raise SystemExit(f"the log has faults: {found.faults[:3]}")
    return since(begun, moment()), found.lines


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--entries", type=int, default=100_000)
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--verify", nargs=2, metavar=("FOLDER", "HEAD"), help="only verify such a log")
    chosen = options.parse_args()
    if chosen.verify:
        took, lines = verified(Path(chosen.verify[0]), chosen.verify[1])
        print(*took, lines)
        return
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    before = f"load {os.getloadavg()[0]:.1f} before; medians of {chosen.runs}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {before}\n")
    gc.set_threshold(2_000_000, 50, 1000)  # as the command line does
    print("| what | seconds | of the processor | wanted |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        recorded_project(work / "project", chosen.entries)
        read, wrote, both = zip(*(lockfile(work / "project") for _ in range(chosen.runs)), strict=True)
        print(f"| lockfile of {chosen.entries:,} entries: read | {middle(read)} | |")
        print(f"| one entry of it changed, all of it written | {middle(wrote)} | |")
        print(f"| both | {middle(both)} | ≤ 0.5 s |", flush=True)
        head = audit_log(work / "audit", chosen.lines)
        command = [sys.executable, __file__, "--verify", str(work / "audit"), head]
        told = [
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            for _ in range(chosen.runs)
        ]
        runs = [(float(wall), float(processor)) for wall, processor, _ in told]
        wanted = f"≤ {10 * chosen.lines / 1_000_000:g} s"
        print(f"| audit log of {int(told[0][2]):,} lines: verified | {middle(runs)} | {wanted} |")
    print(f"\nload {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
