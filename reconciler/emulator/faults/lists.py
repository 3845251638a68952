"""Lists with faults in them: pages and their tokens, for both APIs.

A page of LlamaCloud is `items` with `next_page_token`, one of Talonic `data` with `pagination`. The
tokens made here hold the service's own one behind a prefix with `~`, which no token of the service has,
and are taken off again whenever they come back: so none of them needs to be remembered.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, assert_never
from urllib.parse import parse_qsl, urlencode

from reconciler.emulator.chance import draw
from reconciler.emulator.faults.answers import NO_JSON
from reconciler.emulator.faults.kinds import EmptyPage, Inserted, Lag, Listed, Reordered, RepeatedToken
from reconciler.emulator.moments import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

    from reconciler.emulator.faults.active import Struck
    from reconciler.emulator.faults.answers import Answer
    from reconciler.emulator.moments import Micros

Item: TypeAlias = Any
Mark: TypeAlias = Literal["empty", "again"]

NO_PAGE: Final = "the answer is no page of a list"
_MICROS_PER_SECOND = 1_000_000
_MAX_REMEMBERED = 1_000
_TOKEN = re.compile(r"(empty|again)(\d{1,12})~(.*)", re.DOTALL | re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How an API pages: the names in the query, and how many items a page has when nothing is said."""

    token: str
    size: str
    default: int


LLAMACLOUD: Final = Dialect(token="page_token", size="page_size", default=50)  # noqa: S106 - a name
TALONIC: Final = Dialect(token="cursor", size="limit", default=20)  # noqa: S106 - a name


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which page a request asks for.

    Attributes:
        dialect: Whose names the query uses.
        pairs: The query.
        sent: The token as it came; None for the first page.
        token: The service's own token in it.
        mark: Whose token it was, if one of ours; with its number.
    """

    dialect: Dialect
    pairs: tuple[tuple[str, str], ...]
    sent: str | None
    token: str | None
    mark: Mark | None
    number: int

    @property
    def size(self) -> int | None:
        """How many items are asked for; None when that is no number."""
        text = next((value for name, value in reversed(self.pairs) if name == self.dialect.size), None)
        if text is None:
            return self.dialect.default
        return int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else None

    def scope(self, scope: Scope, size: int | None = None) -> Scope:
        """Give the request as the application should see it; with another size, if one is given."""
        if self.mark is None and size is None:
            return scope
        names = {self.dialect.token} | ({self.dialect.size} if size is not None else set())
        pairs = [(name, value) for name, value in self.pairs if name not in names]
        if self.token is not None:
            pairs.append((self.dialect.token, self.token))
        if size is not None:
            pairs.append((self.dialect.size, str(size)))
        return {**scope, "query_string": urlencode(pairs).encode()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page as it was answered."""

    value: Mapping[str, Any]
    items: list[Item]
    token: str | None

    def rewritten(self, items: list[Item], token: str | None) -> dict[str, Any]:
        """Give the page with other items and another token."""
        if "pagination" not in self.value:
            return {**self.value, "items": items, "next_page_token": token}
        paging = {**self.value["pagination"], "next_cursor": token, "has_more": token is not None}
        return {**self.value, "data": items, "pagination": paging}


def asked(scope: Scope) -> Asked:
    """Read which page a request asks for. Any request can be read so; it need not be for a list."""
    dialect = TALONIC if scope["path"].startswith("/v1/") else LLAMACLOUD
    pairs = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    sent = next((value for name, value in reversed(pairs) if name == dialect.token), None)
    match = _TOKEN.fullmatch(sent or "")
    if scope["method"] != "GET" or match is None:
        return Asked(dialect=dialect, pairs=pairs, sent=sent, token=sent, mark=None, number=0)
    mark: Mark = "empty" if match[1] == "empty" else "again"
    number = int(match[2])
    return Asked(dialect=dialect, pairs=pairs, sent=sent, token=match[3] or None, mark=mark, number=number)


def page_of(answer: Answer) -> Page | None:
    """Read an answer as a page; None if it is none."""
    value: Any = answer.value() if answer.status == 200 else NO_JSON  # noqa: PLR2004 - OK
    match value:
        case {"items": list(items), "next_page_token": None | str() as token}:
            return Page(value=value, items=items, token=token)
        case {"data": list(items), "pagination": {"next_cursor": None | str() as token}}:
            return Page(value=value, items=items, token=token)
        case _:
            return None


class Pages:
    """What has to be remembered of pages: the last item before each token, and which tokens came twice."""

    def __init__(self, limit: int = _MAX_REMEMBERED) -> None:
        self._limit = limit
        self._last: OrderedDict[tuple[str, str], Item] = OrderedDict()
        self._repeated: OrderedDict[str, None] = OrderedDict()

    def remember(self, path: str, page: Page) -> None:
        """Keep the last item of a page as the service gave it."""
        if page.token is not None and page.items:
            self._last[path, page.token] = page.items[-1]
            if len(self._last) > self._limit:
                self._last.popitem(last=False)

    def last_before(self, path: str, token: str | None) -> Item | None:
        """Give the last item of the page before the one that a token asks for; None if it is not known."""
        return None if token is None else self._last.get((path, token))

    def repeats(self, request: Asked) -> bool:
        """Say, once for each of our tokens for it, that the answer's next token is to be the one sent."""
        if request.mark != "again" or request.sent is None or request.sent in self._repeated:
            return False
        self._repeated[request.sent] = None
        if len(self._repeated) > self._limit:
            self._repeated.popitem(last=False)
        return True


def size_upstream(fault: Listed, request: Asked, previous: Item | None) -> int | None:
    """Say how many items to ask the application for; None for as many as the client did."""
    if not isinstance(fault, Inserted) or previous is None or request.size is None or request.size <= 1:
        return None
    return request.size - 1


def with_fault(
    struck: Struck, fault: Listed, request: Asked, page: Page, *, previous: Item | None, now: Micros
) -> dict[str, Any] | None:
    """Give a page as the fault makes it; None when there is nothing to change."""
    match fault:
        case EmptyPage():
            return page.rewritten([], _wrapped("empty", request.number + 1, request.token))
        case RepeatedToken():
            if request.sent is not None:
                return page.rewritten(page.items, request.sent)
            if page.token is None:
                return None
            return page.rewritten(page.items, _wrapped("again", struck.number, page.token))
        case Inserted():
            if previous is None:
                return None
            if request.size == 1:
                again = _wrapped("empty", request.number + 1, request.token)
                return page.rewritten([previous], again)
            return page.rewritten([previous, *page.items], page.token)
        case Reordered():
            items = page.items if request.token is None else page.items[:-1]
            changed = _shuffled(items, struck)
            return None if changed == page.items else page.rewritten(changed, page.token)
        case Lag():
            since = now - round(fault.seconds * _MICROS_PER_SECOND)
            items = [item for item in page.items if not _younger(item, since)]
            return None if len(items) == len(page.items) else page.rewritten(items, page.token)
        case _:
            assert_never(fault)


def _wrapped(mark: Mark, number: int, token: str | None) -> str:
    return f"{mark}{number}~{token or ''}"


def _shuffled(items: list[Item], struck: Struck) -> list[Item]:
    order = [
        (draw(struck.seed, struck.index, struck.number, f"item {place}"), place)
        for place in range(len(items))
    ]
    return [items[place] for _, place in sorted(order)]


def _younger(item: Item, since: Micros) -> bool:
    created = item.get("created_at") if isinstance(item, dict) else None
    moment = parse_rfc3339(created) if isinstance(created, str) else None
    return moment is not None and moment > since
