"""What JSON means, and how what does not fit is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.providers import wire
from reconciler.adapters.providers.transport import Reply
from reconciler.adapters.providers.wording import one_line
from reconciler.model.batch import Batch, JobType, Key, Status
from reconciler.model.errors import UnexpectedReplyError
from reconciler.model.watched import FileStatus

RECORD: dict[str, object] = {
    "id": "bat-1",
    "config": {"job": {"type": "extract_v2", "configuration_id": "cfg-1"}},
    "project_id": "prj-1",
    "source_directory_id": "dir-1",
    "status": "COMPLETED",
    "created_at": "2019-12-27T18:11:19.117Z",
    "updated_at": "2019-12-27t20:11:19.117000001+02:00",
    "a field of the future": [1],
}

read_batch = partial(wire.batch, endpoint="e")


def test_a_batch_as_the_reference_page_has_it() -> None:
    time = datetime(2019, 12, 27, 18, 11, 19, 117000, tzinfo=UTC)
    key = Key("e", "prj-1", "dir-1", JobType.EXTRACT_V2, "cfg-1")
    assert read_batch(RECORD) == Batch("bat-1", key, Status.COMPLETED, time, time)


def test_times_may_be_null_or_absent() -> None:
    without = {name: value for name, value in RECORD.items() if name != "updated_at"}
    batch = read_batch(without | {"created_at": None})
    assert (batch.created_at, batch.updated_at) == (None, None)


@pytest.mark.parametrize("status", [*Status, "PAUSED", ""])
def test_a_status_that_is_not_known_is_other(status: str) -> None:
    expected = Status(status) if status in list(Status) else Status.OTHER
    assert read_batch(RECORD | {"status": status}).status is expected


MISFITS: list[tuple[object, str]] = [
    ([], "expected an object, got a list"),
    (None, "expected an object, got null"),
    (RECORD | {"id": None}, "id: expected text, got null"),
    (RECORD | {"id": 7}, "id: expected text, got 7"),
    (RECORD | {"id": ""}, "id: expected an id, got empty text"),
    (RECORD | {"id": "a\nb"}, 'id: expected an id, got "a\\nb"'),
    (RECORD | {"id": "\u202e"}, 'id: expected an id, got "\\u202e"'),
    (RECORD | {"id": "\ud800"}, 'id: expected an id, got "\\ud800"'),
    (RECORD | {"id": "x" * 600}, 'id: expected an id, got "' + "x" * 58 + "…"),
    (RECORD | {"project_id": True}, "project_id: expected text, got true"),
    (RECORD | {"source_directory_id": {}}, "source_directory_id: expected text, got an object"),
    ({"project_id": "p", "source_directory_id": "d"}, "config: expected an object, got nothing"),
    (RECORD | {"config": {"job": []}}, "config.job: expected an object, got a list"),
    (RECORD | {"config": {"job": {"type": 3}}}, "config.job.type: expected text, got 3"),
    (
        RECORD | {"config": {"job": {"type": "parse_v2"}}},
        "config.job.configuration_id: expected text, got nothing",
    ),
    (
        RECORD | {"config": {"job": {"type": "x"}}},
        'config.job.type: this version does not know the job type "x"',
    ),
    (RECORD | {"status": None}, "status: expected text, got null"),
    (RECORD | {"created_at": "yesterday"}, 'created_at: expected an RFC 3339 time, got "yesterday"'),
    (RECORD | {"created_at": 1567339200}, "created_at: expected text, got 1567339200"),
    (RECORD | {"created_at": "2026-01-01"}, 'created_at: expected an RFC 3339 time, got "2026-01-01"'),
    (
        RECORD | {"created_at": "2026-01-01T00:00:00"},
        'created_at: expected an RFC 3339 time, got "2026-01-01T00:00:00"',
    ),
    (
        RECORD | {"created_at": "2026-13-01T00:00:00Z"},
        'created_at: expected an RFC 3339 time, got "2026-13-01T00:00:00Z"',
    ),
    (
        RECORD | {"created_at": "0001-01-01T00:00:00+10:00"},
        'created_at: expected an RFC 3339 time, got "0001-01-01T00:00:00+10:00"',
    ),
]


@pytest.mark.parametrize(("value", "message"), MISFITS, ids=[message for _, message in MISFITS])
def test_what_does_not_fit_is_named_by_field(value: object, message: str) -> None:
    with pytest.raises(wire.MisfitError) as caught:
        read_batch(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "items: expected a list, got nothing"),
        ({"items": {}}, "items: expected a list, got an object"),
        ({"items": [RECORD, RECORD | {"id": 1}]}, "items[1].id: expected text, got 1"),
        ({"items": [RECORD, 5]}, "items[1]: expected an object, got 5"),
        ({"items": [], "next_page_token": 5}, "next_page_token: expected text, got 5"),
        (
            {"items": [], "next_page_token": "a\x00b"},
            'next_page_token: expected a page token, got "a\\u0000b"',
        ),
    ],
)
def test_a_page_names_the_item(value: object, message: str) -> None:
    with pytest.raises(wire.MisfitError) as caught:
        wire.page(value, read_batch)
    assert str(caught.value) == message


def test_results_name_the_file() -> None:
    with pytest.raises(wire.MisfitError) as caught:
        wire.results({"results": [{"source_directory_file_id": "f", "job_reference": {}}]})
    assert str(caught.value) == "results[0].job_reference.id: expected text, got nothing"


def test_half_a_surrogate_pair_in_a_name_is_replaced() -> None:
    found = wire.directory({"id": "d", "name": "a\ud800b", "project_id": "p"})
    assert found.name == "a?b"


def test_a_body_that_does_not_fit_says_which_request_it_answered() -> None:
    reply = Reply(status=200, where="GET e/x", body=b'{"items": 3}', request_id="r1")
    with pytest.raises(UnexpectedReplyError) as caught:
        wire.decode(reply, partial(wire.page, item=read_batch))
    assert str(caught.value) == (
        "GET e/x: the reply does not fit the contract: items: expected a list, got 3"
    )
    assert (caught.value.status, caught.value.request_id) == (200, "r1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(RECORD)), inner),
)


_SUCCEEDED, _FAILED, _PROCESSING = FileStatus.SUCCEEDED, FileStatus.FAILED, FileStatus.PROCESSING


@given(changes=st.dictionaries(st.sampled_from(sorted(RECORD)), JSON))
def test_any_json_is_a_batch_or_a_named_misfit(changes: dict[str, object]) -> None:
    reply = Reply(status=200, where="GET e/x", body=json.dumps(RECORD | changes).encode())
    try:
        batch = wire.decode(reply, read_batch)
    except UnexpectedReplyError as error:
        message = str(error)
        assert message.isprintable()
    else:
        assert batch.id == (RECORD | changes)["id"]


_PLAIN = RECORD | {"updated_at": "2019-12-27T18:11:19Z"}
_ODD: tuple[object, ...] = (
    *("", "x" * 513, "a\nb", "\ud800", "\u202e", "é", "bat 1", "parse_v2", "extract", "RUNNING"),
    *("2024-02-29T23:59:59.9Z", "2025-02-29T00:00:00Z", "2025-W01-1T00:00:00.000000Z", "20250101T000000Z"),
    *("2025-01-01T24:00:00Z", "2025-01-01T00:00:60Z", "2025-01-01T00:00:00.1234567Z", "2025-01-01T00:00Z"),
    *("2025-01-01 00:00:00Z", "2025-01-01T00:00:00+00:00", "٢٠٢٥-01-01T00:00:00Z"),
    *("2025-01-01T00:00:00Z\n", "2025-01-01T00:00:00Z+01:00", "2025-01-01T00:00:00z"),
    *(None, True, 5, 1.5, [], ["a"], {}, {"job": None}),
)


@pytest.mark.parametrize("field", [*sorted(_PLAIN), "type", "configuration_id"])
def test_a_batch_that_is_read_as_a_whole_is_the_one_that_is_read_by_field(field: str) -> None:
    for odd in _ODD:
        job: dict[str, object] = {"type": "extract_v2", "configuration_id": "cfg-1"}
        value = _PLAIN | {"config": {"job": job}}
        (job if field in job else value)[field] = odd
        plain = wire._plain_batch(value, "e")
        assert plain is None or plain == wire._checked_batch(value, "e")


def test_a_batch_as_services_write_it_is_read_as_a_whole() -> None:
    assert wire._plain_batch(_PLAIN, "e") == wire._checked_batch(_PLAIN, "e")


@given(st.text())
def test_a_line_of_foreign_text_is_short_and_harmless(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= 300
    assert one_line(line) == line


def test_foreign_text_keeps_its_words() -> None:
    assert one_line(" Zahlung\n\tüberfällig \x1b[2J\u202e\x7f ") == "Zahlung überfällig \\x1b[2J\\u202e\\x7f"
    assert one_line("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"job": {"id": "pjb-1", "status": "COMPLETED", "error_message": None}}, (_SUCCEEDED, "")),
        ({"job": {"id": "pjb-1", "status": "COMPLETED", "error_message": "page 3"}}, (_FAILED, "page 3")),
        ({"job": {"id": "pjb-1", "status": "PENDING"}, "text": None}, (_PROCESSING, "")),
        ({"job": {"status": "RUNNING", "error_message": "tried once"}}, (_PROCESSING, "")),
        ({"job": {"id": "pjb-1", "status": "FAILED", "error_message": "not a PDF"}}, (_FAILED, "not a PDF")),
        ({"id": "exj-1", "status": "COMPLETED"}, (_SUCCEEDED, "")),
        ({"id": "exj-1", "status": "THROTTLED"}, (_PROCESSING, "")),
        ({"id": "exj-1", "status": "ERROR", "error_message": "no total"}, (_FAILED, "no total")),
        ({"id": "exj-1", "status": "FAILED", "error_message": None}, (_FAILED, "the job is FAILED")),
        (
            {"status": "ARCHIVED"},
            (FileStatus.UNKNOWN, "the job is ARCHIVED, which this version does not know"),
        ),
        (
            {"job": {"status": "LOST", "error_message": "why"}},
            (FileStatus.UNKNOWN, "the job is LOST, which this version does not know: why"),
        ),
    ],
)
def test_a_job_s_outcome_stands_where_its_product_puts_it(
    body: object, outcome: tuple[FileStatus, str]
) -> None:
    assert wire.job(body) == outcome
