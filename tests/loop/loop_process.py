"""`reconciler run` as a process of its own: what it logs is waited for, and what it answers is asked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

#: Seconds after which what should have come about never will: it ends a test that hangs.
_NEVER = 60

Record = dict[str, Any]


class LoopProcess:
    """One process. It logs JSON, and everything that it logs is kept."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *options: str) -> None:
        command = [sys.executable, "-m", "reconciler", "run", "--log-format", "json", *options]
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=kept | {"PYTHONWARNINGS": "error"} | dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._changed = threading.Condition()
        self.lines: list[str] = []
        self.records: list[Record] = []
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                if line.startswith("{"):
                    self.records.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def until(self, holds: Callable[[list[Record]], bool], what: str = "") -> list[Record]:
        """Wait until something holds of what was logged; gives all of that."""
        with self._changed:
            self._changed.wait_for(lambda: holds(self.records) or self._ended, _NEVER)
            assert holds(self.records), "\n".join([f"it never came to this: {what}", *self.lines])
            return list(self.records)

    def wait(self, event: str, *, count: int = 1, **fields: object) -> Record:
        """Wait for the so manieth record of an event with these fields."""
        found = self.until(
            lambda records: len(_fitting(records, event, fields)) >= count, f"{event} {fields}"
        )
        return _fitting(found, event, fields)[count - 1]

    def all(self, event: str, **fields: object) -> list[Record]:
        with self._changed:
            return _fitting(self.records, event, fields)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.wait('started')['listening']}"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=_NEVER)

    def metric(self, name: str, **labels: str) -> float | None:
        """What Prometheus would have of it."""
        from prometheus_client.parser import text_string_to_metric_families

        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; gives its exit code."""
        self.send(number)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(_NEVER)
        self._reader.join()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _fitting(records: list[Record], event: str, fields: Mapping[str, object]) -> list[Record]:
    return [
        record
        for record in records
        if record["event"] == event and all(record.get(name) == value for name, value in fields.items())
    ]


@contextlib.contextmanager
def looping(folder: Path, environ: Mapping[str, str], *options: str) -> Iterator[LoopProcess]:
    """A process that is gone afterwards."""
    made = LoopProcess(folder, environ, *options)
    try:
        yield made
    finally:
        made.close()
