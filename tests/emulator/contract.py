"""Holds replies of the stand-in to its published document, `schemas/openapi.json`.

`check` takes a reply in its parts, `checked` one of httpx. Both raise `Broken` with the place and the
reason, for an undocumented status and an unknown route as for a body that is not what the schema says, or
that does not go with the request: a page that is too long, an item that a filter excludes, results that
nobody asked for.
Formats are checked here, not by what happens to be installed.

Nothing here imports the stand-in: the document alone says what is right.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, quote
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

# As decoded from JSON: what it should be is what the document says.
JSON: TypeAlias = Any

DOCUMENT = Path(__file__).parents[2] / "schemas" / "openapi.json"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

_HERE = "urn:openapi"
# RFC 3339 wants an offset; a fraction may have any number of digits.
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# What the gate answers before it looks at the path, and what there is to say of an unknown path.
_OFF_THE_MAP = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}
# The filters that say what a field of each item must be, by the field. Of directories, `type` and `types`
# together are one filter, so neither of them says it alone.
_EQUAL = {
    **{
        name: name
        for name in ("source_directory_id", "status", "name", "display_name", "unique_id", "file_id")
    },
    "product_type": "product_type",
    "project_name": "name",
}
_GOOD, _NO_METHOD = 200, 405


class Broken(AssertionError):  # noqa: N818 - reads as what it is: the contract is broken
    """A reply does not agree with the document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path, as documented."""

    method: str
    path: str
    id: str
    key: str
    responses: Mapping[str, JSON]


@cache
def document() -> JSON:
    """Give the document as a value."""
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))


@cache
def operations() -> tuple[Operation, ...]:
    """Give every documented operation."""
    return tuple(_operations())


def operation(method: str, path: str) -> Operation | None:
    """Find the operation of a request; None when there is none.

    Args:
        method: in any case.
        path: as sent, so percent-encoded; what follows a `?` is not looked at.
    """
    return next((known for known in _at(path) if known.method == method.lower()), None)


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Hold one reply to the document.

    Args:
        method: the method of the request.
        path: the path of the request as sent, with or without its query.
        status: the status of the reply.
        headers: its headers, by names in lower case or in a mapping that does not mind.
        body: its body as received.

    Raises:
        Broken: if the document does not allow the reply.
    """
    where = f"{method} {path}: {status}"
    described = _described(method, path, status)
    if described is None:
        raise Broken(f"{where} is not documented")
    _hold_headers(where, described, headers)
    if status == _NO_METHOD:
        _hold_allowed(where, path, headers["allow"])
    # Of what HEAD is answered with, the body is left out.
    if method.lower() == "head":
        return
    if "content" not in described:
        if body:
            raise Broken(f"{where} has a body, and none is documented")
        return
    content_type = headers.get("content-type", "")
    if content_type.partition(";")[0] not in described["content"]:
        raise Broken(f"{where} is of content type {content_type!r}, not of {list(described['content'])}")
    try:
        value = json.loads(body, parse_constant=_no_number)
    except ValueError as error:
        raise Broken(f"{where} has a body that is no JSON: {error}") from error
    _hold(where, described["content"]["application/json"]["schema"], value)
    known = operation(method, path)
    if known is not None and status == _GOOD:
        _hold_to_query(where, known, parse_qsl(path.partition("?")[2], keep_blank_values=True), value)


def checked(reply: httpx.Response) -> httpx.Response:
    """Hold a reply of httpx to the document, and give it back.

    Raises:
        Broken: if the document does not allow it.
    """
    request = reply.request
    check(
        request.method, request.url.raw_path.decode("ascii"), reply.status_code, reply.headers, reply.content
    )
    return reply


def resolved(node: JSON) -> JSON:
    """Follow a `$ref` within the document, if the node is one.

    Raises:
        KeyError: if it leads nowhere.
    """
    while "$ref" in node:
        found = document()
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def example_path(known: Operation) -> str:
    """Give a path that an operation may be asked at, made of the documented examples."""
    node = document()["paths"][known.path]
    path = known.path
    for parameter in map(resolved, node.get("parameters", ())):
        path = path.replace(f"{{{parameter['name']}}}", quote(parameter["example"], safe=""))
    return path


def _operations() -> Iterator[Operation]:
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                node = item[method]
                [requirement] = node["security"]
                [key] = requirement
                yield Operation(
                    method=method,
                    path=path,
                    id=node["operationId"],
                    key=key,
                    responses=node["responses"],
                )


