"""Where the key may go, and that it is shown nowhere."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from provider_limiter import many_turns

from reconciler import __version__
from reconciler.adapters.providers.connection import connect
from reconciler.adapters.providers.llamacloud import LlamaCloud
from reconciler.model.batch import JobType, Key
from reconciler.model.errors import ServiceError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "llx-marked-key-never-shown"
PLACE = "The base URL is the provider's baseUrl in reconciler.yaml, or LLAMA_CLOUD_BASE_URL"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass
class StillClock:
    """Time that does not pass."""

    def now(self) -> datetime:
        return datetime(2026, 9, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        pass


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.cloud.llamaindex.ai",
        "https://api.cloud.eu.llamaindex.ai/",
        "http://127.0.0.1:8080",
        "http://127.8.8.8",
        "http://localhost:1",
        "http://[::1]:8080/prefix",
    ],
)
def test_the_key_goes_to_https_and_to_loopback(url: str) -> None:
    async def scenario() -> None:
        async with connect(url, SECRET) as client:
            assert client.headers["authorization"] == f"Bearer {SECRET}"
            assert client.headers["user-agent"] == f"reconciler/{__version__}"
            assert client.follow_redirects is False
            assert client.timeout == httpx.Timeout(60, connect=10, pool=10)

    asyncio.run(scenario())


def over_http(host: str) -> str:
    why = "anyone on the way could read it. Use https, or http on loopback only"
    return f"the key is not sent to {host} over plain http: {why}"


NOT_HTTPS = f"the base URL of the provider is not an https:// address. {PLACE}"
NO_URL = f"the base URL of the provider is not a URL. {PLACE}"
TOO_MUCH = (
    "the base URL of the provider at host.test has a user, a query or a fragment: "
    f"only scheme, host, port and path can be used. {PLACE}"
)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://api.cloud.llamaindex.ai", over_http("api.cloud.llamaindex.ai")),
        ("http://127.0.0.1.example.test", over_http("127.0.0.1.example.test")),
        ("http://0.0.0.0", over_http("0.0.0.0")),
        ("ftp://127.0.0.1", NOT_HTTPS),
        (SECRET, NOT_HTTPS),
        ("", NOT_HTTPS),
        ("https://", NOT_HTTPS),
        ("https://a\x00b", NO_URL),
        ("https://[::1", NO_URL),
        (f"https://me:{SECRET}@host.test", TOO_MUCH),
        (f"https://host.test/?key={SECRET}", TOO_MUCH),
        ("https://host.test/#x", TOO_MUCH),
    ],
)
def test_it_goes_nowhere_else(url: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        connect(url, SECRET)
    assert str(caught.value) == message


@pytest.mark.parametrize("key", ["", f"{SECRET}\n", f"{SECRET} x", f"{SECRET}é", f"{SECRET}\x7f"])
def test_what_is_no_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        connect("https://api.cloud.llamaindex.ai", key)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.next


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_a_setting_and_its_password_is_not_shown(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"gopher://me:{SECRET}@proxy.test")
    with pytest.raises(SettingsError) as caught:
        connect("https://api.cloud.llamaindex.ai", "llx-1")
    assert str(caught.value) == (
        "the proxy or certificate settings of the environment cannot be used: ValueError. "
        "Check HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
    )
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_certificate_file_that_is_not_there_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(SettingsError, match="FileNotFoundError"):
        connect("https://api.cloud.llamaindex.ai", "llx-1")


def test_loopback_does_not_look_at_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://proxy.test")
    connect("http://127.0.0.1:1", "llx-1")


FAILURES: dict[str, Callable[[httpx.Request], httpx.Response]] = {}


def failure(serve: Callable[[httpx.Request], httpx.Response]) -> None:
    FAILURES[serve.__name__] = serve


@failure
def echoes_in_a_refusal(request: httpx.Request) -> httpx.Response:
    return httpx.Response(401, json={"detail": f"no such key: {request.headers['authorization']}"})


@failure
def echoes_in_headers(request: httpx.Request) -> httpx.Response:
    secret = request.headers["authorization"]
    return httpx.Response(307, headers={"location": f"https://x.test/{secret}", "x-request-id": secret})


@failure
def echoes_instead_of_json(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=request.headers["authorization"])


@failure
def echoes_in_a_field(request: httpx.Request) -> httpx.Response:
    return httpx.Response(
        200, json={"items": 1, "results": 1, "project_id": [request.headers["authorization"]]}
    )


@failure
def echoes_in_an_error_of_the_protocol(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError(f"illegal status line: {request.headers['authorization']}")


@failure
def echoes_in_a_failed_connect(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(request.headers["authorization"])


@failure
def fails(request: httpx.Request) -> httpx.Response:
    return httpx.Response(500, text=request.headers["authorization"])


@failure
def slows_down(request: httpx.Request) -> httpx.Response:
    return httpx.Response(429, text=request.headers["authorization"])


@pytest.mark.parametrize("serve", FAILURES.values(), ids=FAILURES.keys())
def test_the_key_is_shown_nowhere(
    serve: Callable[[httpx.Request], httpx.Response],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    async def scenario() -> None:
        async with connect("https://api.cloud.llamaindex.ai", SECRET) as made:
            shown.append(repr(made) + repr(made.headers))
            client = httpx.AsyncClient(
                transport=httpx.MockTransport(serve), base_url=made.base_url, headers=made.headers
            )
            provider = LlamaCloud(
                client,
                endpoint="https://api.cloud.llamaindex.ai",
                project=None,
                organization=None,
                settle=0,
                clock=StillClock(),
                random=float,
                limiter=many_turns(),
            )
            shown.append(repr(provider) + repr(vars(provider)) + repr(vars(provider._transport)["_client"]))
            key = Key("e", "p", "d", JobType.PARSE_V2, "c")
            shown.append(repr(await provider.create(key, [])))
            for call in (provider.get, provider.results, provider.cancel, provider.directory):
                with pytest.raises(ServiceError) as caught:
                    await call("bat-1")
                shown.append("".join(traceback.format_exception(caught.value)))
                shown.append(repr(caught.value) + repr(vars(caught.value)))

    asyncio.run(scenario())
    assert shown
    assert SECRET not in "".join(shown)
    assert SECRET not in caplog.text


def test_importing_the_room_does_not_import_httpx() -> None:
    program = "import sys, reconciler.adapters.providers; sys.exit('httpx' in sys.modules)"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
