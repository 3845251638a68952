"""Where to comment, as the runners of GitHub and GitLab and the options say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import api
from reconciler.adapters.forges.place import token_of
from reconciler.model.comment import Place, Service
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

HEAD, MERGED = "c0ffee00" * 5, "deadbeef" * 5
GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/documents", "GITHUB_SHA": MERGED}
GITLAB = {"GITLAB_CI": "true", "CI_PROJECT_ID": "5", "CI_COMMIT_SHA": MERGED}
ON_GITHUB = Place(
    service=Service.GITHUB,
    api="https://api.github.com",
    graphql="https://api.github.com/graphql",
    repository="acme/documents",
    token="GITHUB_TOKEN",
)
ON_GITLAB = Place(
    service=Service.GITLAB, api="https://gitlab.com/api/v4", repository="5", token="GITLAB_TOKEN"
)


def changed(place: Place, **changes: Any) -> Place:  # noqa: ANN401
    from dataclasses import replace

    return replace(place, **changes)


def pull_request(head: str = "acme/documents") -> dict[str, Any]:
    return {
        "number": 7,
        "head": {"sha": HEAD, "repo": {"full_name": head}},
        "base": {"sha": MERGED, "repo": {"full_name": "acme/documents"}},
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"pull_request": pull_request()}, changed(ON_GITHUB, number=7, planned=HEAD)),
        (
            {"pull_request": pull_request("mallory/documents")},
            changed(ON_GITHUB, number=7, planned=HEAD, fork=True),
        ),
        ({"issue": {"number": 9, "pull_request": {}}}, changed(ON_GITHUB, number=9)),
    ],
    ids=["its own", "a fork's", "a comment on it"],
)
def test_githubs_event_says_which_request(tmp_path: Path, event: object, expected: Place) -> None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    environ = GITHUB | {"GITHUB_EVENT_PATH": str(path), "GITHUB_EVENT_NAME": "pull_request"}
    assert api.comment_place(environ=environ) == expected


def test_a_push_says_which_commit_was_merged() -> None:
    assert api.comment_place(environ=GITHUB | {"GITHUB_EVENT_NAME": "push"}) == changed(
        ON_GITHUB, merged=MERGED
    )
    assert api.comment_place(environ=GITLAB) == changed(ON_GITLAB, merged=MERGED)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, changed(ON_GITLAB, number=7, planned=MERGED)),
        ({"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}, changed(ON_GITLAB, number=7, planned=HEAD)),
        (
            {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "6"},
            changed(ON_GITLAB, number=7, planned=MERGED, fork=True),
        ),
    ],
    ids=["of the branch", "of the merged result", "a fork's"],
)
def test_gitlabs_variables_say_which_request(more: dict[str, str], expected: Place) -> None:
    assert api.comment_place(environ=GITLAB | {"CI_MERGE_REQUEST_IID": "7"} | more) == expected


def test_options_go_before_what_a_runner_says() -> None:
    place = api.comment_place(
        environ=GITLAB, service=Service.GITHUB, repository="a/b", number=3, token="MY_TOKEN"
    )
    assert place == changed(ON_GITHUB, repository="a/b", number=3, token="MY_TOKEN")


def test_a_server_of_ones_own() -> None:
    environ = GITHUB | {"GITHUB_API_URL": "https://github.example.test/api/v3/"}
    place = api.comment_place(environ=environ, number=1)
    assert (place.api, place.graphql) == (
        "https://github.example.test/api/v3",
        "https://github.example.test/api/graphql",
    )


@pytest.mark.parametrize(
    ("environ", "options", "what"),
    [
        ({}, {}, "nothing says where to comment"),
        ({"GITHUB_ACTIONS": "true"}, {"number": 1}, "nothing says which repository"),
        (GITHUB | {"GITHUB_REPOSITORY": "../x"}, {"number": 1}, "nothing says which repository"),
        (GITHUB | {"GITHUB_REPOSITORY": "a/b?c"}, {"number": 1}, "nothing says which repository"),
        (GITLAB | {"CI_PROJECT_ID": "5/../6"}, {"number": 1}, "nothing says which project"),
        (GITHUB, {}, "nothing says which request to comment on"),
        (GITHUB | {"GITHUB_EVENT_PATH": "/nowhere"}, {}, "nothing says which request to comment on"),
        (GITHUB, {"number": 1, "token": "ghs-a token"}, "--token-env takes the name of a variable"),
    ],
    ids=str,
)
def test_what_is_missing_is_told(environ: dict[str, str], options: dict[str, Any], what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        api.comment_place(environ=environ, **options)
    assert what in caught.value.what
    assert caught.value.next


@pytest.mark.parametrize(
    ("changes", "environ", "what"),
    [
        ({}, {}, "there is no token"),
        ({"token": "ghs_really_the_token"}, {}, "there is no token"),
        ({}, {"GITHUB_TOKEN": "a b"}, "characters that no token has"),
        ({"api": "http://github.example.test"}, {"GITHUB_TOKEN": "x"}, "over https only"),
        ({"graphql": "http://127.0.0.1.example.test/"}, {"GITHUB_TOKEN": "x"}, "over https only"),
    ],
    ids=str,
)
def test_a_token_goes_nowhere_it_should_not(
    changes: dict[str, str], environ: dict[str, str], what: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        token_of(changed(ON_GITHUB, **changes), environ)
    assert what in caught.value.what
    assert "ghs_really" not in str(caught.value)
