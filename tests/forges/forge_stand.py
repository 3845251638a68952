"""A stand-in, over real HTTP, of the endpoints of GitHub and GitLab that comments go through.

It keeps comments and requests, answers in pages, and fails where a test tells it to.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "ghs_marked-token-of-nobody"
BOT = "github-actions[bot]"
REPOSITORY = "acme/documents"
LONGEST = {"github": 65_536, "gitlab": 1_000_000}


@dataclass
class Fault:
    """What a request is answered with instead of what it deserves.

    Attributes:
        after: whether the request has its effect all the same.
    """

    method: str
    path: str
    status: int
    body: object = ""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    after: bool = False


@dataclass
class Forge:
    """Both services, on one repository.

    Attributes:
        comments: per request; each has id, body, author and, on GitHub, an editor.
        heads: each request's newest commit.
        merges: which request a commit on the main branch came with.
        others: requests that have a commit in them, too; they are listed first.
        page: how many comments a page has at most.
        links: where the next page is said to be, if it is not here.
        holds: until it is set, nothing is answered.
    """

    url: str = ""
    me: str = BOT
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    heads: dict[int, str] = field(default_factory=dict)
    merges: dict[str, int] = field(default_factory=dict)
    others: dict[str, list[int]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    page: int = 100
    links: str = ""
    holds: threading.Event | None = None

    def open(self, number: int, head: str) -> None:
        self.heads[number] = head
        self.comments.setdefault(number, [])

    def say(self, number: int, author: str, body: str) -> dict[str, Any]:
        """A comment of somebody."""
        made = {
            "id": 1 + sum(len(there) for there in self.comments.values()),
            "body": body,
            "author": author,
            "editor": None,
        }
        self.comments[number].append(made)
        return made

    def fail(self, method: str, path: str, status: int, body: object = "", **more: Any) -> None:  # noqa: ANN401
        self.faults.append(Fault(method, path, status, body, **more))

    @property
    def wrote(self) -> list[str]:
        """The methods of what changed something, in order."""
        return [method for method, path in self.asked if method != "GET" and "graphql" not in path]

    def bodies(self, number: int) -> list[str]:
        return [item["body"] for item in self.comments[number]]

    def find(self, number: int) -> dict[str, Any] | None:
        return next((c for there in self.comments.values() for c in there if c["id"] == number), None)


class NoSuchThingError(Exception):
    """404."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    forge: Forge

    def handle_any(self) -> None:
        forge, split = self.forge, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        forge.asked.append((self.command, self.path))
        if forge.holds is not None:
            forge.holds.wait(20)
        token = str(self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization", ""))
        forge.tokens.add(token.removeprefix("Bearer "))
        fault = next(
            (f for f in forge.faults if f.method == self.command and re.search(f.path, self.path)), None
        )
        if fault is not None:
            fault.times -= 1
            if fault.times == 0:
                forge.faults.remove(fault)
            if fault.after:
                self.answer(split.path, body)
            if fault.status == 0:
                self.close_connection = True
                return
            self.reply(fault.status, fault.body, fault.headers)
            return
        try:
            status, found, headers = self.answer(unquote(split.path), body)
        except NoSuchThingError:
            status, found, headers = 404, {"message": "Not Found"}, {}
        self.reply(status, found, headers)

    do_GET = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - names that the server looks for

    def reply(self, status: int, body: object, headers: dict[str, str]) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        with suppress(BrokenPipeError, ConnectionResetError):  # who gave up waiting is gone
            self.end_headers()
            self.wfile.write(content)

    def answer(self, path: str, body: Any) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        for pattern, route in (*GITHUB, *GITLAB):
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return route(self, body, *found.groups())
        raise NoSuchThingError

    # GitHub

    def graphql(self, body: Any) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        if "viewer" in body["query"]:
            return 200, {"data": {"viewer": {"login": self.forge.me}}}, {}
        comment = self.forge.find(int(body["variables"]["id"].removeprefix("IC_")))
        assert comment is not None
        editor = comment["editor"] and {"login": comment["editor"].removesuffix("[bot]")}
        return 200, {"data": {"node": {"editor": editor}}}, {}

    def issue_comments(self, body: Any, number: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return self.said(number, body, self.on_github, "github")

    def issue_comment(self, body: Any, number: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return self.edited(number, body, self.on_github)

    def pull(self, _: Any, number: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return 200, self.pull_of(int(number)), {}

    def pulls_of(self, _: Any, commit: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return 200, [self.pull_of(number) for number in self.having(commit)], {}

    def having(self, commit: str) -> list[int]:
        there = self.forge.others.get(commit, [])
        return [*there, *(number for made, number in self.forge.merges.items() if made == commit)]

    def pull_of(self, number: int) -> dict[str, Any]:
        if number not in self.forge.heads:
            raise NoSuchThingError
        merged = next((c for c, n in self.forge.merges.items() if n == number), None)
        return {
            "number": number,
            "head": {"sha": self.forge.heads[number]},
            "merged_at": merged and "2026-11-22T10:00:00Z",
            "merge_commit_sha": merged,
        }

    @staticmethod
    def on_github(item: dict[str, Any], forge: Forge) -> dict[str, Any]:
        kind = "Bot" if item["author"].endswith("[bot]") else "User"
        return {
            "id": item["id"],
            "node_id": f"IC_{item['id']}",
            "body": item["body"],
            "user": {"login": item["author"], "type": kind},
            "html_url": f"{forge.url}/{REPOSITORY}/pull/1#issuecomment-{item['id']}",
        }

    # GitLab

    def user(self, _: Any) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return 200, {"id": 7, "username": self.forge.me}, {}

    def notes(self, body: Any, number: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return self.said(number, body, self.on_gitlab, "gitlab")

    def note(self, body: Any, _: str, number: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return self.edited(number, body, self.on_gitlab)

    def merge_request(self, _: Any, number: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return 200, self.merging(int(number)), {}

    def merge_requests_of(self, _: Any, commit: str) -> tuple[int, object, dict[str, str]]:  # noqa: ANN401
        return 200, [self.merging(number) for number in self.having(commit)], {}

    def merging(self, number: int) -> dict[str, Any]:
        request = self.pull_of(number)
        commit = request["merge_commit_sha"]
        return {
            "iid": number,
            "sha": request["head"]["sha"],
            "state": "merged" if commit else "opened",
            "merge_commit_sha": commit,
            "squash_commit_sha": None,
        }

    @staticmethod
    def on_gitlab(item: dict[str, Any], _: Forge) -> dict[str, Any]:
        author = {"id": 7, "username": item["author"]}
        return {"id": item["id"], "body": item["body"], "author": author, "system": False}

    # Both

    def said(
        self,
        number: str,
        body: Any,  # noqa: ANN401
        form: Callable[..., dict[str, Any]],
        service: str,
    ) -> tuple[int, object, dict[str, str]]:
        forge = self.forge
        if int(number) not in forge.comments:
            raise NoSuchThingError
        if self.command == "POST":
            if len(body["body"].encode("utf-16-le")) // 2 > LONGEST[service]:
                errors = [{"message": f"body is too long (maximum is {LONGEST[service]} characters)"}]
                return 422, {"message": "Validation Failed", "errors": errors}, {}
            return 201, form(forge.say(int(number), forge.me, body["body"]), forge), {}
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        size, page = min(int(query["per_page"]), forge.page), int(query.get("page", "1"))
        there = forge.comments[int(number)]
        more = len(there) > page * size
        headers = {"X-Next-Page": str(page + 1) if more else ""}
        if more:
            base = forge.links or forge.url
            following = f"{base}{urlsplit(self.path).path}?per_page={size}&page={page + 1}"
            headers["Link"] = f'<{following}>; rel="next"'
        return 200, [form(item, forge) for item in there[(page - 1) * size : page * size]], headers

    def edited(
        self,
        number: str,
        body: Any,  # noqa: ANN401
        form: Callable[..., dict[str, Any]],
    ) -> tuple[int, object, dict[str, str]]:
        comment = self.forge.find(int(number))
        if comment is None:
            raise NoSuchThingError
        comment["body"], comment["editor"] = body["body"], self.forge.me
        return 200, form(comment, self.forge), {}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        pass


_AT, _GL = f"/repos/{REPOSITORY}", "/api/v4/projects/(?:5|acme/documents)"
GITHUB = (
    ("POST /graphql", Handler.graphql),
    (rf"(?:GET|POST) {_AT}/issues/(\d+)/comments", Handler.issue_comments),
    (rf"PATCH {_AT}/issues/comments/(\d+)", Handler.issue_comment),
    (rf"GET {_AT}/pulls/(\d+)", Handler.pull),
    (rf"GET {_AT}/commits/([0-9a-f]+)/pulls", Handler.pulls_of),
)
GITLAB = (
    ("GET /api/v4/user", Handler.user),
    (rf"(?:GET|POST) {_GL}/merge_requests/(\d+)/notes", Handler.notes),
    (rf"PUT {_GL}/merge_requests/(\d+)/notes/(\d+)", Handler.note),
    (rf"GET {_GL}/merge_requests/(\d+)", Handler.merge_request),
    (rf"GET {_GL}/repository/commits/([0-9a-f]+)/merge_requests", Handler.merge_requests_of),
)


@contextmanager
def served(forge: Forge) -> Iterator[Forge]:
    """Have it answer while the block runs."""
    handler = type("Served", (Handler,), {"forge": forge})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        forge.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield forge
        finally:
            server.shutdown()
            thread.join()


def environment(forge: Forge, service: str, *, number: int | None = None, **more: str) -> dict[str, str]:
    """What a runner's environment says, but for GitHub's event file."""
    if service == "github":
        there = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": forge.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
        }
    else:
        there = {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": f"{forge.url}/api/v4",
            "CI_PROJECT_ID": "5",
            "GITLAB_TOKEN": TOKEN,
        }
        if number is not None:
            there["CI_MERGE_REQUEST_IID"] = str(number)
    return there | more
