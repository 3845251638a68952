"""A comment of ours on a pull or merge request: where it is to stand, and the mark that it is found by.

The mark is the comment's first line, which nobody sees. Beside whose comment it is, it keeps what was
reviewed: the digest of the plan that the comment shows, and the commit that was planned.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_BEGIN, _END = "<!-- reconciler ", " -->"
_FIELDS = ("project", "id", "digest", "commit")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40,64}", re.ASCII)

#: The longest mark there is; projects' names and ids have at most 63 characters.
LONGEST_MARK = 400


class Service(StrEnum):
    """Who keeps the repository."""

    GITHUB = "github"
    GITLAB = "gitlab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Whose comment it is, and what it shows.

    Attributes:
        project: the project's name.
        id: tells several comments of one project apart.
        digest: names what the plan would do, or "" where the comment shows no plan.
        commit: what was planned, or "" where that is not known.
    """

    project: str
    id: str = ""
    digest: str = ""
    commit: str = ""

    def line(self) -> str:
        """The mark as it stands in a comment, on one line that no value can leave."""
        text = json.dumps({name: getattr(self, name) for name in _FIELDS})
        for sign in "<>":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return f"{_BEGIN}{text}{_END}"

    def finds(self, other: Mark) -> bool:
        """Whether the other is a mark of the same comment, whatever it shows."""
        return (self.project, self.id) == (other.project, other.id)

    @classmethod
    def of(cls, body: str) -> Mark | None:
        """The mark of a comment; None where its first line is none, whatever follows."""
        line = body.lstrip("\ufeff")[: 4 * LONGEST_MARK].partition("\n")[0].rstrip()
        if not (line.startswith(_BEGIN) and line.endswith(_END)):
            return None
        try:
            fields = json.loads(line.removeprefix(_BEGIN).removesuffix(_END))
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or not all(isinstance(fields.get(name), str) for name in _FIELDS):
            return None
        mark = cls(**{name: fields[name] for name in _FIELDS})
        sound = (not mark.digest or _DIGEST.fullmatch(mark.digest)) and (
            not mark.commit or _COMMIT.fullmatch(mark.commit)
        )
        return mark if sound else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where comments are to stand, as far as that is known without asking.

    Attributes:
        service: who keeps the repository.
        api: the base address of its REST API.
        graphql: GitHub's other API, which alone tells who a token is and who edited a comment.
        repository: its name there, or its number.
        number: the request's number; None where it is found by `merged`.
        planned: the request's newest commit, which a plan was made of, or "".
        merged: the commit that the request became, where it was merged, or "".
        fork: whether the request comes from another repository.
        token: the environment variable that has the token.
    """

    service: Service
    api: str
    graphql: str = ""
    repository: str
    number: int | None = None
    planned: str = ""
    merged: str = ""
    fork: bool = False
    token: str


class Request(NamedTuple):
    """A pull or merge request.

    Attributes:
        number: its number in its repository.
        head: its newest commit.
    """

    number: int
    head: str


class Comment(NamedTuple):
    """A comment that stands.

    Attributes:
        id: the service's number for it.
        body: its text.
        author: who wrote it, as the service names them.
        url: where it is seen, or "".
        node: GitHub's other id for it, or "".
    """

    id: int
    body: str
    author: str
    url: str = ""
    node: str = ""


class Done(StrEnum):
    """What became of a comment."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Posted(NamedTuple):
    """A comment as it stands now.

    Attributes:
        done: what was done for it.
        number: the request's number.
        url: where it is seen, or "".
        surplus: how many more comments bear the same mark.
    """

    done: Done
    number: int
    url: str = ""
    surplus: int = 0


class Reviewed(NamedTuple):
    """What a merged request's comment says was reviewed.

    Attributes:
        request: the request; None where the commit came with none.
        mark: of its comment; None where there is no such comment.
        editor: who else edited the comment last, or "".
    """

    request: Request | None
    mark: Mark | None = None
    editor: str = ""
