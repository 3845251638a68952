"""What is thought of a call: its signature, its age, whether it was heard before; and where secrets stand."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.adapters.loop.webhook import SecretFile, Webhook, secret_of
from reconciler.model.errors import SettingsError
from reconciler.model.rounds import Verdict

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_789_999_200.0
SECRET = "whsec-of-the-loop"


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def webhook(*secrets: str) -> Webhook:
    given = tuple(secret.encode() for secret in secrets or (SECRET,))
    return Webhook(lambda: given, lambda: NOW)


def event(**changed: Any) -> bytes:  # noqa: ANN401 - JSON
    told = {"event_id": "e-1", "event_type": "batch.success", "timestamp": NOW, "data": {}} | changed
    return json.dumps(told).encode()


def test_a_genuine_call_is_accepted_once_and_known_after_that() -> None:
    there, body = webhook(), event()
    assert [there.judge(body, signed(body)) for _ in range(3)] == [
        *[Verdict.ACCEPTED, Verdict.REPEATED, Verdict.REPEATED]
    ]
    other = event(event_id="e-2")
    assert there.judge(other, signed(other)) is Verdict.ACCEPTED


def test_what_is_written_as_a_text_that_holds_json_is_read() -> None:
    there, body = webhook(), json.dumps(event().decode()).encode()
    assert [there.judge(body, signed(body)) for _ in range(2)] == [Verdict.ACCEPTED, Verdict.REPEATED]


@pytest.mark.parametrize(
    ("signature", "verdict"),
    [
        (None, Verdict.UNSIGNED),
        ("", Verdict.UNSIGNED),
        ("sha256=", Verdict.FORGED),
        (signed(event())[:-1], Verdict.FORGED),
        (signed(event()).removeprefix("sha256="), Verdict.FORGED),
        (signed(event()).replace("sha256", "sha1"), Verdict.FORGED),
        (signed(event()).upper(), Verdict.FORGED),
        (signed(event(), "another-secret"), Verdict.FORGED),
        (signed(event(event_id="e-2")), Verdict.FORGED),
        (signed(event()) + ", " + signed(event()), Verdict.FORGED),
        ("sha256=" + "é" * 64, Verdict.FORGED),
        (f" {signed(event())} ", Verdict.ACCEPTED),
    ],
)
def test_only_the_bodys_own_signature_is_good(signature: str | None, verdict: Verdict) -> None:
    assert webhook().judge(event(), signature) is verdict


def test_a_forged_call_is_not_remembered_in_the_place_of_the_genuine_one() -> None:
    there, body = webhook(), event()
    there.judge(body, signed(body, "another-secret"))
    assert there.judge(body, signed(body)) is Verdict.ACCEPTED


@pytest.mark.parametrize(("away", "verdict"), [(299.0, Verdict.ACCEPTED), (301.0, Verdict.STALE)])
def test_what_is_too_old_or_too_new_is_no_hint(away: float, verdict: Verdict) -> None:
    for time in (NOW - away, NOW + away):
        body = event(timestamp=time)
        assert webhook().judge(body, signed(body)) is verdict


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"{", b"[]", b"null", b'"{"', b"\xff", b'{"event_id": 7, "timestamp": "soon"}'],
        *[b'{"timestamp": true}', b"[" * 100_000, b'{"timestamp": NaN}'],
    ],
)
def test_a_genuine_call_of_another_form_is_a_hint_all_the_same(body: bytes) -> None:
    assert webhook().judge(body, signed(body)) is Verdict.ACCEPTED


def test_one_of_two_secrets_is_enough_while_one_takes_the_others_place() -> None:
    body = event()
    there = webhook("the-old-secret", SECRET)
    assert there.judge(body, signed(body)) is Verdict.ACCEPTED
    assert webhook("the-old-secret").judge(body, signed(body)) is Verdict.FORGED


def test_a_flood_of_events_is_remembered_in_bounded_room() -> None:
    there = webhook()
    for number in range(5000):
        body = event(event_id=f"e-{number}")
        there.judge(body, signed(body))
    assert len(there._seen) == 4096


def test_a_variable_has_the_secret_or_it_is_said() -> None:
    assert secret_of({"HOOK": SECRET}, "HOOK") == (SECRET.encode(),)
    for environ, says in (({}, "HOOK is not set"), ({"HOOK": "short"}, "missing or short")):
        with pytest.raises(SettingsError, match=says) as raised:
            secret_of(environ, "HOOK")
        assert "short" not in raised.value.where


def test_a_file_has_one_secret_a_line_and_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n\n")
    there = SecretFile(path)
    assert there() == (SECRET.encode(),)
    path.write_text(f"{SECRET}\r\nthe-next-secret\n")
    assert there() == (SECRET.encode(), b"the-next-secret")
    path.write_text("")  # while somebody writes it: the ones of before are good
    assert there() == (SECRET.encode(), b"the-next-secret")
    path.unlink()
    assert there() == (SECRET.encode(), b"the-next-secret")


@pytest.mark.parametrize("content", [None, "", " \n", "short\n", f"{SECRET}\nshort\n"])
def test_a_file_without_a_secret_is_refused_at_the_start(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError) as raised:
        SecretFile(path)
    assert SECRET not in str(raised.value)
