"""The audit log in each form: harmless whatever it holds, and one document that its schema knows."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.audit import FoundIn, LogRead, Story, Told
from reconciler.render.audit_log import COLUMNS, closing_line, log_sheet, story_document, story_lines
from reconciler.render.harmless import harmless

_SCHEMAS = Path(__file__).parents[2] / "schemas"
_texts = st.text(max_size=12)
_told = st.builds(
    Told,
    **{name: _texts for name in Told.__dataclass_fields__ if name not in {"line", "dirty"}},
    line=st.integers(1, 9),
    dirty=st.sampled_from([True, False, None]),
)
_stories = st.builds(
    Story,
    _texts,
    st.lists(st.builds(FoundIn, *[_texts] * 6), max_size=2).map(tuple),
    st.lists(_told, max_size=2).map(tuple),
    st.lists(_texts, max_size=2).map(tuple),
    st.integers(0, 3),
)

LINE = Told(
    file="audit/a.jsonl",
    line=2,
    time="2026-09-01T12:00:00Z",
    run="r",
    actor="=Ada\x1b[2J",
    actor_source="git",
    approver="@grace",
    approver_source="github-reviews",
    ci_run="https://ci.test/1",
    commit="c0ffee",
    dirty=True,
    plan="sha256:1",
    action="create",
    address="invoices/dir-1",
    key="e p dir-1 parse_v2 cfg-1",
    batch="bat-1",
    outcome="created",
    why="miss\u202eing",
    request_id="+1",
)


def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((_SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _whole(form: str, lines: list[Told]) -> str:
    page = log_sheet(form)
    return page.begin() + "".join(map(page.line, lines)) + page.end(LogRead(len(lines), 7, 0))


def test_text_is_a_harmless_line_each() -> None:
    assert _whole("text", [LINE]) == (
        "2026-09-01T12:00:00Z  =Ada\\x1b[2J  create → created  invoices/dir-1  bat-1  miss\\u202eing\n"
        "Audit log: 1 of 7 lines.\n"
    )


def test_no_cell_begins_a_formula() -> None:
    header, row = csv.reader(io.StringIO(_whole("csv", [LINE])))
    assert tuple(header) == COLUMNS
    cells = dict(zip(header, row, strict=True))
    assert (cells["actor"], cells["approver"], cells["request"]) == ("'=Ada\\x1b[2J", "'@grace", "'+1")
    assert (cells["dirty"], cells["file"], cells["line"]) == ("true", "audit/a.jsonl", "2")


@given(st.lists(_told, max_size=3))
def test_json_is_one_document_that_its_schema_knows(lines: list[Told]) -> None:
    document = json.loads(_whole("json", lines))
    _validator("audit-log").validate(document)
    assert [item["batch"] for item in document["lines"]] == [line.batch for line in lines]


@given(_stories)
def test_every_story_satisfies_its_schema_and_stands_on_lines_of_its_own(story: Story) -> None:
    _validator("audit-story").validate(story_document(story))
    assert all(line == harmless(line) for line in story_lines(story))


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (LogRead(1200, 3400, 0), "Audit log: 1,200 of 3,400 lines."),
        (LogRead(0, 1, 0), "Audit log: 0 of 1 line."),
        (
            LogRead(1, 3, 1),
            "Audit log: 1 of 3 lines; 1 line could not be read, and `reconciler audit verify` names them.",
        ),
    ],
)
def test_the_closing_line(read: LogRead, said: str) -> None:
    assert closing_line(read) == said


def test_a_story_walks_back_from_a_file_to_who_approved() -> None:
    found = FoundIn("bat-1", "invoices/dir-1", "dfl-1", "a.pdf", "pjb-1", "unknown")
    unknown = replace(LINE, plan="", commit="", ci_run="", approver="", actor="ada", why="", dirty=None)
    assert list(story_lines(Story("pjb-1", (found,), (LINE, unknown)))) == [
        "file dfl-1 (a.pdf), job pjb-1: of bat-1 at invoices/dir-1",
        "  says the service now; the audit log and the lockfile know batches only",
        "2026-09-01T12:00:00Z  bat-1  create → created  invoices/dir-1",
        "  line      audit/a.jsonl:2",
        "  why       miss\\u202eing",
        "  plan      sha256:1",
        "  commit    c0ffee, but the work tree differed from it",
        "  actor     =Ada\\x1b[2J (git)",
        "  CI run    https://ci.test/1",
        "  approver  @grace (github-reviews)",
        "2026-09-01T12:00:00Z  bat-1  create → created  invoices/dir-1",
        "  line      audit/a.jsonl:2",
        "  plan      none: nothing was there to approve",
        "  commit    unknown",
        "  actor     ada (git)",
        "  CI run    none",
        "  approver  unknown",
    ]


def test_a_batch_that_is_recorded_and_has_no_line() -> None:
    assert list(story_lines(Story("bat-1", (), (), ("invoices/dir-1",), 2))) == [
        "bat-1: recorded at invoices/dir-1, and no line of the audit log is about it",
        "The story may have gaps; 2 lines could not be read, and `reconciler audit verify` names them.",
    ]
