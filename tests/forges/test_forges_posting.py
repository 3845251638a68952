"""One comment of ours, on both services: made, updated, left alone, and never anybody else's."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from forge_stand import BOT, TOKEN, Forge, environment, served

from reconciler import api
from reconciler.model import errors
from reconciler.model.comment import Done, Mark, Place, Posted, Service
from reconciler.render.comment import comment_text

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD, MERGED = "c0ffee00" * 5, "deadbeef" * 5
DIGEST = f"sha256:{'5' * 64}"
MARK = Mark(project="documents", digest=DIGEST, commit=HEAD)
SERVICES = list(Service)


@pytest.fixture
def forge() -> Iterator[Forge]:
    with served(Forge()) as stand:
        stand.open(7, HEAD)
        yield stand


def where(forge: Forge, service: Service, **changes: Any) -> Place:  # noqa: ANN401
    wanted: dict[str, Any] = {"number": 7, **changes}
    return api.comment_place(environ=environment(forge, service), **wanted)


def post(
    forge: Forge, service: Service, page: str = "A page.", mark: Mark = MARK, slept: list[float] | None = None
) -> Posted:
    body = comment_text(mark, page, service)
    waited = [] if slept is None else slept
    return api.post_comment(
        where(forge, service), mark, body, environ=environment(forge, service), sleep=waited.append
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_comment_is_made_then_updated_then_left_alone(forge: Forge, service: Service) -> None:
    forge.say(7, "ada", "Looks good.")
    assert post(forge, service, "One.").done is Done.CREATED
    assert post(forge, service, "Two.").done is Done.UPDATED
    before = len(forge.asked)
    assert post(forge, service, "Two.").done is Done.UNCHANGED
    write = "PATCH" if service is Service.GITHUB else "PUT"
    assert forge.wrote == ["POST", write]
    assert {method for method, path in forge.asked[before:] if "graphql" not in path} == {"GET"}
    assert forge.bodies(7) == ["Looks good.", f"{MARK.line()}\nTwo.\n"]
    assert forge.tokens == {TOKEN}


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_changes_by_itself_is_no_change(forge: Forge, service: Service) -> None:
    post(forge, service, "One.\n\nTwo.")
    forge.comments[7][0]["body"] = f"{MARK.line()}\r\nOne.\r\n\r\nTwo."
    assert post(forge, service, "One.\n\nTwo.").done is Done.UNCHANGED


@pytest.mark.parametrize("service", SERVICES)
def test_ours_is_found_on_the_third_page(forge: Forge, service: Service) -> None:
    forge.page = 2
    for number in range(5):
        forge.say(7, "ada", f"{number}")
    forge.say(7, BOT, comment_text(MARK, "Old.", service))
    assert post(forge, service, "New.").done is Done.UPDATED
    assert len([path for _, path in forge.asked if "page=3" in path]) == 1
    assert forge.bodies(7)[5:] == [f"{MARK.line()}\nNew.\n"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("author", "body"),
    [
        ("mallory", f"{MARK.line()}\nMine now."),
        ("github-actions", f"{MARK.line()}\nAlmost the name of the app."),
        (BOT, f"> {MARK.line()}\n> quoted"),
        (BOT, f"A page.\n{MARK.line()}"),
        (BOT, f"{Mark(project='documents', id='other').line()}\nAnother one of ours."),
        (BOT, f"{Mark(project='receipts').line()}\nAnother project's."),
        (BOT, '<!-- reconciler {"project": "documents"} -->'),
        (BOT, "<!-- reconciler [[[[ -->"),
    ],
    ids=str,
)
def test_a_comment_that_only_looks_like_ours_is_left_alone(
    forge: Forge, service: Service, author: str, body: str
) -> None:
    forge.say(7, author, body)
    assert post(forge, service).done is Done.CREATED
    assert forge.bodies(7) == [body, f"{MARK.line()}\nA page.\n"]


@pytest.mark.parametrize("service", SERVICES)
def test_one_that_may_not_be_edited_is_replaced_by_a_new_one(forge: Forge, service: Service) -> None:
    forge.say(7, BOT, comment_text(MARK, "Old.", service))
    forge.fail("PATCH" if service is Service.GITHUB else "PUT", ".", 403, {"message": "Must be its author."})
    posted = post(forge, service, "New.")
    assert (posted.done, posted.surplus) == (Done.CREATED, 1)
    assert forge.bodies(7)[1] == f"{MARK.line()}\nNew.\n"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("fork", [False, True])
def test_a_token_that_may_only_read_is_told_with_what_helps(
    forge: Forge, service: Service, *, fork: bool
) -> None:
    from dataclasses import replace

    forge.say(7, BOT, comment_text(MARK, "Old.", service))
    for method in ("POST", "PATCH", "PUT"):
        forge.fail(method, "comments|notes", 403, {"message": "Resource not accessible by integration"})
    place = replace(where(forge, service), fork=fork)
    with pytest.raises(errors.ForbiddenError) as caught:
        api.post_comment(place, MARK, "x", environ=environment(forge, service), sleep=lambda _: None)
    said = str(caught.value)
    assert "request 7 cannot be commented on" in said
    assert "Resource not accessible by integration" in said
    assert ("from a fork" if fork else "needs") in said
    assert "--or-summary" in said
    assert TOKEN not in said


@pytest.mark.parametrize("service", SERVICES)
def test_no_such_request(forge: Forge, service: Service) -> None:
    with pytest.raises(errors.NotFoundError, match="or the token may not see it"):
        api.post_comment(
            where(forge, service, number=8),
            MARK,
            "x",
            environ=environment(forge, service),
            sleep=lambda _: None,
        )


@pytest.mark.parametrize("service", SERVICES)
def test_too_long_a_page_is_cut_where_it_can_be_seen_and_closed(forge: Forge, service: Service) -> None:
    from forge_stand import LONGEST

    rows = "".join(f"| `dir-{number:05}` | {'😀' * 20} |\n" for number in range(LONGEST[service] // 50))
    assert post(forge, service, f"### Plan\n\n<details>\n<summary>x</summary>\n\n{rows}</details>\n").done
    [body] = forge.bodies(7)
    assert body.startswith(f"{MARK.line()}\n### Plan\n")
    assert "… cut here, since a comment takes no more: " in body
    assert body.count("<details>") == body.count("</details>") == 1
    assert LONGEST[service] - 2_000 < len(body.encode("utf-16-le")) // 2 <= LONGEST[service]
    left = len(rows.splitlines()) - body.count("| `dir-")
    assert f"{left + 1:,} more lines" in body


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_service_finds_too_long_all_the_same_is_told(forge: Forge, service: Service) -> None:
    with pytest.raises(errors.InvalidRequestError, match=r"too long.*--markdown-limit"):
        api.post_comment(
            where(forge, service),
            MARK,
            "x" * 1_000_001,
            environ=environment(forge, service),
            sleep=lambda _: None,
        )
    assert forge.bodies(7) == []


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("status", "headers", "waits"),
    [
        (429, {"Retry-After": "3"}, [3.0]),
        (403, {"Retry-After": "60"}, [60.0]),
        (429, {}, [2.0]),
        (502, {}, [1.0]),
        (0, {}, [1.0]),
    ],
)
def test_reads_wait_as_they_are_told_and_come_again(
    forge: Forge, service: Service, status: int, headers: dict[str, str], waits: list[float]
) -> None:
    forge.fail("GET", "comments|notes", status, {"message": "slow down"}, headers=headers)
    slept: list[float] = []
    assert post(forge, service, slept=slept).done is Done.CREATED
    assert slept == waits


@pytest.mark.parametrize("service", SERVICES)
def test_a_pause_that_nobody_waits_for_ends_it(forge: Forge, service: Service) -> None:
    forge.fail("GET", "comments|notes", 429, {}, headers={"Retry-After": "4000"})
    with pytest.raises(errors.RateLimitedError) as caught:
        post(forge, service)
    assert caught.value.retry_after == 4000.0


@pytest.mark.parametrize("service", SERVICES)
def test_a_refused_create_is_sent_again(forge: Forge, service: Service) -> None:
    forge.fail("POST", "comments|notes", 429, {}, headers={"Retry-After": "1"})
    assert post(forge, service).done is Done.CREATED
    assert len(forge.bodies(7)) == 1


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", [0, 500, 504])
@pytest.mark.parametrize("after", [False, True])
def test_a_create_whose_reply_was_lost_makes_one_comment(
    forge: Forge, service: Service, status: int, *, after: bool
) -> None:
    forge.fail("POST", "comments|notes", status, {}, after=after)
    assert post(forge, service).done is Done.CREATED
    assert forge.bodies(7) == [f"{MARK.line()}\nA page.\n"]
    assert forge.wrote == ["POST"] * (1 if after else 2)


def test_of_several_the_oldest_is_kept_and_the_others_are_told(forge: Forge) -> None:
    for text in ("One.", "Two."):
        forge.say(7, BOT, comment_text(MARK, text, Service.GITHUB))
    assert post(forge, Service.GITHUB, "New.") == Posted(
        Done.UPDATED, 7, f"{forge.url}/acme/documents/pull/1#issuecomment-1", 1
    )
    assert forge.bodies(7) == [f"{MARK.line()}\nNew.\n", f"{MARK.line()}\nTwo.\n"]


def test_a_next_page_elsewhere_is_not_read(forge: Forge) -> None:
    with served(Forge()) as other:
        other.open(7, HEAD)
        forge.page, forge.links = 1, other.url
        forge.say(7, "ada", "a")
        forge.say(7, "ada", "b")
        with pytest.raises(errors.UnexpectedReplyError, match="the token is not for there"):
            post(forge, Service.GITHUB)
        assert other.asked == []


def test_a_redirect_is_not_followed(forge: Forge) -> None:
    with served(Forge()) as other:
        forge.fail("GET", "comments", 301, {}, headers={"Location": f"{other.url}/x"})
        with pytest.raises(errors.UnexpectedReplyError, match=r"redirect.*--repository"):
            post(forge, Service.GITHUB)
        assert other.asked == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_silent_is_given_up_and_nothing_was_written(
    forge: Forge, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.adapters.forges import wire

    monkeypatch.setattr(wire, "READ_TIMEOUT", 0.05)
    forge.holds = threading.Event()
    slept: list[float] = []
    with pytest.raises(errors.UnavailableError, match="did not answer"):
        post(forge, service, slept=slept)
    forge.holds.set()
    assert slept == [1.0, 2.0, 4.0]
    assert forge.wrote == []


def test_nothing_listens_there() -> None:
    with served(Forge()) as gone:
        pass
    with pytest.raises(errors.NotSentError, match="cannot be reached"):
        post(gone, Service.GITHUB)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "said",
    [TOKEN, f"Bad credentials: {TOKEN}", f"…{TOKEN[3:15]}…", {"errors": [{"message": f"of {TOKEN[-9:]}"}]}],
    ids=str,
)
def test_a_service_that_repeats_the_token_is_not_repeated(
    forge: Forge, service: Service, said: object
) -> None:
    forge.fail("GET", "comments|notes", 401, {"message": said})
    with pytest.raises(errors.AuthenticationError) as caught:
        post(forge, service)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert TOKEN[3:12] not in repr(chain) + str(chain)
        assert TOKEN[-9:] not in repr(chain) + str(chain)
        chain = chain.__cause__ or chain.__context__


@pytest.mark.parametrize(
    "reply", [b"<html>", {"message": "no list"}, [{"id": "x"}], [[]], [None], b"[" * 100_000], ids=repr
)
@pytest.mark.parametrize("service", SERVICES)
def test_a_reply_that_makes_no_sense_is_an_error_and_nothing_is_written(
    forge: Forge, service: Service, reply: object
) -> None:
    forge.fail("GET", "comments|notes", 200, reply)
    with pytest.raises(errors.UnexpectedReplyError):
        post(forge, service)
    assert forge.wrote == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_refusal_that_is_nested_without_end_is_a_refusal(forge: Forge, service: Service) -> None:
    forge.fail("GET", "comments|notes", 422, b'{"message": "no", "errors": ' + b"[" * 900 + b"]" * 900 + b"}")
    with pytest.raises(errors.InvalidRequestError) as caught:
        post(forge, service)
    assert caught.value.why == "no"


def test_names_with_markup_and_mentions_arrive_as_they_were_escaped(forge: Forge) -> None:
    from reconciler.render.page import LIMITS, Page, Section, code, page_text

    name = "@acme/all --> <script>alert(1)</script> | `x` \x1b[31m \u202e #1"
    page = Page(title="Plan", lead="One.", sections=[Section("1 to create", ("address",), [(code(name),)])])
    post(forge, Service.GITHUB, page_text(page, LIMITS["github"]))
    [body] = forge.bodies(7)
    escaped = "`@acme/all --> <script>alert(1)</script> \\x7c \\x60x\\x60 \\x1b[31m \\u202e #1`"
    assert f"| {escaped} |" in body
    assert Mark.of(body) == MARK


def test_a_mark_cannot_be_left_by_its_values() -> None:
    mark = Mark(project="a--><script>", id='"\n--> x')
    assert mark.line().count("-->") == 1
    assert "\n" not in mark.line()
    assert Mark.of(f"{mark.line()}\nx") == mark
    assert json.loads(mark.line()[len("<!-- reconciler ") : -len(" -->")])["project"] == mark.project


def test_the_longest_mark_has_its_place_beside_a_page_of_the_greatest_length() -> None:
    from reconciler.model.comment import LONGEST_MARK

    mark = Mark(project="p" * 63, id="i" * 63, digest=DIGEST, commit="c" * 64)
    assert len(mark.line()) < LONGEST_MARK
    page = "x" * (65_536 - LONGEST_MARK)
    assert comment_text(mark, page, Service.GITHUB) == f"{mark.line()}\n{page}\n"


def test_why_nothing_was_applied_is_told_in_words_and_quotes_in_code() -> None:
    from reconciler.render.comment import stopped_text

    text = stopped_text(f"request 7 shows {DIGEST}, of c0ffee00c0ff", DIGEST, "### Plan")
    assert f"was reviewed:** request 7 shows `{DIGEST}`, of `c0ffee00c0ff`.\n" in text
    assert "was reviewed:** `by @ada|x`.\n".replace("|", "\\x7c") in stopped_text("by @ada|x", DIGEST, "x")
