"""The report as people meet it: in a browser, by keyboard, in the dark, on paper, with scripts switched off.

Chromium is Debian's; CI has to have it. What the page holds as text is in test_render_report.py.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest
import render_hostile
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from render_report_samples import RUNNING, hostile, report

from reconciler.model.status import Health, Sync
from reconciler.render import markdown
from reconciler.render.harmless import harmless
from reconciler.render.report import plain_html, report_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SOME = report(600)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        why = f"there is no {' or '.join(_NAMES)}; on Debian: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found)
        yield started
        started.close()


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 600 batches, in a file."""
    path = tmp_path_factory.mktemp("some") / "report.html"
    path.write_text(report_html(_SOME))
    return path


class _Watch:
    """What a page says on its console, and what it asks for beside itself."""

    def __init__(self, page: Page, address: str) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self._address = address
        page.on("console", self._say)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))

    def _say(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def is_quiet(self) -> bool:
        assert self.said == []
        assert {url.partition("#")[0] for url in self.asked if not url.startswith("data:")} == {self._address}
        return True


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a file in a page of its own; in the end it has to have been quiet, and alone."""
    watches, contexts = [], []

    def go(path: Path, **settings: object) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **settings)  # type: ignore[arg-type]
        page = context.new_page()
        watches.append(_Watch(page, path.as_uri()))
        contexts.append(context)
        page.goto(path.as_uri())
        return page

    yield go
    assert all(watch.is_quiet() for watch in watches)
    for context in contexts:
        context.close()


def _count(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def _addresses(page: Page) -> list[str]:
    return page.locator("#all tbody tr:not(.story) th code").all_inner_texts()


def test_no_name_from_outside_runs_loads_or_hides(opened: Callable[..., Page], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_html(hostile()))
    page = opened(path)
    page.evaluate(
        """() => {
          const places = [...document.querySelectorAll("button.open")].map((one) => one.dataset.place);
          for (const place of places) document.querySelector(`[data-place="${place}"]`).click();
          for (const one of document.querySelectorAll("details")) one.open = true;
        }"""
    )
    assert page.locator(".story").count() == len(RUNNING)
    assert page.evaluate("globalThis.intruded") is None
    assert page.locator("img, iframe, object, [onload], [onerror], [onmouseover], [style]").count() == 0
    assert page.locator("script").count() == 2
    text = page.locator("body").inner_text()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", text)
    shown = page.locator("#all tbody tr:not(.story) th code").all_text_contents()
    assert sorted(shown) == sorted(harmless(f"{name}/{name}") for name in RUNNING)
    links = page.eval_on_selector_all("a[href]", "found => found.map(one => one.getAttribute('href'))")
    assert {link for link in links if not link.startswith("#")} <= {
        n for n in RUNNING if n.startswith("https://")
    }


def test_the_policy_stops_what_would_get_in_all_the_same(browser: Browser, some: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(some.as_uri())
    asked: list[str] = []
    stopped: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: stopped.append(f"{request.failure}: {request.url}"))
    tried = page.evaluate(
        """async () => {
          const failed = [];
          const attempt = async (name, does) => { try { await does(); } catch { failed.push(name); } };
          await attempt("fetch", () => fetch("https://evil.example/"));
          await attempt("markup", () => { document.body.innerHTML = "<b>x</b>"; });
          const script = document.createElement("script");
          await attempt("script", () => { script.textContent = "globalThis.intruded = 1"; });
          const src = "https://evil.example/x";
          document.body.append(Object.assign(document.createElement("img"), { src }));
          await new Promise((done) => setTimeout(done));
          return [failed, globalThis.intruded];
        }"""
    )
    assert tried == [["fetch", "markup", "script"], None]
    # The console lists what it did not send, and why.
    assert stopped == [f"csp: {url}" for url in asked]
    context.close()


def test_ten_thousand_batches_are_filtered_exactly_and_drawn_a_page_at_a_time(
    opened: Callable[..., Page], tmp_path: Path
) -> None:
    many, path = report(10_000), tmp_path / "report.html"
    path.write_text(report_html(many))
    page = opened(path)
    rows = many.status.rows
    assert _count(page) == "10,000 of 10,000 batches"
    page.get_by_role("searchbox", name="Text").fill("claims 99")
    wanted = [
        row
        for row in rows
        if row.address.set == "claims"
        and any("99" in text for text in (str(row.address), row.directory_name, row.batch))
    ]
    assert 0 < len(wanted) < 200
    assert _count(page).startswith(f"{len(wanted)} of 10,000 batches")
    page.get_by_role("searchbox", name="Text").fill("")
    page.get_by_role("combobox", name="Set").select_option("invoices")
    page.get_by_role("combobox", name="Health").select_option("Missing")
    page.get_by_role("combobox", name="Sync").select_option("OutOfSync")
    page.get_by_role("button", name="address").click()
    missing = sorted(
        str(row.address) for row in rows if row.address.set == "invoices" and row.health is Health.MISSING
    )
    seen = _addresses(page)
    assert len(seen) == 50
    while (later := page.get_by_role("button", name="Later rows")).is_enabled():
        later.click()
        assert page.locator("#all tbody tr").count() <= 50
        seen += _addresses(page)
    assert seen == missing
    assert page.get_by_role("table", name="All batches").get_attribute("aria-rowcount") == str(
        len(missing) + 1
    )
    page.get_by_role("button", name="Show all").click()
    assert _count(page) == "10,000 of 10,000 batches"
    assert page.locator("#all tbody tr").count() == 50


def test_figures_sets_and_runs_lead_to_their_batches(opened: Callable[..., Page], some: Path) -> None:
    page = opened(some)
    rows = _SOME.status.rows
    for name, count in (
        ("running", sum(row.running for row in rows)),
        ("degraded", sum(row.health is Health.DEGRADED for row in rows)),
        ("synced", sum(row.sync is Sync.SYNCED for row in rows)),
        ("surplus", sum(bool(row.surplus) for row in rows)),
    ):
        page.locator(".figures div", has_text=name).get_by_role("link").click()
        assert _count(page).startswith(f"{count:,} of 600 batches: "), name
        expect(page.get_by_role("heading", name="All batches")).to_be_focused()
    payroll = page.locator("#sets tr", has_text="payroll").get_by_role("link", name=re.compile("Healthy"))
    count = sum(row.address.set == "payroll" and row.health is Health.HEALTHY for row in rows)
    assert payroll.inner_text().strip() == f"{count} Healthy"
    payroll.click()
    assert _count(page) == f"{count} of 600 batches: set payroll, health Healthy"
    page.locator("#sets tr", has_text="claims").locator(".bar rect.is-missing").click()
    count = sum(row.address.set == "claims" and row.health is Health.MISSING for row in rows)
    assert _count(page) == f"{count} of 600 batches: set claims, health Missing"
    newest = page.locator("#ran tbody tr").first.get_by_role("link", name=re.compile("created"))
    made = int(newest.inner_text().split(" ")[0])
    newest.click()
    assert _count(page).startswith(f"{made} of 600 batches: touched by run ")


def test_everything_is_done_by_keyboard_alone(opened: Callable[..., Page], some: Path) -> None:
    page = opened(some)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the table of all batches")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox", name="Text")).to_be_focused()
    page.keyboard.type("payroll")
    payroll = sum(row.address.set == "payroll" for row in _SOME.status.rows)
    assert _count(page) == f"{payroll} of 600 batches: text “payroll”"
    page.keyboard.press("Tab")  # set
    page.keyboard.press("Tab")  # sync
    page.keyboard.type("Synced")
    assert "sync Synced" in _count(page)
    for _ in range(4):  # health, the button, the table itself, its first head
        page.keyboard.press("Tab")
    head = page.get_by_role("region", name="All batches, table").locator("th").first
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    up = _addresses(page)
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert up == sorted(up)
    assert _addresses(page) == sorted(_addresses(page), reverse=True)
    for _ in range(7):  # the other heads, then the first row
        page.keyboard.press("Tab")
    first = page.locator("button.open").first
    expect(first).to_be_focused()
    assert first.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(first).to_be_focused()
    assert first.get_attribute("aria-expanded") == "true"
    story = page.locator(f"#{first.get_attribute('aria-controls')}")
    assert "What happened" in story.inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".story").count() == 0


def test_whoever_listens_is_told_what_everything_is(opened: Callable[..., Page], some: Path) -> None:
    page = opened(some)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    assert page.get_by_role("heading", level=1).inner_text() == "finance-documents"
    tables = ("Each set by health and by sync", "Running batches", "Runs, newest first", "All batches")
    for name in tables:
        expect(page.get_by_role("table", name=name, exact=True)).to_be_visible()
    assert page.get_by_role("table", name="All batches").get_by_role("columnheader").count() == 7
    assert page.get_by_role("table", name="All batches").get_by_role("rowheader").count() == 50
    assert page.get_by_role("search", name="Filter the batches").count() == 1
    assert page.get_by_role("navigation").count() == 2
    expect(page.get_by_text("need scripts")).to_have_count(0)
    nameless = page.evaluate(
        """() => {
          const words = (one) => (one.matches("input, select")
            ? one.labels[0]?.firstChild.textContent
            : one.textContent || document.getElementById(one.getAttribute("aria-labelledby"))?.textContent);
          return [...document.querySelectorAll("a, button, summary, input, select, section, nav, [role]")]
            .filter((one) => !(one.ariaLabel || words(one)?.trim())).map((one) => one.outerHTML);
        }"""
    )
    assert nameless == []
    doubled = page.evaluate(
        """() => { const all = [...document.querySelectorAll("[id]")].map((one) => one.id);
          return all.filter((one, at) => all.indexOf(one) !== at); }"""
    )
    assert doubled == []


# The ratio of WCAG 2, for each element with text of its own against the nearest ground; marks are drawings.
_FAINT = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    throw new Error("no ground");
  };
  const faint = new Set();
  let seen = 0;
  for (const one of document.querySelectorAll("body *")) {
    const drawn = one.matches("svg.mark");
    const speaks = [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if ((!drawn && !speaks) || !one.checkVisibility() || one.closest(".unseen, .skip")) continue;
    seen += 1;
    const found = ratio(parse(getComputedStyle(one).color), ground(one));
    const name = `${one.tagName} ${one.getAttribute("class")}`;
    if (found < (drawn ? 3 : 4.5)) faint.add(`${name} ${found.toFixed(2)}`);
  }
  return [seen, [...faint]];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out_by_day_and_by_night(
    opened: Callable[..., Page], some: Path, scheme: str
) -> None:
    page = opened(some, color_scheme=scheme)
    page.locator("button.open").first.click()
    seen, faint = page.evaluate(_FAINT)
    assert seen > 400
    assert faint == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 384) is (scheme == "light")


def test_on_paper_stands_every_row_that_was_filtered(opened: Callable[..., Page], some: Path) -> None:
    page = opened(some)
    page.get_by_role("combobox", name="Set").select_option("invoices")
    page.evaluate(
        """() => addEventListener("beforeprint", () => {
          globalThis.printed = document.querySelectorAll("#all tbody tr").length;
        })"""
    )
    paper = page.pdf()
    assert paper.startswith(b"%PDF-")
    invoices = sum(row.address.set == "invoices" for row in _SOME.status.rows)
    assert page.evaluate("globalThis.printed") == invoices > 100
    assert page.locator("#all tbody tr").count() == 50
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.get_by_role("searchbox")).to_be_hidden()
    expect(page.get_by_role("status")).to_be_visible()


def test_without_scripts_the_summary_and_the_first_rows_are_there(
    opened: Callable[..., Page], some: Path
) -> None:
    page = opened(some, java_script_enabled=False)
    expect(page.get_by_role("searchbox")).to_have_count(0)
    assert page.get_by_role("table", name="All batches").get_by_role("rowheader").count() == 50
    assert _count(page) == "50 of 600 batches"
    expect(page.get_by_text("The 550 others")).to_be_visible()
    expect(page.get_by_text("600", exact=True)).to_be_visible()


def test_pages_beside_other_results_hold_as_well(opened: Callable[..., Page], tmp_path: Path) -> None:
    names = RUNNING[:14]
    pages = (
        markdown.plan_page(render_hostile.plan(names), names[0]),
        markdown.status_page(render_hostile.status(names), names[2]),
        markdown.drift_page(render_hostile.drift(names), names[3]),
    )
    for number, made in enumerate(pages):
        path = tmp_path / f"{number}.html"
        path.write_text(plain_html(made, render_hostile.NOW))
        page = opened(path)
        assert page.locator("script, img, iframe, [onload], [onerror], [style]").count() == 0
        assert page.locator("a").count() == 0
        assert harmless(RUNNING[3]) in page.locator("main").text_content()  # type: ignore[operator]
