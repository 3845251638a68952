"""Several real processes on one project (C1): one works, others wait or say for whom, the dead hold nothing.

The overlap is certain: the service is stopped by a signal while they start, so that the one that has the
lock cannot come to its end before the others have met it. What else one lock means is in tests/stores.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import neighbour_town
import pytest
from neighbour_project import APPLY, Ended, ended, forget_requests, requests, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence

    from emulator_process import Emulator
    from forked_reconciler import Fork
    from neighbour_project import Project

Process: TypeAlias = "subprocess.Popen[str] | Fork"

town = neighbour_town.town
new_project = neighbour_town.new_project
service = neighbour_town.service


@contextlib.contextmanager
def _stopped(process: Process) -> Iterator[None]:
    """A process that does nothing for as long as this lasts."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _one_of(processes: Sequence[Process]) -> Process:
    """The one that is left when all the others have ended."""
    until("all but one have ended", lambda: sum(item.poll() is None for item in processes) <= 1)
    (left,) = [item for item in processes if item.poll() is None]
    return left


def _waits_at(journal: Path, process: Process) -> bool:
    """Whether it has the file open that is locked, and so has met the lock."""
    assert process.poll() is None, ended(process)
    opened = Path(f"/proc/{process.pid}/fd").iterdir()
    with contextlib.suppress(FileNotFoundError):  # closed between the two looks
        return any(item.resolve() == journal for item in opened)
    return False


def _by(holder: Process) -> str:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    who = re.escape(f"{user}@{socket.gethostname()} (process {holder.pid})")
    return rf"the lock is held by {who} since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


def _held_by(holder: Process, waiting: int = 0) -> list[re.Pattern[str]]:
    return [
        *([re.compile(f"    waiting {waiting} s: {_by(holder)}")] if waiting else []),
        re.compile(rf"Error: reconciler\.lock\.journal: {_by(holder)}"),
        re.compile(r"  next: Wait with --lock-timeout 10m; a lock never outlives the process that holds it"),
    ]


def _assert_held(refused: Ended, holder: Process, waiting: int = 0) -> None:
    assert refused.code == 3, refused
    expected = _held_by(holder, waiting)
    assert len(refused.lines) == len(expected), refused
    for line, pattern in zip(refused.lines, expected, strict=True):
        assert pattern.fullmatch(line), (line, pattern.pattern)


# A few are started as people start them, many as forks of one: whoever is in the way is a process as well.
@pytest.mark.parametrize(("start", "count"), [("start", 2), ("fork", 8)])
def test_at_once_one_works_the_others_say_for_whom_and_who_waits_finds_nothing_to_do(
    new_project: Callable[..., Project], service: Emulator, tmp_path: Path, start: str, count: int
) -> None:
    project = new_project(tmp_path / "project")
    journal = tmp_path / "project" / "reconciler.lock.journal"
    forget_requests(service)
    begin: Callable[..., Process] = getattr(project, start)
    with _stopped(service.process):
        processes = [begin(*APPLY) for _ in range(count)]
        holder = _one_of(processes)
        with _stopped(holder):
            service.process.send_signal(signal.SIGCONT)
            for refused in [ended(item) for item in processes if item is not holder]:
                _assert_held(refused, holder)
            before = project.bytes()
            assert project.run("plan").lines[-1] == "Plan: 3 to create (3 files)."
            _assert_held(project.run(*APPLY, "--lock-timeout", "1s"), holder, waiting=1)
            assert project.bytes() == before  # neither took or wrote anything
            waiting = [begin(*APPLY, "--lock-timeout", "60s") for _ in range(count - 1)]
            if sys.platform == "linux":
                until("all wait at the lock", lambda: all(_waits_at(journal, item) for item in waiting))
    first, *later = [ended(item) for item in (holder, *waiting)]
    assert (first.code, first.lines[-1]) == (0, "Apply: 3 created.")
    for waited in later:
        told, *rest = waited.lines
        assert re.fullmatch(f"    waiting 60 s: {_by(holder)}", told), waited
        assert (waited.code, rest) == (0, ["No changes. 3 batches as desired, 3 of them still running."])
    project.assert_whole()
    assert requests(service, method="POST") == ["POST /api/v2/batches"] * 3


def test_a_killed_holder_holds_nothing_and_is_not_named_any_more(
    new_project: Callable[..., Project], service: Emulator, tmp_path: Path
) -> None:
    project = new_project(tmp_path / "project")
    lost = {
        "fault": "timeout",
        "when": "after",
        "on": {"method": "POST", "path": "/api/v2/batches"},
        "nth": 2,
    }
    service.client.post("/__admin/faults", json=lost).raise_for_status()
    try:
        killed = project.start(*APPLY, "--parallelism", "1")
        until("the second create took effect", lambda: len([i for i in project.live().values() if i]) == 2)
        assert killed.poll() is None
        killed.kill()
        killed.communicate()
    finally:
        service.client.delete("/__admin/faults").raise_for_status()
    assert len(project.state()[1].open) == 1
    with _stopped(service.process):
        processes = [project.start(*APPLY) for _ in range(2)]
        holder = _one_of(processes)
        # At once and without waiting, and the dead one's name is not the one that is given.
        for refused in [ended(item) for item in processes if item is not holder]:
            _assert_held(refused, holder)
    done = ended(holder)
    assert (done.code, done.lines[-1]) == (0, "Apply: 1 created."), done
    project.assert_whole()


@pytest.mark.parametrize("duration", ["soon", "-1s"])
def test_a_lock_timeout_that_is_none_is_a_usage_error(
    new_project: Callable[..., Project], tmp_path: Path, duration: str
) -> None:
    project = new_project(tmp_path / "project", directories=1)
    before = project.bytes()
    refused = project.run(*APPLY, f"--lock-timeout={duration}")
    assert refused.code == 64
    assert refused.lines[-1] == (
        f"Error: Invalid value for '--lock-timeout': {duration!r} is no duration such as 30s, 10m or 1h"
    )
    assert project.bytes() == before
