"""LlamaCloud's calls over small services in this process: requests as sent, replies as understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from provider_limiter import PassingClock, many_turns

from reconciler.adapters.providers import llamacloud
from reconciler.adapters.providers.connection import connect
from reconciler.adapters.providers.llamacloud import LlamaCloud
from reconciler.model.batch import (
    Batch,
    Configuration,
    Directory,
    DirectoryFile,
    FileResult,
    JobType,
    Key,
    Status,
)
from reconciler.model.errors import (
    AuthenticationError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    PaymentError,
    RateLimitedError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)
from reconciler.model.intent import Created, NotSent, Rejected, SendOutcome, Throttled, Unanswered
from reconciler.model.ports import Creator, Listing, Page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")
Handler = Callable[[httpx.Request], httpx.Response]

ENDPOINT = "https://api.cloud.llamaindex.ai"
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
KEY = Key(ENDPOINT, "prj-1", "dir-1", JobType.PARSE_V2, "cfg-1")
SECRET = "llx-marked-key-never-shown"


@dataclass
class Service:
    """Answers requests one after the other and keeps them; an answer may be an error of the network."""

    answers: list[httpx.Response | Exception]
    seen: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.seen]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def cloud(handler: Handler, clock: PassingClock | None = None, **settings: Any) -> LlamaCloud:  # noqa: ANN401 - passed on
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(handler),
        base_url=ENDPOINT,
        headers={"Authorization": f"Bearer {SECRET}"},
    )
    given = {"project": None, "organization": None, "settle": 30.0} | settings
    clock = clock or PassingClock()
    limiter = many_turns(clock)
    return LlamaCloud(client, endpoint=ENDPOINT, clock=clock, random=lambda: 0.5, limiter=limiter, **given)


def reply(status: int = 200, body: object = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        return httpx.Response(status, content=body, headers=named)
    return httpx.Response(status, json=body, headers=named)


def record(**changes: object) -> dict[str, object]:
    return {
        "id": "bat-1",
        "config": {"job": {"type": "parse_v2", "configuration_id": "cfg-1"}},
        "project_id": "prj-1",
        "source_directory_id": "dir-1",
        "status": "PENDING",
        "created_at": "2026-09-01T10:00:00.5Z",
        "updated_at": None,
        "results": None,
    } | changes


BATCH = Batch("bat-1", KEY, Status.PENDING, datetime(2026, 9, 1, 10, 0, 0, 500000, tzinfo=UTC), None)


async def gathered(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


def test_it_is_a_creator() -> None:
    creator: Creator = cloud(Service([]))
    assert (creator.endpoint, creator.settle, creator.clock) == (ENDPOINT, 30.0, None)


# --- create (C4) ---


def test_a_create_is_one_post_with_the_work_and_its_webhooks() -> None:
    service = Service([reply(201, record(), x_request_id="req-7")])
    inline = MappingProxyType({"webhook_url": "https://example.test", "webhook_events": ["batch.success"]})
    provider = cloud(service, project="prj-1", organization="org-1")
    assert run(provider.create(KEY, ["whc-1", inline])) == Created(BATCH, "req-7")
    assert service.lines == ["POST /api/v2/batches?project_id=prj-1&organization_id=org-1"]
    assert json.loads(service.seen[0].content) == {
        "source_directory_id": "dir-1",
        "config": {"job": {"type": "parse_v2", "configuration_id": "cfg-1"}},
        "webhook_configuration_ids": ["whc-1"],
        "webhook_configurations": [dict(inline)],
    }
    assert service.seen[0].headers["content-type"] == "application/json"


def test_a_create_names_the_project_that_was_planned_for_even_where_none_is_configured() -> None:
    service = Service([reply(200, record())])
    run(cloud(service).create(KEY, []))
    assert service.lines == ["POST /api/v2/batches?project_id=prj-1"]
    assert json.loads(service.seen[0].content) == {
        "source_directory_id": "dir-1",
        "config": {"job": {"type": "parse_v2", "configuration_id": "cfg-1"}},
    }


def test_a_webhook_that_is_neither_an_id_nor_a_mapping_is_refused_before_anything_is_sent() -> None:
    service = Service([])
    with pytest.raises(TypeError, match="a webhook cannot hold a datetime"):
        run(cloud(service).create(KEY, [{"webhook_url": NOON}]))
    assert service.seen == []


WHERE = f"POST {ENDPOINT}/api/v2/batches"


def unreached(why: str) -> NotSent:
    return NotSent(f"{WHERE}: the service cannot be reached: {why}")


def unanswered(why: str) -> Unanswered:
    return Unanswered(f"{WHERE}: the service did not answer: {why}")


def unread(status: int, why: str) -> Unanswered:
    return Unanswered(f"{status}, but {WHERE}: the reply does not fit the contract: {why}")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            reply(200, record(source_directory_id="dir-2")),
            Created(Batch("bat-1", KEY._replace(directory="dir-2"), Status.PENDING, BATCH.created_at)),
        ),
        (reply(400, {"detail": "no"}), Rejected(400, "no", final=False)),
        (
            reply(401, {"detail": f"Invalid API key {SECRET}"}),
            Rejected(401, "Invalid API key [secret]", final=True),
        ),
        (reply(402, {"detail": {"message": "needs Pro"}}), Rejected(402, "needs Pro", final=True)),
        (reply(403, b"", x_request_id="r1"), Rejected(403, "Forbidden", final=True, request_id="r1")),
        (reply(404, {"detail": "no such directory"}), Rejected(404, "no such directory", final=False)),
        (
            reply(422, {"detail": [{"loc": ["body", "config"], "msg": "field required", "type": "missing"}]}),
            Rejected(422, "body.config: field required", final=False),
        ),
        (reply(429, {"detail": "slow"}, retry_after="90"), Throttled(90.0, "slow")),
        (reply(429, {"detail": "slow"}), Throttled(None, "slow")),
        (
            httpx.ConnectError("Name or service not known"),
            unreached("ConnectError: Name or service not known"),
        ),
        (httpx.ConnectTimeout(""), unreached("ConnectTimeout")),
        (httpx.PoolTimeout(""), unreached("PoolTimeout")),
        (
            httpx.ProxyError("407 Proxy Authentication Required"),
            unreached("ProxyError: 407 Proxy Authentication Required"),
        ),
        (httpx.UnsupportedProtocol("x"), unreached("UnsupportedProtocol: x")),
        (httpx.ReadTimeout(""), unanswered("ReadTimeout")),
        (httpx.WriteTimeout(""), unanswered("WriteTimeout")),
        (httpx.WriteError("broken pipe"), unanswered("WriteError: broken pipe")),
        (httpx.ReadError("reset"), unanswered("ReadError: reset")),
        (httpx.LocalProtocolError("too little data"), unanswered("LocalProtocolError: too little data")),
        (httpx.RemoteProtocolError("gone"), unanswered("RemoteProtocolError: gone")),
        (ConnectionResetError("reset"), unanswered("ConnectionResetError: reset")),
        (
            ZeroDivisionError("a defect of an embedded service"),
            Unanswered("/api/v2/batches: ZeroDivisionError"),
        ),
        (reply(408, {"detail": "late"}), Unanswered(f"{WHERE}: the service gave up waiting (408): late")),
        (
            reply(409, {"detail": "conflict"}),
            Unanswered(f"{WHERE}: the service refused the request (409): conflict"),
        ),
        (reply(405, b""), Unanswered(f"{WHERE}: the service refused the request (405): Method Not Allowed")),
        (
            reply(502, b"<html>Bad\x1b[2JGateway</html>", cf_ray="ray-1"),
            Unanswered(f"{WHERE}: the service failed (502): <html>Bad\\x1b[2JGateway</html> (request ray-1)"),
        ),
        (
            reply(307, b"", location="https://elsewhere.test/x"),
            Unanswered(
                f"{WHERE}: the service redirects elsewhere (307): "
                "to https://elsewhere.test/x, and redirects are not followed"
            ),
        ),
        (reply(200, b"{"), unread(200, "expected JSON, got '{'")),
        (reply(204, b""), unread(204, "expected JSON, got nothing")),
        (reply(201, {"id": "bat-1"}), unread(201, "project_id: expected text, got nothing")),
        (reply(201, b"x", content_encoding="br"), None),
    ],
)
def test_what_becomes_of_a_create(answer: httpx.Response | Exception, outcome: SendOutcome | None) -> None:
    clock, service = PassingClock(), None
    if outcome is None:
        # httpx unpacks what a test brings whole, so this body has to come as a stream.
        answer = httpx.Response(201, stream=Stream([b"x"]), headers={"content-encoding": "br"})
        outcome = Unanswered(
            f"{WHERE}: the reply cannot be unpacked: it is packed as br, which was not asked for"
        )
    service = Service([answer])
    assert run(cloud(service, clock).create(KEY, [])) == outcome
    assert len(service.seen) == 1
    assert clock.slept == []


def test_a_cancelled_create_is_cancelled_and_not_an_outcome() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def scenario() -> None:
        provider = cloud(never)  # type: ignore[arg-type] # MockTransport takes coroutines too
        task = asyncio.ensure_future(provider.create(KEY, []))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(scenario())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        (" 90 ", 90.0),
        ("-5", 0.0),
        ("Tue, 01 Sep 2026 12:02:00 GMT", 120.0),
        ("Tue, 01 Sep 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        ("9" * 5000, None),
        ("Tue, 99 Sep 2026 12:02:00 GMT", None),
    ],
)
def test_how_long_a_throttled_create_has_to_wait(header: str, seconds: float | None) -> None:
    dated = [(b"date", b"Tue, 01 Sep 2026 12:00:00 GMT"), (b"retry-after", header.encode())]
    answer = httpx.Response(429, json={"detail": "slow"}, headers=dated)
    assert run(cloud(Service([answer])).create(KEY, [])) == Throttled(seconds, "slow")


def test_a_refusal_stands_even_where_its_text_is_lost() -> None:
    class Torn(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"not the who"
            raise httpx.ReadError("reset")

    answer = httpx.Response(422, stream=Torn())
    assert run(cloud(Service([answer])).create(KEY, [])) == Rejected(422, "not the who", final=False)


# --- observing ---


def test_a_listing_sends_every_filter_with_plus_signs_encoded() -> None:
    service = Service([reply(200, {"items": [], "next_page_token": "a+b/c="})])
    half_past = datetime.fromisoformat("2026-09-01T14:30:00+02:30")
    listing = Listing("dir+1", Status.FAILED, half_past, datetime(2026, 9, 2, 0, 0, 0, 7, tzinfo=UTC))
    found = run(cloud(service, project="prj-1", organization="org-1").list_page(listing, "t+1"))
    assert found == Page((), "a+b/c=", 1000.0)
    path, _, query = service.lines[0].partition("?")
    assert path == "GET /api/v2/batches"
    assert query.split("&") == [
        "source_directory_id=dir%2B1",
        "status=FAILED",
        "created_at_on_or_after=2026-09-01T12%3A00%3A00Z",
        "created_at_on_or_before=2026-09-02T00%3A00%3A00.000007Z",
        "page_size=100",
        "page_token=t%2B1",
        "project_id=prj-1",
        "organization_id=org-1",
    ]


def test_batches_of_other_directories_are_dropped_from_a_directorys_listing() -> None:
    items = [record(), record(id="bat-2", source_directory_id="dir-2"), record(id="bat-3", status="PAUSED")]
    service = Service([reply(200, {"items": items}), reply(200, {"items": items, "next_page_token": ""})])
    provider = cloud(service)
    other = Batch("bat-3", KEY, Status.OTHER, BATCH.created_at)
    foreign = Batch("bat-2", KEY._replace(directory="dir-2"), Status.PENDING, BATCH.created_at)
    assert run(provider.list_page(Listing(directory="dir-1"), None)) == Page((BATCH, other), None, 1000.0)
    assert run(provider.list_page(Listing(), None)) == Page((BATCH, foreign, other), None, 1000.0)


def test_a_job_type_of_the_future_is_left_out_of_a_scan_but_not_of_a_proof_of_absence() -> None:
    body = {"items": [record(config={"job": {"type": "split_v9", "configuration_id": "c"}}), record()]}
    service = Service([reply(200, body), reply(200, body)])
    provider = cloud(service)
    assert run(provider.list_page(Listing(), None)) == Page((BATCH,), None, 1000.0)
    with pytest.raises(UnexpectedReplyError) as caught:
        run(provider.list_page(Listing(directory="dir-1"), None))
    assert str(caught.value) == (
        f"GET {ENDPOINT}/api/v2/batches: the reply does not fit the contract: "
        'items[0].config.job.type: this version does not know the job type "split_v9"'
    )


def test_a_reply_about_another_batch_or_directory_is_none() -> None:
    other = {"id": "dir-2", "name": "a", "project_id": "prj-1"}
    provider = cloud(Service([reply(200, record(id="bat-2")), reply(200, other)]))
    for work in (provider.get("bat-1"), provider.directory("dir-1")):
        with pytest.raises(UnexpectedReplyError, match=r"something else: it names (bat|dir)-2"):
            run(work)


def test_get_and_results() -> None:
    mapped = [
        {"source_directory_file_id": "dfl-1", "job_reference": {"id": "pjb-1", "type": "parse_v2"}},
        {"source_directory_file_id": "dfl-2", "job_reference": None, "error_message": "too large"},
    ]
    odd = reply(200, record(id="bat/1?x"))
    service = Service([odd, reply(200, record(results=mapped)), reply(200, record())])
    provider = cloud(service)
    assert run(provider.get("bat/1?x")) == BATCH._replace(id="bat/1?x")
    assert run(provider.results("bat-1")) == (
        FileResult("dfl-1", "pjb-1", None, "parse_v2"),
        FileResult("dfl-2", None, "too large"),
    )
    assert run(provider.results("bat-1")) is None
    assert service.lines == [
        "GET /api/v2/batches/bat%2F1%3Fx",
        "GET /api/v2/batches/bat-1?expand=results",
        "GET /api/v2/batches/bat-1?expand=results",
    ]


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_an_id_that_would_name_something_else_is_not_asked_for(identifier: str) -> None:
    service = Service([])
    with pytest.raises(NotFoundError, match=r"is no id$"):
        run(cloud(service).get(identifier))
    assert service.seen == []


def test_directories_and_files_are_paged_to_the_last_token() -> None:
    directory = {
        "id": "dir-1",
        "name": "invoices",
        "project_id": "prj-1",
        "expires_at": "2026-10-01T00:00:00Z",
    }
    gone = {"id": "dir-0", "name": "invoices", "project_id": "prj-1", "deleted_at": "2026-01-01T00:00:00Z"}
    file = {"id": "dfl-1", "display_name": "a.pdf", "updated_at": "2026-08-01T00:00:00+02:00"}
    service = Service(
        [
            reply(200, directory),
            reply(200, {"items": [], "next_page_token": "t1"}),
            reply(200, {"items": [file], "next_page_token": "t2"}),
            reply(200, {"items": [{"id": "dfl-2"}, {"id": "dfl-3", "deleted_at": "2026-01-01T00:00:00Z"}]}),
            reply(200, {"items": [directory, gone, directory | {"id": "dir-2", "name": "invoices-old"}]}),
        ]
    )
    provider = cloud(service)
    found = Directory("dir-1", "invoices", "prj-1", None, datetime(2026, 10, 1, tzinfo=UTC))
    assert run(provider.directory("dir-1")) == found
    assert run(gathered(provider.files("dir-1"))) == [
        DirectoryFile("dfl-1", "a.pdf", datetime(2026, 7, 31, 22, tzinfo=UTC)),
        DirectoryFile("dfl-2", "dfl-2", None),
    ]
    assert run(gathered(provider.directories("invoices"))) == [found]
    assert service.lines == [
        "GET /api/v1/beta/directories/dir-1",
        "GET /api/v1/beta/directories/dir-1/files?page_size=100",
        "GET /api/v1/beta/directories/dir-1/files?page_size=100&page_token=t1",
        "GET /api/v1/beta/directories/dir-1/files?page_size=100&page_token=t2",
        "GET /api/v1/beta/directories?name=invoices&page_size=100",
    ]


def test_a_page_token_that_repeats_is_an_error_and_no_end() -> None:
    tokens = iter(["a", "b", "a", "b"])
    handler = lambda _: reply(200, {"items": [], "next_page_token": next(tokens)})  # noqa: E731 - a service in a line
    with pytest.raises(UnexpectedReplyError, match=r"files: the listing repeats a page token$"):
        run(gathered(cloud(handler).files("dir-1")))


def test_a_listing_that_does_not_end_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llamacloud, "MOST_PAGES", 7)
    asked: list[str] = []

    def endless(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return reply(200, {"items": [], "next_page_token": f"t{len(asked)}"})

    with pytest.raises(UnexpectedReplyError, match=r"the listing did not end after 7 pages$"):
        run(gathered(cloud(endless).files("dir-1")))
    assert len(asked) == 7


def test_configurations() -> None:
    saved = {"id": "cfg-1", "name": "fields", "product_type": "extract_v2", "version": "2026-01-01T00:00:00Z"}
    page = {"items": [saved, saved | {"name": "fields2"}, saved | {"product_type": "parse_v2"}]}
    service = Service(
        [reply(200, saved), *(reply(s, {"detail": "?"}) for s in (404, 400, 422)), reply(200, page)]
    )
    provider = cloud(service)
    found = Configuration("cfg-1", "fields", "extract_v2", "2026-01-01T00:00:00Z")
    assert run(provider.configuration("cfg-1")) == found
    assert [run(provider.configuration("cfg-PARSE_AGENTIC")) for _ in range(3)] == [None] * 3
    assert run(gathered(provider.configurations("fields", "extract_v2"))) == [found]
    assert service.lines[-1] == (
        "GET /api/v1/beta/configurations?name=fields&product_type=extract_v2&page_size=100"
    )


# --- errors and tries (O6) ---

CHECK = "Check that the key belongs to this region and project"
NOT_FOLLOWED = "and redirects are not followed"
REFUSED = "the service refused the request"
UNFIT = "the reply does not fit the contract"


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (reply(400, {"detail": "bad"}), InvalidRequestError, f"{REFUSED} (400): bad"),
        (
            reply(401, {"message": "who?"}),
            AuthenticationError,
            f"the service does not accept the key (401): who?. {CHECK}",
        ),
        (
            reply(402, {"error": {"code": "plan"}}),
            PaymentError,
            "the account's plan or credits do not cover this (402): plan",
        ),
        (reply(403, {"detail": None}), ForbiddenError, 'the key may not do this (403): {"detail": null}'),
        (reply(404, []), NotFoundError, "the service does not know it (404): []"),
        (reply(409, "text"), InvalidRequestError, f"{REFUSED} (409): text"),
        (reply(418, b"a\r\n\tb"), InvalidRequestError, f"{REFUSED} (418): a b"),
        (
            reply(422, {"detail": [{"loc": ["query", "page_size", 0], "msg": "too big"}, {"msg": "odd"}]}),
            InvalidRequestError,
            f"{REFUSED} (422): query.page_size.0: too big; odd",
        ),
        (
            reply(302, b"", location=f"https://x.test/?k={SECRET}"),
            UnexpectedReplyError,
            f"the service redirects elsewhere (302): to https://x.test/?k=[secret], {NOT_FOLLOWED}",
        ),
        (reply(304, b""), UnexpectedReplyError, "the service redirects elsewhere (304): Not Modified"),
        (
            reply(777, b""),
            UnexpectedReplyError,
            "the service answered with a status that says nothing (777): no reason given",
        ),
        (
            reply(400, b"\xff" + b"y" * 1000),
            InvalidRequestError,
            f"{REFUSED} (400): \ufffd" + "y" * 298 + "…",
        ),
        (reply(400, b"[" * 100_000), InvalidRequestError, f"{REFUSED} (400): " + "[" * 299 + "…"),
        (reply(200, b"[" * 100_000), UnexpectedReplyError, f"{UNFIT}: the JSON is nested too deeply"),
        (reply(200, b"<html>"), UnexpectedReplyError, f"{UNFIT}: expected JSON, got '<html>'"),
        (reply(200, b"9" * 5000), UnexpectedReplyError, f"{UNFIT}: expected JSON, got '{'9' * 79}…'"),
    ],
)
def test_a_status_and_a_body_are_one_error(
    answer: httpx.Response, kind: type[ServiceError], message: str
) -> None:
    clock = PassingClock()
    with pytest.raises(ServiceError) as caught:
        run(cloud(Service([answer]), clock).get("bat-1"))
    assert str(caught.value) == f"GET {ENDPOINT}/api/v2/batches/bat-1: {message}"
    assert (type(caught.value), clock.slept) == (kind, [])
    assert caught.value.status == answer.status_code


def test_reads_are_tried_again_with_growing_jittered_waits() -> None:
    clock = PassingClock()
    failures: list[httpx.Response | Exception] = [
        httpx.ConnectError("no route"),
        reply(503, b""),
        httpx.ReadTimeout(""),
        reply(408, b""),
    ]
    service = Service([*failures, reply(200, record())])
    assert run(cloud(service, clock).get("bat-1")) == BATCH
    assert clock.slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (
            lambda: httpx.ConnectError("no route"),
            NotSentError,
            "the service cannot be reached: ConnectError: no route",
        ),
        (lambda: httpx.ReadError("reset"), UnavailableError, "the service did not answer: ReadError: reset"),
        (lambda: reply(500, {"detail": "oops"}), UnavailableError, "the service failed (500): oops"),
        (lambda: reply(429, {"detail": "slow"}), RateLimitedError, "too many requests (429): slow"),
    ],
)
def test_reads_are_given_up_after_five_tries(
    failure: Callable[[], httpx.Response | Exception], kind: type[ServiceError], message: str
) -> None:
    service = Service([failure() for _ in range(9)])
    with pytest.raises(ServiceError) as caught:
        run(cloud(service).get("bat-1"))
    assert len(service.seen) == 5
    assert str(caught.value) == (
        f"GET {ENDPOINT}/api/v2/batches/bat-1: {message}. Tried 5 times; run the command again later"
    )
    assert type(caught.value) is kind


def test_a_retry_after_is_obeyed_and_one_beyond_ten_minutes_is_not_waited_for() -> None:
    clock = PassingClock()
    service = Service(
        [
            reply(429, b"", retry_after="90"),
            reply(503, b"", retry_after="7"),
            reply(429, {"detail": "tomorrow"}, retry_after="86400", x_request_id="r9"),
        ]
    )
    with pytest.raises(RateLimitedError) as caught:
        run(cloud(service, clock).get("bat-1"))
    assert clock.slept == [90.5, 7.5]
    assert (caught.value.retry_after, caught.value.request_id) == (86400.0, "r9")


# --- cancel ---


def test_a_cancel_gives_the_reply() -> None:
    service = Service([reply(200, record(status="RUNNING"))])
    assert run(cloud(service, project="prj-1").cancel("bat-1")).status is Status.RUNNING
    assert service.lines == ["POST /api/v2/batches/bat-1/cancel?project_id=prj-1"]


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_a_refused_or_failed_cancel_of_a_terminal_batch_is_understood_by_looking(status: int) -> None:
    service = Service([reply(status, {"detail": "already done"}), reply(200, record(status="COMPLETED"))])
    assert run(cloud(service).cancel("bat-1")).status is Status.COMPLETED
    assert service.lines == ["POST /api/v2/batches/bat-1/cancel", "GET /api/v2/batches/bat-1"]


def test_a_cancel_that_came_to_nothing_is_not_sent_again() -> None:
    service = Service([httpx.ReadTimeout(""), reply(200, record(status="RUNNING"))])
    with pytest.raises(UnavailableError, match=r"cancel: the service did not answer: ReadTimeout$"):
        run(cloud(service).cancel("bat-1"))
    assert service.lines == ["POST /api/v2/batches/bat-1/cancel", "GET /api/v2/batches/bat-1"]


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_a_cancel_that_the_key_may_not_make_is_an_error_without_a_look(status: int) -> None:
    service = Service([reply(status, b"")])
    with pytest.raises(ServiceError):
        run(cloud(service).cancel("bat-1"))
    assert service.lines == ["POST /api/v2/batches/bat-1/cancel"]


def test_an_accepted_cancel_whose_reply_holds_no_batch_is_looked_at() -> None:
    service = Service([reply(202, b""), reply(200, record(status="CANCELLED"))])
    assert run(cloud(service).cancel("bat-1")).status is Status.CANCELLED


# --- the service's clock, and the embedded worker ---


def test_the_services_time_goes_on_with_the_monotonic_clock() -> None:
    clock = PassingClock()
    dated = reply(500, b"", date="Tue, 01 Sep 2026 12:00:00 GMT")
    service = Service([dated, reply(200, record(), date="nonsense")])
    provider = cloud(service, clock)
    run(provider.get("bat-1"))
    clock.at += 60
    # Half a second of it was slept between the two tries.
    assert provider.clock == datetime(2026, 9, 1, 12, 1, 0, 500000, tzinfo=UTC)


def test_working_gives_the_worker_s_check_inside_of_one_and_nothing_without_a_worker() -> None:
    seen: list[str] = []

    def check() -> None:
        seen.append("checked")

    @asynccontextmanager
    async def worker() -> AsyncIterator[Callable[[], None]]:
        seen.append("started")
        yield check
        seen.append("stopped")

    async def within(provider: LlamaCloud) -> Callable[[], None] | None:
        async with provider.working() as working:
            seen.append("inside")
            return working

    assert run(within(cloud(Service([])))) is None
    assert run(within(cloud(Service([]), worker=worker))) is check
    assert seen == ["inside", "started", "inside", "stopped"]


class Stream(httpx.AsyncByteStream):
    """A body in chunks, as a network brings it."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


