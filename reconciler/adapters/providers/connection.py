"""Where the key may be sent, and with which limits: making the HTTP client of a service.

Sending requests is ``transport``'s business. What is kept here: the key goes to https or to this very
machine and nowhere else, no redirect is followed (C4: a 307 would send a create twice), loopback is
never proxied, and no message holds the key or the password of a proxy.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Self

from reconciler import __version__
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    import httpx

    from reconciler.adapters.providers.client import Client

#: Seconds to reach the service, TLS included.
CONNECT_TIMEOUT = 10.0

#: Seconds between two signs of life of a service that was reached.
READ_TIMEOUT = 60.0

#: The variables that say where LlamaCloud is, and with which key it is spoken to.
LLAMACLOUD = ("LLAMA_CLOUD_BASE_URL", "LLAMA_CLOUD_API_KEY")
TALONIC = ("TALONIC_BASE_URL", "TALONIC_API_KEY")

#: Base URLs that need no second look: nothing of them is escaped, and no library would read them otherwise.
_PLAIN = re.compile(
    r"(https?)://([a-z0-9.-]{1,200}[a-z0-9])(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}))?(?:/[A-Za-z0-9._-]+)*/?"
)


def connect(
    base_url: str,
    api_key: str,
    *,
    parallelism: int = 8,
    connect_timeout: float = CONNECT_TIMEOUT,
    read_timeout: float = READ_TIMEOUT,
    variables: tuple[str, str] = LLAMACLOUD,
) -> Client:
    """A client that sends the key to one service, and only there.

    Proxy and CA settings of the environment are honoured as httpx reads them (``HTTPS_PROXY``,
    ``NO_PROXY``, ``SSL_CERT_FILE``, …), but not for loopback. Closing the client is the caller's.

    Args:
        base_url: ``https://HOST`` or, on loopback, ``http://HOST``; a path before the API's is kept.
        api_key: the key, sent as a bearer token.
        parallelism: how many connections are held at most.
        connect_timeout: seconds.
        read_timeout: seconds without a byte, for reading and for writing alike.
        variables: where URL and key may come from, for errors.

    Raises:
        SettingsError: the URL or the key cannot be used, or the environment's proxy or CA settings.
    """
    import httpx

    from reconciler.adapters.providers.client import Client, no_tls

    url_from, key_from = variables
    url = _base(base_url, url_from)
    timeout = httpx.Timeout(read_timeout, connect=connect_timeout, pool=connect_timeout)
    limits = httpx.Limits(max_connections=parallelism, max_keepalive_connections=parallelism)
    trust_env = not _loopback(url.host)
    try:
        # Without TLS nothing is held against certificates, and reading them takes 30 ms.
        tls = httpx.create_ssl_context(trust_env=trust_env) if url.scheme == "https" else no_tls()
        return Client(
            tls,
            base_url=url,
            headers={
                "Authorization": f"Bearer {_bearer(api_key, key_from)}",
                "Accept": "application/json",
                # The one encoding whose output `transport` can bound while it unpacks.
                "Accept-Encoding": "gzip",
                "User-Agent": f"reconciler/{__version__}",
            },
            follow_redirects=False,
            timeout=timeout,
            limits=limits,
            trust_env=trust_env,
        )
    except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
        # Not chained: the message may hold a proxy's URL, and that its password.
        raise SettingsError(
            "the proxy or certificate settings of the environment cannot be used",
            why=type(error).__name__,
            next="Check HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
        ) from None


class Line:
    """What `connect` makes, made when the first request is to be sent: most plans ask nothing.

    Importing httpx and reading certificates takes a tenth of a second. Leaving the context closes the client.

    Raises:
        SettingsError: the URL or the key cannot be used.
    """

    def __init__(self, base_url: str, api_key: str, *, parallelism: int) -> None:
        url_from, key_from = LLAMACLOUD
        if not (known := _PLAIN.fullmatch(base_url)) or (known[1] == "http" and not _loopback(known[2])):
            _base(base_url, url_from)
        self.key = _bearer(api_key, key_from)
        self._url = base_url
        self._parallelism = parallelism
        self._client: httpx.AsyncClient | None = None

    @property
    def client(self) -> httpx.AsyncClient:
        """The client.

        Raises:
            SettingsError: the proxy or CA settings of the environment cannot be used.
        """
        if self._client is None:
            self._client = connect(self._url, self.key, parallelism=self._parallelism)
        return self._client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()


def proxy_secrets(environ: Mapping[str, str]) -> Iterator[str]:
    """What a proxy of the environment is sent and could repeat: its password, alone and in base64."""
    for name, value in environ.items():
        if name.lower() not in {"http_proxy", "https_proxy", "all_proxy"}:
            continue
        import httpx

        try:
            url = httpx.URL(value)
        except (httpx.InvalidURL, ValueError):
            continue  # nothing is sent to what is no URL
        if url.password:
            yield from (url.password, b64encode(f"{url.username}:{url.password}".encode()).decode())


def _base(base_url: str, variable: str) -> httpx.URL:
    import httpx

    place = f"The base URL is the provider's baseUrl in reconciler.yaml, or {variable}"
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError):
        # Neither chained nor shown: what is no URL may be a key that was put in its place.
        raise SettingsError("the base URL of the provider is not a URL", next=place) from None
    if url.scheme not in {"https", "http"} or not url.host:
        raise SettingsError("the base URL of the provider is not an https:// address", next=place)
    if url.userinfo or url.query or url.fragment:
        raise SettingsError(
            f"the base URL of the provider at {url.host} has a user, a query or a fragment",
            why="only scheme, host, port and path can be used",
            next=place,
        )
    if url.scheme == "http" and not _loopback(url.host):
        raise SettingsError(
            f"the key is not sent to {url.host} over plain http",
            why="anyone on the way could read it",
            next="Use https, or http on loopback only",
        )
    return url


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bearer(api_key: str, variable: str) -> str:
    # What is no header value would be repeated in the error of the library that writes headers.
    if not api_key:
        raise SettingsError("the API key is empty", next=f"Set {variable}")
    if not all("!" <= char <= "~" for char in api_key):
        raise SettingsError(
            "the API key has characters that no key has",
            why="a space, a line break or something outside of ASCII",
            next="Copy it again",
        )
    return api_key