def _at(path: str) -> list[Operation]:
    """Find the operations of a path; one without parameters comes before one with."""
    parts = path.partition("?")[0].split("/")
    found = [known for known in operations() if _fits(known.path.split("/"), parts)]
    best = min((known.path.count("{") for known in found), default=0)
    return [known for known in found if known.path.count("{") == best]


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        bool(part) if name.startswith("{") else name == part
        for name, part in zip(template, parts, strict=True)
    )


def _described(method: str, path: str, status: int) -> JSON | None:
    """Find what the document says about a status of a route; None when it says nothing."""
    others = _at(path)
    known = next((candidate for candidate in others if candidate.method == method.lower()), None)
    responses = document()["components"]["responses"]
    family = "Talonic" if path.startswith("/v1/") else ""
    if known is not None:
        node = known.responses.get(str(status))
        return None if node is None else resolved(node)
    # A method or a path that is not there is no operation, and still has an answer of a known shape.
    names = {**_OFF_THE_MAP, 405: "MethodNotAllowed"} if others else _OFF_THE_MAP
    if others:
        names.pop(404, None)
    name = family + names[status] if status in names else ""
    return responses.get(name)


def _hold_headers(where: str, described: JSON, headers: Mapping[str, str]) -> None:
    for name, header in described.get("headers", {}).items():
        value = headers.get(name.lower())
        if value is not None:
            _hold(f"{where}: header {name}", resolved(header)["schema"], value)
        elif resolved(header).get("required", False):
            raise Broken(f"{where} has no header {name}")


def _hold_allowed(where: str, path: str, allowed: str) -> None:
    documented = {known.method.upper() for known in _at(path)}
    if sorted(allowed.split(", ")) != sorted(documented):
        raise Broken(f"{where} allows {allowed}, and documented are {sorted(documented)}")


def _hold_to_query(where: str, known: Operation, query: list[tuple[str, str]], value: JSON) -> None:
    """Hold a good reply to what its request asked for."""
    # Of a parameter that is no list, the last one counts.
    asked = dict(query)
    parameters = _query_parameters(known)
    if known.id == "getBatch" and ("expand", "results") not in query and value["results"] is not None:
        raise Broken(f"{where} has results that were not asked for")
    items = value if isinstance(value, list) else value.get("items", value.get("data", ()))
    for name in {"page_size", "limit"} & parameters.keys():
        size = int(asked.get(name, parameters[name]["default"]))
        if len(items) > size:
            raise Broken(f"{where} has {len(items)} items on a page of {size}")
        if value.get("pagination", {"limit": size})["limit"] != size:
            raise Broken(f"{where} says that a page has {value['pagination']['limit']} items, not {size}")
    for name in _EQUAL.keys() & parameters.keys() & asked.keys():
        several = parameters[name].get("type") == "array"
        wanted = {text for key, text in query if key == name} if several else {asked[name]}
        for item in items:
            if item[_EQUAL[name]] not in wanted:
                raise Broken(
                    f"{where} has an item whose {_EQUAL[name]} is {item[_EQUAL[name]]!r}, not in {wanted}"
                )


def _query_parameters(known: Operation) -> dict[str, JSON]:
    """Give the schemas of an operation's query parameters by name."""
    named = map(resolved, document()["paths"][known.path][known.method].get("parameters", ()))
    return {each["name"]: resolved(each["schema"]) for each in named if each["in"] == "query"}


def _hold(where: str, schema: JSON, value: JSON) -> None:
    # References inside the schema are the document's own.
    absolute = json.loads(json.dumps(schema).replace('"#/', f'"{_HERE}#/'))
    validator = Draft202012Validator(absolute, registry=_registry(), format_checker=_formats())
    faults = sorted(validator.iter_errors(value), key=lambda fault: fault.json_path)
    if faults:
        raise Broken("; ".join([where, *(f"{fault.json_path}: {fault.message}" for fault in faults)]))


@cache
def _registry() -> Registry[JSON]:
    registry: Registry[JSON] = Registry().with_resource(_HERE, DRAFT202012.create_resource(document()))
    return registry


@cache
def _formats() -> FormatChecker:
    formats = FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(_is_date_time)
    formats.checks("uuid", raises=ValueError)(_is_uuid)
    return formats


def _is_date_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return bool(_DATE_TIME.fullmatch(value) and datetime.fromisoformat(value.upper()))


def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or str(UUID(value)) == value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not of JSON")
