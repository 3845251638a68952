"""After a merge: is the plan the one that the request's comment shows? In doubt it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from forge_stand import BOT, Forge, environment, served

from reconciler import api
from reconciler.model import errors
from reconciler.model.comment import Mark, Place, Service
from reconciler.model.saved import SavedAction, SavedPlan
from reconciler.render.comment import comment_text

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD, OTHER, MERGED = "c0ffee00" * 5, "0ddba115" * 5, "deadbeef" * 5
DIGEST, CHANGED = f"sha256:{'5' * 64}", f"sha256:{'6' * 64}"
SERVICES = list(Service)


@pytest.fixture
def forge() -> Iterator[Forge]:
    with served(Forge()) as stand:
        stand.open(7, HEAD)
        stand.merges[MERGED] = 7
        yield stand


def plan(digest: str = DIGEST, kind: str = "create") -> SavedPlan:
    action = SavedAction(kind=kind, address="invoices/dir-a", key="k", reason="missing")
    return SavedPlan(
        file="plan",
        own="own",
        digest=digest,
        lineage="",
        state="",
        manifests="",
        targets=(),
        actions=(action,),
    )


def runner(forge: Forge, service: Service, commit: str = MERGED) -> dict[str, str]:
    name = "GITHUB_SHA" if service is Service.GITHUB else "CI_COMMIT_SHA"
    return environment(forge, service) | {name: commit, "GITHUB_EVENT_NAME": "push"}


def why_not(
    forge: Forge, service: Service, planned: SavedPlan, commit: str = MERGED, slept: list[float] | None = None
) -> str:
    environ = runner(forge, service, commit)
    place: Place = api.comment_place(environ=environ)
    waited = [] if slept is None else slept
    return api.not_reviewed(place, Mark(project="documents"), planned, environ=environ, sleep=waited.append)


def show(forge: Forge, service: Service, **changes: str) -> None:
    mark = Mark(**{"project": "documents", "digest": DIGEST, "commit": HEAD, **changes})
    forge.say(7, BOT, comment_text(mark, "The plan.", service))


@pytest.mark.parametrize("service", SERVICES)
def test_the_plan_that_the_comment_shows_was_reviewed(forge: Forge, service: Service) -> None:
    show(forge, service)
    assert why_not(forge, service, plan()) == ""


@pytest.mark.parametrize("service", SERVICES)
def test_a_plan_that_changes_nothing_needs_no_review_and_nobody_is_asked(
    forge: Forge, service: Service
) -> None:
    assert why_not(forge, service, plan(kind="keep")) == ""
    assert forge.asked == []


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"digest": CHANGED}, "what is to be done has changed since request 7 was reviewed"),
        ({"digest": ""}, "shows no plan that came to its end"),
        ({"commit": OTHER}, "is of 0ddba1150ddb, and the request ended with c0ffee00c0ff"),
        ({"commit": ""}, "is of a commit that nobody knows"),
        ({"id": "other"}, "has no comment of this project"),
        ({"project": "receipts"}, "has no comment of this project"),
    ],
    ids=str,
)
def test_another_plan_was_not(forge: Forge, service: Service, changes: dict[str, str], why: str) -> None:
    show(forge, service, **changes)
    assert why in why_not(forge, service, plan())


@pytest.mark.parametrize("service", SERVICES)
def test_a_comment_of_somebody_else_reviews_nothing(forge: Forge, service: Service) -> None:
    mark = Mark(project="documents", digest=DIGEST, commit=HEAD)
    forge.say(7, "mallory", comment_text(mark, "The plan.", service))
    assert "has no comment of this project" in why_not(forge, service, plan())


def test_a_comment_that_somebody_else_edited_reviews_nothing(forge: Forge) -> None:
    show(forge, Service.GITHUB)
    forge.comments[7][0]["editor"] = "mallory"
    assert why_not(forge, Service.GITHUB, plan()) == "the comment of request 7 was edited last by mallory"
    forge.comments[7][0]["editor"] = BOT
    assert why_not(forge, Service.GITHUB, plan()) == ""


@pytest.mark.parametrize("service", SERVICES)
def test_a_commit_without_a_merged_request_reviews_nothing(forge: Forge, service: Service) -> None:
    show(forge, service)
    slept: list[float] = []
    assert "nobody has reviewed its plan" in why_not(forge, service, plan(), OTHER, slept)
    assert slept == [5.0, 5.0]  # a service may take a moment to know


@pytest.mark.parametrize("service", SERVICES)
def test_a_request_that_is_still_open_reviews_nothing(forge: Forge, service: Service) -> None:
    show(forge, service)
    forge.open(8, HEAD)
    mark = Mark(project="documents", digest=DIGEST, commit=HEAD)
    forge.say(8, BOT, comment_text(mark, "The plan.", service))
    forge.others = {OTHER: [8], MERGED: [8]}
    assert "nobody has reviewed its plan" in why_not(forge, service, plan(), OTHER)
    assert why_not(forge, service, plan()) == ""


@pytest.mark.parametrize("service", SERVICES)
def test_of_several_merged_requests_the_one_that_made_the_commit_counts(
    forge: Forge, service: Service
) -> None:
    show(forge, service)
    forge.open(6, OTHER)
    forge.merges["abad1dea" * 5] = 6
    forge.others = {MERGED: [6]}
    assert why_not(forge, service, plan()) == ""


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("method", "path"), [("GET", "commits"), ("GET", "comments|notes")])
def test_a_service_that_does_not_answer_reviews_nothing(
    forge: Forge, service: Service, method: str, path: str
) -> None:
    show(forge, service)
    forge.fail(method, path, 500, {}, times=100)
    with pytest.raises(errors.UnavailableError):
        why_not(forge, service, plan())


def test_an_editor_who_is_not_told_reviews_nothing(forge: Forge) -> None:
    show(forge, Service.GITHUB)
    forge.fail("POST", "graphql", 200, {"data": {"viewer": {"login": BOT}}})
    forge.fail("POST", "graphql", 200, {"data": {"node": None}, "errors": [{"message": "no"}]})
    with pytest.raises(errors.UnexpectedReplyError, match="who edited the comment"):
        why_not(forge, Service.GITHUB, plan())
