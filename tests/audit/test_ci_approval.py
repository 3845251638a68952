"""Who approved: whoever started the run says so, else GitHub's reviews, else the commit's trailers."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.adapters.ci import environment
from reconciler.adapters.ci.approval import _may_have_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMMIT = "c0ffee00" * 5
TOKEN = "ghs_marked"


class Stand:
    """GitHub's two endpoints: per path, a status and a body; and what was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, tuple[int, object]] = {}
        self.links: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.url = ""
        self.hold: threading.Event | None = None
        self.outwaited = False


@contextmanager
def served(stand: Stand) -> Iterator[Stand]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stand.asked.append((self.path, self.headers.get("Authorization", "")))
            if stand.hold is not None:
                stand.outwaited |= not stand.hold.wait(20)
            status, body = stand.replies.get(self.path, (404, {}))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if self.path in stand.links:
                self.send_header("Link", f'<{stand.links[self.path]}>; rel="next"')
            if status in {301, 302}:
                self.send_header("Location", f"{stand.url}/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield stand
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def github() -> Iterator[Stand]:
    with served(Stand()) as stand:
        stand.replies = {
            PULLS: (200, [pull(7)]),
            REVIEWS: (200, [review("grace", "APPROVED")]),
        }
        yield stand


PULLS = f"/repos/acme/documents/commits/{COMMIT}/pulls"
REVIEWS = "/repos/acme/documents/pulls/7/reviews?per_page=100"


def pull(number: int, **changes: object) -> dict[str, Any]:
    return {"number": number, "merged_at": "2026-09-01T12:00:00Z", "merge_commit_sha": COMMIT} | changes


def review(login: str, state: str) -> dict[str, Any]:
    return {"user": {"login": login}, "state": state}


def variables(stand: Stand, **changes: str) -> dict[str, str]:
    there = {
        "PATH": os.environ["PATH"],
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": stand.url,
        "GITHUB_REPOSITORY": "acme/documents",
        "GITHUB_SHA": COMMIT,
        "GITHUB_TOKEN": TOKEN,
    }
    return there | changes


def approver(environ: Mapping[str, str], folder: Path, said: str | None = "") -> tuple[str, str]:
    found = environment(environ, folder, said)
    return found.approver, found.approver_source


UNKNOWN = ("", "unknown")


def test_a_merged_pull_requests_reviewers_are_the_approvers(github: Stand, tmp_path: Path) -> None:
    assert approver(variables(github), tmp_path) == ("grace", "github-reviews")
    assert github.asked == [(PULLS, f"Bearer {TOKEN}"), (REVIEWS, f"Bearer {TOKEN}")]


def test_what_whoever_started_it_says_goes_first_and_nobody_is_asked(github: Stand, tmp_path: Path) -> None:
    assert approver(variables(github), tmp_path, "Linus") == ("Linus", "approved-by")
    assert approver(variables(github), tmp_path, None) == UNKNOWN
    assert github.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"GITHUB_ACTIONS": "false"},
        {"GITHUB_TOKEN": ""},
        {"GITHUB_REPOSITORY": "acme/documents/../../x"},
        {"GITHUB_API_URL": "http://192.0.2.1"},
        {"GITHUB_SHA": "main"},
    ],
    ids=str,
)
def test_nobody_is_asked_elsewhere_or_without_a_token(
    github: Stand, tmp_path: Path, changes: dict[str, str]
) -> None:
    assert approver(variables(github, **changes), tmp_path) == UNKNOWN
    assert github.asked == []


@pytest.mark.parametrize(
    ("base", "may"),
    [
        ("https://github.example.test/api/v3", True),
        ("http://127.0.0.1:8080", True),
        ("http://github.example.test", False),
        ("http://127.0.0.1.example.test", False),
        ("ftp://github.example.test", False),
        ("", False),
    ],
)
def test_the_token_is_not_sent_where_others_can_read_it(base: str, may: bool) -> None:  # noqa: FBT001 - as said
    assert _may_have_token(base) is may


@pytest.mark.parametrize(
    ("reviews", "names"),
    [
        ([], ""),
        ([review("b", "APPROVED"), review("a", "APPROVED"), review("a", "COMMENTED")], "a, b"),
        ([review("a", "APPROVED"), review("a", "CHANGES_REQUESTED")], ""),
        ([review("a", "APPROVED"), review("a", "DISMISSED"), review("b", "APPROVED")], "b"),
        ([review("a", "CHANGES_REQUESTED"), review("a", "APPROVED")], "a"),
        ([review("a", "PENDING"), {"user": None, "state": "APPROVED"}, "x", {}], ""),
    ],
)
def test_each_persons_last_review_counts(
    github: Stand, tmp_path: Path, reviews: list[object], names: str
) -> None:
    github.replies[REVIEWS] = (200, reviews)
    assert approver(variables(github), tmp_path) == ((names, "github-reviews") if names else UNKNOWN)


def test_reviews_of_all_pages_count(github: Stand, tmp_path: Path) -> None:
    github.links[REVIEWS] = f"{github.url}{REVIEWS}&page=2"
    github.replies[f"{REVIEWS}&page=2"] = (200, [review("grace", "DISMISSED"), review("alan", "APPROVED")])
    assert approver(variables(github), tmp_path) == ("alan", "github-reviews")


def test_the_token_goes_nowhere_else(github: Stand, tmp_path: Path) -> None:
    with served(Stand()) as other:
        github.links[REVIEWS] = f"{other.url}/more"
        assert approver(variables(github), tmp_path) == UNKNOWN
        github.replies[PULLS] = (302, [])
        assert approver(variables(github), tmp_path) == UNKNOWN
        assert other.asked == []
    assert all(path != "/elsewhere" for path, _ in github.asked)


