"""Batches as octoDNS would see them: a provider whose records are the desired directories that have one.

octoDNS owns whole zones and would plan to delete what nobody desires, so of the listing only the desired
names become records. It reads every page, as octoDNS's providers do, through requests. `octodns-sync` loads
it in an environment of its own; nothing of reconciler is in it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import requests
from octodns.provider.base import BaseProvider
from octodns.record import Record

_HEADERS = {"Authorization": "Bearer llx-benchmark"}


class Batches(BaseProvider):  # type: ignore[misc,unused-ignore]  # octoDNS has no types
    """One record a directory; its value is the configuration that its batch ran with."""

    SUPPORTS = frozenset({"TXT"})
    SUPPORTS_GEO = False
    SUPPORTS_DYNAMIC = False

    def __init__(self, id: str, url: str, names: str) -> None:  # noqa: A002 - octoDNS's word
        self.log = logging.getLogger(f"Batches[{id}]")
        super().__init__(id)
        self._url = url
        self._names = set(Path(names).read_text().split())

    def populate(self, zone: Any, target: bool = False, lenient: bool = False) -> bool:  # noqa: ANN401, FBT001, FBT002, ARG002 - octoDNS calls it so
        """All pages, and the records that they give."""
        session = requests.Session()
        session.trust_env = False
        session.headers.update(_HEADERS)
        token: str | None = ""
        while token is not None:
            asked = {"page_size": "100", **({"page_token": token} if token else {})}
            page = session.get(f"{self._url}/api/v2/batches", params=asked, timeout=60).json()
            for batch in page["items"]:
                if (name := batch["source_directory_id"]) in self._names:
                    data = {"type": "TXT", "ttl": 60, "value": batch["config"]["job"]["configuration_id"]}
                    zone.add_record(
                        Record.new(zone, name, data, source=self, lenient=lenient), lenient=lenient
                    )
            token = page["next_page_token"]
        return True

    def _apply(self, plan: Any) -> None:  # noqa: ANN401 - octoDNS's
        raise SystemExit(f"nothing was to be done, and octoDNS plans {len(plan.changes)} changes")
