"""httpx's client for one service, and beside it the lanes that reads go over.

Which service may be spoken to, and with what, is `connection`'s business.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from reconciler.adapters.providers.lanes import Lanes

if TYPE_CHECKING:
    from types import TracebackType


class Client(httpx.AsyncClient):
    """A client that may have lanes.

    Args:
        tls: what certificates are held against.
        settings: httpx's own.

    Attributes:
        lanes: None where a proxy may stand between, which lanes know nothing of.
    """

    def __init__(self, tls: ssl.SSLContext, **settings: Any) -> None:  # noqa: ANN401 - as httpx has them
        super().__init__(verify=tls, **settings)
        self.lanes: Lanes | None = None
        if not (self.trust_env and getproxies()):
            timeouts = {name: value for name, value in self.timeout.as_dict().items() if value is not None}
            self.lanes = Lanes(self.base_url, self.headers, tls, timeouts)

    async def aclose(self) -> None:
        """Close both."""
        await super().aclose()
        if self.lanes is not None:
            await self.lanes.aclose()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Close both."""
        await super().__aexit__(exc_type, exc_value, traceback)
        if self.lanes is not None:
            await self.lanes.aclose()


def no_tls() -> ssl.SSLContext:
    """For a service that is spoken to in the clear: were it ever used, it would trust nobody."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
