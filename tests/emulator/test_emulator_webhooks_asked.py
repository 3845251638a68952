"""Webhooks as they are asked for and shown: read strictly, and no secret given away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from webhook_receiver import receiver
from webhook_stand import JOB, SECRET, Stand

from reconciler.emulator.webhooks.configurations import EVENTS

if TYPE_CHECKING:
    from pathlib import Path

JSON: TypeAlias = Any


def faults(stand: Stand, webhooks: JSON) -> list[JSON]:
    body = {"source_directory_id": "dir-a", "config": {"job": JOB}, "webhook_configurations": webhooks}
    reply = stand.call(
        "POST", "/api/v2/batches", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert reply.status_code in {200, 422}, reply.text
    return [(fault["loc"][2:], fault["type"]) for fault in reply.json().get("detail", ())]


@pytest.mark.parametrize(
    ("webhook", "found"),
    [
        ({}, []),
        (dict.fromkeys(("webhook_url", "webhook_events", "webhook_headers"), None), []),
        ({"webhook_output_format": None, "webhook_signing_secret": None}, []),
        ({"webhook_url": "HTTPS://[::1]:8080?a=b#c", "webhook_events": list(EVENTS)}, []),
        ({"webhook_url": "http://müller.example/ü", "webhook_events": [], "webhook_headers": {}}, []),
        ({"webhook_headers": {"X-Ü": ""}}, [([0, "webhook_headers", "X-Ü"], "header_name")]),
        ({"webhook_headers": {"X-A": "ü ~", "!#$%&'*+.^_`|~-": ""}}, []),
        ({"webhook_url": 1}, [([0, "webhook_url"], "string_type")]),
        ({"webhook_url": ""}, [([0, "webhook_url"], "url_parsing")]),
        ({"webhook_url": "ftp://a/"}, [([0, "webhook_url"], "url_parsing")]),
        ({"webhook_url": "a.example/hook"}, [([0, "webhook_url"], "url_parsing")]),
        ({"webhook_url": "http:///hook"}, [([0, "webhook_url"], "url_parsing")]),
        ({"webhook_url": "http://:80/hook"}, [([0, "webhook_url"], "url_parsing")]),
        ({"webhook_url": "http://me:word@a/"}, [([0, "webhook_url"], "url_parsing")]),
        ({"webhook_url": "http://a/\n"}, [([0, "webhook_url"], "string_characters")]),
        ({"webhook_url": "http://a b/"}, [([0, "webhook_url"], "string_characters")]),
        ({"webhook_url": "http://a/\ud800"}, [([0, "webhook_url"], "string_characters")]),
        ({"webhook_url": "http://a/" + "b" * 2_039}, []),
        ({"webhook_url": "http://a/" + "b" * 2_040}, [([0, "webhook_url"], "string_too_long")]),
        ({"webhook_events": "batch.success"}, [([0, "webhook_events"], "list_type")]),
        (
            {"webhook_events": ["batch.success", "batch.done", 1]},
            [([0, "webhook_events", 1], "literal_error"), ([0, "webhook_events", 2], "string_type")],
        ),
        ({"webhook_events": ["batch.success"] * 101}, [([0, "webhook_events"], "too_long")]),
        ({"webhook_headers": ["a"]}, [([0, "webhook_headers"], "object_type")]),
        ({"webhook_headers": {"a b": "c"}}, [([0, "webhook_headers", "a b"], "header_name")]),
        ({"webhook_headers": {"": "c"}}, [([0, "webhook_headers", ""], "header_name")]),
        ({"webhook_headers": {"hOst": "c"}}, [([0, "webhook_headers", "hOst"], "header_name")]),
        (
            {"webhook_headers": {"Content-length": "1", "transfer-Encoding": "chunked"}},
            [
                ([0, "webhook_headers", "Content-length"], "header_name"),
                ([0, "webhook_headers", "transfer-Encoding"], "header_name"),
            ],
        ),
        ({"webhook_headers": {"a": None}}, [([0, "webhook_headers", "a"], "string_type")]),
        ({"webhook_headers": {"a": "b\r\nc: d"}}, [([0, "webhook_headers", "a"], "string_characters")]),
        ({"webhook_headers": {"a": "\x85"}}, [([0, "webhook_headers", "a"], "string_characters")]),
        ({"webhook_headers": {"a": "b" * 4_097}}, [([0, "webhook_headers", "a"], "string_too_long")]),
        ({"webhook_headers": {"\ud800": "a"}}, [([0, "webhook_headers", "?"], "header_name")]),
        ({"webhook_headers": {f"a{n}": "b" for n in range(51)}}, [([0, "webhook_headers"], "too_long")]),
        ({"webhook_output_format": "xml"}, [([0, "webhook_output_format"], "literal_error")]),
        ({"webhook_output_format": 1}, [([0, "webhook_output_format"], "string_type")]),
        ({"webhook_signing_secret": 1}, [([0, "webhook_signing_secret"], "string_type")]),
        ({"webhook_signing_secret": ""}, [([0, "webhook_signing_secret"], "string_length")]),
        ({"webhook_signing_secret": "a" * 1_025}, [([0, "webhook_signing_secret"], "string_length")]),
        ({"webhook_signing_secret": "\ud800"}, [([0, "webhook_signing_secret"], "string_characters")]),
        ({"webhook_uri": "x"}, [([0, "webhook_uri"], "extra_forbidden")]),
    ],
)
def test_a_configuration_is_read_strictly(tmp_path: Path, webhook: JSON, found: JSON) -> None:
    stand = Stand(tmp_path)
    assert faults(stand, [webhook]) == found
    stand.host.close()


def test_a_create_takes_ten_configurations_and_no_more(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    assert [faults(stand, [{}] * count) for count in (0, 10, 11)] == [[], [], [([], "too_long")]]
    assert faults(stand, None) == []
    assert faults(stand, {}) == [([], "list_type")]
    stand.host.close()


def test_the_list_is_paged_from_the_oldest(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    for _ in range(3):
        stand.create({"webhook_url": "http://127.0.0.1:9/"})
    pages = [
        stand.call("GET", "/__admin/webhooks", params={"limit": 2, "after": after}).json()
        for after in (0, 2, 3)
    ]
    assert [([each["number"] for each in page["webhooks"]], page["next_after"]) for page in pages] == [
        ([1, 2], 2),
        ([3], None),
        ([], None),
    ]
    refused = stand.call("GET", "/__admin/webhooks", params={"limit": 0, "after": "x"})
    assert (refused.status_code, [fault["loc"] for fault in refused.json()["detail"]]) == (
        422,
        [["query", "limit"], ["query", "after"]],
    )
    stand.host.close()


def test_the_list_and_the_journal_show_no_secret(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with receiver() as there:
        webhook = {"webhook_url": there.url, "webhook_headers": {"Authorization": SECRET}}
        webhook["webhook_signing_secret"] = SECRET
        batch = stand.create(webhook)
        bodies = [
            # Refused ones are kept too.
            {"webhook_configurations": [{**webhook, "x": 1}]},
            {"webhook_configurations": {"webhook_headers": SECRET, "webhook_signing_secret": [SECRET]}},
            [[{"webhook_headers": {"a": {"b": SECRET}}, "webhook_signing_secret": None}]],
        ]
        refused = [stand.call("POST", "/api/v2/batches", json=body) for body in bodies]
        assert {reply.status_code for reply in refused} == {422}
        stand.tell()
        replies = [
            stand.call("GET", path).text
            for path in ("/__admin/webhooks", "/__admin/requests", f"/api/v2/batches/{batch['id']}")
        ]
    assert [SECRET in text for text in (*replies, *(reply.text for reply in refused))] == [False] * 6
    shown = [each["body"] for each in json.loads(replies[1])["requests"]][:4]
    hidden = {
        "webhook_url": there.url,
        "webhook_headers": {"Authorization": "[hidden]"},
        "webhook_signing_secret": "[hidden]",
    }
    assert [shown[0]["webhook_configurations"], *shown[1:]] == [
        [hidden],
        {"webhook_configurations": [{**hidden, "x": 1}]},
        {"webhook_configurations": {"webhook_headers": "[hidden]", "webhook_signing_secret": "[hidden]"}},
        [[{"webhook_headers": {"a": "[hidden]"}, "webhook_signing_secret": None}]],
    ]
    stand.host.close()
