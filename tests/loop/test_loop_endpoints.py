"""The HTTP of the loop over real sockets: what is answered, what is refused, and who is sent away."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from reconciler.adapters.loop.endpoints import (
    AT_ONCE,
    LARGEST_HEAD,
    Endpoints,
    Path,
    Reply,
    Request,
    address_of,
    listening,
)
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 1000
# What a test that waits for an end never waits for.
_FOR_EVER = 60


class Served:
    """Two paths, and what was asked of them."""

    def __init__(self, patience: float) -> None:
        self.asked: list[Request] = []
        self.too_large = 0
        paths = {
            "/page": Path("GET", lambda _: Reply(200, b"hello\n")),
            "/hook": Path("POST", self._take, LARGEST, self._larger),
        }
        self.listener = listening("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://{address_of(self.listener)}"
        self.endpoints = Endpoints(self.listener, paths, patience=patience)

    def _take(self, request: Request) -> Reply:
        self.asked.append(request)
        return Reply(202, b"{}\n", "application/json")

    def _larger(self) -> None:
        self.too_large += 1

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), _FOR_EVER)

    def say(self, *parts: bytes) -> bytes:
        """What is answered to these bytes, to the end of the connection."""
        with self.connect() as there:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for part in parts:
                    there.sendall(part)
            return everything(there)


def everything(there: socket.socket) -> bytes:
    answered = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := there.recv(65536):
            answered += chunk
    return answered


@contextlib.contextmanager
def served(patience: float = _FOR_EVER) -> Iterator[Served]:
    there = Served(patience)
    with contextlib.closing(there.listener), there.endpoints.serving():
        yield there


@pytest.fixture(scope="module")
def there() -> Iterator[Served]:
    with served() as made:
        yield made


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_page_is_answered_and_the_connection_closed(there: Served) -> None:
    reply = httpx.get(f"{there.url}/page?of=it")
    assert (reply.status_code, reply.text) == (200, "hello\n")
    assert reply.headers["connection"] == "close"
    assert reply.headers["cache-control"] == "no-store"


def test_head_has_the_headers_alone(there: Served) -> None:
    answer = there.say(b"HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_of(answer) == 200
    assert b"content-length: 6" in answer.lower()
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/page/", 404),
        ("GET", "/../page", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/page", 405),
        ("DELETE", "/page", 405),
        ("GET", "/hook", 405),
        ("HEAD", "/hook", 405),
    ],
)
def test_what_is_not_there_or_not_taken(there: Served, method: str, path: str, status: int) -> None:
    before = len(there.asked)
    answer = there.say(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    assert status_of(answer) == status
    assert len(there.asked) == before


def test_a_body_comes_whole_however_it_is_sent(there: Served) -> None:
    reply = httpx.post(f"{there.url}/hook", content=b"x" * LARGEST, headers={"LC-Signature": "s"})
    assert (reply.status_code, reply.json()) == (202, {})
    assert there.asked[-1].body == b"x" * LARGEST
    assert there.asked[-1].headers["lc-signature"] == "s"
    reply = httpx.post(f"{there.url}/hook", content=iter([b"a" * 400, b"b" * 400]))
    assert reply.status_code == 202
    assert there.asked[-1].body == b"a" * 400 + b"b" * 400


def test_the_first_of_two_headers_counts(there: Served) -> None:
    """As with whoever stands before it: what a later one says is not mixed in."""
    headers = b"Host: x\r\nLC-Signature: one\r\nlc-signature: two\r\nContent-Length: 0\r\n"
    there.say(b"POST /hook HTTP/1.1\r\n" + headers + b"\r\n")
    assert there.asked[-1].headers["lc-signature"] == "one"


def test_who_asks_first_whether_to_send_is_told_to(there: Served) -> None:
    with there.connect() as caller:
        caller.sendall(b"POST /hook HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert caller.recv(1000).startswith(b"HTTP/1.1 100")
        caller.sendall(b"ok")
        assert status_of(everything(caller)) == 202


def test_a_larger_body_is_a_413_whether_its_size_is_said_or_not(there: Served) -> None:
    before, large = len(there.asked), b"x" * (LARGEST + 1)
    told = there.too_large
    assert httpx.post(f"{there.url}/hook", content=large).status_code == 413
    assert httpx.post(f"{there.url}/hook", content=iter([large])).status_code == 413
    # One that is far larger is not read, and still hears why.
    assert httpx.post(f"{there.url}/hook", content=b"x" * 500_000).status_code == 413
    # One that says how large it will be hears at once.
    with there.connect() as caller:
        caller.sendall(b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert status_of(everything(caller)) == 413
    assert len(there.asked) == before
    assert there.too_large == told + 4


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /page HTTP/1.1\r\n\r\n", 400),  # without a host
        (b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            0,
        ),
        (b"GET /page HTTP/1.1\r\nHost: x\r\nA: " + b"a" * (LARGEST_HEAD + 1), 431),
        (b"GET /" + b"a" * (LARGEST_HEAD + 1), 431),
    ],
)
def test_what_is_no_request_is_refused(there: Served, request_: bytes, status: int) -> None:
    before = len(there.asked)
    answer = there.say(request_, b"\r\n")
    assert status == 0 or status_of(answer) == status
    assert len(there.asked) == before


def test_whoever_leaves_in_the_middle_harms_nobody(there: Served) -> None:
    for part in (b"", b"GET /pa", b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"):
        with there.connect() as caller:
            caller.sendall(part)
    assert httpx.get(f"{there.url}/page").status_code == 200


def test_whoever_is_slow_is_sent_away() -> None:
    with served(patience=0.2) as there, there.connect() as caller:
        caller.sendall(b"GET /page HTTP/1.1\r\n")
        assert everything(caller) == b""


def test_whoever_comes_when_too_many_are_there_is_sent_away_and_the_rest_is_served() -> None:
    with served() as there, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(there.connect()) for _ in range(AT_ONCE)]
        for caller in callers:
            caller.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n")
        # All of them are known to the server once one too many has been refused.
        while there.say(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"):
            pass
        callers[0].sendall(b"\r\n")
        assert status_of(everything(callers[0])) == 200
        while not there.say(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"):
            pass


def test_a_port_that_is_taken_is_said(there: Served) -> None:
    with pytest.raises(SettingsError, match="another program listens there") as raised:
        listening("127.0.0.1", there.port)
    assert raised.value.where == f"--listen 127.0.0.1:{there.port}"


def test_an_address_that_is_nobodys_is_said() -> None:
    with pytest.raises(SettingsError, match="no such address"):
        listening("a host", 0)
