"""A service that repeats the secrets which it was sent, wherever a reply has room for them.

What a service writes in a form of its own making (reversed, encrypted) nobody can find; here are the forms
in which JSON, URLs and headers come to hold a text by themselves.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import hostile_marks as marks
import pytest
from hostile_cloud import Cloud
from hostile_service import Heard, Line, as_json, hostile, reply
from hostile_stage import Stage, set_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


ASKING = ("plan", "apply", "import", "lock resolve", "cancel")
BEARER = f"Bearer {marks.KEY}"
ESCAPED = '{"detail": "no such key: ' + "".join(f"\\u{ord(char):04X}" for char in marks.KEY) + '"}'
SLASHED = json.dumps({"detail": BEARER}).replace("/", "\\/")

REPLIES: dict[str, bytes] = {
    **{
        f"in a {status}": as_json({"detail": BEARER}, status=status)
        for status in (
            "400 Bad",
            "401 No",
            "402 Pay",
            "403 No",
            "404 No",
            "409 No",
            "422 No",
            "429 Slow",
            "500 Oh",
            "503 Oh",
        )
    },
    "in the errors of a 422": as_json(
        {"detail": [{"loc": ["header", BEARER], "msg": BEARER, "type": BEARER}]}, status="422 No"
    ),
    "as an error's field": as_json({"error": {BEARER: {"code": BEARER}}}, status="400 Bad"),
    "as text": reply("400 Bad", BEARER.encode()),
    "as the reason": reply(f"400 {BEARER}"),
    "as the reason of a key refused": reply(f"401 {BEARER}"),
    "as the reason of success": reply(f"200 {BEARER}"),
    "as the request's id": reply("400 Bad", b"", f"X-Request-Id: {BEARER}"),
    "as the request's id of success": as_json({"items": []}, f"X-Request-Id: {BEARER}"),
    "as Location": reply("307 Go", b"", f"Location: https://x.test/?{BEARER}"),
    "as Location, for a URL": reply("307 Go", b"", f"Location: https://x.test/?{quote(marks.KEY, safe='')}"),
    "as Retry-After": reply("429 Slow", b"", f"Retry-After: {BEARER}"),
    "as Date": reply("500 Oh", b"", f"Date: {BEARER}"),
    "as Content-Encoding": reply("200 OK", b"{}", f"Content-Encoding: {marks.KEY}"),
    "as Content-Type": reply("200 OK", b"{}", f"Content-Type: {BEARER}; charset={marks.KEY}"),
    "as Transfer-Encoding": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {marks.KEY}\r\n\r\n".encode(),
    "as Content-Length": f"HTTP/1.1 200 OK\r\nContent-Length: {marks.KEY}\r\n\r\n".encode(),
    "as a chunk's size": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{marks.KEY}\r\n".encode(),
    "as a line that is no header": f"HTTP/1.1 200 OK\r\n{BEARER} \x01\r\n\r\n".encode(),
    "as the status line": f"{BEARER}\r\n\r\n".encode(),
    "instead of JSON": reply("200 OK", BEARER.encode()),
    "as JSON's text": as_json(BEARER),
    "as the name of a field": as_json({BEARER: {}}),
    "as a page's items": as_json({"items": BEARER}),
    "as an item": as_json({"items": [BEARER]}),
    "as a page token": as_json({"items": [], "next_page_token": marks.KEY}),
    "as a page token's number": as_json({"items": [], "next_page_token": [BEARER]}),
    "packed": reply(
        "400 Bad", gzip.compress(json.dumps({"detail": BEARER}).encode()), "Content-Encoding: gzip"
    ),
    "in JSON's escapes": reply("400 Bad", ESCAPED.encode()),
    "with slashes escaped": reply("400 Bad", SLASHED.encode()),
    "in JSON's escapes, instead of a page": reply("200 OK", ESCAPED.encode()),
    "in UTF-16": reply("400 Bad", json.dumps({"detail": BEARER}).encode("utf-16")),
    "in UTF-32": reply("200 OK", json.dumps({"items": BEARER}).encode("utf-32")),
    "in percent": reply("400 Bad", quote(marks.KEY, safe="").encode()),
}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("PATH", "/nonexistent")  # no git to be asked five times a run
    return set_up(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_repeats_the_key(name: str, stage: Stage) -> None:
    async def answer(heard: Heard, line: Line) -> None:
        assert heard.headers["authorization"] == BEARER
        await line.send(REPLIES[name])
        line.writer.close()

    with hostile(answer) as service:
        stage.write(service.url)
        assert stage.search(("plan", "apply")) == []
        assert service.requests


@pytest.mark.parametrize(
    "word",
    ["directory", "file", "batch", "status", "configuration", "version", "project", "extra"],
)
def test_a_key_for_a_name(word: str, stage: Stage) -> None:
    with hostile(Cloud().saying(**{word: marks.KEY}).answer) as service:
        stage.write(service.url)
        assert stage.search(ASKING) == []
        assert service.creates


STYLES: dict[str, Callable[[bytes], bytes]] = {
    "as it came": lambda body: body,
    "in a sentence": lambda body: json.dumps({"detail": f"cannot take {body.decode()}"}).encode(),
    "as the input of an error": lambda body: json.dumps(
        {"errors": [{"loc": ["body"], "input": json.loads(body)}]}
    ).encode(),
    "by its values": lambda body: json.dumps(
        {"detail": [{"loc": ["body"], "msg": f"bad: {value}"} for value in _texts(json.loads(body))]}
    ).encode(),
}


def _texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for member in value.values() for text in _texts(member)]
        case list():
            return [text for member in value for text in _texts(member)]
        case _:
            return []


@pytest.mark.parametrize(
    ("status", "style"),
    [
        *(("422 No", style) for style in STYLES),
        *(("201 Created", style) for style in STYLES),
        *((status, "by its values") for status in ("400 No", "401 No", "409 No", "429 Slow", "500 Oh")),
    ],
)
def test_a_reply_that_repeats_the_create(status: str, style: str, stage: Stage) -> None:
    cloud = Cloud()

    async def answer(heard: Heard, line: Line) -> None:
        if heard.method == "POST":
            await line.send(reply(status, STYLES[style](heard.body)))
        else:
            await cloud.answer(heard, line)

    with hostile(answer) as service:
        stage.write(service.url)
        assert stage.search(("apply",)) == []
        assert service.creates