@pytest.mark.parametrize(
    "pulls",
    [
        [],
        [pull(7, merged_at=None)],
        [pull(3, merge_commit_sha="0" * 40), pull(9, merged_at=None), pull(7)],
    ],
    ids=["none", "open", "several"],
)
def test_the_pull_request_is_the_merged_one_that_made_the_commit(
    github: Stand, tmp_path: Path, pulls: list[object]
) -> None:
    github.replies[PULLS] = (200, pulls)
    expected = ("grace", "github-reviews") if len(pulls) == 3 else UNKNOWN
    assert approver(variables(github), tmp_path) == expected


@pytest.mark.parametrize(
    "reply",
    [
        (403, {}),
        (500, b"x"),
        (200, b"{"),
        (200, {"a": 1}),
        (200, b"[" * 100_000),
        (200, [{"number": "../7"}]),
    ],
    ids=["refused", "down", "torn", "no list", "nested", "no number"],
)
def test_a_service_that_fails_is_no_error(github: Stand, tmp_path: Path, reply: tuple[int, object]) -> None:
    github.replies[PULLS] = reply
    assert approver(variables(github), tmp_path) == UNKNOWN


def test_a_service_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    stand = Stand()
    with served(stand):
        pass
    assert approver(variables(stand), tmp_path) == UNKNOWN


def test_a_service_that_hangs_is_not_waited_for(
    github: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.adapters.ci.approval.PATIENCE", 0.2)
    github.hold = threading.Event()
    try:
        assert approver(variables(github), tmp_path) == UNKNOWN
        assert not github.outwaited
    finally:
        github.hold.set()


def test_a_service_whose_headers_never_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.adapters.ci.approval.PATIENCE", 0.4)
    gone = threading.Event()
    outwaited = False

    def drip() -> None:
        nonlocal outwaited
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(200):  # each byte begins a connection's time-out anew
                if gone.wait(0.1):
                    return
                connection.sendall(b"a")
        outwaited = True

    with socket.create_server(("127.0.0.1", 0)) as listener:
        stand = Stand()
        stand.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert approver(variables(stand), tmp_path) == UNKNOWN
            assert not outwaited
        finally:
            gone.set()
            thread.join()
        for asking in threading.enumerate():
            if asking.name == "approval":
                asking.join()


# --- the commit itself ---


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    folder = tmp_path / "work"
    folder.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    for command in (
        ["init", "--quiet"],
        ["config", "user.name", "Ada"],
        ["config", "user.email", "ada@example.test"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True, env=environ)
    return folder, environ


def commit(folder: Path, environ: Mapping[str, str], message: str) -> None:
    command = ["git", "-C", str(folder), "commit", "--quiet", "--allow-empty", "--message", message]
    subprocess.run(command, check=True, env=environ)


def test_the_commits_trailers_name_who_reviewed_it(repository: tuple[Path, dict[str, str]]) -> None:
    folder, environ = repository
    commit(folder, environ, "first")
    assert approver(environ, folder) == UNKNOWN
    commit(
        folder,
        environ,
        "second\n\nReviewed-by: Grace <g@x>\nReviewed-by: Alan\nReviewed-by: Alan\nAcked-by: B\n",
    )
    assert approver(environ, folder) == ("Grace <g@x>, Alan", "reviewed-by-trailer")
    assert approver(environ, folder, "Linus") == ("Linus", "approved-by")


def test_of_very_many_names_some_are_recorded(repository: tuple[Path, dict[str, str]]) -> None:
    folder, environ = repository
    commit(folder, environ, "first\n\n" + "".join(f"Reviewed-by: {number}\n" for number in range(1020)))
    names = ", ".join(str(number) for number in range(20))
    assert approver(environ, folder) == (f"{names} and 1,000 more", "reviewed-by-trailer")


def test_where_nobody_reviewed_on_github_the_trailer_says(
    repository: tuple[Path, dict[str, str]], github: Stand
) -> None:
    folder, environ = repository
    commit(folder, environ, "first\n\nReviewed-by: Alan\n")
    head = environment(environ, folder).commit
    in_ci = variables(github, GITHUB_SHA=head)
    assert approver(in_ci, folder) == ("Alan", "reviewed-by-trailer")


def test_git_checks_no_signature_for_it(repository: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, environ = repository
    commit(folder, environ, "first\n\nReviewed-by: Alan\n")
    said = tmp_path / "said"
    program = tmp_path / "gpg"
    program.write_text(f"#!/bin/sh\necho > {said}\n")
    program.chmod(0o755)
    signed = subprocess.run(
        ["git", "-C", str(folder), "cat-file", "commit", "HEAD"], check=True, capture_output=True, env=environ
    ).stdout.decode()
    head, _, message = signed.partition("\n\n")
    text = f"{head}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n{message}"
    made = subprocess.run(
        ["git", "-C", str(folder), "hash-object", "-t", "commit", "-w", "--stdin"],
        check=True, capture_output=True, env=environ, input=text.encode(),
    ).stdout.decode().strip()  # fmt: skip
    for command in (
        ["config", "log.showSignature", "true"],
        ["config", "gpg.program", str(program)],
        ["reset", "--quiet", "--hard", made],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True, env=environ)
    assert approver(environ, folder) == ("Alan", "reviewed-by-trailer")
    assert not said.exists()
