"""What a real socket does to a request: everything that C4 tells apart happens here over loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from provider_limiter import many_turns
from provider_sockets import Connection, Serve, StillClock, answer, drip, serving

from reconciler.adapters.providers import bodies
from reconciler.adapters.providers.connection import connect
from reconciler.adapters.providers.llamacloud import LlamaCloud
from reconciler.model.batch import Batch, JobType, Key, Status
from reconciler.model.errors import LockLostError, ServiceError, UnavailableError, UnexpectedReplyError
from reconciler.model.intent import Created, NotSent, Rejected, SendOutcome, Unanswered, Withheld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = "llx-marked-key-never-shown"
KEY = Key("here", "prj-1", "dir-1", JobType.PARSE_V2, "cfg-1")
BATCH = Batch("bat-1", KEY, Status.PENDING)
BODY = json.dumps(
    {
        "id": "bat-1",
        "config": {"job": {"type": "parse_v2", "configuration_id": "cfg-1"}},
        "project_id": "prj-1",
        "source_directory_id": "dir-1",
        "status": "PENDING",
    }
).encode()


@asynccontextmanager
async def cloud(
    base_url: str, deadline: float = 60.0, read_timeout: float = 60.0
) -> AsyncIterator[LlamaCloud]:
    async with connect(base_url, SECRET, read_timeout=read_timeout) as client:
        yield LlamaCloud(
            client,
            endpoint="here",
            project=None,
            organization=None,
            settle=0,
            clock=StillClock(),
            random=lambda: 0.0,
            limiter=many_turns(),
            deadline=deadline,
        )


def create(serve: Serve, deadline: float = 60.0, read_timeout: float = 60.0) -> tuple[SendOutcome, int]:
    """What a create comes to, and how many connections were made for it."""

    async def scenario() -> tuple[SendOutcome, int]:
        async with serving(serve) as server, cloud(server.where, deadline, read_timeout) as provider:
            outcome = await provider.create(KEY, [])
            return outcome, len(server.accepted)

    return asyncio.run(scenario())


def read(serve: Serve, deadline: float = 60.0) -> tuple[Batch | ServiceError, int]:
    """What a read comes to, and how many connections were made for it."""

    async def scenario() -> tuple[Batch | ServiceError, int]:
        async with serving(serve) as server, cloud(server.where, deadline) as provider:
            try:
                return await provider.get("bat-1"), len(server.accepted)
            except ServiceError as error:
                return error, len(server.accepted)

    return asyncio.run(scenario())


WHERE = "POST here/api/v2/batches"


def test_a_service_that_answers_has_created_and_was_told_the_key() -> None:
    asked: list[bytes] = []

    async def serve(connection: Connection) -> None:
        asked.append(await connection.request())
        await connection.send(answer("201 Created", BODY, "X-Request-Id: req-1"))

    assert create(serve) == (Created(BATCH, "req-1"), 1)
    head = asked[0].split(b"\r\n")
    assert head[0] == b"POST /api/v2/batches?project_id=prj-1 HTTP/1.1"
    assert f"Authorization: Bearer {SECRET}".encode() in head


def test_nobody_listens_so_nothing_was_sent() -> None:
    async def scenario() -> SendOutcome:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
            async with cloud(f"http://127.0.0.1:{taken.getsockname()[1]}") as provider:
                return await provider.create(KEY, [])

    outcome = asyncio.run(scenario())
    assert outcome == NotSent(
        f"{WHERE}: the service cannot be reached: ConnectError: All connection attempts failed"
    )


def test_a_service_that_does_not_speak_tls_was_sent_nothing() -> None:
    heard: list[bytes] = []

    async def serve(connection: Connection) -> None:
        heard.append(await connection.reader.read(5))
        await connection.send(b"this is no TLS\r\n\r\n")

    async def scenario() -> SendOutcome:
        async with (
            serving(serve) as server,
            cloud(f"https://127.0.0.1:{server.port}") as provider,
        ):
            return await provider.create(KEY, [])

    outcome = asyncio.run(scenario())
    assert isinstance(outcome, NotSent)
    assert outcome.why.startswith(f"{WHERE}: the service cannot be reached: ConnectError: [SSL")
    assert heard[0][:2] == b"\x16\x03"  # a TLS handshake, and no request


def test_a_connection_that_closes_after_the_request_leaves_it_unanswered() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()

    why = "RemoteProtocolError: Server disconnected without sending a response."
    assert create(serve) == (Unanswered(f"{WHERE}: the service did not answer: {why}"), 1)


def test_a_reset_after_the_request_leaves_it_unanswered() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        connection.reset()

    assert create(serve) == (Unanswered(f"{WHERE}: the service did not answer: ReadError"), 1)


def test_c1_whether_it_may_go_is_asked_again_when_nothing_but_the_body_is_missing() -> None:
    """A connection may have been waited for meanwhile; headers alone can be carried out by nobody."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    answers = iter(["", "the look is too old"])

    async def serve(connection: Connection) -> None:
        heard.put_nowait(await connection.reader.read())

    async def scenario() -> tuple[SendOutcome, bytes]:
        async with serving(serve) as server, cloud(server.where) as provider:
            outcome = await provider.create(KEY, [], objection=lambda: next(answers))
            return outcome, await heard.get()

    outcome, sent = asyncio.run(scenario())
    assert outcome == Withheld("the look is too old")
    head, _, body = sent.partition(b"\r\n\r\n")
    assert (head.split()[0], body) == (b"POST", b"")
    assert b"Content-Length: 0" not in head


