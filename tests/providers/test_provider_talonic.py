"""Talonic's calls: over the stand-in service, and over small services that answer as they like."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from provider_limiter import PassingClock, many_turns
from talonic_stand import TalonicStand

from reconciler.adapters.providers import listings, talonic, talonic_wire
from reconciler.adapters.providers.talonic import ITEMS_TRIES, Talonic
from reconciler.model.batch import FileCounts, Status
from reconciler.model.errors import (
    AuthenticationError,
    NotFoundError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)
from reconciler.model.watched import FileOutcome, FileStatus, Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from reconciler.model.ports import Watcher

T = TypeVar("T")

ENDPOINT = "https://api.talonic.example"
SECRET = "tlnc_marked_key_never_shown"
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


@dataclass
class Service:
    """Answers requests one after the other and keeps them; the last answer is given for ever."""

    answers: list[httpx.Response | Exception]
    seen: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.seen]


def watcher(
    service: httpx.AsyncBaseTransport | Service, clock: PassingClock | None = None, key: str = SECRET
) -> Talonic:
    clock = clock or PassingClock()
    transport = httpx.MockTransport(service) if isinstance(service, Service) else service
    client = httpx.AsyncClient(
        transport=transport, base_url=ENDPOINT, headers={"Authorization": f"Bearer {key}"}
    )
    limiter = many_turns(clock)
    return Talonic(client, endpoint=ENDPOINT, clock=clock, limiter=limiter, random=lambda: 0.5)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def gathered(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


def reply(status: int = 200, body: object = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        return httpx.Response(status, content=body, headers=named)
    return httpx.Response(status, json=body, headers=named)


def record(name: str = "b-1", **changes: Any) -> dict[str, object]:  # noqa: ANN401 - JSON
    return {
        "id": name,
        "status": "submitted",
        "provider": "anthropic",
        "item_count": 3,
        "succeeded_count": 0,
        "errored_count": 0,
        "expired_count": 0,
        "submitted_at": None,
        "completed_at": None,
        "error_message": None,
        "created_at": "2026-09-01T12:00:00.000Z",
        "updated_at": "2026-09-01T12:00:00.000Z",
        "links": {"self": "/v1/batches/b-1"},
    } | changes


def page(*items: dict[str, object], cursor: str | None = None, **pagination: Any) -> httpx.Response:  # noqa: ANN401 - JSON
    named = {"total": None, "limit": 100, "has_more": cursor is not None, "next_cursor": cursor} | pagination
    return reply(body={"data": list(items), "pagination": named})


SEEN = Watched(
    id=WatchedId(ENDPOINT, "b-1"),
    status=Status.PENDING,
    word="submitted",
    created_at=NOON,
    updated_at=NOON,
    counts=FileCounts(3, 0),
)


# --- over the stand-in ---


class StandIn(TalonicStand):
    """The stand-in, and its watcher."""

    def __init__(self, folder: Path, **pace: object) -> None:
        super().__init__(folder, key=SECRET, **pace)
        self.watcher = watcher(self.transport)

    def seen(self) -> list[Watched]:
        return run(gathered(self.watcher.watch(datetime(2020, 1, 1, tzinfo=UTC), ())))


def test_it_is_a_watcher_and_cannot_create(tmp_path: Path) -> None:
    there: Watcher = StandIn(tmp_path).watcher
    assert there.endpoint == ENDPOINT
    assert not hasattr(there, "create")  # R16


def test_a_batch_is_watched_from_its_first_document_to_its_items(tmp_path: Path) -> None:
    service = StandIn(tmp_path)
    service.ingest("a", "b")
    [gathering] = service.seen()
    assert (gathering.word, gathering.status, gathering.counts) == (
        "accumulating",
        Status.PENDING,
        FileCounts(2, 0),
    )
    assert run(service.watcher.outcomes(gathering.id.id)) is None

    service.ingest("c")
    assert run(service.watcher.watched(gathering.id.id)).word == "submitted"
    service.advance(hours=1)
    done = run(service.watcher.watched(gathering.id.id))
    assert (done.word, done.status, done.counts) == ("completed", Status.COMPLETED, FileCounts(3, 0))
    outcomes = run(service.watcher.outcomes(gathering.id.id))
    assert outcomes is not None
    assert sorted((item.name, item.status) for item in outcomes) == [
        ("a.txt", FileStatus.SUCCEEDED),
        ("b.txt", FileStatus.SUCCEEDED),
        ("c.txt", FileStatus.SUCCEEDED),
    ]
    assert [item.file for item in outcomes] == sorted(item.file for item in outcomes)


def test_a_refresh_has_the_service_look_before_its_poll(tmp_path: Path) -> None:
    service = StandIn(tmp_path, turnaround=60_000_000)
    service.ingest("a", "b", "c")
    [batch] = service.seen()
    service.advance(minutes=5)  # the provider is done, and the next poll is in 55 minutes
    assert run(service.watcher.watched(batch.id.id)).word == "submitted"
    assert run(service.watcher.refresh(batch.id.id)).word == "completed"


def test_items_that_errored_or_expired_have_failed(tmp_path: Path) -> None:
    service = StandIn(tmp_path, failing_items=0.5, expiring_items=0.5)
    service.ingest("a", "b", "c")
    service.advance(hours=50)
    [batch] = service.seen()
    assert batch.counts == FileCounts(3, 3)
    outcomes = run(service.watcher.outcomes(batch.id.id))
    assert outcomes is not None
    assert {item.status for item in outcomes} == {FileStatus.FAILED}
    assert all(item.error for item in outcomes)


def test_since_and_statuses_choose_from_the_whole_list(tmp_path: Path) -> None:
    service = StandIn(tmp_path)
    for index in range(3):
        service.ingest(*(f"{index}-{name}" for name in "abc"))
        service.advance(minutes=30)
    service.ingest("last")
    batches = sorted(service.seen(), key=lambda item: item.created_at or NOON)
    assert [item.word for item in batches] == ["completed", "completed", "submitted", "accumulating"]
    since = batches[1].created_at
    later = run(gathered(service.watcher.watch(since, ())))
    assert {item.id for item in later} == {item.id for item in batches[1:]}  # at that very time too
    waiting = run(gathered(service.watcher.watch(None, ["Accumulating", "in_progress"])))
    assert [item.id for item in waiting] == [batches[3].id]


def test_what_the_service_does_not_know_or_does_not_let_in_is_an_error(tmp_path: Path) -> None:
    service = StandIn(tmp_path)
    for call in (service.watcher.watched, service.watcher.refresh, service.watcher.outcomes):
        with pytest.raises(NotFoundError, match="not found"):
            run(call("00000000-0000-0000-0000-000000000000"))
    stranger = watcher(service.transport, key="tlnc_another_key")
    with pytest.raises(AuthenticationError, match="A valid API key is required"):
        run(gathered(stranger.watch(None, ["submitted"])))


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_is_no_id_is_not_asked_for(name: str) -> None:
    service = Service([reply(body=record())])
    with pytest.raises(NotFoundError):
        run(watcher(service).watched(name))
    assert service.seen == []


# --- statuses and counts ---


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("accumulating", Status.PENDING),
        ("submitted", Status.PENDING),
        ("in_progress", Status.RUNNING),
        ("completed", Status.COMPLETED),
        ("failed", Status.FAILED),
        ("expired", Status.FAILED),
        ("cancelled", Status.CANCELLED),
        ("COMPLETED", Status.COMPLETED),
        ("archived", Status.OTHER),
    ],
)
def test_every_status_keeps_its_word_and_one_of_ours_stands_for_it(word: str, status: Status) -> None:
    seen = run(watcher(Service([reply(body=record(status=word))])).watched("b-1"))
    assert (seen.word, seen.status) == (word, status)
    assert Status.OTHER.terminal is False


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, FileCounts(3, 0)),
        ({"errored_count": 1, "expired_count": 1}, FileCounts(3, 2)),
        ({"errored_count": None, "expired_count": None}, FileCounts(3, 0)),
        ({"item_count": None, "errored_count": 1}, None),
        ({"item_count": 1, "errored_count": 3}, FileCounts(1, 1)),  # of different moments
    ],
)
def test_errored_and_expired_items_count_as_failed(
    counts: dict[str, Any], expected: FileCounts | None
) -> None:
    assert run(watcher(Service([reply(body=record(**counts))])).watched("b-1")).counts == expected


# --- items ---


def test_items_that_lack_after_the_end_are_asked_for_a_few_times() -> None:
    done = record(status="completed")
    item = {"id": "i-2", "document_id": "d", "document_filename": None, "status": "failed"}
    clock = PassingClock()
    service = Service([reply(body=done), reply(body=done | {"items": [item, item | {"id": "i-1"}]})])
    assert run(watcher(service, clock).outcomes("b-1")) == (
        FileOutcome(file="i-1", status=FileStatus.FAILED, error="the item is failed"),
        FileOutcome(file="i-2", status=FileStatus.FAILED, error="the item is failed"),
    )
    assert clock.slept == [talonic.ITEMS_PAUSE]
    never = Service([reply(body=done | {"items": None})])
    assert run(watcher(never).outcomes("b-1")) is None
    assert len(never.seen) == ITEMS_TRIES
    running = Service([reply(body=record())])
    assert run(watcher(running).outcomes("b-1")) is None
    assert len(running.seen) == 1


def test_an_item_of_a_status_that_nobody_knows_is_unknown() -> None:
    items = [{"id": "i", "status": "paused", "document_filename": "a.pdf"}]
    service = Service([reply(body=record(status="completed", items=items))])
    assert run(watcher(service).outcomes("b-1")) == (
        FileOutcome(file="i", status=FileStatus.UNKNOWN, name="a.pdf"),
    )


# --- listings (O5) ---


def test_a_listing_is_read_to_its_last_cursor_over_empty_pages() -> None:
    pages = [page(record("b-1"), cursor="c1"), page(cursor="c2"), page(record("b-2"))]
    service = Service([*pages])
    found = run(gathered(watcher(service).watch(None, ["submitted"])))
    assert [item.id.id for item in found] == ["b-1", "b-2"]
    assert service.lines == [
        "GET /v1/batches?limit=100&order=desc",
        "GET /v1/batches?limit=100&order=desc&cursor=c1",
        "GET /v1/batches?limit=100&order=desc&cursor=c2",
    ]


def test_reading_since_a_time_ends_where_all_is_older_but_only_in_a_list_that_is_sorted() -> None:
    old, new = "2026-08-01T00:00:00Z", "2026-09-02T00:00:00Z"
    tail = page(record("b-9", created_at=new))
    in_order = [
        page(record("b-1", created_at=new), cursor="c1"),
        page(record("b-2", created_at=old), cursor="c2"),
    ]
    service = Service([*in_order, tail])
    assert [item.id.id for item in run(gathered(watcher(service).watch(NOON, ())))] == ["b-1"]
    assert len(service.seen) == 2
    first = page(record("b-0", created_at=old), record("b-1", created_at=new), cursor="c1")
    shuffled = Service([first, in_order[1], tail])
    found = run(gathered(watcher(shuffled).watch(NOON, ())))
    assert [item.id.id for item in found] == ["b-1", "b-9"]  # it was read to its end


def test_a_batch_that_does_not_say_when_it_was_created_is_not_left_out() -> None:
    service = Service([page(record("b-1", created_at=None))])
    assert [item.id.id for item in run(gathered(watcher(service).watch(NOON, ())))] == ["b-1"]


def test_a_cursor_that_repeats_is_an_error_and_never_an_end() -> None:
    service = Service([page(record("b-1"), cursor="c1"), page(record("b-2"), cursor="c1")])
    with pytest.raises(UnexpectedReplyError, match="repeats a page token"):
        run(gathered(watcher(service).watch(None, ["submitted"])))


def test_pages_with_nothing_new_do_not_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MOST_BARREN", 5)
    endless = Service([page(cursor=f"c{index}") for index in range(20)])
    with pytest.raises(UnexpectedReplyError, match="5 pages in a row with nothing new"):
        run(gathered(watcher(endless).watch(None, ["submitted"])))
    assert len(endless.seen) == 5


def test_a_listing_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MOST_PAGES", 4)
    endless = Service([page(record(f"b-{index}"), cursor=f"c{index}") for index in range(20)])
    with pytest.raises(UnexpectedReplyError, match="did not end after 4 pages"):
        run(gathered(watcher(endless).watch(None, ["submitted"])))


def test_an_id_that_comes_twice_in_no_order_is_read_again_and_then_given_up() -> None:
    mixed = [
        page(record("b-1", created_at="2026-09-01T00:00:00Z"), record("b-2"), cursor="c1"),
        page(record("b-1", created_at="2026-09-01T00:00:00Z")),
    ]
    good = [page(record("b-1"), cursor="c1"), page(record("b-2"))]
    again = Service([*mixed, *good])
    found = run(gathered(watcher(again).watch(None, ["submitted"])))
    assert [item.id.id for item in found] == ["b-1", "b-2"]
    with pytest.raises(UnexpectedReplyError, match="b-1 twice, in no order"):
        run(gathered(watcher(Service([*mixed, *mixed])).watch(None, ["submitted"])))


def test_a_listing_that_shows_less_than_it_counts_is_read_once_more_and_then_taken() -> None:
    """One that moved to a page which was read before is shown by neither."""
    first = [page(record("b-1"), cursor="c1", total=3), page(record("b-3"), total=3)]
    again = [page(record("b-1"), record("b-2"), cursor="c1", total=3), page(record("b-3"), total=3)]
    service = Service([*first, *again])
    found = run(gathered(watcher(service).watch(None, ["submitted"])))
    assert [item.id.id for item in found] == ["b-1", "b-2", "b-3"]
    counted_otherwise = Service([*first, *first])
    found = run(gathered(watcher(counted_otherwise).watch(None, ["submitted"])))
    assert [item.id.id for item in found] == ["b-1", "b-3"]
    assert len(counted_otherwise.seen) == 4


def test_a_batch_that_moved_a_page_on_is_one_batch_as_it_was_shown_last() -> None:
    service = Service([page(record("b-1"), cursor="c1"), page(record("b-1", status="in_progress"))])
    found = run(gathered(watcher(service).watch(None, ["submitted", "in_progress"])))
    assert [(item.id.id, item.word) for item in found] == [("b-1", "in_progress")]


@pytest.mark.parametrize(
    "pagination",
    [{"has_more": True, "next_cursor": None}, {"has_more": True, "next_cursor": ""}],
)
def test_more_without_a_way_there_is_an_error(pagination: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedReplyError, match="there is more, and no cursor that leads there"):
        run(gathered(watcher(Service([page(record(), **pagination)])).watch(None, ["submitted"])))


@pytest.mark.parametrize("body", [{"data": [record()]}, {"data": [record()], "pagination": None}])
def test_a_list_without_pagination_is_one_page(body: object) -> None:
    assert run(gathered(watcher(Service([reply(body=body)])).watch(None, ["submitted"]))) == [SEEN]


# --- replies that do not fit ---


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "expected JSON, got nothing"),
        (b"<html>", "expected JSON, got '<html>'"),
        (b"[" * 100_000, "nested too deeply"),
        ([], "expected an object, got a list"),
        (record(id=None), "id: expected text, got null"),
        (record(id=""), "id: expected an id, got empty text"),
        (record(id="b\x1b[2J"), "id: expected an id"),
        (record(status=None), "status: expected text, got null"),
        (record(status=7), "status: expected text, got 7"),
        (record(item_count="3"), "item_count: expected a count"),
        (record(item_count=-1), "item_count: expected a count, got -1"),
        (record(item_count=True), "item_count: expected a count, got true"),
        (record(created_at="yesterday"), "created_at: expected an RFC 3339 time"),
    ],
)
def test_a_reply_outside_of_the_contract_is_named_by_its_field(body: object, why: str) -> None:
    with pytest.raises(UnexpectedReplyError) as raised:
        run(watcher(Service([reply(body=body)])).watched("b-1"))
    assert why in str(raised.value)


def test_a_reply_about_something_else_is_no_reply() -> None:
    other = Service([reply(body=record("b-2"))])
    for call in (watcher(other).watched, watcher(other).refresh, watcher(other).outcomes):
        with pytest.raises(UnexpectedReplyError, match=r"about something else.*b-2"):
            run(call("b-1"))


def test_ids_travel_as_one_segment() -> None:
    service = Service([reply(body=record("a/b?c#d"))])
    run(watcher(service).watched("a/b?c#d"))
    assert service.lines == ["GET /v1/batches/a%2Fb%3Fc%23d"]


# --- refusals ---

_CAPITALS = {"statusCode": 404, "code": "RESOURCE_NOT_FOUND", "error": "Not Found", "message": "No batch b"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (404, _CAPITALS, NotFoundError, "No batch b"),
        (404, {"code": "not_found"}, NotFoundError, "not_found"),
        (404, {"error": {"code": "not_found", "message": "No batch"}}, NotFoundError, "No batch"),
        (404, {"error": "not_found"}, NotFoundError, "not_found"),
        (401, {"error": "unauthorized"}, AuthenticationError, "unauthorized"),
        (401, b"", AuthenticationError, "Unauthorized"),
        (307, b"", UnexpectedReplyError, "redirects"),
    ],
)
def test_both_shapes_of_errors_are_understood(
    status: int, body: object, kind: type[ServiceError], said: str
) -> None:
    service = Service([reply(status, body)])
    with pytest.raises(kind, match=said):
        run(watcher(service).watched("b-1"))
    assert len(service.seen) == 1


def test_the_key_is_in_no_error() -> None:
    service = Service([reply(401, {"message": f"Invalid key {SECRET}"}, x_request_id=SECRET)])
    with pytest.raises(AuthenticationError) as raised:
        run(watcher(service).watched("b-1"))
    assert SECRET not in f"{raised.value} {raised.value.request_id}"


@pytest.mark.parametrize(
    ("refusal", "tries"),
    [
        (reply(503, {"code": "INTERNAL_ERROR", "retryable": True}), 5),
        (reply(503, b"<html>"), 5),
        (reply(503, {"code": "INTERNAL_ERROR", "retryable": False}), 1),
        (reply(409, {"code": "CONFLICT", "retryable": True}), 5),
        (reply(409, {"error": {"code": "conflict", "retryable": True}}), 5),
        (reply(409, {"code": "CONFLICT", "retryable": "yes"}), 1),
        (reply(429, {"code": "rate_limited", "retryable": False}), 5),
        (httpx.ConnectError("no"), 5),
        (httpx.ReadTimeout("no"), 5),
    ],
)
def test_the_service_says_itself_what_is_worth_another_try(
    refusal: httpx.Response | Exception, tries: int
) -> None:
    service = Service([refusal])
    with pytest.raises(ServiceError):
        run(watcher(service).watched("b-1"))
    assert len(service.seen) == tries


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"retry_after": "7"}, 7),
        ({"x_ratelimit_reset": "1788264020"}, 20),
        ({"x_ratelimit_reset": "1788264020.5"}, 20.5),
        ({"x_ratelimit_reset": "2026-09-01T12:00:30Z"}, 30),
        ({"x_ratelimit_reset": "2026-09-01T14:00:30+02:00"}, 30),
        ({"retry_after": "7", "x_ratelimit_reset": "1788264020"}, 7),
        ({"x_ratelimit_reset": "1788263000"}, 0),  # it is past
    ],
)
def test_a_429_is_waited_for_as_told(headers: dict[str, str], waited: float) -> None:
    clock = PassingClock()
    refused = reply(429, {"code": "RATE_LIMITED"}, date="Tue, 01 Sep 2026 12:00:00 GMT", **headers)
    service = Service([refused, reply(body=record())])
    assert run(watcher(service, clock).watched("b-1")) == SEEN
    assert waited <= sum(clock.slept) <= waited + 1


@pytest.mark.parametrize("reset", ["soon", "7", "99999999999999", "", "NaN", "9999999999"])
def test_a_reset_that_makes_no_sense_is_passed_over_or_too_far(reset: str) -> None:
    clock = PassingClock()
    service = Service([reply(429, {}, x_ratelimit_reset=reset)])
    with pytest.raises(RateLimitedError):
        run(watcher(service, clock).watched("b-1"))
    assert sum(clock.slept) < 120


def test_a_reset_on_a_good_reply_is_no_pause() -> None:
    clock = PassingClock()
    service = Service([reply(body=record(), x_ratelimit_reset="1788264020", x_ratelimit_remaining="0")])
    assert run(watcher(service, clock).watched("b-1")) == SEEN
    assert clock.slept == []


def test_a_reset_on_a_failure_says_nothing_of_when_it_is_over() -> None:
    clock = PassingClock()
    failed = reply(503, b"", date="Tue, 01 Sep 2026 12:00:00 GMT", x_ratelimit_reset="1788264500")
    assert run(watcher(Service([failed, reply(body=record())]), clock).watched("b-1")) == SEEN
    assert sum(clock.slept) < 2


# --- refresh ---


def test_a_sync_may_answer_anything_and_the_batch_is_read_after_it() -> None:
    for answered in (reply(202, b""), reply(200, {"ok": True}), reply(400, {"message": "accumulating"})):
        service = Service([answered, reply(body=record())])
        assert run(watcher(service).refresh("b-1")) == SEEN
        assert service.lines == ["POST /v1/batches/b-1/sync", "GET /v1/batches/b-1"]


def test_a_sync_that_is_not_answered_is_an_error() -> None:
    with pytest.raises(UnavailableError):
        run(watcher(Service([reply(500, b"")])).refresh("b-1"))
    assert set(talonic_wire.STATUSES.values()) == set(Status) - {Status.THROTTLED, Status.OTHER}
