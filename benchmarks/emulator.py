"""The stand-in under load: pages and creates over real HTTP, with 1,000 to 100,000 batches in its database.

    python benchmarks/emulator.py [--sizes 1000 10000 100000] [--creates 5000] [--pages 300]

The server is a process of its own, bound to one core, as `reconciler emulator` starts it; the client is
bound to another one and speaks over raw sockets, so that what is measured is the server. Its floor is the
same server's answer to a path that it does not know, asked in turn with the pages.

A page is a page of 100 somewhere in the listing, asked for with the token of the page before it. Creates
come over eight connections that are kept open, onto directories of their own. The exponent is that of
the power law between the smallest and the largest size: 0 is flat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

_CONNECTIONS = 8
_DIRECTORIES = 100
_PAGE = "/api/v2/batches?page_size=100"
_OK = 200


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured at one size; times are medians in milliseconds."""

    page: float
    look: float
    floor: float
    creates: float


class Connection:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", *, expected: int = _OK) -> bytes:
        """Send a request, give the body of its reply."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer llx-emulator\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(answer.split(" ", 2)[1])
        length = int(answer.split("content-length: ")[1].split("\r\n")[0])
        content = await reader.readexactly(length)
        if status != expected:
            raise SystemExit(f"{method} {path}: {status} {content[:200]!r}")
        return content


def fill(database: Path, size: int) -> None:
    """Put so many batches that have ended into a database that the server made."""
    begun = time.time_ns() // 1000 - 10**13
    rows = (
        (begun + number, f"bat-{number:08}", "prj-emulator", f"dir-{number % (size // 10):06}", begun)
        for number in range(size)
    )
    with sqlite3.connect(database) as connection:
        connection.executemany(
            "INSERT INTO batches (created_us, id, project_id, directory_id, job_type, configuration_id,"
            " status, updated_us) VALUES (?, ?, ?, ?, 'parse_v2', 'cfg-PARSE_AGENTIC', 'COMPLETED', ?)",
            rows,
        )
    connection.close()


def start(folder: Path, core: int) -> tuple[subprocess.Popen[str], int]:
    """Start the server on one core; give its process and its port."""
    # What runs afterwards is for another measurement: here, nothing moves while pages are read.
    command = [
        *(sys.executable, "-m", "reconciler", "emulator", "--port", "0", "--root", "documents"),
        *("--db", "emulator.db", "--speed", "0", "--no-read"),
    ]
    mine = os.sched_getaffinity(0)
    # A process is born where its parent may run, and so are all of its threads.
    os.sched_setaffinity(0, {core})
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(0, mine)
    assert process.stdout is not None
    return process, int(process.stdout.readline().rpartition(":")[2])


async def measure_pages(port: int, size: int, pages: int) -> tuple[float, float, float]:
    """Medians of a page, of a look at one directory, and of the floor, asked in turn."""
    connection = Connection(port)
    page_times, look_times, floor_times = [], [], []
    token = None
    for number in range(pages):
        path = _PAGE if token is None else f"{_PAGE}&page_token={quote(token)}"
        begun = time.perf_counter()
        content = await connection.ask("GET", path)
        page_times.append(time.perf_counter() - begun)
        token = json.loads(content)["next_page_token"]
        directory = f"dir-{(number * 7919) % (size // 10):06}"
        begun = time.perf_counter()
        await connection.ask("GET", f"/api/v2/batches?source_directory_id={directory}")
        look_times.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        await connection.ask("GET", "/nothing-here", expected=404)
        floor_times.append(time.perf_counter() - begun)
    page, look, floor = (1000 * statistics.median(times) for times in (page_times, look_times, floor_times))
    return page, look, floor


async def measure_creates(port: int, creates: int) -> float:
    """Creates a second over several connections."""

    async def create(first: int) -> None:
        connection = Connection(port)
        for number in range(first, creates, _CONNECTIONS):
            directory = f"dir-{number % _DIRECTORIES:03}"
            job = {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}
            body = json.dumps({"source_directory_id": directory, "config": {"job": job}}).encode()
            await connection.ask("POST", "/api/v2/batches", body)

    begun = time.perf_counter()
    await asyncio.gather(*(create(first) for first in range(_CONNECTIONS)))
    return creates / (time.perf_counter() - begun)


def run(size: int, creates: int, pages: int, core: int) -> Figures:
    """Measure at one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(_DIRECTORIES):
            (folder / "documents" / f"{number:03}").mkdir(parents=True)
            for index in range(3):
                (folder / "documents" / f"{number:03}" / f"{index}.txt").write_text("x")
        process, port = start(folder, core)
        try:
            fill(folder / "emulator.db", size)
            page, look, floor = asyncio.run(measure_pages(port, size, pages))
            return Figures(page, look, floor, asyncio.run(measure_creates(port, creates)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--creates", type=int, default=5_000)
    parser.add_argument("--pages", type=int, default=300)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {len(cores)} cores\n")
    print("| batches | page of 100, ms | of floor | look at a directory, ms | of floor | creates a second |")
    print("|---|---|---|---|---|---|")
    measured = {}
    for size in arguments.sizes:
        found = measured[size] = run(size, arguments.creates, arguments.pages, cores[0])
        print(
            f"| {size:,} | {found.page:.2f} | {found.page / found.floor:.1f} | {found.look:.2f} |"
            f" {found.look / found.floor:.1f} | {found.creates:,.0f} |"
        )
    low, high = min(measured), max(measured)
    if low < high:
        for name, values in (
            ("page", (measured[low].page / measured[low].floor, measured[high].page / measured[high].floor)),
            ("create", (measured[high].creates, measured[low].creates)),
        ):
            exponent = math.log(values[1] / values[0]) / math.log(high / low)
            print(f"\nCost of a {name} from {low:,} to {high:,}: size to the power of {exponent:.3f}.")


if __name__ == "__main__":
    main()
