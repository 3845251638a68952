"""GitHub: comments of pull requests, which its REST API calls comments of issues.

Who a token is, and who edited a comment last, only its GraphQL API says: `GET /user` refuses the token that
Actions hands out. Names of apps end in ``[bot]`` in the one and not always in the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.comment import Comment, Request
from reconciler.model.errors import UnexpectedReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.adapters.forges.wire import Answer, Wire
    from reconciler.model.comment import Place

_PAGE = 100
# More pages than any request has; a service that has more goes round in a circle.
_MOST_PAGES = 1_000

_VIEWER = "query { viewer { login } }"
_EDITOR = "query ($id: ID!) { node(id: $id) { ... on IssueComment { editor { login } } } }"


class GitHub:
    """One repository on GitHub."""

    def __init__(self, wire: Wire, place: Place) -> None:
        self._wire = wire
        self._graphql = place.graphql
        self._at = f"/repos/{place.repository}"

    def me(self) -> str:
        """Who the token is."""
        viewer = self._ask(_VIEWER).get("viewer")
        return _login(viewer, "who the token is")

    def comments(self, number: int) -> Iterator[Comment]:
        """All comments of a request, the oldest first."""
        for item in self._pages(f"{self._at}/issues/{number}/comments?per_page={_PAGE}"):
            yield _comment(item)

    def create(self, number: int, body: str) -> Comment:
        """A new comment."""
        path = f"{self._at}/issues/{number}/comments"
        return _comment(self._wire.send("POST", path, {"body": body}).body)

    def update(self, number: int, comment: Comment, body: str) -> Comment:  # noqa: ARG002 - GitLab's wants it
        """Another text in a comment's place."""
        path = f"{self._at}/issues/comments/{comment.id}"
        return _comment(self._wire.send("PATCH", path, {"body": body}).body)

    def editor(self, comment: Comment) -> str:
        """Who edited a comment last, or "" where nobody did."""
        node = self._ask(_EDITOR, id=comment.node).get("node")
        if not isinstance(node, dict) or "editor" not in node:
            raise UnexpectedReplyError("the service does not say who edited the comment", where=self._graphql)
        return "" if node["editor"] is None else _login(node["editor"], "who edited the comment")

    def request(self, number: int) -> Request:
        """A request by its number."""
        return _request(self._wire.send("GET", f"{self._at}/pulls/{number}").body)

    def merged(self, commit: str) -> Request | None:
        """The merged request that made a commit, else one that had it in it."""
        found = [
            item
            for item in self._pages(f"{self._at}/commits/{commit}/pulls?per_page={_PAGE}")
            if isinstance(item, dict) and item.get("merged_at")
        ]
        found.sort(key=lambda item: (item.get("merge_commit_sha") != commit, str(item.get("merged_at"))))
        return _request(found[0]) if found else None

    def pause(self, seconds: float) -> None:
        """Wait for something to come about there."""
        self._wire.pause(seconds)

    def _pages(self, path: str) -> Iterator[Any]:
        for _ in range(_MOST_PAGES):
            answer = self._wire.send("GET", path)
            yield from _list(answer)
            if not answer.next:
                return
            path = answer.next
        raise UnexpectedReplyError("the list of comments does not end", where=path.partition("?")[0])

    def _ask(self, query: str, **variables: str) -> dict[str, Any]:
        asked = {"query": query, "variables": variables}
        body = self._wire.send("POST", self._graphql, asked, again=True).body
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise UnexpectedReplyError("the service does not say who the token is", where=self._graphql)
        return data


def _list(answer: Answer) -> list[Any]:
    if not isinstance(answer.body, list):
        raise UnexpectedReplyError("the service answered with no list")
    return answer.body


def _comment(item: object) -> Comment:
    match item:
        case {"id": int(number), "body": str() | None as body, "user": user}:
            return Comment(
                id=number,
                body=body or "",
                # Whoever is deleted is nobody.
                author="" if user is None else _login(user, "who wrote a comment"),
                url=_text(item, "html_url"),
                node=_text(item, "node_id"),
            )
    raise UnexpectedReplyError("the service describes a comment otherwise than it documents")


def _request(item: object) -> Request:
    match item:
        case {"number": int(number), "head": {"sha": str(head)}}:
            return Request(number, head)
    raise UnexpectedReplyError("the service describes a pull request otherwise than it documents")


def _login(user: object, what: str) -> str:
    match user:
        case {"login": str(name)}:
            return name
    raise UnexpectedReplyError(f"the service does not say {what}")


def _text(item: object, name: str) -> str:
    value = item.get(name) if isinstance(item, dict) else None
    return value if isinstance(value, str) else ""
