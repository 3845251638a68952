"""What many workers and a database come to: creates a second, plans with a large state, memory.

    python benchmarks/scale.py [workers] [state] [--creates 2000] [--latency 0.05] [--pairs 3] [--smoke]

It brings a PostgreSQL of its own (that of `tests/stores`, with its files in memory and no fsync: what a disk
costs comes on top, a commit a note) and the page server of the other benchmarks.

- *workers*: one saved plan, so many creates, on a service that takes 50 ms a request; carried out by one
  `apply`, then by 1, 2, 4 and 8 processes of `apply --join`. The time is that from the first start to the
  last end, what opening the plan takes is told beside it.
- *state*: the same next plan (all recorded, all terminal, nothing to ask for) with its state in a file and in
  the database, in turn; and what opening the database's state alone takes.

The machine is the bound as well: with as many workers as cores, and the service and the database beside
them, more workers share what there is. What a worker needs of a core stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import worlds
from measuring import Way, in_turn, middle, ratio, surroundings
from page_server import PageServer, directory_id

_TESTS = Path(__file__).parents[1] / "tests" / "stores"
sys.path.append(str(_TESTS))

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from postgres_server import Server

WORKERS = (1, 2, 4, 8)
STATES = (1_000, 10_000, 100_000)


class Crew(NamedTuple):
    """What some processes together took.

    Attributes:
        seconds: from the first start to the last end.
        opening: of these, until the plan was open.
        cpu: seconds of the processor in all of them.
        mebibytes: the most that one of them had.
    """

    seconds: float
    opening: float
    cpu: float
    mebibytes: float


def _shared(folder: Path, server: Server) -> dict[str, str]:
    """Move a project's state into a schema of its own, where it stands; gives what its commands need."""
    schema = server.new_schema()
    file = folder / "reconciler.yaml"
    with file.open("a") as project:
        project.write(f"  state: {{type: postgres, url: {{env: STATE_URL}}, schema: {schema}}}\n")
    environment = {"STATE_URL": server.url()}
    _run(folder, environment, "state", "init")
    return environment


