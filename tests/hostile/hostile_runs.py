"""Runs of the command line within this process, over a clock that nobody waits for.

A process for each run would take half a second: here whole families of runs are gone through. What a process
would print by itself (the log of last resort) is caught as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.adapters import clock
from reconciler.cli.main import cli, run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


class HurriedClock:
    """The machine's clock, but whoever sleeps wakes at once, later by as much as was to be slept."""

    slept = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    command: str
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return f"$ reconciler {self.command}\n{self.out}{self.err}[exit {self.code}]\n"


def leaves(command: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that can be run, by its words."""
    if isinstance(command, click.Group):
        for name, member in sorted(command.commands.items()):
            yield from leaves(member, (*path, name))
    else:
        yield path


def takes(path: tuple[str, ...], option: str) -> bool:
    """Whether a command has an option."""
    command: click.Command = cli
    for word in path:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return any(option in parameter.opts for parameter in command.params)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have runs take their time from a `HurriedClock`."""
    monkeypatch.setattr(clock, "SystemClock", HurriedClock)


def run(folder: Path, *words: str) -> Ran:
    """Run a command in a folder as a process of its own would, and give what it printed."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.enter_context(_process(list(words), err))
        code = run_command()
    return Ran(" ".join(words), code, *(_text(stream) for stream in (out, err)))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


@contextlib.contextmanager
def _process(words: list[str], err: io.TextIOWrapper) -> Iterator[None]:
    """What a process has for itself: its arguments, its log, its collector of garbage."""
    log, root = logging.getLogger("reconciler"), logging.getLogger()
    arguments, threshold = sys.argv, gc.get_threshold()
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    last_resort = logging.StreamHandler(err)
    last_resort.setLevel(logging.WARNING)
    root.addHandler(last_resort)
    sys.argv = ["reconciler", *words]
    try:
        yield
    finally:
        sys.argv = arguments
        gc.set_threshold(*threshold)
        root.removeHandler(last_resort)
        log.handlers[:] = handlers
        log.setLevel(level)
        log.propagate = propagate


@contextlib.contextmanager
def memory_peak() -> Iterator[Callable[[], int]]:
    """Give a function that tells by how many bytes the process grew in here; 0 where Linux is not."""
    if not _STATUS.exists():
        yield lambda: 0
        return
    Path("/proc/self/clear_refs").write_text("5")  # begin the high-water mark anew
    held = _status("VmRSS")
    yield lambda: _status("VmHWM") - held


_STATUS = Path("/proc/self/status")


def _status(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
