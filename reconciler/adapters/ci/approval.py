"""Who approved what a run is to do: whoever started it says so, else GitHub's reviews, else the commit.

Nothing here fails: what cannot be found out is unknown, and the source of what can be is kept with it. GitHub
is asked in its own Actions only, for the reviews of the merged pull request that the commit came with, with
the token that the workflow hands on, and for a bounded time. The addresses and fields are those of its REST
API: "List pull requests associated with a commit" and "List reviews for a pull request".
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

    from reconciler.adapters.ci.git import Git

#: Seconds for all questions to GitHub together.
PATIENCE = 8.0

# Bytes of one reply; a page of 100 reviews with long texts has fewer.
_LARGEST = 8 * 1024 * 1024

# The longest name that is believed.
_LONGEST = 200

# The most names that are recorded.
_MOST = 20

_COMMIT = re.compile(r"[0-9a-f]{40,64}", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", re.ASCII)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Approval(NamedTuple):
    """Who approved, and how that is known.

    Attributes:
        name: who, or "".
        source: ``approved-by``, ``github-reviews``, ``reviewed-by-trailer`` or ``unknown``.
    """

    name: str
    source: str


UNKNOWN = Approval("", "unknown")


def find_approval(environ: Mapping[str, str], git: Git, commit: str, said: str | None) -> Approval:
    """Who approved what a run is to do.

    Args:
        environ: environment variables.
        git: asked about the commit.
        commit: what runs, or "".
        said: the name that whoever started the run gave; "" to find out, None where nothing was to approve.
    """
    if said is None:
        return UNKNOWN
    if said:
        return Approval(said, "approved-by")
    if not _COMMIT.fullmatch(commit):
        return UNKNOWN
    if names := _github_reviewers(environ, commit):
        return Approval(_listed(names), "github-reviews")
    if names := git.reviewers(commit):
        return Approval(_listed([name[:_LONGEST] for name in names]), "reviewed-by-trailer")
    return UNKNOWN


def _listed(names: Sequence[str]) -> str:
    """So many names as anybody reads: whoever writes a commit's message can put any number into it."""
    left = f" and {len(names) - _MOST:,} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + left


def _github_reviewers(environ: Mapping[str, str], commit: str) -> tuple[str, ...]:
    """Whose last review of the commit's pull request approves it, sorted."""
    token, repository = environ.get("GITHUB_TOKEN", ""), environ.get("GITHUB_REPOSITORY", "")
    base = environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    if environ.get("GITHUB_ACTIONS") != "true" or not token or not _REPOSITORY.fullmatch(repository):
        return ()
    if not _may_have_token(base):
        return ()
    import threading

    answer: list[tuple[str, ...]] = []

    def ask() -> None:
        answer.append(_asked(base, repository, commit, token))

    # A connection's time-outs begin anew with every byte, and looking up a name has none at all: only who
    # does not wait for the answer waits for no longer than was said.
    asking = threading.Thread(target=ask, name="approval", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return answer[0] if answer else ()


def _asked(base: str, repository: str, commit: str, token: str) -> tuple[str, ...]:
    import httpx

    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "User-Agent": "reconciler",
    }
    deadline = time.monotonic() + PATIENCE
    try:
        with httpx.Client(headers=headers, trust_env=not _loopback(base)) as client:
            of_commit = f"{base}/repos/{repository}/commits/{commit}/pulls"
            number = _pull_request(_read(client, of_commit, deadline), commit)
            if number is None:
                return ()
            of_request = f"{base}/repos/{repository}/pulls/{number}/reviews?per_page=100"
            reviews = _read(client, of_request, deadline)
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, OSError, ValueError, RecursionError):
        return ()
    return _approving(reviews)


def _pull_request(found: list[Any], commit: str) -> int | None:
    """The number of the merged pull request that made the commit, or had it in it."""
    merged = [
        item
        for item in found
        if isinstance(item, dict) and item.get("merged_at") and isinstance(item.get("number"), int)
    ]
    merged.sort(key=lambda item: (item.get("merge_commit_sha") != commit, item["number"]))
    return int(merged[0]["number"]) if merged else None


def _approving(reviews: list[Any]) -> tuple[str, ...]:
    """A later review of a person replaces an earlier one; a mere comment replaces none."""
    last: dict[str, str] = {}
    for review in reviews:
        if not isinstance(review, dict) or not isinstance(review.get("user"), dict):
            continue
        name, state = review["user"].get("login"), review.get("state")
        if isinstance(name, str) and state in {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}:
            last[name[:_LONGEST]] = state
    return tuple(sorted(name for name, state in last.items() if state == "APPROVED"))


def _read(client: httpx.Client, url: str, deadline: float) -> list[Any]:
    """A list, with all pages of it.

    Raises:
        httpx.HTTPError, ValueError: it cannot be had, or is none, or the time was up.
    """
    found: list[Any] = []
    following: str | None = url
    while following is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ValueError("the time was up")
        body = b""
        with client.stream("GET", following, timeout=left) as reply:
            if reply.status_code != 200:  # noqa: PLR2004 - HTTP's own word
                raise ValueError("no reply of use")
            for part in reply.iter_bytes():
                body += part
                if len(body) > _LARGEST or time.monotonic() > deadline:
                    raise ValueError("too much, or too slow")
            following = reply.links.get("next", {}).get("url")
        page = json.loads(body)
        if not isinstance(page, list):
            raise ValueError("no list")  # noqa: TRY004 - what came, not what was given
        found += page
        if following is not None and urlsplit(following)[:2] != urlsplit(url)[:2]:
            raise ValueError("the next page is elsewhere, and the token is not for there")
    return found


def _may_have_token(base: str) -> bool:
    """Whether the token may be sent there: nobody on the way may read it."""
    return urlsplit(base).scheme == "https" or _loopback(base)


def _loopback(base: str) -> bool:
    return urlsplit(base).hostname in _LOOPBACK