def _run(folder: Path, environment: Mapping[str, str], *command: str) -> None:
    done = subprocess.run(
        [*worlds.RECONCILER, *command],
        cwd=folder,
        env=surroundings(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        said = done.stdout.decode(errors="replace")[-2000:]
        raise SystemExit(f"reconciler {' '.join(command)} ended with {done.returncode}:\n{said}")


def _together(
    folder: Path, environment: Mapping[str, str], commands: Sequence[Sequence[str]], service: PageServer
) -> Crew:
    """Run commands beside each other to their ends."""
    before = service.batches()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as said:
        alive = {}
        for index, command in enumerate(commands):
            with (Path(said) / str(index)).open("w") as file:
                process = subprocess.Popen(
                    [*worlds.RECONCILER, *command],
                    cwd=folder,
                    env=surroundings(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            alive[process.pid] = index
        while service.batches() == before:
            time.sleep(0.02)
        opening = time.perf_counter() - begun
        cpu = most = 0.0
        while alive:
            pid, status, usage = os.wait3(0)
            if os.waitstatus_to_exitcode(status):
                raise SystemExit((Path(said) / str(alive[pid])).read_text()[-2000:])
            del alive[pid]
            cpu += usage.ru_utime + usage.ru_stime
            most = max(most, usage.ru_maxrss / 1024)
    return Crew(time.perf_counter() - begun, opening, cpu, most)


def workers(work: Path, database: Server, creates: int, latency: float, counts: Sequence[int]) -> None:
    """One plan, carried out by one, and by ever more."""
    print(f"\n{creates:,} creates, {latency * 1000:.0f} ms a request, --parallelism 8 a worker:\n")
    columns = (
        "workers",
        "seconds",
        "of these opening",
        "creates a second then",
        "requests then",
        "processor",
    )
    print(f"| {' | '.join(columns)} | MiB each |")
    print("|---|---|---|---|---|---|---|")
    for count in (0, *counts):
        with PageServer(1_000) as service:
            folder = worlds.closed(work / f"joined-{count}", service)
            live = service.batches()
            environment = worlds.environment(service) | _shared_with_file(folder, database)
            worlds.add_set(folder, "new", [directory_id(live + number) for number in range(creates)])
            _run(folder, environment, "plan", "--out", "plan.json")
            service.set_latency(latency)
            options = ("--parallelism", "8")
            if count:
                commands: Sequence[Sequence[str]] = [("apply", "--join", "plan.json", *options)] * count
            else:
                commands = [("apply", "plan.json", *options)]
            took = _together(folder, environment, commands, service)
            # Whatever else is asked of the service begins its counts anew.
            requests = sum(service.counts().values()) / creates
            if service.batches() - live != creates:
                raise SystemExit(f"{service.batches() - live} batches were made, and not {creates}")
        rate = creates / (took.seconds - took.opening)
        shown = f"{count} with --join" if count else "one `apply`"
        print(
            f"| {shown} | {took.seconds:.1f} | {took.opening:.1f} | {rate:.0f} | {requests:.1f} a create"
            f" | {took.cpu:.1f} s | {took.mebibytes:.0f} |",
            flush=True,
        )


def _shared_with_file(folder: Path, database: Server) -> dict[str, str]:
    """The state that a file has, in the database from now on."""
    environment = _shared(folder, database)
    _run(folder, environment, "state", "migrate", "--from", "{type: file, path: reconciler.lock}")
    return environment


def state(work: Path, database: Server, sizes: Sequence[int], pairs: int) -> None:
    """The same plan with its state here and there."""
    print("\nNext plan, all recorded and terminal:\n")
    print("| entries | state | seconds | processor | MiB | x file | x file, processor |")
    print("|---|---|---|---|---|---|---|")
    for size in sizes:
        with PageServer(size) as service:
            file = worlds.recorded(work / f"file-{size}", worlds.spread(size, size), service)
            other = work / f"postgres-{size}"
            shutil.copytree(file, other)
            environment = worlds.environment(service)
            shared = environment | _shared_with_file(other, database)
            command = (*worlds.RECONCILER, "plan")
            ways = [Way("file", command, file, environment), Way("postgres", command, other, shared)]
            figures = in_turn(ways, pairs)
        for way, runs in zip(ways, figures, strict=True):
            figure = middle(runs)
            times = ratio(runs, figures[0], lambda item: item.seconds)
            processor = ratio(runs, figures[0], lambda item: item.cpu)
            print(
                f"| {size:,} | {way.name} | {figure.seconds:.2f} | {figure.cpu:.2f} | {figure.mebibytes:.0f}"
                f" | {times:.2f} | {processor:.2f} |",
                flush=True,
            )
        rows = database.run(
            "SELECT pg_size_pretty(pg_total_relation_size(quote_ident(nspname) || '.entries'))"
            " FROM pg_namespace WHERE nspname = %s",
            f"team_{database.schemas}",
        )
        print(f"\nIts entries take {rows[0][0]} of the database, indices included.\n", flush=True)


def main() -> None:
    """Run what was asked for."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("what", nargs="*", help="workers, state; both by default")
    options.add_argument("--creates", type=int, default=2_000)
    options.add_argument("--latency", type=float, default=0.05)
    options.add_argument("--pairs", type=int, default=3)
    options.add_argument("--smoke", action="store_true", help="with little, to see that it works")
    chosen = options.parse_args()
    from postgres_server import server

    what = set(chosen.what or ("workers", "state"))
    load = json.dumps([round(item, 1) for item in os.getloadavg()])
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {load}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder, server() as database:
        if "workers" in what:
            creates, counts = (20, (2,)) if chosen.smoke else (chosen.creates, WORKERS)
            workers(Path(folder), database, creates, 0.002 if chosen.smoke else chosen.latency, counts)
        if "state" in what:
            sizes, pairs = ((50,), 1) if chosen.smoke else (STATES, chosen.pairs)
            state(Path(folder), database, sizes, pairs)


if __name__ == "__main__":
    main()
