"""Routes below `/__admin`: see and change the faults, and see what was received, while the service runs.

They ask for no key. Only a page in a browser names an origin, and no page has any business here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.faults.active import ADMIN
from reconciler.emulator.faults.document import MAX_BYTES, NO_FAULTS, parse_faults, with_entry
from reconciler.emulator.faults.errors import FaultFileError
from reconciler.emulator.faults.globs import MAX_PATTERN, glob_matches
from reconciler.emulator.faults.kinds import KINDS, kind_name
from reconciler.emulator.moments import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from reconciler.emulator.faults.active import ActiveFaults
    from reconciler.emulator.faults.journal import Journal, Received
    from reconciler.emulator.moments import Clock

JSON: TypeAlias = Any

_SOURCE = "the request"
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1_000
_FILTERS = ("method", "path", "status", "fault", "effect", "limit", "after")
_NONE = "none"
_ANY = "any"


class _Reply(JSONResponse):
    """JSON in ASCII: whatever text a request had in it, it can be shown."""

    def render(self, content: JSON) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class FaultAdmin:
    """The routes for faults and requests.

    Args:
        active: The faults in force.
        journal: The requests received.
        clock: The service's clock.
    """

    def __init__(self, active: ActiveFaults, journal: Journal, clock: Clock) -> None:
        self._active = active
        self._journal = journal
        self._clock = clock

    def routes(self) -> list[Route]:
        """Give all routes, with their whole paths."""
        return [
            Route(f"{ADMIN}/health", self.health, methods=["GET"]),
            Route(f"{ADMIN}/faults", self.faults, methods=["GET", "PUT", "POST", "DELETE"]),
            Route(f"{ADMIN}/requests", self.requests, methods=["GET", "DELETE"]),
        ]

    async def health(self, request: Request) -> Response:
        """GET /__admin/health: the service is up."""
        del request
        facts = {"status": "ok", "time": rfc3339(self._clock()), "requests": self._journal.total}
        return _Reply({**facts, "faults": len(self._active.file.entries)})

    async def faults(self, request: Request) -> Response:
        """GET, PUT (replace), POST (add one) and DELETE (clear) /__admin/faults.

        Each answers with what is in force.
        """
        if request.method in {"GET", "HEAD"}:
            return _Reply(self._shown())
        if refusal := _from_browser(request):
            return refusal
        if request.method == "DELETE":
            self._active.replace(NO_FAULTS)
            return _Reply(self._shown())
        content = await _content(request)
        if content is None:
            return _refused(413, [_problem([], f"The body is larger than {MAX_BYTES} bytes", "size")])
        try:
            if request.method == "PUT":
                self._active.replace(parse_faults(content, source=_SOURCE))
            else:
                self._active.extend(with_entry(self._active.file, content, source=_SOURCE))
        except FaultFileError as error:
            return _refused(
                422,
                [
                    {**_problem(["body", *p.where], str(p), p.rule), "line": p.line, "column": p.column}
                    for p in error.problems
                ],
            )
        return _Reply(self._shown())

    async def requests(self, request: Request) -> Response:
        """GET and DELETE /__admin/requests: what was received, the oldest first."""
        if request.method == "DELETE":
            if refusal := _from_browser(request):
                return refusal
            self._journal.clear()
            return Response(status_code=204)
        query = dict(request.query_params)
        problems = _query_problems(query)
        if problems:
            return _refused(422, problems)
        limit, after = int(query.get("limit", _DEFAULT_LIMIT)), int(query.get("after", 0))
        found = [each for each in self._journal if each.number > after and _wanted(each, query)]
        shown = found[:limit]
        following = shown[-1].number if len(found) > len(shown) else None
        return _Reply(
            {"requests": [each.shown() for each in shown], "next_after": following, "total": len(found)}
        )

    def _shown(self) -> JSON:
        counts = [
            {
                "fault": kind_name(entry.fault),
                "name": entry.name,
                "matched": count.matched,
                "fired": count.fired,
            }
            for entry, count in zip(self._active.file.entries, self._active.counts, strict=True)
        ]
        return {"document": self._active.file.source, "counts": counts}


def _from_browser(request: Request) -> Response | None:
    if "origin" not in request.headers:
        return None
    return _refused(403, [_problem(["header", "origin"], "A web page may not change this", "origin")])


async def _content(request: Request) -> bytes | None:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            return None
    return content


def _problem(place: list[str | int], message: str, kind: str) -> JSON:
    return {"loc": place, "msg": message, "type": kind}


def _refused(status: int, problems: list[JSON]) -> Response:
    return _Reply({"detail": problems}, status_code=status)


def _query_problems(query: Mapping[str, str]) -> list[JSON]:
    found = [
        _problem(
            ["query", name], f"There is no filter {name[:60]!a}; there are {', '.join(_FILTERS)}", "unknown"
        )
        for name in query
        if name not in _FILTERS
    ]
    for name, low, high in (("limit", 1, _MAX_LIMIT), ("after", 0, 10**12), ("status", 100, 599)):
        text = query.get(name)
        if text is None or (name == "status" and text == _NONE):
            continue
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(high)) else -1
        if not low <= number <= high:
            words = f"Should be a whole number from {low} to {high}, not {text[:60]!a}"
            found.append(_problem(["query", name], words, "out_of_range"))
    if len(query.get("path", "")) > MAX_PATTERN:
        words = f"Should have {MAX_PATTERN} characters or fewer"
        found.append(_problem(["query", "path"], words, "too_long"))
    if query.get("effect", "true") not in {"true", "false"}:
        words = f"Should be true or false, not {query['effect'][:60]!a}"
        found.append(_problem(["query", "effect"], words, "boolean"))
    return found


def _wanted(each: Received, query: Mapping[str, str]) -> bool:
    status = _NONE if each.status is None else str(each.status)
    return (
        query.get("method", each.method).upper() == each.method.upper()
        and query.get("effect", str(each.effect).lower()) == str(each.effect).lower()
        and glob_matches(query.get("path", "**"), each.path)
        and query.get("status", status) == status
        and _fault_wanted(each, query.get("fault"))
    )


def _fault_wanted(each: Received, wish: str | None) -> bool:
    """Match `any`, `none`, a kind, or a name that is no kind."""
    entry = each.fault
    match wish:
        case None:
            return True
        case "none":
            return entry is None
        case "any":
            return entry is not None
        case _ if entry is None:
            return False
        case _ if wish in KINDS:
            return wish == kind_name(entry.fault)
        case _:
            return wish == entry.name
