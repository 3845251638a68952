"""The audit log against the lockfile: what either says was created, the other has to know of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from audit_written import LOCKFILE, begin, line, path

from reconciler.adapters.audit import Agreement, verify
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.model.audit import AuditLine

KEY = "e p dir-1 parse_v2 cfg-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / "audit"


def disagreements(
    folder: Path,
    lines: Sequence[AuditLine],
    created: Sequence[str],
    later: Sequence[str] = (),
    *,
    lost: bool = False,
) -> list[str]:
    """What is said where the lockfile says that these were created, and records the later ones by the end."""
    log = begin(folder, "run-1")
    for one in lines:
        log.append(one)
    log.close()
    places = {batch: (KEY, lambda: Source("reconciler.lock", 7)) for batch in created}
    agreement = Agreement(places, frozenset(created))
    assert verify(folder, (), LOCKFILE, agreement=agreement).faults == ()
    found = agreement.faults(frozenset({*created, *later}), "reconciler.lock", lines_are_lost=lost)
    name = path(folder, "run-1").name
    return sorted(str(fault).replace(name, "RUN") for fault in found)


MISSING = (
    "audit/RUN:2: says that bat-1 was created at invoices/dir-1, and reconciler.lock does not record it, nor"
    " does a later line say that it was given up"
)
UNSAID = "reconciler.lock:7: says that bat-1 was created, and no line of the audit log says so"


def test_what_both_say_is_no_fault(folder: Path) -> None:
    assert disagreements(folder, [line("bat-1")], ["bat-1"]) == []


def test_a_batch_that_only_the_log_says_was_created(folder: Path) -> None:
    assert disagreements(folder, [line("bat-1")], []) == [MISSING]


def test_a_batch_that_only_the_lockfile_says_was_created(folder: Path) -> None:
    other = line("bat-2", key="e p dir-2 parse_v2 cfg-1", outcome="adopted", action="adopt")
    assert disagreements(folder, [other], ["bat-1"]) == [UNSAID]
    path(folder, "run-1").unlink()
    # One damage is one fault: what the log says of itself goes first.
    assert disagreements(folder, [other], ["bat-1"], lost=True) == []


def test_what_was_recorded_while_the_files_were_read_is_no_fault(folder: Path) -> None:
    assert disagreements(folder, [line("bat-1")], [], later=["bat-1"]) == []


@pytest.mark.parametrize(
    "giving_up",
    [
        line("", action="forget", outcome="forgotten"),
        line("bat-9", action="cancel", outcome="cancel-asked"),
        line("bat-9", action="adopt", outcome="adopted"),
        line("bat-1", action="resolve", outcome="gone"),
    ],
    ids=lambda one: one.action,
)
def test_what_a_later_line_gives_up_need_not_be_recorded(folder: Path, giving_up: AuditLine) -> None:
    assert disagreements(folder, [line("bat-1"), giving_up], []) == []


@pytest.mark.parametrize(
    "other",
    [
        line("", action="forget", outcome="forgotten", key="e p dir-2 parse_v2 cfg-1"),
        line("bat-1", action="forget", outcome="blocked"),
        line("bat-1", action="cancel", outcome="CANCELLED"),
        line("bat-2", action="resolve", outcome="gone"),
    ],
    ids=lambda one: f"{one.action}-{one.outcome}",
)
def test_no_other_line_excuses_it(folder: Path, other: AuditLine) -> None:
    assert disagreements(folder, [line("bat-1"), other], []) == [MISSING]


def test_a_line_that_gave_up_what_was_before_does_not_excuse_what_came_later(folder: Path) -> None:
    gone = line("", action="forget", outcome="forgotten")
    late = replace(line("bat-1"), time=gone.time + timedelta(seconds=0.75))  # a whole second: 12:00:01
    assert disagreements(folder, [late, gone], []) == [MISSING]
    path(folder, "run-1").unlink()
    early = replace(line("bat-1"), time=gone.time - timedelta(seconds=0.25))  # a whole second: 12:00:00
    assert disagreements(folder, [early, gone], []) == []


def test_what_was_recovered_from_the_journal_has_a_line_of_its_key(folder: Path) -> None:
    recovered = line("bat-2", action="recover", outcome="recorded")
    assert disagreements(folder, [recovered], ["bat-1", "bat-2"]) == []


def test_a_create_that_failed_says_of_no_batch_that_it_was_created(folder: Path) -> None:
    assert disagreements(folder, [line("", outcome="failed"), line("bat-1", outcome="found")], []) == []


def test_foreign_names_are_compared_as_they_are(folder: Path) -> None:
    assert disagreements(folder, [line('bat"\u2028é')], ['bat"\u2028é']) == []
