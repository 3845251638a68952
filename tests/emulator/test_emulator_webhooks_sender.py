"""How webhooks are sent: signed, tried again by the machine's clock, and none held up by another."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import pytest
from webhook_receiver import receiver
from webhook_stand import SECOND, SECRET, Stand, When

from reconciler.emulator.webhooks.requests import headers_of
from reconciler.emulator.webhooks.sender import PAUSES, Sender, is_loopback

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("form", [None, "string", "json"])
def test_a_delivery_is_signed_over_its_raw_body(tmp_path: Path, form: str | None) -> None:
    stand = Stand(tmp_path)
    with receiver() as there:
        stand.create(
            {
                "webhook_url": f"{there.url}?a=%20b",
                "webhook_output_format": form,
                "webhook_signing_secret": SECRET,
                "webhook_headers": {"Authorization": "Bearer mine"},
            }
        )
        stand.tell()
        [call] = there.calls
    signature = hmac.new(SECRET.encode(), call.body, hashlib.sha256).hexdigest()
    assert call.path == "/hook?a=%20b"
    assert isinstance(json.loads(call.body), dict if form == "json" else str)
    wanted = {
        "content-type": "application/json",
        "lc-signature": f"sha256={signature}",
        "authorization": "Bearer mine",
        "user-agent": "llamaindex-webhook-service/1.0",
        "x-webhook-event-id": call.event["event_id"],
        "x-webhook-event-type": "batch.pending",
    }
    assert {name: call.headers.get(name) for name in wanted} == wanted
    stand.host.close()


def test_nothing_is_signed_without_a_secret(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver() as there:
        stand.create({"webhook_url": there.url})
        stand.tell()
        assert ["lc-signature" in call.headers for call in there.calls] == [False]
    stand.host.close()


def test_a_clients_headers_do_not_take_the_place_of_those_that_vouch() -> None:
    own = [("CONTENT-TYPE", "text/plain"), ("lc-signature", "forged"), ("User-Agent", " me "), ("X", "ü")]
    assert headers_of(own, event="batch.error", event_id="e", signature="sha256=0") == [
        (b"Content-Type", b"application/json"),
        (b"X-Webhook-Event-ID", b"e"),
        (b"X-Webhook-Event-Type", b"batch.error"),
        (b"LC-Signature", b"sha256=0"),
        (b"User-Agent", b"me"),
        (b"X", "ü".encode()),
    ]


def test_what_was_refused_is_sent_again_as_it_was(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver(500, 503, 204) as there:
        stand.create({"webhook_url": there.url})
        stand.tell()
        assert len(there.calls) == 3
        assert len({call.body for call in there.calls}) == 1
        # A receiver's cookies are not kept.
        assert ["cookie" in call.headers for call in there.calls] == [False] * 3
    assert stand.listed("state", "tries", "status", "error") == [("sent", 3, 204, None)]
    stand.host.close()


@pytest.mark.parametrize(("status", "tries"), [(404, 5), (302, 5), (307, 5), (200, 1), (299, 1)])
def test_only_a_2xx_is_taken_for_received_and_no_redirect_is_followed(
    tmp_path: Path, status: int, tries: int
) -> None:
    stand = Stand(tmp_path)
    with receiver(status) as there:
        stand.create({"webhook_url": there.url})
        stand.tell()
        assert [call.path for call in there.calls] == ["/hook"] * tries
    state = "sent" if tries == 1 else "failed"
    assert stand.listed("state", "tries", "status", "next_try") == [(state, tries, status, None)]
    stand.host.close()


def test_pauses_between_tries_grow_by_the_machines_clock(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    now = [SECOND]
    tried: list[int] = []

    def over() -> bool:
        """Let the time pass that it waits for, and no more."""
        found = stand.outbox.page(after=0, limit=1)
        now[0] = max(now[0], *(each.next_try or 0 for each in found))
        return stand.outbox.idle()

    with receiver(500, seen=lambda: tried.append(now[0] // SECOND)) as there:
        stand.create({"webhook_url": there.url})
        sender = Sender(stand.outbox, pauses=PAUSES, machine=lambda: now[0])
        sender.permit(0)
        sender.run(When(over))
    assert tried == [1, 2, 4, 8, 16]
    assert stand.listed("state", "tries") == [("failed", 5)]
    stand.host.close()


def test_a_receiver_that_never_answers_holds_up_nobody_else(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver(None) as silent, receiver() as there:
        # More than are ever on their way at once.
        for _ in range(40):
            stand.create({"webhook_url": silent.url}, {"webhook_url": there.url})
        sender = Sender(stand.outbox, patience=3_600)
        sender.permit(0)
        sender.run(When(lambda: len(there.calls) == 40))
        assert len(silent.calls) <= 4
    stand.host.close()


def test_a_try_without_an_answer_ends(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver(None) as silent:
        stand.create({"webhook_url": silent.url})
        stand.tell(patience=0.05)
    assert stand.listed("state", "tries", "status", "error") == [
        ("failed", 5, None, "no answer within 0.05 s")
    ]
    stand.host.close()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/", "ConnectError: All connection attempts failed"),
        ("http://[zz]/", "InvalidURL"),
        ("http://a:x/", "InvalidURL"),
        ("http://-\u00ad-./", "InvalidURL"),
    ],
)
def test_a_place_that_cannot_be_reached_is_said_and_does_no_harm(
    tmp_path: Path, url: str, error: str
) -> None:
    stand = Stand(tmp_path)
    with receiver() as there:
        stand.create({"webhook_url": url}, {"webhook_url": there.url})
        stand.tell()
        assert there.events == ["batch.pending"]
    assert stand.listed("url", "state", "error") == [(url, "failed", error), (there.url, "sent", None)]
    stand.host.close()


def test_a_new_sender_begins_with_all_that_was_on_its_way(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver() as there:
        stand.create({"webhook_url": there.url})
        claimed = stand.outbox.claim(0, without=())
        assert claimed is not None
        assert stand.outbox.claim(0, without=()) is None
        assert stand.listed("state", "tries") == [("sending", 1)]
        stand.tell()
        assert [call.event["event_id"] for call in there.calls] == [claimed.event_id]
    assert stand.listed("state", "tries") == [("sent", 2)]
    stand.host.close()


def test_a_sender_waits_until_its_worker_is_the_one(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver() as there:
        stand.create({"webhook_url": there.url})
        sender = Sender(stand.outbox)
        looks = iter([False, False, True])
        sender.run(When(lambda: next(looks)))
        assert there.calls == []
    stand.host.close()


def test_this_machine_is_reached_without_a_proxy_and_others_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(tmp_path)
    with receiver() as proxy, receiver() as there:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/hook"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        stand.create({"webhook_url": there.url}, {"webhook_url": "http://hooks.invalid/a"})
        stand.tell()
        assert [call.path for call in there.calls] == ["/hook"]
        assert [call.path for call in proxy.calls] == ["http://hooks.invalid/a"]
    stand.host.close()


def test_a_proxy_that_cannot_be_used_is_a_failure_of_what_goes_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(tmp_path)
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1:9")
    with receiver() as there:
        stand.create({"webhook_url": there.url}, {"webhook_url": "http://hooks.invalid/a"})
        stand.tell()
    assert stand.listed("state", "error") == [("sent", None), ("failed", "ValueError")]
    stand.host.close()


def test_loopback_is_told_from_other_hosts() -> None:
    hosts = (
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "localhost",
        "a.localhost",
        "10.0.0.1",
        "localhost.example",
        "0",
    )
    assert [host for host in hosts if is_loopback(host)] == list(hosts[:5])
