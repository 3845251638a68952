"""The window between the last look at the lock and the bytes of a create, as wide as it is (C1).

    python benchmarks/window.py [--creates 1000] [--parallelism 8] [--stores file postgres object]

A process that stops in just that window, for as long as it takes another to begin, sends one create too many
when it wakes up: no client can close it, so it is measured. For each store a process applies a project of so
many creates against `reconciler emulator`, as ever. Two clocks are read for each create: when the store's
`confirm` came back for the last time, and when the socket had taken the last byte of the request, after which
the service can carry it out. "From the turn" is from the look at the lock before that, which was the last one
until a create was asked about again over the connection that it goes by; connecting is within that.

PostgreSQL is that of tests/stores, and object storage is moto's S3. Without its binaries, leave postgres out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "tests" / "stores"))
_KEY = "llx-emulator"


# --- one apply, in a process of its own ----------------------------------------------------------------


def apply_and_tell(folder: str, parallelism: int) -> dict[str, list[int]]:
    """Apply a project; gives, for each create, the nanoseconds from each of its looks to its last byte."""
    from reconciler import api

    looks: defaultdict[object, list[int]] = defaultdict(list)
    widths: dict[str, list[int]] = {"last": [], "turn": []}
    project = api.load(folder)
    for session in _sessions():
        session.confirm = _noting(session.confirm, looks)
    send = socket.socket.send

    def sent(there: socket.socket, data: bytes, *flags: int) -> int:
        number = send(there, data, *flags)
        at = time.perf_counter_ns()
        if bytes(data[:1]) == b"{" and (task := _task()) in looks:  # the body of a create
            first, last = looks.pop(task)[-2:]
            widths["last"].append(at - last)
            widths["turn"].append(at - first)
        return number

    socket.socket.send = sent  # type: ignore[method-assign, assignment]
    api.apply(project, parallelism=parallelism)
    return widths


def _sessions() -> Iterator[Any]:
    from reconciler.adapters.stores.file import FileSession

    yield FileSession
    with contextlib.suppress(ImportError):
        from reconciler.adapters.stores.object.session import ObjectSession

        yield ObjectSession
    with contextlib.suppress(ImportError):
        from reconciler.adapters.stores.postgres.session import PostgresSession

        yield PostgresSession


def _noting(confirm: Callable[..., None], looks: defaultdict[object, list[int]]) -> Callable[..., None]:
    def confirmed(session: object) -> None:
        confirm(session)
        looks[_task()].append(time.perf_counter_ns())

    return confirmed


def _task() -> object:
    with contextlib.suppress(RuntimeError):
        return asyncio.current_task()
    return None


# --- projects, and what they stand on ------------------------------------------------------------------


def measure(kind: str, state: str, environ: dict[str, str], creates: int, parallelism: int) -> dict[str, Any]:
    """One apply of so many creates with this state."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(creates):
            (folder / "documents" / f"d{number:05}").mkdir(parents=True)
            (folder / "documents" / f"d{number:05}" / "1.txt").write_text("x")
        command = [sys.executable, "-m", "reconciler", "emulator", "--port", "0", "--speed", "0", "--no-read"]
        with subprocess.Popen(
            [*command, "--root", "documents"], cwd=folder, stdout=subprocess.PIPE, text=True
        ) as service:
            assert service.stdout is not None
            url = service.stdout.readline().removeprefix("Listening on ").strip()
            _write(folder / "project", url, state, creates)
            told = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--one",
                    str(folder / "project"),
                    "--parallelism",
                    str(parallelism),
                ],
                env=os.environ | environ | {"LLAMA_CLOUD_API_KEY": _KEY},
                stdout=subprocess.PIPE,
                check=True,
            )
            service.kill()
    widths: dict[str, Any] = json.loads(told.stdout)
    assert len(widths["last"]) >= creates, (kind, len(widths["last"]))
    return widths


def _write(project: Path, url: str, state: str, creates: int) -> None:
    (project / "batches").mkdir(parents=True)
    (project / "reconciler.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: window}\nspec:\n"
        '  manifests: ["batches/*.yaml"]\n  providers:\n'
        f'    prod: {{type: llamacloud, baseUrl: "{url}", settle: 0s,'
        " apiKey: {env: LLAMA_CLOUD_API_KEY}}\n"
        f"  state: {state}\n"
    )
    (project / "batches" / "papers.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {name: papers}\nspec:\n"
        "  provider: prod\n  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}\n  directories:\n"
        + "".join(f"    - id: dir-d{number:05}\n" for number in range(creates))
    )


@contextlib.contextmanager
def standing(kind: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A store's place: the ``state`` of a project file, and what has to be in the environment for it."""
    if kind == "postgres":
        from postgres_server import server

        from reconciler.adapters.stores.postgres.address import address_of
        from reconciler.adapters.stores.postgres.setup import initialise

        with server() as there:
            initialise(address_of("window", "window", there.url(), {}))
            yield "{type: postgres, url: {env: STATE_URL}, schema: window}", {"STATE_URL": there.url()}
    elif kind == "object":
        from object_servers import CREDENTIALS, moto

        with moto() as buckets:
            environ = {
                "AWS_ACCESS_KEY_ID": CREDENTIALS["access_key_id"],
                "AWS_SECRET_ACCESS_KEY": CREDENTIALS["secret_access_key"],
                "AWS_REGION": CREDENTIALS["region"],
            }
            yield f"{{type: object, url: '{buckets.new_url()}', endpoint: '{buckets.endpoint}'}}", environ
    else:
        yield "{type: file, path: reconciler.lock}", {}


def at(share: float, widths: list[int]) -> str:
    """A quantile, in microseconds."""
    ordered = sorted(widths)
    return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--creates", type=int, default=1000)
    parser.add_argument("--parallelism", type=int, default=8)
    parser.add_argument(
        "--stores", nargs="+", default=["file", "postgres", "object"], choices=["file", "postgres", "object"]
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        json.dump(apply_and_tell(given.one, given.parallelism), sys.stdout)
        return
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f};"
        f" {given.creates:,} creates a store, {given.parallelism} at once; microseconds\n"
    )
    print("| store | creates | p50 | p99 | max | from the turn: p50 | p99 | max |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in given.stores:
        with standing(kind) as (state, environ):
            widths = measure(kind, state, environ, given.creates, given.parallelism)
        figures = [at(share, widths[which]) for which in ("last", "turn") for share in (0.5, 0.99, 1)]
        print(f"| {kind} | {len(widths['last']):,} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