def test_c1_a_lock_that_is_lost_while_a_connection_is_made_stops_the_create() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    answers: list[Exception | None] = [None, LockLostError("the lease ran out")]

    def objection() -> str:
        if error := answers.pop(0):
            raise error
        return ""

    async def serve(connection: Connection) -> None:
        heard.put_nowait(await connection.reader.read())

    async def scenario() -> bytes:
        async with serving(serve) as server, cloud(server.where) as provider:
            with pytest.raises(LockLostError):
                await provider.create(KEY, [], objection=objection)
            return await heard.get()

    assert asyncio.run(scenario()).endswith(b"\r\n\r\n")


def test_silence_after_the_request_leaves_it_unanswered() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.reader.read()

    assert create(serve, read_timeout=0.05) == (
        Unanswered(f"{WHERE}: the service did not answer: ReadTimeout"),
        1,
    )


def test_a_reply_cut_off_in_its_body_leaves_it_unanswered() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer("201 Created", BODY[:40], length=len(BODY)))

    outcome, connections = create(serve)
    assert isinstance(outcome, Unanswered)
    assert outcome.why.startswith(f"{WHERE}: the service did not answer: RemoteProtocolError: peer closed")
    assert connections == 1


def test_truncated_json_leaves_it_unanswered() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer("201 Created", b'{"id": "ba'))

    why = 'the reply does not fit the contract: expected JSON, got \'{"id": "ba\''
    assert create(serve) == (Unanswered(f"201, but {WHERE}: {why}"), 1)


def test_a_refusal_cut_off_in_its_text_is_still_a_refusal() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer("422 Unprocessable", b"no such conf", length=100))

    assert create(serve) == (Rejected(422, "no such conf", final=False), 1)


def test_what_is_no_http_leaves_it_unanswered() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"\x00\x01 hello \xff\r\n\r\n")

    outcome, connections = create(serve)
    assert isinstance(outcome, Unanswered)
    assert "RemoteProtocolError: illegal status line" in outcome.why
    assert connections == 1


def test_a_reply_that_drips_in_for_ever_is_given_up_on() -> None:
    assert create(drip, deadline=0.1) == (
        Unanswered(f"{WHERE}: the service did not answer: TimeoutError"),
        1,
    )
    found, connections = read(drip, deadline=0.1)
    assert isinstance(found, UnavailableError)
    assert connections == 5


def test_a_body_without_end_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGEST_REPLY", 3 * 1024 * 1024)

    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    found, connections = read(serve)
    assert isinstance(found, UnexpectedReplyError)
    assert str(found) == "GET here/api/v2/batches/bat-1: the reply is too large: more than 3 MiB"
    assert connections == 1


def test_a_small_body_that_unpacks_into_a_huge_one_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGEST_REPLY", 1024 * 1024)
    bomb = gzip.compress(b" " * 100_000_000)

    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer("200 OK", bomb, "Content-Encoding: gzip"))

    found, _ = read(serve)
    assert str(found) == "GET here/api/v2/batches/bat-1: the reply is too large: more than 1 MiB"


def test_a_refusal_without_end_is_read_as_far_as_it_is_shown() -> None:
    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    found, _ = read(serve)
    shown = "x" * 299
    assert str(found) == f"GET here/api/v2/batches/bat-1: the service does not know it (404): {shown}…"


def test_a_packed_reply_is_unpacked_and_a_broken_one_is_named() -> None:
    async def packed(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer("200 OK", gzip.compress(BODY), "Content-Encoding: gzip"))

    async def broken(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer("200 OK", BODY, "Content-Encoding: gzip"))

    assert read(packed) == (BATCH, 1)
    found, _ = read(broken)
    assert str(found) == (
        "GET here/api/v2/batches/bat-1: the reply cannot be unpacked: "
        "it is no gzip: Error -3 while decompressing data: incorrect header check"
    )


def test_a_read_survives_connections_that_break() -> None:
    turns = iter(["close", "reset", "503", "200"])

    async def serve(connection: Connection) -> None:
        await connection.request()
        match next(turns):
            case "reset":
                connection.reset()
            case "503":
                await connection.send(answer("503 Busy", b"", "Connection: close"))
            case "200":
                await connection.send(answer("200 OK", BODY))
            case _:
                pass

    assert read(serve) == (BATCH, 4)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed_so_the_key_goes_nowhere_else(status: str) -> None:
    async def elsewhere(connection: Connection) -> None:
        await connection.request()

    async def scenario() -> None:
        async with serving(elsewhere) as other:

            async def serve(connection: Connection) -> None:
                await connection.request()
                await connection.send(answer(status, b"", f"Location: {other.where}/api/v2/batches"))

            async with serving(serve) as server, cloud(server.where) as provider:
                outcome = await provider.create(KEY, [])
                assert isinstance(outcome, Unanswered)
                assert f"to {other.where}/api/v2/batches, and redirects are not followed" in outcome.why
                with pytest.raises(UnexpectedReplyError):
                    await provider.get("bat-1")
                assert len(server.accepted) == 2
            assert other.accepted == []

    asyncio.run(scenario())


def test_loopback_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def serve(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer("200 OK", BODY))

    assert read(serve) == (BATCH, 1)


def test_a_proxy_that_refuses_the_tunnel_was_not_told_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    async def serve(connection: Connection) -> None:
        heard.append(await connection.request())
        await connection.send(answer("407 Proxy Authentication Required"))

    async def scenario() -> SendOutcome:
        async with serving(serve) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.where)
            async with cloud("https://service.test") as provider:
                return await provider.create(KEY, [])

    assert asyncio.run(scenario()) == NotSent(
        f"{WHERE}: the service cannot be reached: ProxyError: 407 Proxy Authentication Required"
    )
    assert heard[0].startswith(b"CONNECT service.test:443")
    assert SECRET.encode() not in heard[0]