def test_it_speaks_to_an_application_in_this_process() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own types
        message = await receive()
        assert json.loads(message["body"])["source_directory_id"] == "dir-1"
        seen.append((scope["method"], scope["path"], scope["query_string"]))
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(record()).encode()})

    async def scenario() -> SendOutcome:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            provider = LlamaCloud(
                client,
                endpoint="local:documents",
                project="local",
                organization=None,
                settle=0.0,
                clock=PassingClock(),
                random=lambda: 0.0,
                limiter=many_turns(),
            )
            return await provider.create(KEY, [])

    seen: list[tuple[str, str, bytes]] = []
    assert run(scenario()) == Created(
        Batch("bat-1", KEY._replace(endpoint="local:documents"), Status.PENDING, BATCH.created_at)
    )
    assert seen == [("POST", "/api/v2/batches", b"project_id=prj-1")]


def test_a_base_url_with_a_path_is_kept() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return reply(200, record())

    async def scenario() -> None:
        async with connect("https://gateway.test/llama", "llx-1") as made:
            client = httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url=made.base_url)
            provider = LlamaCloud(
                client,
                endpoint="e",
                project=None,
                organization=None,
                settle=0,
                clock=PassingClock(),
                random=float,
                limiter=many_turns(),
            )
            await provider.get("bat-1")

    run(scenario())
    assert asked == ["https://gateway.test/llama/api/v2/batches/bat-1"]
