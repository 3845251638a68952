"""The one comment that is ours: found by its mark and its author, made where there is none, else updated.

Whoever may comment can write a mark, so a comment counts only where who wrote it is who the token is. Of
several the oldest counts, for reading as for writing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reconciler.model.comment import Done, Mark, Posted, Reviewed, Service
from reconciler.model.errors import ForbiddenError, InvalidRequestError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.comment import Comment, Place, Request

# A commit's request is known a moment after the push: so many looks, and seconds between them.
_LOOKS, _BETWEEN = 3, 5.0

# What ends the names of apps on GitHub, where it says so.
_BOT = "[bot]"


class Forge(Protocol):
    """What a service that keeps repositories can be asked. All of it may raise a `ServiceError`."""

    def me(self) -> str:
        """Who the token is."""

    def comments(self, number: int) -> Iterator[Comment]:
        """All comments of a request, the oldest first."""

    def create(self, number: int, body: str) -> Comment:
        """A new comment."""

    def update(self, number: int, comment: Comment, body: str) -> Comment:
        """Another text in a comment's place."""

    def editor(self, comment: Comment) -> str:
        """Who edited a comment last, or "" where nobody did or nobody knows."""

    def request(self, number: int) -> Request:
        """A request by its number."""

    def merged(self, commit: str) -> Request | None:
        """The merged request that made a commit, or had it in it."""

    def pause(self, seconds: float) -> None:
        """Wait for something to come about there."""


def post(forge: Forge, place: Place, mark: Mark, body: str) -> Posted:
    """Have the request bear a comment with this body, which begins with the mark.

    Raises:
        ServiceError: it could not be brought about.
        NotFoundError: also where the commit came with no request.
    """
    number = place.number
    if number is None:
        request = _merged(forge, place.merged)
        if request is None:
            raise NotFoundError(
                "the commit came with no merged request, so that there is nowhere to comment",
                where=place.merged[:12],
                next="Name a request with --number",
            )
        number = request.number
    try:
        return _post(forge, number, mark, body)
    except ForbiddenError as error:
        why = _FORK if place.fork else _PERMISSION[place.service]
        raise ForbiddenError(
            f"request {number} cannot be commented on",
            where=error.where,
            why=f"{error.why}; {why}" if error.why else why,
            next="Grant that, or add --or-summary to have the text in the job's summary instead",
            status=error.status,
        ) from error
    except InvalidRequestError as error:
        error.next = error.next or "If the text is too long, write a shorter one: --markdown-limit"
        raise


_FORK = "a request from a fork gets a token that may only read, and none of the secrets"
_PERMISSION = {
    Service.GITHUB: "the workflow needs `permissions: {pull-requests: write}`",
    Service.GITLAB: "the token needs the scope api and a role that may comment",
}


def _post(forge: Forge, number: int, mark: Mark, body: str) -> Posted:
    ours = _ours(forge, number, mark)
    for comment in ours:
        surplus = len(ours) - 1
        if _plain(comment.body) == _plain(body):
            return Posted(Done.UNCHANGED, number, comment.url, surplus)
        try:
            made = forge.update(number, comment, body)
        except (ForbiddenError, NotFoundError):
            # It may not be edited, or went a moment ago. If nothing may be written, a create says so.
            continue
        return Posted(Done.UPDATED, number, made.url or comment.url, surplus)
    made = _create(forge, number, mark, body, before={comment.id for comment in ours})
    return Posted(Done.CREATED, number, made.url, len(ours))


def _create(forge: Forge, number: int, mark: Mark, body: str, *, before: set[int]) -> Comment:
    try:
        return forge.create(number, body)
    except UnavailableError:
        # It may have come about all the same: two would be one too many.
        for comment in _ours(forge, number, mark):
            if comment.id not in before:
                return comment
    return forge.create(number, body)


def reviewed(forge: Forge, place: Place, mark: Mark) -> Reviewed:
    """What the comment of the merged request says was reviewed.

    Raises:
        ServiceError: it could not be found out.
    """
    request = _merged(forge, place.merged) if place.number is None else forge.request(place.number)
    if request is None:
        return Reviewed(None)
    ours = _ours(forge, request.number, mark)
    if not ours:
        return Reviewed(request)
    editor = forge.editor(ours[0])
    by_other = editor if editor.removesuffix(_BOT) != ours[0].author.removesuffix(_BOT) else ""
    return Reviewed(request, Mark.of(ours[0].body), by_other)


def _merged(forge: Forge, commit: str) -> Request | None:
    for look in range(_LOOKS):
        if look:
            forge.pause(_BETWEEN)
        found = forge.merged(commit) if commit else None
        if found is not None or not commit:
            return found
    return None


def _ours(forge: Forge, number: int, mark: Mark) -> list[Comment]:
    marked = [
        comment
        for comment in forge.comments(number)
        if (found := Mark.of(comment.body)) is not None and mark.finds(found)
    ]
    if not marked:
        return []
    me = forge.me()
    return [comment for comment in marked if comment.author in {me, f"{me}{_BOT}"}]


def _plain(body: str) -> str:
    """A text without what a service may change about it by itself."""
    return body.replace("\r\n", "\n").strip()
