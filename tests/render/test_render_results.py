"""How results look in each form: whole, sorted as they come, and harmless whatever names they hold."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.batch import Address, Status
from reconciler.model.outcomes import BatchOutcomes, Tally
from reconciler.model.watched import FileOutcome, FileStatus
from reconciler.render.results import COLUMNS, closing_line, sheet

_SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "results.json").read_text())

_words = st.text(max_size=12) | st.sampled_from(
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", 'a "b", c']
)
_outcomes = st.builds(
    FileOutcome,
    file=_words,
    status=st.sampled_from(FileStatus),
    name=_words,
    job=_words,
    job_type=_words,
    error=_words,
)
_read = st.builds(
    BatchOutcomes,
    address=st.builds(Address, _words, _words),
    batch=_words,
    status=st.sampled_from(Status),
    files=st.none() | st.lists(_outcomes, max_size=3).map(tuple),
    why=st.just("") | _words,
)

FILES = (
    FileOutcome(file="dfl-1", status=FileStatus.SUCCEEDED, name="a.pdf", job="pjb-1", job_type="parse_v2"),
    FileOutcome(file="dfl-2", status=FileStatus.FAILED, name="b.pdf", error="too large"),
)
GOOD = BatchOutcomes(
    address=Address("invoices", "dir-1"), batch="bat-1", status=Status.COMPLETED, files=FILES
)
RUNNING = BatchOutcomes(
    address=Address("invoices", "dir-2"), batch="bat-2", status=Status.RUNNING, files=None
)
LOST = BatchOutcomes(
    address=Address("invoices", "dir-3"), batch="bat-3", status=Status.COMPLETED, files=None, why="503"
)
FAILED = BatchOutcomes(address=Address("invoices", "dir-4"), batch="bat-4", status=Status.FAILED, files=None)


def whole(form: str, batches: list[BatchOutcomes]) -> str:
    page, tally = sheet(form), Tally()
    text = page.begin()
    for read in batches:
        text += page.batch(read)
        tally = tally.and_of(read)
    return text + page.end(tally)


def test_text_is_a_table_per_batch_and_a_closing_line() -> None:
    assert whole("text", [GOOD, RUNNING, LOST, FAILED]) == (
        "invoices/dir-1  bat-1  COMPLETED  2 files\n"
        "  succeeded  dfl-1  a.pdf  parse_v2 pjb-1\n"
        "  failed     dfl-2  b.pdf                  too large\n"
        "invoices/dir-2  bat-2  RUNNING  no results yet\n"
        "invoices/dir-3  bat-3  COMPLETED  not read: 503\n"
        "invoices/dir-4  bat-4  FAILED  the batch is FAILED, without results for its files\n"
        "\n"
        "Files: 1 succeeded, 1 failed; in 4 batches, 1 FAILED or CANCELLED, 1 not read.\n"
    )


@pytest.mark.parametrize(
    ("tally", "line"),
    [
        (Tally(), "Files: none; in 0 batches."),
        (
            Tally(
                batches=1200,
                files=dict(zip(FileStatus, range(1001, 1007), strict=True)),
                ended_badly=1,
                unread_batches=2,
            ),
            (
                "Files: 1,001 succeeded, 1,002 failed, 1,005 missing, 1,003 processing, 1,004 unknown,"
                " 1,006 newer than their batch; in 1,200 batches, 1 FAILED or CANCELLED, 2 not read."
            ),
        ),
        (Tally(batches=1, files={FileStatus.SUCCEEDED: 3}), "Files: 3 succeeded; in 1 batch."),
    ],
)
def test_the_closing_line_is_frozen(tally: Tally, line: str) -> None:
    assert closing_line(tally) == line


@given(st.lists(_read, max_size=3))
def test_json_is_one_document_that_its_schema_knows(batches: list[BatchOutcomes]) -> None:
    text = whole("json", batches)
    document = json.loads(text)
    jsonschema.Draft202012Validator(_SCHEMA).validate(document)
    assert text.isascii()
    assert len(document["batches"]) == len(batches)
    assert document["summary"]["batches"] == len(batches)


def test_the_schema_knows_every_word_and_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMA)
    batch = _SCHEMA["properties"]["batches"]["items"]["properties"]
    assert set(batch["status"]["enum"]) == set(Status)
    assert set(batch["files"]["items"]["properties"]["status"]["enum"]) == set(FileStatus)
    assert set(_SCHEMA["properties"]["summary"]["properties"]["files"]["required"]) == set(FileStatus)


def test_a_document_that_was_cut_short_is_none() -> None:
    page = sheet("json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(page.begin() + page.batch(GOOD))


@given(st.lists(_read, max_size=3))
def test_ndjson_is_an_object_a_line_each_with_its_batch(batches: list[BatchOutcomes]) -> None:
    rows = [json.loads(line) for line in whole("ndjson", batches).splitlines()]
    assert [row["batch"] for row in rows] == [
        read.batch for read in batches for _ in range(len(read.files or ()) or 1)
    ]
    assert {tuple(row) for row in rows} <= {
        ("address", "batch", "batchStatus", "file", "name", "status", "jobType", "job", "error")
    }


@given(st.lists(_read, max_size=3))
def test_csv_is_rfc_4180_and_no_cell_is_a_formula(batches: list[BatchOutcomes]) -> None:
    text = whole("csv", batches)
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert tuple(rows[0]) == COLUMNS
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert len(rows) - 1 == sum(len(read.files or ()) or 1 for read in batches)
    assert text.count("\n") == text.count("\r\n") == len(rows)  # no cell breaks its line
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r"))]


def test_csv_puts_an_apostrophe_before_what_would_be_a_formula_and_quotes_what_has_commas() -> None:
    bad = FileOutcome(file="dfl-1", status=FileStatus.FAILED, name='=HYPERLINK("x"),1', error="-1")
    text = whole("csv", [BatchOutcomes(address=GOOD.address, batch="@b", status=Status.FAILED, files=(bad,))])
    assert text.splitlines()[1] == ('invoices/dir-1,\'@b,FAILED,dfl-1,"\'=HYPERLINK(""x""),1",failed,,,\'-1')


def test_a_batch_without_files_is_a_row_that_says_why() -> None:
    rows = list(csv.reader(io.StringIO(whole("csv", [RUNNING, LOST, FAILED]), newline="")))
    assert [(row[5], row[8]) for row in rows[1:]] == [
        ("processing", "no results yet"),
        ("unknown", "not read: 503"),
        ("failed", "the batch is FAILED, without results for its files"),
    ]


@given(_read)
def test_no_text_moves_a_cursor(read: BatchOutcomes) -> None:
    lines = (sheet("text").batch(read) + sheet("csv").batch(read)).replace("\r\n", "\n").split("\n")
    assert all(
        line.isprintable() or not any(ord(sign) < 32 or ord(sign) == 127 for sign in line) for line in lines
    )
