"""The report as text: what is escaped, what its policy says, what stands where."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import render_hostile
from render_report_samples import NOW, RUNNING, hostile, report

from reconciler.model.status import Health, Sync
from reconciler.render import markdown
from reconciler.render.harmless import harmless
from reconciler.render.report import SIGN, plain_html, report_html
from reconciler.render.report.data import in_element
from reconciler.render.report.figures import bar
from reconciler.render.report.html import Html, resource, tag, text
from reconciler.render.report.parts import in_order
from reconciler.render.report.plain import inline
from reconciler.render.report.words import fared, long_ago, spoken, stamp


def _data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def _elements(page: str) -> set[str]:
    without = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return set(re.findall(r"<([a-z][a-z0-9]*)", without))


def test_the_same_report_is_the_same_page() -> None:
    assert report_html(report(50)) == report_html(report(50))


@pytest.mark.parametrize("name", RUNNING, ids=lambda name: repr(name)[:30])
def test_a_name_is_text_in_markup_and_in_data(name: str) -> None:
    page = report_html(hostile((name,)))
    harmed = report_html(hostile(("plain",)))
    assert _elements(page) == _elements(harmed)
    assert page.count("<script") == harmed.count("<script")
    assert page.count("</script") == harmed.count("</script")
    data = _data(page)
    assert data["rows"][0]["address"] == harmless(f"{name}/{name}")
    assert data["runs"][0][1] == harmless(name)
    assert harmless(name) in unescape(page.partition('<script type="application/json"')[0])
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)


def test_nothing_in_an_element_ends_it() -> None:
    written = in_element({"</script>": ["<!--", "]]>", "&amp;", "\u2028"]})
    assert not set(written) & set("<>&\u2028")
    assert json.loads(written) == {"</script>": ["<!--", "]]>", "&amp;", "\u2028"]}


def test_markup_is_only_what_was_made_as_such() -> None:
    assert tag("p", "<b>", Html("<i>"), 1234, None, class_="x", hidden=True, title='"', data_set=None) == (
        '<p class="x" hidden title="&quot;">&lt;b&gt;<i>1,234</p>'
    )
    assert text("\u202ex") == "\\u202ex"


@pytest.mark.parametrize("scripted", [True, False])
def test_the_policy_lets_this_style_and_this_script_be_and_nothing_else(*, scripted: bool) -> None:
    if scripted:
        page = report_html(report(3))
    else:
        page = plain_html(markdown.plan_page(render_hostile.plan(("a",)), "p"), NOW)

    def digest(name: str) -> str:
        found = base64.b64encode(hashlib.sha256(resource(name).encode()).digest()).decode()
        return f"'sha256-{found}'"

    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert unescape(policy[1]).split("; ") == [
        "default-src 'none'",
        f"style-src {digest('report.css')}",
        f"script-src {digest('report.js') if scripted else chr(39) + 'none' + chr(39)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    assert page.startswith(SIGN)
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_files_of_a_page_lead_nowhere() -> None:
    for name in ("report.css", "report.js", "marks.svg"):
        content = resource(name).replace("http://www.w3.org/2000/svg", "")
        assert (
            not re.search(r"//[a-z]|@import|url\((?!#)|innerHTML|insertAdjacent|</", content)
            or name == "marks.svg"
        )
        assert "http" not in content


def test_what_needs_a_person_comes_first_and_the_rest_by_address() -> None:
    whole = report(300)
    ordered = in_order(whole)
    assert sorted(story.row.address for story in ordered) == [row.address for row in whole.status.rows]
    needs = [bool(story.row.surplus) or story.row.health is Health.DEGRADED for story in ordered]
    assert needs == sorted(needs, reverse=True)
    healthy = [s.row for s in ordered if s.row.health is Health.HEALTHY and not s.row.surplus]
    assert (
        healthy == sorted(healthy, key=lambda row: row.address) == [s.row for s in ordered][-len(healthy) :]
    )


def test_where_nobody_looked_the_page_says_so_and_shows_no_sync() -> None:
    looked = report(20)
    offline = report_html(replace(looked, looked=False, plan=None))
    assert "No service was asked" in offline
    assert "as the lockfile and the audit log have it" in offline
    assert 'data-sync="' not in offline
    assert 'id="plan"' not in offline
    assert "No service was asked" not in report_html(looked)


def test_a_saved_plan_that_is_stale_says_why() -> None:
    whole = report(20)
    assert whole.plan
    stale = replace(whole.plan, file="plan.json", stale="the manifests have changed since")
    page = report_html(replace(whole, plan=stale))
    assert "Saved plan plan.json" in page
    assert "It may not be applied any more: the manifests have changed since." in page


def test_a_ci_run_is_a_link_only_where_it_leads_to_https() -> None:
    (first, *_) = report(5, 1).runs
    for address, is_link in (
        ("https://ci.example/1", True),
        ("http://ci.example/1", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("HTTPS://x", False),
    ):
        run = replace(first, first=replace(first.first, ci_run=address))
        page = report_html(replace(report(5, 1), runs=(run,)))
        assert (f'href="{address}" rel="noopener noreferrer"' in page) is is_link, address


def test_names_of_failed_files_stand_where_somebody_asked() -> None:
    page = report_html(hostile(("broken.pdf",)))
    assert '<ul class="names"><li><bdi>broken.pdf</bdi>' in page
    asked = report(200)
    assert "reconciler report --failed-files" in report_html(asked)
    assert "reconciler report --failed-files" not in report_html(replace(asked, files_asked=True))


def test_a_part_that_is_there_is_seen() -> None:
    drawn = bar({"Healthy": 9_999, "Degraded": 1}, (Health.DEGRADED, Health.HEALTHY), 10_000)
    assert 'width="4.0" height="10" class="is-degraded"' in drawn
    assert bar({}, (Sync.SYNCED,), 1).count("<rect") == 0


def test_times_ages_and_files_are_written_alike() -> None:
    assert stamp(NOW + timedelta(microseconds=7)) == "2026-11-22T10:38:05Z"
    assert stamp(None) == ""
    assert spoken("2026-11-22T10:38:05.250Z") == "2026-11-22 10:38:05"
    assert spoken("yesterday") == "yesterday"
    ages = (timedelta(seconds=7), timedelta(minutes=61), timedelta(days=2, minutes=5), None)
    assert [long_ago(age) for age in ages] == ["7 s", "1 h 1 min", "2 d 5 min", ""]
    assert fared(None) == ""


def test_a_page_of_markdown_is_the_same_in_html() -> None:
    assert inline("two `<b>` and <i>") == "two <code>&lt;b&gt;</code> and &lt;i&gt;"
    page = plain_html(markdown.status_page(render_hostile.status(("a", "b")), "some project"), NOW)
    assert "<h1>Status of <code>some project</code></h1>" in page
    assert page.count("<tr>") == 2 * 4 * 6 + page.count("<thead>")
    assert "2026-11-22 10:38:05 UTC" in page
