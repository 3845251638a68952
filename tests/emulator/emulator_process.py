"""`reconciler emulator` as a process of its own, for tests that need sockets, kills or several processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = {"Authorization": "Bearer llx-emulator"}


def _program(quick: Path | None) -> list[str]:
    return [str(quick / "reconciler")] if quick else [sys.executable, "-m", "reconciler"]


class Emulator:
    """One process. Its clock stands still unless `--speed` is given.

    Args:
        folder: where it runs.
        options: of the command.
        quick: the fixture `quick`, where the service is what a test needs and not what it is about.
    """

    def __init__(self, folder: Path, *options: str, quick: Path | None = None) -> None:
        speed = () if "--speed" in options else ("--speed", "0")
        command = [*_program(quick), "emulator", "--port", "0", *speed, *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RECONCILER")}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("Listening on "), said + self.process.communicate()[1]
        self.url = said.removeprefix("Listening on ").strip()
        self.folder = folder
        self.client = httpx.Client(base_url=self.url, headers=KEY, timeout=60)

    def create(self, directory: str, configuration: str = "cfg-PARSE_AGENTIC") -> httpx.Response:
        job = {"type": "parse_v2", "configuration_id": configuration}
        return self.client.post(
            "/api/v2/batches", json={"source_directory_id": directory, "config": {"job": job}}
        )

    def advance(self, duration: str) -> None:
        self.client.post("/__admin/clock", json={"advance": duration}).raise_for_status()

    def batches(self, **filters: str) -> list[Any]:
        """All batches, newest first."""
        listed: list[Any] = []
        token: str | None = None
        while True:
            asked = {"page_size": "100", **filters, **({"page_token": token} if token else {})}
            page = self.client.get("/api/v2/batches", params=asked).raise_for_status().json()
            listed += page["items"]
            token = page["next_page_token"]
            if token is None:
                return listed

    def kill(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it by a signal; give its exit code and what it said on standard error."""
        self.client.close()
        self.process.send_signal(number)
        errors = self.process.communicate()[1]
        return self.process.returncode, errors


@contextlib.contextmanager
def emulator(folder: Path, *options: str, quick: Path | None = None) -> Iterator[Emulator]:
    """A process that is gone afterwards."""
    process = Emulator(folder, *options, quick=quick)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()


def documents(folder: Path, *names: str, files: int = 2) -> Path:
    """A root with these folders and so many files in each."""
    root = folder / "documents"
    for name in names:
        (root / name).mkdir(parents=True)
        for index in range(files):
            (root / name / f"{index}.txt").write_text("x")
    return root


def refused(folder: Path, *options: str, quick: Path | None = None) -> tuple[int, str]:
    """Start it where it cannot be started; give its exit code and what it said."""
    command = [*_program(quick), "emulator", "--port", "0", *options]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False, timeout=60)
    assert done.stdout == ""
    return done.returncode, done.stderr
