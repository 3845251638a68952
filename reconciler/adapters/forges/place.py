"""Where to comment: from options, else from what GitHub's and GitLab's runners say of themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.model.comment import Place, Service
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REPOSITORY = re.compile(r"(?!\.{1,2}/)[A-Za-z0-9._-]+/(?!\.{1,2}$)[A-Za-z0-9._-]+", re.ASCII)
_PROJECT = re.compile(r"[0-9]{1,18}|(?!.*(^|/)\.{1,2}(/|$))[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40,64}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# Bytes of the file in which GitHub's runner says what happened; GitHub allows no more.
_LARGEST_EVENT = 25 * 1024 * 1024


def find_place(
    environ: Mapping[str, str],
    *,
    service: Service | None = None,
    repository: str = "",
    number: int | None = None,
    token: str = "",
) -> Place:
    """Where to comment.

    Args:
        environ: environment variables.
        service: who keeps the repository; by default, whose runner this is.
        repository: its name there, or its number; by default, the runner's.
        number: the request's number; by default, that of the request that the runner is for.
        token: the variable that has the token, or "" for the usual one.

    Raises:
        SettingsError: something is missing, or no such thing.
    """
    if service is None:
        service = _service(environ)
    if service is Service.GITHUB:
        return _on_github(environ, repository, number, _variable(token or "GITHUB_TOKEN"))
    return _on_gitlab(environ, repository, number, _variable(token or "GITLAB_TOKEN"))


def token_of(place: Place, environ: Mapping[str, str]) -> str:
    """The token, which may be sent to the place.

    Raises:
        SettingsError: there is none, it is none, or anybody on the way there could read it.
    """
    for address in filter(None, (place.api, place.graphql)):
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise SettingsError(
                "the token is sent over https only", where=parts.hostname or "", next=_API[place.service]
            )
    token = environ.get(place.token, "")
    if not token:
        # The name is not repeated: some take it for the place of the token itself.
        raise SettingsError("there is no token to comment with", next=_TOKEN[place.service])
    if not all("!" <= sign <= "~" for sign in token):
        raise SettingsError(
            "the token has characters that no token has",
            why="a space, a line break or something outside of ASCII",
            next="Copy it again",
        )
    return token


_TOKEN = {
    Service.GITHUB: "Set GITHUB_TOKEN (in a workflow `env: {GITHUB_TOKEN: ${{ github.token }}}`), or name"
    " another variable with --token-env",
    Service.GITLAB: "Set GITLAB_TOKEN to a project access token with the scope api (a job's own token may not"
    " comment), or name another variable with --token-env",
}
_API = {
    Service.GITHUB: "GITHUB_API_URL and GITHUB_GRAPHQL_URL say where GitHub is",
    Service.GITLAB: "CI_API_V4_URL says where GitLab is",
}


def _service(environ: Mapping[str, str]) -> Service:
    if environ.get("GITHUB_ACTIONS") == "true":
        return Service.GITHUB
    if environ.get("GITLAB_CI") == "true":
        return Service.GITLAB
    raise SettingsError(
        "nothing says where to comment",
        why="this is neither GitHub Actions nor GitLab CI",
        next="Name it with --service, --repository and --number",
    )


def _on_github(environ: Mapping[str, str], repository: str, number: int | None, token: str) -> Place:
    repository = repository or environ.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.fullmatch(repository):
        raise SettingsError("nothing says which repository", next="Name it: --repository OWNER/NAME")
    api = (environ.get("GITHUB_API_URL") or "https://api.github.com").rstrip("/")
    graphql = environ.get("GITHUB_GRAPHQL_URL") or f"{api.removesuffix('/v3')}/graphql"
    event = _event(environ)
    request = event.get("pull_request")
    if number is None and isinstance(request, dict):
        number = _number(request.get("number"))
    issue = event.get("issue")
    if number is None and isinstance(issue, dict) and "pull_request" in issue:
        number = _number(issue.get("number"))
    merged = environ.get("GITHUB_SHA", "") if environ.get("GITHUB_EVENT_NAME") == "push" else ""
    _refuse_nowhere(number, merged)
    head, base = (_end(request, name) for name in ("head", "base"))
    return Place(
        service=Service.GITHUB,
        api=api,
        graphql=graphql,
        repository=repository,
        number=number,
        planned=_commit(head.get("sha")),
        merged=_commit(merged),
        fork=_name(head) != _name(base),
        token=token,
    )


def _on_gitlab(environ: Mapping[str, str], repository: str, number: int | None, token: str) -> Place:
    repository = repository or environ.get("CI_PROJECT_ID", "")
    if not _PROJECT.fullmatch(repository):
        raise SettingsError("nothing says which project", next="Name it: --repository GROUP/NAME, or its id")
    if number is None and re.fullmatch(r"[0-9]{1,15}", environ.get("CI_MERGE_REQUEST_IID", "")):
        number = _number(int(environ["CI_MERGE_REQUEST_IID"]))
    commit = environ.get("CI_COMMIT_SHA", "")
    _refuse_nowhere(number, commit)
    return Place(
        service=Service.GITLAB,
        api=(environ.get("CI_API_V4_URL") or "https://gitlab.com/api/v4").rstrip("/"),
        repository=repository,
        number=number,
        # Where a pipeline runs for the merged result, the commit is one that nobody has pushed.
        planned=_commit(environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or commit) if number else "",
        merged="" if number else _commit(commit),
        fork=environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "") not in ("", environ.get("CI_PROJECT_ID")),
        token=token,
    )


def _refuse_nowhere(number: int | None, merged: str) -> None:
    if number is None and not merged:
        raise SettingsError(
            "nothing says which request to comment on",
            why="this run is neither for a pull or merge request nor for a push",
            next="Name it with --number",
        )


def _event(environ: Mapping[str, str]) -> dict[str, Any]:
    """What happened, as GitHub's runner says; empty where it does not."""
    name = environ.get("GITHUB_EVENT_PATH", "")
    if not name:
        return {}
    try:
        with Path(name).open("rb") as file:
            event = json.loads(file.read(_LARGEST_EVENT))
    except (OSError, ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _end(request: object, name: str) -> dict[str, Any]:
    end = request.get(name) if isinstance(request, dict) else None
    return end if isinstance(end, dict) else {}


def _name(end: dict[str, Any]) -> object:
    repository = end.get("repo")
    return repository.get("full_name") if isinstance(repository, dict) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53 else None


def _commit(value: object) -> str:
    return value if isinstance(value, str) and _COMMIT.fullmatch(value) else ""


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise SettingsError(
            "--token-env takes the name of a variable, and never the token", next="Such as GITHUB_TOKEN"
        )
    return name
