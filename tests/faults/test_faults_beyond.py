"""Beyond the settle time: then a create can be sent twice, and each duplicate has to be found and told (C10).

What took effect too late, or was listed too late, is found by the run's own second look or by a later run
that looks back. Held is: whatever the service knows as a duplicate is in the findings of exactly one apply,
with both ids, and both are recorded; nothing else is in any finding.
"""

from __future__ import annotations

import random
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from faults_cells import CREATE, LIST, SETTLE
from faults_miniature import CONFIGURATIONS, JSON, PACE, Place, Service, names, scaled, service
from faults_round import recorded, run_apply

from reconciler import ActionKind, Finding, api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds of the machine.
_SETTLED = SETTLE / PACE
_PATIENCE = 60.0
#: One create over each: what comes late over one of several may be anybody's, and is ambiguous (C5).
_DIRECTORIES = 16
_MOST_CALM = 3


@dataclass(frozen=True)
class Lateness:
    """How something comes too late.

    Attributes:
        faults: what goes wrong.
        long: whether it is for the long form only.
    """

    name: str
    faults: tuple[JSON, ...]
    long: bool = False


#: The first sends of so many creates, since nothing is sent a second time before a settle time is over.
_FIRST = {"on": CREATE, "nth": [1, 2, 3, 4, 5, 6]}
_EACH = {"on": CREATE, "probability": 1}


def _late(delay: float, **struck: JSON) -> tuple[JSON, ...]:
    return ({"fault": "late", "hold": 0.05, "delay": delay, **struck},)


def _lag(seconds: float) -> tuple[JSON, ...]:
    lost = {"fault": "closed", "when": "after", **_FIRST}
    return (lost, {"fault": "lag", "seconds": seconds, "on": LIST, "probability": 1})


_LATENESS = (
    # Carried out after the create was sent again: before the run's second look, or after the run.
    Lateness("late-for-the-second-look", _late(1.5 * _SETTLED, **_FIRST)),
    Lateness("late-for-the-next-run", _late(5 * _SETTLED, **_FIRST)),
    # Carried out at once, but listed too late: before the run's second look, or after the run.
    Lateness("listed-for-the-second-look", _lag(1.5 * SETTLE)),
    Lateness("listed-for-the-next-run", _lag(5 * SETTLE), long=True),
    # Both sends are carried out after the run, so that neither of the two batches is recorded by then.
    Lateness("both-late", _late(5 * _SETTLED, **_EACH)),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directories = [name for lateness in _LATENESS for name in names(lateness.name, _DIRECTORIES)]
    with service(tmp_path_factory.mktemp("shared"), directories) as one:
        yield one


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The cases of the form that was asked for."""
    if "lateness" in metafunc.fixturenames:
        long = metafunc.config.getoption("--long")
        cases = [pytest.param(each, id=each.name) for each in _LATENESS if long or not each.long]
        metafunc.parametrize("lateness", cases)


def test_every_duplicate_is_reported_once_and_recorded(
    lateness: Lateness, shared: Service, tmp_path: Path
) -> None:
    directories = names(lateness.name, _DIRECTORIES)
    place = Place(tmp_path, shared, lateness.name, directories, CONFIGURATIONS[:1])
    place.write(SETTLE)
    seed = zlib.crc32(lateness.name.encode())
    dice = random.Random(seed)
    with scaled(impatient=False, page_size=100):
        shared.storm(dice.randrange(1 << 30), lateness.faults)
        findings = [*run_apply(place, 8).findings]
        early = len(findings)
        _wait_for_all(shared)
        shared.calm()
        for _ in range(_MOST_CALM):
            findings += run_apply(place, 8).findings
        plan = api.plan(api.load(place.folder), environ=place.environ, clock=shared.clock)
    assert {action.kind for action in plan.actions} == {ActionKind.KEEP}
    twice = _twice(place)
    print(  # noqa: T201
        f"\nseed {seed}: {lateness.name}: {len(place.work)} creates, {len(twice)} of them twice;"
        f" {early} reported by the run itself, {len(findings) - early} by later ones"
    )
    assert twice, "nothing came too late, so nothing is shown"
    check_told(place, findings, twice)


def _wait_for_all(one: Service) -> None:
    """Until whatever was late has taken effect; what lists lack shows with the end of the faults."""
    until = time.monotonic() + _PATIENCE
    while one.count(fault="late", effect="true") < one.count(fault="late"):
        assert time.monotonic() < until, "the late creates are not carried out"
        time.sleep(0.05)


def _twice(place: Place) -> list[tuple[str, ...]]:
    """The ids of every piece of work that is there more than once, as the service tells it."""
    groups: dict[str, set[str]] = {}
    for earlier, later in place.service.duplicates(place.prefix):
        groups.setdefault(earlier, {earlier}).add(later)
    return sorted(tuple(sorted(group)) for group in groups.values())


def check_told(place: Place, findings: list[Finding], twice: list[tuple[str, ...]]) -> None:
    told = sorted(finding.batches for finding in findings)
    here = f"{place.prefix}, {place.folder}"
    assert not any(finding.ambiguous for finding in findings)
    assert [group for group in twice if group not in told] == [], f"{here}: not told of"
    assert told == twice, f"{here}: told otherwise than once each"
    known = {name for name, _, _ in recorded(place)}
    assert {name for group in twice for name in group} <= known, f"{here}: not recorded"
