"""What stands and what is listed: closing lines are an interface, documents satisfy their schemas."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.batch import Address, Batch, FileCounts, JobType, Key, Status
from reconciler.model.listed import Listed, Missed, Role
from reconciler.model.status import Health, StatusReport, StatusRow, Sync, Waited
from reconciler.render.listed import Lines, listed_document
from reconciler.render.status import (
    closing_line,
    status_document,
    status_lines,
    waited_document,
    waited_line,
    waited_lines,
)

_SCHEMAS = Path(__file__).parents[2] / "schemas"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
SYNCED, OUT = Sync.SYNCED, Sync.OUT_OF_SYNC


def row(
    sync: Sync = SYNCED,
    health: Health = Health.HEALTHY,
    status: Status | None = Status.COMPLETED,
    directory: str = "dir-1",
    **more: Any,  # noqa: ANN401 - the fields of StatusRow
) -> StatusRow:
    usual: dict[str, Any] = {"batch": "bat-1" if status else ""}
    return StatusRow(
        address=Address("invoices", directory),
        place=str(KEY),
        sync=sync,
        health=health,
        status=status,
        **usual | more,
    )


def report(*rows: StatusRow, not_selected: int = 0) -> StatusReport:
    return StatusReport(at=NOW, rows=rows, not_selected=not_selected)


RUNNING = row(health=Health.PROGRESSING, status=Status.RUNNING)
MISSING = row(OUT, Health.MISSING, None)
DEGRADED = row(health=Health.DEGRADED, files=FileCounts(7, 2))
TWIN = Batch("bat-twin", KEY, Status.RUNNING)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (report(), "Status: nothing is desired or recorded."),
        (report(row()), "Status: 1 Synced. Health: 1 Healthy. Batches: 1 COMPLETED."),
        (report(MISSING), "Status: 1 OutOfSync. Health: 1 Missing."),
        (
            report(*[row()] * 1200, RUNNING, MISSING, DEGRADED, not_selected=2),
            (
                "Status: 1,202 Synced, 1 OutOfSync. Health: 1 Missing, 1 Progressing, 1,200 Healthy,"
                " 1 Degraded. Batches: 1,201 COMPLETED, 1 RUNNING. 2 desired batches not selected."
            ),
        ),
        (
            report(row(Sync.UNKNOWN), row(Sync.AMBIGUOUS), row(health=Health.COMPLETED), not_selected=1),
            (
                "Status: 1 Synced, 1 Unknown, 1 Ambiguous. Health: 1 Completed, 2 Healthy."
                " Batches: 3 COMPLETED. 1 desired batch not selected."
            ),
        ),
        (
            report(row(surplus=(TWIN,))),
            "Status: 1 Synced. Health: 1 Healthy. Batches: 1 COMPLETED. 1 surplus.",
        ),
    ],
)
def test_the_closing_line_of_a_status_is_frozen(given: StatusReport, line: str) -> None:
    assert closing_line(given) == line
    assert list(status_lines(given))[-1] == line


@pytest.mark.parametrize(
    ("waited", "line"),
    [
        (Waited(report=report()), "Wait: nothing to wait for."),
        (
            Waited(report=report(), timed_out=True),
            "Wait: the time of --timeout was up before anything was seen.",
        ),
        (Waited(report=report(), stopped=2), "Wait: stopped before anything was seen."),
        (
            Waited(report=report(), not_recorded=1),
            "Wait: nothing to wait for; 1 desired batch is not recorded, so apply comes first.",
        ),
        (Waited(report=report(row(), row())), "Wait: 2 Healthy."),
        (Waited(report=report(row(), DEGRADED)), "Wait: 1 Healthy, 1 Degraded. 2 files failed."),
        (
            Waited(report=report(row()), not_recorded=2),
            "Wait: 1 Healthy. 2 desired batches are not recorded, so apply comes first.",
        ),
        (
            Waited(report=report(row(), RUNNING), timed_out=True),
            "Wait: the time of --timeout was up; 1 Progressing, 1 Healthy.",
        ),
        (Waited(report=report(row()), timed_out=True), "Wait: 1 Healthy."),
        (Waited(report=report(RUNNING), stopped=2), "Wait: stopped; 1 Progressing."),
    ],
)
def test_the_closing_line_of_a_wait_is_frozen(waited: Waited, line: str) -> None:
    assert waited_line(waited) == line


def test_a_row_shows_its_columns_why_it_is_not_synced_and_how_to_cancel_what_is_surplus() -> None:
    surplus = (TWIN, Batch("bat-done", KEY, Status.COMPLETED))
    rows = (
        row(age=timedelta(minutes=61), files=FileCounts(1, 0), directory_name="Sept.", surplus=surplus),
        row(OUT, Health.MISSING, None, "dir-long-2", why="it is not there"),
        row(directory="dir-3", status=Status.FAILED, word="expired", age=timedelta(days=3), tracked=True),
    )
    assert list(status_lines(report(*rows)))[:-2] == [
        "invoices",
        "  invoices/dir-1       Sept.  Synced     Healthy  bat-1  COMPLETED  1 h  1 file",
        "      surplus: bat-twin (RUNNING) does the same work",
        "      To cancel it: reconciler cancel invoices/dir-1 bat-twin",
        "      surplus: bat-done (COMPLETED) does the same work",
        "  invoices/dir-long-2         OutOfSync  Missing  -      -          -            it is not there",
        "  invoices/dir-3              Synced     Healthy  bat-1  expired    3 d",
    ]


def test_colour_goes_around_the_two_columns_and_moves_nothing() -> None:
    rows = (row(), DEGRADED, MISSING)
    plain, coloured = (list(status_lines(report(*rows), colour=colour)) for colour in (False, True))
    assert "\x1b[31mDegraded\x1b[0m" in "".join(coloured)
    assert [re.sub("\x1b\\[[0-9]*m", "", line) for line in coloured] == plain


def test_a_wait_names_what_did_not_end_well() -> None:
    rows = (
        row(),
        RUNNING,
        row(health=Health.DEGRADED, status=Status.FAILED, directory="dir-2"),
        DEGRADED,
        row(health=Health.COMPLETED, directory="dir-3"),
        row(Sync.UNKNOWN, Health.PROGRESSING, Status.RUNNING, "dir-4", why="it is not known any more"),
        row(health=Health.DEGRADED, status=Status.RUNNING, word="in_progress", directory="dir-5"),
    )
    gone = (Address("invoices", "dir-4"),)
    assert list(waited_lines(Waited(report=report(*rows), gone=gone)))[:-1] == [
        "  invoices/dir-1  bat-1  RUNNING  still runs",
        "  invoices/dir-2  bat-1  FAILED  ended badly",
        "  invoices/dir-1  bat-1  COMPLETED  ended badly: 7 files, 2 failed",
        "  invoices/dir-3  bat-1  COMPLETED  ended, and what became of its files is not known",
        "  invoices/dir-4  it is not known any more",
        "  invoices/dir-5  bat-1  in_progress  still runs",
    ]


def listed(
    number: int, owner: Address | None = None, role: Role = Role.NONE, provider: str = "prod"
) -> Listed:
    made = None if number == 9 else NOW + timedelta(seconds=number)
    return Listed(Batch(f"bat-{number}", KEY, Status.RUNNING, made), provider, owner, role)


HERE = Address("invoices", "dir-1")


def test_columns_of_a_listing_grow_and_its_closing_line_is_frozen() -> None:
    lines = Lines()
    assert list(lines.of([listed(1), listed(9, HERE, Role.STANDS)])) == [
        "bat-1  RUNNING    2026-11-22T12:00:01Z  parse_v2 cfg  dir-1  -",
        "bat-9  RUNNING    -                     parse_v2 cfg  dir-1  invoices/dir-1",
    ]
    assert list(lines.of([listed(1000, HERE, Role.UNRECORDED), listed(2, HERE, Role.RECORDED)])) == [
        "bat-1000  RUNNING    2026-11-22T12:16:40Z  parse_v2 cfg  dir-1  invoices/dir-1 (not recorded)",
        "bat-2     RUNNING    2026-11-22T12:00:02Z  parse_v2 cfg  dir-1  invoices/dir-1",
    ]
    assert lines.closing([]) == "List: 4 batches, 1 of them nobody's."
    assert lines.closing([Missed("prod", "503")]) == "List: 4 batches, 1 of them nobody's; incomplete."
    assert Lines().closing([]) == "List: 0 batches."


def test_a_listed_document_is_sorted_whatever_order_it_came_in() -> None:
    items = [listed(2), listed(1), listed(3, provider="early"), listed(9)]
    ids = [item["id"] for item in listed_document(items, [])["batches"]]
    assert ids == [item["id"] for item in listed_document(items[::-1], [])["batches"]]
    assert ids == ["bat-3", "bat-2", "bat-1", "bat-9"]


# What a service, a directory's name or an error may hold.
_texts = st.text(max_size=12) | st.sampled_from(["\x1b[2J", "a\nb", "\u202e", "<b>"])
_times = st.none() | st.datetimes(timezones=st.timezones())
_keys = st.builds(Key, _texts, _texts, _texts, st.sampled_from(JobType), _texts)
_batches = st.builds(Batch, _texts, _keys, st.sampled_from(Status), _times, _times)
_addresses = st.builds(Address, _texts, _texts)
_counts = st.none() | st.builds(FileCounts, st.integers(0, 2000), st.integers(0, 2000))
_rows = st.builds(
    StatusRow,
    address=_addresses,
    place=_texts,
    sync=st.sampled_from(Sync),
    health=st.sampled_from(Health),
    why=_texts,
    batch=_texts,
    status=st.none() | st.sampled_from(Status),
    word=_texts,
    created_at=_times,
    age=st.none() | st.timedeltas(timedelta(), timedelta(days=9999)),
    files=_counts,
    surplus=st.lists(_batches, max_size=2).map(tuple),
    directory_name=_texts,
    tracked=st.booleans(),
)
_reports = st.builds(
    StatusReport,
    at=st.datetimes(timezones=st.just(UTC)),
    rows=st.lists(_rows, max_size=3).map(tuple),
    not_selected=st.integers(0, 3),
)
_waited = st.builds(
    Waited,
    report=_reports,
    gone=st.lists(_addresses, max_size=2).map(tuple),
    not_recorded=st.integers(0, 2),
    unrecorded=_texts,
    stopped=st.none() | st.just(2),
    timed_out=st.booleans(),
)
_listed = st.builds(Listed, _batches, _texts, st.none() | _addresses, st.sampled_from(Role))
_missed = st.builds(Missed, _texts, _texts)


def _schema(name: str) -> Any:  # noqa: ANN401 - a schema
    schema = json.loads((_SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


_STATUS, _BATCHES = (jsonschema.Draft202012Validator(_schema(name)) for name in ("status", "batches"))


@settings(max_examples=40)
@given(_reports)
def test_every_status_satisfies_its_schema(made: StatusReport) -> None:
    _STATUS.validate(json.loads(json.dumps(status_document(made))))


@settings(max_examples=40)
@given(_waited)
def test_every_wait_satisfies_its_schema(waited: Waited) -> None:
    _STATUS.validate(json.loads(json.dumps(waited_document(waited))))


@settings(max_examples=40)
@given(st.lists(_listed, max_size=3), st.lists(_missed, max_size=2))
def test_every_listing_satisfies_its_schema(items: list[Listed], missed: list[Missed]) -> None:
    _BATCHES.validate(json.loads(json.dumps(listed_document(items, missed))))


@settings(max_examples=40)
@given(_reports, _waited, st.lists(_listed, max_size=3))
def test_what_came_from_outside_moves_no_cursor(
    made: StatusReport, waited: Waited, items: list[Listed]
) -> None:
    for line in (*status_lines(made), *waited_lines(waited), *Lines().of(items)):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", line)


def test_the_schemas_know_exactly_the_words_there_are() -> None:
    rows = _schema("status")["properties"]["rows"]["items"]["properties"]
    batches = _schema("batches")["properties"]["batches"]["items"]["properties"]
    words = [
        (rows["sync"], Sync),
        (rows["health"], Health),
        (rows["batch"]["properties"]["status"], Status),
        (rows["surplus"]["items"]["properties"]["status"], Status),
        (batches["status"], Status),
        (batches["job"], JobType),
        (batches["role"], Role),
    ]
    for schema, kind in words:
        assert [word for word in schema["enum"] if word] == [word.value for word in kind]
