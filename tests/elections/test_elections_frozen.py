"""A whole apply that is frozen by SIGSTOP at a step, past its time, and wakes when another has finished (C1).

The short form freezes at some steps. ``pytest --long -s tests/elections/test_elections_frozen.py`` does so at
each, and at some once more with nobody's clock moved on, so that who takes over waits for three minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import neighbour_town
import object_servers
import pytest
from frozen_child import NEVER, UNDISTURBED, WINDOW
from frozen_holder import Freeze, Ground, zygote
from neighbour_project import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from emulator_process import Emulator
    from object_servers import Buckets
    from postgres_server import Server

town = neighbour_town.town

#: So many pairs at once.
_AT_ONCE = 6

SEND = "POST /api/v2/batches"
_STEPS = ["after write lease.json", f"before {SEND}", f"after headers {SEND}", f"after {SEND}"]
_SHORT = {
    "object": _STEPS[1:],
    "postgres": [f"before headers {SEND}", f"after body {SEND}", "after fsync audit"],
}
LOST = (
    "the lease ran out, or another has taken it",
    "another session has taken the lock since",
    "the connection to the database was lost while this run held its lock",
)


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Buckets, Path]]:
    """moto's S3, and what its clock is ahead by: leases go by it."""
    ahead = tmp_path_factory.mktemp("clock") / "ahead"
    ahead.write_text("0")
    with object_servers.moto(ahead) as there:
        yield there, ahead


@pytest.fixture(scope="module")
def line() -> Iterator[Path]:
    with zygote() as there:
        yield there


@pytest.fixture(params=["object", "postgres"])
def ground(request: pytest.FixtureRequest, line: Path, town: tuple[Emulator, Path], tmp_path: Path) -> Ground:
    service, documents = town
    if request.param == "postgres":
        return Ground(line, service, documents, tmp_path, server=request.getfixturevalue("postgres"))
    there, ahead = request.getfixturevalue("buckets")
    return Ground(line, service, documents, tmp_path, buckets=there, ahead=ahead)


def _check(freeze: Freeze) -> None:
    """What has to hold, wherever it was frozen."""
    told = freeze.old.lines
    began = any(name.startswith("after GET") for name in freeze.before)
    ready = freeze.new.lines[-1].startswith("No changes.")  # nothing was left to be done when it froze
    assert freeze.refused, freeze.story
    assert not freeze.faults, freeze.story
    assert freeze.old.code in (3, *((0,) if ready or not began else ()), *(() if began else (1,))), (
        freeze.story
    )
    if began and freeze.old.code == 3:
        assert any(line.startswith("Error: ") and line.endswith(LOST) for line in told), freeze.story
        assert told[-1] == "  next: Run apply again; it looks before it creates", freeze.story
    if freeze.window:
        assert (freeze.sends, sorted(freeze.counts)) == (1, [1, 2]), freeze.story
        assert freeze.new.code == 0, freeze.story
    else:
        assert freeze.sound, freeze.story


def _check_told(freeze: Freeze) -> None:
    """Of a batch that only the late one has heard of, it tells, since its note was refused."""
    replied = f"after headers {SEND}" in freeze.before and freeze.at in (
        f"after body {SEND}",
        f"after {SEND}",
    )
    told_of = [line for line in freeze.old.lines if "was created, and could not be written down" in line]
    assert len(told_of) >= (replied or freeze.window), freeze.story  # or it froze while it noted that


def _summary(store: str, freezes: Sequence[Freeze]) -> None:
    windows = sum(freeze.window for freeze in freezes)
    twice = sum(number > 1 for freeze in freezes for number in freeze.counts)
    lost = sum(number == 0 for freeze in freezes for number in freeze.counts)
    outside = sum(number > 1 for freeze in freezes if not freeze.window for number in freeze.counts)
    print(  # noqa: T201 - the figures of a campaign
        f"{store}: {len(freezes)} freezes, {sum(freeze.old.code == 3 for freeze in freezes)} of them exit 3;"
        f" {lost} lost, {outside} twice; in the window: {windows} freezes, {twice - outside} twice"
    )


def _kind(ground: Ground) -> str:
    return "object" if ground.server is None else "postgres"


def test_c1_frozen_at_a_step_past_its_time_and_woken_it_sends_and_writes_nothing(
    ground: Ground, *, long: bool
) -> None:
    kind = _kind(ground)
    steps = [str(number) for number in range(len(ground.instants()))] if long else _SHORT[kind]
    freezes: list[Freeze] = []
    for first in range(0, len(steps), _AT_ONCE):
        for freeze in ground.freeze(steps[first : first + _AT_ONCE]):
            _check(freeze)
            _check_told(freeze)
            freezes.append(freeze)
    _summary(kind, freezes)
    assert len(freezes) >= len(steps) - 2


def test_what_is_sent_from_within_the_window_is_found_by_the_next_run_and_told(
    ground: Ground, *, long: bool
) -> None:
    """No client can close it: between the last look at the lock and the bytes there is always an instant.

    Its width is measured by benchmarks/window.py.
    """
    if ground.server is None and not long:
        pytest.skip("the store with a database has shown it: pytest --long")
    (freeze,) = ground.freeze([WINDOW])
    _check(freeze)
    _check_told(freeze)
    (twice,) = [ids for ids in freeze.other.live().values() if len(ids) == 2]
    third, _ = ground.begin(freeze.other, NEVER).ended()
    assert third.code == 5, third
    told = "\n".join(third.lines)
    assert all(name in told for name in twice), told
    assert "reconciler cancel papers/" in told
    lock, _ = freeze.other.store.read()
    assert sorted(twice) in [sorted(item.id for item in entry.batches) for entry in lock.entries.values()]
    fourth, _ = ground.begin(freeze.other, NEVER).ended()
    assert fourth.code == 0, fourth  # it is told once


def test_a_frozen_holder_whose_session_lives_keeps_its_lock(
    line: Path, town: tuple[Emulator, Path], postgres: Server, tmp_path: Path
) -> None:
    """The kernel answers for a stopped process: until that goes on or its session is ended, nobody begins."""
    service, documents = town
    ground = Ground(line, service, documents, tmp_path, server=postgres)
    project = ground.project()
    old = ground.begin(project, f"before body {SEND}")
    assert old.frozen()
    new = ground.begin(ground.beside(project), UNDISTURBED, "--lock-timeout", "600s")
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    until("the second waits for the lock", lambda: postgres.run(waiting) == [(1,)])
    old.wake()
    first, second = old.ended()[0], new.ended()[0]
    assert (first.code, first.lines[-1]) == (0, "Apply: 2 created.")
    told, *rest = second.lines
    assert told.startswith("    waiting 600 s: the lock is held by ")
    assert (second.code, rest) == (0, ["No changes. 2 batches as desired, 2 of them still running."])
    project.assert_whole()


def test_with_true_clocks_a_lease_is_left_alone_for_as_long_as_is_said(
    line: Path, town: tuple[Emulator, Path], tmp_path: Path, *, long: bool
) -> None:
    """30 s of the lease, 120 s of a send, the settle time and the margin, by everybody's own clocks."""
    if not long:
        pytest.skip("it takes three minutes: pytest --long")
    service, documents = town
    with object_servers.moto() as there:
        ground = Ground(line, service, documents, tmp_path, buckets=there)
        freezes = ground.freeze([*_STEPS, "after put audit", WINDOW])
        for freeze in freezes:
            _check(freeze)
        _summary("object, true clocks", freezes)
    assert len(freezes) == len(_STEPS) + 2
