"""GitLab: notes of merge requests. Its notes do not say who edited them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.model.comment import Comment, Request
from reconciler.model.errors import UnexpectedReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.adapters.forges.wire import Wire
    from reconciler.model.comment import Place

# Notes may have a million characters each.
_PAGE = 50
_MOST_PAGES = 1_000


class GitLab:
    """One project on GitLab."""

    def __init__(self, wire: Wire, place: Place) -> None:
        self._wire = wire
        self._at = f"/projects/{quote(place.repository, safe='')}"

    def me(self) -> str:
        """Who the token is."""
        return _user(self._wire.send("GET", "/user").body)

    def comments(self, number: int) -> Iterator[Comment]:
        """All notes of a request that people or tokens wrote, the oldest first."""
        path = f"{self._at}/merge_requests/{number}/notes?sort=asc&order_by=created_at&per_page={_PAGE}"
        for item in self._pages(path):
            if not (isinstance(item, dict) and item.get("system")):
                yield _note(item)

    def create(self, number: int, body: str) -> Comment:
        """A new note."""
        path = f"{self._at}/merge_requests/{number}/notes"
        return _note(self._wire.send("POST", path, {"body": body}).body)

    def update(self, number: int, comment: Comment, body: str) -> Comment:
        """Another text in a note's place."""
        path = f"{self._at}/merge_requests/{number}/notes/{comment.id}"
        return _note(self._wire.send("PUT", path, {"body": body}).body)

    def editor(self, comment: Comment) -> str:  # noqa: ARG002 - GitHub's wants it
        """Not known here."""
        return ""

    def request(self, number: int) -> Request:
        """A request by its number."""
        return _request(self._wire.send("GET", f"{self._at}/merge_requests/{number}").body)

    def merged(self, commit: str) -> Request | None:
        """The merged request that made a commit, else one that had it in it."""
        found = [
            item
            for item in self._pages(f"{self._at}/repository/commits/{commit}/merge_requests?per_page=100")
            if isinstance(item, dict) and item.get("state") == "merged"
        ]
        made = ("merge_commit_sha", "squash_commit_sha", "sha")
        found.sort(
            key=lambda item: (
                commit not in {item.get(name) for name in made},
                str(item.get("merged_at")),
            )
        )
        return _request(found[0]) if found else None

    def pause(self, seconds: float) -> None:
        """Wait for something to come about there."""
        self._wire.pause(seconds)

    def _pages(self, path: str) -> Iterator[Any]:
        page = "1"
        for _ in range(_MOST_PAGES):
            answer = self._wire.send("GET", f"{path}&page={page}")
            if not isinstance(answer.body, list):
                raise UnexpectedReplyError("the service answered with no list", where=path.partition("?")[0])
            yield from answer.body
            page = answer.headers.get("x-next-page", "")
            if not page:
                return
            if not (page.isascii() and page.isdecimal()):
                raise UnexpectedReplyError("the next page has no number", where=path.partition("?")[0])
        raise UnexpectedReplyError("the list of notes does not end", where=path.partition("?")[0])


def _note(item: object) -> Comment:
    match item:
        case {"id": int(number), "body": str(body), "author": author}:
            return Comment(id=number, body=body, author=_user(author))
    raise UnexpectedReplyError("the service describes a note otherwise than it documents")


def _request(item: object) -> Request:
    match item:
        case {"iid": int(number), "sha": str(head)}:
            return Request(number, head)
    raise UnexpectedReplyError("the service describes a merge request otherwise than it documents")


def _user(user: object) -> str:
    match user:
        case {"username": str(name)}:
            return name
    raise UnexpectedReplyError("the service does not say who somebody is")
