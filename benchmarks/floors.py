"""The least that the same work costs: what reconciler's figures are held against, each a whole process.

    python benchmarks/floors.py httpx URL                   pages through everything and parses it
    python benchmarks/floors.py raw URL                     the same with asyncio's streams and json alone
    python benchmarks/floors.py sdk URL DIRECTORIES         what a user writes with LlamaCloud's own package
    python benchmarks/floors.py apply URL DIRECTORIES N     the requests of an apply, N at once, through httpx
    python benchmarks/floors.py sdk-apply URL DIRECTORIES N the script, which creates what is missing

DIRECTORIES is a file with an id a line. Floors write nothing down, check nothing and know no manifest. The
requests that they make:

- `httpx`, `raw` and `sdk`: the listing, page after page of 100.
- `apply`: those that reconciler's rules ask for and no others: the listing; R14's reads, which are the
  configuration, and each directory and its files; C2's look at each directory; the create.
- `sdk-apply`: the listing and the creates, as a user writes it who follows the package's documentation.

Each way imports what it needs and no more, so that its start is its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

_BATCHES = "/api/v2/batches"
_DIRECTORIES = "/api/v1/beta/directories"
_KEY = "llx-benchmark"
_HEADERS = {"Authorization": f"Bearer {_KEY}"}
_CONFIGURATION = "cfg-benchmark"
_JOB = {"type": "parse_v2", "configuration_id": _CONFIGURATION}


def through_httpx(url: str) -> None:
    """Every page of the listing, parsed."""
    import httpx

    seen: set[str] = set()
    with httpx.Client(base_url=url, headers=_HEADERS, timeout=60, trust_env=False) as client:
        token = None
        while True:
            asked = {"page_size": "100"} if token is None else {"page_size": "100", "page_token": token}
            page = client.get(_BATCHES, params=asked).json()
            seen.update(batch["source_directory_id"] for batch in page["items"])
            token = page["next_page_token"]
            if token is None:
                break
    print(len(seen))


def through_sockets(url: str) -> None:
    """The same, with nothing between json and the socket but asyncio's streams."""
    import asyncio
    import json

    async def read_all() -> int:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        seen: set[str] = set()
        token: str | None = ""
        while token is not None:
            asked = f"{_BATCHES}?page_size=100" + (f"&page_token={token}" if token else "")
            writer.write(f"GET {asked} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            page = json.loads(await reader.readexactly(length))
            seen.update(batch["source_directory_id"] for batch in page["items"])
            token = page["next_page_token"]
        writer.close()
        return len(seen)

    print(asyncio.run(read_all()))


def through_sdk(url: str, wanted: Iterable[str]) -> None:
    """The package's own paging, held against what is wanted."""
    from llama_cloud import LlamaCloud

    client = LlamaCloud(api_key=_KEY, base_url=url)
    listed = {batch.source_directory_id for batch in client.batches.list(page_size=100)}
    print(len(set(wanted) - listed))


def apply_through_sdk(url: str, wanted: Iterable[str], at_once: int) -> None:
    """The same, and a create for each that is missing, so many at once."""
    from concurrent.futures import ThreadPoolExecutor

    from llama_cloud import LlamaCloud

    client = LlamaCloud(api_key=_KEY, base_url=url)
    listed = {batch.source_directory_id for batch in client.batches.list(page_size=100)}
    missing = [directory for directory in wanted if directory not in listed]

    def create(directory: str) -> None:
        client.batches.create(source_directory_id=directory, config={"job": _JOB})

    with ThreadPoolExecutor(at_once) as threads:
        print(len(list(threads.map(create, missing))))


def apply_through_httpx(url: str, wanted: list[str], at_once: int) -> None:
    """The requests of an apply, with a bounded number of them at once."""
    import asyncio

    import httpx

    async def run() -> int:
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        options: dict[str, Any] = {"base_url": url, "headers": _HEADERS, "limits": limits, "timeout": 60}
        async with httpx.AsyncClient(**options, trust_env=False) as client:
            listed: set[str] = set()
            token: str | None = ""
            while token is not None:
                asked = {"page_size": "100", **({"page_token": token} if token else {})}
                page = (await client.get(_BATCHES, params=asked)).json()
                listed.update(batch["source_directory_id"] for batch in page["items"])
                token = page["next_page_token"]
            missing = [directory for directory in wanted if directory not in listed]
            (await client.get(f"/api/v1/beta/configurations/{_CONFIGURATION}")).json()

            async def look_up(directory: str) -> None:
                (await client.get(f"{_DIRECTORIES}/{directory}")).json()
                (await client.get(f"{_DIRECTORIES}/{directory}/files", params={"page_size": "100"})).json()

            async def create(directory: str) -> None:
                asked = {"source_directory_id": directory, "page_size": "100"}
                (await client.get(_BATCHES, params=asked)).json()
                job = {"source_directory_id": directory, "config": {"job": _JOB}}
                (await client.post(_BATCHES, json=job)).json()

            await _each(missing, at_once, look_up)
            await _each(missing, at_once, create)
            return len(missing)

    print(asyncio.run(run()))


async def _each(items: Iterable[str], at_once: int, work: Callable[[str], Awaitable[None]]) -> None:
    import asyncio

    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(at_once)))


def _lines(file: str) -> list[str]:
    with open(file, encoding="utf-8") as lines:  # noqa: PTH123 - pathlib is an import that counts here
        return lines.read().split()


def main(arguments: list[str]) -> None:
    """Go one way."""
    match arguments:
        case ["httpx", url]:
            through_httpx(url)
        case ["raw", url]:
            through_sockets(url)
        case ["sdk", url, file]:
            through_sdk(url, _lines(file))
        case ["apply", url, file, at_once]:
            apply_through_httpx(url, _lines(file), int(at_once))
        case ["sdk-apply", url, file, at_once]:
            apply_through_sdk(url, _lines(file), int(at_once))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
